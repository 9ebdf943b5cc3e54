//! Offers of extensions, and the answers to them.

#![no_main]

use sockless_fuzz::extensions::{Input, check};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| check(&input));
