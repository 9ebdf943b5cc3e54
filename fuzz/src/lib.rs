//! What the fuzz targets share; each of them is one call of a function here.

#![forbid(unsafe_op_in_unsafe_fn)]

pub mod differential;
pub mod driver;
pub mod extensions;
pub mod feed;
pub mod frames;
pub mod heads;
pub mod inflate;
pub mod messages;
pub mod pair;
pub mod proxies;
pub mod relay;
pub mod session;
pub mod settings;
pub mod stages;
pub mod stream;
pub mod tape;
pub mod tapes;

// The tests' watchdog, which `heap` tells that they go on, has no place here.
extern crate self as sockless_test_support;

#[doc(hidden)]
pub fn watch() {}

#[path = "../../tests/all/common/heap.rs"]
mod heap;
