//! The span of a connection.

/// A span of `tracing`; nothing without the feature.
#[derive(Clone, Debug)]
pub struct Span(#[cfg(feature = "tracing")] tracing::Span);

/// What is told is within the [`Span`], as long as this is there.
#[must_use]
pub struct Entered(
    #[cfg(feature = "tracing")]
    #[allow(dead_code)]
    tracing::span::EnteredSpan,
);

impl Span {
    /// That of a server's connection, known by a number or name of its own if it has one. Its `peer` is an address.
    #[inline]
    pub fn connection(id: Option<impl core::fmt::Display>, peer: Option<impl core::fmt::Display>) -> Self {
        _ = (&id, &peer);
        Self(
            #[cfg(feature = "tracing")]
            {
                use tracing::field::Empty;
                let span = tracing::info_span!(target: "sockless", "connection", id = Empty, peer = Empty, client = Empty, path = Empty);
                if let Some(id) = id {
                    span.record("id", tracing::field::display(id));
                }
                if let Some(peer) = peer {
                    span.record("peer", tracing::field::display(peer));
                }
                span
            },
        )
    }

    /// That of a client's way to a connection.
    #[inline]
    pub fn connect(host: &str, port: u16) -> Self {
        _ = (host, port);
        Self(
            #[cfg(feature = "tracing")]
            tracing::info_span!(target: "sockless", "connect", host, port),
        )
    }

    /// The path that the client has asked for, without its query.
    #[inline]
    pub fn path(&self, path: &str) {
        #[cfg(feature = "tracing")]
        self.0.record("path", path);
        _ = path;
    }

    /// Where the client is, if its own connection was to a proxy.
    #[inline]
    pub fn client(&self, address: impl core::fmt::Display) {
        #[cfg(feature = "tracing")]
        self.0.record("client", tracing::field::display(address));
        _ = address;
    }

    /// Has what is told from here on within the span, until what this gives is dropped.
    #[inline]
    pub fn enter(&self) -> Entered {
        Entered(
            #[cfg(feature = "tracing")]
            self.0.clone().entered(),
        )
    }

    /// As `tracing` knows it, for what has no calls but futures.
    #[cfg(feature = "tracing")]
    pub fn into_tracing(self) -> tracing::Span {
        self.0
    }
}
