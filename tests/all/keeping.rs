//! A driver that keeps what a read cuts off, as `missing` has it: what it is told, and what it then gets borrowed.

use crate::common::*;
use sockless::{Config, Connection, Event, Limits, ProtocolError, Role, SharedConfig};
use std::borrow::Cow;

/// What `missing` says of each front of `bytes`, the empty one first.
fn missing(connection: &Connection, bytes: &[u8]) -> Vec<usize> {
    (0..=bytes.len()).map(|len| connection.missing(&bytes[..len])).collect()
}

/// What it should say of a frame with a header of this length: what is known to lack, and once the header is here, all.
fn expected(frame: usize, header: usize) -> Vec<usize> {
    let known = |len| match len {
        0 => 0,
        1 => 2,
        len if len < header => header,
        _ => frame,
    };
    (0..=frame).map(|len| known(len).saturating_sub(len)).collect()
}

/// Keeps what is worth it in a buffer with this much `room`; the events, how many of them were borrowed, and the error.
fn keep(
    connection: &mut Connection,
    bytes: &[u8],
    cut: usize,
    room: usize,
) -> (Vec<Event<'static>>, usize, Option<ProtocolError>) {
    let (mut events, mut borrowed, mut error) = (vec![], 0, None);
    let mut buffer = vec![0; room];
    let (mut kept, mut bytes) = (0, bytes);
    while !bytes.is_empty() {
        let (part, rest) = bytes.split_at(cut.min(bytes.len()).min(room - kept));
        assert!(!part.is_empty(), "there is room for what is missing");
        bytes = rest;
        let end = kept + part.len();
        buffer[kept..end].copy_from_slice(part);
        let mut input = &mut buffer[..end];
        loop {
            let missing = connection.missing(input);
            if missing > 0 && input.len() + missing <= room {
                break;
            }
            match connection.receive(&mut input) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    borrowed += usize::from(is_borrowed(&event));
                    events.push(event.into_owned());
                }
                Err(end) => assert_eq!(error.replace(end), None, "an error is told once"),
            }
        }
        kept = input.len();
        buffer.copy_within(end - kept..end, 0);
    }
    assert_eq!(kept, connection.missing(&buffer[..kept]).min(1) * kept, "nothing is kept that is whole");
    (events, borrowed, error)
}

fn is_borrowed(event: &Event<'_>) -> bool {
    match event {
        Event::Text(data) => matches!(data, Cow::Borrowed(_)),
        Event::Binary(data) | Event::Ping(data) | Event::Pong(data) => matches!(data, Cow::Borrowed(_)),
        Event::Close(close) => matches!(close.reason, Cow::Borrowed(_)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_frame_says_what_it_lacks() {
    for role in BOTH {
        let masked = if role == Role::Server { 4 } else { 0 };
        for (first, len, header) in [
            (0x81, 0, 2),
            (0x82, 1, 2),
            (0x82, 125, 2),
            (0x81, 126, 4),
            (0x82, 0xFFFF, 4),
            (0x82, 0x1_0000, 10),
            (0x89, 125, 2),
            (0x8A, 0, 2),
            (0x88, 0, 2),
        ] {
            let header = header + masked;
            let frame = frame_to(role, first, &vec![b'a'; len]);
            assert_eq!(missing(&open(role), &frame), expected(header + len, header), "{role:?}, {first:x}, {len}");
            // What follows it changes nothing.
            assert_eq!(open(role).missing(&[&frame[..], b"\x82\x7e\0"].concat()), 0);
        }
    }
}

#[test]
fn nothing_is_gained_of_an_error() {
    for role in BOTH {
        let other = peer_of(role);
        let no_mask = (role == Role::Server).then_some([0; 4]).map_or(vec![], Vec::from);
        for wrong in [
            frame_to(other, 0x81, b"masked, or not")[..2].to_vec(),
            header_to(role, 0x83, 10),
            header_to(role, 0xC1, 10),
            header_to(role, 0x80, 10),
            header_to(role, 0x09, 10),
            header_to(role, 0x89, 126),
            [&[0x82, 127 | header_to(role, 0, 0)[1] & 0x80, 0xFF, 0, 0, 0, 0, 0, 0, 0][..], &no_mask].concat(),
            [&[0x82, 126 | header_to(role, 0, 0)[1] & 0x80, 0, 5][..], &no_mask].concat(),
        ] {
            let mut connection = open(role);
            assert_eq!(connection.missing(&wrong), 0, "{wrong:x?}");
            assert!(feed(&mut connection, &wrong, wrong.len()).1.is_some(), "{wrong:x?}");
            // Nor behind it.
            assert_eq!(connection.missing(b"\x81"), 0);
            assert_eq!(connection.missing(&header_to(role, 0x81, 5)), 0);
        }
    }
}

#[test]
fn nothing_is_gained_over_a_limit() {
    for role in BOTH {
        let limited = |message, frame| {
            let mut config = Config::default();
            config.limits = Limits { message, frame, ..Limits::default() };
            open_with(role, config)
        };
        let header = |len| header_to(role, 0x82, len);
        for (message, frame) in [(1000, usize::MAX), (usize::MAX, 1000)] {
            assert_eq!(limited(message, frame).missing(&header(1000)), 1000);
            assert_eq!(limited(message, frame).missing(&header(1001)), 0);
            assert_eq!(limited(message, frame).missing(&header(i64::MAX as u64)), 0);
        }
        // Without any, the number is right, and the driver's room what bounds it.
        let lying = isize::MAX as usize;
        assert_eq!(limited(usize::MAX, usize::MAX).missing(&header(lying as u64)), lying);
        // Control frames have limits of their own.
        assert_eq!(limited(0, 0).missing(&header_to(role, 0x89, 125)), 125);
        // They may change.
        let mut connection = limited(1000, 1000);
        connection.set_limits(Limits { message: 10, ..Limits::default() });
        assert_eq!(connection.missing(&header(11)), 0);
    }
}

#[test]
fn an_unmasked_frame_that_is_allowed_lacks_no_key() {
    let mut config = Config::default();
    config.require_masks = false;
    let server = open_with(Role::Server, config);
    assert_eq!(missing(&server, b"\x81\x03abc"), [0, 1, 3, 2, 1, 0]);
    assert_eq!(missing(&server, b"\x81\x00"), [0, 1, 0]);
}

#[test]
fn nothing_is_gained_in_a_message_that_has_begun() {
    for role in BOTH {
        let message = frame_to(role, 0x81, b"Hello");
        for len in 1..message.len() {
            let mut connection = open(role);
            assert_eq!(feed(&mut connection, &message[..len], len), (vec![], None));
            assert_eq!(missing(&connection, &message[len..]), vec![0; message.len() - len + 1]);
        }
        // A fragment is put together anyway; a control frame between two is not.
        let mut connection = open(role);
        assert_eq!(connection.missing(&header_to(role, 0x01, 5)), 0);
        feed(&mut connection, &frame_to(role, 0x01, b"Hello"), 100);
        assert_eq!(connection.missing(&header_to(role, 0x00, 5)), 0);
        assert_eq!(connection.missing(&header_to(role, 0x80, 5)), 0);
        assert_eq!(connection.missing(&header_to(role, 0x89, 5)), 5);
        feed(&mut connection, &frame_to(role, 0x80, b" you"), 100);
        assert_eq!(connection.missing(&header_to(role, 0x81, 5)), 5);
    }
}

#[test]
fn nothing_is_gained_before_it_is_open_nor_behind_the_end() {
    let config = SharedConfig::from(Config::default());
    let server = Connection::server(config.clone());
    assert_eq!(server.missing(b"GET / HTTP/1.1\r\nHost:"), 0);
    let request = sockless::ClientRequest::new("ws://example.com/").unwrap();
    let client = Connection::client(&request, config, SEED).unwrap();
    assert_eq!(client.missing(b"HTTP/1.1 101 Switching"), 0);
    for role in BOTH {
        let mut connection = open(role);
        feed(&mut connection, &frame_to(role, 0x88, &[]), 100);
        assert_eq!(connection.missing(&header_to(role, 0x81, 5)), 0);
        let mut connection = open(role);
        connection.abort(sockless::Code::AWAY);
        assert_eq!(connection.missing(&header_to(role, 0x81, 5)), 0);
    }
}

/// A stream in which every event can be borrowed.
fn whole_frames(role: Role) -> (Vec<u8>, usize) {
    let long = [b'y'; 300];
    let frames: &[(u8, &[u8])] = &[
        (0x81, b"Hello"),
        (0x82, &[]),
        (0x89, b"are you there?"),
        (0x82, &long),
        (0x81, "Stra\u{df}e \u{1d11e}".as_bytes()),
        (0x8A, &long[..125]),
        (0x88, b"\x03\xe8bye"),
    ];
    (frames_to(role, frames), frames.len())
}

#[test]
fn what_is_kept_comes_borrowed_however_it_is_cut() {
    for role in BOTH {
        let (bytes, count) = whole_frames(role);
        let mut whole = open(role);
        let events = feed(&mut whole, &bytes, bytes.len());
        assert_eq!(events.0.len(), count);
        let outbound_bytes = outbound(&mut whole);
        for cut in 1..=bytes.len() {
            let mut connection = open(role);
            let (kept, borrowed, error) = keep(&mut connection, &bytes, cut, 1000);
            assert_eq!(((kept, error), borrowed), (events.clone(), count), "{role:?} by {cut}");
            assert_eq!(outbound(&mut connection), outbound_bytes);
            // Where there is less room than a frame takes, its message is put together.
            let mut connection = open(role);
            let (kept, borrowed, error) = keep(&mut connection, &bytes, cut, 200);
            assert_eq!((kept, error), events, "{role:?} by {cut}");
            assert_eq!(borrowed, count - 1, "{role:?} by {cut}");
            assert_eq!(outbound(&mut connection), outbound_bytes);
        }
    }
}

#[test]
fn fragments_and_what_lies_between_them() {
    for role in BOTH {
        let bytes =
            frames_to(role, &[(0x01, b"caf\xc3"), (0x89, b"?"), (0x00, b""), (0x80, b"\xa9"), (0x82, &[7; 200])]);
        let events = vec![ping(b"?"), text("caf\u{e9}"), binary(&[7; 200])];
        for cut in 1..=bytes.len() {
            let (kept, borrowed, error) = keep(&mut open(role), &bytes, cut, 250);
            assert_eq!((kept, error), (events.clone(), None), "{role:?} by {cut}");
            // One call takes a fragment and what has come of the ping behind it; the message behind both is whole.
            assert!((1..=2).contains(&borrowed), "{role:?} by {cut}");
        }
    }
}

#[test]
fn text_that_is_kept_is_judged_when_it_is_whole() {
    for role in BOTH {
        let bytes = [frame_to(role, 0x81, b"good"), frame_to(role, 0x81, b"bad\xff, and more of it")].concat();
        for cut in 1..=bytes.len() {
            let (events, _, error) = keep(&mut open(role), &bytes[..bytes.len() - 1], cut, 100);
            assert_eq!((events, error), (vec![text("good")], None), "{role:?} by {cut}");
            let (events, _, error) = keep(&mut open(role), &bytes, cut, 100);
            assert_eq!((events, error), (vec![text("good")], Some(ProtocolError::InvalidUtf8)), "{role:?} by {cut}");
        }
    }
}

#[test]
fn a_receiver_says_the_same() {
    let Ok((_, mut receiver)) = open(Role::Server).split() else { panic!("it is open") };
    assert_eq!(receiver.missing(&header_to(Role::Server, 0x81, 5)), 5);
    receiver.end();
    assert_eq!(receiver.missing(&header_to(Role::Server, 0x81, 5)), 0);
}

#[cfg(feature = "deflate")]
mod where_it_is_compressed {
    use super::*;

    use crate::common::compressed::{compressed, deflated, limited, lines};

    #[test]
    fn a_compressed_frame_is_bounded_as_a_frame() {
        for role in BOTH {
            let header = |first| header_to(role, first, 1000);
            // Its message may inflate to more or less than it has on the wire.
            let connection = limited(role, true, 10);
            assert_eq!(connection.missing(&header(0xC1)), 1000);
            assert_eq!(connection.missing(&header(0x81)), 0);
            assert_eq!(connection.missing(&header(0xC9)), 0, "a control frame is never compressed");
            assert_eq!(connection.missing(&header(0xA1)), 0, "nor does another bit mean anything");
            let mut connection = connection;
            connection.set_limits(Limits { frame: 999, ..Limits::default() });
            assert_eq!(connection.missing(&header(0xC1)), 0);
        }
    }

    #[test]
    fn compressed_messages_are_kept_alike() {
        let plain = lines(3000);
        for role in BOTH {
            let payload = deflated(plain.as_bytes());
            let bytes = frames_to(role, &[(0xC1, &payload), (0x82, b"plain"), (0xC2, &payload)]);
            let events = vec![text(&plain), binary(b"plain"), binary(plain.as_bytes())];
            for cut in 1..=bytes.len() {
                let (kept, _, error) = keep(&mut compressed(role, false), &bytes, cut, payload.len() + 8);
                assert_eq!((kept, error), (events.clone(), None), "{role:?} by {cut}");
            }
        }
    }
}
