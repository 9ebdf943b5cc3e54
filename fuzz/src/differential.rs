//! Our receiver beside tungstenite's, on the same frames.

use crate::feed::{By, Cuts, Feeder};
use crate::frames;
use crate::settings::SEED;
use arbitrary::Arbitrary;
use sockless::{Config, Connection, Event, Limits, Negotiated, ProtocolError, Role};
use std::io::{self, Read, Write};
use tungstenite::error::{CapacityError, Error, ProtocolError as TheirError};
use tungstenite::protocol::{Role as TheirRole, WebSocket, WebSocketConfig};

/// Limits that both have, and what the peer sends.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    message: u16,
    frame: u16,
    /// Bits: the bytes are a script of frames; the role; masks are optional.
    ways: u8,
    ours: Cuts,
    theirs: Cuts,
    bytes: &'a [u8],
}

/// What a receiver made of the frames: its messages, and how they ended.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    messages: Vec<Message>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum Message {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The bytes ended before the connection did.
    Eof,
    Close(u16, String),
    Fault(Fault),
}

/// What is wrong with a frame, in the order in which we look at it: from its first byte to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Opcode,
    FragmentedControl,
    LongControl,
    Mask,
    ReservedBits,
    Fragmentation,
    /// A length that is not in its shortest form, or has its top bit set.
    Length,
    TooLong,
    ShortClose,
    CloseCode,
    Utf8,
}

/// What tungstenite says of a close code that must not be on the wire.
const REPLACED: (u16, &str) = (1002, "Protocol violation");

/// Both receivers make the same of the same frames, but for what is [`explained`].
pub fn check(input: &Input<'_>) {
    let role = if input.ways & 2 == 0 { Role::Server } else { Role::Client };
    let scripted = input.ways & 1 != 0;
    let stream = if scripted { frames::script(input.bytes, role) } else { input.bytes.to_vec() };
    let (ours, theirs) = (ours(input, role, &stream), theirs(input, role, &stream));
    assert!(
        ours == theirs || explained(input, &ours, &theirs).is_some(),
        "ours: {ours:?}\ntheirs: {theirs:?}\nof: {stream:02x?}"
    );
}

/// The rule that makes a difference, if one does.
fn explained(input: &Input<'_>, ours: &Outcome, theirs: &Outcome) -> Option<&'static str> {
    let same = ours.messages == theirs.messages;
    match (&ours.end, &theirs.end) {
        (End::Fault(Fault::Length), _) if theirs.messages.starts_with(&ours.messages) => Some(
            "RFC 6455 5.2: the minimal number of bytes MUST be used, and the top bit MUST be 0; they take any form",
        ),
        (End::Fault(Fault::LongControl), _) if theirs.messages.starts_with(&ours.messages) => Some(
            "RFC 6455 5.2 and 5.5: a control frame in a long form is too long or not minimal; they take short ones",
        ),
        (End::Fault(_), End::Eof) if same => {
            Some("RFC 6455 7.1.7: we fail at the byte that is wrong; they want the whole frame first")
        }
        (End::Fault(Fault::CloseCode), End::Close(code, reason)) if same && (*code, &**reason) == REPLACED => {
            Some("RFC 6455 7.4.2: a code that must not be used is a fault; they replace it by their own answer")
        }
        (End::Close(1014, _), End::Close(code, reason)) if same && (*code, &**reason) == REPLACED => {
            Some("IANA: 1014 is registered; they replace it as they do what must not be used")
        }
        (End::Fault(ours), End::Fault(theirs)) if same && ours < theirs => {
            Some("a frame with two faults: we tell the first on the wire")
        }
        (_, End::Fault(Fault::TooLong)) if control_above_limit(input, ours, theirs) => {
            Some("RFC 6455 5.5: control frames have a bound of their own; their limit for frames counts them")
        }
        _ => None,
    }
}

/// Whether we went on with a control frame above the limit for frames, where they stopped.
fn control_above_limit(input: &Input<'_>, ours: &Outcome, theirs: &Outcome) -> bool {
    let limit = usize::from(input.frame);
    if !ours.messages.starts_with(&theirs.messages) {
        return false;
    }
    match (ours.messages.get(theirs.messages.len()), &ours.end) {
        (Some(Message::Ping(payload) | Message::Pong(payload)), _) => payload.len() > limit,
        (Some(_), _) => false,
        (None, End::Close(_, reason)) => reason.len() + 2 > limit,
        // A control frame with another fault, which they did not get to, or that did not come whole.
        (None, End::Fault(fault)) => limit < 2 || *fault < Fault::TooLong || *fault >= Fault::ShortClose,
        (None, End::Eof) => limit < 125,
    }
}

fn ours(input: &Input<'_>, role: Role, stream: &[u8]) -> Outcome {
    let limits =
        Limits { message: input.message.into(), frame: input.frame.into(), fragments: u32::MAX, ..Limits::default() };
    let config = Config { limits, require_masks: input.ways & 4 == 0, ..Config::default() };
    let mut connection = Connection::open(role, Negotiated::default(), config, SEED);
    let mut feeder = Feeder::new(&mut connection, By::Receive);
    feeder.feed(stream, input.ours, |_, _| {});
    feeder.eof();
    let mut end = feeder.said.error.map(our_end);
    let mut messages = vec![];
    for event in feeder.said.events {
        match event {
            Event::Text(text) => messages.push(Message::Text(text.into_owned())),
            Event::Binary(bytes) => messages.push(Message::Binary(bytes.into_owned())),
            Event::Ping(payload) => messages.push(Message::Ping(payload.into_owned())),
            Event::Pong(payload) => messages.push(Message::Pong(payload.into_owned())),
            Event::Close(close) => end = Some(End::Close(close.code.into(), close.reason.into_owned())),
            event => panic!("{event:?} after the handshake"),
        }
    }
    Outcome { messages, end: end.expect("the end of the bytes is an error, if nothing else is") }
}

fn our_end(error: ProtocolError) -> End {
    End::Fault(match error {
        ProtocolError::UnexpectedEof => return End::Eof,
        ProtocolError::ReservedOpcode(_) => Fault::Opcode,
        ProtocolError::FragmentedControl => Fault::FragmentedControl,
        ProtocolError::LongControl => Fault::LongControl,
        ProtocolError::NonMinimalLength | ProtocolError::LengthTopBit => Fault::Length,
        ProtocolError::Unmasked | ProtocolError::Masked => Fault::Mask,
        ProtocolError::ReservedBits(_) => Fault::ReservedBits,
        ProtocolError::UnexpectedContinuation | ProtocolError::InterleavedMessage => Fault::Fragmentation,
        ProtocolError::FrameTooLong { .. } | ProtocolError::MessageTooLong { .. } => Fault::TooLong,
        ProtocolError::ShortClose => Fault::ShortClose,
        ProtocolError::CloseCode(_) => Fault::CloseCode,
        ProtocolError::InvalidUtf8 => Fault::Utf8,
        error => panic!("{error:?} of frames"),
    })
}

fn theirs(input: &Input<'_>, role: Role, stream: &[u8]) -> Outcome {
    let mut config = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0);
    config.max_message_size = Some(input.message.into());
    config.max_frame_size = Some(input.frame.into());
    config.accept_unmasked_frames = input.ways & 4 != 0;
    let role = if role == Role::Server { TheirRole::Server } else { TheirRole::Client };
    let parts = input.theirs.parts(stream).filter(|part| !part.is_empty()).collect();
    let mut socket = WebSocket::from_raw_socket(Wire(parts, 0), role, Some(config));
    let mut messages = vec![];
    let end = loop {
        match socket.read() {
            Ok(tungstenite::Message::Text(text)) => messages.push(Message::Text(text.as_str().to_owned())),
            Ok(tungstenite::Message::Binary(bytes)) => messages.push(Message::Binary(bytes.to_vec())),
            Ok(tungstenite::Message::Ping(payload)) => messages.push(Message::Ping(payload.to_vec())),
            Ok(tungstenite::Message::Pong(payload)) => messages.push(Message::Pong(payload.to_vec())),
            Ok(tungstenite::Message::Close(None)) => break End::Close(1005, String::new()),
            Ok(tungstenite::Message::Close(Some(close))) => {
                break End::Close(close.code.into(), close.reason.to_string());
            }
            Ok(message) => panic!("{message:?} is never read"),
            Err(error) => break their_end(&error),
        }
    };
    Outcome { messages, end }
}

fn their_end(error: &Error) -> End {
    End::Fault(match error {
        Error::Protocol(TheirError::ResetWithoutClosingHandshake) => return End::Eof,
        Error::Protocol(TheirError::InvalidOpcode(_)) => Fault::Opcode,
        Error::Protocol(TheirError::FragmentedControlFrame) => Fault::FragmentedControl,
        Error::Protocol(TheirError::ControlFrameTooBig) => Fault::LongControl,
        Error::Protocol(TheirError::UnmaskedFrameFromClient | TheirError::MaskedFrameFromServer) => Fault::Mask,
        Error::Protocol(TheirError::NonZeroReservedBits) => Fault::ReservedBits,
        Error::Protocol(TheirError::UnexpectedContinueFrame | TheirError::ExpectedFragment(_)) => Fault::Fragmentation,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Fault::TooLong,
        Error::Protocol(TheirError::InvalidCloseSequence) => Fault::ShortClose,
        Error::Utf8(_) => Fault::Utf8,
        error => panic!("{error:?} of frames"),
    })
}

/// A transport that gives these parts one by one, and takes anything.
struct Wire<'b>(Vec<&'b [u8]>, usize);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(part) = self.0.get_mut(self.1) else { return Ok(0) };
        let read = part.read(buffer)?;
        if part.is_empty() {
            self.1 += 1;
        }
        Ok(read)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
