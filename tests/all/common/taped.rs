//! What a server's connection that fails by a bad frame leaves, for the adapters' tests.

use super::sockless::testing::tape::{Call, Tape};
use super::sockless::{ProtocolError, Role, Tapes};
use std::sync::mpsc::{Receiver, channel};

pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A message, and a frame with an opcode that is reserved.
pub(crate) const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";
pub(crate) const BAD: &[u8] = b"\x83\x80\0\0\0\0";

/// Tapes, and where they are told.
pub(crate) fn tapes() -> (Tapes, Receiver<(Tape, ProtocolError)>) {
    let (tell, told) = channel();
    (Tapes::new(64 << 10, move |tape, error| tell.send((tape, error)).unwrap()), told)
}

/// What a bad frame led to: a tape that is read from its bytes, replays, and ends with the frame.
pub(crate) fn check(tape: &Tape, error: ProtocolError) {
    assert_eq!(error, ProtocolError::ReservedOpcode(3));
    assert_eq!(Tape::from_bytes(&tape.to_bytes()).as_ref(), Ok(tape));
    assert_eq!(tape.replay(), Ok(()));
    let last = tape.steps.last().unwrap();
    assert!(matches!(last.call, Call::Receive(_)), "{last:?}");
    assert_eq!(last.gave, "error ReservedOpcode(3)");
    assert!(tape.steps.iter().any(|step| step.gave == "text \"hello\""));
    let from = |from| tape.wire().filter(move |(_, who, _)| *who == from).flat_map(|(.., bytes)| bytes).copied();
    assert!(from(Role::Client).collect::<Vec<_>>().ends_with(&[HELLO, BAD].concat()));
    assert!(from(Role::Server).collect::<Vec<_>>().ends_with(b"\r\n\r\n\x81\x05hello"));
}
