//! Text is UTF-8 (RFC 6455 §5.6, §8.1), and is found not to be at the first byte that cannot continue.

use crate::common::*;
use sockless::{Config, Connection, Event, Message, ProtocolError, Role};
use std::borrow::Cow;

/// Texts of every width of character, at every alignment that matters.
const VALID: [&str; 12] = [
    "",
    "\0",
    "Hello",
    "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}",
    "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!",
    "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
    "\u{d7ff}\u{e000}",
    "\u{fffe}\u{ffff}",
    "\u{feff}a\u{feff}",
    "\u{1f469}\u{200d}\u{1f680}",
    "\u{1d11e}\u{1d11e}\u{1d11e}\u{1d11e}\u{1d11e}\u{1d11e}\u{1d11e}\u{1d11e}\u{1d11e}",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u{20ac}",
];

/// What no text may hold: sequences, each without the text around it.
const INVALID: [&[u8]; 37] = [
    // Continuations without a start, and starts without a continuation.
    b"\x80",
    b"\xbf",
    b"\x80\xbf\x80\xbf",
    b"\xc2 ",
    b"\xe0\xa0 ",
    b"\xf0\x90\x80 ",
    b"\xce\xce",
    b"\xe1\x80\xe1",
    // Longer than they need to be.
    b"\xc0\x80",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\x80",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    // Of five and six bytes.
    b"\xf8\x88\x80\x80\x80",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    // Beyond the last character.
    b"\xf4\x90\x80\x80",
    b"\xf4\xbf\xbf\xbf",
    b"\xf5\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    // Halves of surrogate pairs, and whole ones.
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
    b"\xed\xa0\xbd\xed\xb8\x80",
];

/// The index of the first byte that cannot continue; the length if there is none, but the end comes too early.
fn first_bad(bytes: &[u8]) -> usize {
    let is_bad = |len: &usize| std::str::from_utf8(&bytes[..*len]).is_err_and(|error| error.error_len().is_some());
    (1..=bytes.len()).find(is_bad).map_or(bytes.len(), |len| len - 1)
}

/// A text in frames of these parts, and where in it each byte of the payload is.
fn fragmented(role: Role, parts: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = vec![];
    let mut places = vec![];
    for (i, part) in parts.iter().enumerate() {
        let opcode = if i == 0 { 0x01 } else { 0x00 };
        let fin = if i + 1 == parts.len() { 0x80 } else { 0x00 };
        bytes.extend(frame_to(role, fin | opcode, part));
        places.extend(bytes.len() - part.len()..bytes.len());
    }
    (bytes, places)
}

/// Feeds `bytes`, `cut` at a time, and says by which byte the error came.
fn fails_by(connection: &mut Connection, bytes: &[u8], cut: usize) -> Option<usize> {
    let mut fed = 0;
    for part in bytes.chunks(cut) {
        fed += part.len();
        match feed(connection, part, cut) {
            (events, None) => assert_eq!(events, [], "no message is whole"),
            (events, Some(error)) => {
                assert_eq!((events, error), (vec![], ProtocolError::InvalidUtf8));
                return Some(fed);
            }
        }
    }
    None
}

#[test]
fn valid_text_comes_whole_however_it_is_cut_and_fragmented() {
    for role in BOTH {
        for valid in VALID {
            for at in 0..=valid.len() {
                let (first, second) = valid.as_bytes().split_at(at);
                for parts in [&[valid.as_bytes()][..], &[first, second], &[first, b"", second], &[b"", first, second]] {
                    let (bytes, _) = fragmented(role, parts);
                    for cut in [1, 2, 5, usize::MAX] {
                        assert_eq!(feed(&mut open(role), &bytes, cut), (vec![text(valid)], None), "{at} {cut}");
                    }
                }
            }
        }
    }
}

#[test]
fn invalid_text_fails_at_the_first_byte_that_cannot_continue() {
    for role in BOTH {
        for invalid in INVALID {
            let payload = [VALID[3].as_bytes(), invalid, b"edited"].concat();
            let bad = first_bad(&payload);
            assert!(bad < payload.len() - 5, "{invalid:x?}");
            for at in 0..=payload.len() {
                let (first, second) = payload.split_at(at);
                for parts in [&[&payload[..]][..], &[first, second]] {
                    let (bytes, places) = fragmented(role, parts);
                    for cut in [1, 2, 3] {
                        let by = places[bad] / cut * cut + cut;
                        let fails = fails_by(&mut open(role), &bytes, cut);
                        assert_eq!(fails, Some(by.min(bytes.len())), "{payload:x?} parted at {at}, by {cut}");
                    }
                    assert_eq!(fails_by(&mut open(role), &bytes, usize::MAX), Some(bytes.len()));
                }
            }
        }
    }
}

#[test]
fn a_text_that_ends_inside_a_character_fails_at_its_end() {
    for role in BOTH {
        for whole in ["\u{e9}", "\u{20ac}", "\u{1d11e}"] {
            for len in 1..whole.len() {
                let payload = [b"ab", &whole.as_bytes()[..len]].concat();
                for parts in [&[&payload[..]][..], &[&payload[..2], &payload[2..]], &[&payload, b""]] {
                    let (bytes, _) = fragmented(role, parts);
                    assert_eq!(fails_by(&mut open(role), &bytes[..bytes.len() - 1], 1), None);
                    for cut in [1, 4, usize::MAX] {
                        assert_eq!(fails_by(&mut open(role), &bytes, cut), Some(bytes.len()));
                        let (texts, error) = pieces(&mut open(role), &bytes, cut);
                        assert!("ab".starts_with(&texts.concat()));
                        assert_eq!(error, Some(ProtocolError::InvalidUtf8));
                    }
                }
            }
        }
    }
}

#[test]
fn a_frame_that_will_never_end_fails_as_early_as_it_can() {
    for role in BOTH {
        let mut connection = open(role);
        let payload = ["\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}".as_bytes(), b"\xf4\x90\x80\x80edited"].concat();
        let (bytes, places) = fragmented(role, &[&payload]);
        let (early, late) = bytes.split_at(places[first_bad(&payload)]);
        assert_eq!(feed(&mut connection, early, usize::MAX), (vec![], None));
        assert_eq!(feed(&mut connection, &late[..1], usize::MAX), (vec![], Some(ProtocolError::InvalidUtf8)));
        assert_eq!(sent(&mut connection), [close_frame(1007)]);
    }
}

#[test]
fn a_character_goes_on_behind_control_frames_and_empty_fragments() {
    for role in BOTH {
        for cut in [1, 3, usize::MAX] {
            let frames: &[(u8, &[u8])] =
                &[(0x01, b"\xf0"), (0x89, b"\xff"), (0x00, b"\x9d\x84"), (0x00, b""), (0x8A, b"\x80"), (0x80, b"\x9e")];
            let events = vec![ping(b"\xff"), pong(b"\x80"), text("\u{1d11e}")];
            assert_eq!(feed(&mut open(role), &frames_to(role, frames), cut), (events, None));
        }
    }
}

#[test]
fn one_text_does_not_go_on_in_the_next() {
    for role in BOTH {
        for cut in [1, usize::MAX] {
            let bytes = frames_to(role, &[(0x01, b"\xe2"), (0x80, b"\x82\xac"), (0x81, b"\x82"), (0x81, b"x")]);
            let expected = (vec![text("\u{20ac}")], Some(ProtocolError::InvalidUtf8));
            assert_eq!(feed(&mut open(role), &bytes, cut), expected);
        }
    }
}

#[test]
fn binary_messages_and_pings_hold_any_bytes() {
    for role in BOTH {
        for invalid in INVALID {
            for cut in [1, usize::MAX] {
                let bytes = frames_to(role, &[(0x02, invalid), (0x89, invalid), (0x80, invalid)]);
                let events = vec![ping(invalid), binary(&invalid.repeat(2))];
                assert_eq!(feed(&mut open(role), &bytes, cut), (events, None));
            }
        }
    }
}

fn trusting() -> Config {
    let mut config = Config::default();
    config.check_utf8 = false;
    config
}

#[test]
fn unchecked_text_comes_as_it_is() {
    for role in BOTH {
        for bytes in INVALID.into_iter().chain(VALID.map(str::as_bytes)) {
            let event = Event::Unchecked(bytes.to_vec().into());
            for at in 0..=bytes.len() {
                let (first, second) = bytes.split_at(at);
                let stream = frames_to(role, &[(0x81, bytes), (0x01, first), (0x80, second)]);
                for cut in [1, 2, usize::MAX] {
                    let events = vec![event.clone(), event.clone()];
                    assert_eq!(feed(&mut open_with(role, trusting()), &stream, cut), (events, None));
                }
            }
        }
    }
}

#[test]
fn unchecked_text_is_lent_where_it_lies_and_cut_anywhere_in_pieces() {
    let mut bytes = client_frame(0x81, b"\xf0\x9d\x84\x9e\xff");
    let mut connection = open_with(Role::Server, trusting());
    let mut input = &mut bytes[..];
    let event = connection.receive(&mut input).unwrap();
    assert!(matches!(event, Some(Event::Unchecked(Cow::Borrowed(b"\xf0\x9d\x84\x9e\xff")))), "{event:?}");

    let mut bytes = client_frame(0x81, b"\xf0\x9d\x84\x9e\xff");
    let (mut head, mut tail) = bytes.split_at_mut(8);
    for (input, data) in [(&mut head, &b"\xf0\x9d"[..]), (&mut tail, b"\x84\x9e\xff")] {
        let Ok(Some(Event::Piece(piece))) = connection.receive_piece(input) else { panic!("no piece") };
        assert_eq!(piece.data, Message::Unchecked(data.into()));
    }
}

#[test]
fn a_close_reason_is_checked_where_text_is_not() {
    for role in BOTH {
        let bytes = frame_to(role, 0x88, b"\x03\xe8\xed\xa0\x80");
        let mut connection = open_with(role, trusting());
        assert_eq!(feed(&mut connection, &bytes, 1), (vec![], Some(ProtocolError::InvalidUtf8)));
    }
}

/// What the pieces of a text say, `cut` bytes at a time, until the error.
fn pieces(connection: &mut Connection, bytes: &[u8], cut: usize) -> (Vec<String>, Option<ProtocolError>) {
    let mut texts = vec![];
    for part in bytes.chunks(cut) {
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        loop {
            match connection.receive_piece(&mut input) {
                Ok(Some(Event::Piece(piece))) => match piece.data {
                    Message::Text(text) => texts.push(text.into_owned()),
                    data => panic!("{data:?} is not checked text"),
                },
                Ok(None) => break,
                Ok(event) => panic!("{event:?} is no piece"),
                Err(error) => return (texts, Some(error)),
            }
        }
    }
    (texts, None)
}

#[test]
fn pieces_of_text_end_between_characters_and_hold_every_character_once_it_is_whole() {
    for role in BOTH {
        for valid in VALID {
            for at in 0..=valid.len() {
                let (bytes, places) = fragmented(role, &[&valid.as_bytes()[..at], &valid.as_bytes()[at..]]);
                for cut in [1, 2, 3, 7, usize::MAX] {
                    assert_eq!(pieces(&mut open(role), &bytes, cut).0.concat(), valid);
                }
                // After each byte, all characters that have come whole have been handed out.
                for (i, place) in places.iter().enumerate() {
                    let (texts, error) = pieces(&mut open(role), &bytes[..=*place], 1);
                    let whole = (0..=i + 1).rev().find(|len| valid.is_char_boundary(*len)).unwrap();
                    assert_eq!((texts.concat(), error), (valid[..whole].to_owned(), None));
                }
            }
        }
    }
}

#[test]
fn only_a_character_that_was_cut_is_a_piece_of_its_own() {
    let mut bytes = client_frame(0x81, "a\u{20ac}bcd".as_bytes());
    let mut server = open(Role::Server);
    let (mut head, mut tail) = bytes.split_at_mut(8);
    let mut data = vec![];
    for input in [&mut head, &mut tail] {
        while let Some(Event::Piece(piece)) = server.receive_piece(input).unwrap() {
            data.push(piece.data);
        }
    }
    let is_borrowed: Vec<bool> = data.iter().map(|data| matches!(data, Message::Text(Cow::Borrowed(_)))).collect();
    assert_eq!(data, ["a", "\u{20ac}", "bcd"].map(Message::from));
    assert_eq!(is_borrowed, [true, false, true], "the rest is lent as it lies");
}

#[test]
fn pieces_of_invalid_text_fail_at_the_first_byte_that_cannot_continue() {
    for role in BOTH {
        for invalid in INVALID {
            let payload = [b"ok\xe2\x82\xac", invalid, b"edited"].concat();
            let bad = first_bad(&payload);
            let valid = std::str::from_utf8(&payload).unwrap_err().valid_up_to();
            for at in 0..=payload.len() {
                let (bytes, places) = fragmented(role, &[&payload[..at], &payload[at..]]);
                let good = std::str::from_utf8(&payload[..valid]).unwrap();
                let (texts, error) = pieces(&mut open(role), &bytes[..places[bad]], 1);
                assert_eq!((texts.concat(), error), (good.to_owned(), None), "{payload:x?}");
                let (texts, error) = pieces(&mut open(role), &bytes[..=places[bad]], 1);
                assert_eq!((texts.concat(), error), (good.to_owned(), Some(ProtocolError::InvalidUtf8)));
                assert_eq!(pieces(&mut open(role), &bytes, 5).1, Some(ProtocolError::InvalidUtf8));
            }
        }
    }
}
