//! What goes wrong in a server, for who wants to know.

use sockless::driver::Error;
use std::io;

/// What has gone wrong in a [`Server`](crate::Server), which goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The listener has failed, of too many open files perhaps. It is tried again soon.
    #[error("not accepted: {0}")]
    Accept(io::Error),
    /// A client did not get its connection: TLS failed, its request was not a good one, or was refused with a status of 400 or
    /// more, or none came in time.
    #[error("not opened: {0}")]
    Handshake(Error),
    /// A handler has returned this error; its peer is told by 1011.
    #[error("handler failed: {0}")]
    Handler(Box<dyn std::error::Error + Send + Sync>),
    /// A handler, or what was to answer a request, has panicked; a peer that is connected is told by 1011.
    #[error("handler panicked")]
    Panic,
}
