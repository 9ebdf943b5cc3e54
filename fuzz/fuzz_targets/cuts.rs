//! The same bytes cut two ways, by every method.

#![no_main]

use sockless_fuzz::stream::{Input, cuts};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| cuts(&input));
