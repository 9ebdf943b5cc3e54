//! The start of the body of a response that refuses a handshake, for the caller to look at.

use super::head::{Head, take_front};
use alloc::vec::Vec;
use core::time::Duration;

/// No more of a refusing response's body than this is kept: a page of text.
pub const BODY_START: usize = 4096;

/// No longer than this is waited for the rest of it, behind the head: the status is what matters.
pub const BODY_TIME: Duration = Duration::from_secs(1);

/// Collects the start of a body; which bytes those are does not depend on how they are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    framing: Framing,
}

/// How the body's end is told (RFC 9112 §6.3), with what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// This many bytes.
    Length(u64),
    /// Chunks (RFC 9112 §7.1): in the digits of a chunk's size.
    Size(u64),
    /// In the rest of that line.
    SizeLine(u64),
    /// In a chunk's data.
    Data(u64),
    /// In the line end after the data.
    DataEnd,
    /// Everything until the transport ends.
    Eof,
}

impl Body {
    pub(super) fn new(status: u16, head: &Head<'_>) -> Self {
        let framing = if matches!(status, 204 | 304) {
            Framing::Length(0)
        } else if head.field("transfer-encoding").is_some() {
            let chunked = head.tokens("transfer-encoding").last();
            let chunked = chunked.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
            if chunked { Framing::Size(0) } else { Framing::Eof }
        } else {
            // Whoever sends a length that is none is read until the end: nothing but this text depends on it.
            let length = head.text("content-length").and_then(|length| length.parse().ok());
            length.map_or(Framing::Eof, Framing::Length)
        };
        Self { bytes: Vec::new(), framing }
    }

    /// Whether its end has come; never, where only the transport's end tells it, which may have come too early.
    pub(super) fn is_whole(&self) -> bool {
        self.framing == Framing::Length(0)
    }

    /// Takes what belongs to the body's start; whether all of it is there.
    pub(super) fn receive(&mut self, input: &mut &mut [u8]) -> bool {
        loop {
            let room = BODY_START - self.bytes.len();
            if room == 0 || self.is_whole() {
                return true;
            }
            let Some(first) = input.first().copied() else { return false };
            let take = match self.framing {
                Framing::Length(left) | Framing::Data(left) => {
                    usize::try_from(left).unwrap_or(usize::MAX).min(room).min(input.len())
                }
                Framing::Eof => room.min(input.len()),
                Framing::Size(_) | Framing::SizeLine(_) | Framing::DataEnd => 1,
            };
            let taken = take_front(input, take);
            self.framing = match self.framing {
                Framing::Length(left) => {
                    self.bytes.extend_from_slice(taken);
                    Framing::Length(left - take as u64)
                }
                Framing::Data(left) => {
                    self.bytes.extend_from_slice(taken);
                    if left == take as u64 { Framing::DataEnd } else { Framing::Data(left - take as u64) }
                }
                Framing::Eof => {
                    self.bytes.extend_from_slice(taken);
                    Framing::Eof
                }
                Framing::Size(size) if first.is_ascii_hexdigit() => {
                    let digit = char::from(first).to_digit(16).map_or(0, u64::from);
                    Framing::Size(size.saturating_mul(16).saturating_add(digit))
                }
                Framing::Size(size) | Framing::SizeLine(size) => match (first, size) {
                    (b'\n', 0) => Framing::Length(0),
                    (b'\n', size) => Framing::Data(size),
                    _ => Framing::SizeLine(size),
                },
                Framing::DataEnd if first == b'\n' => Framing::Size(0),
                Framing::DataEnd => Framing::DataEnd,
            };
        }
    }
}
