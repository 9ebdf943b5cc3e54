//! Messages and their parts, and which end of a connection is meant.

pub(crate) mod assemble;
pub(crate) mod chunk;
#[cfg(feature = "deflate")]
pub(crate) mod inflated;

use crate::wire::frame::OpCode;
use alloc::borrow::Cow;

/// No message has more bytes than a buffer can, whatever the limits say: a length may go far beyond where an address has 32
/// bits (RFC 6455 §5.2).
pub(crate) const LONGEST: usize = isize::MAX as usize;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It accepted the connection, and its frames are not masked.
    Server,
    /// It opened the connection, and masks its frames.
    Client,
}

/// Whether a message is text or binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

impl Kind {
    /// The opcode of a message's first frame.
    #[inline]
    pub const fn opcode(self) -> OpCode {
        match self {
            Self::Text => OpCode::Text,
            Self::Binary => OpCode::Binary,
        }
    }
}

/// A message, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(Cow<'a, [u8]>),
    /// Text that nobody checked; who sends it vouches for it.
    Unchecked(Cow<'a, [u8]>),
}

impl Message<'_> {
    /// Whether it is text or binary.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) | Self::Unchecked(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// The bytes of the payload.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) | Self::Unchecked(bytes) => bytes,
        }
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Message::Binary(Cow::Owned(bytes.into_owned())),
            Self::Unchecked(bytes) => Message::Unchecked(Cow::Owned(bytes.into_owned())),
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(Cow::Borrowed(bytes))
    }
}

/// Part of a message: what one call of [`receive_piece`](crate::Connection::receive_piece) found of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The payload; text is cut between characters. May be empty where a frame or a message ends.
    pub data: Message<'a>,
    /// Whether it is the first of its message.
    pub first: bool,
    /// Whether it ends a frame, for who wants the peer's fragments.
    pub frame_end: bool,
    /// Whether it is the last of its message.
    pub last: bool,
}
