//! Frames as the peer sends them: each whole, however it comes, and none joined.

#[cfg(feature = "deflate")]
use crate::common::compressed;
use crate::common::*;
use proptest::prelude::*;
use sockless::driver::{Driver, Storage};
use sockless::{Config, Connection, Event, Limits, Message, Piece, ProtocolError, Role};
use std::borrow::Cow;
use std::time::Duration;

/// What a frame was told as: its payload, whether it is text, begins a message, and ends one; or a control frame.
type Told = (Vec<u8>, bool, bool, bool);

fn told(event: Event<'_>) -> Told {
    match event {
        Event::Piece(Piece { data, first, frame_end, last }) => {
            assert!(frame_end, "a whole frame");
            (data.as_bytes().to_vec(), data.is_text(), first, last)
        }
        Event::Ping(payload) => (payload.into_owned(), false, false, false),
        event => panic!("{event:?}"),
    }
}

/// The frames in `bytes`, which come `cut` at a time, and the error behind them.
fn frames(end: &mut Connection, bytes: &[u8], cut: usize) -> (Vec<Told>, Option<ProtocolError>) {
    let mut all = vec![];
    for part in bytes.chunks(cut) {
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        loop {
            match end.receive_frame(&mut input) {
                Ok(Some(event)) => all.push(told(event)),
                Ok(None) => break,
                Err(error) => return (all, Some(error)),
            }
        }
        assert!(input.is_empty());
    }
    (all, None)
}

const EURO: &[u8] = "€".as_bytes();

#[test]
fn frames_come_whole_and_unjoined_however_they_are_cut() {
    let long = [7; 1000];
    let sent: [(u8, &[u8]); 9] = [
        (0x81, b"whole"),
        (0x01, b"Hel"),
        (0x89, b"ping"),
        (0x00, b""),
        (0x80, b"lo"),
        (0x02, &long),
        (0x80, &[]),
        (0x82, &[]),
        (0x82, &long),
    ];
    for role in BOTH {
        let bytes = frames_to(role, &sent);
        let whole = |payload: &[u8], text, first, last| (payload.to_vec(), text, first, last);
        let expected = [
            whole(b"whole", true, true, true),
            whole(b"Hel", true, true, false),
            whole(b"ping", false, false, false),
            whole(b"", true, false, false),
            whole(b"lo", true, false, true),
            whole(&long, false, true, false),
            whole(b"", false, false, true),
            whole(b"", false, true, true),
            whole(&long, false, true, true),
        ];
        for cut in [1, 2, 3, 7, 100, 1001, 1 << 20] {
            let mut end = open(role);
            // What was recycled is none of a frame.
            end.recycle(vec![9; 5000]);
            assert_eq!(frames(&mut end, &bytes, cut), (expected.to_vec(), None), "{role:?} by {cut}");
        }
    }
}

#[test]
fn what_was_recycled_is_no_part_of_a_frame() {
    for cut in [3, 100] {
        let mut end = open(Role::Server);
        end.recycle(vec![9; 5000]);
        let bytes = frames_to(Role::Server, &[(0x02, &[7; 300]), (0x80, &[8; 20])]);
        let expected = [(vec![7; 300], false, true, false), (vec![8; 20], false, false, true)];
        assert_eq!(frames(&mut end, &bytes, cut), (expected.to_vec(), None));
    }
}

#[test]
fn a_frame_that_came_whole_is_lent() {
    let mut end = open(Role::Server);
    let mut bytes = frames_to(Role::Server, &[(0x01, b"Hel"), (0x80, b"lo"), (0x02, b"x")]);
    let mut input = &mut bytes[..];
    let mut count = 0;
    while let Some(event) = end.receive_frame(&mut input).unwrap() {
        let Event::Piece(piece) = event else { panic!("{event:?}") };
        let lent = matches!(piece.data, Message::Text(Cow::Borrowed(_)) | Message::Binary(Cow::Borrowed(_)));
        assert!(lent, "{piece:?}");
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn a_character_that_a_frame_cuts_comes_with_the_next() {
    let sent: [(u8, &[u8]); 4] =
        [(0x01, &[b'a', EURO[0]]), (0x00, &EURO[1..2]), (0x00, &[EURO[2], b'b']), (0x80, b"c")];
    for cut in [1, 2, 5, 1 << 20] {
        let (told, error) = frames(&mut open(Role::Server), &frames_to(Role::Server, &sent), cut);
        assert_eq!(error, None);
        let texts: Vec<_> =
            told.iter().map(|(payload, text, ..)| (std::str::from_utf8(payload).unwrap(), *text)).collect();
        assert_eq!(texts, [("a", true), ("", true), ("€b", true), ("c", true)]);
        let bad: [(u8, &[u8]); 2] = [(0x01, &EURO[..2]), (0x80, b"")];
        let (_, error) = frames(&mut open(Role::Server), &frames_to(Role::Server, &bad), cut);
        assert_eq!(error, Some(ProtocolError::InvalidUtf8));
        // Unchecked, bytes are where they were.
        let config = Config { check_utf8: false, ..Config::default() };
        let (told, _) = frames(&mut open_with(Role::Server, config), &frames_to(Role::Server, &sent), cut);
        assert_eq!(told[0].0, sent[0].1);
    }
}

#[test]
fn the_limits_of_a_frame_and_a_message_count() {
    let mut config = Config::default();
    config.limits = Limits { frame: 10, message: 25, ..Limits::default() };
    let end = || open_with(Role::Server, config.clone());
    let frames_of = |sizes: &[usize]| -> Vec<u8> {
        let frame =
            |(at, len): (usize, &usize)| frame_to(Role::Server, if at == 0 { 0x02 } else { 0x00 }, &vec![7; *len]);
        sizes.iter().enumerate().flat_map(frame).collect()
    };
    assert_eq!(frames(&mut end(), &frames_of(&[10, 10, 5]), 3).1, None);
    let too_long = ProtocolError::FrameTooLong { len: 11, limit: 10 };
    assert_eq!(frames(&mut end(), &frames_of(&[10, 11]), 3).1, Some(too_long));
    let too_long = ProtocolError::MessageTooLong { len: 26, limit: 25 };
    assert_eq!(frames(&mut end(), &frames_of(&[10, 10, 6]), 3).1, Some(too_long));
}

#[test]
fn a_message_stays_with_the_method_that_its_first_byte_came_to() {
    let mut end = open(Role::Server);
    let begun = frame_to(Role::Server, 0x01, b"one, ");
    assert_eq!(feed(&mut end, &begun, 100), (vec![], None));
    let mut rest = frames_to(Role::Server, &[(0x80, b"two"), (0x01, b"a"), (0x80, b"b")]);
    let mut input = &mut rest[..];
    assert_eq!(end.receive_frame(&mut input), Ok(Some(Event::Text("one, two".into()))));
    assert_eq!(
        end.receive_frame(&mut input).map(|event| event.map(told)),
        Ok(Some((b"a".to_vec(), true, true, false)))
    );
    assert_eq!(end.receive(&mut input).map(|event| event.map(told)), Ok(Some((b"b".to_vec(), true, false, true))));
}

#[test]
fn a_driver_and_its_halves_give_frames_too() {
    let bytes = frames_to(Role::Server, &[(0x01, b"Hel"), (0x80, b"lo"), (0x82, b"x")]);
    let expected =
        [(b"Hel".to_vec(), true, true, false), (b"lo".to_vec(), true, false, true), (b"x".to_vec(), false, true, true)];
    let mut storage = Storage::new(4096);
    for halves in [false, true] {
        let mut driver = Some(Driver::new(open(Role::Server)));
        let mut reading = match halves {
            true => Some(driver.take().unwrap().split().ok().unwrap().0),
            false => None,
        };
        let mut all = vec![];
        for part in bytes.chunks(4) {
            match (&mut driver, &mut reading) {
                (Some(driver), _) => {
                    driver.space(&mut storage)[..part.len()].copy_from_slice(part);
                    driver.received(&mut storage, part.len(), Duration::ZERO);
                    while let Some(event) = driver.frame(&mut storage, Duration::ZERO).unwrap() {
                        all.push(told(event));
                    }
                }
                (None, Some(reading)) => {
                    reading.space(&mut storage)[..part.len()].copy_from_slice(part);
                    reading.received(&mut storage, part.len());
                    while let Some(event) = reading.frame(&mut storage, |fact| panic!("{fact:?}")).unwrap() {
                        all.push(told(event));
                    }
                }
                _ => unreachable!(),
            }
        }
        assert_eq!(all, expected);
        driver.iter_mut().for_each(|driver| driver.leave(&mut storage));
        reading.iter_mut().for_each(|reading| reading.leave(&mut storage));
    }
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_frames_are_inflated_one_by_one() {
    use sockless::Kind;
    for takeover in [false, true] {
        let mut client = compressed::compressed(Role::Client, takeover);
        let text = compressed::lines(20_000);
        let parts = [&text[..7000], &text[7000..7001], &text[7001..]];
        for (at, part) in parts.iter().enumerate() {
            client.send_fragment(Kind::Text, part.as_bytes(), at == 2).unwrap();
        }
        client.send_binary(&[7; 3000]).unwrap();
        let bytes = outbound(&mut client);
        let count = unframe(&bytes).len();
        for cut in [1, 10, 1000, 1 << 20] {
            let mut server = compressed::compressed(Role::Server, takeover);
            let (told, error) = frames(&mut server, &bytes, cut);
            assert_eq!((told.len(), error), (count, None), "by {cut}");
            let joined: Vec<u8> = told[..count - 1].iter().flat_map(|frame| frame.0.clone()).collect();
            assert_eq!(joined, text.as_bytes());
            assert!(told[0].2 && told[count - 2].3 && !told[0].3);
            assert_eq!(told[count - 1], (vec![7; 3000], false, true, true));
        }
    }
}

proptest! {
    /// Whatever the frames and the cuts: the same as an encoder of the tests' own has put in.
    #[test]
    fn what_was_framed_comes_out(
        parts in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..300), any::<bool>()), 1..20),
        cut in 1..400usize,
    ) {
        let (mut bytes, mut expected, mut first) = (vec![], vec![], true);
        for (payload, last) in &parts {
            let byte = if *last { 0x80 } else { 0 } | if first { 2 } else { 0 };
            bytes.extend(frame_to(Role::Server, byte, payload));
            expected.push((payload.clone(), false, first, *last));
            first = *last;
        }
        prop_assert_eq!(frames(&mut open(Role::Server), &bytes, cut), (expected, None));
    }
}
