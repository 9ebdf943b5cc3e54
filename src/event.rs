//! What a connection says: events, messages and their pieces.

use crate::handshake::{Request, Response};
use crate::message::{Message, Piece};
use crate::wire::close::Close;
use crate::wire::frame::ControlPayload;
use alloc::borrow::Cow;

/// Something that happened on a connection.
///
/// It borrows the input that it came from, and owns what had to be put together; never does it borrow the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A text message whose UTF-8 was not checked, because [`Config::check_utf8`](crate::Config::check_utf8) is off.
    Unchecked(Cow<'a, [u8]>),
    /// A part of a message, from [`receive_piece`](crate::Connection::receive_piece).
    Piece(Piece<'a>),
    /// A ping; unless [`Config::answer_pings`](crate::Config::answer_pings) is off, its pong is outbound already, in the
    /// place of one that has not begun to go out (RFC 6455 §5.5.3): to answer every ping, write after each.
    Ping(Cow<'a, [u8]>),
    /// A pong.
    Pong(Cow<'a, [u8]>),
    /// The peer's close frame, the last event of a connection; unless
    /// [`Config::answer_close`](crate::Config::answer_close) is off, its answer is outbound already.
    Close(Close<'a>),
    /// Server: a request, which waits for [`accept`](crate::Connection::accept) or
    /// [`reject`](crate::Connection::reject).
    Request(Request<'a>),
    /// Client: the server's response; the connection is open.
    Open(Response<'a>),
    /// Client: the server's refusal, a redirect or a demand for credentials, say; the last event of a connection. A redirect
    /// comes with its head; a body is waited for, [`BODY_TIME`](crate::handshake::BODY_TIME) at most.
    Rejected(Response<'a>),
}

impl<'a> Event<'a> {
    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Event<'static> {
        fn own(bytes: Cow<'_, [u8]>) -> Cow<'static, [u8]> {
            Cow::Owned(bytes.into_owned())
        }
        match self {
            Self::Text(text) => Event::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Event::Binary(own(bytes)),
            Self::Unchecked(bytes) => Event::Unchecked(own(bytes)),
            Self::Piece(piece) => Event::Piece(piece.into_owned()),
            Self::Ping(payload) => Event::Ping(own(payload)),
            Self::Pong(payload) => Event::Pong(own(payload)),
            Self::Close(close) => Event::Close(close.into_owned()),
            Self::Request(request) => Event::Request(request.into_owned()),
            Self::Open(response) => Event::Open(response.into_owned()),
            Self::Rejected(response) => Event::Rejected(response.into_owned()),
        }
    }

    /// The message, if it is one.
    #[inline]
    pub fn into_message(self) -> Option<Message<'a>> {
        match self {
            Self::Text(text) => Some(Message::Text(text)),
            Self::Binary(bytes) => Some(Message::Binary(bytes)),
            Self::Unchecked(bytes) => Some(Message::Unchecked(bytes)),
            // Named, so that it is dropped here and nothing is behind a message.
            _other => None,
        }
    }

    /// What the sending half has to know of this event, after a [`split`](crate::Connection::split).
    pub fn fact(&self) -> Option<Fact> {
        match self {
            Self::Ping(payload) => ControlPayload::new(payload).map(Fact::Ping),
            Self::Pong(payload) => ControlPayload::new(payload).map(Fact::Pong),
            Self::Close(close) => Some(Fact::Close(close.code)),
            _ => None,
        }
    }
}

impl<'a> From<Message<'a>> for Event<'a> {
    #[inline]
    fn from(message: Message<'a>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text),
            Message::Binary(bytes) => Self::Binary(bytes),
            Message::Unchecked(bytes) => Self::Unchecked(bytes),
        }
    }
}

/// What the receiving half of a connection tells the sending half; small, so that it crosses threads easily.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// A ping came, and a pong with its payload is owed.
    Ping(ControlPayload),
    /// A pong came.
    Pong(ControlPayload),
    /// The peer's close frame came, with this code.
    Close(crate::wire::close::Code),
    /// The connection failed; a close frame with this code, if any, is owed.
    Failed(Option<crate::wire::close::Code>),
    /// A message has begun to come, and has not come whole; see [`Receiver::message_fact`](crate::Receiver::message_fact).
    MessageBegun,
    /// No message is under way any more.
    MessageEnded,
    /// The peer is not read until this time, for it has sent more than its [`Rates`](crate::Rates) allow; told to
    /// [`Writing`](crate::driver::Writing).
    Limited(core::time::Duration),
    /// The transport has no more to read.
    Eof,
}

impl From<crate::ProtocolError> for Fact {
    fn from(error: crate::ProtocolError) -> Self {
        Self::Failed(error.close_code())
    }
}
