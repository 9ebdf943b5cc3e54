//! The two halves of a connection: in two threads, or compared with the whole.

use crate::common::*;
use bytes::Buf;
use proptest::prelude::*;
use sockless::close::Code;
use sockless::frame::ControlPayload;
use sockless::{
    Close, Config, Connection, Event, Fact, HandshakeError, Kind, ProtocolError, Receiver, Role, SendError, Sender,
    State, Transport,
};
use sockless_test_support::within;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

fn halves(role: Role) -> (Sender, Receiver) {
    open(role).split().expect("it is open")
}

/// All that waits to go out of a sender; it is out then.
fn drain(sender: &mut Sender) -> Vec<u8> {
    let mut outgoing = sender.outbound();
    let len = outgoing.remaining();
    outgoing.copy_to_bytes(len).to_vec()
}

fn control(payload: &[u8]) -> ControlPayload {
    ControlPayload::new(payload).expect("it is short")
}

// ---- two threads

/// What the thread that reads tells the thread that writes.
enum ToWriter {
    Fact(Fact),
    Echo(String),
}

/// Reads until the pipe ends: what `receive` and the end told, in order.
fn read(mut receiver: Receiver, pipe: &mpsc::Receiver<Vec<u8>>, to: &mpsc::Sender<ToWriter>) -> Vec<String> {
    let mut told = vec![];
    let mut tell = |what: String, fact: Option<Fact>| {
        told.push(what);
        if let Some(fact) = fact {
            // The writer may have ended; then there is nobody to be told.
            _ = to.send(ToWriter::Fact(fact));
        }
    };
    for mut bytes in pipe {
        let mut input = &mut bytes[..];
        loop {
            match receiver.receive(&mut input) {
                Ok(None) => break,
                Ok(Some(Event::Text(text))) => _ = to.send(ToWriter::Echo(text.into_owned())),
                Ok(Some(event)) => tell(format!("{event:?}"), event.fact()),
                Err(error) => tell(error.to_string(), Some(error.into())),
            }
        }
    }
    if let Err(error) = receiver.receive_eof() {
        tell(error.to_string(), Some(error.into()));
    }
    _ = to.send(ToWriter::Fact(Fact::Eof));
    told
}

/// Writes until the transport is to be shut down or closed.
fn write(mut sender: Sender, work: &mpsc::Receiver<ToWriter>, pipe: mpsc::Sender<Vec<u8>>) -> Sender {
    for work in work {
        match work {
            ToWriter::Fact(fact) => sender.handle_fact(fact),
            ToWriter::Echo(text) => sender.send_text(&text).expect("it is open"),
        }
        if sender.wants().write {
            // The peer may have hung up.
            _ = pipe.send(drain(&mut sender));
        }
        if sender.wants().transport != Transport::Open {
            break;
        }
    }
    sender
}

/// Runs an echo server of two threads against what a client sends: what came back until the server hung up, what its
/// reader was told, and its sender.
fn serve(from_client: impl IntoIterator<Item = Vec<u8>>) -> (Vec<u8>, Vec<String>, Sender) {
    let (sender, receiver) = halves(Role::Server);
    let (to_server, server_pipe) = mpsc::channel();
    let (to_client, client_pipe) = mpsc::channel();
    let (to_writer, work) = mpsc::channel();
    let reader = thread::spawn(move || read(receiver, &server_pipe, &to_writer));
    let writer = thread::spawn(move || write(sender, &work, to_client));
    for bytes in from_client {
        to_server.send(bytes).expect("the server reads");
    }
    drop(to_server);
    within("the server's end", || {
        let back = client_pipe.iter().flatten().collect();
        (back, reader.join().expect("no panic"), writer.join().expect("no panic"))
    })
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "there are no threads there")]
fn two_threads_echo_and_answer_pings_and_close() {
    let mut client = open(Role::Client);
    let mut parts = vec![];
    for round in 0..100 {
        client.send_text(&format!("message {round}")).unwrap();
        parts.push(outbound(&mut client));
        client.ping(&[round]).unwrap();
        parts.push(outbound(&mut client));
    }
    client.close(Code::AWAY, "bye").unwrap();
    parts.push(outbound(&mut client));
    let (back, told, sender) = serve(parts);
    let mut expected = vec![];
    for round in 0..100 {
        expected.push(Event::Text(format!("message {round}").into()));
        expected.push(Event::Pong(vec![round].into()));
    }
    expected.push(Event::Close(Close { code: Code::AWAY, reason: "".into() }));
    assert_eq!(feed(&mut client, &back, 7), (expected, None));
    assert_eq!(told.len(), 101, "{told:?}");
    assert!(told[100].starts_with("Close("), "{}", told[100]);
    assert_eq!((sender.state(), sender.wants().transport), (State::Closed, Transport::Close));
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "there are no threads there")]
fn an_error_of_the_reader_is_answered_by_the_writer() {
    let (back, told, sender) = serve([client_frame(0x81, b"a"), client_frame(0x83, b""), client_frame(0x81, b"b")]);
    assert_eq!(unframe(&back), [(0x81, b"a".to_vec()), (0x88, b"\x03\xea".to_vec())]);
    assert_eq!(told, ["reserved opcode 0x3"]);
    assert_eq!((sender.state(), sender.wants().transport), (State::Closing, Transport::Shutdown));
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "there are no threads there")]
fn an_early_end_closes_both_halves() {
    let (back, told, sender) = serve([client_frame(0x81, b"a"), client_frame(0x01, b"half")]);
    assert_eq!(unframe(&back), [(0x81, b"a".to_vec())]);
    assert_eq!(told, ["transport ended without a closing handshake"]);
    assert_eq!(sender.wants().transport, Transport::Shutdown);
}

#[test]
fn halves_may_cross_threads() {
    fn crosses<T: Send + 'static>() {}
    crosses::<Receiver>();
    crosses::<Sender>();
    crosses::<Fact>();
    crosses::<Connection>();
    assert!(size_of::<Fact>() <= 128, "{} bytes", size_of::<Fact>());
}

// ---- facts

#[test]
fn only_what_the_sender_must_know_is_a_fact() {
    let close = Close { code: Code::from(4000), reason: "why".into() };
    for (event, fact) in [
        (Event::Ping(b"a"[..].into()), Some(Fact::Ping(control(b"a")))),
        (Event::Pong(b"b"[..].into()), Some(Fact::Pong(control(b"b")))),
        (Event::Close(close), Some(Fact::Close(Code::from(4000)))),
        (Event::Text("a".into()), None),
        (Event::Binary(b"a"[..].into()), None),
    ] {
        assert_eq!(event.fact(), fact);
    }
    assert_eq!(Fact::from(ProtocolError::MessageTooLong { len: 2, limit: 1 }), Fact::Failed(Some(Code::TOO_BIG)));
    assert_eq!(Fact::from(ProtocolError::UnexpectedEof), Fact::Failed(None));
}

#[test]
fn each_fact_has_its_answer() {
    let after = |facts: &[Fact]| {
        let (mut sender, _) = halves(Role::Server);
        facts.iter().for_each(|fact| sender.handle_fact(*fact));
        let out = unframe(&drain(&mut sender));
        let state = sender.state();
        assert_eq!(sender.send_text("x"), if state == State::Open { Ok(()) } else { Err(SendError::Closing) });
        drain(&mut sender);
        (out, state, sender.wants().transport)
    };
    let ping = |payload: &[u8]| Fact::Ping(control(payload));
    let pong = |payload: &[u8]| (0x8A, payload.to_vec());
    let close = |code: u16| (0x88, code.to_be_bytes().to_vec());
    assert_eq!(after(&[]), (vec![], State::Open, Transport::Open));
    assert_eq!(after(&[ping(b"a"), ping(b"b")]), (vec![pong(b"b")], State::Open, Transport::Open));
    assert_eq!(after(&[Fact::Pong(control(b"a"))]), (vec![], State::Open, Transport::Open));
    assert_eq!(after(&[Fact::Close(Code::AWAY)]), (vec![close(1001)], State::Closed, Transport::Close));
    assert_eq!(after(&[Fact::Close(Code::NO_STATUS)]), (vec![(0x88, vec![])], State::Closed, Transport::Close));
    let failed = Fact::Failed(Some(Code::TOO_BIG));
    assert_eq!(after(&[failed, ping(b"a")]), (vec![close(1009)], State::Closing, Transport::Shutdown));
    assert_eq!(after(&[failed, Fact::Eof]), (vec![close(1009)], State::Closed, Transport::Close));
    assert_eq!(after(&[Fact::Eof]), (vec![], State::Closed, Transport::Close));
}

// ---- the halves and the whole

#[test]
fn what_waits_and_what_is_under_way_survives_the_parting() {
    let mut whole = open(Role::Server);
    whole.send_text("waits").unwrap();
    whole.send_fragment(Kind::Text, b"caf\xc3", false).unwrap();
    whole.outbound().advance(3);
    feed(&mut whole, &client_frame(0x01, b"hel"), 5);
    let (mut sender, mut receiver) = whole.split().unwrap();
    assert_eq!(sender.send_text("no"), Err(SendError::FragmentUnderWay));
    sender.send_fragment(Kind::Text, b"\xa9", true).unwrap();
    assert_eq!(drain(&mut sender), b"aits\x01\x04caf\xc3\x80\x01\xa9");
    let mut rest = client_frame(0x80, b"lo");
    assert_eq!(receiver.receive(&mut &mut rest[..]), Ok(Some(Event::Text("hello".into()))));
}

#[test]
fn a_closing_connection_can_be_parted() {
    let mut whole = open(Role::Client);
    whole.close(Code::NORMAL, "").unwrap();
    let (mut sender, mut receiver) = whole.split().unwrap();
    let mut close = server_frame(0x88, b"");
    let event = receiver.receive(&mut &mut close[..]).unwrap().unwrap();
    sender.handle_fact(event.fact().unwrap());
    assert_eq!(unframe(&drain(&mut sender)), [(0x88, b"\x03\xe8".to_vec())]);
    assert_eq!((receiver.receive_eof(), sender.wants().transport), (Ok(()), Transport::Shutdown));
}

#[test]
fn a_connection_that_is_not_open_comes_back_as_it_was() {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let Err(mut server) = Connection::server(Config::default()).split() else { panic!("a server is not open") };
    let (events, _) = feed(&mut server, &[REQUEST, &client_frame(0x81, b"kept")].concat(), usize::MAX);
    let Err(mut server) = server.split() else { panic!("the request is not answered") };
    let [Event::Request(request)] = &events[..] else { panic!("{events:?}") };
    server.accept(request.accept()).unwrap();
    let Err(mut server) = server.split() else { panic!("a message was kept") };
    assert_eq!(server.receive(&mut &mut [][..]), Ok(Some(Event::Text("kept".into()))));
    assert_eq!(server.receive(&mut &mut [][..]), Ok(None));
    assert!(server.split().is_ok());

    let request = sockless::ClientRequest::new("ws://example.com/").unwrap();
    let client = Connection::client(&request, Config::default(), SEED).unwrap();
    let Err(mut client) = client.split() else { panic!("a client is not open") };
    assert_eq!(client.receive_eof(), Err(HandshakeError::UnexpectedEof.into()));
    assert!(client.split().is_err());

    let mut closed = open(Role::Server);
    feed(&mut closed, &client_frame(0x88, b""), usize::MAX);
    outbound(&mut closed);
    assert!(closed.split().is_err());
}

#[test]
fn the_sender_keeps_the_time_with_what_the_receiver_has_heard() {
    let (mut sender, mut receiver) = halves(Role::Server);
    let s = Duration::from_secs;
    assert_eq!(sender.handle_timeout(s(0), receiver.traffic().frames), Ok(()));
    let mut text = client_frame(0x81, b"x");
    receiver.receive(&mut &mut text[..]).unwrap();
    assert_eq!(sender.handle_timeout(s(15), receiver.traffic().frames), Ok(()));
    assert_eq!(sender.poll_timeout(), Some(s(35)));
    assert_eq!(sender.handle_timeout(s(35), receiver.traffic().frames), Ok(()));
    let ping = unframe(&drain(&mut sender));
    let mut pong = client_frame(0x8A, &ping[0].1);
    let event = receiver.receive(&mut &mut pong[..]).unwrap().unwrap();
    sender.handle_fact(event.fact().unwrap());
    assert_eq!(sender.handle_timeout(s(36), receiver.traffic().frames), Ok(()));
    assert_eq!(sender.round_trip(), Some(s(1)));
    assert_eq!(sender.handle_timeout(s(56), receiver.traffic().frames), Ok(()));
    drain(&mut sender);
    let error = sender.handle_timeout(s(76), receiver.traffic().frames);
    assert_eq!(error, Err(ProtocolError::PongTimeout));
    assert_eq!(unframe(&drain(&mut sender)), [(0x88, b"\x03\xf3".to_vec())]);
}

/// A frame that a peer may send, well-formed or not.
fn any_frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let first = proptest::sample::select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x89, 0x8A, 0x88]);
    let payload = prop_oneof![Just(vec![]), Just(vec![3, 232]), proptest::collection::vec(0x61..0x7A_u8, 0..10)];
    (first, payload)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_halves_and_their_facts_are_the_whole(
        client in any::<bool>(),
        frames in proptest::collection::vec(any_frame(), 0..12),
        cut in 1..30_usize,
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| frame_to(role, *first, payload)).collect();
        let mut whole = open(role);
        let expected = feed(&mut whole, &bytes, cut);

        let (mut sender, mut receiver) = halves(role);
        let (mut events, mut error) = (vec![], None);
        for part in bytes.chunks(cut) {
            let mut part = part.to_vec();
            let mut input = &mut part[..];
            loop {
                match receiver.receive(&mut input) {
                    Ok(None) => break,
                    Ok(Some(event)) => {
                        event.fact().into_iter().for_each(|fact| sender.handle_fact(fact));
                        events.push(event.into_owned());
                    }
                    Err(failure) => {
                        sender.handle_fact(failure.into());
                        error = Some(failure);
                    }
                }
            }
        }
        prop_assert_eq!((events, error), expected);
        prop_assert_eq!(sender.wants(), whole.wants());
        prop_assert_eq!(drain(&mut sender), outbound(&mut whole));
        prop_assert_eq!(sender.state(), whole.state());
        prop_assert_eq!(receiver.traffic(), whole.counters().received);
        prop_assert_eq!(sender.traffic(), whole.counters().sent);
    }
}

#[test]
fn halves_tell_their_driver_what_the_whole_does() {
    let (mut sender, mut receiver) = halves(Role::Server);
    let mut input: &mut [u8] = &mut b"\x81\x81\0\0\0\0a".clone();
    assert!(matches!(receiver.receive(&mut input), Ok(Some(Event::Text(_)))));
    sender.send_text("ab").unwrap();
    let counters = sender.counters(receiver.traffic());
    assert_eq!((counters.received.frames, counters.received.bytes, counters.queued), (1, 7, 4));
    assert_eq!(sender.outbound_limits(), Config::default().outbound);
    assert_eq!(receiver.negotiated(), Default::default());
}
