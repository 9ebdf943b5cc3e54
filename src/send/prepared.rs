//! Messages framed once for any number of connections.

use crate::message::Kind;
use crate::wire::frame::{Header, OpCode, framed_len};
#[cfg(feature = "deflate")]
use crate::{deflate::Deflate, frame::RSV1};
#[cfg(feature = "deflate")]
use alloc::sync::Arc;
use bytes::Bytes;
#[cfg(feature = "deflate")]
use std::sync::OnceLock;

/// A message framed once, which any number of server connections send by reference; a client masks a copy.
///
/// Cloning it copies no bytes.
///
/// ```
/// use sockless::{Config, Connection, Negotiated, Prepared, Role, Seed};
/// use bytes::Buf;
///
/// const HELLO: Prepared = Prepared::from_static(sockless::text_frame!("hello"));
///
/// let tick = Prepared::text("tick");
/// let mut connection = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
/// connection.send_prepared(&HELLO)?;
/// connection.send_prepared(&tick)?;
/// assert_eq!(connection.outbound().chunk(), b"\x81\x05hello\x81\x04tick");
/// # Ok::<(), sockless::SendError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prepared {
    /// As a server sends it.
    frame: Bytes,
    /// The same compressed, made when it is first sent so; the inner `None` means that it would not get shorter.
    #[cfg(feature = "deflate")]
    deflated: Option<Arc<OnceLock<Option<Bytes>>>>,
}

impl Prepared {
    /// A text message.
    pub fn text(text: &str) -> Self {
        Self::new(Kind::Text, text.as_bytes())
    }

    /// A binary message.
    pub fn binary(bytes: &[u8]) -> Self {
        Self::new(Kind::Binary, bytes)
    }

    fn new(kind: Kind, payload: &[u8]) -> Self {
        Self {
            frame: frame(kind, 0, payload),
            #[cfg(feature = "deflate")]
            deflated: Some(Arc::default()),
        }
    }

    /// A message of [`text_frame!`](crate::text_frame) or [`binary_frame!`](crate::binary_frame), framed at compile time;
    /// it is not sent compressed.
    ///
    /// # Panics
    /// If `frame` is not one whole, unmasked text or binary frame; in a constant, while compiling.
    pub const fn from_static(frame: &'static [u8]) -> Self {
        assert!(frame.len() >= 2, "not a frame");
        let kind = match frame[0] {
            0x81 => Kind::Text,
            0x82 => Kind::Binary,
            _ => panic!("not a whole message"),
        };
        let len = header_len(frame);
        assert!(len <= frame.len() && framed_len(frame.len() - len) == frame.len(), "not one unmasked frame");
        let length = (frame.len() - len) as u64;
        let header = Header { fin: true, rsv: 0, opcode: kind.opcode(), mask: None, length };
        assert!(header.encode().starts(frame), "not one unmasked frame");
        Self {
            frame: Bytes::from_static(frame),
            #[cfg(feature = "deflate")]
            deflated: None,
        }
    }

    /// Whether it is text or binary.
    pub fn kind(&self) -> Kind {
        parts(&self.frame).0
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        parts(&self.frame).2
    }

    pub(crate) fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The compressed form, for every connection whose window has [`Deflate::WINDOW_BITS`] or more.
    #[cfg(feature = "deflate")]
    pub(crate) fn deflated(&self, deflate: &Deflate) -> Option<&Bytes> {
        let make = || {
            let mut deflater = deflate.deflater(Deflate::WINDOW_BITS);
            let payload = self.payload();
            let deflated = deflater.message(payload, false);
            let len = deflated.map_or(payload.len(), <[u8]>::len);
            let frame = deflated.map(|deflated| frame(self.kind(), RSV1, deflated));
            deflate.pool.give_deflater(deflater, payload.len(), len);
            frame
        };
        self.deflated.as_ref()?.get_or_init(make).as_ref()
    }
}

fn frame(kind: Kind, rsv: u8, payload: &[u8]) -> Bytes {
    let header = Header { fin: true, rsv, opcode: kind.opcode(), mask: None, length: payload.len() as u64 };
    [&header.encode(), payload].concat().into()
}

/// What a prepared frame is made of: its kind, its reserved bits and its payload.
pub(crate) fn parts(frame: &[u8]) -> (Kind, u8, &[u8]) {
    let kind = if frame[0] & 0x0F == OpCode::Text as u8 { Kind::Text } else { Kind::Binary };
    (kind, frame[0] >> 4 & 0b111, &frame[header_len(frame)..])
}

/// The bytes of the header of an unmasked frame.
const fn header_len(frame: &[u8]) -> usize {
    match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}
