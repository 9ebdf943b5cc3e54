//! What has happened to a connection, and all that follows from it: the states of RFC 6455, in this one place.

use crate::message::Role;
use crate::timer::Phase;
use crate::wire::error::SendError;
use core::fmt;
use core::time::Duration;

/// What has happened; everything that the states of RFC 6455 mean follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts(u8);

/// What may have happened, as a bit of [`Facts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Happened {
    /// The opening handshake is done.
    Open = 1,
    CloseReceived = 2,
    /// The peer or a deadline broke the connection, or the caller aborted or rejected it.
    Failed = 4,
    /// Nothing more is to be read.
    Eof = 8,
    /// A deadline has passed behind which nobody waits any longer.
    Expired = 16,
    /// This end's close frame waits for a message in fragments to end.
    CloseWaits = 32,
    /// This end's close frame is outbound, or was.
    CloseSent = 64,
}

/// What the driver should do with the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Keep it.
    Open,
    /// Shut down its write side, and read until the peer has done the same (RFC 6455 §7.1.1).
    Shutdown,
    /// Close it.
    Close,
}

/// What the driver should do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Read from the transport.
    pub read: bool,
    /// Write what is outbound.
    pub write: bool,
    /// Keep, shut down or close the transport.
    pub transport: Transport,
    /// When to call `handle_timeout`, on the caller's clock; a past time means now.
    pub deadline: Option<Duration>,
}

/// The state of a connection as RFC 6455 names it (§4.1, §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The opening handshake is not done.
    Connecting,
    /// Messages go both ways.
    Open,
    /// The closing handshake has begun.
    Closing,
    /// Nothing more comes or goes but what is outbound.
    Closed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Closed => "closed",
        })
    }
}

impl Facts {
    #[inline]
    pub(crate) fn set(&mut self, what: Happened) {
        self.0 |= what as u8;
    }

    /// As if it had never happened.
    pub(crate) fn unset(&mut self, what: Happened) {
        self.0 &= !(what as u8);
    }

    #[inline]
    pub(crate) fn has(self, what: Happened) -> bool {
        self.0 & what as u8 != 0
    }

    /// Whether nothing may be sent any more, but perhaps the close frame.
    pub(crate) fn is_ending(self) -> bool {
        self.0 & !(Happened::Open as u8 | Happened::CloseWaits as u8) != 0
    }

    /// Whether new frames may be sent.
    ///
    /// # Errors
    /// [`NotOpen`](SendError::NotOpen) before the opening handshake is done, [`Closing`](SendError::Closing) after.
    #[inline]
    pub(crate) fn check_open(self) -> Result<(), SendError> {
        if self.0 == Happened::Open as u8 {
            Ok(())
        } else if !self.has(Happened::Open) {
            Err(SendError::NotOpen)
        } else {
            Err(SendError::Closing)
        }
    }

    /// Whether a close frame may be sent of the caller's own accord, or to answer the peer's.
    ///
    /// # Errors
    /// As [`check_open`](Self::check_open).
    #[inline]
    pub(crate) fn check_close(self) -> Result<(), SendError> {
        Self(self.0 & !(Happened::CloseReceived as u8)).check_open()
    }

    /// What to do with the transport while `queued` bytes wait to go out.
    #[inline]
    pub(crate) fn transport(self, role: Role, queued: usize) -> Transport {
        let closed = self.has(Happened::CloseSent) && self.has(Happened::CloseReceived);
        if self.has(Happened::Expired) {
            Transport::Close
        } else if queued > 0 {
            Transport::Open
        } else if self.has(Happened::Eof) || closed && role == Role::Server {
            // RFC 6455 §7.1.1: the server closes first.
            Transport::Close
        } else if closed || self.has(Happened::Failed) {
            Transport::Shutdown
        } else {
            Transport::Open
        }
    }

    /// The state as RFC 6455 names it, given what to do with the transport.
    #[inline]
    pub(crate) fn state(self, transport: Transport) -> State {
        if self.has(Happened::Eof) || transport == Transport::Close {
            State::Closed
        } else if self.0 & !(Happened::Open as u8) != 0 {
            State::Closing
        } else if self.has(Happened::Open) {
            State::Open
        } else {
            State::Connecting
        }
    }

    /// What the timers wait for, given what to do with the transport.
    pub(crate) fn phase(self, transport: Transport) -> Phase {
        match self.state(transport) {
            _ if transport == Transport::Close => Phase::Closed,
            State::Connecting => Phase::Opening,
            State::Open => Phase::Open,
            // What is queued may still go out.
            State::Closing | State::Closed => Phase::Closing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_five_facts_ends_a_connection_alone_and_with_any_others() {
        use Happened::*;
        for set in 0..1 << 6 {
            let mut facts = Facts::default();
            facts.set(Open);
            for (bit, what) in [CloseReceived, Failed, Eof, Expired, CloseSent, CloseWaits].into_iter().enumerate() {
                if set >> bit & 1 == 1 {
                    facts.set(what);
                }
            }
            // A close frame that only waits ends nothing yet.
            assert_eq!(facts.is_ending(), set & 0b11111 != 0, "{facts:?}");
        }
    }
}
