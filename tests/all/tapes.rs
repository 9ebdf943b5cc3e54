//! Tapes: their format, cut and hostile; that a recorded chat replays the same, and that a change is found where it is.

use crate::common::random::Random;
use bytes::Bytes;
use sockless::extensions::{Decode, Encode, Extension, Extensions, Output, Params, Part, Refused, Stage};
use sockless::testing::Pair;
use sockless::testing::tape::{Call, Recorder, Step, Tape, TapeError, Way};
use sockless::{
    ClientRequest, Code, Config, Connection, Event, Keepalive, Kind, Limits, Message, Negotiated, Outbound, Prepared,
    Reject, Role, Seed, SendError, State,
};
use sockless_test_support::watch;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn request() -> ClientRequest {
    ClientRequest::new("ws://pair.test/chat?room=1").unwrap()
}

fn config() -> Config {
    Config {
        #[cfg(feature = "deflate")]
        deflate: Some(sockless::Deflate { threshold: 16, takeover: true, peer_takeover: true, ..Default::default() }),
        ..Config::default()
    }
}

/// A pair that is recorded, and not open yet.
fn pair(request: &ClientRequest, server: Config, client: Config) -> Pair {
    watch();
    Pair::new(server, Recorder::client(request, client, Seed::new([9; 16])).unwrap())
}

/// Both tapes, which replay.
#[track_caller]
fn tapes(pair: &mut Pair) -> [Tape; 2] {
    let tapes = [&mut pair.client, &mut pair.server].map(|end| end.connection.take_tape());
    for tape in &tapes {
        assert_eq!(tape.replay(), Ok(()));
        assert_eq!(Tape::from_bytes(&tape.to_bytes()).as_ref(), Ok(tape));
    }
    tapes
}

fn gave<'t>(tape: &'t Tape, start: &str) -> Vec<&'t str> {
    tape.steps.iter().map(|step| &*step.gave).filter(|gave| gave.starts_with(start)).collect()
}

/// A chat of three clients, each with a server's side: what one says goes to all. Six connections are on one tape.
fn chat() -> Tape {
    const NAMES: [&str; 3] = ["anna", "bert", "cleo"];
    let mut random = Random(7);
    let mut pairs: Vec<_> = NAMES.iter().map(|_| pair(&request(), config(), config())).collect();
    let mut tape = Tape::default();
    for round in 0..25 {
        let mut said = vec![];
        for (index, pair) in pairs.iter_mut().enumerate() {
            pair.cut = 1 + random.below(60);
            pair.delay = ms(random.below(30) as u64);
            if round > 2 && random.percent(40) {
                let len = random.below(200);
                let text = format!("{} says {}", NAMES[index], random.text(len));
                pair.client.connection.send_text(&text).unwrap();
            }
            if round > 2 && random.percent(20) {
                pair.client.connection.ping(format!("ping {round}").as_bytes()).unwrap();
            }
            pair.advance_with(ms(10 + random.below(9000) as u64), |connection, event| {
                if let (Role::Server, Event::Text(text)) = (connection.role(), event) {
                    said.push(text.to_string());
                }
            });
        }
        for pair in &mut pairs {
            let connection = &mut pair.server.connection;
            if connection.state() == State::Open {
                said.iter().for_each(|text| connection.send_text(text).unwrap());
            }
        }
        // As whoever writes it to a file takes it: piece by piece.
        for (index, pair) in pairs.iter_mut().enumerate() {
            for (end, number) in [(&mut pair.client, 2 * index), (&mut pair.server, 2 * index + 1)] {
                let steps = end.connection.take_tape().steps.into_iter();
                tape.steps.extend(steps.map(|step| Step { connection: number as u32, ..step }));
            }
        }
    }
    tape
}

#[test]
fn a_chat_of_three_replays_a_thousand_times_the_same() {
    let tape = chat();
    let texts = gave(&tape, "text ").len();
    assert!(texts > 60, "{texts} messages");
    assert!(gave(&tape, "ping ").len() > 10 && gave(&tape, "pong ").len() > 10);
    assert_eq!((gave(&tape, "request ").len(), gave(&tape, "open ").len(), gave(&tape, "error ").len()), (3, 3, 0));
    #[cfg(feature = "deflate")]
    assert!(gave(&tape, "open ").iter().all(|_| tape.wire().any(|(_, _, bytes)| bytes.starts_with(b"\xc1"))));
    for _ in 0..1000 {
        assert_eq!(tape.replay(), Ok(()));
    }
}

#[test]
fn what_crossed_the_wire_is_what_the_other_end_got() {
    let mut pair = pair(&request(), config(), config());
    pair.run();
    pair.client.connection.send_text("hello").unwrap();
    pair.run();
    pair.client.connection.close(1000, "bye").unwrap();
    pair.run();
    let [client, server] = tapes(&mut pair);
    for from in [Role::Client, Role::Server] {
        let bytes = |tape: &Tape| -> Vec<u8> {
            tape.wire().filter(|(_, role, _)| *role == from).flat_map(|(.., bytes)| bytes.to_vec()).collect()
        };
        assert!(!bytes(&client).is_empty() && bytes(&client) == bytes(&server), "{from:?}");
    }
    assert_eq!(gave(&server, "close"), ["close 1000 \"bye\""]);
}

/// One changed byte of what came, or one changed result, is told with the call where it first shows.
#[test]
fn a_change_is_found_at_its_call() {
    let mut pair = pair(&request(), Config::default(), Config::default());
    pair.run();
    pair.client.connection.send_text("one").unwrap();
    pair.client.connection.send_text("two").unwrap();
    pair.run();
    let [_, tape] = tapes(&mut pair);
    let two = tape.steps.iter().position(|step| step.gave == "text \"two\"").unwrap();
    let came =
        tape.steps[..=two].iter().rposition(|step| matches!(&step.call, Call::Receive(bytes) if !bytes.is_empty()));

    let mut changed = tape.clone();
    let Call::Receive(bytes) = &mut changed.steps[came.unwrap()].call else { unreachable!() };
    *bytes.last_mut().unwrap() ^= 1;
    let difference = changed.replay().unwrap_err();
    assert_eq!((difference.step, difference.call, difference.unseen), (two, "receive", false));
    assert_eq!((&*difference.expected, &*difference.came), ("text \"two\"", "text \"twn\""));
    let text = format!("step {two}, receive of connection 0 at 0ns: text \"two\" on the tape, text \"twn\" now");
    assert_eq!(difference.to_string(), text);

    let mut changed = tape.clone();
    let take = tape.steps.iter().position(|step| matches!(&step.call, Call::Take(_))).unwrap();
    changed.steps[take].call = Call::Take(b"HTTP/1.1 200".to_vec());
    let difference = changed.replay().unwrap_err();
    assert_eq!((difference.step, difference.call), (take, "take"));
    assert_eq!((&*difference.expected, &*difference.came), ("bytes \"HTTP/1.1 200\"", "bytes \"HTTP/1.1 101\""));

    // Behind what is shown.
    let long = "long ".repeat(20);
    let mut pair = self::pair(&request(), Config::default(), Config::default());
    pair.run();
    pair.client.connection.send_text(&long).unwrap();
    pair.run();
    let [_, mut changed] = tapes(&mut pair);
    let came = changed.steps.iter().position(|step| step.gave.starts_with("text")).unwrap();
    let Call::Receive(bytes) = &mut changed.steps[came].call else { unreachable!() };
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(changed.replay().unwrap_err().step, came);

    // A call that is made no longer, and one of a connection that there is not.
    let mut changed = tape.clone();
    let accept = tape.steps.iter().position(|step| matches!(&step.call, Call::Accept(..))).unwrap();
    changed.steps.remove(accept);
    assert_eq!(changed.replay().unwrap_err().step, take - 1);
    changed.steps[2].connection = 1;
    assert_eq!(changed.replay().unwrap_err().came, "no connection");
}

#[test]
fn the_seed_is_on_the_tape_and_decides_the_masks() {
    let mut pair = pair(&request(), Config::default(), Config::default());
    pair.run();
    pair.client.connection.send_binary(&[0; 64]).unwrap();
    pair.run();
    let [client, _] = tapes(&mut pair);
    let mut bytes = client.to_bytes();
    let seed = bytes.windows(16).position(|window| window == [9; 16]).unwrap();
    bytes[seed] ^= 1;
    let difference = Tape::from_bytes(&bytes).unwrap().replay().unwrap_err();
    // The key of the request follows from it too.
    assert_eq!((difference.step, difference.call), (2, "take"));
}

#[test]
fn every_way_to_send_and_to_end_is_on_the_tape() {
    let mut pair = pair(&request(), config(), config());
    pair.run();
    let long = "long enough to be compressed ".repeat(9);
    for end in [&mut pair.client, &mut pair.server] {
        let connection = &mut end.connection;
        connection.send(Message::from(&*long)).unwrap();
        connection.send_shared(Kind::Binary, Bytes::from(long.clone())).unwrap();
        connection.send_prepared(&Prepared::text("prepared")).unwrap();
        connection.send_binary(&[7; 500]).unwrap();
        connection.set_outbound(Outbound { hard: 0, ..Outbound::default() });
        assert_eq!(connection.send_text("more"), Err(SendError::Full));
        connection.set_outbound(Outbound::default());
        connection.send_fragment(Kind::Text, b"h\xe2\x82", false).unwrap();
        assert_eq!(connection.send_text("more"), Err(SendError::FragmentUnderWay));
        connection.ping(b"ping").unwrap();
        connection.pong(b"pong").unwrap();
        connection.send_fragment(Kind::Text, b"\xac", true).unwrap();
        #[cfg(feature = "deflate")]
        {
            connection.send_with("short, short", sockless::Compress::Always).unwrap();
            connection.send_with(&*long, sockless::Compress::Never).unwrap();
        }
        connection.set_limits(Limits { message: 700, ..Limits::default() });
        connection.set_keepalive(Keepalive { ping: Some(ms(1)), ..Keepalive::default() });
    }
    pair.advance(ms(5));
    pair.client.connection.abort(Code::POLICY);
    pair.run();
    let [client, server] = tapes(&mut pair);
    assert_eq!(gave(&client, "refused"), ["refused Full", "refused FragmentUnderWay"]);
    assert_eq!(gave(&server, "close"), ["close 1008 \"\""]);
    for way in [Way::Copied, Way::Shared, Way::Prepared] {
        let is_it = |step: &&Step| matches!(&step.call, Call::Send(_, _, other) if *other == way);
        assert!(client.steps.iter().find(is_it).is_some(), "{way:?}");
    }
}

#[test]
fn what_was_asked_and_answered_in_the_handshake_is_on_the_tape() {
    let request = request()
        .subprotocol("a")
        .subprotocol("b")
        .header("Cookie", "id=7")
        .header("X-A", "b: c")
        .with_host("other.test:8080")
        .with_target("/a?b=%20");
    let mut pair = pair(&request, Config::default(), Config::default());
    pair.run_with(|connection, event| {
        if let Event::Request(request) = event {
            let accept = request.accept().subprotocol("b").header("Set-Cookie", "id=8").header("X-B", "c");
            connection.accept(accept).unwrap();
        }
    });
    let [client, _] = tapes(&mut pair);
    assert_eq!(gave(&client, "open").len(), 1);

    let mut pair = self::pair(&request, Config::default(), Config::default());
    pair.run_with(|connection, event| {
        if let Event::Request(_) = event {
            connection.answer(Reject::text(403, "go away").header("X-C", "d")).unwrap();
        }
    });
    let [client, server] = tapes(&mut pair);
    assert!(gave(&client, "rejected")[0].ends_with("with \"go away\""), "{client:?}");
    // The pair then tries to accept it all the same.
    assert_eq!(gave(&server, "refused"), [""; 0]);

    // A policy that only a client has: the browsers'.
    let request = request.with_subprotocol_policy(sockless::handshake::SubprotocolPolicy::Browser);
    let mut pair = self::pair(&request, Config::default(), Config::default());
    pair.run();
    let [client, _] = tapes(&mut pair);
    assert_eq!(gave(&client, "error"), ["error Handshake(Subprotocol)"]);
}

#[test]
fn an_open_connection_and_a_call_that_no_tape_holds() {
    watch();
    let mut recorder =
        Recorder::open(Role::Client, Negotiated::default(), Config::default(), Seed::new([1; 16])).numbered(4);
    recorder.set_time(ms(1500));
    recorder.send_text("a").unwrap();
    assert_eq!(recorder.take_outbound(2).len(), 2);
    assert_eq!(recorder.take_outbound(usize::MAX).len(), 5);
    let mut input = &mut { *b"\x81\x01a\x82\x01b" }[..];
    while recorder.receive(&mut input).unwrap().is_some() {}
    assert_eq!(recorder.receive_eof(), Err(sockless::ProtocolError::UnexpectedEof));
    let mut tape = recorder.take_tape();
    assert_eq!(tape.replay(), Ok(()));
    assert_eq!(gave(&tape, "text"), ["text \"a\""]);
    assert!(tape.steps[1..].iter().all(|step| (step.connection, step.at) == (4, ms(1500))));
    assert!(recorder.take_tape().steps.is_empty());

    let mut recorder = Recorder::open(Role::Client, Negotiated::default(), Config::default(), Seed::new([1; 16]));
    let connection: &mut Connection = &mut recorder;
    connection.send_text("unseen").unwrap();
    recorder.take_outbound(usize::MAX);
    tape = recorder.take_tape();
    let difference = tape.replay().unwrap_err();
    assert!(difference.unseen && difference.step == 2, "{difference}");
    assert!(
        difference.to_string().ends_with("nothing now; the tape lacks a call before")
            || difference.came == "bytes \"\""
    );
}

/// What passes it stays as it is. It panics at a second message, while it is said to be broken.
#[derive(Clone, Debug)]
struct Broken(Arc<AtomicBool>, bool);

impl Extension for Broken {
    fn name(&self) -> &str {
        "x-broken"
    }

    fn accept(&self, _: &Params) -> Option<(Params, Stage)> {
        Some((Params::new(), Stage::new(self.clone(), self.clone())))
    }

    fn agree(&self, _: &Params) -> Option<Stage> {
        Some(Stage::new(self.clone(), self.clone()))
    }
}

impl Encode for Broken {
    fn encode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<u8, Refused> {
        out.push(part.bytes).map(|()| 0)
    }
}

impl Decode for Broken {
    fn decode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<(), Refused> {
        assert!(!self.1 || !self.0.load(Ordering::Relaxed), "a failure that the test asked for");
        self.1 |= part.last;
        out.push(part.bytes)
    }
}

/// A call that does not return is the last on the tape: it panics again, and is where it differs once that is mended.
#[test]
#[cfg_attr(target_family = "wasm", ignore = "no panic is caught there")]
fn a_call_that_panics_is_on_the_tape() {
    let broken = Arc::new(AtomicBool::new(true));
    let config = Config { extensions: Extensions::new([Broken(broken.clone(), false)]), ..Config::default() };
    let mut pair = pair(&request(), config.clone(), config);
    pair.run();
    for text in ["one", "two"] {
        pair.client.connection.send_text(text).unwrap();
    }
    assert!(panic::catch_unwind(AssertUnwindSafe(|| pair.run())).is_err());
    let [client, server] = tapes(&mut pair);
    assert_eq!(gave(&client, "panic"), [""; 0]);
    let last = server.steps.len() - 1;
    assert_eq!((&*server.steps[last - 1].gave, &*server.steps[last].gave), ("text \"one\"", "panic"));

    broken.store(false, Ordering::Relaxed);
    let now = server.replay().unwrap_err();
    assert_eq!((now.step, now.call, &*now.expected, &*now.came), (last, "receive", "panic", "text \"two\""));
}

/// A codec that has compressed before may find other matches, so what replays has new ones.
#[cfg(feature = "deflate")]
#[test]
fn a_tape_replays_the_same_whatever_else_was_compressed() {
    use sockless::{Deflate, DeflateParams};
    let (window_bits, takeover) = (10, true);
    let params = DeflateParams { window_bits, peer_window_bits: window_bits, takeover, peer_takeover: false };
    let deflate = Deflate { level: 8, mem_level: 8, threshold: 0, window_bits, takeover, ..Deflate::default() };
    let config = Config { deflate: Some(deflate), ..Config::default() };
    let text = |number: u8, len| {
        let bytes = format!("{number} ").into_bytes().into_iter();
        bytes.chain("Straße € 𝄞 ".bytes().cycle()).take(len).collect::<Vec<u8>>()
    };
    let mut client = Recorder::open(Role::Client, params.try_into().unwrap(), config.clone(), Seed::new([9; 16]));
    for (number, len) in (0..).zip([55, 55, 55, 55, 55, 55, 2726]) {
        client.send_fragment(Kind::Text, &text(number, len), true).unwrap();
    }
    client.take_outbound(usize::MAX);
    let tape = client.take_tape();
    // Each message brings the codec back.
    let params = DeflateParams { takeover: false, ..params };
    let mut other = Connection::open(Role::Server, params.try_into().unwrap(), config, Seed::new([9; 16]));
    for len in 1000..1040 {
        other.send_binary(&text(7, len)).unwrap();
        assert_eq!(tape.replay(), Ok(()));
    }
}

#[test]
fn whatever_keeps_no_tape_has_none() {
    let mut recorder = Recorder::from(Connection::server(Config::default()));
    recorder.handle_timeout(ms(1)).unwrap();
    assert!(recorder.tape().is_none() && recorder.take_tape().steps.is_empty());
}

// ---- the format

#[test]
fn a_tape_cut_anywhere_is_read_up_to_the_cut() {
    let mut pair = pair(&request(), config(), config());
    pair.run();
    pair.client.connection.send_text("hello").unwrap();
    pair.run();
    let [tape, _] = tapes(&mut pair);
    let bytes = tape.to_bytes();
    let mut starts = vec![Tape::HEAD.len()];
    for step in &tape.steps {
        let mut out = vec![];
        step.write(&mut out);
        starts.push(starts.last().unwrap() + out.len());
    }
    assert_eq!(starts.last(), Some(&bytes.len()));
    for len in 0..=bytes.len() {
        let whole = starts.partition_point(|start| *start <= len).saturating_sub(1);
        let (read, wrong) = Tape::recover(&bytes[..len]);
        assert_eq!(read.steps, tape.steps[..whole], "{len}");
        let offset = if len < Tape::HEAD.len() { 0 } else { starts[whole] };
        let expected = (!starts.contains(&len)).then_some(TapeError::Cut { offset });
        assert_eq!(wrong, expected, "{len}");
        assert_eq!(read.replay(), Ok(()), "{len}");
    }
}

#[test]
fn bytes_that_are_no_tape() {
    let tape = |steps: &[u8]| Tape::from_bytes(&[&Tape::HEAD[..], steps].concat());
    assert_eq!(Tape::from_bytes(b"GET / HTTP/1.1"), Err(TapeError::Magic));
    assert_eq!(Tape::from_bytes(b"sl-tape\x02\x00"), Err(TapeError::Version(2)));
    assert_eq!(tape(b""), Ok(Tape::default()));
    // A step: its length, connection 0, at 0 s 0 ns, the end of input, which gave nothing.
    assert_eq!(tape(b"\x05\0\0\0\x02\0").unwrap().steps[0].call, Call::Eof);
    for (steps, offset) in [
        (&b"\x06\0\0\0\x02\0\0"[..], 8),                  // a byte too many
        (b"\x05\0\0\0\x02\0\x04\0\0\0\x02", 14),          // a byte too few, though the step is whole
        (b"\x05\0\0\0\x63\0", 8),                         // no such call
        (b"\x07\0\0\0\x01\xff\x7f\0", 8),                 // a length beyond the step
        (b"\x06\0\0\0\x02\x01\xff", 8),                   // no UTF-8
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 8), // no number
    ] {
        assert_eq!(tape(steps), Err(TapeError::Step { offset }), "{steps:?}");
    }
    // A length that lies is a cut, for more may come.
    assert_eq!(tape(b"\xff\xff\xff\xff\xff\xff\xff\x7f\0"), Err(TapeError::Cut { offset: 8 }));
}

/// Whatever bytes are changed, reading and replaying give an error or none, and end.
#[test]
fn a_tape_with_any_byte_changed_is_read_or_refused() {
    let mut pair = pair(&request(), config(), config());
    pair.run();
    pair.client.connection.send_text("hello").unwrap();
    pair.run();
    let [_, tape] = tapes(&mut pair);
    let bytes = tape.to_bytes();
    let mut found = [0; 2];
    for index in 0..bytes.len() {
        for bit in [0x01, 0x80] {
            let mut changed = bytes.clone();
            changed[index] ^= bit;
            let (read, wrong) = Tape::recover(&changed);
            let replayed = read.replay();
            found[0] += usize::from(wrong.is_some());
            found[1] += usize::from(wrong.is_none() && replayed.is_err());
        }
    }
    assert!(found[0] > 50 && found[1] > 100, "{found:?} of {}", bytes.len());
}
