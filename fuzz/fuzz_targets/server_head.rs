//! Requests, and what follows them.

#![no_main]

use sockless_fuzz::heads::{ServerInput, server};

libfuzzer_sys::fuzz_target!(|input: ServerInput<'_>| server(&input));
