//! The closing handshake from either side, and every other way in which a connection ends: once.

use crate::common::*;
use bytes::Buf;
use proptest::prelude::*;
use sockless::close::{Close, Code};
use sockless::{
    ClientRequest, Config, Connection, Event, HandshakeError, Kind, Limits, ProtocolError, Role, SendError, State,
    Transport,
};
use std::time::Duration;

fn close_event(code: Code, reason: &str) -> Event<'static> {
    Event::Close(Close { code, reason: reason.to_owned().into() })
}

/// The payload of a close frame.
fn payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The events and the error that a frame makes.
fn frame_in(end: &mut Connection, first: u8, payload: &[u8]) -> (Vec<Event<'static>>, Option<ProtocolError>) {
    let frame = frame_to(end.role(), first, payload);
    feed(end, &frame, usize::MAX)
}

/// The frames that wait, which are out then.
fn sent(end: &mut Connection) -> Vec<(u8, Vec<u8>)> {
    unframe(&outbound(end))
}

/// The state, whether to read and to write, and what becomes of the transport.
fn now(end: &Connection) -> (State, bool, bool, Transport) {
    let wants = end.wants();
    (end.state(), wants.read, wants.write, wants.transport)
}

/// What `now` says when all is over.
const OVER: (State, bool, bool, Transport) = (State::Closed, false, false, Transport::Close);

/// The end of the transport, where all has been told.
fn silent_eof(end: &mut Connection) {
    for _ in 0..2 {
        assert_eq!(end.receive_eof(), Ok(None));
        assert_eq!(frame_in(end, 0x81, b"late"), (vec![], None));
        assert_eq!(now(end), OVER);
    }
}

// ---- the handshake

#[test]
fn a_server_that_closes_first_hangs_up_when_the_answer_comes() {
    let mut server = open(Role::Server);
    assert_eq!(now(&server), (State::Open, true, false, Transport::Open));
    server.send_text("last").unwrap();
    server.close(Code::AWAY, "bye").unwrap();
    assert_eq!(now(&server), (State::Closing, true, true, Transport::Open));
    assert_eq!(sent(&mut server), [(0x81, b"last".to_vec()), (0x88, payload(1001, "bye"))]);
    assert_eq!(now(&server), (State::Closing, true, false, Transport::Open));
    assert_eq!(frame_in(&mut server, 0x88, &payload(1001, "")), (vec![close_event(Code::AWAY, "")], None));
    assert_eq!(now(&server), OVER);
    assert_eq!(outbound(&mut server), b"");
    silent_eof(&mut server);
}

#[test]
fn a_client_that_closes_first_waits_for_the_server_to_hang_up() {
    let mut client = open(Role::Client);
    client.close(Code::NORMAL, "").unwrap();
    assert_eq!(now(&client), (State::Closing, true, true, Transport::Open));
    assert_eq!(sent(&mut client), [(0x88, payload(1000, ""))]);
    assert_eq!(now(&client), (State::Closing, true, false, Transport::Open));
    assert_eq!(frame_in(&mut client, 0x88, &payload(1000, "ok")), (vec![close_event(Code::NORMAL, "ok")], None));
    assert_eq!(now(&client), (State::Closing, true, false, Transport::Shutdown));
    silent_eof(&mut client);
}

#[test]
fn the_answer_to_a_close_frame_echoes_its_code() {
    for role in BOTH {
        let mut end = open(role);
        end.send_text("before").unwrap();
        let close = frame_in(&mut end, 0x88, &payload(4321, "so long"));
        assert_eq!(close, (vec![close_event(Code::from(4321), "so long")], None));
        assert_eq!(now(&end), (State::Closing, true, true, Transport::Open));
        assert_eq!(end.send_text("after"), Err(SendError::Closing));
        // What waited goes out before the answer, and the transport stays until then.
        let mut out = vec![];
        while end.counters().queued > 0 {
            assert_eq!(now(&end), (State::Closing, true, true, Transport::Open));
            out.push(end.outbound().get_u8());
        }
        assert_eq!(unframe(&out), [(0x81, b"before".to_vec()), (0x88, payload(4321, ""))]);
        let then = if role == Role::Server { OVER } else { (State::Closing, true, false, Transport::Shutdown) };
        assert_eq!(now(&end), then);
        silent_eof(&mut end);
    }
}

#[test]
fn a_close_frame_without_a_code_is_answered_without_one() {
    for role in BOTH {
        let mut end = open(role);
        assert_eq!(frame_in(&mut end, 0x88, b""), (vec![close_event(Code::NO_STATUS, "")], None));
        assert_eq!(sent(&mut end), [(0x88, vec![])]);
        silent_eof(&mut end);

        let mut end = open(role);
        end.close(Code::NO_STATUS, "").unwrap();
        assert_eq!(sent(&mut end), [(0x88, vec![])]);
    }
}

#[test]
fn both_may_close_at_once() {
    for role in BOTH {
        let mut end = open(role);
        end.close(Code::from(3000), "mine").unwrap();
        let events = frame_in(&mut end, 0x88, &payload(4000, "yours"));
        assert_eq!(events, (vec![close_event(Code::from(4000), "yours")], None));
        assert_eq!(now(&end), (State::Closing, true, true, Transport::Open));
        assert_eq!(sent(&mut end), [(0x88, payload(3000, "mine"))], "one close frame from each");
        let then = if role == Role::Server { OVER } else { (State::Closing, true, false, Transport::Shutdown) };
        assert_eq!(now(&end), then);
        silent_eof(&mut end);
    }
}

#[test]
fn close_that_waits_for_a_message_gives_way_to_the_close_of_the_peer() {
    for role in BOTH {
        let mut end = open(role);
        end.send_fragment(Kind::Text, b"half", false).unwrap();
        end.close(Code::from(3000), "mine").unwrap();
        assert_eq!(now(&end), (State::Closing, true, true, Transport::Open));
        frame_in(&mut end, 0x88, &payload(4000, ""));
        assert_eq!(sent(&mut end), [(0x01, b"half".to_vec()), (0x88, payload(4000, ""))]);
        silent_eof(&mut end);
    }
}

#[test]
fn messages_come_until_the_peer_has_closed_too() {
    for role in BOTH {
        let mut end = open(role);
        end.close(Code::NORMAL, "").unwrap();
        outbound(&mut end);
        let bytes = frames_to(
            role,
            &[(0x81, b"whole"), (0x01, b"in "), (0x89, b"ping"), (0x80, b"parts"), (0x8A, b"pong"), (0x88, b"")],
        );
        let events = [
            Event::Text("whole".into()),
            Event::Ping(b"ping"[..].into()),
            Event::Text("in parts".into()),
            Event::Pong(b"pong"[..].into()),
            close_event(Code::NO_STATUS, ""),
        ];
        assert_eq!(feed(&mut end, &bytes, 1), (events.to_vec(), None));
        assert_eq!(outbound(&mut end), b"", "nothing follows a close frame");
    }
}

#[test]
fn what_comes_behind_the_close_frame_of_the_peer_is_discarded() {
    for role in BOTH {
        for cut in [1, 3, usize::MAX] {
            let mut end = open(role);
            let close = frame_to(role, 0x88, &payload(1000, ""));
            let behind = [frame_to(role, 0x81, b"late"), frame_to(role, 0x88, b"x"), vec![0xFF; 50]].concat();
            let events = feed(&mut end, &[close, behind].concat(), cut);
            assert_eq!(events, (vec![close_event(Code::NORMAL, "")], None));
            assert_eq!(frame_in(&mut end, 0x89, b"ping"), (vec![], None));
            assert_eq!(end.counters().received.frames, 1);
            assert_eq!(sent(&mut end), [(0x88, payload(1000, ""))]);
            silent_eof(&mut end);
        }
    }
}

// ---- codes and reasons

/// RFC 6455 §7.4 and the IANA registry: what may be on the wire.
fn is_on_wire(code: u16) -> bool {
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014].contains(&code)
        || (3000..5000).contains(&code)
}

#[test]
fn every_code_is_taken_and_echoed_or_refused_with_1002() {
    for code in 0..=u16::MAX {
        let mut end = open(Role::Client);
        let (events, error) = frame_in(&mut end, 0x88, &payload(code, ""));
        if is_on_wire(code) {
            assert_eq!((events, error), (vec![close_event(Code::from(code), "")], None));
            assert_eq!(sent(&mut end), [(0x88, payload(code, ""))]);
        } else {
            assert_eq!((events, error), (vec![], Some(ProtocolError::CloseCode(code))));
            assert_eq!(sent(&mut end), [(0x88, payload(1002, ""))], "answer to {code}");
        }
    }
}

#[test]
fn every_code_is_sent_or_refused() {
    for code in 0..=u16::MAX {
        let mut end = open(Role::Server);
        match end.close(Code::from(code), "") {
            Ok(()) if code == 1005 => assert_eq!(sent(&mut end), [(0x88, vec![])]),
            Ok(()) => assert_eq!((is_on_wire(code), sent(&mut end)), (true, vec![(0x88, payload(code, ""))])),
            Err(error) => {
                assert_eq!((is_on_wire(code), error), (false, SendError::CloseCode(code)));
                assert_eq!(now(&end), (State::Open, true, false, Transport::Open));
            }
        }
    }
}

#[test]
fn a_reason_has_at_most_123_bytes_of_utf8() {
    for role in BOTH {
        let reason = "\u{20ac}".repeat(41);
        let mut end = open(role);
        let event = close_event(Code::POLICY, &reason);
        assert_eq!(frame_in(&mut end, 0x88, &payload(1008, &reason)), (vec![event], None));
        let mut end = open(role);
        end.close(Code::POLICY, &reason).unwrap();
        assert_eq!(sent(&mut end), [(0x88, payload(1008, &reason))]);
        for bad in [&b"\x03\xe8\xff"[..], b"\x03\xe8\xc3", b"\x03\xe8a\xed\xa0\x80"] {
            let mut end = open(role);
            assert_eq!(frame_in(&mut end, 0x88, bad), (vec![], Some(ProtocolError::InvalidUtf8)));
            assert_eq!(sent(&mut end), [(0x88, payload(1007, ""))]);
        }
        let mut end = open(role);
        assert_eq!(frame_in(&mut end, 0x88, b"\x03"), (vec![], Some(ProtocolError::ShortClose)));
        assert_eq!(sent(&mut end), [(0x88, payload(1002, ""))]);
    }
}

// ---- errors

fn small_limits() -> Config {
    Config { limits: Limits { message: 10, fragments: 2, ..Limits::default() }, ..Config::default() }
}

#[test]
fn an_error_queues_its_close_frame_then_shuts_down_then_closes() {
    let cases: [(u8, &[u8], u16); 3] = [(0x83, b"", 1002), (0x81, b"\xff", 1007), (0x82, &[0; 11], 1009)];
    for role in BOTH {
        for (first, bytes, code) in cases {
            let mut end = open_with(role, small_limits());
            end.send_text("before").unwrap();
            let (events, error) = frame_in(&mut end, first, bytes);
            assert_eq!((events, error.and_then(|error| error.close_code())), (vec![], Some(Code::from(code))));
            assert_eq!(now(&end), (State::Closing, true, true, Transport::Open));
            assert_eq!(end.send_text("after"), Err(SendError::Closing));
            assert_eq!(sent(&mut end), [(0x81, b"before".to_vec()), (0x88, payload(code, ""))]);
            // The peer reads the close frame only if the transport is not reset under it (RFC 6455 §7.1.1).
            assert_eq!(now(&end), (State::Closing, true, false, Transport::Shutdown));
            // Its answer is discarded, for the end has been told.
            assert_eq!(frame_in(&mut end, 0x88, &payload(code, "")), (vec![], None));
            assert_eq!(now(&end), (State::Closing, true, false, Transport::Shutdown));
            silent_eof(&mut end);
        }
    }
}

#[test]
fn an_error_after_our_close_frame_sends_no_other() {
    for role in BOTH {
        let mut end = open(role);
        end.close(Code::NORMAL, "").unwrap();
        assert_eq!(frame_in(&mut end, 0x83, b""), (vec![], Some(ProtocolError::ReservedOpcode(3))));
        assert_eq!(sent(&mut end), [(0x88, payload(1000, ""))]);
        assert_eq!(now(&end), (State::Closing, true, false, Transport::Shutdown));
        silent_eof(&mut end);
    }
}

#[test]
fn events_before_an_error_are_told_first() {
    for cut in [1, usize::MAX] {
        let bytes = frames_to(Role::Client, &[(0x81, b"a"), (0x89, b"b"), (0x82, b"c"), (0x80, b"d"), (0x81, b"e")]);
        let mut end = open(Role::Client);
        let events = vec![Event::Text("a".into()), Event::Ping(b"b"[..].into()), Event::Binary(b"c"[..].into())];
        assert_eq!(feed(&mut end, &bytes, cut), (events, Some(ProtocolError::UnexpectedContinuation)));
        assert_eq!(sent(&mut end), [(0x8A, b"b".to_vec()), (0x88, payload(1002, ""))]);
    }
}

// ---- the end of the transport

/// A connection on its way, and what the end of its transport makes of it.
struct Scene {
    name: &'static str,
    end: Connection,
    eof: Result<(), ProtocolError>,
}

fn scene(
    name: &'static str,
    mut end: Connection,
    eof: Result<(), ProtocolError>,
    go: impl FnOnce(&mut Connection),
) -> Scene {
    go(&mut end);
    Scene { name, end, eof }
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Gives an opening end bytes of an HTTP head, and what else is behind them.
fn head_in(end: &mut Connection, bytes: &[u8]) -> usize {
    feed(end, bytes, usize::MAX).0.len()
}

fn accept(end: &mut Connection) {
    let mut request = REQUEST.to_vec();
    match end.receive(&mut &mut request[..]) {
        Ok(Some(Event::Request(request))) => end.accept(request.accept()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn opening_scenes() -> Vec<Scene> {
    const CUT: Result<(), ProtocolError> = Err(ProtocolError::Handshake(HandshakeError::UnexpectedEof));
    let server = || Connection::server(Config::default());
    let client = || {
        let request = ClientRequest::new("ws://example.com/").unwrap();
        Connection::client(&request, Config::default(), SEED).unwrap()
    };
    vec![
        scene("server, nothing came", server(), CUT, |_| {}),
        scene("server, half a request", server(), CUT, |end| assert_eq!(head_in(end, &REQUEST[..30]), 0)),
        scene("server, not answered", server(), CUT, |end| assert_eq!(head_in(end, REQUEST), 1)),
        scene("server, not answered, with frames", server(), CUT, |end| {
            assert_eq!(head_in(end, &[REQUEST, b"\x81\x80abcd"].concat()), 1);
        }),
        scene("server, rejected", server(), Ok(()), |end| {
            assert_eq!(head_in(end, REQUEST), 1);
            end.reject(404, &[], b"").unwrap();
        }),
        scene("server, bad request", server(), Ok(()), |end| {
            assert!(feed(end, b"\r\n\r\n", usize::MAX).1.is_some());
        }),
        scene("server, accepted", server(), Err(ProtocolError::UnexpectedEof), accept),
        scene("server, accepted, with frames", server(), Err(ProtocolError::UnexpectedEof), |end| {
            let mut request = [REQUEST, b"\x81\x80abcd"].concat();
            let mut input = &mut request[..];
            let Ok(Some(Event::Request(request))) = end.receive(&mut input) else { panic!("no request") };
            assert_eq!(end.receive(&mut input), Ok(None));
            end.accept(request.accept()).unwrap();
        }),
        scene("server, refused but not told", server(), Err(HandshakeError::NotUpgrade.into()), |end| {
            let mut request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
            let Ok(Some(Event::Request(request))) = end.receive(&mut &mut request[..]) else { panic!("no request") };
            end.accept(request.accept()).unwrap();
        }),
        scene("server, aborted", server(), Err(ProtocolError::UnexpectedEof), |end| end.abort(Code::AWAY)),
        scene("client, nothing came", client(), CUT, |_| {}),
        scene("client, half a response", client(), CUT, |end| assert_eq!(head_in(end, b"HTTP/1.1 101 S\r\nA"), 0)),
        scene("client, bad response", client(), Ok(()), |end| {
            assert!(feed(end, b"HTTP/1.1 101 S\r\n\r\n", usize::MAX).1.is_some());
        }),
        scene("client, rejected", client(), Ok(()), |end| {
            assert_eq!(head_in(end, b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n"), 1);
        }),
        scene("client, aborted", client(), Err(ProtocolError::UnexpectedEof), |end| end.abort(Code::AWAY)),
    ]
}

fn open_scenes(role: Role) -> Vec<Scene> {
    const EARLY: Result<(), ProtocolError> = Err(ProtocolError::UnexpectedEof);
    let all_but_one = |frame: Vec<u8>| frame[..frame.len() - 1].to_vec();
    let partial =
        |name, bytes: Vec<u8>| scene(name, open(role), EARLY, |end| assert_eq!(feed(end, &bytes, 1), (vec![], None)));
    vec![
        scene("open", open(role), EARLY, |_| {}),
        scene("after a message", open(role), EARLY, |end| assert_eq!(frame_in(end, 0x81, b"a").0.len(), 1)),
        partial("in a header", frame_to(role, 0x81, &[0; 300])[..3].to_vec()),
        partial("in a payload", all_but_one(frame_to(role, 0x81, b"hello"))),
        partial("between fragments", frame_to(role, 0x01, b"hello")),
        partial("in a close frame", all_but_one(frame_to(role, 0x88, &payload(1000, "bye")))),
        scene("closing", open(role), EARLY, |end| end.close(Code::NORMAL, "").unwrap()),
        scene("closing behind a message", open(role), EARLY, |end| {
            end.send_fragment(Kind::Text, b"", false).unwrap();
            end.close(Code::NORMAL, "").unwrap();
        }),
        scene("aborted", open(role), EARLY, |end| end.abort(Code::AWAY)),
        scene("closed by the peer", open(role), Ok(()), |end| drop(frame_in(end, 0x88, b""))),
        scene("closed by both", open(role), Ok(()), |end| {
            end.close(Code::NORMAL, "").unwrap();
            frame_in(end, 0x88, b"");
        }),
        scene("closed, then aborted", open(role), Ok(()), |end| {
            frame_in(end, 0x88, b"");
            end.abort(Code::AWAY);
        }),
        scene("failed", open(role), Ok(()), |end| drop(frame_in(end, 0x83, b""))),
        scene("failed, then aborted", open(role), Ok(()), |end| {
            frame_in(end, 0x83, b"");
            end.abort(Code::AWAY);
        }),
    ]
}

#[test]
fn the_end_of_the_transport_is_told_where_no_other_end_was() {
    let scenes = [opening_scenes(), open_scenes(Role::Server), open_scenes(Role::Client)];
    for Scene { name, mut end, eof } in scenes.into_iter().flatten() {
        let role = end.role();
        assert_eq!(end.receive_eof(), eof.map(|()| None), "{name}, {role:?}");
        assert_eq!(end.state(), State::Closed, "{name}, {role:?}");
        assert!(!end.wants().read, "{name}, {role:?}");
        // The driver may still write what waits, if it can.
        outbound(&mut end);
        silent_eof(&mut end);
    }
}

// ---- abort

#[test]
fn abort_says_why_and_waits_for_nothing() {
    for role in BOTH {
        let mut end = open(role);
        end.send_text("dropped").unwrap();
        end.abort(Code::INTERNAL_ERROR);
        assert_eq!(now(&end), (State::Closing, true, true, Transport::Open));
        assert_eq!(frame_in(&mut end, 0x81, b"discarded"), (vec![], None));
        assert_eq!(sent(&mut end), [(0x88, payload(1011, ""))]);
        assert_eq!(now(&end), (State::Closing, true, false, Transport::Shutdown));
        assert_eq!(frame_in(&mut end, 0x88, &payload(1011, "")), (vec![], None));
        assert_eq!(end.receive_eof(), Err(ProtocolError::UnexpectedEof));
        silent_eof(&mut end);
    }
}

#[test]
fn abort_does_not_wait_for_a_message_under_way() {
    for role in BOTH {
        for closing in [false, true] {
            let mut end = open(role);
            end.send_fragment(Kind::Text, b"half", false).unwrap();
            let first = outbound(&mut end);
            end.send_fragment(Kind::Text, b"dropped", false).unwrap();
            if closing {
                end.close(Code::from(3000), "never said").unwrap();
            }
            end.abort(Code::AWAY);
            assert_eq!(end.send_fragment(Kind::Text, b"late", true), Err(SendError::Closing));
            assert_eq!((unframe(&first).len(), sent(&mut end)), (1, vec![(0x88, payload(1001, ""))]));
        }
    }
}

#[test]
fn abort_with_a_code_that_cannot_be_sent_sends_none() {
    let mut end = open(Role::Server);
    end.abort(Code::ABNORMAL);
    assert_eq!(sent(&mut end), [(0x88, vec![])]);
}

#[test]
fn abort_before_the_connection_is_open_sends_no_frame() {
    let mut server = Connection::server(Config::default());
    assert_eq!(now(&server), (State::Connecting, true, false, Transport::Open));
    server.abort(Code::AWAY);
    assert_eq!(now(&server), (State::Closing, true, false, Transport::Shutdown));
    assert_eq!(feed(&mut server, REQUEST, 7), (vec![], None));
    assert_eq!(outbound(&mut server), b"");
}

// ---- any order of events

#[derive(Clone, Debug)]
enum Op {
    Frame(u8, Vec<u8>),
    Bytes(Vec<u8>),
    Send,
    Fragment(bool),
    Close,
    Abort,
    Write(usize),
    Wait(u64),
    Eof,
}

fn op() -> impl Strategy<Value = Op> {
    let payload = || proptest::collection::vec(any::<u8>(), 0..4);
    let first = proptest::sample::select(vec![0x81, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8A]);
    prop_oneof![
        4 => (first, payload()).prop_map(|(first, payload)| Op::Frame(first, payload)),
        1 => prop_oneof![Just(vec![]), Just(vec![3, 232]), payload()].prop_map(|payload| Op::Frame(0x88, payload)),
        1 => payload().prop_map(Op::Bytes),
        2 => Just(Op::Send),
        2 => any::<bool>().prop_map(Op::Fragment),
        1 => Just(Op::Close),
        1 => Just(Op::Abort),
        2 => (0..20_usize).prop_map(Op::Write),
        2 => (0..15_u64).prop_map(Op::Wait),
        1 => Just(Op::Eof),
    ]
}

/// The terminal events and errors that these operations make, and the end of the transport behind them.
fn terminals(role: Role, ops: &[Op]) -> Vec<String> {
    let mut end = open(role);
    let mut told = vec![];
    let mut clock = Duration::ZERO;
    for op in ops {
        let mut events = vec![];
        let mut error = None;
        match op {
            Op::Frame(first, payload) => (events, error) = frame_in(&mut end, *first, payload),
            Op::Bytes(bytes) => (events, error) = feed(&mut end, bytes, usize::MAX),
            Op::Send => _ = end.send_text("x"),
            Op::Fragment(last) => _ = end.send_fragment(Kind::Text, b"x", *last),
            Op::Close => _ = end.close(Code::NORMAL, ""),
            Op::Abort => end.abort(Code::AWAY),
            Op::Write(count) => {
                let count = (*count).min(end.counters().queued);
                end.outbound().advance(count);
            }
            Op::Wait(seconds) => {
                clock += Duration::from_secs(*seconds);
                error = end.handle_timeout(clock).err();
            }
            Op::Eof => error = end.receive_eof().err(),
        }
        let closes = events.iter().filter(|event| matches!(event, Event::Close(_)));
        told.extend(closes.map(|event| format!("{event:?} at {op:?}")));
        told.extend(error.map(|error| format!("{error:?} at {op:?}")));
        let ended = !told.is_empty();
        assert!(!ended || end.state() != State::Open, "{told:?}, and still open");
    }
    told.extend(end.receive_eof().err().map(|error| format!("{error:?} at last")));
    outbound(&mut end);
    assert_eq!(now(&end), OVER);
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_end_is_told_once(
        client in any::<bool>(),
        ops in proptest::collection::vec(op(), 0..25),
    ) {
        let told = terminals(if client { Role::Client } else { Role::Server }, &ops);
        prop_assert_eq!(told.len(), 1, "{:?}", told);
    }
}

#[test]
fn states_have_the_names_of_the_rfc() {
    let names = [State::Connecting, State::Open, State::Closing, State::Closed].map(|state| state.to_string());
    assert_eq!(names, ["connecting", "open", "closing", "closed"]);
}

#[test]
fn nothing_is_answered_behind_our_close_frame() {
    for role in BOTH {
        let mut end = open(role);
        end.close(Code::NORMAL, "").unwrap();
        assert_eq!(frame_in(&mut end, 0x89, b"ping"), (vec![ping(b"ping")], None));
        assert_eq!(sent(&mut end), [close_frame(1000)]);
        assert_eq!(frame_in(&mut end, 0x89, b"ping"), (vec![ping(b"ping")], None));
        assert_eq!(sent(&mut end), []);

        // Nor is it behind the end of the transport, where nobody reads.
        let mut end = open(role);
        assert_eq!(end.receive_eof(), Err(ProtocolError::UnexpectedEof));
        assert_eq!((end.ping(b""), end.send_text("")), (Err(SendError::Closing), Err(SendError::Closing)));
        assert_eq!(sent(&mut end), []);
    }
}
