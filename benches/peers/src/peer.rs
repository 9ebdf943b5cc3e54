//! What every contestant does, each in the way that suits it best.

use crate::pipe::Pipe;
use bytes::Bytes;

/// Which end of a connection a contestant is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// How it is set up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settings {
    /// For speed: buffers of 64 KiB, limits out of the way.
    Fast,
    /// As it comes.
    Default,
}

/// A contestant, over a pipe.
pub(crate) trait Peer: Sized {
    const NAME: &'static str;

    /// What we do in the measured work and it does not, by its source; what it refuses is seen by giving it that.
    const LACKS: &'static str = "";

    /// It leaves text as it came.
    const CHECKS_TEXT: bool = true;

    /// The same of a text in one frame that a read cuts.
    const CHECKS_CUT_TEXT: bool = Self::CHECKS_TEXT;

    /// It writes each message apart, and nothing can be put between that gathers them: a system call each, on a socket.
    const WRITES_EACH: bool = false;

    /// What a connection is, its transport left out.
    const SIZE: usize;

    /// Its read buffer cannot be set, and grows to 64 KiB only when a message of that size has come.
    const GROWS: bool = false;

    fn open(pipe: Pipe, role: Role, settings: Settings) -> Self;

    /// Receives this many messages, each whole.
    fn receive(&mut self, count: usize, each: impl FnMut(&[u8]));

    /// Sends a binary message this many times, and flushes once.
    fn send(&mut self, payload: &Bytes, count: usize);

    /// Sends back this many messages.
    fn echo(&mut self, count: usize);

    /// Bytes of the buffers that a loop lends to all its connections.
    fn lent(&self) -> usize {
        0
    }
}
