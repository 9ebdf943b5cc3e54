//! That a connection is open, and how it ends: each is told once.

use crate::message::Role;
use crate::wire::close::Code;
use crate::wire::error::ProtocolError;

/// Tells that a connection is open, and how it has ended, each once. Dropped in between, it tells an end without a close frame.
#[derive(Default)]
pub struct Life(#[cfg(any(feature = "tracing", feature = "metrics"))] Option<Role>);

/// What ended a connection that was open.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Ended<'a> {
    /// A closing handshake.
    Closing,
    /// The peer's fault, or silence.
    Protocol(&'a ProtocolError),
    /// The transport has failed.
    Transport,
    /// This end, which did not wait for the peer.
    Dropped,
}

impl Ended<'_> {
    /// A word for it: the label of [`names::CLOSED`](super::names::CLOSED), and the field of the event.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Closing => "closing",
            Self::Transport => "transport",
            Self::Dropped => "dropped",
            Self::Protocol(error) => match error {
                ProtocolError::UnexpectedEof => "eof",
                ProtocolError::PongTimeout => "pong_timeout",
                ProtocolError::IdleTimeout => "idle_timeout",
                ProtocolError::CloseTimeout => "close_timeout",
                ProtocolError::Handshake(_) => "handshake",
                ProtocolError::FrameTooLong { .. }
                | ProtocolError::MessageTooLong { .. }
                | ProtocolError::TooManyFragments { .. } => "limit",
                _ => "protocol",
            },
        }
    }
}

#[cfg(any(feature = "tracing", feature = "metrics"))]
impl Life {
    /// The connection is open.
    pub fn open(&mut self, role: Role) {
        self.0 = Some(role);
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "sockless", ?role, "open");
        #[cfg(feature = "metrics")]
        super::meters::opened(role);
    }

    /// It has ended, with the peer's code or the one that its fault was answered with; 1005 and 1006 where there is none.
    pub fn end(&mut self, code: Code, ended: Ended<'_>) {
        let Some(role) = self.0.take() else { return };
        #[cfg(feature = "tracing")]
        {
            let (code, cause) = (u16::from(code), ended.cause());
            match ended {
                Ended::Protocol(error) => tracing::debug!(target: "sockless", ?role, code, cause, %error, "closed"),
                _ => tracing::debug!(target: "sockless", ?role, code, cause, "closed"),
            }
        }
        #[cfg(feature = "metrics")]
        super::meters::closed(role, code, ended.cause());
        _ = (role, code, ended);
    }
}

#[cfg(any(feature = "tracing", feature = "metrics"))]
impl Drop for Life {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.end(Code::ABNORMAL, Ended::Dropped);
        }
    }
}

#[cfg(not(any(feature = "tracing", feature = "metrics")))]
#[allow(clippy::unused_self)]
impl Life {
    /// The connection is open.
    #[inline(always)]
    pub fn open(&mut self, _: Role) {}

    /// It has ended, with the peer's code or the one that its fault was answered with; 1005 and 1006 where there is none.
    #[inline(always)]
    pub fn end(&mut self, _: Code, _: Ended<'_>) {}
}
