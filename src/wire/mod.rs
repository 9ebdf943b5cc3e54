//! What is on the wire: plain functions and small values.

pub mod close;
pub(crate) mod code;
pub(crate) mod error;
pub mod frame;
pub mod mask;
pub mod utf8;
pub(crate) mod xor;
