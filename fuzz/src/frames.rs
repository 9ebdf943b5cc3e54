//! Frames: made from a script in the input, and taken apart again.

use sockless::frame::{Header, MAX_CONTROL, OpCode, RSV1};
use sockless::{Role, close};

/// No stream made from a script is much longer, unless one frame is: that takes time.
const MOST: usize = 4096;

/// A frame that went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    pub rsv: u8,
    pub opcode: OpCode,
    pub payload: Vec<u8>,
}

/// The frames that a connection sent: whole, as its role sends them, and nothing behind a close frame.
pub fn unframe(mut bytes: &[u8], sender: Role) -> Vec<Frame> {
    let mut frames = vec![];
    while !bytes.is_empty() {
        let (header, len) = Header::parse(bytes).expect("a good header").expect("a whole header");
        assert_eq!(header.mask.is_some(), sender == Role::Client, "a client masks its frames, and a server does not");
        let end = len + header.length as usize;
        assert!(end <= bytes.len(), "a whole frame");
        let payload = masked(&bytes[len..end], header.mask);
        frames.push(Frame { fin: header.fin, rsv: header.rsv, opcode: header.opcode, payload });
        bytes = &bytes[end..];
    }
    check(&frames);
    frames
}

/// The rules of RFC 6455 for the frames of one sender.
fn check(frames: &[Frame]) {
    let mut in_message = false;
    for (index, frame) in frames.iter().enumerate() {
        match frame.opcode {
            OpCode::Close => {
                close::parse(&frame.payload).expect("a good close frame");
                assert_eq!(index + 1, frames.len(), "a close frame is the last");
            }
            OpCode::Ping | OpCode::Pong => assert!(frame.payload.len() <= MAX_CONTROL),
            OpCode::Continuation => assert!(in_message, "a message to continue"),
            OpCode::Text | OpCode::Binary => assert!(!in_message, "messages one after the other"),
        }
        if !frame.opcode.is_control() {
            in_message = !frame.fin;
        }
        let first = matches!(frame.opcode, OpCode::Text | OpCode::Binary);
        assert!(frame.rsv == 0 || frame.rsv == RSV1 && first, "the mark of compression is on a message's first frame");
    }
}

/// The frames that a script makes, as the peer of an end with this role sends them.
///
/// For each frame, the script has its first byte, a byte of length, and payload: so many bytes, or for lengths above
/// 125, a short pattern that is repeated. So no header is wrong by its length or its mask.
pub fn script(mut script: &[u8], to: Role) -> Vec<u8> {
    let mut stream = vec![];
    while let [first, length, rest @ ..] = script
        && stream.len() < MOST
    {
        let payload;
        (payload, script) = payload_of(*length, rest);
        let key = (to == Role::Server).then_some([*length, 0x55, *first, 0xAA]);
        push(&mut stream, *first, key, &payload);
    }
    stream
}

/// The payload at the front of a script, and the rest of it.
pub fn payload_of(length: u8, rest: &[u8]) -> (Vec<u8>, &[u8]) {
    if usize::from(length) <= MAX_CONTROL {
        let (payload, rest) = rest.split_at(rest.len().min(length.into()));
        return (payload.to_vec(), rest);
    }
    let (pattern, rest) = rest.split_at(rest.len().min(16));
    let len = if length == u8::MAX { 70_000 } else { usize::from(length) * 5 - 504 };
    let pattern = if pattern.is_empty() { b"x" } else { pattern };
    let mut payload = pattern.repeat(len.div_ceil(pattern.len()));
    payload.truncate(len);
    (payload, rest)
}

/// Appends a frame, whatever its first byte says.
pub fn push(stream: &mut Vec<u8>, first: u8, key: Option<[u8; 4]>, payload: &[u8]) {
    let header = Header { fin: true, rsv: 0, opcode: OpCode::Binary, mask: key, length: payload.len() as u64 };
    stream.push(first);
    stream.extend_from_slice(&header.encode()[1..]);
    stream.extend_from_slice(&masked(payload, key));
}

/// A copy of a payload, masked if there is a key (RFC 6455 section 5.3).
fn masked(payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut payload = payload.to_vec();
    if let Some(key) = key {
        for word in payload.chunks_mut(4) {
            word.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        }
    }
    payload
}
