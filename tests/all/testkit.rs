//! The test kit: two connections joined in memory, on a virtual clock, to test a handler without sockets.

use crate::common::SEED;
use bytes::Bytes;
use proptest::prelude::*;
use sockless::close::{Close, Code};
use sockless::testing::tape::Recorder;
use sockless::testing::{End, Pair};
use sockless::{
    ClientRequest, Config, Connection, Event, HandshakeError, Keepalive, Kind, Origins, ProtocolError, Role, State,
};
use std::time::Duration;

type Told = Result<Event<'static>, ProtocolError>;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn pair() -> Pair {
    Pair::open(Config::default(), Config::default())
}

fn text(text: &str) -> Told {
    Ok(Event::Text(text.to_owned().into()))
}

fn close(code: Code, reason: &str) -> Told {
    Ok(Event::Close(Close { code, reason: reason.to_owned().into() }))
}

fn quiet() -> Config {
    Config { keepalive: Keepalive { ping: None, ..Keepalive::default() }, ..Config::default() }
}

fn asking(request: ClientRequest) -> Connection {
    Connection::client(&request, Config::default(), SEED).unwrap()
}

fn ask() -> ClientRequest {
    ClientRequest::new("ws://pair.test/room?7").unwrap()
}

// ---- handlers

/// A handler as a user would write one: it counts for each client that asks it to.
fn counter(connection: &mut Connection, event: &Event<'static>, count: &mut u32) {
    let (Role::Server, Event::Text(text)) = (connection.role(), event) else { return };
    match &**text {
        "more" => {
            *count += 1;
            connection.send_text(&count.to_string()).unwrap();
        }
        "bytes" => connection.send_binary(&count.to_be_bytes()).unwrap(),
        "bye" => connection.close(Code::NORMAL, "was a pleasure").unwrap(),
        _ => connection.close(Code::UNSUPPORTED, "what?").unwrap(),
    }
}

/// What a client gets from the handler above, for all it sends.
fn answers(sent: &[&str], cut: usize) -> Vec<Told> {
    let mut count = 0;
    let mut pair = pair();
    pair.cut = cut;
    for text in sent {
        pair.client.connection.send_text(text).unwrap();
    }
    pair.run_with(|connection, event| counter(connection, event, &mut count));
    pair.client.take()
}

#[test]
fn a_handler_is_tested_by_what_it_answers() {
    for cut in [1, 2, 7, usize::MAX] {
        let count = Ok(Event::Binary(vec![0, 0, 0, 2].into()));
        assert_eq!(answers(&["more", "more", "bytes"], cut), [text("1"), text("2"), count]);
        assert_eq!(answers(&["more", "bye"], cut), [text("1"), close(Code::NORMAL, "was a pleasure")]);
        assert_eq!(answers(&["less"], cut), [close(Code::UNSUPPORTED, "what?")]);
    }
}

#[test]
fn a_handler_may_be_told_at_either_end() {
    let mut pair = pair();
    pair.client.connection.send_text("0").unwrap();
    pair.run_with(|connection, event| {
        if let Event::Text(text) = event {
            let number: u32 = text.parse().unwrap();
            if number < 5 {
                connection.send_text(&(number + 1).to_string()).unwrap();
            }
        }
    });
    assert_eq!(pair.server.take(), [text("0"), text("2"), text("4")]);
    assert_eq!(pair.client.take(), [text("1"), text("3"), text("5")]);
    assert_eq!(pair.client.take(), [], "each is taken once");
}

// ---- the opening handshake

#[test]
fn a_pair_may_be_watched_from_its_first_byte() {
    for cut in [1, usize::MAX] {
        let mut pair = Pair::new(Config::default(), asking(ask()));
        pair.cut = cut;
        pair.run();
        let [Ok(Event::Request(request))] = &pair.server.take()[..] else { panic!("no request") };
        assert_eq!((request.target(), request.host()), ("/room?7", Some("pair.test")));
        let [Ok(Event::Open(response))] = &pair.client.take()[..] else { panic!("no response") };
        assert_eq!(response.status(), 101);
        assert_eq!((pair.client.connection.state(), pair.server.connection.state()), (State::Open, State::Open));
    }
}

#[test]
fn a_handler_may_answer_the_request_itself() {
    let mut pair = Pair::new(Config::default(), asking(ask().subprotocol("chat")));
    pair.run_with(|connection, event| {
        if let Event::Request(request) = event {
            connection.accept(request.accept_first_subprotocol().header("Set-Cookie", "a=b")).unwrap();
            connection.send_text("welcome").unwrap();
        }
    });
    let [Ok(Event::Open(response)), welcome] = &pair.client.take()[..] else { panic!("not open") };
    assert_eq!((response.subprotocol(), response.header("set-cookie")), (Some("chat"), Some(&b"a=b"[..])));
    assert_eq!(*welcome, text("welcome"));
}

#[test]
fn a_handler_may_reject_the_request() {
    let mut pair = Pair::new(Config::default(), asking(ask()));
    pair.run_with(|connection, event| {
        if matches!(event, Event::Request(_)) {
            connection.reject(404, &[], b"no such room").unwrap();
        }
    });
    let [Ok(Event::Rejected(response))] = &pair.client.take()[..] else { panic!("not rejected") };
    assert_eq!((response.status(), response.body()), (404, &b"no such room"[..]));
    assert!(matches!(pair.server.take()[..], [Ok(Event::Request(_))]), "the server's answer is no event of its own");
    assert!(pair.client.is_closed() && pair.server.is_closed());
}

#[test]
fn an_answer_without_a_length_ends_with_the_servers_side_of_the_transport() {
    let mut pair = Pair::new(Config::default(), asking(ask()));
    pair.run_with(|connection, event| {
        if matches!(event, Event::Request(_)) {
            connection.reject(500, &[("Transfer-Encoding", "identity")], b"as long as it is").unwrap();
        }
    });
    let [Ok(Event::Rejected(response))] = &pair.client.take()[..] else { panic!("not rejected") };
    assert_eq!(response.body(), b"as long as it is");
    assert!(pair.client.is_closed() && pair.server.is_closed());
}

#[test]
fn a_request_against_the_configuration_is_refused() {
    let server = Config { origins: Origins::List(vec!["http://good.example".into()]), ..Config::default() };
    let mut pair = Pair::new(server, asking(ask().header("Origin", "http://evil.example")));
    pair.run();
    let [Ok(Event::Rejected(response))] = &pair.client.take()[..] else { panic!("not rejected") };
    assert_eq!(response.status(), 403);
    let told = pair.server.take();
    assert!(matches!(&told[..], [Ok(Event::Request(_)), Err(error)] if *error == HandshakeError::Origin.into()));
}

// ---- the wires

#[test]
fn bytes_take_their_time() {
    let mut pair = Pair::open(quiet(), quiet());
    pair.delay = ms(40);
    assert_eq!(pair.now(), ms(0));
    pair.client.connection.send_text("a").unwrap();
    pair.run();
    assert_eq!(pair.server.take(), []);
    pair.advance(ms(39));
    assert_eq!(pair.server.take(), []);
    pair.advance(ms(1));
    assert_eq!((pair.server.take(), pair.now()), (vec![text("a")], ms(40)));
    // There and back, in one go.
    pair.client.connection.ping(b"there?").unwrap();
    pair.advance(ms(79));
    assert_eq!(pair.client.take(), []);
    pair.advance(ms(1));
    assert_eq!(pair.client.take(), [Ok(Event::Pong(b"there?"[..].into()))]);
}

#[test]
fn bytes_keep_their_order_when_the_delay_changes() {
    let mut pair = Pair::open(quiet(), quiet());
    pair.delay = ms(100);
    pair.client.connection.send_text("slow").unwrap();
    pair.run();
    pair.delay = ms(1);
    pair.client.connection.send_text("fast").unwrap();
    pair.advance(ms(200));
    assert_eq!(pair.server.take(), [text("slow"), text("fast")]);
}

#[test]
fn a_full_wire_holds_its_writer_up() {
    let mut pair = Pair::open(quiet(), quiet());
    pair.window = 100;
    pair.server.reading = false;
    pair.client.connection.send_binary(&[7; 1000]).unwrap();
    pair.advance(ms(5000));
    assert_eq!(pair.client.connection.counters().queued, 1008 - 100);
    assert_eq!(pair.server.take(), []);
    pair.server.reading = true;
    pair.run();
    assert_eq!(pair.server.take(), [Ok(Event::Binary(vec![7; 1000].into()))]);
    assert_eq!(pair.client.connection.counters().queued, 0);
}

#[test]
fn an_end_above_its_soft_mark_is_not_read_from() {
    let mut config = quiet();
    config.outbound.soft = 500;
    let mut pair = Pair::open(config, quiet());
    pair.window = 1000;
    pair.delay = ms(1);
    pair.client.reading = false;
    let flood = |connection: &mut Recorder, event: &Event<'static>| {
        if matches!(event, Event::Text(_)) {
            connection.send_binary(&[7; 1000]).unwrap();
        }
    };
    for _ in 0..10 {
        pair.client.connection.send_text("more").unwrap();
    }
    pair.run_with(flood);
    // They are on the wire together, and come one by one.
    pair.cut = 10;
    pair.advance_with(ms(1), flood);
    assert_eq!(pair.server.take().len(), 2, "one answer is on the wire, and one waits");
    pair.client.reading = true;
    pair.advance_with(ms(100), flood);
    assert_eq!((pair.server.take().len(), pair.client.take().len()), (8, 10));
}

#[test]
fn a_killed_end_is_noticed_behind_what_it_had_sent() {
    let mut pair = Pair::open(quiet(), quiet());
    pair.delay = ms(10);
    pair.server.connection.send_text("last words").unwrap();
    pair.run();
    pair.server.kill();
    assert!(pair.server.is_closed());
    pair.client.connection.send_text("never arrives").unwrap();
    pair.advance(ms(10));
    assert_eq!(pair.client.take(), [text("last words"), Err(ProtocolError::UnexpectedEof)]);
    assert!(pair.client.is_closed());
    assert_eq!(pair.server.take(), []);
}

#[test]
fn both_ends_hang_up_after_a_clean_close() {
    for delay in [0, 30] {
        let mut pair = pair();
        pair.delay = ms(delay);
        pair.client.connection.close(Code::NORMAL, "done").unwrap();
        pair.run();
        assert_eq!(pair.client.is_closed(), delay == 0);
        // Its close frame, the answer, and the end of the transport behind it.
        pair.advance(ms(2 * delay));
        assert_eq!(pair.server.take(), [close(Code::NORMAL, "done")]);
        assert_eq!(pair.client.take(), [close(Code::NORMAL, "")]);
        assert!(pair.client.is_closed() && pair.server.is_closed());
    }
}

// ---- any operations

#[derive(Clone, Debug)]
enum Op {
    Text(bool, usize),
    Shared(bool, usize),
    Fragment(bool, usize, bool),
    Ping(bool, u8),
    Close(bool),
    Abort(bool),
    Reading(bool, bool),
    Kill(bool),
    Cut(usize),
    Delay(u64),
    Window(usize),
    Run,
    Advance(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let end = any::<bool>;
    let len = || prop_oneof![0..5_usize, 100..400_usize];
    let rare = proptest::bool::weighted(0.3);
    prop_oneof![
        8 => (end(), len()).prop_map(|(end, len)| Op::Text(end, len)),
        4 => (end(), len()).prop_map(|(end, len)| Op::Shared(end, len)),
        6 => (end(), len(), any::<bool>()).prop_map(|(end, len, last)| Op::Fragment(end, len, last)),
        4 => (end(), any::<u8>()).prop_map(|(end, byte)| Op::Ping(end, byte)),
        1 => end().prop_map(Op::Close),
        1 => (end(), rare).prop_map(|(end, abort)| if abort { Op::Abort(end) } else { Op::Run }),
        3 => (end(), any::<bool>()).prop_map(|(end, reading)| Op::Reading(end, reading)),
        1 => (end(), proptest::bool::weighted(0.2)).prop_map(|(end, kill)| if kill { Op::Kill(end) } else { Op::Run }),
        2 => prop_oneof![Just(1_usize), 2..50_usize, Just(usize::MAX)].prop_map(Op::Cut),
        2 => prop_oneof![Just(0_u64), 1..3000_u64].prop_map(Op::Delay),
        2 => prop_oneof![20..500_usize, Just(usize::MAX)].prop_map(Op::Window),
        6 => Just(Op::Run),
        3 => prop_oneof![0..100_u64, 100..30_000_u64].prop_map(Op::Advance),
    ]
}

/// What a pair did: what each end was told, and what each had sent whole before it closed.
#[derive(Debug, PartialEq)]
struct Trace {
    told: [Vec<Told>; 2],
    sent: [Vec<Vec<u8>>; 2],
    /// Whether the end was killed, or aborted, so that its messages need not arrive.
    gone: [bool; 2],
    killed: [bool; 2],
    closed: [bool; 2],
    now: Duration,
}

fn end(pair: &mut Pair, client: bool) -> &mut End {
    if client { &mut pair.client } else { &mut pair.server }
}

/// As long as all deadlines take one after the other: a pong that may still come, silence, its ping, and the close.
const ALL_DEADLINES: Duration = Duration::from_secs(20 + 20 + 20 + 10);

fn run(ops: &[Op]) -> Trace {
    let mut pair = pair();
    let mut sent = [vec![], vec![]];
    let mut half: [Vec<u8>; 2] = [vec![], vec![]];
    let mut gone = [false; 2];
    let mut killed = [false; 2];
    for (index, op) in ops.iter().enumerate() {
        let payload = |len: usize| vec![b'a' + (index % 26) as u8; len];
        match *op {
            Op::Text(client, len) => {
                let bytes = payload(len);
                if end(&mut pair, client).connection.send_text(str::from_utf8(&bytes).unwrap()).is_ok() {
                    sent[usize::from(client)].push(bytes);
                }
            }
            Op::Shared(client, len) => {
                let bytes = payload(len);
                let shared = Bytes::from(bytes.clone());
                if end(&mut pair, client).connection.send_shared(Kind::Binary, shared).is_ok() {
                    sent[usize::from(client)].push(bytes);
                }
            }
            Op::Fragment(client, len, last) => {
                let bytes = payload(len);
                if end(&mut pair, client).connection.send_fragment(Kind::Binary, &bytes, last).is_ok() {
                    half[usize::from(client)].extend(bytes);
                    if last {
                        sent[usize::from(client)].push(std::mem::take(&mut half[usize::from(client)]));
                    }
                }
            }
            Op::Ping(client, byte) => _ = end(&mut pair, client).connection.ping(&[byte; 3]),
            Op::Close(client) => _ = end(&mut pair, client).connection.close(Code::AWAY, "op"),
            Op::Abort(client) => {
                end(&mut pair, client).connection.abort(Code::RESTART);
                gone[usize::from(client)] = true;
            }
            Op::Reading(client, reading) => end(&mut pair, client).reading = reading,
            Op::Kill(client) => {
                end(&mut pair, client).kill();
                gone[usize::from(client)] = true;
                killed[usize::from(client)] = true;
            }
            Op::Cut(cut) => pair.cut = cut,
            Op::Delay(delay) => pair.delay = ms(delay),
            Op::Window(window) => pair.window = window,
            Op::Run => pair.run(),
            Op::Advance(millis) => pair.advance(ms(millis)),
        }
    }
    // One end closes, if it has not; the rest is the deadlines' work, whether the other reads or not.
    _ = pair.client.connection.close(Code::NORMAL, "end");
    pair.advance(ALL_DEADLINES);
    let told = [pair.server.take(), pair.client.take()];
    let closed = [pair.server.is_closed(), pair.client.is_closed()];
    pair.advance(ALL_DEADLINES);
    assert_eq!((pair.server.take(), pair.client.take()), (vec![], vec![]), "nothing follows");
    Trace { told, sent, gone, killed, closed, now: pair.now() }
}

fn is_terminal(told: &Told) -> bool {
    matches!(told, Err(_) | Ok(Event::Close(_) | Event::Rejected(_)))
}

fn messages(told: &[Told]) -> Vec<&[u8]> {
    let message = |told| match told {
        &Ok(Event::Text(ref text)) => Some(text.as_bytes()),
        Ok(Event::Binary(bytes)) => Some(&**bytes),
        _ => None,
    };
    told.iter().filter_map(message).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pair_always_ends_and_loses_nothing_before_the_close(ops in proptest::collection::vec(op(), 0..50)) {
        let trace = run(&ops);
        prop_assert_eq!(trace.closed, [true, true], "both have hung up");
        for (me, peer) in [(0, 1), (1, 0)] {
            let told = &trace.told[me];
            let ends = told.iter().filter(|told| is_terminal(told)).count();
            prop_assert!(ends == 1 || ends == 0 && trace.killed[me], "{} ends: {:?}", ends, told);
            prop_assert!(ends == 0 || is_terminal(told.last().unwrap()), "something follows the end: {:?}", told);
            let messages = messages(told);
            prop_assert!(messages.len() <= trace.sent[peer].len());
            prop_assert!(messages.iter().zip(&trace.sent[peer]).all(|(got, sent)| *got == sent), "in order, and whole");
            if matches!(told.last(), Some(Ok(Event::Close(_)))) && !trace.gone[peer] {
                prop_assert_eq!(messages.len(), trace.sent[peer].len(), "a close frame comes behind everything");
            }
        }
    }

    #[test]
    fn the_same_calls_give_the_same_trace(ops in proptest::collection::vec(op(), 0..30)) {
        prop_assert_eq!(run(&ops), run(&ops));
    }
}
