//! Extensions of a program's own (RFC 6455 §9): a stage between the frames of a connection and its messages.
//!
//! An [`Extension`] is what both ends agree on in the opening handshake. What it makes then is a [`Stage`] of one connection: an
//! [`Encode`] for what is sent, and a [`Decode`] for what comes, which each half of the connection keeps. A stage is given what
//! data frames carry, part by part as it comes, and pushes what becomes of it into an [`Output`], which the connection bounds
//! by its own limits while it comes. Control frames are never shown to it.
//!
//! **In order.** Each extension agreed on is a stage on the next one's outcome, in the order of the server's answer, which is that of
//! [`Config::extensions`](crate::Config::extensions) (§9.1). permessage-deflate, where it is agreed on too, is the first: what is
//! sent is compressed, and then goes through the stages; what comes goes through them, and is then inflated. An answer of another
//! order fails the handshake.
//!
//! A stage that holds bytes of one frame back until the next moves them behind the bounds that the stages before it see.
//!
//! **Where.** They are offered and answered where a [`Connection`](crate::Connection) makes the opening handshake itself, and by
//! `sockless-tokio` over HTTP/2 and in upgrades of hyper and axum. After one made elsewhere
//! [`Connection::extend`](crate::Connection::extend) takes what [`handshake::stages`](crate::handshake::stages) agreed on.
//!
//! A connection that agreed on none pays nothing for any of this. One that has stages copies its payloads, and does not relay.
//!
//! ```
//! use sockless::extensions::{Decode, Encode, Extension, Extensions, Output, Params, Part, Refused, Stage};
//! use sockless::{ClientRequest, Config, Connection, Event, Seed};
//! use bytes::Buf;
//!
//! /// Turns every bit, both ways.
//! #[derive(Debug)]
//! struct Inverted;
//!
//! impl Extension for Inverted {
//!     fn name(&self) -> &str {
//!         "x-inverted"
//!     }
//!     fn accept(&self, _offer: &Params) -> Option<(Params, Stage)> {
//!         Some((Params::new(), Stage::new(Inverted, Inverted)))
//!     }
//!     fn agree(&self, _answer: &Params) -> Option<Stage> {
//!         Some(Stage::new(Inverted, Inverted))
//!     }
//! }
//!
//! impl Encode for Inverted {
//!     fn encode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<u8, Refused> {
//!         out.extend(part.bytes.iter().map(|byte| !byte))?;
//!         Ok(0) // It marks no frames.
//!     }
//! }
//!
//! impl Decode for Inverted {
//!     fn decode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<(), Refused> {
//!         out.extend(part.bytes.iter().map(|byte| !byte))
//!     }
//! }
//!
//! let mut config = Config::default();
//! config.extensions = Extensions::new([Inverted]);
//! let request = ClientRequest::new("ws://example.com/")?;
//! let mut client = Connection::client(&request, config.clone(), Seed::new([7; 16]))?;
//! let mut server = Connection::server(config);
//!
//! let mut head = client.outbound().chunk().to_vec();
//! let Some(Event::Request(request)) = server.receive(&mut &mut head[..])? else { panic!("no request") };
//! let accept = request.accept();
//! server.accept(accept)?; // Says `Sec-WebSocket-Extensions: x-inverted`.
//! # let len = server.queued();
//! # server.outbound().advance(len);
//! server.send_binary(&[0b0000_1111, 7])?;
//! assert_eq!(server.outbound().chunk(), [0x82, 2, 0b1111_0000, !7]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chain;
mod params;

pub use chain::Stages;
pub(crate) use chain::{Decoding, Encoding, Frame, Undecoded};
pub use params::Params;

use crate::arc::Arc;
use crate::message::Kind;
use crate::wire::code::Code;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// What both ends of a connection may agree on beside this protocol (RFC 6455 §9).
pub trait Extension: fmt::Debug + Send + Sync {
    /// The name that it is registered by, a token (§9.1).
    fn name(&self) -> &str;

    /// The reserved bits that it gives a meaning to (§5.2), as in [`Header::rsv`](crate::frame::Header::rsv): [`RSV1`](crate::frame::RSV1),
    /// or the two below it. Of two extensions that claim the same, a connection has but one. By default, none.
    fn bits(&self) -> u8 {
        0
    }

    /// Whether those may be set on every frame of a message. By default, on its first alone, as RFC 7692 §6 has it.
    fn marks_fragments(&self) -> bool {
        false
    }

    /// What a client offers, in order of preference: the parameters of each offer. By default, one without any.
    fn offers(&self) -> Vec<Params> {
        Vec::from([Params::new()])
    }

    /// A server's answer to an offer: the parameters that it answers with, and the stage of this connection. `None` declines it,
    /// and the client's next is tried.
    fn accept(&self, offer: &Params) -> Option<(Params, Stage)>;

    /// The stage of a client's connection, by the server's answer. `None`, where no offer allows that answer, fails the handshake.
    fn agree(&self, answer: &Params) -> Option<Stage>;
}

/// What an extension does to the messages of one connection.
pub struct Stage {
    encode: Box<dyn Encode>,
    decode: Box<dyn Decode>,
}

impl Stage {
    /// A stage of these two ways.
    pub fn new(encode: impl Encode + 'static, decode: impl Decode + 'static) -> Self {
        Self { encode: Box::new(encode), decode: Box::new(decode) }
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

/// The way out: what the application, or the stage before, sends, to what the next sends, or the frame carries.
pub trait Encode: Send + Sync {
    /// Takes the whole payload of a frame that is to be sent, and pushes what it is to carry; gives the reserved bits to be set.
    /// A frame goes out for each, whatever was pushed.
    ///
    /// # Errors
    /// [`Refused`], and so do bits that are not [its own](Extension::bits), and more output than twice the input and 64 KiB: nothing
    /// is sent, and the connection closes, for the peer's stage may no longer fit to this.
    fn encode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<u8, Refused>;
}

/// The way in: what frames carry, or the stage behind has made of it, to what the stage before takes, or the application.
pub trait Decode: Send + Sync {
    /// Takes a part of a message, as it came, and pushes what becomes of it, now or with a later part of the same message.
    ///
    /// # Errors
    /// [`Refused`], and so does more output than [`Limits::message`](crate::Limits::message): the connection fails with
    /// [`ProtocolError::Extension`](crate::ProtocolError::Extension) or [`MessageTooLong`](crate::ProtocolError::MessageTooLong).
    fn decode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<(), Refused>;
}

/// A part of a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The payload, unmasked; it may be empty, even where a frame begins.
    pub bytes: &'a [u8],
    /// Whether the message is text or binary.
    pub kind: Kind,
    /// Of the extension's own reserved bits, those that are set on the frame; none on the way out.
    pub bits: u8,
    /// Whether it begins the message.
    pub first: bool,
    /// Whether it begins a frame; each does on the way out.
    pub frame_start: bool,
    /// Whether it ends a frame; each does on the way out.
    pub frame_end: bool,
    /// Whether it ends the message.
    pub last: bool,
}

/// Where a stage pushes what it makes: bounded, whatever it pushes.
#[derive(Debug)]
pub struct Output<'a> {
    bytes: &'a mut Vec<u8>,
    left: usize,
    /// Something did not fit.
    over: bool,
}

impl Output<'_> {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`Refused`] with 1009 for more than is [left](Self::left), of which nothing is taken. Whoever does not pass that on is
    /// refused all the same.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.take(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends what `bytes` gives.
    ///
    /// # Errors
    /// As [`push`](Self::push); what fits is taken.
    pub fn extend(&mut self, bytes: impl IntoIterator<Item = u8>) -> Result<(), Refused> {
        let (mut bytes, before) = (bytes.into_iter(), self.bytes.len());
        self.bytes.extend(bytes.by_ref().take(self.left));
        self.left -= self.bytes.len() - before;
        bytes.next().map_or(Ok(()), |_| self.take(1))
    }

    /// The bytes that it still takes.
    pub fn left(&self) -> usize {
        self.left
    }

    fn take(&mut self, len: usize) -> Result<(), Refused> {
        match self.left.checked_sub(len) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                // Nothing fits behind what did not.
                (self.over, self.left) = (true, 0);
                Err(Refused::new(Code::TOO_BIG))
            }
        }
    }
}

/// A stage cannot go on; the close frame says so with this code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(Code);

impl Refused {
    /// Refused with this code, such as [`Code::INVALID_PAYLOAD`].
    pub fn new(code: impl Into<Code>) -> Self {
        Self(code.into())
    }

    /// The code.
    pub fn code(self) -> Code {
        self.0
    }
}

/// The extensions that a connection offers or takes, in order.
#[derive(Clone, Debug, Default)]
pub struct Extensions(Option<Arc<Vec<Box<dyn Extension>>>>);

impl Extensions {
    /// None, which is the default.
    pub const NONE: Self = Self(None);

    /// These, in the order in which a server's answer names them.
    pub fn new(extensions: impl IntoIterator<Item: Extension + 'static>) -> Self {
        extensions.into_iter().map(|extension| Box::new(extension) as Box<dyn Extension>).collect()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Extension> {
        self.0.iter().flat_map(|extensions| extensions.iter()).map(|extension| &**extension)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Of more types than one.
impl FromIterator<Box<dyn Extension>> for Extensions {
    fn from_iter<I: IntoIterator<Item = Box<dyn Extension>>>(extensions: I) -> Self {
        let extensions: Vec<_> = extensions.into_iter().collect();
        Self((!extensions.is_empty()).then(|| Arc::new(extensions)))
    }
}

/// Equal if they are the same values.
impl PartialEq for Extensions {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Extensions {}
