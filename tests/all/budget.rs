//! The byte budget of one connection (docs/limits.md): whatever a peer sends and however slowly it reads, a connection
//! holds no more than the formula says, and the formula says no more than can happen.

use crate::common::budget::{Load, budget};
use crate::common::heap;
use crate::common::random::{Random, Replay, seeds};
use crate::common::*;
use bytes::Buf;
use sockless::{ClientRequest, Config, Connection, Event, Kind, Limits, Message, Role};
use std::time::Duration;

/// A connection, and the memory that it holds.
struct Weighed {
    connection: Connection,
    config: Config,
    load: Load,
    /// Whether it sends from where messages lie, and writes a part at once.
    lends: bool,
    held: isize,
    /// The most it ever held, itself included.
    peak: usize,
}

impl Weighed {
    fn new(config: Config, make: impl FnOnce(Config) -> Connection) -> Self {
        let (connection, used) = heap::used(|| make(config.clone()));
        Self { connection, config, load: Load::default(), lends: false, held: used.held, peak: 0 }
    }

    fn open(role: Role, config: Config) -> Self {
        Self::new(config, |config| open_with(role, config))
    }

    /// Does something with the connection, and weighs it at its heaviest meanwhile.
    fn weigh<T>(&mut self, work: impl FnOnce(&mut Connection) -> T) -> T {
        let (result, used) = heap::used(|| work(&mut self.connection));
        let peak = size_of::<Connection>() + usize::try_from(self.held + used.peak).unwrap();
        self.held += used.held;
        self.peak = self.peak.max(peak);
        let most = budget(&self.config, self.load);
        assert!(peak <= most, "{peak} bytes of {most}: {:?}, {:?}", self.load, self.connection);
        result
    }

    /// Receives `part` as an echo does; false when the connection has ended.
    fn receive(&mut self, part: &mut [u8]) -> bool {
        self.load.received += part.len();
        let fragment = self.config.outbound.fragment;
        let longest = self.load.received.min(self.config.limits.message);
        self.load.sent = longest + 14 * (longest.checked_div(fragment).unwrap_or(0) + 1);
        let lends = self.lends;
        self.weigh(|connection| {
            let mut input = part;
            loop {
                let sent = match connection.receive(&mut input) {
                    Ok(None) => return true,
                    Err(_) | Ok(Some(Event::Close(_))) => return false,
                    Ok(Some(Event::Text(text))) => connection.send_text(&text),
                    Ok(Some(Event::Binary(bytes))) if lends => {
                        let message = Message::Binary(bytes);
                        let through = connection.send_through(&message);
                        through.map(|mut through| through.advance(through.remaining().min(300)))
                    }
                    Ok(Some(Event::Binary(bytes))) => connection.send_binary(&bytes),
                    Ok(Some(Event::Request(request))) => connection.accept(request.accept()),
                    Ok(Some(_)) => Ok(()),
                };
                // Nothing is to be done for a peer that does not read.
                _ = sent;
            }
        })
    }

    /// Writes so many bytes of what waits.
    fn write(&mut self, len: usize) {
        self.weigh(|connection| {
            let len = len.min(connection.outbound().remaining());
            connection.outbound().advance(len);
        });
    }

    fn queued(&self) -> usize {
        self.connection.counters().queued
    }
}

// ---- no more than the formula says

fn a_config(random: &mut Random) -> Config {
    let mut config = Config::default();
    config.limits.message = random.pick(&[0, 125, 1000, 20_000]);
    config.limits.frame = random.pick(&[usize::MAX, 5000]);
    config.limits.fragments = random.pick(&[3, 100, 4096]);
    config.limits.head = random.pick(&[500, 4096]);
    config.outbound.soft = random.pick(&[0, 5000]);
    config.outbound.hard = random.pick(&[0, 2000, 20_000]);
    config.outbound.fragment = random.pick(&[0, 0, 100]);
    config.check_utf8 = random.percent(80);
    config.require_masks = random.percent(80);
    config
}

/// What a peer that means harm sends next.
fn harm(random: &mut Random, role: Role, most: usize) -> Vec<u8> {
    let len = random.below(most + 2);
    let opcode = random.pick(&[0x01, 0x02]);
    match random.below(12) {
        // Good messages, for the echo.
        0..3 => frame_to(role, 0x80 | opcode, random.text(len).as_bytes()),
        // Fragments that grow, that are empty, that never end.
        3 => frame_to(role, opcode, random.text(len).as_bytes()),
        4 => frame_to(role, 0x00, random.text(len / 3).as_bytes()),
        5 => frame_to(role, 0x00, b"").repeat(50),
        6 => frame_to(role, 0x80, random.text(len).as_bytes()),
        // Control frames, whole and in the middle of everything.
        7 => frame_to(role, 0x89, &random.bytes(125)).repeat(50),
        8 => {
            let len = random.pick(&[0, 1, 125]);
            frame_to(role, random.pick(&[0x89, 0x8A]), &random.bytes(len))
        }
        // Lengths that lie.
        9 => header_to(role, 0x80 | opcode, 1 << random.below(64)),
        10 if random.percent(20) => random.bytes(len),
        10 => frame_to(role, 0x82, &random.bytes(len)),
        _ if random.percent(20) => frame_to(role, 0x88, &random.bytes(len.min(125))),
        _ => frame_to(role, 0x80 | opcode, &random.bytes(len)),
    }
}

#[test]
fn no_harm_costs_more_than_the_budget() {
    for seed in seeds(300) {
        let _replay = Replay(seed);
        let mut random = Random(seed);
        let role = random.pick(&BOTH);
        let config = a_config(&mut random);
        let most = config.limits.message.min(config.limits.frame);
        let mut end = Weighed::open(role, config);
        end.lends = random.percent(50);
        let cut = random.pick(&[1, 7, 1000, usize::MAX]);
        let reads = random.pick(&[0, 1, 2]);
        for _ in 0..100 {
            let mut bytes = harm(&mut random, role, most);
            let mut goes_on = true;
            for part in bytes.chunks_mut(cut) {
                goes_on = end.receive(part);
                match (reads, random.below(10)) {
                    (0, _) => {}
                    // Just less than half of it, so that what is written cannot be dropped yet.
                    (1, 0) => end.write(end.queued() / 2),
                    (_, 0) => end.write(usize::MAX),
                    _ => end.write(random.below(100)),
                }
                if !goes_on {
                    break;
                }
            }
            if end.queued() <= end.config.outbound.hard && random.percent(10) && end.weigh(|it| it.ping(b"")).is_ok() {
                end.load.beside += 1;
            }
            if !goes_on {
                break;
            }
        }
    }
}

/// The settings that count before a connection is open.
fn opening(head: usize) -> Config {
    let mut config = Config::default();
    config.limits.head = head;
    (config.limits.message, config.outbound.hard) = (0, 0);
    config
}

#[test]
fn no_head_costs_more_than_the_budget() {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let client = |config| {
        let request = ClientRequest::new("ws://example.com/").unwrap();
        Connection::client(&request, config, SEED).unwrap()
    };
    for limit in [100, 16 << 10, 1 << 20] {
        let config = opening(limit);
        let long = [b"GET / HTTP/1.1\r\nHost: a\r\nX: ", &vec![b'x'; limit][..]].concat();
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(limit / 25 + 1);
        let body = [b"HTTP/1.1 403 F\r\n\r\n", &vec![b'x'; 100_000][..]].concat();
        let frames = [REQUEST, &frame_to(Role::Server, 0x82, &[7; 60_000]).repeat(10)].concat();
        for stream in [&long, &interim, &body, &frames] {
            for (cut, role) in [(1, Role::Server), (1000, Role::Server), (1, Role::Client), (1000, Role::Client)] {
                let mut end = match role {
                    Role::Server => Weighed::new(config.clone(), Connection::server),
                    Role::Client => Weighed::new(config.clone(), client),
                };
                end.load.opening = true;
                end.load.sent = 200;
                for part in stream.clone().chunks_mut(cut) {
                    // The server's caller takes its time for an answer, and reads on although it should not.
                    let goes_on = end.weigh(|connection| {
                        let mut input = part;
                        loop {
                            match connection.receive(&mut input) {
                                Ok(None) => return true,
                                Ok(Some(_)) => {}
                                Err(_) => return false,
                            }
                        }
                    });
                    if !goes_on {
                        break;
                    }
                }
            }
        }
    }
}

// ---- no less than can happen

#[test]
fn a_message_under_way_takes_nearly_what_the_formula_says() {
    for role in BOTH {
        let mut config = Config::default();
        config.limits.message = 100_000;
        config.outbound.hard = 0;
        let mut end = Weighed::open(role, config);
        // It outgrows its room when nearly all of it is here.
        for (first, len) in [(0x02, 33_000), (0x00, 65_990), (0x00, 20)] {
            assert!(end.receive(&mut frame_to(role, first, &vec![7; len])));
        }
        let receiving = (4 * end.load.received).min(2 * end.config.limits.message);
        assert!(end.peak > receiving * 9 / 10, "{} of {receiving}", end.peak);
    }
}

#[test]
fn a_message_that_comes_slowly_takes_nearly_four_times_itself() {
    for role in BOTH {
        let mut end = Weighed::open(role, Config::default());
        let mut frame = header_to(role, 0x82, Limits::MESSAGE as u64);
        frame.resize(frame.len() + 50_000, 7);
        let most = frame.chunks_mut(1).fold(0.0_f64, |most, part| {
            assert!(end.receive(part));
            most.max(end.peak as f64 / end.load.received as f64)
        });
        assert!(most > 3.5, "{most}");
    }
}

#[test]
fn a_peer_that_reads_half_takes_nearly_what_the_formula_says() {
    for role in BOTH {
        let mut config = Config::default();
        config.outbound.hard = 600_000;
        let mut end = Weighed::open(role, config);
        let message = vec![7; 1000];
        end.load.sent = 1014;
        let fill = |end: &mut Weighed| while end.weigh(|it| it.send_binary(&message)).is_ok() {};
        fill(&mut end);
        // What has gone out lies before what waits, and cannot be dropped while it is the smaller part.
        let mut gone = 0;
        for _ in 0..8 {
            let more = (end.queued() - gone) / 2;
            end.write(more);
            gone += more;
            fill(&mut end);
        }
        let sending = 3 * (2 * end.config.outbound.hard + end.load.sent);
        assert!(end.peak > sending * 8 / 10, "{} of {sending}", end.peak);
    }
}

#[test]
fn pings_of_the_callers_own_take_nearly_what_the_formula_says() {
    for role in BOTH {
        let mut config = Config::default();
        config.outbound.hard = 4200;
        let mut end = Weighed::open(role, config);
        loop {
            end.load.beside += 1;
            if end.weigh(|it| it.ping(b"")).is_err() {
                break;
            }
        }
        // The formula is for addresses of 64 bits.
        let beside = 240 * end.load.beside * size_of::<usize>() / 8;
        assert!(end.peak > beside * 2 / 5, "{} of {beside}", end.peak);
    }
}

/// The chapter that says so.
const CHAPTER: &str = include_str!("../../docs/limits.md");

#[test]
fn with_the_defaults_it_is_what_the_chapter_says() {
    let mib = |config: &Config, load| (budget(config, load) as f64 / f64::from(1 << 20)).ceil();
    let open = mib(&Config::default(), Load { received: usize::MAX, sent: Limits::MESSAGE, ..Load::default() });
    let opening = mib(&opening(Limits::HEAD), Load { sent: 1000, opening: true, ..Load::default() });
    assert!(
        CHAPTER.contains(&format!("{open} MiB while it is open, and {opening} MiB before that")),
        "{open} {opening}"
    );
}

/// A time as the chapter has it.
fn seconds(time: Option<Duration>) -> String {
    time.map_or("never".into(), |time| format!("{} s", time.as_secs()))
}

/// A number of bytes as the chapter has it.
fn bytes(count: usize) -> String {
    match count {
        usize::MAX => "any".into(),
        count if count >= 1 << 20 => format!("{} MiB", count >> 20),
        count if count >= 1 << 10 => format!("{} KiB", count >> 10),
        count => count.to_string(),
    }
}

#[test]
fn the_defaults_are_what_the_chapter_says() {
    let Config { limits, outbound, keepalive, .. } = Config::default();
    for (name, value) in [
        ("limits.message", bytes(limits.message)),
        ("limits.frame", bytes(limits.frame)),
        ("limits.fragments", limits.fragments.to_string()),
        ("limits.head", bytes(limits.head)),
        ("limits.fields", limits.fields.to_string()),
        ("outbound.soft", bytes(outbound.soft)),
        ("outbound.hard", bytes(outbound.hard)),
        ("outbound.retain", bytes(outbound.retain)),
        ("keepalive.handshake", seconds(keepalive.handshake)),
        ("keepalive.ping", seconds(keepalive.ping)),
        ("keepalive.pong", seconds(keepalive.pong)),
        ("keepalive.idle", seconds(keepalive.idle)),
        ("keepalive.close", seconds(keepalive.close)),
    ] {
        assert!(CHAPTER.contains(&format!("| `{name}` | {value} |")), "{name} is {value}");
    }
}

#[test]
fn messages_by_reference_are_held_by_reference() {
    let mut end = Weighed::open(Role::Server, Config::default());
    let message = bytes::Bytes::from(vec![7; 500_000]);
    for _ in 0..3 {
        end.load.beside += 1;
        end.weigh(|it| it.send_shared(Kind::Binary, message.clone())).unwrap();
    }
    assert!(end.peak < 4096, "{}", end.peak);
}

// ---- compression

#[cfg(feature = "deflate")]
#[test]
fn no_harm_costs_more_than_the_budget_with_compression() {
    use sockless::{Deflate, DeflateParams, Negotiated};
    for seed in seeds(60) {
        let _replay = Replay(seed);
        let mut random = Random(seed);
        let role = random.pick(&BOTH);
        let mut config = a_config(&mut random);
        config.limits.frame = usize::MAX;
        let (bits, takeover) = (9 + random.below(7) as u8, random.percent(50));
        let deflate = Deflate {
            threshold: 0,
            window_bits: bits,
            mem_level: random.pick(&[1, 5, 9]),
            // None is kept for others: what a connection takes is what it holds.
            pool: sockless::Pool::new(0),
            ..Deflate::default()
        };
        config.deflate = Some(deflate);
        let params = DeflateParams { window_bits: bits, peer_window_bits: 15, takeover, peer_takeover: takeover };
        let open = |role, config: Config| Connection::open(role, Negotiated::try_from(params).unwrap(), config, SEED);
        let mut peer = open(peer_of(role), Config { outbound: Default::default(), ..config.clone() });
        let most = config.limits.message;
        let mut end = Weighed::new(config, |config| open(role, config));
        end.load.compressed = true;
        let cut = random.pick(&[7, 1000, usize::MAX]);
        for _ in 0..20 {
            let len = random.below(most + 2);
            let mut bytes = match random.below(10) {
                0..3 => {
                    peer.send_text(&random.text(len)).unwrap();
                    outbound(&mut peer)
                }
                3..6 => {
                    peer.send_fragment(Kind::Text, b"", false).unwrap();
                    peer.send_fragment(Kind::Text, random.text(len).as_bytes(), true).unwrap();
                    outbound(&mut peer)
                }
                // Bombs.
                6 => {
                    peer.send_binary(&vec![0; 10 * most]).unwrap();
                    outbound(&mut peer)
                }
                7 => frame_to(role, 0xC2, &random.bytes(len)),
                _ => harm(&mut random, role, most),
            };
            if !bytes.chunks_mut(cut).all(|part| end.receive(part)) {
                break;
            }
            end.write(random.pick(&[0, 100, usize::MAX]));
        }
    }
}
