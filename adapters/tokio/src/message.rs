//! What a connection yields and takes, owned: messages, their pieces, and events.

use bytes::Bytes;
use bytestring::ByteString;
use sockless::{Close, Kind, bytes};
use std::borrow::Cow;

/// A message; cloning it copies no bytes.
///
/// It is the core's [`Message`](sockless::Message) for tasks: shared, and without a lifetime, which would keep the futures
/// that hold one from crossing threads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Text, whose UTF-8 was checked.
    Text(ByteString),
    /// Bytes.
    Binary(Bytes),
    /// Text that nobody checked, because [`Config::check_utf8`](sockless::Config::check_utf8) is off; who sends it
    /// vouches for it.
    Unchecked(Bytes),
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<ByteString>) -> Self {
        Self::Text(text.into())
    }

    /// A binary message.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::Binary(bytes.into())
    }

    /// Whether it is text or binary.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) | Self::Unchecked(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// Whether it is text, checked or not.
    pub const fn is_text(&self) -> bool {
        matches!(self.kind(), Kind::Text)
    }

    /// Whether it is binary.
    pub const fn is_binary(&self) -> bool {
        matches!(self.kind(), Kind::Binary)
    }

    /// Bytes of the payload.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of the payload.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) | Self::Unchecked(bytes) => bytes,
        }
    }

    /// The text of a message whose UTF-8 was checked.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The payload.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) | Self::Unchecked(bytes) => bytes,
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<ByteString> for Message {
    fn from(text: ByteString) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(bytes))
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<sockless::Message<'_>> for Message {
    fn from(message: sockless::Message<'_>) -> Self {
        match message {
            sockless::Message::Text(text) => Self::Text(own_text(text)),
            sockless::Message::Binary(bytes) => Self::Binary(own(bytes)),
            sockless::Message::Unchecked(bytes) => Self::Unchecked(own(bytes)),
        }
    }
}

/// Part of a message: what one read brought of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The payload; text is cut between characters. May be empty where a frame or a message ends.
    pub data: Message,
    /// Whether it is the first of its message.
    pub first: bool,
    /// Whether it ends a frame.
    pub frame_end: bool,
    /// Whether it is the last of its message.
    pub last: bool,
}

/// Something that happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message came.
    Message(Message),
    /// A part of a message came; from [`recv_piece`](crate::WebSocket::recv_piece)'s kind of reading only.
    Piece(Piece),
    /// A ping came; unless [`Config::answer_pings`](sockless::Config::answer_pings) is off, it is answered.
    Ping(Bytes),
    /// A pong came.
    Pong(Bytes),
    /// The peer's close frame came; it is answered.
    Close(Close<'static>),
}

impl Event {
    /// An event that the core tells of an open connection, other than a message.
    pub(crate) fn from_core(event: sockless::Event<'_>) -> Option<Self> {
        Some(match event {
            sockless::Event::Piece(sockless::Piece { data, first, frame_end, last }) => {
                Self::Piece(Piece { data: data.into(), first, frame_end, last })
            }
            sockless::Event::Ping(payload) => Self::Ping(own(payload)),
            sockless::Event::Pong(payload) => Self::Pong(own(payload)),
            sockless::Event::Close(close) => Self::Close(close.into_owned()),
            _ => return None,
        })
    }
}

/// What a connection tells.
pub(crate) enum Told<T> {
    /// What was made of a message.
    Message(T),
    /// Another event.
    Event(Box<Event>),
}

fn own(bytes: Cow<'_, [u8]>) -> Bytes {
    match bytes {
        Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
}

fn own_text(text: Cow<'_, str>) -> ByteString {
    match text {
        Cow::Borrowed(text) => text.into(),
        Cow::Owned(text) => text.into(),
    }
}
