//! Stages of extensions: honest ones, and one that makes what it likes.

#![no_main]

use sockless_fuzz::stages::{Input, check};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| check(&input));
