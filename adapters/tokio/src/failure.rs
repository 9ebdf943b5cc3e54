//! What goes wrong in a server, for who wants to know.

use crate::open::Peer;
use crate::trace;
use sockless::driver::Error;
use sockless::seen;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
    /// A handler has returned this error; its peer is told by 1011. One that has met the end of its connection, and says no more
    /// ([`Error::only_closing`]), has not failed.
    #[error("handler failed: {0}")]
    Handler(Box<dyn std::error::Error + Send + Sync>),
    /// A handler, or what was to answer a request, has panicked; a peer that is connected is told by 1011.
    #[error("handler panicked")]
    Panic,
}

/// Who wants to know.
pub(crate) type OnError = dyn Fn(Option<Peer>, &Failure) + Send + Sync;

impl Failure {
    /// Tells whoever wants to know.
    pub(crate) fn tell(&self, peer: Option<Peer>, on_error: Option<&OnError>) {
        match self {
            Self::Accept(error) => seen::not_accepted(error),
            Self::Handshake(error) => trace::not_opened(error),
            Self::Handler(error) => seen::handler_failed(Some(error)),
            Self::Panic => seen::handler_failed(None),
        }
        // The answer to plain HTTP is no failure.
        if let (Some(on_error), false) = (on_error, matches!(self, Self::Handshake(Error::Refused(..400)))) {
            _ = catch_unwind(AssertUnwindSafe(|| on_error(peer, self)));
        }
    }
}
