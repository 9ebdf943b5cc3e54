//! Where a request goes, and by which settings.

use sockless::SharedConfig;

/// No route.
pub(crate) const NO_ROUTE: u16 = u16::MAX;

/// How messages come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Parts {
    #[default]
    Whole,
    Pieces,
    Frames,
}

/// What is at a request's path.
#[derive(Debug)]
#[doc(hidden)] // Between `Routes` and the loop.
pub struct Routed {
    pub(crate) number: u16,
    /// In place of the server's settings.
    pub(crate) config: Option<SharedConfig>,
    pub(crate) parts: Parts,
}

impl Default for Routed {
    fn default() -> Self {
        Self { number: NO_ROUTE, config: None, parts: Parts::Whole }
    }
}

/// The same for connections over TLS, which the core is told, unless the settings say otherwise.
pub(crate) fn over_tls(mut config: SharedConfig) -> SharedConfig {
    if config.secure.is_none() {
        config.to_mut().secure = Some(true);
    }
    config
}
