//! What a connection weighs: itself, and the heap it holds, by an allocator that counts.

use crate::common::heap::used;
use crate::common::*;
use bytes::{Buf, Bytes};
use sockless::close::Code;
use sockless::{ClientRequest, Config, Connection, Event, Kind, Limits, Negotiated, Prepared, Role, SharedConfig};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The answer to the key that a client with `SEED` sends.
const RESPONSE: &[u8] = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: QS+SDUd7VrR60WwyzsufspTZGZA=\r\n\r\n";

/// An end that has opened by a handshake of its own.
fn shake_hands(role: Role) -> Connection {
    match role {
        Role::Server => {
            let mut server = Connection::server(Config::default());
            let events = feed(&mut server, REQUEST, 10).0;
            let [Event::Request(request)] = &events[..] else { panic!("{events:?}") };
            server.accept(request.accept()).unwrap();
            outbound(&mut server);
            server
        }
        Role::Client => {
            let request = ClientRequest::new("ws://example.com/").unwrap();
            let mut client = Connection::client(&request, Config::default(), SEED).unwrap();
            outbound(&mut client);
            assert_eq!(feed(&mut client, RESPONSE, 10).0.len(), 1);
            client
        }
    }
}

/// Answers each message with itself, as it comes `cut` bytes at a time, and writes all of it.
fn echo(end: &mut Connection, bytes: &[u8], cut: usize) -> usize {
    let mut messages = 0;
    for part in bytes.chunks(cut) {
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        while let Some(event) = end.receive(&mut input).unwrap() {
            match event {
                Event::Text(text) => end.send_text(&text).unwrap(),
                Event::Binary(bytes) => end.send_binary(&bytes).unwrap(),
                _ => continue,
            }
            messages += 1;
        }
        while end.wants().write {
            let mut outgoing = end.outbound();
            let half = outgoing.chunk().len().div_ceil(2);
            outgoing.advance(half);
        }
    }
    messages
}

// ---- at rest

#[test]
fn a_connection_is_small() {
    // With that feature, where a tape may be kept.
    let most = if cfg!(feature = "testing") { 256 + size_of::<usize>() } else { 256 };
    assert!(size_of::<Connection>() <= most, "{} bytes", size_of::<Connection>());
    // An event is moved with every message, whatever the largest that there is.
    assert!(size_of::<sockless::Event<'_>>() <= 64, "{} bytes", size_of::<sockless::Event<'_>>());
}

#[test]
fn an_open_connection_holds_no_heap() {
    for role in BOTH {
        let (_open, heap) = used(|| open(role));
        assert_eq!(heap.calls, 0, "{role:?} without a handshake");
        let (_open, heap) = used(|| shake_hands(role));
        assert_eq!(heap.held, 0, "{role:?}");
    }
}

#[test]
fn an_idle_connection_holds_no_heap_whatever_it_has_echoed() {
    for role in BOTH {
        for (len, cuts) in [(16, &[1, 5, 1 << 20][..]), (1024, &[1, 100, 1 << 20]), (65_536, &[1000, 4096, 1 << 20])] {
            for cut in cuts {
                let (_idle, heap) = used(|| {
                    let mut end = shake_hands(role);
                    let payload = vec![b'x'; len];
                    let frames = [
                        (0x81, &payload[..]),
                        (0x82, &payload),
                        (0x89, b"ping"),
                        (0x01, &payload[..len / 2]),
                        (0x80, &payload[len / 2..]),
                        (0x8A, b"pong"),
                    ];
                    assert_eq!(echo(&mut end, &frames_to(role, &frames).repeat(2), *cut), 6);
                    end
                });
                assert_eq!(heap.held, 0, "{role:?} after {len} bytes cut into {cut}");
            }
        }
    }
}

#[test]
fn an_idle_connection_holds_no_heap_whatever_it_has_sent() {
    for role in BOTH {
        let prepared = Prepared::binary(&[7; 10_000]);
        let _shared = prepared.clone();
        let (_idle, heap) = used(|| {
            let mut end = open(role);
            end.send_shared(Kind::Binary, Bytes::from(vec![7; 10_000])).unwrap();
            end.send_prepared(&prepared).unwrap();
            end.ping(b"ping").unwrap();
            end.send_fragment(Kind::Text, &[b'x'; 1000], false).unwrap();
            end.outbound().advance(15_000);
            end.send_fragment(Kind::Text, b"y", true).unwrap();
            outbound(&mut end);
            end
        });
        assert_eq!(heap.held, 0, "{role:?}");
    }
}

#[test]
fn a_connection_whose_lent_outbox_is_taken_back_holds_no_heap() {
    let mut config = Config::default();
    config.outbound.retain = usize::MAX;
    let config = SharedConfig::from(config);
    let (_idle, heap) = used(|| {
        let mut end = Connection::open(Role::Server, Negotiated::default(), config.clone(), SEED);
        let mut lent = Vec::new();
        end.swap_outbox(&mut lent);
        end.send_shared(Kind::Binary, Bytes::from(vec![7; 10_000])).unwrap();
        end.ping(b"ping").unwrap();
        end.send_text("hello").unwrap();
        assert_eq!(outbound(&mut end).len(), 6 + 10_004 + 7);
        end.swap_outbox(&mut lent);
        end
    });
    assert_eq!(heap.held, 0);
}

#[test]
fn an_ended_connection_holds_no_heap() {
    let ends: [fn(&mut Connection); 4] = [
        |end| _ = feed(end, &frame_to(end.role(), 0x88, b""), usize::MAX),
        |end| _ = feed(end, &frame_to(end.role(), 0x83, b""), usize::MAX),
        |end| _ = end.receive_eof(),
        |end| end.abort(Code::AWAY),
    ];
    for role in BOTH {
        // A message is under way, which is then of no more use.
        let unfinished = frames_to(role, &[(0x01, &[b'x'; 5000])]);
        for finish in ends {
            let (_ended, heap) = used(|| {
                let mut end = open(role);
                feed(&mut end, &unfinished, usize::MAX);
                finish(&mut end);
                outbound(&mut end);
                end
            });
            assert_eq!(heap.held, 0, "{role:?}");
        }
    }
}

#[test]
fn an_opening_connection_holds_little() {
    let (mut server, heap) = used(|| Connection::server(Config::default()));
    assert!(heap.held <= 512, "{} bytes before a byte has come", heap.held);
    let mut held = heap.held;
    for (index, byte) in REQUEST[..REQUEST.len() - 1].iter().enumerate() {
        let mut byte = [*byte];
        let (_, heap) = used(|| assert_eq!(server.receive(&mut &mut byte[..]), Ok(None)));
        held += heap.held;
        assert!(held as usize <= 2048 + 4 * (index + 1), "{held} bytes for {index} of a request");
    }
}

// ---- a message under way

/// Feeds a connection `bytes`, `cut` at a time, and checks after each part that it holds no more heap than what came
/// may take.
fn stays_in_bounds(mut end: Connection, bytes: &[u8], cut: usize, what: &str) {
    let mut buffer = [0; 4096];
    let mut held = 0;
    let mut received = 0;
    for part in bytes.chunks(cut) {
        let input = &mut buffer[..part.len()];
        input.copy_from_slice(part);
        received += part.len();
        let (_, heap) = used(|| {
            let mut input = input;
            while let Some(event) = end.receive(&mut input).unwrap() {
                drop(event);
            }
        });
        let bound = 2048 + 4 * received as isize;
        assert!(held + heap.peak <= bound, "{what}: {} bytes when {received} have come", held + heap.peak);
        held += heap.held;
    }
}

#[test]
fn a_message_under_way_holds_at_most_four_times_what_has_come() {
    let limits = Limits { message: usize::MAX, fragments: u32::MAX, ..Limits::default() };
    let config = Config { limits, ..Config::default() };
    let payload = "\u{20ac}uro ".repeat(2000).into_bytes();
    for role in BOTH {
        let frame = |first| frame_to(role, first, &payload);
        let behind = |header: Vec<u8>| [&header[..], &frame(0)[frame(0).len() - payload.len()..]].concat();
        let parts = |kind, len| {
            let first = frame_to(role, kind, b"");
            let chunks = payload.chunks(len).flat_map(|part| frame_to(role, 0x00, part));
            first.into_iter().chain(chunks).collect::<Vec<u8>>()
        };
        let shapes = [
            ("a text", frame(0x81)),
            ("a binary", frame(0x82)),
            ("a first fragment", frame(0x01)),
            ("a text as long as the default limit", behind(header_to(role, 0x81, Limits::MESSAGE as u64))),
            ("a binary as long as the default limit", behind(header_to(role, 0x82, Limits::MESSAGE as u64))),
            ("a binary of any length", behind(header_to(role, 0x82, isize::MAX as u64))),
            ("a fragment of any length", behind(header_to(role, 0x02, isize::MAX as u64 >> 1))),
            ("empty fragments", [frame_to(role, 0x02, b""), frame_to(role, 0x00, b"").repeat(2000)].concat()),
            ("fragments of a text", parts(0x01, 3)),
            ("fragments of a binary", parts(0x02, 7)),
            ("long fragments", parts(0x02, 5000)),
            (
                "fragments that double",
                (0..13).flat_map(|i| frame_to(role, if i == 0 { 2 } else { 0 }, &payload[..1 << i])).collect(),
            ),
            ("a ping within", [frame(0x02), frame_to(role, 0x89, &[0; 125]), frame(0x00)].concat()),
            ("whole messages", [frame(0x81), frame_to(role, 0x82, b"x")].concat().repeat(3)),
        ];
        for (what, bytes) in shapes {
            for cut in [1, 7, 1000, 4096] {
                stays_in_bounds(open_with(role, config.clone()), &bytes, cut, &format!("{role:?}, {what} by {cut}"));
            }
        }
    }
}

#[test]
fn a_tail_that_is_read_into_is_in_the_same_bounds() {
    let mut end = open(Role::Client);
    let header = header_to(Role::Client, 0x82, Limits::MESSAGE as u64);
    let mut start = [header, vec![7; 3000]].concat();
    let (_, heap) = used(|| assert_eq!(end.receive(&mut &mut start[..]), Ok(None)));
    let mut held = heap.held;
    let mut received = start.len();
    loop {
        let (read, heap) = used(|| {
            let tail = end.tail()?;
            let len = tail.len().min(1000);
            tail[..len].fill(7);
            assert_eq!(end.receive_tail(len), Ok(None));
            Some(len)
        });
        // The tail is there before the bytes.
        assert!(held + heap.peak <= 2048 + 4 * received as isize, "{} for {received}", held + heap.peak);
        held += heap.held;
        let Some(read) = read else { break };
        received += read;
    }
    assert!(received > Limits::MESSAGE - 65_536 - 1000, "most of it came by way of the tail");
}

#[test]
fn a_broadcast_holds_its_message_once() {
    let mut servers: Vec<Connection> = (0..1000).map(|_| open(Role::Server)).collect();
    let (message, heap) = used(|| {
        let message = Prepared::binary(&vec![7; 1 << 20]);
        for server in &mut servers {
            server.send_prepared(&message).unwrap();
        }
        message
    });
    assert!(heap.held < (1 << 20) + 1000 * 512, "{} bytes for 1000 servers", heap.held);
    assert_eq!(message.payload().len(), 1 << 20);
}

// ---- fixed buffers

/// Takes the buffer of a message back, if it has one.
fn recycle(end: &mut Connection, event: Event<'_>) {
    match event {
        Event::Text(text) => end.recycle(text.into_owned().into_bytes()),
        Event::Binary(bytes) => end.recycle(bytes.into_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_fixed_buffers_nothing_is_allocated_for_messages() {
    const LIMIT: usize = 1000;
    let mut config = Config::default();
    config.limits.message = LIMIT;
    config.outbound.retain = usize::MAX;
    for role in BOTH {
        let mut end = open_with(role, config.clone());
        end.recycle(Vec::with_capacity(LIMIT));
        end.swap_outbox(&mut Vec::with_capacity(LIMIT + 14));
        for len in [1, 16, 125, 126, 999, LIMIT] {
            let payload = vec![b'x'; len];
            let half = len / 2;
            let bytes = frames_to(
                role,
                &[
                    (0x81, &payload),
                    (0x82, &payload),
                    (0x01, &payload[..half]),
                    (0x80, &payload[half..]),
                    (0x02, b""),
                    (0x00, &payload),
                    (0x80, b""),
                ],
            );
            for cut in [1, 3, 500] {
                let mut buffer = [0; 500];
                let (messages, heap) = used(|| {
                    let mut messages = 0;
                    for part in bytes.chunks(cut) {
                        let mut input = &mut buffer[..part.len()];
                        input.copy_from_slice(part);
                        while let Some(event) = end.receive(&mut input).unwrap() {
                            let owned = match &event {
                                Event::Text(text) => {
                                    end.send_text(text).unwrap();
                                    matches!(text, std::borrow::Cow::Owned(_))
                                }
                                Event::Binary(bytes) => {
                                    end.send_binary(bytes).unwrap();
                                    matches!(bytes, std::borrow::Cow::Owned(_))
                                }
                                other => panic!("{other:?}"),
                            };
                            if owned {
                                recycle(&mut end, event);
                            }
                            let len = end.counters().queued;
                            end.outbound().advance(len);
                            messages += 1;
                        }
                    }
                    messages
                });
                assert_eq!((messages, heap.calls), (4, 0), "{role:?}, {len} bytes cut into {cut}");
            }
        }
    }
}

#[test]
fn with_retained_capacity_nothing_is_allocated_to_send_by_reference() {
    let shared = Bytes::from_static(&[7; 1000]);
    let send = |end: &mut Connection| {
        for _ in 0..3 {
            end.send_shared(Kind::Binary, shared.clone()).unwrap();
        }
        let len = end.counters().queued;
        end.outbound().advance(len);
    };
    for (retain, is_kept) in [(0, false), (100, false), (4096, true), (usize::MAX, true)] {
        let mut config = Config::default();
        config.outbound.retain = retain;
        let mut end = open_with(Role::Server, config);
        let ((), heap) = used(|| send(&mut end));
        assert!(heap.held <= isize::try_from(retain).unwrap_or(isize::MAX), "{} of {retain} bytes", heap.held);
        let ((), heap) = used(|| (0..10).for_each(|_| send(&mut end)));
        assert_eq!((heap.calls == 0, heap.held), (is_kept, 0), "{retain} bytes retained");
    }
}
