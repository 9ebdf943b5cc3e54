//! A driver and the storage that a loop lends it.

#![no_main]

use sockless_fuzz::driver::{Input, check};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| check(&input));
