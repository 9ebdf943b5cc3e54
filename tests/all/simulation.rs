//! Two connections joined in memory on a virtual clock, under random scripts: messages of every kind, fragments, pings,
//! pauses, slow and hanging readers, lost peers, closes and aborts from either side, with and without compression.
//!
//! Each run follows from its seed. One that fails prints it, and `SOCKLESS_SEED=7 cargo test --all-features --test
//! simulation` replays it; `SOCKLESS_RUNS=100000` makes so many runs of each test. It leaves a tape of either end too, which
//! `sockless replay` takes. The tape of each run that does not fail is replayed.

use crate::common::budget::{Load, budget};
use crate::common::heap;
use crate::common::random::{Random, Replay, seeds};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sockless::testing::tape::{Recorder, Tape};
use sockless::testing::{End, Pair};
use sockless::{
    ClientRequest, Code, Config, Connection, Event, HandshakeError, Keepalive, Kind, Message, Prepared, ProtocolError,
    Role, Seed, SendError, State,
};
use sockless_test_support::watch;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::mem;
use std::panic;
use std::thread;
use std::time::Duration;

const BOTH: [Role; 2] = [Role::Client, Role::Server];

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

// ---- what one end was told to do and has said

/// A message that a connection took, or as much as it took of one.
struct Sent {
    kind: Kind,
    bytes: Vec<u8>,
    /// Frames that the caller made of it.
    fragments: u32,
}

/// What an end was told and has said, to hold the other end against.
struct Side {
    config: Config,
    /// The messages that it took.
    sent: Vec<Sent>,
    /// The message in fragments that is under way, and what is still to be sent of it.
    under_way: Option<(Sent, Vec<u8>)>,
    pings: Vec<Vec<u8>>,
    pongs: Vec<Vec<u8>>,
    /// The codes that it was told to close with.
    codes: Vec<Code>,
    aborted: bool,
    killed: bool,
    /// How many of the peer's messages, pings and pongs of its own came.
    heard: usize,
    pinged: usize,
    ponged: usize,
    /// How many of its own pings were answered or passed over.
    answered: usize,
    /// How many messages its handler has seen.
    handled: usize,
    /// How the connection ended.
    end: Option<Result<Code, ProtocolError>>,
    /// Bytes of the largest message that it took, framed.
    largest: usize,
    /// Messages that it may hold by reference.
    shared: usize,
}

/// What a handler sends at once when a fifth message has come.
const REPLY: &str = "a reply";

impl Side {
    fn new(config: Config) -> Self {
        Self {
            config,
            sent: vec![],
            under_way: None,
            pings: vec![],
            pongs: vec![],
            codes: vec![],
            aborted: false,
            killed: false,
            heard: 0,
            pinged: 0,
            ponged: 0,
            answered: 0,
            handled: 0,
            end: None,
            largest: 0,
            shared: 0,
        }
    }

    /// Whether a message was taken; a refusal has to have its reason.
    fn judge(&self, connection: &Connection, result: Result<(), SendError>) -> bool {
        let state = connection.state();
        let queued = connection.counters().queued;
        match result {
            Ok(()) => {}
            Err(SendError::Full) => assert!(queued > self.config.outbound.hard, "full with {queued} bytes"),
            Err(SendError::FragmentUnderWay) => assert!(self.under_way.is_some()),
            Err(SendError::NotOpen) => assert!(state == State::Connecting || self.aborted || self.end.is_some()),
            Err(SendError::Closing) => assert!(!self.codes.is_empty() || self.end.is_some(), "closing by itself"),
            Err(error) => panic!("{error}"),
        }
        result.is_ok()
    }

    /// Keeps what `send` took.
    fn took(&mut self, connection: &Connection, result: Result<(), SendError>, kind: Kind, bytes: Vec<u8>) {
        if self.judge(connection, result) {
            self.weigh(bytes.len());
            self.sent.push(Sent { kind, bytes, fragments: 1 });
        }
    }

    fn weigh(&mut self, len: usize) {
        let fragments = len.checked_div(self.config.outbound.fragment).unwrap_or(0) + 1;
        // Each has a header and a mask; a deflated one may grow by an eighth.
        self.largest = self.largest.max(len + len / 8 + 80 + fragments * 14);
    }

    /// The handler of both ends.
    fn handle(&mut self, connection: &mut Recorder, event: &Event<'_>) {
        if let Event::Text(_) | Event::Binary(_) | Event::Unchecked(_) = event {
            self.handled += 1;
            if self.handled.is_multiple_of(5) {
                let result = connection.send_text(REPLY);
                self.took(connection, result, Kind::Text, REPLY.into());
            }
        }
    }

    /// Whether it may refuse a message of the peer's with this error.
    fn refuses(&self, message: &Sent, error: ProtocolError) -> bool {
        let limits = &self.config.limits;
        match error {
            ProtocolError::TooManyFragments { limit } => limit == limits.fragments && message.fragments > limit,
            ProtocolError::MessageTooLong { len, limit } => {
                limit as usize == limits.message && len > limit && message.bytes.len() > limit as usize
            }
            _ => false,
        }
    }

    fn is_refused(&self, message: &Sent) -> bool {
        let limits = &self.config.limits;
        message.fragments > limits.fragments || message.bytes.len() > limits.message
    }

    /// Holds the next event against what the peer was told to do.
    fn hear(&mut self, event: Result<Event<'static>, ProtocolError>, peer: &Self) {
        assert_eq!(self.end, None, "{event:?} behind the end");
        match event {
            Ok(Event::Text(text)) => self.hear_message(Kind::Text, text.as_bytes(), peer),
            Ok(Event::Unchecked(bytes)) => self.hear_message(Kind::Text, &bytes, peer),
            Ok(Event::Binary(bytes)) => self.hear_message(Kind::Binary, &bytes, peer),
            // Those of one byte are the keepalive's.
            Ok(Event::Ping(payload) | Event::Pong(payload)) if payload.len() == 1 => {}
            Ok(Event::Ping(payload)) => {
                assert_eq!(peer.pings[self.pinged], *payload, "ping {}", self.pinged);
                self.pinged += 1;
            }
            Ok(Event::Pong(payload)) if payload.starts_with(b"pong") => {
                assert_eq!(peer.pongs[self.ponged], *payload, "pong {}", self.ponged);
                self.ponged += 1;
            }
            Ok(Event::Pong(payload)) => {
                // Of many pings the newest is answered, and none twice.
                let passed = self.pings[self.answered..].iter().position(|ping| *ping == *payload);
                self.answered += 1 + passed.expect("a ping that waits for an answer");
            }
            Ok(Event::Request(_) | Event::Open(_)) => {}
            Ok(Event::Close(close)) => self.end = Some(Ok(close.code)),
            Ok(Event::Rejected(response)) => {
                assert_eq!(response.status(), 408);
                self.end = Some(Err(HandshakeError::Timeout.into()));
            }
            Ok(event) => panic!("{event:?}"),
            Err(error) => self.end = Some(Err(error)),
        }
    }

    fn hear_message(&mut self, kind: Kind, bytes: &[u8], peer: &Self) {
        let Some(sent) = peer.sent.get(self.heard) else { panic!("a message that was not sent") };
        assert!(sent.kind == kind && sent.bytes == bytes, "message {}: {} bytes", self.heard, bytes.len());
        assert!(!self.is_refused(sent), "message {}: {} bytes against the limits", self.heard, bytes.len());
        self.heard += 1;
    }

    /// Whether the end that it told is one that fits to what both were told.
    fn judge_end(&self, peer: &Self) {
        let gone = |side: &Self| side.killed || side.aborted || matches!(side.end, Some(Err(_)));
        match self.end {
            None => {}
            Some(Ok(code)) => {
                if !peer.aborted {
                    let heard = (self.heard, self.pinged, self.ponged);
                    let sent = (peer.sent.len(), peer.pings.len(), peer.pongs.len());
                    assert_eq!(heard, sent, "all that was sent before the close frame");
                }
                let of_error = match peer.end {
                    Some(Err(error)) => error.close_code(),
                    _ => None,
                };
                let known = [&peer.codes[..], &self.codes].iter().any(|codes| codes.contains(&code));
                assert!(known || of_error == Some(code), "closed with {code}");
            }
            Some(Err(error @ (ProtocolError::MessageTooLong { .. } | ProtocolError::TooManyFragments { .. }))) => {
                let next = peer.sent.get(self.heard).or(peer.under_way.as_ref().map(|(sent, _)| sent));
                assert!(next.is_some_and(|next| self.refuses(next, error)), "{error}");
            }
            Some(Err(ProtocolError::UnexpectedEof | ProtocolError::Handshake(HandshakeError::UnexpectedEof))) => {
                assert!(gone(self) || gone(peer), "nobody has left");
            }
            Some(Err(ProtocolError::CloseTimeout)) => assert!(!self.codes.is_empty()),
            Some(Err(ProtocolError::PongTimeout | ProtocolError::IdleTimeout | ProtocolError::MessageTimeout)) => {}
            Some(Err(ProtocolError::Handshake(HandshakeError::Timeout))) => {}
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

// ---- what they are told

fn a_config(random: &mut Random, most: usize, fragments: u32, compressed: bool) -> Config {
    let seconds = |random: &mut Random, most| Some(Duration::from_secs(1 + random.below(most) as u64));
    let mut config = Config::default();
    config.limits.message = most;
    config.limits.fragments = fragments;
    config.outbound.soft = random.pick(&[0, 1000, 64 << 10]);
    config.outbound.hard = random.pick(&[0, 1000, 64 << 10, 64 << 10]);
    config.outbound.retain = random.pick(&[0, 1000]);
    if fragments > 9 {
        config.outbound.fragment = random.pick(&[0, most / 8, most]);
    }
    config.keepalive = Keepalive {
        handshake: seconds(random, 10),
        ping: seconds(random, 30),
        pong: seconds(random, 20),
        idle: seconds(random, 60).filter(|_| random.percent(10)),
        close: seconds(random, 10),
        ..Keepalive::default()
    };
    // Of what is random already, so that the runs stay as they were.
    config.keepalive.message = config.keepalive.idle.or(config.keepalive.ping.filter(|ping| ping.as_secs() % 5 == 4));
    config.check_utf8 = random.percent(80);
    if compressed {
        compress(random, &mut config);
    }
    config
}

#[cfg(feature = "deflate")]
fn compress(random: &mut Random, config: &mut Config) {
    config.deflate = Some(sockless::Deflate {
        level: random.pick(&[1, 6, 9]),
        mem_level: random.pick(&[1, 5, 9]),
        threshold: random.pick(&[0, 100, 1000]),
        window_bits: 9 + random.below(7) as u8,
        peer_window_bits: 9 + random.below(7) as u8,
        takeover: random.percent(50),
        peer_takeover: random.percent(50),
        ..sockless::Deflate::default()
    });
}

#[cfg(not(feature = "deflate"))]
fn compress(_: &mut Random, _: &mut Config) {}

/// The length of a message, mostly at an edge, and now and then beyond what the peer takes.
fn a_length(random: &mut Random, most: usize) -> usize {
    match random.below(200) {
        0 => most + 1,
        1..8 => most,
        8..15 => most - 1,
        15..100 => random.pick(&[0, 1, 125, 126]),
        _ => random.below(most.min(2000)),
    }
}

fn a_message(random: &mut Random, most: usize) -> (Kind, Vec<u8>) {
    let len = a_length(random, most);
    if random.percent(50) { (Kind::Text, random.text(len).into()) } else { (Kind::Binary, random.bytes(len)) }
}

fn send(random: &mut Random, connection: &mut Recorder, side: &mut Side) {
    let (kind, bytes) = a_message(random, side.config.limits.message);
    let text = || str::from_utf8(&bytes).unwrap();
    side.shared += 1;
    let result = match (random.below(6), kind) {
        (0, _) => connection.send_shared(kind, bytes.clone().into()),
        (1, Kind::Text) => connection.send_prepared(&Prepared::text(text())),
        (1, Kind::Binary) => connection.send_prepared(&Prepared::binary(&bytes)),
        (2, Kind::Text) => connection.send_written(kind, |writer| write!(writer, "{}", text()).unwrap()),
        (3, _) => connection.send(&match kind {
            Kind::Text => Message::from(text()),
            Kind::Binary => Message::from(&bytes[..]),
        }),
        (_, Kind::Text) => connection.send_text(text()),
        (_, Kind::Binary) => connection.send_binary(&bytes),
    };
    side.took(connection, result, kind, bytes);
}

/// Sends the next fragment of the message under way, or of a new one.
fn send_fragment(random: &mut Random, connection: &mut Recorder, side: &mut Side, last: bool) {
    let (kind, mut rest) = match &mut side.under_way {
        Some((sent, rest)) => (sent.kind, mem::take(rest)),
        None => a_message(random, side.config.limits.message),
    };
    let part: Vec<u8> = rest.drain(..if last { rest.len() } else { random.below(rest.len() + 1) }).collect();
    send_part(connection, side, kind, part, last);
    if let Some((_, left)) = &mut side.under_way {
        left.extend(rest);
    }
}

/// Sends a fragment; what is not taken is left for the next.
fn send_part(connection: &mut Recorder, side: &mut Side, kind: Kind, part: Vec<u8>, last: bool) {
    let result = connection.send_fragment(kind, &part, last);
    let taken = side.judge(connection, result);
    if !taken && let Some((_, left)) = &mut side.under_way {
        left.extend(part);
    } else if taken {
        side.weigh(part.len());
        let begun = side.under_way.take().map(|(sent, _)| sent);
        let mut sent = begun.unwrap_or(Sent { kind, bytes: vec![], fragments: 0 });
        sent.bytes.extend(part);
        sent.fragments += 1;
        if last {
            side.sent.push(sent);
        } else {
            side.under_way = Some((sent, vec![]));
        }
    }
}

fn ping(random: &mut Random, connection: &mut Recorder, side: &mut Side) {
    let mut payload = [b"ping", &(side.pings.len() as u32).to_be_bytes()[..]].concat();
    payload.resize(8 + random.below(118), b'.');
    let result = connection.ping(&payload);
    if side.judge(connection, result) {
        side.pings.push(payload);
    }
}

fn pong(connection: &mut Recorder, side: &mut Side) {
    let payload = [b"pong", &(side.pongs.len() as u32).to_be_bytes()[..]].concat();
    let result = connection.pong(&payload);
    if side.judge(connection, result) {
        side.pongs.push(payload);
    }
}

fn close(random: &mut Random, connection: &mut Recorder, side: &mut Side) {
    let code = random.pick(&[Code::NORMAL, Code::AWAY, Code::NO_STATUS, Code::from(4999)]);
    let reason = if code == Code::NO_STATUS { "" } else { random.pick(&["", "\u{20ac}"]) };
    let result = connection.close(code, reason);
    assert_ne!(result, Err(SendError::Full), "a close frame always has room");
    if side.judge(connection, result) {
        side.codes.push(code);
    }
}

fn abort(connection: &mut Recorder, side: &mut Side) {
    connection.abort(Code::POLICY);
    side.codes.push(Code::POLICY);
    side.aborted = true;
}

fn kill(end: &mut End, side: &mut Side) {
    end.kill();
    side.killed = true;
}

// ---- a run

/// Two ends, and all that is known of them.
struct Run {
    pair: Pair,
    client: Side,
    server: Side,
    /// Nothing has happened that ends a connection but by a closing handshake.
    calm: bool,
}

impl Run {
    fn new(random: &mut Random, server: Config, client: Config) -> Self {
        watch();
        let request = ClientRequest::new("ws://pair.test/").unwrap();
        let seed = Seed::new([random.next() as u8; 16]);
        let connection = Recorder::client(&request, client.clone(), seed).unwrap();
        let calm = client.keepalive.idle.or(server.keepalive.idle).is_none();
        let pair = Pair::new(server.clone(), connection);
        Self { pair, client: Side::new(client), server: Side::new(server), calm }
    }

    fn random(random: &mut Random, compressed: bool) -> Self {
        let most = random.pick(&[126, 1000, 70_000]);
        let fragments = random.pick(&[3, 4096]);
        let server = a_config(random, most, fragments, compressed);
        let client = a_config(random, most, fragments, compressed);
        let mut run = Self::new(random, server, client);
        if random.percent(50) {
            run.pair.cut = 1 + random.below(most / 10);
            run.pair.delay = ms(random.below(100) as u64);
        }
        if random.percent(80) {
            run.advance(4 * run.pair.delay);
        }
        run
    }

    /// One end, and the last that was told of it.
    fn end(&mut self, role: Role) -> (&mut End, &mut Side) {
        match role {
            Role::Client => (&mut self.pair.client, &mut self.client),
            Role::Server => (&mut self.pair.server, &mut self.server),
        }
    }

    /// Lets time pass, and checks what is said and what is held.
    fn advance(&mut self, time: Duration) {
        let Self { pair, client, server, .. } = self;
        pair.advance_with(time, |connection, event| match connection.role() {
            Role::Client => client.handle(connection, event),
            Role::Server => server.handle(connection, event),
        });
        self.check();
    }

    fn check(&mut self) {
        let Self { pair, client, server, .. } = self;
        pair.client.take().into_iter().for_each(|event| client.hear(event, server));
        pair.server.take().into_iter().for_each(|event| server.hear(event, client));
        client.judge_end(server);
        server.judge_end(client);
        for (end, side) in [(&pair.client, client), (&pair.server, server)] {
            // A pong, a ping of the keepalive's and a close frame have room beside what was sent, and so has a head.
            let most = side.config.outbound.hard + side.largest.max(131) + 3 * 131 + 512;
            let counters = end.connection.counters();
            assert!(counters.most_queued as usize <= most, "{counters:?} of {most}");
            assert!(!end.is_closed() || side.end.is_some() || side.killed, "closed without a word");
        }
    }

    fn step(&mut self, random: &mut Random) {
        let role = random.pick(&BOTH);
        let slow = !self.pair.delay.is_zero();
        let (end, side) = self.end(role);
        if side.killed {
            return;
        }
        let connection = &mut end.connection;
        match random.below(200) {
            0..80 => send(random, connection, side),
            80..104 => {
                let last = random.percent(60);
                send_fragment(random, connection, side, last);
            }
            104..112 => ping(random, connection, side),
            112..118 => pong(connection, side),
            118..122 => connection.swap_outbox(&mut vec![]),
            122..185 => {
                let time = random.pick(&[0, 0, 1, 50, 500, 5000]);
                self.advance(ms(time));
            }
            185..192 => {
                let most = side.config.limits.message;
                self.pair.cut = 1 + random.below(most / 10);
                self.pair.window = 1 + most / 10 + random.below(most);
                self.calm &= !slow;
            }
            192..196 if random.percent(30) => {
                end.reading = !end.reading;
                self.calm = false;
            }
            196 if random.percent(40) => {
                let calm = side.under_way.is_none();
                close(random, connection, side);
                self.calm &= calm;
            }
            197 if random.percent(30) => {
                abort(connection, side);
                self.calm = false;
            }
            198 if random.percent(30) => {
                kill(end, side);
                self.calm = false;
            }
            _ => {}
        }
    }

    /// The end of a run: whatever was going on, the deadlines end it.
    fn finish(&mut self, random: &mut Random) {
        let role = random.pick(&BOTH);
        let both = random.percent(10);
        for role in BOTH.into_iter().filter(|other| *other == role || both) {
            let (end, side) = self.end(role);
            if !side.killed {
                match random.below(10) {
                    0 => kill(end, side),
                    _ if end.connection.state() == State::Connecting => abort(&mut end.connection, side),
                    1 => abort(&mut end.connection, side),
                    _ => close(random, &mut end.connection, side),
                }
                let calm = !side.killed && !side.aborted;
                self.calm &= calm;
            }
        }
        for role in BOTH {
            let (end, side) = self.end(role);
            if side.under_way.is_some() && !side.killed && random.percent(50) {
                send_fragment(random, &mut end.connection, side, true);
            }
            let calm = side.under_way.is_none();
            self.calm &= calm;
        }
        self.end_by_deadlines();
    }

    fn end_by_deadlines(&mut self) {
        let time = [&self.client, &self.server].map(|side| {
            let Keepalive { handshake, ping, pong, close, .. } = side.config.keepalive;
            // A peer that is there but slow is asked twice.
            let times = [handshake, ping, ping, pong, pong, close];
            times.into_iter().flatten().sum::<Duration>()
        });
        self.advance(time.into_iter().sum::<Duration>() + 10 * self.pair.delay);
        for role in BOTH {
            let (end, side) = self.end(role);
            if !side.killed {
                assert!(end.is_closed(), "{role:?} does not end: {end:?}");
                assert!(side.end.is_some(), "{role:?} has not said how it ended");
                assert_eq!(end.connection.poll_timeout(), None, "{role:?} wants more time");
            }
        }
        let broken = [(&self.client, &self.server), (&self.server, &self.client)].iter().any(|(side, peer)| {
            let under_way = peer.under_way.iter().map(|(sent, _)| sent);
            peer.sent.iter().chain(under_way).any(|sent| side.is_refused(sent))
        });
        if self.calm && !broken {
            let ends = (self.client.end, self.server.end);
            assert!(matches!(ends, (Some(Ok(_)), Some(Ok(_)))), "{ends:?} although nothing was wrong");
        }
    }

    /// Does something; where that panics, the tapes of both ends are left, and it says where.
    fn keeping_tapes<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let done = panic::catch_unwind(panic::AssertUnwindSafe(|| work(self)));
        done.unwrap_or_else(|panic| {
            for role in BOTH {
                let tape = self.end(role).0.connection.take_tape().to_bytes();
                let file = format!("{}/{}-{role:?}.tape", env!("CARGO_TARGET_TMPDIR"), test_name());
                eprintln!("{role:?}, to be replayed by `sockless replay {file}`: {:?}", fs::write(&file, &tape));
                // Whoever has no more than what was printed can make the file of it by `base64 -d`.
                if tape.len() < 16 << 10 {
                    eprintln!("{}", STANDARD.encode(&tape));
                }
            }
            panic::resume_unwind(panic)
        })
    }

    /// Plays both tapes to connections of their own.
    fn replay(&mut self) {
        for role in BOTH {
            let replayed = self.end(role).0.connection.tape().map(Tape::replay);
            assert_eq!(replayed, Some(Ok(())), "{role:?}");
        }
    }

    /// Weighs what both connections hold now.
    fn weigh(self) {
        for (end, side) in [(self.pair.client, self.client), (self.pair.server, self.server)] {
            let counters = end.connection.counters();
            let load = Load {
                received: usize::MAX,
                sent: side.largest,
                beside: side.pings.len() + side.pongs.len() + side.shared,
                opening: end.connection.state() == State::Connecting,
                compressed: true,
            };
            let most = budget(&side.config, load);
            let connection = end.connection.into_connection();
            let ((), used) = heap::used(|| drop(connection));
            assert!(used.held.unsigned_abs() <= most, "{used:?} of {most}, {counters:?}");
        }
    }
}

/// The name of the test, as that of a file.
fn test_name() -> String {
    thread::current().name().unwrap_or_default().replace(':', "-")
}

/// Runs the scripts of the seeds; how the connections ended.
fn run(usual: u64, compressed: bool) {
    let seeds = seeds(usual);
    let whole = seeds == (0..usual);
    let mut ends = BTreeSet::new();
    let mut messages = 0;
    for seed in seeds {
        let _replay = Replay(seed);
        let mut random = Random(seed);
        let mut run = Run::random(&mut random, compressed);
        let is_weighed = run.keeping_tapes(|run| {
            for _ in 0..random.below(300) {
                run.step(&mut random);
            }
            run.check();
            let is_weighed = random.percent(20);
            if !is_weighed {
                run.finish(&mut random);
            }
            run.replay();
            is_weighed
        });
        if is_weighed {
            run.weigh();
            continue;
        }
        messages += run.client.heard + run.server.heard;
        for end in [run.client.end, run.server.end].into_iter().flatten() {
            ends.insert(match end {
                Ok(code) => code.to_string(),
                // Without its limits.
                Err(error) => format!("{error:?}").split(" {").next().unwrap_or_default().to_owned(),
            });
        }
    }
    if whole {
        println!("{usual} runs: {messages} messages; {ends:?}");
        // All that can happen does, or the runs prove less than they seem to.
        assert!(messages as u64 > 10 * usual);
    }
    if whole && !compressed {
        for error in [
            "MessageTooLong",
            "TooManyFragments",
            "UnexpectedEof",
            "PongTimeout",
            "IdleTimeout",
            "MessageTimeout",
            "CloseTimeout",
            "Handshake(UnexpectedEof)",
        ] {
            assert!(ends.contains(error), "{error} has not happened");
        }
        for code in [1000, 1001, 1005, 1008, 1009, 1011, 4999] {
            assert!(ends.contains(&Code::from(code).to_string()), "{code} has not happened");
        }
    }
}

#[test]
fn random_scripts() {
    run(600, false);
}

#[cfg(feature = "deflate")]
#[test]
fn random_scripts_with_compression() {
    run(100, true);
}

// ---- every operation fails once

/// What breaks, and for good.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// An end is gone: the other reads what was on its way, and then the end of the transport.
    Kill,
    /// An end no longer reads.
    Hang,
    /// No end can write.
    Refuse,
    /// A call on an end's transport fails.
    Error,
}

impl Run {
    /// What both ends do in a scenario, so many turns after they are open.
    fn act(&mut self, turns: &mut [u32; 2]) {
        for (role, turn) in BOTH.into_iter().zip(turns) {
            let (end, side) = self.end(role);
            let connection = &mut end.connection;
            if connection.state() != State::Open {
                continue;
            }
            match turn {
                0 => {
                    ping(&mut Random(1), connection, side);
                    for text in ["one", "two", "a third, and a longer one, so that it takes some turns"] {
                        let result = connection.send_text(text);
                        side.took(connection, result, Kind::Text, text.into());
                    }
                }
                3 => send_part(connection, side, Kind::Text, b"h\xe2\x82".into(), false),
                9 => send_part(connection, side, Kind::Text, b"\xac".into(), true),
                20 => close(&mut Random(1), connection, side),
                _ => {}
            }
            *turn += 1;
        }
    }

    fn fail(&mut self, fault: Fault, role: Role) {
        let (end, side) = self.end(role);
        match fault {
            Fault::Kill => kill(end, side),
            Fault::Hang => end.reading = false,
            Fault::Refuse => self.pair.window = 0,
            Fault::Error => {
                let told = side.end.is_some();
                let result = end.connection.receive_eof();
                assert_eq!(result.is_err(), !told, "{result:?}");
                assert_eq!(end.connection.receive_eof(), Ok(None), "not twice");
                kill(end, side);
            }
        }
    }
}

/// Runs a scenario over and over, and each time the transport fails in another turn. In a turn each end reads once and
/// writes once, `cut` bytes.
fn every_turn_fails(cut: usize, config: &Config) {
    for fault in [Fault::Kill, Fault::Hang, Fault::Refuse, Fault::Error] {
        for role in BOTH {
            let turns = (0..).take_while(|n| fails_after(*n, cut, config, fault, role)).count();
            assert!(turns > 20, "{fault:?}: {turns} turns");
        }
    }
}

/// The scenario with a transport that fails after `n` turns; false if the scenario has ended by then.
fn fails_after(n: usize, cut: usize, config: &Config, fault: Fault, role: Role) -> bool {
    let mut random = Random(1);
    let mut run = Run::new(&mut random, config.clone(), config.clone());
    (run.pair.cut, run.pair.window, run.pair.delay) = (cut, cut, ms(1));
    let mut turns = [0; 2];
    for _ in 0..n {
        run.act(&mut turns);
        run.advance(ms(1));
    }
    if run.pair.client.is_closed() && run.pair.server.is_closed() {
        assert!(run.client.heard.min(run.server.heard) >= 4, "all messages");
        return false;
    }
    println!("{fault:?} of {role:?} after {n} turns of {cut} bytes");
    run.keeping_tapes(|run| {
        run.calm = false;
        run.fail(fault, role);
        run.end_by_deadlines();
        run.replay();
    });
    true
}

#[test]
fn whatever_turn_of_the_transport_fails() {
    for cut in [7, 50] {
        every_turn_fails(cut, &Config::default());
    }
}

/// What it was told last is what failed, and fails again in the core alone.
#[test]
#[cfg_attr(target_family = "wasm", ignore = "no panic is caught there")]
fn a_run_that_fails_leaves_a_tape_that_fails_at_the_same_call() {
    let mut run = Run::new(&mut Random(1), Config::default(), Config::default());
    (run.pair.cut, run.pair.delay) = (usize::MAX, ms(1));
    let mut turns = [0; 2];
    for _ in 0..15 {
        run.act(&mut turns);
        run.advance(ms(1));
    }
    let failed = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        run.keeping_tapes(|run| {
            let mut bad = *b"\x83\x80\0\0\0\0";
            let told = run.end(Role::Server).0.connection.receive(&mut &mut bad[..]).map(|_| ());
            assert_eq!(told, Ok(()), "a failure that the test asked for");
        });
    }));
    assert!(failed.is_err());
    let file = format!("{}/{}-Server.tape", env!("CARGO_TARGET_TMPDIR"), test_name());
    let mut tape = Tape::from_bytes(&fs::read(&file).unwrap()).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(tape.replay(), Ok(()));
    let last = tape.steps.len() - 1;
    let gave = mem::take(&mut tape.steps[last].gave);
    assert_eq!(gave, "error ReservedOpcode(3)");
    let now = tape.replay().unwrap_err();
    assert_eq!((now.step, now.call, now.came), (last, "receive", gave));
    assert!(last > 20, "{last} steps before");
}

#[cfg(feature = "deflate")]
#[test]
fn whatever_turn_of_the_transport_fails_with_compression() {
    let mut config = Config::default();
    let deflate = sockless::Deflate { threshold: 0, takeover: true, peer_takeover: true, ..Default::default() };
    config.deflate = Some(deflate);
    every_turn_fails(50, &config);
}
