//! Spans and events of `tracing`; nothing at all without the feature. Their vocabulary is the core's: [`sockless::seen`].
//!
//! What may be secret is in none of them, at any level: of URLs there are hosts and ports, of texts of the peer's nothing.

use sockless::driver::Error;
use sockless::seen::{Refused, Span, refused};

/// An event of this crate.
#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, $($rest:tt)*) => { tracing::event!(target: "sockless", tracing::Level::$level, $($rest)*) };
}

/// What would be said is not even computed.
#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($($rest:tt)*) => {{}};
}

pub(crate) use event;

/// The work for one connection, in a span of its own.
#[cfg(feature = "tracing")]
pub(crate) fn within<F: Future>(work: F, span: Span) -> impl Future<Output = F::Output> {
    tracing::Instrument::instrument(work, span.into_tracing())
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn within<F: Future>(work: F, _: Span) -> F {
    work
}

/// A server's connection did not open.
pub(crate) fn not_opened(error: &Error) {
    refused(match error {
        Error::Refused(status) => Refused::Status(*status),
        Error::Protocol(error) => Refused::Handshake(error),
        Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => Refused::Slow,
        Error::Send(_) => Refused::Status(500),
        _ => Refused::Transport,
    });
}
