//! What a connection gave, as a line that two runs can be compared by and a person can read.

use crate::event::Event;
use crate::message::{Message, Piece};
use crate::wire::error::{ProtocolError, SendError};
use alloc::{format, string::String};
use siphasher::sip::SipHasher13;

/// So many bytes are shown as they are.
const SHOWN: usize = 40;

/// What a call gave that did not return.
pub(super) const PANIC: &str = "panic";

/// Bytes under a name: whole if they are few, and else their beginning and a digest.
pub(super) fn named(name: &str, bytes: &[u8]) -> String {
    match bytes.get(..SHOWN) {
        None => format!("{name} \"{}\"", bytes.escape_ascii()),
        Some(start) => {
            let digest = SipHasher13::new().hash(bytes);
            format!("{name} \"{}...\" ({} bytes, {digest:016x})", start.escape_ascii(), bytes.len())
        }
    }
}

/// What a call that receives gave; nothing is the empty line.
pub(super) fn received(result: &Result<Option<Event<'_>>, ProtocolError>) -> String {
    match result {
        Ok(None) => String::new(),
        Ok(Some(event)) => happened(event),
        Err(error) => format!("error {error:?}"),
    }
}

/// What a call that sends gave.
pub(super) fn sent(result: Result<(), SendError>) -> String {
    result.map_or_else(|error| format!("refused {error:?}"), |()| String::new())
}

fn happened(event: &Event<'_>) -> String {
    match event {
        Event::Text(text) => named("text", text.as_bytes()),
        Event::Binary(bytes) => named("binary", bytes),
        Event::Unchecked(bytes) => named("unchecked", bytes),
        Event::Piece(Piece { data, first, frame_end, last }) => {
            let kind = if let Message::Binary(_) = data { "binary" } else { "text" };
            named(&format!("piece of {kind}, {first} {frame_end} {last},"), data.as_bytes())
        }
        Event::Ping(payload) => named("ping", payload),
        Event::Pong(payload) => named("pong", payload),
        Event::Close(close) => format!("close {} {:?}", u16::from(close.code), close.reason),
        Event::Request(request) => named("request", request.as_bytes()),
        Event::Open(response) => named("open", response.as_bytes()),
        Event::Rejected(response) => {
            format!("{} {}", named("rejected", response.as_bytes()), named("with", response.body()))
        }
    }
}
