//! Two connections, and a proxy between two more.

#![no_main]

use sockless_fuzz::pair::{Input, check};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| check(&input));
