//! Compressed messages.

#![no_main]

use sockless_fuzz::inflate::{Input, check};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| check(&input));
