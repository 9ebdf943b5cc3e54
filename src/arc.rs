//! The `Arc` of processors that can compare and swap, and of those that cannot, such as a Cortex-M0.

#[cfg(target_has_atomic = "ptr")]
pub(crate) use alloc::sync::Arc;
#[cfg(not(target_has_atomic = "ptr"))]
pub(crate) use portable_atomic_util::Arc;
