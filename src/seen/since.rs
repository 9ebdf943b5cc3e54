//! How long an application takes for a message.

#[cfg(feature = "metrics")]
use std::{num::NonZeroU64, sync::LazyLock, time::Duration, time::Instant};

/// When the application was told a message. Nothing, and no clock is read, without the feature `metrics`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Since(
    /// Nanoseconds: half of what an `Instant` takes in every connection.
    #[cfg(feature = "metrics")]
    Option<NonZeroU64>,
);

#[cfg(feature = "metrics")]
fn clock() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}

impl Since {
    /// The application is about to be told a message.
    #[inline(always)]
    pub fn now() -> Self {
        Self(
            #[cfg(feature = "metrics")]
            NonZeroU64::new(clock().max(1)),
        )
    }

    /// It has done with it; by default there was none.
    #[inline(always)]
    pub fn handled(self) {
        #[cfg(feature = "metrics")]
        if let Some(since) = self.0 {
            super::meters::handled(Duration::from_nanos(clock().saturating_sub(since.get())));
        }
    }

    /// Takes it, and leaves none.
    #[inline(always)]
    #[must_use]
    pub fn take(&mut self) -> Self {
        core::mem::take(self)
    }
}
