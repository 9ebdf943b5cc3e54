//! Frame headers (RFC 6455 §5.2): bytes to a [`Header`] and back, and whole frames made at compile time.

use crate::wire::error::ProtocolError;
use crate::wire::xor::put;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

/// The most bytes a header has: two, eight of length, four of masking key.
pub const MAX_HEADER: usize = 14;

/// The most bytes the payload of a control frame has (RFC 6455 §5.5).
pub const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// The bit of [`Header::rsv`] that marks a compressed message (RFC 7692 §6).
pub const RSV1: u8 = 0b100;

/// What a frame carries (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OpCode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// A question whether the peer is there.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life.
    Pong = 0xA,
}

impl OpCode {
    /// The opcode of the low four bits of a frame's first byte.
    ///
    /// # Errors
    /// [`ReservedOpcode`](ProtocolError::ReservedOpcode).
    #[inline]
    pub const fn from_bits(bits: u8) -> Result<Self, ProtocolError> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return Err(ProtocolError::ReservedOpcode(bits)),
        })
    }

    /// Whether frames with it are control frames (RFC 6455 §5.5).
    #[inline]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// A frame header (RFC 6455 §5.2).
///
/// ```
/// use sockless::frame::{Header, OpCode};
///
/// let (header, len) = Header::parse(b"\x81\x05Hello")?.expect("a whole header");
/// assert_eq!(len, 2);
/// assert_eq!(header, Header { fin: true, rsv: 0, opcode: OpCode::Text, mask: None, length: 5 });
/// assert_eq!(&header.encode()[..], b"\x81\x05");
/// # Ok::<(), sockless::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the last, or only, frame of its message.
    pub fin: bool,
    /// The three reserved bits, RSV1 as the highest.
    pub rsv: u8,
    /// What the frame carries.
    pub opcode: OpCode,
    /// The masking key, in a client's frame.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub length: u64,
}

impl Header {
    /// Reads the header at the front of `bytes`: it and its own length in bytes, or `None` while bytes are missing.
    ///
    /// Roles and extensions are not known here, so a mask and reserved bits pass.
    ///
    /// # Errors
    /// [`ReservedOpcode`](ProtocolError::ReservedOpcode), [`FragmentedControl`](ProtocolError::FragmentedControl),
    /// [`LongControl`](ProtocolError::LongControl), [`NonMinimalLength`](ProtocolError::NonMinimalLength) or
    /// [`LengthTopBit`](ProtocolError::LengthTopBit).
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((start, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        Start::parse(*start)?.finish(rest)
    }

    /// The bytes of a masked one with a payload of at most 125 bytes.
    #[inline(always)]
    pub(crate) fn encode_short(&self, length: usize, [a, b, c, d]: [u8; 4]) -> [u8; 6] {
        [self.first(), MASKED | length as u8, a, b, c, d]
    }

    #[inline(always)]
    const fn first(&self) -> u8 {
        (self.fin as u8) << 7 | self.rsv << 4 | self.opcode as u8
    }

    /// The header's bytes, with the length in its shortest form.
    #[inline(always)]
    pub const fn encode(&self) -> HeaderBytes {
        let first = self.first();
        let (second, extended, mut len) = match self.length {
            0..126 => (self.length as u8, 0, 2),
            126..=0xFFFF => (LENGTH_16, (self.length as u16).swap_bytes() as u64, 4),
            _ => (LENGTH_64, self.length.swap_bytes(), 10),
        };
        // As one number they stay in registers, the first byte lowest.
        let mut bytes = first as u128 | (second as u128) << 8 | (extended as u128) << 16;
        if let Some(key) = self.mask {
            bytes |= (MASKED as u128) << 8 | (u32::from_le_bytes(key) as u128) << (8 * len);
            len += 4;
        }
        let [bytes @ .., _, _] = bytes.to_le_bytes();
        HeaderBytes { bytes, len }
    }
}

/// Whether `input` begins with a whole frame, or with what its first bytes take for one; a frame of 64 KiB or more, or one
/// that ends the input without a masking key, may be whole without it.
#[inline(always)]
pub(crate) fn is_whole(input: &[u8]) -> bool {
    let whole = match input {
        [_, second, high, low, ..] => match second & !MASKED {
            LENGTH_64 => return false,
            LENGTH_16 => 8 + usize::from(u16::from_be_bytes([*high, *low])),
            short => 6 + usize::from(short),
        },
        _ => return input.is_empty(),
    };
    input.len() >= whole
}

/// The first two bytes of a header: all that most rules are about, so that a peer which breaks one is told at once.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) fin: bool,
    pub(crate) rsv: u8,
    pub(crate) opcode: OpCode,
    second: u8,
}

impl Start {
    #[inline]
    pub(crate) fn parse([first, second]: [u8; 2]) -> Result<Self, ProtocolError> {
        let opcode = OpCode::from_bits(first & 0x0F)?;
        let fin = first & FIN != 0;
        if opcode.is_control() {
            if !fin {
                return Err(ProtocolError::FragmentedControl);
            }
            if second & !MASKED >= LENGTH_16 {
                return Err(ProtocolError::LongControl);
            }
        }
        Ok(Self { fin, rsv: first >> 4 & 0b111, opcode, second })
    }

    #[inline]
    pub(crate) fn is_masked(&self) -> bool {
        self.second & MASKED != 0
    }

    /// How many bytes a header with this `second` byte has.
    pub(crate) const fn header_len(second: u8) -> usize {
        let extended = match second & !MASKED {
            LENGTH_16 => 2,
            LENGTH_64 => 8,
            _ => 0,
        };
        2 + extended + if second & MASKED != 0 { 4 } else { 0 }
    }

    /// The header, of whose bytes the `rest` follows, and its own length; `None` while bytes are missing.
    #[inline]
    pub(crate) fn finish(self, rest: &[u8]) -> Result<Option<(Header, usize)>, ProtocolError> {
        let Self { fin, rsv, opcode, second, .. } = self;
        let extent = Extent::parse(second, rest)?;
        Ok(extent.map(|Extent { mask, length, header }| (Header { fin, rsv, opcode, mask, length }, header)))
    }
}

/// What a header says behind its first byte.
pub(crate) struct Extent {
    /// The masking key, in a client's frame.
    pub(crate) mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub(crate) length: u64,
    /// Bytes of the header.
    pub(crate) header: usize,
}

impl Extent {
    /// Reads it off a header's `second` byte and the `rest`; `None` while bytes are missing.
    #[inline]
    pub(crate) fn parse(second: u8, rest: &[u8]) -> Result<Option<Self>, ProtocolError> {
        let of = |length: u64, extended: usize| {
            if second & MASKED == 0 {
                return Some(Self { mask: None, length, header: 2 + extended });
            }
            let key = *rest[extended..].first_chunk()?;
            Some(Self { mask: Some(key), length, header: 2 + extended + key.len() })
        };
        // A rule of the length is told of when the header is whole.
        match second & !MASKED {
            LENGTH_16 => {
                let Some(bytes) = rest.first_chunk() else { return Ok(None) };
                match of(u16::from_be_bytes(*bytes).into(), 2) {
                    Some(Self { length: 0..126, .. }) => Err(ProtocolError::NonMinimalLength),
                    extent => Ok(extent),
                }
            }
            LENGTH_64 => {
                let Some(bytes) = rest.first_chunk() else { return Ok(None) };
                match of(u64::from_be_bytes(*bytes), 8) {
                    Some(Self { length: 0..=0xFFFF, .. }) => Err(ProtocolError::NonMinimalLength),
                    Some(Self { length, .. }) if length >> 63 != 0 => Err(ProtocolError::LengthTopBit),
                    extent => Ok(extent),
                }
            }
            short => Ok(of(short.into(), 0)),
        }
    }
}

/// The bytes of a header: two to fourteen.
#[derive(Clone, Copy)]
pub struct HeaderBytes {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl HeaderBytes {
    /// No header.
    pub(crate) const NONE: Self = Self { bytes: [0; MAX_HEADER], len: 0 };

    /// Appends them, where there is room for [`MAX_HEADER`].
    #[inline(always)]
    pub(crate) fn append(&self, to: &mut Vec<u8>) {
        let end = to.len() + usize::from(self.len);
        put(to, &self.bytes);
        to.truncate(end);
    }

    /// Whether `frame` starts with this header.
    pub(crate) const fn starts(&self, frame: &[u8]) -> bool {
        let mut i = 0;
        while i < self.len as usize {
            if i == frame.len() || frame[i] != self.bytes[i] {
                return false;
            }
            i += 1;
        }
        true
    }
}

impl Deref for HeaderBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The length in bytes of a server's frame with `payload` bytes of payload.
pub const fn framed_len(payload: usize) -> usize {
    payload
        + match payload {
            0..126 => 2,
            126..=0xFFFF => 4,
            _ => 10,
        }
}

/// A whole server's frame, made at compile time; [`text_frame!`](crate::text_frame) and
/// [`binary_frame!`](crate::binary_frame) know `N`.
///
/// # Panics
/// While compiling, if `N` is not [`framed_len`] of the payload, or a control frame's payload is too long.
pub const fn framed<const N: usize>(opcode: OpCode, payload: &[u8]) -> [u8; N] {
    assert!(N == framed_len(payload.len()), "N is not the length of the frame");
    assert!(!opcode.is_control() || payload.len() <= MAX_CONTROL, "control frame too long");
    let header = Header { fin: true, rsv: 0, opcode, mask: None, length: payload.len() as u64 }.encode();
    let mut frame = [0; N];
    let mut i = 0;
    while i < N {
        let start = header.len as usize;
        frame[i] = if i < start { header.bytes[i] } else { payload[i - start] };
        i += 1;
    }
    frame
}

/// A text message framed at compile time, as a `&'static [u8]` for a server to send.
///
/// ```
/// const HELLO: &[u8] = sockless::text_frame!("Hello");
/// assert_eq!(HELLO, b"\x81\x05Hello");
/// ```
#[macro_export]
macro_rules! text_frame {
    ($text:expr) => {{
        const TEXT: &str = $text;
        const FRAME: [u8; $crate::frame::framed_len(TEXT.len())] =
            $crate::frame::framed($crate::frame::OpCode::Text, TEXT.as_bytes());
        &FRAME as &'static [u8]
    }};
}

/// A binary message framed at compile time, as a `&'static [u8]` for a server to send.
///
/// ```
/// const MOVE: &[u8] = sockless::binary_frame!(&[1, 2, 3]);
/// assert_eq!(MOVE, b"\x82\x03\x01\x02\x03");
/// ```
#[macro_export]
macro_rules! binary_frame {
    ($bytes:expr) => {{
        const BYTES: &[u8] = $bytes;
        const FRAME: [u8; $crate::frame::framed_len(BYTES.len())] =
            $crate::frame::framed($crate::frame::OpCode::Binary, BYTES);
        &FRAME as &'static [u8]
    }};
}

/// The payload of a control frame: at most [`MAX_CONTROL`] bytes, held in place.
#[derive(Clone, Copy)]
pub struct ControlPayload {
    bytes: [u8; MAX_CONTROL],
    len: u8,
}

impl ControlPayload {
    /// A copy of `payload`; `None` if it is too long.
    pub fn new(payload: &[u8]) -> Option<Self> {
        Self::concat(payload, &[])
    }

    /// A copy of both parts, one after the other; `None` if they are too long.
    pub(crate) fn concat(first: &[u8], second: &[u8]) -> Option<Self> {
        let mut control = Self::default();
        control.push(first)?;
        control.push(second)?;
        Some(control)
    }

    /// Appends `bytes`; `None`, and nothing happens, if they don't fit.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let len = usize::from(self.len);
        self.bytes.get_mut(len..len + bytes.len())?.copy_from_slice(bytes);
        self.len += bytes.len() as u8;
        Some(())
    }
}

impl Default for ControlPayload {
    fn default() -> Self {
        Self { bytes: [0; MAX_CONTROL], len: 0 }
    }
}

impl Deref for ControlPayload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl PartialEq for ControlPayload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ControlPayload {}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn header(opcode: OpCode, length: u64) -> Header {
        Header { fin: true, rsv: 0, opcode, mask: None, length }
    }

    /// The examples of RFC 6455 §5.7: the bytes before the payload, and what they say.
    fn samples() -> [(&'static [u8], Header); 8] {
        let key = Some([0x37, 0xfa, 0x21, 0x3d]);
        [
            (b"\x81\x05", header(OpCode::Text, 5)),
            (b"\x81\x85\x37\xfa\x21\x3d", Header { mask: key, ..header(OpCode::Text, 5) }),
            (b"\x01\x03", Header { fin: false, ..header(OpCode::Text, 3) }),
            (b"\x80\x02", header(OpCode::Continuation, 2)),
            (b"\x89\x05", header(OpCode::Ping, 5)),
            (b"\x8a\x85\x37\xfa\x21\x3d", Header { mask: key, ..header(OpCode::Pong, 5) }),
            (b"\x82\x7e\x01\x00", header(OpCode::Binary, 256)),
            (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", header(OpCode::Binary, 65536)),
        ]
    }

    #[test]
    fn samples_of_the_rfc() {
        for (bytes, header) in samples() {
            assert_eq!(Header::parse(bytes), Ok(Some((header, bytes.len()))));
            assert_eq!(&header.encode()[..], bytes);
            for len in 0..bytes.len() {
                assert_eq!(Header::parse(&bytes[..len]), Ok(None), "{len} bytes of {bytes:?}");
            }
        }
    }

    #[test]
    fn every_length_form_at_its_edges() {
        for (length, len) in [(0, 2), (125, 2), (126, 4), (0xFFFF, 4), (0x1_0000, 10), (u64::MAX >> 1, 10)] {
            let header = header(OpCode::Binary, length);
            let bytes = header.encode();
            assert_eq!(bytes.len(), len);
            assert_eq!(Header::parse(&bytes), Ok(Some((header, len))));
        }
    }

    #[test]
    fn what_a_header_must_not_say() {
        use ProtocolError::*;
        let cases: [(&[u8], ProtocolError); 9] = [
            (b"\x83\x00", ReservedOpcode(3)),
            (b"\x8f\x00", ReservedOpcode(15)),
            (b"\x09\x00", FragmentedControl),
            (b"\x89\x7e\x00\x7e", LongControl),
            (b"\x88\x7f\x00\x00\x00\x00\x00\x01\x00\x00", LongControl),
            (b"\x82\x7e\x00\x7d", NonMinimalLength),
            (b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", NonMinimalLength),
            (b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", LengthTopBit),
            (b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", LengthTopBit),
        ];
        for (bytes, error) in cases {
            assert_eq!(Header::parse(bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn all_first_bytes() {
        for first in 0..=u8::MAX {
            let opcode = first & 0x0f;
            let expected = match (opcode, first & FIN) {
                (3..=7 | 11..=15, _) => Err(ProtocolError::ReservedOpcode(opcode)),
                (8..=10, 0) => Err(ProtocolError::FragmentedControl),
                _ => Ok(first),
            };
            let parsed = Header::parse(&[first, 0]).map(|header| header.expect("both bytes").0.encode()[0]);
            assert_eq!(parsed, expected);
        }
    }

    #[test]
    fn frames_at_compile_time() {
        const LONG: &[u8] = crate::binary_frame!(&[7; 300]);
        let mut expected = vec![0x82, 126, 1, 44];
        expected.extend([7; 300]);
        assert_eq!(LONG, expected);
        assert_eq!(crate::text_frame!(""), b"\x81\x00");
    }

    #[test]
    fn control_payloads() {
        let mut payload = ControlPayload::new(&[1; 124]).unwrap();
        assert_eq!(payload.push(&[2; 2]), None);
        assert_eq!(payload[..], [1; 124]);
        assert_eq!(payload.push(&[2]), Some(()));
        assert_eq!(payload.len(), 125);
        assert_eq!(ControlPayload::new(&[0; 126]), None);
    }

    #[test]
    fn a_control_payload_is_shown_as_bytes() {
        let payload = ControlPayload::new(b"\xffbye\"").expect("it is short");
        assert_eq!(alloc::format!("{payload:?}"), r#"b"\xffbye\"""#);
    }

    #[test]
    fn a_frame_is_whole_as_far_as_its_first_bytes_tell() {
        let frame = |header: &[u8], payload| [header, &vec![0; payload]].concat();
        for (header, len) in [(&b"\x81\x03"[..], 9), (b"\x81\x83", 9), (b"\x82\x7d", 131), (b"\x82\xfe\x01\x02", 266)] {
            let whole = frame(header, len - header.len());
            assert!(is_whole(&whole), "{header:?}");
            assert!(is_whole(&[&whole[..], b"\x81"].concat()), "{header:?} and more");
            assert!(!is_whole(&whole[..len - 1]), "{header:?}");
        }
        assert!(!is_whole(&frame(b"\x82\xff\0\0\0\0\0\0\0\x01", 100)), "what takes more to tell is left to others");
        assert_eq!([&b""[..], b"\x81", b"\x81\0", b"\x81\0\0"].map(is_whole), [true, false, false, false]);
    }

    #[test]
    fn a_header_is_as_long_as_its_second_byte_says() {
        for (second, len) in [(0, 2), (125, 2), (126, 4), (127, 10), (0x80, 6), (0xFD, 6), (0xFE, 8), (0xFF, 14)] {
            assert_eq!(Start::header_len(second), len, "{second:#x}");
        }
    }

    #[test]
    fn headers_of_every_form_are_parsed_as_they_were_encoded() {
        for fin_rsv in 0..16 {
            for mask in [None, Some([1, 2, 3, 0x84])] {
                for length in [0, 1, 125, 126, 0x1234, 0xFFFF, 0x1_0000, 0x0123_4567_89AB_CDEF] {
                    let (fin, rsv) = (fin_rsv & 1 == 1, fin_rsv >> 1);
                    let header = Header { fin, rsv, opcode: OpCode::Binary, mask, length };
                    let bytes = header.encode();
                    assert_eq!(Header::parse(&bytes), Ok(Some((header, bytes.len()))));
                    assert_eq!(bytes.len(), Start::header_len(bytes[1]));

                    let mut appended = Vec::with_capacity(1 + MAX_HEADER);
                    appended.push(7);
                    bytes.append(&mut appended);
                    assert_eq!(appended, [&[7], &*bytes].concat());
                    if let (Some(key), 0..126) = (mask, length) {
                        assert_eq!(header.encode_short(length as usize, key), *bytes);
                    }
                }
            }
        }
    }

    #[test]
    fn a_frame_starts_with_its_header_and_no_other() {
        let bytes = header(OpCode::Text, 1000).encode();
        let frame = [&*bytes, b"payload"].concat();
        assert!(bytes.starts(&frame) && bytes.starts(&bytes) && HeaderBytes::NONE.starts(&[]));
        assert!(!header(OpCode::Binary, 1000).encode().starts(&frame));
        assert!(!header(OpCode::Text, 1001).encode().starts(&frame), "its last byte");
        assert!(!bytes.starts(&bytes[..3]), "cut off");
        assert!(!bytes.starts(&[]));
    }

    #[test]
    fn what_is_framed_while_compiling_has_its_payload_behind_its_header() {
        const FRAME: [u8; 7] = framed(OpCode::Text, b"Hello");
        assert_eq!(FRAME, *b"\x81\x05Hello");
    }

    #[test]
    fn control_payloads_are_equal_by_their_bytes() {
        let payload = |bytes| ControlPayload::new(bytes).unwrap();
        assert!(payload(b"one") == payload(b"one"));
        assert!(payload(b"one") != payload(b"two") && payload(b"one") != payload(b"one "));
    }
}
