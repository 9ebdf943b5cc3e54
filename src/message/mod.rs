//! Messages and their parts, and which end of a connection is meant.

pub(crate) mod assemble;
pub(crate) mod chunk;
#[cfg(feature = "deflate")]
pub(crate) mod inflated;

use crate::wire::frame::OpCode;
use alloc::borrow::Cow;
use alloc::{string::String, vec::Vec};
use bytes::Bytes;

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

impl Role {
    /// The other end's.
    pub const fn peer(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }
}

/// Whether a message is text or binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// A message, or a part of one; borrowed from where it was read, or owned.
///
/// Text, bytes and what holds them become messages: what takes one takes `"text"`, a `String`, a slice, a `Vec<u8>` or
/// [`Bytes`].
///
/// ```
/// use sockless::Message;
///
/// let message = Message::from("hello");
/// assert!(message.is_text() && message.len() == 5);
/// assert_eq!(message.as_text(), Some("hello"));
///
/// // Kept beyond what it was read from.
/// let kept: Message<'static> = message.into_owned();
/// assert_eq!(kept.into_bytes(), "hello");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// Text, whose UTF-8 was checked.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(Cow<'a, [u8]>),
    /// Text that nobody checked, because [`Config::check_utf8`](crate::Config::check_utf8) is off; who sends it vouches for
    /// it.
    Unchecked(Cow<'a, [u8]>),
}

impl<'a> Message<'a> {
    /// A text message.
    #[inline]
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// A binary message.
    #[inline]
    pub fn binary(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::Binary(bytes.into())
    }

    /// Whether it is text or binary.
    #[inline]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) | Self::Unchecked(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// Whether it is text, checked or not.
    #[inline]
    pub const fn is_text(&self) -> bool {
        matches!(self.kind(), Kind::Text)
    }

    /// Whether it is binary.
    #[inline]
    pub const fn is_binary(&self) -> bool {
        matches!(self.kind(), Kind::Binary)
    }

    /// Bytes of the payload.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of the payload.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) | Self::Unchecked(bytes) => bytes,
        }
    }

    /// The text of a message whose UTF-8 was checked.
    #[inline]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The payload, which is copied only if it is borrowed.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_owned().into(),
            Self::Binary(bytes) | Self::Unchecked(bytes) => bytes.into_owned().into(),
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

    /// Whether its payload belongs to someone else, so that keeping it takes a copy.
    #[inline]
    pub const fn is_borrowed(&self) -> bool {
        match self {
            Self::Text(text) => matches!(text, Cow::Borrowed(_)),
            Self::Binary(bytes) | Self::Unchecked(bytes) => matches!(bytes, Cow::Borrowed(_)),
        }
    }
}

/// Lent on, without a copy.
impl<'a> From<&'a Message<'_>> for Message<'a> {
    #[inline]
    fn from(message: &'a Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(Cow::Borrowed(text)),
            Message::Binary(bytes) => Self::Binary(Cow::Borrowed(bytes)),
            Message::Unchecked(bytes) => Self::Unchecked(Cow::Borrowed(bytes)),
        }
    }
}

macro_rules! message_from {
    ($($variant:ident($from:ty)),+ $(,)?) => {
        $(impl<'a> From<$from> for Message<'a> {
            #[inline]
            fn from(payload: $from) -> Self {
                Self::$variant(payload.into())
            }
        })+
    };
}

message_from!(
    Text(&'a str),
    Text(&'a String),
    Text(String),
    Text(Cow<'a, str>),
    Binary(&'a [u8]),
    Binary(&'a Vec<u8>),
    Binary(Vec<u8>),
    Binary(Cow<'a, [u8]>),
);

/// Copied, unless nobody else refers to the bytes: what shares them is [`send_shared`](crate::Connection::send_shared).
impl From<Bytes> for Message<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(Vec::from(bytes).into())
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Binary(Cow::Borrowed(bytes))
    }
}

/// Part of a message: what one call of [`receive_piece`](crate::Connection::receive_piece), or of
/// [`receive_frame`](crate::Connection::receive_frame), found of it.
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

impl Piece<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Piece<'static> {
        Piece { data: self.data.into_owned(), ..self }
    }
}
