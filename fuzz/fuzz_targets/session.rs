//! A session of the event loop, without its socket.

#![no_main]

use sockless_fuzz::session::{Input, check};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| check(&input));
