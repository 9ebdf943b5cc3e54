//! All tests that share a process: one program is linked once, and its tests share the processors.

mod basics;
mod common;
mod halves;
mod load;
#[cfg(feature = "testing")]
mod tapes;
mod waiting;
