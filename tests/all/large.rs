//! Large messages and spent buffers: payloads lent where they lie, reads straight into a message, no copy twice.

use crate::common::heap;
use crate::common::*;
use sockless::{Code, Config, Connection, Event, Limits, ProtocolError, Role};
use std::borrow::Cow;
use std::io::Read;

/// Bytes in which any that is missing, doubled or moved shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()).take(len).collect()
}

/// A socket that gives at most `most` bytes at once.
struct Socket<'a> {
    bytes: &'a [u8],
    most: usize,
}

impl Read for Socket<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let len = to.len().min(self.most);
        self.bytes.read(&mut to[..len])
    }
}

/// What came of a stream that was read as [`Connection::tail`] wants it to be.
#[derive(Debug, Default, PartialEq)]
struct Driven {
    events: Vec<Event<'static>>,
    /// Bytes that were read into a message.
    straight: usize,
    /// The others.
    buffered: usize,
}

fn drive(connection: &mut Connection, bytes: &[u8], most: usize) -> Driven {
    let mut socket = Socket { bytes, most };
    let mut buffer = vec![0; 16 << 10];
    let mut driven = Driven::default();
    loop {
        if let Some(tail) = connection.tail() {
            assert!(!tail.is_empty(), "a read into it would look like the end");
            let n = socket.read(tail).unwrap();
            if n == 0 {
                return driven;
            }
            driven.straight += n;
            driven.events.extend(connection.receive_tail(n).unwrap());
        } else {
            let n = socket.read(&mut buffer).unwrap();
            if n == 0 {
                return driven;
            }
            driven.buffered += n;
            let mut input = &mut buffer[..n];
            while let Some(event) = connection.receive(&mut input).unwrap() {
                driven.events.push(event.into_owned());
            }
        }
    }
}

/// The most bytes of a large frame that go through a buffer of 16 KiB: a read at its start, and what is left at its end.
const BUFFERED: usize = (16 << 10) + (64 << 10);

#[test]
fn most_of_a_large_binary_message_is_read_straight_into_it() {
    let message = pattern(1_000_003);
    for role in BOTH {
        let stream = frames_to(role, &[(0x81, b"before"), (0x82, &message), (0x81, b"after")]);
        for most in [999, 16 << 10, 70_001, usize::MAX] {
            let mut connection = open(role);
            let driven = drive(&mut connection, &stream, most);
            assert_eq!(driven.events, [text("before"), binary(&message), text("after")], "{most} at once");
            assert!(driven.buffered <= BUFFERED + 100, "{} bytes went through the buffer", driven.buffered);
            assert_eq!(driven.straight + driven.buffered, stream.len());
            let received = connection.counters().received;
            assert_eq!((received.frames, received.bytes), (3, stream.len() as u64));
        }
    }
}

#[test]
fn fragments_are_read_straight_into_their_message_too() {
    let message = pattern(900_000);
    for role in BOTH {
        let mut frames: Vec<(u8, &[u8])> = message.chunks(300_000).map(|part| (0x00, part)).collect();
        (frames[0].0, frames[2].0) = (0x02, 0x80);
        frames.insert(2, (0x89, b"ping"));
        frames.insert(1, (0x00, b""));
        frames.push((0x82, b"next"));
        let stream = frames_to(role, &frames);
        for most in [1001, usize::MAX] {
            let mut connection = open(role);
            let driven = drive(&mut connection, &stream, most);
            assert_eq!(driven.events, [ping(b"ping"), binary(&message), binary(b"next")]);
            assert!(driven.straight >= stream.len() - 3 * BUFFERED, "{}", driven.straight);
            assert_eq!(sent(&mut connection), [(0x8A, b"ping".to_vec())]);
        }
    }
}

#[test]
fn a_tail_ends_with_the_frame_and_is_not_worth_lending_for_a_little() {
    let payload = pattern(400_000);
    for role in BOTH {
        for first in [0x82, 0x02] {
            let stream = frame_to(role, first, &payload);
            let header = stream.len() - payload.len();
            for (arrived, lent) in [(100_000, true), (200_000, true), (399_000, false), (399_999, false)] {
                let mut connection = open(role);
                assert_eq!(feed(&mut connection, &stream[..header + arrived], 50_000), (vec![], None));
                let tail = connection.tail().map(|tail| tail.len());
                assert_eq!(tail.is_some(), lent, "{arrived} bytes arrived");
                assert!(tail.unwrap_or_default() <= payload.len() - arrived);
            }
        }
    }
}

#[test]
fn the_room_of_a_tail_grows_with_what_arrived_and_not_with_what_was_announced() {
    for role in BOTH {
        for first in [0x82, 0x02] {
            let mut connection = open(role);
            let limits = Limits { message: usize::MAX, ..Limits::default() };
            connection.set_limits(limits);
            feed(&mut connection, &header_to(role, first, isize::MAX as u64), 1);
            feed(&mut connection, &[1], 1);
            let mut arrived = 1;
            while arrived < 1 << 20 {
                let ((), used) = heap::used(|| {
                    let len = connection.tail().unwrap().len();
                    assert!(len <= 4 * (arrived + 1));
                    arrived += len;
                    assert_eq!(connection.receive_tail(len), Ok(None));
                });
                assert!(used.peak <= 4 * arrived as isize, "{used:?} for {arrived}");
            }
        }
    }
}

#[test]
fn short_reads_do_not_move_what_is_there_each_time() {
    let message = pattern(600_000);
    for role in BOTH {
        for first in [0x82, 0x02] {
            let stream = frame_to(role, first, &message);
            let mut connection = open(role);
            let (driven, used) = heap::used(|| drive(&mut connection, &stream[..500_000], 500));
            assert_eq!(driven.events, []);
            assert!(used.calls <= 10, "{used:?}: the buffer of 16 KiB, and one for each time that the message trebled");
        }
    }
}

#[test]
fn a_driver_may_turn_to_its_own_buffer_and_back() {
    let message = pattern(500_000);
    for role in BOTH {
        let stream = frame_to(role, 0x82, &message);
        let mut connection = open(role);
        let mut rest = &stream[..];
        let mut events = vec![];
        for turn in 0.. {
            let len = rest.len().min(if turn % 3 == 0 { 3_001 } else { 70_000 });
            let (now, behind) = rest.split_at(len);
            let tail = connection.tail();
            // Lent and not used, lent and used in part, or not lent.
            let taken = match tail {
                Some(tail) if turn % 3 == 1 => {
                    let len = tail.len().min(now.len()) / 2 + 1;
                    tail[..len].copy_from_slice(&now[..len]);
                    events.extend(connection.receive_tail(len).unwrap());
                    len
                }
                _ => {
                    let (more, error) = feed(&mut connection, now, 10_000);
                    assert_eq!(error, None);
                    events.extend(more);
                    len
                }
            };
            rest = &rest[taken..];
            if rest.is_empty() {
                assert_eq!(behind.len(), 0);
                break;
            }
        }
        assert_eq!(events, [binary(&message)]);
    }
}

#[test]
fn taking_nothing_of_a_tail_changes_nothing() {
    let message = pattern(300_000);
    for role in BOTH {
        let stream = frame_to(role, 0x82, &message);
        let mut connection = open(role);
        feed(&mut connection, &stream[..100_000], 1000);
        for _ in 0..3 {
            assert!(connection.tail().is_some());
            assert_eq!(connection.receive_tail(0), Ok(None));
        }
        assert_eq!(feed(&mut connection, &stream[100_000..], 1000), (vec![binary(&message)], None));
    }
}

#[test]
fn a_tail_is_lent_for_nothing_but_binary_messages_that_are_received_whole() {
    let payload = vec![b'x'; 400_000];
    for role in BOTH {
        let mut connection = open(role);
        assert_eq!(connection.tail(), None, "nothing has come");
        for first in [0x81, 0x01, 0x82] {
            let stream = frame_to(role, first, &payload);
            let header = stream.len() - payload.len();
            for arrived in [0, 1, 100_000] {
                let mut connection = open(role);
                let mut part = stream[..header + arrived].to_vec();
                let mut input = &mut part[..];
                // The binary message comes in pieces.
                match first {
                    0x82 => assert_eq!(connection.receive_piece(&mut input).unwrap().is_some(), arrived > 0),
                    _ => assert_eq!(connection.receive(&mut input), Ok(None)),
                }
                assert_eq!(connection.tail(), None);
                assert_eq!(connection.receive_tail(1000), Ok(None), "what was not lent is not taken");
                if first != 0x01 {
                    let (events, error) = feed(&mut connection, &stream[header + arrived..], 50_000);
                    assert_eq!((events.is_empty(), error), (false, None));
                    assert_eq!(connection.counters().received.bytes, stream.len() as u64);
                }
            }
        }
    }
}

#[test]
fn a_large_text_is_checked_although_its_header_came_alone() {
    for role in BOTH {
        let mut payload = vec![b'x'; 200_000];
        payload[150_000] = 0xFF;
        let stream = frame_to(role, 0x81, &payload);
        let header = stream.len() - payload.len();
        let mut connection = open(role);
        assert_eq!(drive(&mut connection, &stream[..header], usize::MAX).events, []);
        assert_eq!(drive(&mut connection, &stream[header..header + 150_000], usize::MAX).straight, 0);
        assert_eq!(feed(&mut connection, &stream[header + 150_000..], 1), (vec![], Some(ProtocolError::InvalidUtf8)));
    }
}

#[test]
fn a_tail_is_lent_for_text_that_nobody_checks() {
    let mut config = Config::default();
    config.check_utf8 = false;
    let message = pattern(300_000);
    for role in BOTH {
        let driven = drive(&mut open_with(role, config.clone()), &frame_to(role, 0x81, &message), usize::MAX);
        assert_eq!(driven.events, [Event::Unchecked(message.clone().into())]);
        assert!(driven.straight > 0);
    }
}

#[test]
fn an_ended_connection_lends_no_tail() {
    for role in BOTH {
        let stream = frame_to(role, 0x82, &pattern(400_000));
        let aborted = |connection: &mut Connection| connection.abort(Code::AWAY);
        let eof = |connection: &mut Connection| assert!(connection.receive_eof().is_err());
        for end in [&aborted as &dyn Fn(&mut Connection), &eof] {
            let mut connection = open(role);
            feed(&mut connection, &stream[..100_000], 1000);
            assert!(connection.tail().is_some());
            end(&mut connection);
            assert_eq!(connection.tail(), None);
            assert_eq!(connection.receive_tail(100), Ok(None));
            assert_eq!(feed(&mut connection, &stream[100_000..], 1000), (vec![], None));
        }
    }
}

/// The buffer of an event that owns one.
fn into_buffer(event: Event<'_>) -> Vec<u8> {
    match event {
        Event::Binary(Cow::Owned(bytes)) => bytes,
        Event::Text(Cow::Owned(text)) => text.into_bytes(),
        event => panic!("{event:?} owns no buffer"),
    }
}

#[test]
fn nothing_is_allocated_once_spent_buffers_come_back() {
    let payload = vec![b'x'; 200_000];
    for role in BOTH {
        // In fragments, and cut; text and binary by turns.
        let mut stream = frames_to(
            role,
            &[(0x01, &payload[..70_000]), (0x80, &payload[..80_000]), (0x82, &payload), (0x81, &payload)],
        );
        let mut reader = open(role);
        // One's own memory for each round, because payloads are unmasked where they lie.
        let fresh = stream.clone();
        let mut round = || {
            stream.copy_from_slice(&fresh);
            let mut lens = [0; 3];
            let mut count = 0;
            for part in stream.chunks_mut(64_000) {
                let mut input = part;
                while let Some(event) = reader.receive(&mut input).unwrap() {
                    let buffer = into_buffer(event);
                    lens[count] = buffer.len();
                    count += 1;
                    reader.recycle(buffer);
                }
            }
            lens
        };
        assert_eq!(round(), [150_000, 200_000, 200_000]);
        let (lens, used) = heap::used(|| [round(), round(), round()]);
        assert_eq!(lens, [[150_000, 200_000, 200_000]; 3]);
        assert_eq!(used, heap::Used::default());
    }
}

#[test]
fn a_recycled_buffer_serves_straight_reads() {
    let message = pattern(500_000);
    for role in BOTH {
        let stream = frame_to(role, 0x82, &message);
        let mut connection = open(role);
        connection.recycle(Vec::with_capacity(Limits::MESSAGE));
        let (straight, used) = heap::used(|| {
            let mut rest = &stream[..];
            let mut start = [0; 1000];
            rest.read_exact(&mut start).unwrap();
            assert_eq!(connection.receive(&mut &mut start[..]), Ok(None));
            let tail = connection.tail().unwrap();
            let straight = rest.read(tail).unwrap();
            assert!(rest.is_empty(), "the whole rest fits");
            let event = connection.receive_tail(straight).unwrap().unwrap();
            assert!(matches!(&event, Event::Binary(bytes) if **bytes == message[..]));
            connection.recycle(into_buffer(event));
            straight
        });
        assert_eq!((straight, used), (stream.len() - 1000, heap::Used::default()));
    }
}

#[test]
fn a_recycled_buffer_leaves_nothing_of_what_it_held() {
    for role in BOTH {
        for (first, stale) in [(0x01, b'z'), (0x01, 0xAA), (0x02, b'z')] {
            for len in [0, 1, 5, 999, 1000, 1001, 5000] {
                let mut connection = open(role);
                connection.recycle(vec![stale; 1000]);
                let payload = vec![b'x'; len];
                let expected = if first == 0x01 { text(&"x".repeat(len)) } else { binary(&payload) };
                let stream = frames_to(role, &[(first, &payload), (0x80, b"")]);
                for cut in [1, 300, usize::MAX] {
                    assert_eq!(feed(&mut connection, &stream, cut), (vec![expected.clone()], None));
                }
            }
        }
    }
}

#[test]
fn the_larger_buffer_is_kept_and_none_is_taken_inside_a_message() {
    let mut connection = open(Role::Server);
    let ((), used) = heap::used(|| {
        connection.recycle(Vec::with_capacity(5000));
        connection.recycle(Vec::with_capacity(4000));
    });
    assert_eq!(used.held, 5000);
    let stream = [client_frame(0x02, b"ab"), client_frame(0x80, b"cd")].concat();
    assert_eq!(feed(&mut connection, &stream[..10], usize::MAX), (vec![], None));
    connection.recycle(vec![b'z'; 9000]);
    assert_eq!(feed(&mut connection, &stream[10..], usize::MAX), (vec![binary(b"abcd")], None));

    feed(&mut connection, &client_frame(0x83, b""), usize::MAX);
    let ((), used) = heap::used(|| connection.recycle(Vec::with_capacity(5000)));
    assert_eq!(used.held, 0, "a failed connection has no use for one");
}

/// Whether the payload of an event lies in `range`; `None` if it is owned.
fn is_lent(event: &Event<'_>, range: &std::ops::Range<*const u8>) -> Option<bool> {
    let payload: &[u8] = match event {
        Event::Text(Cow::Borrowed(text)) => text.as_bytes(),
        Event::Binary(Cow::Borrowed(bytes)) | Event::Ping(Cow::Borrowed(bytes)) | Event::Pong(Cow::Borrowed(bytes)) => {
            bytes
        }
        Event::Close(close) => match &close.reason {
            Cow::Borrowed(reason) => reason.as_bytes(),
            Cow::Owned(_) => return None,
        },
        _ => return None,
    };
    let payload = payload.as_ptr_range();
    Some(range.start <= payload.start && payload.end <= range.end)
}

#[test]
fn what_comes_whole_is_lent_where_it_lies_and_a_batch_is_held_while_answers_go_out() {
    for role in BOTH {
        let long = vec![b'y'; 70_000];
        let mut stream = frames_to(
            role,
            &[
                (0x81, b"text"),
                (0x82, b"\xff\xfe"),
                (0x89, b"ping"),
                (0x8A, b"pong"),
                (0x82, &long),
                (0x88, b"\x03\xe8bye"),
            ],
        );
        let range = stream.as_ptr_range();
        let mut connection = open(role);
        let mut input = &mut stream[..];
        let mut batch = vec![];
        while let Some(event) = connection.receive(&mut input).unwrap() {
            match &event {
                Event::Text(text) => connection.send_text(text).unwrap(),
                Event::Binary(bytes) => connection.send_binary(bytes).unwrap(),
                _ => {}
            }
            assert_eq!(is_lent(&event, &range), Some(true), "{event:?}");
            batch.push(event);
        }
        let expected =
            [text("text"), binary(b"\xff\xfe"), ping(b"ping"), pong(b"pong"), binary(&long), closed(1000, "bye")];
        assert_eq!(batch, expected);
        let echoed: Vec<u8> = sent(&mut connection).iter().map(|(first, _)| *first).collect();
        assert_eq!(echoed, [0x8A, 0x81, 0x82, 0x82, 0x88], "control frames go ahead of data");
    }
}

#[test]
fn nothing_is_allocated_for_messages_that_come_whole() {
    for role in BOTH {
        let mut stream = frames_to(role, &[(0x81, b"text"), (0x82, &[7; 70_000]), (0x8A, b"pong")]);
        let mut connection = open(role);
        let mut input = &mut stream[..];
        let (count, used) = heap::used(|| {
            let mut count = 0;
            while connection.receive(&mut input).unwrap().is_some() {
                count += 1;
            }
            count
        });
        assert_eq!((count, used), (3, heap::Used::default()));
    }
}

#[test]
fn what_had_to_be_put_together_is_owned() {
    for role in BOTH {
        let stream =
            frames_to(role, &[(0x01, b"te"), (0x80, b"xt"), (0x82, b"bytes"), (0x89, b"ping"), (0x88, b"\x03\xe8bye")]);
        let mut connection = open(role);
        let mut count = 0;
        for part in stream.chunks(3) {
            let mut part = part.to_vec();
            let mut input = &mut part[..];
            while let Some(event) = connection.receive(&mut input).unwrap() {
                assert_eq!(is_lent(&event, &(std::ptr::null()..std::ptr::null())), None, "{event:?}");
                count += 1;
            }
        }
        assert_eq!(count, 4);
    }
}

#[test]
fn a_message_ends_in_a_buffer_of_its_own_size_or_little_more() {
    for role in BOTH {
        let payload = pattern(100_000);
        let stream = frame_to(role, 0x82, &payload);
        for cut in [1, 1000, 60_000] {
            let (events, error) = feed(&mut open(role), &stream, cut);
            let [Event::Binary(Cow::Owned(bytes))] = &events[..] else { panic!("{error:?}") };
            assert_eq!(bytes.capacity(), payload.len(), "the last frame says how long it gets");
        }
    }
}

#[test]
fn a_buffer_is_taken_after_text_in_pieces_too() {
    let mut connection = open(Role::Server);
    let mut stream = client_frame(0x81, "\u{20ac}".as_bytes());
    let piece = connection.receive_piece(&mut &mut stream[..]);
    assert!(matches!(piece, Ok(Some(Event::Piece(piece))) if piece.last));
    connection.recycle(vec![b'z'; 5000]);
    let stream = [client_frame(0x02, b"ab"), client_frame(0x80, b"cd")].concat();
    let (result, used) = heap::used(|| {
        let mut stream = stream.clone();
        connection.receive(&mut &mut stream[..]).map(|event| event.map(Event::into_owned))
    });
    assert_eq!(result, Ok(Some(binary(b"abcd"))));
    assert_eq!(used.asked, stream.len(), "only the copy of the stream");
}
