//! What is seen of two ends: who says what, and where in the stream.

use sockless_tokio::sockless::{Negotiated, ProtocolError, Role};
use sockless_tokio::{Close, Message, Request, Response};

/// Whose bytes they are: of the end that sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Client, Self::Server];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// The role of the end that receives them.
    pub(super) const fn receiver(self) -> Role {
        match self {
            Self::Client => Role::Server,
            Self::Server => Role::Client,
        }
    }
}

/// Something that one end said.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) from: Side,
    /// Where the frame, or the head, begins that says it, in bytes of this end's stream; of a message, its first frame.
    pub(crate) start: u64,
    /// Where it ends: behind its last byte. Of a fault, behind the byte that it shows at.
    pub(crate) end: u64,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Request(Request<'static>),
    /// A response that opens, what it agrees on, as the client has it, and the URL that was asked for.
    Open(Response<'static>, Negotiated, Option<String>),
    Rejected(Response<'static>),
    /// A message, which came in so many frames.
    Message(Message, u32),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Close<'static>),
    /// A rule is broken, and this end's stream is not read further.
    Fault(Fault),
    /// What is not read from here on, for it is no WebSocket.
    Unread(&'static str),
}

/// What is wrong, and the section of the RFC that says so.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: String,
    pub(crate) section: Option<&'static str>,
}

impl From<ProtocolError> for Fault {
    fn from(error: ProtocolError) -> Self {
        Self { error: error.to_string(), section: error.section() }
    }
}
