//! Compressed messages that are sent (RFC 7692 §7.2.1): which they are, what they refer to, fragments, and prepared ones.

use crate::common::compressed::*;
use crate::common::*;
use bytes::{Buf, Bytes};
use proptest::prelude::*;
use sockless::{
    Code, Compress, Config, Connection, Deflate, DeflateParams, Event, Kind, Message, Outbound, Pool, Prepared, Role,
    SendError, text_frame,
};
use std::fmt::Write;

/// Whether there is context takeover.
const EITHER: [bool; 2] = [false, true];

/// A message that was sent: whether it was compressed, its fragments, and what they inflate to.
#[derive(Debug, PartialEq, Eq)]
struct Arrived {
    kind: Kind,
    compressed: bool,
    fragments: usize,
    plain: Vec<u8>,
}

/// What a peer makes of frames, by a decoder of the tests' own.
struct Peer {
    takeover: bool,
    window: usize,
    /// The plain bytes that messages may refer to.
    before: Vec<u8>,
}

impl Peer {
    fn new(takeover: bool, window_bits: u8) -> Self {
        Self { takeover, window: 1 << window_bits, before: vec![] }
    }

    /// Takes all that is outbound, which must be whole messages.
    fn take(&mut self, connection: &mut Connection) -> Vec<Arrived> {
        let mut messages = vec![];
        let mut under_way: Option<(u8, usize, Vec<u8>)> = None;
        for (first, payload) in sent(connection) {
            let fragment = under_way.is_some();
            assert_eq!(
                first & 0x0F == 0,
                fragment,
                "a fragment goes on with a message, and a message begins with none"
            );
            assert_eq!(first & 0x70 & if fragment { 0x70 } else { 0x30 }, 0, "only the first frame is marked");
            let (start, fragments, bytes) = under_way.get_or_insert((first, 0, vec![]));
            *fragments += 1;
            bytes.extend(payload);
            if first & 0x80 != 0 {
                let (start, fragments, bytes) = (*start, *fragments, bytes.clone());
                under_way = None;
                let compressed = start & 0x40 != 0;
                let plain = if compressed { self.inflate(&bytes) } else { bytes };
                let kind = if start & 0x0F == 1 { Kind::Text } else { Kind::Binary };
                messages.push(Arrived { kind, compressed, fragments, plain });
            }
        }
        assert_eq!(under_way, None);
        messages
    }

    fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.before.clear();
        }
        let inflated = inflate(&self.before, payload).expect("it is well compressed");
        assert!(inflated.farthest <= self.window, "{} is farther than {}", inflated.farthest, self.window);
        self.before.extend(&inflated.plain);
        inflated.plain
    }
}

fn arrived(kind: Kind, compressed: bool, fragments: usize, plain: &[u8]) -> Arrived {
    Arrived { kind, compressed, fragments, plain: plain.to_vec() }
}

// ---- which messages are compressed

#[test]
fn messages_below_the_threshold_go_plain() {
    for role in BOTH {
        for threshold in [0, 1, 256, 1000] {
            let deflate = Deflate { threshold, ..Deflate::default() };
            let mut connection = agreed(role, params(false), deflate);
            let mut peer = Peer::new(false, 15);
            for len in [100, 255, 256, 999, 1000, 5000] {
                let plain = lines(len);
                connection.send_text(&plain).unwrap();
                connection.send_binary(plain.as_bytes()).unwrap();
                connection.send(Message::from(&*plain)).unwrap();
                connection.send_shared(Kind::Text, Bytes::from(plain.clone())).unwrap();
                connection.send_prepared(&Prepared::text(&plain)).unwrap();
                let mut writer = connection.writer(Kind::Text);
                writer.write_str(&plain).unwrap();
                writer.finish().unwrap();
                connection.send_fragment(Kind::Text, plain.as_bytes(), true).unwrap();
                let compressed = len >= threshold;
                let expected = [Kind::Text, Kind::Binary, Kind::Text, Kind::Text, Kind::Text, Kind::Text, Kind::Text]
                    .map(|kind| arrived(kind, compressed, 1, plain.as_bytes()));
                assert_eq!(peer.take(&mut connection), expected, "{len} bytes, threshold {threshold}");
            }
        }
    }
}

#[test]
fn the_default_threshold_is_that_of_the_settings() {
    let mut connection = agreed(Role::Server, params(false), Deflate::default());
    connection.send_text(&lines(Deflate::THRESHOLD - 1)).unwrap();
    connection.send_text(&lines(Deflate::THRESHOLD)).unwrap();
    let marks: Vec<u8> = sent(&mut connection).iter().map(|(first, _)| *first).collect();
    assert_eq!(marks, [0x81, 0xC1]);
}

#[test]
fn the_caller_decides_for_a_message() {
    for role in BOTH {
        for takeover in EITHER {
            let mut connection = agreed(role, params(takeover), Deflate::default());
            let mut peer = Peer::new(takeover, 15);
            let (short, long) = (lines(200), lines(2000));
            for (compress, marked) in
                [(Compress::Auto, [false, true]), (Compress::Always, [true, true]), (Compress::Never, [false, false])]
            {
                connection.send_with(Message::from(&*short), compress).unwrap();
                connection.send_with(Message::from(long.as_bytes()), compress).unwrap();
                let expected = [
                    arrived(Kind::Text, marked[0], 1, short.as_bytes()),
                    arrived(Kind::Binary, marked[1], 1, long.as_bytes()),
                ];
                assert_eq!(peer.take(&mut connection), expected, "{compress:?}");
            }
            for len in 0..3 {
                connection.send_with(Message::from(&lines(len)[..]), Compress::Always).unwrap();
                assert!(!peer.take(&mut connection)[0].compressed, "it would not get shorter");
            }
        }
    }
}

#[test]
fn nothing_is_compressed_that_was_not_negotiated() {
    let mut config = Config::default();
    config.deflate = Some(always());
    for role in BOTH {
        let mut connection = open_with(role, config.clone());
        let plain = lines(1000);
        connection.send_text(&plain).unwrap();
        connection.send_with(Message::from(&*plain), Compress::Always).unwrap();
        connection.send_prepared(&Prepared::text(&plain)).unwrap();
        connection.send_fragment(Kind::Text, plain.as_bytes(), true).unwrap();
        assert_eq!(sent(&mut connection), vec![(0x81, plain.into_bytes()); 4]);
    }
}

#[test]
fn a_window_that_the_codec_has_not_is_not_deflated_with() {
    let params = DeflateParams { window_bits: 8, ..params(true) };
    let mut connection = agreed(Role::Server, params, always());
    connection.send_text(&lines(1000)).unwrap();
    connection.send_with(Message::from(&*lines(1000)), Compress::Always).unwrap();
    assert_eq!(sent(&mut connection), vec![(0x81, lines(1000).into_bytes()); 2]);
    assert_eq!(feed(&mut connection, b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00", 1), (vec![text("Hello")], None));
}

#[test]
fn messages_that_would_grow_go_plain_and_break_nothing() {
    for role in BOTH {
        for takeover in EITHER {
            for level in 1..=9 {
                let mut connection = agreed(role, params(takeover), Deflate { level, ..always() });
                let mut peer = Peer::new(takeover, 15);
                for len in [1, 300, 8000] {
                    for incompressible in [noise(len), loud_noise(len)] {
                        let plain = lines(len + 100);
                        connection.send_text(&plain).unwrap();
                        connection.send_binary(&incompressible).unwrap();
                        connection.send_text(&plain).unwrap();
                        let expected = [
                            arrived(Kind::Text, true, 1, plain.as_bytes()),
                            arrived(Kind::Binary, false, 1, &incompressible),
                            arrived(Kind::Text, true, 1, plain.as_bytes()),
                        ];
                        let messages = peer.take(&mut connection);
                        // Higher levels than 1 find the bits that all bytes share.
                        assert!(messages[0] == expected[0] && messages[2] == expected[2], "level {level}, {len} bytes");
                        assert_eq!(messages[1].plain, incompressible);
                        assert!(!messages[1].compressed || level > 1 && incompressible == loud_noise(len));
                    }
                }
            }
        }
    }
}

#[test]
fn a_caller_that_is_told_full_has_changed_nothing() {
    for role in BOTH {
        let mut connection = compressed(role, true);
        connection.set_outbound(Outbound { hard: 10, ..Outbound::default() });
        let mut peer = Peer::new(true, 15);
        for _ in 0..3 {
            connection.send_text(&lines(1000)).unwrap();
            assert_eq!(connection.send_text(&lines(2000)), Err(SendError::Full));
            assert_eq!(connection.send_with(Message::from("x"), Compress::Always), Err(SendError::Full));
            assert_eq!(connection.send_prepared(&Prepared::text("x")), Err(SendError::Full));
            assert_eq!(connection.send_fragment(Kind::Text, b"x", false), Err(SendError::Full));
            assert_eq!(peer.take(&mut connection), [arrived(Kind::Text, true, 1, lines(1000).as_bytes())]);
        }
    }
}

// ---- settings

#[test]
fn every_setting_makes_messages_that_inflate_within_the_window() {
    for level in 0..=10 {
        for (mem_level, window_bits) in [(0, 9), (1, 9), (5, 9), (9, 9), (10, 10), (3, 11), (5, 12), (9, 13), (1, 15)] {
            // Something is repeated just within the window, something far beyond it.
            let len = 1 << (window_bits - 1);
            let repeated = [noise(len / 3), lines(len).into_bytes()].concat().repeat(2);
            for takeover in EITHER {
                let deflate = Deflate { level, mem_level, ..always() };
                let params = DeflateParams { window_bits, ..params(takeover) };
                let mut connection = agreed(Role::Server, params, deflate);
                let mut peer = Peer::new(takeover, window_bits);
                for _ in 0..2 {
                    connection.send_binary(&repeated).unwrap();
                    let what = format!("level {level}, memory {mem_level}, window {window_bits}");
                    assert!(peer.take(&mut connection) == [arrived(Kind::Binary, true, 1, &repeated)], "{what}");
                }
            }
        }
    }
}

#[test]
fn the_whole_window_is_used() {
    for window_bits in 9..=15_u8 {
        // As far back as zlib looks in a window, and just too far.
        let [near, far] = [(1 << window_bits) - 262, 1 << window_bits].map(|distance| {
            let plain = noise(distance).repeat(2);
            let params = DeflateParams { window_bits, ..params(false) };
            let mut connection = agreed(Role::Server, params, Deflate { level: 6, ..always() });
            connection.send_binary(&plain).unwrap();
            assert_eq!(connection.counters().queued, outbound(&mut connection).len());
            connection.send_binary(&plain).unwrap();
            (sent(&mut connection)[0].1.len(), plain.len())
        });
        assert!(near.0 < near.1 * 4 / 5, "window {window_bits}: {near:?}");
        assert_eq!(far.0, far.1, "window {window_bits}: it goes plain");
    }
}

#[test]
fn higher_levels_make_shorter_messages() {
    let len = |level| {
        let mut connection = agreed(Role::Server, params(false), Deflate { level, ..always() });
        connection.send_text(&lines(10_000)).unwrap();
        outbound(&mut connection).len()
    };
    assert!(len(6) < len(3) + 10 && len(3) < len(1) * 4 / 5 && len(1) < 5000);
    assert_eq!((len(0), len(99)), (len(1), len(9)), "there are nine");
}

#[test]
fn with_takeover_a_message_refers_to_those_before() {
    let lens = EITHER.map(|takeover| {
        let mut connection = compressed(Role::Server, takeover);
        let mut peer = Peer::new(takeover, 15);
        [(); 4].map(|()| {
            connection.send_binary(&noise(900).repeat(2)).unwrap();
            let len = connection.counters().queued;
            assert_eq!(peer.take(&mut connection), [arrived(Kind::Binary, true, 1, &noise(900).repeat(2))]);
            len
        })
    });
    assert_eq!(lens[0], [lens[0][0]; 4], "without, each is as long");
    assert!(lens[1][0] == lens[0][0] && lens[1][1..].iter().all(|len| *len < 100));
}

#[test]
fn codecs_of_other_settings_are_not_confused() {
    // All of them share a pool, and give back what they took after each message.
    let pool = Pool::new(8);
    let mut ends: Vec<_> = [(1, 9, 5), (9, 9, 5), (1, 12, 5), (1, 9, 1), (6, 15, 9)]
        .into_iter()
        .map(|(level, window_bits, mem_level)| {
            let deflate = Deflate { level, mem_level, pool: pool.clone(), ..always() };
            let connection = agreed(Role::Server, DeflateParams { window_bits, ..params(false) }, deflate);
            (connection, Peer::new(false, window_bits))
        })
        .collect();
    let plain = [noise(600), lines(2000).into_bytes()].concat().repeat(2);
    let mut rounds = vec![];
    for _ in 0..3 {
        for (connection, peer) in &mut ends {
            connection.send_binary(&plain).unwrap();
            rounds.push(connection.counters().queued);
            assert_eq!(peer.take(connection), [arrived(Kind::Binary, true, 1, &plain)]);
        }
    }
    assert_eq!((&rounds[..5], &rounds[..5]), (&rounds[5..10], &rounds[10..]));
    let count = pool.deflated();
    assert_eq!(count.plain, 15 * plain.len() as u64);
    // Each message's header is four bytes.
    assert_eq!(count.compressed, rounds.iter().map(|len| *len as u64 - 4).sum::<u64>());
}

// ---- fragments

#[test]
fn fragments_make_one_compressed_message() {
    let plain = lines(10_000);
    for role in BOTH {
        for takeover in EITHER {
            for size in [1, 2, 7, 100, 3000, 10_000] {
                let mut connection = compressed(role, takeover);
                let mut peer = Peer::new(takeover, 15);
                let len = (size * 100).min(plain.len());
                for kind in [Kind::Text, Kind::Binary] {
                    let mut parts = plain.as_bytes()[..len].chunks(size).peekable();
                    let count = parts.len();
                    while let Some(part) = parts.next() {
                        connection.send_fragment(kind, part, parts.peek().is_none()).unwrap();
                    }
                    let expected = [arrived(kind, true, count, &plain.as_bytes()[..len])];
                    assert!(peer.take(&mut connection) == expected, "{count} fragments of {size}");
                }
            }
        }
    }
}

#[test]
fn empty_fragments_may_be_anywhere() {
    let fragments: [&[&[u8]]; 6] =
        [&[b""], &[b"", b""], &[b"", b"a", b""], &[b"a", b"", b"", b"b"], &[b"", b"", b"ab"], &[b"ab", b""]];
    for role in BOTH {
        for takeover in EITHER {
            let mut connection = compressed(role, takeover);
            let mut peer = Peer::new(takeover, 15);
            for parts in fragments {
                for (index, part) in parts.iter().enumerate() {
                    connection.send_fragment(Kind::Binary, part, index + 1 == parts.len()).unwrap();
                }
                // And so that the next message can refer to them.
                connection.send_text(&lines(1000)).unwrap();
                let expected = [
                    arrived(Kind::Binary, true, parts.len(), &parts.concat()),
                    arrived(Kind::Text, true, 1, lines(1000).as_bytes()),
                ];
                assert_eq!(peer.take(&mut connection), expected, "{parts:?}");
            }
        }
    }
}

#[test]
fn fragments_that_grow_are_whole() {
    for takeover in EITHER {
        for level in 1..=9 {
            for mem_level in [1, 5, 9] {
                let mut connection = agreed(Role::Server, params(takeover), Deflate { level, mem_level, ..always() });
                let mut peer = Peer::new(takeover, 15);
                let parts = [loud_noise(1), loud_noise(100), loud_noise(8000), lines(500).into_bytes(), noise(3000)];
                for (index, part) in parts.iter().enumerate() {
                    connection.send_fragment(Kind::Binary, part, index + 1 == parts.len()).unwrap();
                }
                let expected = [arrived(Kind::Binary, true, parts.len(), &parts.concat())];
                assert!(peer.take(&mut connection) == expected, "level {level}, memory {mem_level}");
            }
        }
    }
}

#[test]
fn the_first_fragment_decides_for_all() {
    for (first, compressed) in [(10, false), (300, true)] {
        let mut connection = agreed(Role::Server, params(false), Deflate::default());
        connection.send_fragment(Kind::Text, lines(first).as_bytes(), false).unwrap();
        connection.send_fragment(Kind::Text, lines(1000).as_bytes(), false).unwrap();
        connection.send_fragment(Kind::Text, b"x", true).unwrap();
        let plain = format!("{}{}x", lines(first), lines(1000));
        assert_eq!(Peer::new(false, 15).take(&mut connection), [arrived(Kind::Text, compressed, 3, plain.as_bytes())]);
    }
}

#[test]
fn each_fragment_can_be_read_when_it_comes() {
    for takeover in EITHER {
        let mut connection = compressed(Role::Server, takeover);
        let mut client = compressed(Role::Client, takeover);
        for (part, last) in [("first ", false), ("second ", false), ("third", true)] {
            connection.send_fragment(Kind::Text, part.as_bytes(), last).unwrap();
            let mut bytes = outbound(&mut connection);
            let Ok(Some(Event::Piece(piece))) = client.receive_piece(&mut &mut bytes[..]) else { panic!("no piece") };
            assert_eq!((piece.data, piece.last), (Message::from(part), last));
        }
    }
}

#[test]
fn only_whole_characters_make_text_in_fragments_too() {
    let mut connection = compressed(Role::Server, false);
    connection.send_fragment(Kind::Text, b"\xe2\x82", false).unwrap();
    assert_eq!(connection.send_fragment(Kind::Text, b"x", false), Err(SendError::InvalidUtf8));
    assert_eq!(connection.send_fragment(Kind::Text, b"", true), Err(SendError::InvalidUtf8));
    connection.send_fragment(Kind::Text, b"\xac", true).unwrap();
    assert_eq!(Peer::new(false, 15).take(&mut connection), [arrived(Kind::Text, true, 2, "\u{20ac}".as_bytes())]);
}

#[test]
fn control_frames_and_a_close_know_where_a_compressed_message_is() {
    let mut connection = compressed(Role::Server, true);
    connection.send_fragment(Kind::Text, b"one, ", false).unwrap();
    connection.ping(b"p").unwrap();
    connection.close(Code::AWAY, "").unwrap();
    connection.send_fragment(Kind::Text, b"two", true).unwrap();
    let bytes = outbound(&mut connection);
    let events = vec![ping(b"p"), text("one, two"), closed(1001, "")];
    assert_eq!(feed(&mut compressed(Role::Client, true), &bytes, 1), (events, None));
}

#[test]
fn long_compressed_messages_go_out_in_frames_of_the_size_that_is_set() {
    for role in BOTH {
        for takeover in EITHER {
            let mut connection = compressed(role, takeover);
            connection.set_outbound(Outbound { fragment: 100, ..Outbound::default() });
            let mut peer = Peer::new(takeover, 15);
            let plain = lines(5000);
            connection.send_text(&plain).unwrap();
            connection.send_prepared(&Prepared::text(&plain)).unwrap();
            connection.send_shared(Kind::Text, plain.clone().into()).unwrap();
            connection.send_text(&lines(30)).unwrap();
            let queued = connection.counters().queued;
            let messages = peer.take(&mut connection);
            assert!(messages.iter().all(|message| message.compressed));
            assert_eq!(
                messages.iter().map(|message| &message.plain[..]).collect::<Vec<_>>(),
                [plain.as_bytes(); 3].into_iter().chain([lines(30).as_bytes()]).collect::<Vec<_>>()
            );
            let fragments: usize = messages.iter().map(|message| message.fragments).sum();
            assert!(messages[0].fragments > 5 && messages[3].fragments == 1 && fragments >= queued / 106);
        }
    }
}

// ---- prepared messages

/// The address of the next bytes to go out.
fn place(connection: &mut Connection) -> usize {
    connection.outbound().chunk().as_ptr().addr()
}

#[test]
fn a_prepared_message_is_compressed_once_for_all_connections() {
    let pool = Pool::new(4);
    let deflate = Deflate { pool: pool.clone(), ..Deflate::default() };
    let plain =
        [lines(3000), String::from_utf8(noise(2000).iter().map(|byte| byte % 64 + 32).collect()).unwrap()].concat();
    let message = Prepared::text(&plain);
    let windows = [12, 13, 15];
    let mut servers: Vec<_> = (0..60)
        .map(|n| {
            let params = DeflateParams { window_bits: windows[n % 3], ..params(n % 2 == 0) };
            (agreed(Role::Server, params, deflate.clone()), Peer::new(n % 2 == 0, windows[n % 3]))
        })
        .collect();
    let mut plain_servers: Vec<Connection> = (0..20).map(|_| open(Role::Server)).collect();
    for (server, _) in &mut servers {
        server.send_prepared(&message).unwrap();
    }
    for server in &mut plain_servers {
        server.send_prepared(&message.clone()).unwrap();
    }
    let deflated = pool.deflated();
    assert_eq!(deflated.plain, plain.len() as u64, "once");
    let places: Vec<usize> = servers.iter_mut().map(|(server, _)| place(server)).collect();
    assert_eq!(places, [places[0]; 60]);
    let places: Vec<usize> = plain_servers.iter_mut().map(place).collect();
    assert_eq!(places, [message.payload().as_ptr().addr() - 4; 20], "the message's own");
    for (server, peer) in &mut servers {
        assert_eq!(server.counters().queued as u64, deflated.compressed + 4);
        assert_eq!(peer.take(server), [arrived(Kind::Text, true, 1, plain.as_bytes())]);
    }
    for server in &mut plain_servers {
        assert_eq!(sent(server), [(0x81, plain.clone().into_bytes())]);
    }
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "there are no threads there")]
fn threads_that_send_a_prepared_message_first_compress_it_once() {
    let pool = Pool::default();
    let deflate = Deflate { pool: pool.clone(), ..Deflate::default() };
    let message = Prepared::binary(lines(50_000).as_bytes());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut server = agreed(Role::Server, params(false), deflate.clone());
                server.send_prepared(&message).unwrap();
                let messages = Peer::new(false, 15).take(&mut server);
                assert!(messages == [arrived(Kind::Binary, true, 1, lines(50_000).as_bytes())]);
            });
        }
    });
    assert_eq!(pool.deflated().plain, 50_000);
}

#[test]
fn each_end_sends_the_form_that_fits_it() {
    let long = lines(5000);
    for role in BOTH {
        for takeover in EITHER {
            for window_bits in 9..=15 {
                let params = DeflateParams { window_bits, ..params(takeover) };
                let mut connection = agreed(role, params, Deflate::default());
                let mut peer = Peer::new(takeover, window_bits);
                let messages = [
                    (Prepared::text(&long), true),
                    (Prepared::text(&lines(100)), false), // below the threshold
                    (Prepared::binary(&noise(4000)), false),
                    (Prepared::from_static(text_frame!("x")), false),
                ];
                for _ in 0..3 {
                    connection.send_text(&long).unwrap();
                    for (message, _) in &messages {
                        connection.send_prepared(message).unwrap();
                    }
                    let got = peer.take(&mut connection);
                    assert_eq!(got[0], arrived(Kind::Text, true, 1, long.as_bytes()));
                    for ((message, compressed), got) in messages.iter().zip(&got[1..]) {
                        assert_eq!(*got, arrived(message.kind(), *compressed, 1, message.payload()));
                    }
                }
            }
        }
    }
}

#[test]
fn long_static_messages_go_plain() {
    const LONG: Prepared = Prepared::from_static(text_frame!(match str::from_utf8(&[b'x'; 1000]) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }));
    let mut server = compressed(Role::Server, false);
    server.send_prepared(&LONG).unwrap();
    assert_eq!(sent(&mut server), [(0x81, vec![b'x'; 1000])]);
}

#[test]
fn clients_mask_their_own_copy_of_the_compressed_form() {
    let message = Prepared::text(&lines(5000));
    let pool = Pool::default();
    let deflate = Deflate { pool: pool.clone(), ..Deflate::default() };
    let mut client = agreed(Role::Client, params(false), deflate);
    let mut wires = vec![];
    for _ in 0..2 {
        client.send_prepared(&message).unwrap();
        wires.push(outbound(&mut client));
    }
    assert_ne!(wires[0], wires[1], "each is masked with a key of its own");
    assert_eq!(unframe(&wires[0]), unframe(&wires[1]));
    assert_eq!(inflate(b"", &unframe(&wires[0])[0].1).unwrap().plain, lines(5000).as_bytes());
    assert_eq!(pool.deflated().plain, 5000);
}

// ---- everything at once

/// Something to send.
#[derive(Clone, Debug)]
enum Send {
    Whole(usize, Compress),
    Noise(usize),
    Prepared(usize),
    Shared(usize),
    Fragments(Vec<usize>),
}

fn any_send() -> impl Strategy<Value = Send> {
    let compress = prop_oneof![Just(Compress::Auto), Just(Compress::Always), Just(Compress::Never)];
    let len = || prop_oneof![0..600_usize, 0..20_000_usize];
    prop_oneof![
        4 => (len(), compress).prop_map(|(len, compress)| Send::Whole(len, compress)),
        2 => len().prop_map(Send::Noise),
        2 => len().prop_map(Send::Prepared),
        1 => len().prop_map(Send::Shared),
        2 => prop::collection::vec(len(), 1..5).prop_map(Send::Fragments),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_arrives(
        sends in prop::collection::vec(any_send(), 1..12),
        client: bool,
        takeover: bool,
        window_bits in 9..=15_u8,
        level in 1..=9_u8,
        mem_level in 1..=9_u8,
        threshold in prop_oneof![Just(0), 0..1000_usize],
        fragment in prop_oneof![Just(0), 50..5000_usize],
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let deflate = Deflate { level, mem_level, threshold, ..Deflate::default() };
        let mut connection = agreed(role, DeflateParams { window_bits, ..params(takeover) }, deflate);
        connection.set_outbound(Outbound { fragment, ..Outbound::default() });
        let mut receiver = agreed(peer_of(role), params(takeover), always());
        let mut peer = Peer::new(takeover, window_bits);
        for send in sends {
            let mut expected = vec![];
            match send {
                Send::Whole(len, compress) => {
                    connection.send_with(Message::from(&*lines(len)), compress).unwrap();
                    expected.push(text(&lines(len)));
                }
                Send::Noise(len) => {
                    connection.send_binary(&loud_noise(len)).unwrap();
                    expected.push(binary(&loud_noise(len)));
                }
                Send::Prepared(len) => {
                    connection.send_prepared(&Prepared::text(&lines(len))).unwrap();
                    expected.push(text(&lines(len)));
                }
                Send::Shared(len) => {
                    connection.send_shared(Kind::Text, lines(len).into()).unwrap();
                    expected.push(text(&lines(len)));
                }
                Send::Fragments(lens) => {
                    for (index, len) in lens.iter().enumerate() {
                        connection.send_fragment(Kind::Binary, &loud_noise(*len), index + 1 == lens.len()).unwrap();
                    }
                    expected.push(binary(&lens.iter().flat_map(|len| loud_noise(*len)).collect::<Vec<_>>()));
                }
            }
            let mut twin = outbound(&mut connection);
            let (events, error) = feed(&mut receiver, &twin, usize::MAX);
            prop_assert!(error.is_none() && events == expected);
            // The window is not exceeded, either.
            let mut wire: Vec<u8> = vec![];
            for (first, payload) in unframe(&std::mem::take(&mut twin)) {
                if first & 0x40 != 0 || wire.is_empty() {
                    wire = vec![first & 0x40];
                }
                wire.extend(payload);
            }
            if wire[0] != 0 {
                let plain = peer.inflate(&wire[1..]);
                let (Event::Text(_) | Event::Binary(_)) = &expected[0] else { panic!() };
                let whole = match &expected[0] { Event::Text(text) => text.as_bytes(), Event::Binary(bytes) => bytes, _ => &[] };
                prop_assert!(plain == whole);
            }
        }
    }
}
