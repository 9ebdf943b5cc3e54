//! Peers that mean harm: what they can make a connection hold or do is bounded by what they send.

use crate::common::heap;
use crate::common::*;
use bytes::Buf;
use sockless::driver::Answers;
use sockless::{Code, Config, Connection, Event, Limits, ProtocolError, Role, SendError, Transport};

/// Bytes of heap that a connection may hold besides messages.
const SLACK: isize = 2048;

/// Receives `part`, where it lies: how many events it makes.
fn take(connection: &mut Connection, part: &mut [u8]) -> usize {
    let mut input = part;
    let mut count = 0;
    while connection.receive(&mut input).unwrap().is_some() {
        count += 1;
    }
    count
}

#[test]
fn a_million_pings_to_a_peer_that_never_reads_hold_one_pong() {
    for (role, rounds) in [(Role::Server, 1000), (Role::Client, 10)] {
        let mut connection = open(role);
        let payload = |i: u16| [&i.to_be_bytes()[..], &[b'p'; 123]].concat();
        let pings: Vec<u8> = (0..1000).flat_map(|i| frame_to(role, 0x89, &payload(i))).collect();
        let one_pong = frame_to(peer_of(role), 0x8A, &[0; 125]).len();
        let mut read = pings.clone();
        let (count, used) = heap::used(|| {
            let mut count = 0;
            for _ in 0..rounds {
                read.copy_from_slice(&pings);
                count += take(&mut connection, &mut read);
                assert_eq!(connection.counters().most_queued as usize, one_pong, "never was there more than one");
            }
            count
        });
        assert_eq!(count, rounds * 1000);
        assert!(used.peak <= SLACK, "{used:?}");
        assert_eq!(sent(&mut connection), [(0x8A, payload(999))], "the newest is answered");
    }
}

#[test]
fn a_pong_that_has_begun_to_go_out_is_finished_and_one_more_waits() {
    for role in BOTH {
        let mut connection = open(role);
        take(&mut connection, &mut frame_to(role, 0x89, b"first"));
        let mut written = vec![connection.outbound().chunk()[0]];
        connection.outbound().advance(1);
        for i in 0..1000_u16 {
            take(&mut connection, &mut frame_to(role, 0x89, &i.to_be_bytes()));
        }
        written.extend(outbound(&mut connection));
        assert_eq!(unframe(&written), [(0x8A, b"first".to_vec()), (0x8A, 999_u16.to_be_bytes().to_vec())]);
    }
}

#[test]
fn pings_behind_data_that_nobody_reads_hold_one_pong_too() {
    for role in BOTH {
        let mut connection = open(role);
        for _ in 0..10 {
            connection.send_binary(&[7; 1000]).unwrap();
            connection.send_shared(sockless::Kind::Binary, vec![8; 1000].into()).unwrap();
        }
        // Some of it has gone out, up to the middle of a frame.
        let mut written = connection.outbound().chunk()[..500].to_vec();
        connection.outbound().advance(500);
        let queued = connection.counters().queued;
        for i in 0..10_000_u32 {
            take(&mut connection, &mut frame_to(role, 0x89, &i.to_be_bytes()));
            assert!(connection.counters().queued <= queued + 10);
        }
        written.extend(outbound(&mut connection));
        let frames = unframe(&written);
        assert_eq!(frames[1], (0x8A, 9_999_u32.to_be_bytes().to_vec()), "ahead of the data that had not begun");
        assert_eq!(frames.len(), 21);
    }
}

#[test]
fn a_server_whose_answers_are_not_read_stops_reading_until_they_are() {
    for role in BOTH {
        let mut connection = open(role);
        let mut answers = Answers::default();
        let mut rounds = 0;
        while !connection.is_high() && rounds < 100 {
            let mut part = frame_to(role, 0x82, &[7; 1000]);
            let mut input = &mut part[..];
            while let Some(Event::Binary(bytes)) = connection.receive(&mut input).unwrap() {
                let queued = connection.queued();
                connection.send_binary(&bytes).unwrap();
                answers.note(connection.sender(), queued);
            }
            rounds += 1;
        }
        let queued = connection.counters().queued;
        let soft = Config::default().outbound.soft;
        assert!((soft + 1..soft + 1 + 1008).contains(&queued), "{queued} bytes after {rounds} echoes");
        assert!(connection.wants().write);
        assert_eq!(connection.wants().transport, Transport::Open);

        // A server reads again when its answers have gone; of two ends that both wait, neither would.
        let server = role == Role::Server;
        assert_eq!((connection.wants().read, answers.pause(connection.sender())), (true, server));
        // What the application sends of its own accord behind them changes nothing.
        connection.send_binary(&[0; 200_000]).unwrap();
        connection.outbound().advance(queued - soft - 1);
        assert_eq!(answers.pause(connection.sender()), server);
        connection.outbound().advance(1);
        assert!(connection.is_high() && !answers.pause(connection.sender()));
    }
}

#[test]
fn whoever_does_not_heed_it_is_stopped_by_the_hard_limit() {
    for role in BOTH {
        let mut connection = open(role);
        let message = vec![7; 100_000];
        let refused = (0..20).find_map(|_| connection.send_binary(&message).err());
        assert_eq!(refused, Some(SendError::Full));
        let outbound = Config::default().outbound;
        assert!(connection.counters().queued <= outbound.hard + message.len() + 14);
        assert_eq!(connection.ping(b""), Err(SendError::Full));
        assert_eq!(connection.close(Code::NORMAL, ""), Ok(()), "a close frame always has room");
    }
}

#[test]
fn a_close_frame_has_room_however_much_waits() {
    for role in BOTH {
        let mut connection = open(role);
        let refused = (0..20).find_map(|_| connection.send_binary(&[7; 100_000]).err());
        assert_eq!(refused, Some(SendError::Full));
        let queued = connection.counters().queued;
        assert_eq!(
            feed(&mut connection, &frame_to(role, 0x83, b""), 1),
            (vec![], Some(ProtocolError::ReservedOpcode(3)))
        );
        assert!((queued + 1..=queued + 8).contains(&connection.counters().queued));
        assert_eq!(sent(&mut connection).last(), Some(&close_frame(1002)));
    }
}

#[test]
fn input_after_a_failure_is_neither_kept_nor_answered() {
    for role in BOTH {
        let mut connection = open(role);
        feed(&mut connection, &frame_to(role, 0x02, &[0; 10_000]), 100);
        feed(&mut connection, &frame_to(role, 0x83, b""), 100);
        assert_eq!(sent(&mut connection), [close_frame(1002)]);
        let mut more = frames_to(role, &[(0x82, &[0; 10_000]), (0x89, b"ping"), (0x02, &[0; 10_000])]);
        let ((), used) = heap::used(|| {
            for _ in 0..1000 {
                assert_eq!(take(&mut connection, &mut more), 0);
            }
        });
        assert_eq!(used, heap::Used::default());
        assert_eq!(outbound(&mut connection), b"");
    }
}

#[test]
fn a_failure_lets_go_of_the_message_under_way() {
    for role in BOTH {
        for end in [frame_to(role, 0x83, b""), frame_to(role, 0x88, b"\x03\xe8")] {
            let mut connection = open(role);
            let ((), used) = heap::used(|| {
                for first in [0x02, 0x00, 0x00] {
                    take(&mut connection, &mut frame_to(role, first, &[0; 100_000]));
                }
                let mut end = end.clone();
                drop(connection.receive(&mut &mut end[..]));
                drop(outbound(&mut connection));
            });
            assert!(used.peak > 300_000 && used.held <= SLACK, "{used:?}");
        }
    }
}

#[test]
fn a_control_frame_that_does_not_end_holds_its_bound() {
    for role in BOTH {
        for first in [0x88, 0x89, 0x8A] {
            let mut stream = frame_to(role, first, &[b'x'; 125]);
            stream.pop();
            let mut connection = open(role);
            let (count, used) =
                heap::used(|| stream.chunks_mut(1).map(|byte| take(&mut connection, byte)).sum::<usize>());
            assert_eq!(count, 0, "it does not end");
            assert!(used.peak <= SLACK, "{used:?}");
        }
    }
}

#[test]
fn bytes_one_at_a_time_make_as_little_work_as_they_can() {
    // Were the work not linear, this would not end.
    let payload = vec![b'x'; 256 << 10];
    for role in BOTH {
        for first in [0x81, 0x82] {
            let mut stream = frame_to(role, first, &payload);
            let mut connection = open(role);
            let (event, used) = heap::used(|| {
                let mut event = None;
                for byte in stream.chunks_mut(1) {
                    let mut input = byte;
                    while let Some(message) = connection.receive(&mut input).unwrap() {
                        event = Some(message.into_owned());
                    }
                }
                event
            });
            let expected = if first == 0x81 { text(&"x".repeat(payload.len())) } else { binary(&payload) };
            assert!(event == Some(expected));
            // It is moved once each time it has trebled, and that is all.
            assert!(used.calls <= 20, "{used:?}");
            assert!(used.asked <= 3 * payload.len(), "{used:?}");
        }
    }
}

#[test]
fn fragments_of_one_byte_make_as_little_work_as_they_can() {
    for role in BOTH {
        for first in [0x01, 0x02] {
            let mut connection = open(role);
            connection.set_limits(Limits { fragments: u32::MAX, ..Limits::default() });
            let mut start = frame_to(role, first, b"x");
            let mut stream = frame_to(role, 0x00, b"x").repeat(50_000);
            let (count, used) = heap::used(|| {
                let count = take(&mut connection, &mut start);
                count + stream.chunks_mut(3).map(|part| take(&mut connection, part)).sum::<usize>()
            });
            assert_eq!((count, connection.counters().received.frames), (0, 50_001));
            assert!(used.calls <= 20 && used.asked <= 8 * 50_000, "{used:?}");
        }
    }
}

#[test]
fn a_control_frame_in_bytes_is_put_together_once() {
    for role in BOTH {
        let mut connection = open(role);
        let mut stream = frame_to(role, 0x8A, &[7; 125]).repeat(100);
        let (count, used) = heap::used(|| stream.chunks_mut(1).map(|byte| take(&mut connection, byte)).sum::<usize>());
        assert_eq!(count, 100);
        assert!(used.calls <= 200 && used.held == 0, "{used:?}");
    }
}

#[test]
fn a_head_one_byte_at_a_time_is_read_once() {
    let mut config = Config::default();
    config.limits.head = 2 << 20;
    let mut server = Connection::server(config);
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
    head.resize(1 << 20, b'x');
    head.extend(b"\r\n\r\n");
    let (events, used) = heap::used(|| head.chunks_mut(1).map(|byte| take(&mut server, byte)).sum::<usize>());
    assert_eq!(events, 1);
    assert!(used.calls <= 100 && used.asked <= 5 << 20, "{used:?}");
}
