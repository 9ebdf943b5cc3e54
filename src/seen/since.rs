//! How long an application takes for a message.

/// When the application was told a message. Nothing, and no clock is read, without the feature `metrics`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Since(#[cfg(feature = "metrics")] Option<std::time::Instant>);

impl Since {
    /// The application is about to be told a message.
    #[inline(always)]
    pub fn now() -> Self {
        Self(
            #[cfg(feature = "metrics")]
            Some(std::time::Instant::now()),
        )
    }

    /// It has done with it; by default there was none.
    #[inline(always)]
    pub fn handled(self) {
        #[cfg(feature = "metrics")]
        if let Some(since) = self.0 {
            super::meters::handled(since.elapsed());
        }
    }

    /// Takes it, and leaves none.
    #[inline(always)]
    pub fn take(&mut self) -> Self {
        core::mem::take(self)
    }
}
