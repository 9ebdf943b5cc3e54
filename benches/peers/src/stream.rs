//! What the contestants are given: payloads, and streams of frames.

use bytes::Bytes;
use sockless::frame::{Header, OpCode};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What a message holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Binary,
    Ascii,
    /// Text in which one character of three is not ASCII.
    Text,
}

impl Content {
    pub(crate) const ALL: [Self; 3] = [Self::Binary, Self::Ascii, Self::Text];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Ascii => "ASCII",
            Self::Text => "non-ASCII",
        }
    }

    pub(crate) fn opcode(self) -> OpCode {
        if self == Self::Binary { OpCode::Binary } else { OpCode::Text }
    }

    /// A payload of exactly `size` bytes.
    pub(crate) fn payload(self, size: usize) -> Bytes {
        let letters = match self {
            Self::Text => "Stra\u{df}e, \u{43c}\u{438}\u{440}, \u{4e16}\u{754c}. ",
            _ => "The quick brown fox. ",
        };
        let mut text = letters.repeat(size / letters.len() + 1);
        text.truncate((0..=size).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default());
        text.push_str(&"x".repeat(size - text.len()));
        text.into()
    }
}

/// A masked frame, as a client sends it.
pub(crate) fn frame(fin: bool, rsv: u8, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let header = Header { fin, rsv, opcode, mask: Some(KEY), length: payload.len() as u64 };
    let mut frame = header.encode().to_vec();
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A message in fragments of `size` bytes.
pub(crate) fn fragments(opcode: OpCode, payload: &[u8], size: usize) -> Vec<u8> {
    let count = payload.len().div_ceil(size);
    let parts = payload.chunks(size).enumerate();
    let opcode = |i| if i == 0 { opcode } else { OpCode::Continuation };
    parts.flat_map(|(i, part)| frame(i + 1 == count, 0, opcode(i), part)).collect()
}

/// How many messages of `size` bytes make a stream that a cache holds and a few reads take.
pub(crate) fn count(size: usize) -> usize {
    ((256 << 10) / (size + 8)).max(1)
}

/// The messages in `bytes`, by the letter of RFC 6455; all of them are masked, or none is.
pub(crate) fn messages(mut bytes: &[u8], masked: bool) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((header, len)) = Header::parse(bytes).expect("a frame") {
        assert!(header.fin && header.mask.is_some() == masked, "{header:?}");
        let (payload, rest) = bytes[len..].split_at(header.length as usize);
        let key = header.mask.unwrap_or_default();
        messages.push(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect());
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame was written");
    messages
}

/// Documents as an API sends them: alike, but no two the same.
pub(crate) fn documents(count: usize, size: usize) -> Vec<Bytes> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let words = ["price", "volume", "order", "limit", "market", "spread", "filled", "open", "trader", "depth"];
    let mut document = move || {
        let mut text = String::from("[");
        while text.len() < size {
            let (id, word, other) = (random(1 << 32), words[random(10) as usize], words[random(10) as usize]);
            let (whole, part, ok) = (random(100_000), random(100), random(2) == 0);
            text += &format!(
                r#"{{"id":{id},"kind":"{word}","note":"{other} {word}","value":{whole}.{part:02},"final":{ok}}},"#
            );
        }
        text.truncate(size - 1);
        Bytes::from(text + "]")
    };
    (0..count).map(|_| document()).collect()
}
