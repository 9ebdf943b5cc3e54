//! Headers of the PROXY protocol, and what proxies write of their clients.

#![no_main]

use sockless_fuzz::proxies::{Input, proxies};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| proxies(&input));
