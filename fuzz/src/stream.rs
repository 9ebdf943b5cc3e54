//! Bytes after the handshake, into an open connection.

use crate::feed::{Budget, By, Cuts, Feeder, Said};
use crate::frames::{self, Frame};
use crate::settings::Settings;
use crate::tapes;
use arbitrary::Arbitrary;
use bytes::Buf;
use sockless::frame::OpCode;
use sockless::{Close, Code, Event, Fact, ProtocolError, Role, Sender, State, Transport, Wants};
use std::borrow::Cow;

/// What the peer sends, and to whom.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    settings: Settings,
    cuts: Cuts,
    /// For [`cuts`] only.
    others: Cuts,
    /// Bits: the bytes are a script of frames; flush after each event; recycle buffers; the role, for [`cuts`] only;
    /// then the method, for [`check`] only.
    ways: u8,
    bytes: &'a [u8],
}

impl Input<'_> {
    fn stream(&self, to: Role) -> Cow<'_, [u8]> {
        if self.ways & 1 == 0 { Cow::Borrowed(self.bytes) } else { Cow::Owned(frames::script(self.bytes, to)) }
    }

    fn flushes(&self) -> bool {
        self.ways & 2 != 0
    }

    fn by(&self) -> By {
        match self.ways >> 4 & 3 {
            0 => By::Receive,
            1 => By::Keep,
            2 => By::Piece,
            _ => By::Tail,
        }
    }
}

/// Whatever comes, a connection ends once, takes all input, stays in its budget, and answers as it should.
pub fn check(role: Role, input: &Input<'_>) {
    let stream = input.stream(role);
    tapes::leave_received(|| input.settings.record(role), input.cuts.parts(&stream));
    let mut connection = input.settings.open(role);
    let mut feeder = Feeder::new(&mut connection, input.by());
    feeder.flushes = input.flushes();
    feeder.recycles = input.ways & 4 != 0;
    let limit = input.settings.limits().message;
    feeder.budget = Some(Budget { message: limit, compressed: input.settings.is_compressed() });
    feeder.feed(&stream, input.cuts, |_, _| {});
    assert!(feeder.joined() <= limit, "no piece goes past the limit");

    let ended = feeder.said.has_ended();
    if !ended {
        assert_eq!(feeder.connection.counters().received.bytes, stream.len() as u64);
    }
    // Whatever comes behind the end is discarded.
    feeder.receive(if ended { b"\x81\x00\x88\x00" } else { b"" }, &mut |_, _| {});
    feeder.flush();
    feeder.eof();
    assert_eq!(feeder.said.error.filter(|_| !ended), (!ended).then_some(ProtocolError::UnexpectedEof));
    check_messages(input, &feeder.said, stream.len());
    check_replies(input, &feeder.said, role);

    let wants = Wants { read: false, write: false, transport: Transport::Close, deadline: None };
    assert_eq!((connection.state(), connection.wants()), (State::Closed, wants));
    assert_eq!(connection.counters().queued, 0);
}

/// Messages are no longer than allowed, and no more than was sent.
fn check_messages(input: &Input<'_>, said: &Said, came: usize) {
    let mut total = 0;
    for event in &said.events {
        let len = match event {
            Event::Text(text) if input.settings.checks_utf8() => text.len(),
            Event::Unchecked(bytes) if !input.settings.checks_utf8() => bytes.len(),
            Event::Binary(bytes) => bytes.len(),
            Event::Ping(_) | Event::Pong(_) | Event::Close(_) => 0,
            event => panic!("{event:?} after the handshake"),
        };
        assert!(len <= input.settings.limits().message);
        total += len;
    }
    assert!(total <= came || input.settings.is_compressed());
}

/// Every ping is answered that had nothing newer before it could be, and the close frame says what it should.
fn check_replies(input: &Input<'_>, said: &Said, role: Role) {
    let frames = frames::unframe(&said.sent, role);
    let control = |opcode, payload: &[u8]| Frame { fin: true, rsv: 0, opcode, payload: payload.to_vec() };
    let mut expected: Vec<_> = said
        .events
        .iter()
        .filter_map(|event| if let Event::Ping(payload) = event { Some(control(OpCode::Pong, payload)) } else { None })
        .collect();
    if !input.settings.answers_pings() {
        expected.clear();
    } else if !input.flushes() {
        expected.drain(..expected.len().saturating_sub(1));
    }
    let code = match (said.error, said.events.last()) {
        (Some(error), _) => error.close_code(),
        (None, Some(Event::Close(Close { code, .. }))) => Some(*code),
        (None, event) => panic!("ended by {event:?}"),
    };
    expected.extend(code.map(|code| match code {
        Code::NO_STATUS => control(OpCode::Close, b""),
        code => control(OpCode::Close, &u16::from(code).to_be_bytes()),
    }));
    assert_eq!(frames, expected);
}

/// Cut in any two ways and taken by any method, the same bytes make the same events, error and outbound bytes.
pub fn cuts(input: &Input<'_>) {
    let role = if input.ways & 8 == 0 { Role::Server } else { Role::Client };
    let stream = input.stream(role);
    tapes::leave_received(|| input.settings.record(role), input.cuts.parts(&stream));
    let said = |cuts, by, recycles| {
        let mut connection = input.settings.open(role);
        let mut feeder = Feeder::new(&mut connection, by);
        (feeder.flushes, feeder.recycles) = (input.flushes(), recycles);
        feeder.feed(&stream, cuts, |_, _| {});
        feeder.flush();
        feeder.eof();
        feeder.said
    };
    let whole = said(Cuts::WHOLE, By::Receive, false);
    for (cuts, by) in [
        (input.cuts, By::Receive),
        (input.others, By::Receive),
        (input.others, By::Piece),
        (input.cuts, By::Tail),
        (input.others, By::Keep),
    ] {
        assert_eq!(said(cuts, by, input.ways & 4 != 0), whole, "{cuts:?} {by:?}");
    }
    assert_eq!(halves(input, role, &stream), whole, "by halves");
}

/// What the two halves of a connection say, which exchange facts and nothing else.
fn halves(input: &Input<'_>, role: Role, stream: &[u8]) -> Said {
    let Ok((mut sender, mut receiver)) = input.settings.open(role).split() else { panic!("it is open") };
    let mut said = Said::default();
    for part in input.others.parts(stream) {
        let mut part = part.to_vec();
        let mut rest = &mut part[..];
        loop {
            let (event, fact) = match receiver.receive(&mut rest) {
                Ok(None) => break,
                Ok(Some(event)) => (Some(event.clone().into_owned()), event.fact()),
                Err(error) => {
                    said.error = Some(error);
                    (None, Some(Fact::from(error)))
                }
            };
            said.events.extend(event);
            fact.into_iter().for_each(|fact| sender.handle_fact(fact));
            if input.flushes() {
                flush(&mut sender, &mut said.sent);
            }
        }
    }
    flush(&mut sender, &mut said.sent);
    said.error = said.error.or(receiver.receive_eof().err());
    said
}

fn flush(sender: &mut Sender, sent: &mut Vec<u8>) {
    let mut outbound = sender.outbound();
    let len = outbound.remaining();
    sent.extend_from_slice(&outbound.copy_to_bytes(len));
}
