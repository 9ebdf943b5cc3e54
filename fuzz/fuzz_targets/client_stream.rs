//! Bytes of a server, after the handshake.

#![no_main]

use sockless::Role;
use sockless_fuzz::stream::{Input, check};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| check(Role::Client, &input));
