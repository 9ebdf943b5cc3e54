//! Tapes: what is read as one, and what was recorded.

#![no_main]

use sockless_fuzz::tape::{Input, check};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| check(&input));
