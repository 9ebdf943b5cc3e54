//! Responses, and what follows them.

#![no_main]

use sockless_fuzz::heads::{ClientInput, client};

libfuzzer_sys::fuzz_target!(|input: ClientInput<'_>| client(&input));
