//! Bounds on what a peer may send: at their edges, from what headers announce, and while they change.

use crate::common::*;
use sockless::ProtocolError::{FrameTooLong, TooManyFragments};
use sockless::{Config, Connection, Event, Limits, ProtocolError, Role};

/// An open connection with other limits than the default's.
fn limited(role: Role, change: impl FnOnce(&mut Limits)) -> Connection {
    let mut config = Config::default();
    change(&mut config.limits);
    open_with(role, config)
}

/// The header alone makes the error, at its last byte, and the close frame with this code.
fn refuses(mut connection: Connection, header: &[u8], error: ProtocolError, code: u16) {
    let (early, last) = header.split_at(header.len() - 1);
    assert_eq!(feed(&mut connection, early, 1), (vec![], None));
    assert_eq!(feed(&mut connection, last, 1), (vec![], Some(error)));
    assert_eq!(sent(&mut connection), [close_frame(code)]);
}

/// As errors say numbers.
fn said(number: u64) -> u32 {
    number.min(u32::MAX.into()) as u32
}

/// A message for which so many bytes are announced.
fn too_long(len: u64, limit: usize) -> ProtocolError {
    ProtocolError::MessageTooLong { len: said(len), limit: said(limit as u64) }
}

#[test]
fn the_defaults_are_as_documented() {
    let limits = Limits::default();
    assert_eq!((limits.message, limits.frame, limits.fragments), (1 << 20, usize::MAX, 4096));
    assert_eq!((limits.head, limits.fields), (16 << 10, 100));
}

#[test]
fn a_message_may_be_as_long_as_the_limit_and_no_longer() {
    for role in BOTH {
        for most in [0, 1, 125, 126, 1000, 0xFFFF, 0x1_0000, Limits::MESSAGE] {
            let payload = vec![7; most];
            for cut in [997, usize::MAX] {
                let mut connection = limited(role, |limits| limits.message = most);
                let bytes = frame_to(role, 0x82, &payload);
                assert_eq!(feed(&mut connection, &bytes, cut), (vec![binary(&payload)], None));
                let len = most as u64 + 1;
                refuses(connection, &header_to(role, 0x82, len), too_long(len, most), 1009);
            }
        }
    }
}

#[test]
fn a_message_that_came_whole_is_not_let_through_for_that() {
    let cases: [(fn(&mut Limits), _); 2] = [
        (|limits| limits.message = 100, too_long(101, 100)),
        (|limits| limits.frame = 100, FrameTooLong { len: 101, limit: 100 }),
    ];
    for role in BOTH {
        for (change, error) in cases {
            for first in [0x81, 0x82] {
                let mut connection = limited(role, change);
                let bytes = frames_to(role, &[(first, &[b'x'; 100]), (first, &[b'x'; 101]), (first, b"lost")]);
                let (events, end) = feed(&mut connection, &bytes, usize::MAX);
                assert_eq!((events.len(), end), (1, Some(error)));
                assert_eq!(sent(&mut connection), [close_frame(1009)]);
            }
        }
    }
}

#[test]
fn fragments_count_together_and_their_announced_length_decides() {
    for role in BOTH {
        for (first, last) in [(0, 101), (1, 100), (50, 51), (100, 1)] {
            let mut connection = limited(role, |limits| limits.message = 100);
            let whole = frames_to(role, &[(0x02, &vec![1; first]), (0x80, &vec![2; last - 1])]);
            let message = [vec![1; first], vec![2; last - 1]].concat();
            assert_eq!(feed(&mut connection, &whole, 7), (vec![binary(&message)], None));
            let start = frame_to(role, 0x02, &vec![1; first]);
            assert_eq!(feed(&mut connection, &start, 7), (vec![], None));
            refuses(connection, &header_to(role, 0x80, last as u64), too_long(101, 100), 1009);
        }
    }
}

#[test]
fn a_frame_may_be_as_long_as_the_limit_and_no_longer() {
    for role in BOTH {
        let mut connection = limited(role, |limits| limits.frame = 200);
        let bytes = frames_to(role, &[(0x02, &[1; 200]), (0x00, &[1; 200]), (0x80, &[1; 200])]);
        for cut in [3, usize::MAX] {
            assert_eq!(feed(&mut connection, &bytes, cut), (vec![binary(&[1; 600])], None));
        }
        refuses(connection, &header_to(role, 0x82, 201), FrameTooLong { len: 201, limit: 200 }, 1009);

        let mut connection = limited(role, |limits| limits.frame = 200);
        assert_eq!(feed(&mut connection, &frame_to(role, 0x01, b"x"), 1), (vec![], None));
        refuses(connection, &header_to(role, 0x80, 201), FrameTooLong { len: 201, limit: 200 }, 1009);
    }
}

#[test]
fn a_message_may_have_as_many_fragments_as_the_limit_and_no_more() {
    for role in BOTH {
        for most in 1..5 {
            let mut connection = limited(role, |limits| limits.fragments = most as u32);
            let mut frames = vec![(0x00, &b"x"[..]); most];
            frames[0].0 = 0x02;
            let unfinished = frames_to(role, &frames);
            frames[most - 1].0 |= 0x80;
            let whole = frames_to(role, &frames);
            for cut in [1, usize::MAX] {
                assert_eq!(feed(&mut connection, &whole, cut), (vec![binary(&vec![b'x'; most])], None));
            }
            assert_eq!(feed(&mut connection, &unfinished, 1), (vec![], None));
            refuses(connection, &header_to(role, 0x80, 0), TooManyFragments { limit: most as u32 }, 1008);
        }
    }
}

#[test]
fn a_million_empty_fragments_stop_at_the_budget() {
    for role in BOTH {
        for pieces in [false, true] {
            let mut connection = open(role);
            let mut bytes = frame_to(role, 0x01, b"");
            bytes.extend(frame_to(role, 0x00, b"").repeat(1_000_000));
            let mut input = &mut bytes[..];
            let end = loop {
                let result = if pieces { connection.receive_piece(&mut input) } else { connection.receive(&mut input) };
                match result {
                    Ok(Some(Event::Piece(piece))) => assert!(pieces && piece.frame_end && !piece.last),
                    result => break result,
                }
            };
            assert_eq!(end, Err(TooManyFragments { limit: Limits::FRAGMENTS }));
            assert!(input.is_empty(), "what is behind is discarded");
            assert_eq!(connection.counters().received.frames, u64::from(Limits::FRAGMENTS));
            assert_eq!(sent(&mut connection), [close_frame(1008)]);
        }
    }
}

#[test]
fn control_frames_count_to_no_limit_of_messages() {
    for role in BOTH {
        let limits = |limits: &mut Limits| (limits.message, limits.frame, limits.fragments) = (2, 1, 2);
        let control: Vec<(u8, &[u8])> = vec![(0x89, &[1; 125]), (0x8A, &[2; 125]), (0x89, b"")];
        let frames = [&[(0x02, &b"x"[..])], &control.repeat(50)[..], &[(0x80, b"y")], &control[..]].concat();
        let bytes = frames_to(role, &frames);
        for cut in [1, usize::MAX] {
            let (events, error) = feed(&mut limited(role, limits), &bytes, cut);
            assert_eq!((events.len(), error), (154, None));
            assert_eq!(events[150], binary(b"xy"));
        }
    }
}

#[test]
fn pieces_are_under_the_same_limits() {
    for role in BOTH {
        let mut connection = limited(role, |limits| limits.message = 100);
        let mut bytes = [frame_to(role, 0x02, &[0; 60]), header_to(role, 0x80, 41)].concat();
        let mut input = &mut bytes[..];
        assert!(matches!(connection.receive_piece(&mut input), Ok(Some(Event::Piece(_)))));
        assert_eq!(connection.receive_piece(&mut input), Err(too_long(101, 100)));
        assert_eq!(sent(&mut connection), [close_frame(1009)]);
    }
}

#[test]
fn lengths_up_to_the_largest_are_judged_by_the_header() {
    let largest = u64::MAX >> 1;
    for role in BOTH {
        for first in [0x01, 0x02, 0x81, 0x82] {
            refuses(open(role), &header_to(role, first, largest), too_long(largest, Limits::MESSAGE), 1009);
            refuses(
                limited(role, |limits| limits.frame = 1 << 30),
                &header_to(role, first, largest),
                FrameTooLong { len: u32::MAX, limit: 1 << 30 },
                1009,
            );
        }
    }
}

#[test]
fn where_all_is_allowed_a_message_may_be_as_long_as_a_buffer_can_be() {
    let unlimited = |limits: &mut Limits| (limits.message, limits.fragments) = (usize::MAX, u32::MAX);
    let most = isize::MAX as u64;
    for role in BOTH {
        // The length alone does no harm.
        for frames in
            [vec![header_to(role, 0x82, most)], vec![frame_to(role, 0x02, b"x"), header_to(role, 0x00, most - 1)]]
        {
            let bytes = [frames.concat(), vec![0; 1000]].concat();
            for cut in [1, usize::MAX] {
                let mut connection = limited(role, unlimited);
                assert_eq!(feed(&mut connection, &bytes, cut), (vec![], None));
                assert!(connection.tail().is_none_or(|tail| tail.len() < 4 * bytes.len()));
                assert_eq!(connection.receive_eof(), Err(ProtocolError::UnexpectedEof));
            }
        }
        let mut connection = limited(role, unlimited);
        assert_eq!(feed(&mut connection, &frame_to(role, 0x02, b"x"), 1), (vec![], None));
        refuses(connection, &header_to(role, 0x80, most), too_long(most + 1, usize::MAX), 1009);
        // An address of 32 bits may be shorter than a length.
        for length in [1 << 31, 1 << 32, (1 << 32) + 5, 1 << 40, u64::MAX >> 1] {
            for first in [0x02, 0x82] {
                let header = header_to(role, first, length);
                let mut connection = limited(role, unlimited);
                let missing = connection.missing(&header);
                if length > most {
                    assert_eq!(missing, 0);
                    refuses(connection, &header, too_long(length, usize::MAX), 1009);
                } else {
                    assert_eq!(missing as u64, if first & 0x80 == 0 { 0 } else { length });
                    let mut bytes = [header, vec![0; 100]].concat();
                    let mut input = &mut bytes[..];
                    let piece = connection.receive_piece(&mut input);
                    assert!(matches!(piece, Ok(Some(Event::Piece(piece))) if piece.data.as_bytes().len() == 100));
                }
            }
        }
    }
}

#[test]
fn limits_change_while_a_connection_runs() {
    for role in BOTH {
        let mut connection = open(role);
        let limits = |message, frame, fragments| Limits { message, frame, fragments, ..Limits::default() };

        connection.set_limits(limits(10, 10, 2));
        assert_eq!(feed(&mut connection, &frame_to(role, 0x82, &[1; 10]), 3), (vec![binary(&[1; 10])], None));
        connection.set_limits(limits(20, 20, 3));
        assert_eq!(feed(&mut connection, &frame_to(role, 0x82, &[1; 20]), 3), (vec![binary(&[1; 20])], None));

        // A frame that began under other limits stays under them.
        let frame = frame_to(role, 0x02, &[2; 15]);
        let (front, back) = frame.split_at(frame.len() - 5);
        assert_eq!(feed(&mut connection, front, 3), (vec![], None));
        connection.set_limits(limits(15, 1, 2));
        assert_eq!(feed(&mut connection, back, 3), (vec![], None));

        // Of its message, what came before counts.
        assert_eq!(feed(&mut connection, &frame_to(role, 0x80, b""), 3), (vec![binary(&[2; 15])], None));
        assert_eq!(feed(&mut connection, &frame_to(role, 0x02, b"x"), 3), (vec![], None));
        connection.set_limits(limits(1, 1, 2));
        refuses(connection, &header_to(role, 0x80, 1), too_long(2, 1), 1009);
    }
}

#[test]
fn fewer_fragments_may_be_allowed_in_the_middle_of_a_message() {
    for role in BOTH {
        let mut connection = open(role);
        let bytes = frames_to(role, &[(0x01, b"a"), (0x00, b"b"), (0x00, b"c")]);
        assert_eq!(feed(&mut connection, &bytes, 1), (vec![], None));
        connection.set_limits(Limits { fragments: 2, ..Limits::default() });
        refuses(connection, &header_to(role, 0x80, 0), TooManyFragments { limit: 2 }, 1008);
    }
}

#[test]
fn limits_of_one_connection_are_not_those_of_another_with_the_same_settings() {
    let config = std::sync::Arc::new(Config::default());
    let mut tight = Connection::open(Role::Server, Default::default(), config.clone(), SEED);
    let mut loose = Connection::open(Role::Server, Default::default(), config, SEED);
    tight.set_limits(Limits { message: 1, ..Limits::default() });
    let bytes = client_frame(0x82, b"xy");
    assert_eq!(feed(&mut tight, &bytes, 1), (vec![], Some(too_long(2, 1))));
    assert_eq!(feed(&mut loose, &bytes, 1), (vec![binary(b"xy")], None));
}
