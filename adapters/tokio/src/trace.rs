//! Spans and events of `tracing`; nothing at all without the feature.
//!
//! What may be secret is in none of them, at any level: of URLs there are hosts and ports, of texts of the peer's their lengths.

use std::net::SocketAddr;

/// An event of this crate.
#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, $($rest:tt)*) => { tracing::event!(target: "sockless_tokio", tracing::Level::$level, $($rest)*) };
}

/// What would be said is not even computed.
#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($($rest:tt)*) => {{}};
}

pub(crate) use event;

/// The work for one connection of a server, in a span of its own.
#[cfg(feature = "tracing")]
pub(crate) fn connection<F: Future>(work: F, peer: SocketAddr, id: u64) -> impl Future<Output = F::Output> {
    use tracing::Instrument;
    work.instrument(tracing::info_span!(target: "sockless_tokio", "connection", %peer, id))
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn connection<F: Future>(work: F, _: SocketAddr, _: u64) -> F {
    work
}

/// The work for one connection of a client, in a span of its own.
#[cfg(feature = "tracing")]
pub(crate) fn connect<F: Future>(work: F, host: &str, port: u16) -> impl Future<Output = F::Output> {
    use tracing::Instrument;
    work.instrument(tracing::info_span!(target: "sockless_tokio", "connect", host, port))
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn connect<F: Future>(work: F, _: &str, _: u16) -> F {
    work
}
