//! Our receiver beside that of tungstenite.

#![no_main]

use sockless_fuzz::differential::{Input, check};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| check(&input));
