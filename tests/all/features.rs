//! Features of `FEATURES.md` that no other file shows.

use crate::common::*;
use bytes::Buf;
use sockless::close::Code;
use sockless::{
    ClientRequest, Config, Connection, Event, Limits, Message, Negotiated, Outbound, ProtocolError, Role, SendError,
    State, Transport,
};
use std::borrow::Cow;
use std::sync::Arc;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Cookie: secret\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The events of one frame that comes to an end.
fn frame_in(end: &mut Connection, first: u8, payload: &[u8]) -> Vec<Event<'static>> {
    let frame = frame_to(end.role(), first, payload);
    feed(end, &frame, usize::MAX).0
}

/// S18: status codes have names.
#[test]
fn every_registered_code_has_a_name() {
    for (code, number, shown) in [
        (Code::NORMAL, 1000, "1000 (normal closure)"),
        (Code::AWAY, 1001, "1001 (going away)"),
        (Code::PROTOCOL_ERROR, 1002, "1002 (protocol error)"),
        (Code::UNSUPPORTED, 1003, "1003 (unsupported data)"),
        (Code::NO_STATUS, 1005, "1005 (no status code)"),
        (Code::ABNORMAL, 1006, "1006 (abnormal closure)"),
        (Code::INVALID_PAYLOAD, 1007, "1007 (invalid payload)"),
        (Code::POLICY, 1008, "1008 (policy violation)"),
        (Code::TOO_BIG, 1009, "1009 (message too big)"),
        (Code::MANDATORY_EXTENSION, 1010, "1010 (mandatory extension)"),
        (Code::INTERNAL_ERROR, 1011, "1011 (internal error)"),
        (Code::RESTART, 1012, "1012 (service restart)"),
        (Code::TRY_LATER, 1013, "1013 (try again later)"),
        (Code::BAD_GATEWAY, 1014, "1014 (bad gateway)"),
        (Code::TLS, 1015, "1015 (TLS failure)"),
        (Code::from(3999), 3999, "3999 (library)"),
        (Code::from(4000), 4000, "4000 (application)"),
        (Code::from(1004), 1004, "1004"),
        (Code::from(1016), 1016, "1016"),
        (Code::from(5000), 5000, "5000"),
    ] {
        assert_eq!((u16::from(code), code.to_string()), (number, shown.to_owned()));
    }
}

/// S19: what a connection shows of itself; never what it carries.
#[test]
fn a_connection_shows_its_state_and_no_secrets() {
    let mut server = Connection::server(Config::default());
    let (events, _) = feed(&mut server, REQUEST, usize::MAX);
    let shown = format!("{events:?} {server:?}");
    assert!(shown.contains("role: Server") && shown.contains("state: Connecting"), "{shown}");
    let request = ClientRequest::new("ws://user:secret@a/").unwrap().header("Cookie", "secret");
    let client = Connection::client(&request, Config::default(), SEED).unwrap();
    let shown = format!("{shown} {request:?} {client:?} {SEED:?}");
    assert!(shown.contains("role: Client"), "{shown}");
    assert!(!shown.contains("secret") && !shown.contains("90, 90"), "{shown}");
}

/// S19: counters for an observer.
#[test]
fn counters_count_frames_and_bytes_both_ways() {
    for role in BOTH {
        let mut end = open(role);
        let bytes = frames_to(role, &[(0x81, b"text"), (0x02, b"a"), (0x89, b"ping"), (0x80, &[7; 300])]);
        feed(&mut end, &bytes[..bytes.len() - 1], 7);
        let counters = end.counters();
        assert_eq!((counters.received.frames, counters.received.bytes), (4, bytes.len() as u64 - 1));
        end.send_text("answer").unwrap();
        let len = outbound(&mut end).len();
        let counters = end.counters();
        assert_eq!((counters.sent.frames, counters.sent.bytes), (2, len as u64));
        assert_eq!((counters.queued, counters.most_queued as usize), (0, len));
    }
}

/// S20: the four states by name.
#[test]
fn a_connection_goes_through_the_states_of_the_rfc() {
    let mut server = Connection::server(Config::default());
    let mut states = vec![server.state()];
    let (events, _) = feed(&mut server, REQUEST, usize::MAX);
    let [Event::Request(request)] = &events[..] else { panic!("{events:?}") };
    server.accept(request.accept()).unwrap();
    states.push(server.state());
    frame_in(&mut server, 0x88, b"");
    states.push(server.state());
    outbound(&mut server);
    states.push(server.state());
    assert_eq!(states, [State::Connecting, State::Open, State::Closing, State::Closed]);
}

/// S29: settings are named fields with defaults, and shared by those that have the same.
#[test]
fn a_configuration_names_only_what_differs() {
    let config = Arc::new(Config { check_utf8: false, ..Config::default() });
    let mut ends = [0; 3].map(|_| Connection::open(Role::Server, Negotiated::default(), config.clone(), SEED));
    assert_eq!(Arc::strong_count(&config), 1 + 2 * ends.len(), "both halves of each refer to it");
    // What is changed for one is as it was for the others, and the rest of its settings too.
    ends[0].set_outbound(Outbound { hard: 1, ..config.outbound });
    ends[0].set_limits(Limits { message: 1, ..config.limits });
    for (end, second) in ends.iter_mut().zip([Err(SendError::Full), Ok(()), Ok(())]) {
        assert_eq!((end.send_text("a"), end.send_text("b")), (Ok(()), second));
        assert_eq!(frame_in(end, 0x81, b"\xff"), [Event::Unchecked(b"\xff"[..].into())]);
        assert_eq!(frame_in(end, 0x82, b"ab").is_empty(), second.is_err());
    }
}

/// S31: a message that came whole is lent from the buffer that was read into, which serves again.
#[test]
fn a_message_is_borrowed_from_the_buffer_and_the_buffer_is_used_again() {
    let mut server = open(Role::Server);
    let mut buffer = [0; 64];
    let place = buffer.as_ptr().addr();
    for text in ["one", "two"] {
        let frame = client_frame(0x81, text.as_bytes());
        buffer[..frame.len()].copy_from_slice(&frame);
        let mut input = &mut buffer[..frame.len()];
        let Ok(Some(Event::Text(Cow::Borrowed(lent)))) = server.receive(&mut input) else { panic!("not lent") };
        // It borrows the buffer only, so the connection can answer meanwhile.
        server.send_text(lent).unwrap();
        assert_eq!((lent, lent.as_ptr().addr()), (text, place + 6));
    }
    assert_eq!(outbound(&mut server), b"\x81\x03one\x81\x03two");
}

/// S32, S60: an event says whether it is text, and a handler may look at it in each shape.
#[test]
fn text_and_binary_are_told_apart() {
    fn shape(event: &Event<'_>) -> String {
        match event {
            Event::Text(text) => format!("text {text}"),
            Event::Binary(bytes) => format!("binary {}", bytes.len()),
            other => format!("{other:?}"),
        }
    }
    let mut end = open(Role::Client);
    let events = feed(&mut end, &frames_to(Role::Client, &[(0x81, b"a"), (0x82, b"a")]), usize::MAX).0;
    assert_eq!(events.iter().map(shape).collect::<Vec<_>>(), ["text a", "binary 1"]);
    assert_eq!(Message::from("a").kind(), sockless::Kind::Text);
    assert_eq!(Message::from(&b"a"[..]).kind(), sockless::Kind::Binary);
}

/// S5, S36: no call throws or panics; each says whether it worked, and why not.
#[test]
fn a_write_that_fails_says_so_and_nothing_else_happens() {
    let mut end = open(Role::Server);
    assert_eq!(end.receive_eof(), Err(ProtocolError::UnexpectedEof));
    assert_eq!(end.send_text("late"), Err(SendError::Closing));
    assert_eq!(end.send_text("late").unwrap_err().to_string(), "connection is closing");
    assert_eq!(end.receive(&mut &mut client_frame(0x81, b"late")[..]), Ok(None));
    assert_eq!(end.receive_eof(), Ok(None));
    assert_eq!(end.wants().transport, Transport::Close);
}

/// S63, S81: pings are answered by the connection, or left to the caller.
#[test]
fn pings_may_be_left_to_the_caller() {
    for role in BOTH {
        let mut end = open_with(role, Config { answer_pings: false, ..Config::default() });
        let events = frame_in(&mut end, 0x89, b"there?");
        assert_eq!(events, [Event::Ping(b"there?"[..].into())]);
        assert_eq!(outbound(&mut end), b"");
        end.pong(b"by hand").unwrap();
        assert_eq!(unframe(&outbound(&mut end)), [(0x8A, b"by hand".to_vec())]);
    }
}

/// S52: the handshake is a state like any other: nothing happens before bytes come or go.
#[test]
fn a_handshake_waits_for_the_first_read_or_write() {
    let request = ClientRequest::new("ws://a/").unwrap();
    let mut client = Connection::client(&request, Config::default(), SEED).unwrap();
    let mut server = Connection::server(Config::default());
    assert_eq!((client.state(), server.state()), (State::Connecting, State::Connecting));
    let mut steps = 0;
    while client.state() != State::Open {
        let (from, to) = if client.wants().write { (&mut client, &mut server) } else { (&mut server, &mut client) };
        let mut outgoing = from.outbound();
        let mut byte = [outgoing.chunk()[0]];
        outgoing.advance(1);
        if let Some(Event::Request(request)) = to.receive(&mut &mut byte[..]).unwrap() {
            let accept = request.accept();
            to.accept(accept).unwrap();
        }
        steps += 1;
    }
    assert_eq!((server.state(), steps > 200), (State::Open, true));
}

/// S88, and a defect of the system it is from: headers of any length fit into a response.
#[test]
fn long_response_headers_are_no_danger() {
    let mut server = Connection::server(Config::default());
    let (events, _) = feed(&mut server, REQUEST, usize::MAX);
    let [Event::Request(request)] = &events[..] else { panic!("{events:?}") };
    let long = "x".repeat(100_000);
    server.accept(request.accept().header("X-Long", &long)).unwrap();
    assert!(outbound(&mut server).ends_with(format!("\r\nX-Long: {long}\r\n\r\n").as_bytes()));
}
