//! Messages framed once for any number of connections.

use crate::event::Kind;
use crate::frame::{Header, framed_len};
use crate::outbox::append_frame;
use alloc::vec::Vec;
use bytes::Bytes;

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
    kind: Kind,
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
        let header = Header { fin: true, rsv: 0, opcode: kind.opcode(), mask: None, length: payload.len() as u64 };
        let mut frame = Vec::with_capacity(framed_len(payload.len()));
        append_frame(&mut frame, header, payload);
        Self { frame: frame.into(), kind }
    }

    /// A message of [`text_frame!`](crate::text_frame) or [`binary_frame!`](crate::binary_frame), framed at compile time.
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
        Self { frame: Bytes::from_static(frame), kind }
    }

    /// Whether it is text or binary.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.frame[header_len(&self.frame)..]
    }

    pub(crate) fn frame(&self) -> &Bytes {
        &self.frame
    }
}

/// The bytes of the header of an unmasked frame.
const fn header_len(frame: &[u8]) -> usize {
    match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}
