//! Messages in pieces, as they arrive: what each piece says of its place, and that nothing is kept.

use crate::common::heap;
use crate::common::*;
use sockless::{Code, Connection, Event, Kind, Limits, Message, Piece, ProtocolError, Role};

/// Takes all of `bytes`, `cut` at a time, by `receive_piece`.
fn feed_pieces(connection: &mut Connection, bytes: &[u8], cut: usize) -> Vec<Event<'static>> {
    let mut events = vec![];
    for part in bytes.chunks(cut) {
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        while let Some(event) = connection.receive_piece(&mut input).unwrap() {
            events.push(event.into_owned());
        }
    }
    events
}

/// A piece; `flags` has an `f` for the first, an `e` for the end of a frame, an `l` for the last.
fn piece<'a>(data: impl Into<Message<'a>>, flags: &str) -> Event<'a> {
    let [first, frame_end, last] = ['f', 'e', 'l'].map(|flag| flags.contains(flag));
    Event::Piece(Piece { data: data.into(), first, frame_end, last })
}

/// The same for bytes.
fn bytes(data: &[u8], flags: &str) -> Event<'static> {
    piece(data, flags).into_owned()
}

#[test]
fn a_message_in_one_read_is_one_piece() {
    for role in BOTH {
        let stream = frames_to(role, &[(0x81, b"text"), (0x82, b"\xff"), (0x82, b""), (0x81, b"")]);
        let expected = [piece("text", "fel"), bytes(b"\xff", "fel"), bytes(b"", "fel"), piece("", "fel")];
        assert_eq!(feed_pieces(&mut open(role), &stream, usize::MAX), expected);
    }
}

#[test]
fn a_piece_is_lent_where_it_lies() {
    for role in BOTH {
        let mut stream = frames_to(role, &[(0x81, b"text"), (0x82, b"bytes")]);
        let range = stream.as_ptr_range();
        let mut input = &mut stream[..];
        let mut connection = open(role);
        for _ in 0..2 {
            let Ok(Some(Event::Piece(piece))) = connection.receive_piece(&mut input) else { panic!("no piece") };
            assert!(piece.data.is_borrowed());
            assert!(range.contains(&piece.data.as_bytes().as_ptr()));
        }
    }
}

#[test]
fn reads_cut_a_frame_into_pieces_and_the_last_ends_it() {
    for role in BOTH {
        let header = header_to(role, 0x82, 5).len();
        let stream = frame_to(role, 0x82, b"abcde");
        let expected = [bytes(b"a", "f"), bytes(b"b", ""), bytes(b"c", ""), bytes(b"d", ""), bytes(b"e", "el")];
        assert_eq!(feed_pieces(&mut open(role), &stream, 1), expected);
        let expected = [bytes(b"abc", "f"), bytes(b"de", "el")];
        assert_eq!(feed_pieces(&mut open(role), &stream, header + 3), expected);
    }
}

#[test]
fn a_header_alone_makes_no_piece() {
    for role in BOTH {
        let mut connection = open(role);
        let stream = frame_to(role, 0x82, b"abcde");
        let (header, payload) = stream.split_at(stream.len() - 5);
        assert_eq!(feed_pieces(&mut connection, header, usize::MAX), []);
        assert_eq!(feed_pieces(&mut connection, payload, usize::MAX), [bytes(b"abcde", "fel")]);
    }
}

#[test]
fn the_peers_fragments_can_be_told_apart() {
    for role in BOTH {
        let frames: &[(u8, &[u8])] =
            &[(0x02, b"ab"), (0x00, b""), (0x00, b"c"), (0x80, b""), (0x02, b""), (0x80, b"d")];
        let stream = frames_to(role, frames);
        let expected = [
            bytes(b"ab", "fe"),
            bytes(b"", "e"),
            bytes(b"c", "e"),
            bytes(b"", "el"),
            bytes(b"", "fe"),
            bytes(b"d", "el"),
        ];
        assert_eq!(feed_pieces(&mut open(role), &stream, usize::MAX), expected);
        let expected = [&[bytes(b"a", "f"), bytes(b"b", "e")], &expected[1..]].concat();
        assert_eq!(feed_pieces(&mut open(role), &stream, 1), expected);
    }
}

#[test]
fn a_character_cut_by_a_fragment_belongs_to_the_one_that_completes_it() {
    for role in BOTH {
        let frames: &[(u8, &[u8])] = &[(0x01, b"a\xe2"), (0x00, b"\x82"), (0x00, b"\xacb"), (0x80, b"")];
        let stream = frames_to(role, frames);
        let expected = [piece("a", "fe"), piece("", "e"), piece("\u{20ac}", ""), piece("b", "e"), piece("", "el")];
        for cut in [1, usize::MAX] {
            let pieces = feed_pieces(&mut open(role), &stream, cut);
            // One byte at a time, "a" comes before its frame ends.
            let split = [&[piece("a", "f"), piece("", "e")], &expected[1..]].concat();
            assert_eq!(pieces, if cut == 1 { split } else { expected.to_vec() });
        }
    }
}

#[test]
fn the_first_piece_waits_for_a_whole_character() {
    for role in BOTH {
        let stream = frame_to(role, 0x81, "\u{1d11e}!".as_bytes());
        assert_eq!(feed_pieces(&mut open(role), &stream, 1), [piece("\u{1d11e}", "f"), piece("!", "el")]);
    }
}

#[test]
fn controls_come_between_pieces_and_are_answered() {
    for role in BOTH {
        let frames: &[(u8, &[u8])] =
            &[(0x01, b"a"), (0x89, b"p"), (0x00, b"b"), (0x8A, b"q"), (0x88, b"\x03\xe8"), (0x80, b"lost")];
        let mut connection = open(role);
        let expected = [piece("a", "fe"), ping(b"p"), piece("b", "e"), pong(b"q"), closed(1000, "")];
        assert_eq!(feed_pieces(&mut connection, &frames_to(role, frames), 1), expected);
        assert_eq!(sent(&mut connection), [(0x8A, b"p".to_vec()), close_frame(1000)]);
        assert_eq!(connection.receive_eof(), Ok(None));
    }
}

#[test]
fn a_fault_between_pieces_ends_the_connection() {
    for role in BOTH {
        let mut connection = open(role);
        assert_eq!(feed_pieces(&mut connection, &frame_to(role, 0x02, b"a"), 1), [bytes(b"a", "fe")]);
        let mut fault = frames_to(role, &[(0x82, b"b"), (0x80, b"c")]);
        let mut input = &mut fault[..];
        assert_eq!(connection.receive_piece(&mut input), Err(ProtocolError::InterleavedMessage));
        assert!(input.is_empty());
        assert_eq!(connection.receive_piece(&mut input), Ok(None));
        assert_eq!(sent(&mut connection), [close_frame(1002)]);
    }
}

#[test]
fn a_message_stays_with_the_method_that_its_first_byte_came_to() {
    for role in BOTH {
        for kind in [Kind::Text, Kind::Binary] {
            let opcode = kind.opcode() as u8;
            let whole = |data: &str| if kind == Kind::Text { text(data) } else { binary(data.as_bytes()) };
            let part = |data: &str, flags| match kind {
                Kind::Text => piece(data, flags).into_owned(),
                Kind::Binary => bytes(data.as_bytes(), flags),
            };
            let mut connection = open(role);
            let start = frame_to(role, opcode, b"ab");
            let end = frame_to(role, 0x80, b"cd");
            let both = [&end[..], &frame_to(role, 0x80 | opcode, b"next")].concat();

            assert_eq!(feed(&mut connection, &start, 1), (vec![], None));
            let expected = [whole("abcd"), part("next", "fel")];
            assert_eq!(feed_pieces(&mut connection, &both, usize::MAX), expected);

            assert_eq!(feed_pieces(&mut connection, &start, usize::MAX), [part("ab", "fe")]);
            let expected = vec![part("cd", "el"), whole("next")];
            assert_eq!(feed(&mut connection, &both, usize::MAX), (expected, None));
        }
    }
}

#[test]
fn a_header_belongs_to_neither_method() {
    for role in BOTH {
        for first in [0x81, 0x82] {
            let stream = frame_to(role, first, b"data");
            let (header, payload) = stream.split_at(header_to(role, first, 4).len());
            let part = if first == 0x81 { piece("data", "fel") } else { bytes(b"data", "fel") };
            let whole = if first == 0x81 { text("data") } else { binary(b"data") };

            let mut connection = open(role);
            assert_eq!(feed(&mut connection, header, usize::MAX), (vec![], None));
            assert_eq!(feed_pieces(&mut connection, payload, usize::MAX), [part]);
            assert_eq!(feed_pieces(&mut connection, header, usize::MAX), []);
            assert_eq!(feed(&mut connection, payload, usize::MAX), (vec![whole], None));
        }
    }
}

#[test]
fn pieces_and_whole_texts_do_not_share_a_character() {
    for role in BOTH {
        let mut connection = open(role);
        let text_in_pieces = frames_to(role, &[(0x01, b"\xe2\x82"), (0x80, b"\xac")]);
        for _ in 0..2 {
            let pieces = feed_pieces(&mut connection, &text_in_pieces, usize::MAX);
            assert_eq!(pieces, [piece("", "fe"), piece("\u{20ac}", "el")]);
            assert_eq!(feed(&mut connection, &text_in_pieces, 1), (vec![text("\u{20ac}")], None));
            assert_eq!(feed(&mut connection, &frame_to(role, 0x82, b"\xe2\x82"), 1), (vec![binary(b"\xe2\x82")], None));
        }
    }
}

#[test]
fn a_message_of_any_size_takes_no_memory() {
    const LEN: usize = 4 << 20;
    for role in BOTH {
        for first in [0x81, 0x82] {
            let mut connection = open(role);
            connection.set_limits(Limits { message: LEN, ..Limits::default() });
            let mut stream = frames_to(role, &[(first, &vec![b'x'; LEN])]);
            let (received, used) = heap::used(|| {
                let mut received = 0;
                for part in stream.chunks_mut(64 << 10) {
                    let mut input = part;
                    while let Some(Event::Piece(piece)) = connection.receive_piece(&mut input).unwrap() {
                        received += piece.data.as_bytes().len();
                        assert_eq!(piece.last, received == LEN);
                    }
                }
                received
            });
            assert_eq!((received, used), (LEN, heap::Used::default()));
        }
    }
}

#[test]
fn pieces_may_be_answered_inside_the_loop() {
    let mut server = open(Role::Server);
    let mut stream = [client_frame(0x01, b"a"), client_frame(0x80, b"b"), client_frame(0x88, b"")].concat();
    let mut input = &mut stream[..];
    while let Some(event) = server.receive_piece(&mut input).unwrap() {
        match event {
            Event::Piece(piece) => {
                server.send_fragment(piece.data.kind(), piece.data.as_bytes(), piece.last).unwrap();
            }
            event => assert_eq!(event, closed(Code::NO_STATUS.into(), "")),
        }
    }
    assert_eq!(outbound(&mut server), b"\x01\x01a\x80\x01b\x88\x00");
}
