//! What compression holds on the heap: codecs only while a message needs them, and never much more than the message.

use crate::common::compressed::*;
use crate::common::heap;
use crate::common::heap::used;
use crate::common::*;
use bytes::Buf;
use sockless::{
    ClientRequest, Config, Connection, Deflate, DeflateParams, Event, Kind, Limits, Negotiated, Outbound, Pool,
    Prepared, ProtocolError, Role,
};
use std::sync::Arc;

/// Whether there is context takeover.
const EITHER: [bool; 2] = [false, true];

/// The windows of the default settings.
fn default_params(takeover: bool) -> DeflateParams {
    DeflateParams { window_bits: 12, peer_window_bits: 12, ..params(takeover) }
}

/// The default settings with a pool that keeps `most` codecs, for many connections.
fn shared(most: usize, takeover: bool) -> Arc<Config> {
    let mut config = Config::default();
    let pool = Pool::new(most);
    config.deflate = Some(Deflate { takeover, peer_takeover: takeover, pool, ..Deflate::default() });
    Arc::new(config)
}

fn open_shared(role: Role, takeover: bool, config: &Arc<Config>) -> Connection {
    Connection::open(role, Negotiated::try_from(default_params(takeover)).unwrap(), config.clone(), SEED)
}

/// Takes all of `stream`, which allocates nothing itself; the error that ends it, and how many messages or last pieces
/// there were.
fn take(connection: &mut Connection, stream: &mut [u8], cut: usize, pieces: bool) -> (usize, Option<ProtocolError>) {
    let mut messages = 0;
    for mut input in stream.chunks_mut(cut) {
        loop {
            let result = if pieces { connection.receive_piece(&mut input) } else { connection.receive(&mut input) };
            match result {
                Ok(None) => break,
                Ok(Some(Event::Piece(piece))) => messages += usize::from(piece.last),
                Ok(Some(_)) => messages += 1,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

/// Zeros, or text without a zero, a thousand times as many as the payload's bytes.
fn bomb(kind: Kind, len: usize) -> Vec<u8> {
    let letter = if kind == Kind::Text { b'x' } else { 0 };
    let payload = Encoder::new(9, 15).message(&vec![letter; len]);
    assert!(payload.len() * 1000 < len);
    payload
}

/// The frames of a compressed message whose payload goes `size` bytes to a fragment.
fn fragments(role: Role, first: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let last = payload.len().div_ceil(size) - 1;
    let frame = |(index, part): (usize, &[u8])| {
        let first = if index == 0 { 0x40 | first } else { 0 } | if index == last { 0x80 } else { 0 };
        frame_to(role, first, part)
    };
    payload.chunks(size).enumerate().flat_map(frame).collect()
}

#[test]
fn a_bomb_costs_its_limit_and_64_kib_at_most() {
    for (kind, first) in [(Kind::Text, 1), (Kind::Binary, 2)] {
        let payload = bomb(kind, 2 << 20);
        for limit in [1, 100_000, Limits::MESSAGE] {
            for takeover in EITHER {
                for (size, cut) in [(usize::MAX, usize::MAX), (usize::MAX, 1), (100, usize::MAX), (1, 1), (7, 3)] {
                    let config = shared(0, takeover);
                    let mut stream = fragments(Role::Server, first, &payload, size);
                    let (_, heap) = used(|| {
                        let mut connection = open_shared(Role::Server, takeover, &config);
                        connection.set_limits(Limits { message: limit, fragments: u32::MAX, ..Limits::default() });
                        let (end, heap) = used(|| take(&mut connection, &mut stream, cut, false));
                        assert_eq!(
                            end,
                            (0, Some(ProtocolError::MessageTooLong { len: limit as u32 + 1, limit: limit as u32 }))
                        );
                        let most = limit + (64 << 10);
                        assert!(heap.peak <= most as isize, "{kind:?}, limit {limit}, {size} and {cut}: {heap:?}");
                        assert!(heap.held <= 64, "the close frame and no more: {heap:?}");
                        assert_eq!(sent(&mut connection), [close_frame(1009)]);
                    });
                    assert_eq!(heap.held, 0);
                }
            }
        }
    }
}

#[test]
fn pieces_of_a_bomb_take_the_same_room_however_long_it_is() {
    for (kind, first) in [(Kind::Text, 1), (Kind::Binary, 2)] {
        for cut in [1000, usize::MAX] {
            let peaks = [1 << 20, 5 << 20].map(|len| {
                let mut stream = fragments(Role::Client, first, &bomb(kind, len), usize::MAX);
                let config = shared(0, false);
                let mut connection = open_shared(Role::Client, false, &config);
                connection.set_limits(Limits { message: usize::MAX, ..Limits::default() });
                let (end, heap) = used(|| take(&mut connection, &mut stream, cut, true));
                assert_eq!((end, heap.held), ((1, None), 0));
                heap.peak
            });
            // The codec, and a piece: 16 KiB or what 64 bytes inflate to. Where pieces end is not quite the same.
            assert!(peaks[0].abs_diff(peaks[1]) <= 16 << 10 && peaks[1] <= 256 << 10, "{peaks:?}");
        }
    }
}

#[test]
fn a_codec_is_made_for_the_first_message_and_not_for_the_handshake() {
    let request = ClientRequest::new("ws://host/").unwrap();
    for takeover in EITHER {
        let config = shared(4, takeover);
        let (ends, heap) = used(|| {
            let mut client = Connection::client(&request, config.clone(), SEED).unwrap();
            let mut server = Connection::server(config.clone());
            let mut head = outbound(&mut client);
            match server.receive(&mut &mut head[..]) {
                Ok(Some(Event::Request(request))) => server.accept(request.accept()).unwrap(),
                result => panic!("{result:?}"),
            }
            let mut head = outbound(&mut server);
            assert!(matches!(client.receive(&mut &mut head[..]), Ok(Some(Event::Open(_)))));
            (client, server)
        });
        assert_eq!(ends.0.negotiated().deflate(), Some(default_params(takeover)));
        assert_eq!(ends.1.negotiated().deflate(), Some(default_params(takeover)));
        assert_eq!(heap.held, 0);
        assert!(heap.peak < 10_000, "{heap:?}");

        // Plain messages need none, either.
        let (mut client, mut server) = ends;
        let (_, heap) = used(|| {
            client.send_text(&lines(255)).unwrap();
            let bytes = outbound(&mut client);
            assert_eq!(feed(&mut server, &bytes, 7), (vec![text(&lines(255))], None));
            server.send_prepared(&Prepared::text(&lines(200))).unwrap();
            let bytes = outbound(&mut server);
            assert_eq!(feed(&mut client, &bytes, 7), (vec![text(&lines(200))], None));
        });
        assert_eq!(heap.held, 0);
        assert!(heap.peak < 10_000, "{heap:?}");
    }
}

#[test]
fn without_takeover_a_connection_holds_nothing_between_messages() {
    let config = shared(1, false);
    let plain = lines(5000);
    let exchange = || {
        let mut client = open_shared(Role::Client, false, &config);
        let mut server = open_shared(Role::Server, false, &config);
        for _ in 0..3 {
            client.send_text(&plain).unwrap();
            let bytes = outbound(&mut client);
            assert_eq!(feed(&mut server, &bytes, 100), (vec![text(&plain)], None));
            for (part, last) in [(&plain[..2500], false), (&plain[2500..], true)] {
                server.send_fragment(Kind::Text, part.as_bytes(), last).unwrap();
            }
            server.send_binary(&loud_noise(3000)).unwrap();
            let bytes = outbound(&mut server);
            assert_eq!(feed(&mut client, &bytes, 100), (vec![text(&plain), binary(&loud_noise(3000))], None));
        }
        (client, server)
    };
    let (_ends, heap) = used(exchange);
    let of_the_pool = heap.held;
    assert!(of_the_pool > 100 << 10, "a codec of each kind: {heap:?}");
    let (_more, heap) = used(exchange);
    assert_eq!(heap.held, 0, "two more connections hold nothing, and the pool holds no more");
    assert!(heap.peak < 96 << 10, "they have used the same codecs");
    let pool = config.deflate.as_ref().unwrap().pool.clone();
    let (_, heap) = used(|| drop((_ends, _more, config, pool)));
    assert!(heap.held <= -of_the_pool, "and it is freed with the last of them");
}

#[test]
fn an_active_connection_holds_96_kib_at_most() {
    let config = shared(0, false);
    let plain = lines(20_000);
    for kind in [Kind::Text, Kind::Binary] {
        // In the middle of a message that comes.
        let first = if kind == Kind::Text { 0xC1 } else { 0xC2 };
        let mut stream = frame_to(Role::Server, first, &Encoder::new(1, 12).message(plain.as_bytes()));
        let half = stream.len() / 2;
        for cut in [1, usize::MAX] {
            let mut stream = stream.clone();
            let mut server = open_shared(Role::Server, false, &config);
            let (_, heap) = used(|| assert_eq!(take(&mut server, &mut stream[..half], cut, false), (0, None)));
            assert!(heap.held >= 40 << 10 && heap.peak <= 96 << 10, "receiving: {heap:?}");
        }
        let mut server = open_shared(Role::Server, false, &config);
        let (_, heap) = used(|| {
            assert_eq!(take(&mut server, &mut stream, usize::MAX, false), (1, None));
        });
        assert_eq!(heap.held, 0);

        // In the middle of a message that goes, in fragments: no codec is held between them.
        let (mut server, heap) = used(|| {
            let mut server = open_shared(Role::Server, false, &config);
            server.send_fragment(kind, plain.as_bytes(), false).unwrap();
            server
        });
        assert!(heap.held <= 16 << 10, "sending: {heap:?}");
        let (_, heap) = used(|| outbound(&mut server).len());
        let _ = heap;
        let (_, heap) = used(|| {
            server.send_fragment(kind, b"x", true).unwrap();
            outbound(&mut server);
        });
        assert!(heap.held <= 0, "{heap:?}");
    }
}

#[test]
fn with_takeover_a_connection_holds_its_codecs() {
    let config = shared(4, true);
    let plain = lines(5000);
    let (server, heap) = used(|| {
        let mut server = open_shared(Role::Server, true, &config);
        let mut payload = Encoder::new(6, 12).message(plain.as_bytes());
        let mut stream = frame_to(Role::Server, 0xC1, &payload);
        assert_eq!(take(&mut server, &mut stream, usize::MAX, false), (1, None));
        payload.clear();
        server
    });
    // A window of 32 KiB, a state of 8, a step of 8.
    assert!((40 << 10..64 << 10).contains(&heap.held), "receiving: {heap:?}");
    println!("receiving with takeover: {} bytes", heap.held);
    let (_server, heap) = used(|| {
        let mut server = server;
        for len in [5000, 500_000, 5000] {
            server.send_text(&lines(len)).unwrap();
            outbound(&mut server);
        }
        server
    });
    // Of these, 128 KiB are a hash table that zlib-rs has for each window and memory level.
    assert!((140 << 10..200 << 10).contains(&heap.held), "sending: {heap:?}");
    println!("sending with takeover: {} bytes", heap.held);
}

#[test]
fn a_pool_keeps_as_many_idle_codecs_as_it_was_told() {
    let plain = lines(2000);
    let stream = frame_to(Role::Client, 0xC1, &Encoder::new(1, 12).message(plain.as_bytes()));
    let half = stream.len() / 2;
    // Five connections have a message under way at once, then none has.
    let run = |config: &Arc<Config>| {
        let mut clients: Vec<Connection> = (0..5).map(|_| open_shared(Role::Client, false, config)).collect();
        for part in [&stream[..half], &stream[half..]] {
            for client in &mut clients {
                assert_eq!(take(client, &mut part.to_vec(), usize::MAX, false).1, None);
            }
        }
        for client in &mut clients {
            client.send_text(&plain).unwrap();
        }
    };
    let held = [0, 1, 2, 5, 9].map(|most| {
        let config = shared(most, false);
        used(|| run(&config)).1.held
    });
    assert_eq!(held[0], 0);
    // Only one message at a time was deflated.
    let inflaters = [1, 2, 5, 9].map(|most: isize| most.min(5));
    let [one, two] = [held[1], held[2]];
    for (held, count) in held[1..].iter().zip(inflaters) {
        let growth = held - one - (two - one) * (count - 1);
        assert!((0..200).contains(&growth), "{count} inflaters and a deflater: {held} bytes");
    }
    assert!((40 << 10..64 << 10).contains(&(two - one)));
}

#[test]
fn whatever_ends_an_input_no_codec_is_held_behind_it() {
    let role = Role::Client;
    let message = frame_to(role, 0xC1, &Encoder::new(1, 12).message(lines(2000).as_bytes()));
    let frame = |first, payload: &[u8]| frame_to(role, first, payload);
    // A text in one frame, a ping, a text in fragments that goes on, and messages of nothing.
    let ends = [vec![], frame(0x81, b"plain"), frame(0x89, b"ping"), frame(0x01, b"fragment")];
    let nothing = [frame(0xC2, &[0]), frame(0xC1, &[])];
    for end in ends.into_iter().chain(nothing) {
        let stream = [&message[..], &message, &end].concat();
        for cut in [1, 7, message.len(), stream.len() - 1, usize::MAX] {
            for pieces in [false, true] {
                let config = shared(0, false);
                let mut connection = open_shared(role, false, &config);
                // Rooms for the answer to a ping and the begun text.
                let (_, heap) = used(|| take(&mut connection, &mut stream.clone(), cut, pieces));
                assert!(heap.held <= 512, "{end:?} in {cut}: {heap:?}");
            }
        }
    }
}

#[test]
fn with_codecs_and_buffers_at_hand_nothing_is_allocated() {
    let config = shared(1, false);
    for role in BOTH {
        let mut connection = open_shared(role, false, &config);
        connection.set_outbound(Outbound { retain: usize::MAX, ..Outbound::default() });
        let plain = lines(10_000);
        let stream = frame_to(role, 0xC1, &Encoder::new(1, 12).message(plain.as_bytes()));
        let mut run = |heap: &mut Option<heap::Used>| {
            for cut in [usize::MAX, 10] {
                let mut stream = stream.clone();
                let (_, used) = used(|| {
                    for mut input in stream.chunks_mut(cut) {
                        while let Some(event) = connection.receive(&mut input).unwrap() {
                            let Event::Text(text) = event else { panic!("{event:?}") };
                            assert_eq!(text.len(), plain.len());
                            connection.send_text(&text).unwrap();
                            connection.recycle(text.into_owned().into_bytes());
                            let mut outbound = connection.outbound();
                            let len = outbound.remaining();
                            outbound.advance(len);
                        }
                    }
                });
                *heap = Some(used);
            }
        };
        let mut heap = None;
        run(&mut heap);
        run(&mut heap);
        assert_eq!(heap.unwrap().calls, 0, "{role:?}: {heap:?}");
    }
}

#[test]
fn a_connection_that_fails_or_goes_frees_its_codecs() {
    let good = frame_to(Role::Server, 0x42, &Encoder::new(1, 12).part(&[0; 5000]));
    for takeover in EITHER {
        let config = shared(4, takeover);
        let ends: [&dyn Fn(&mut Connection); 5] = [
            &|server| drop(feed(server, &client_frame(0x80, b"\x06"), 9)),
            &|server| drop(feed(server, &client_frame(0x83, b""), 9)),
            &|server| drop(feed(server, &client_frame(0x88, b""), 9)),
            &|server| drop(server.receive_eof()),
            &|server| server.abort(sockless::Code::AWAY),
        ];
        for end in ends {
            let mut stream = good.clone();
            let mut server = open_shared(Role::Server, takeover, &config);
            let (_, heap) = used(|| {
                assert_eq!(take(&mut server, &mut stream, usize::MAX, false), (0, None));
                end(&mut server);
            });
            assert!(heap.held <= 64, "no more than a close frame: {heap:?}");
        }
        let (_, heap) = used(|| {
            let mut stream = good.clone();
            let mut server = open_shared(Role::Server, takeover, &config);
            assert_eq!(take(&mut server, &mut stream, usize::MAX, false), (0, None));
        });
        assert_eq!(heap.held, 0);
    }
}
