//! Messages on their way out: each kind of send, the bytes it makes, and what it refuses.

use crate::common::*;
use bytes::{Buf, Bytes};
use sockless::close::Code;
use sockless::{Config, Connection, Event, Kind, Message, Outbound, Prepared, Role, SendError, State};
use std::fmt::Write as _;
use std::io::Write as _;

/// What the peer makes of everything that waits to go out.
fn arrived(connection: &mut Connection) -> Vec<Event<'static>> {
    let bytes = outbound(connection);
    let (events, error) = feed(&mut open(peer_of(connection.role())), &bytes, usize::MAX);
    assert_eq!(error, None);
    events
}

/// The frames that wait, each by its first byte and its payload.
fn sent(connection: &mut Connection) -> Vec<(u8, Vec<u8>)> {
    unframe(&outbound(connection))
}

fn text(text: &str) -> Event<'static> {
    Event::Text(text.to_owned().into())
}

/// The error of a call, which must leave the connection as it was.
fn refused(connection: &mut Connection, call: impl FnOnce(&mut Connection) -> Result<(), SendError>) -> SendError {
    let look = |connection: &mut Connection| {
        (connection.state(), connection.wants(), connection.counters(), connection.outbound().chunk().to_vec())
    };
    let before = look(connection);
    let error = call(connection).expect_err("it is refused");
    assert_eq!(look(connection), before, "{error} changes something");
    error
}

fn with_outbound(change: impl FnOnce(&mut Outbound)) -> Config {
    let mut config = Config::default();
    change(&mut config.outbound);
    config
}

/// A call that begins a message.
type Send = fn(&mut Connection) -> Result<(), SendError>;

/// Every way to begin a message.
const SENDS: [(&str, Send); 8] = [
    ("send", |connection| connection.send(Message::from("x"))),
    ("send_text", |connection| connection.send_text("x")),
    ("send_binary", |connection| connection.send_binary(b"x")),
    ("send_shared", |connection| connection.send_shared(Kind::Binary, Bytes::from_static(b"x"))),
    ("send_through", |connection| connection.send_through(&Message::from(&[b'x'; 300][..])).map(drop)),
    ("send_prepared", |connection| connection.send_prepared(&Prepared::text("x"))),
    ("send_fragment", |connection| connection.send_fragment(Kind::Binary, b"x", true)),
    ("writer", |connection| {
        let mut writer = connection.writer(Kind::Text);
        writer.write_str("x").expect("it is kept");
        writer.finish()
    }),
];

/// Every way to send a control frame but `close`.
const PINGS: [(&str, Send); 2] =
    [("ping", |connection| connection.ping(b"x")), ("pong", |connection| connection.pong(b"x"))];

// ---- whole messages

#[test]
fn a_server_sends_the_sample_frames_of_the_rfc() {
    let mut server = open(Role::Server);
    server.send_text("Hello").unwrap();
    assert_eq!(outbound(&mut server), b"\x81\x05Hello");
    server.send_binary(&[7; 256]).unwrap();
    assert_eq!(outbound(&mut server), [&b"\x82\x7e\x01\x00"[..], &[7; 256]].concat());
    server.send_binary(&[7; 65_536]).unwrap();
    assert_eq!(outbound(&mut server), [&b"\x82\x7f\0\0\0\0\0\x01\0\0"[..], &[7; 65_536]].concat());
    server.send_fragment(Kind::Text, b"Hel", false).unwrap();
    server.send_fragment(Kind::Text, b"lo", true).unwrap();
    assert_eq!(outbound(&mut server), b"\x01\x03Hel\x80\x02lo");
    server.ping(b"Hello").unwrap();
    assert_eq!(outbound(&mut server), b"\x89\x05Hello");
    server.pong(b"Hello").unwrap();
    assert_eq!(outbound(&mut server), b"\x8a\x05Hello");
}

/// The keys were worked out by another SipHash-1-3 with 128 bits of output, of a quarter of the frames' numbers in seven bytes.
#[test]
fn a_client_masks_each_frame_with_a_key_that_follows_from_its_seed() {
    let mut client = open(Role::Client);
    client.send_text("Hello").unwrap();
    client.ping(b"").unwrap();
    client.close(Code::NORMAL, "bye").unwrap();
    let ping = b"\x89\x80\xa4\xf4\xfa\x43";
    let rest = b"\x81\x85\xec\x58\xce\xef\xa4\x3d\xa2\x83\x83\x88\x85\xa5\xd0\x63\x0e\xa6\x38\x01\x77\xc0";
    assert_eq!(outbound(&mut client), [&ping[..], rest].concat());

    let mut client = open(Role::Client);
    (0..6).for_each(|_| client.send_binary(b"").unwrap());
    let four = b"\x82\x80\xec\x58\xce\xef\x82\x80\xa4\xf4\xfa\x43\x82\x80\xa5\xd0\x63\x0e\x82\x80\xea\x9e\x58\x85";
    let two = b"\x82\x80\x1c\xff\x01\x91\x82\x80\xe4\x4a\xcc\x01";
    assert_eq!(outbound(&mut client), [&four[..], two].concat());
}

#[test]
fn every_length_comes_back_as_it_was_sent() {
    for role in BOTH {
        for len in (0..400).chain(1020..1100).chain([2048, 2049, 65_535, 65_536, 100_000]) {
            let payload: Vec<u8> = (0..len).map(|i| b'a' + (i % 26) as u8).collect();
            let text = str::from_utf8(&payload).unwrap();
            let shared = Bytes::from(payload.clone());
            let mut end = open(role);
            end.send_text(text).unwrap();
            end.send_binary(&payload).unwrap();
            end.send(Message::from(text)).unwrap();
            end.send(Message::from(&payload[..])).unwrap();
            end.send_shared(Kind::Text, shared.clone()).unwrap();
            end.send_shared(Kind::Binary, shared).unwrap();
            let both = [Event::Text(text.into()), Event::Binary(payload[..].into())];
            assert_eq!(arrived(&mut end), [&both[..]; 3].concat(), "{len} bytes from the {role:?}");
        }
    }
}

#[test]
fn a_message_that_came_can_be_sent_on() {
    for role in BOTH {
        let mut end = open(role);
        for message in
            [Message::Text("a".into()), Message::Binary(b"b"[..].into()), Message::Unchecked(b"c"[..].into())]
        {
            assert_eq!(message.clone().into_owned(), message);
            end.send(&message).unwrap();
        }
        assert_eq!(sent(&mut end), [(0x81, b"a".to_vec()), (0x82, b"b".to_vec()), (0x81, b"c".to_vec())]);
    }
}

// ---- fragments

#[test]
fn text_may_be_cut_inside_characters() {
    let whole = "a\u{e4}\u{20ac}\u{1d11e}z";
    for role in BOTH {
        for first in 0..=whole.len() {
            for second in first..=whole.len() {
                let mut end = open(role);
                let bytes = whole.as_bytes();
                end.send_fragment(Kind::Text, &bytes[..first], false).unwrap();
                end.send_fragment(Kind::Text, &bytes[first..second], false).unwrap();
                end.send_fragment(Kind::Text, &bytes[second..], true).unwrap();
                let wire = outbound(&mut end);
                let firsts: Vec<u8> = unframe(&wire).iter().map(|(first, _)| *first).collect();
                assert_eq!(firsts, [0x01, 0x00, 0x80]);
                assert_eq!(feed(&mut open(peer_of(role)), &wire, 3), (vec![text(whole)], None));
            }
        }
    }
}

#[test]
fn fragments_may_be_empty() {
    let mut end = open(Role::Server);
    for last in [false, false, true] {
        end.send_fragment(Kind::Binary, b"", last).unwrap();
    }
    assert_eq!(outbound(&mut end), b"\x02\0\0\0\x80\0");
    end.send_fragment(Kind::Text, b"", true).unwrap();
    assert_eq!(outbound(&mut end), b"\x81\0");
}

#[test]
fn a_fragment_that_is_not_utf8_is_refused_and_harms_nothing() {
    for role in BOTH {
        let mut end = open(role);
        let bad: [(&[u8], bool); 4] = [(b"a\xff", false), (b"\xc3\x28", false), (b"a\xc3", true), (b"\xed\xa0", false)];
        for (bytes, last) in bad {
            let error = refused(&mut end, |end| end.send_fragment(Kind::Text, bytes, last));
            assert_eq!(error, SendError::InvalidUtf8);
        }
        // No message has begun.
        end.send_text("whole").unwrap();
        end.send_fragment(Kind::Text, b"caf\xc3", false).unwrap();
        for (bytes, last) in [(&b"(\xa9"[..], false), (b"\xa9\xff", true), (b"", true)] {
            let error = refused(&mut end, |end| end.send_fragment(Kind::Text, bytes, last));
            assert_eq!(error, SendError::InvalidUtf8);
        }
        end.send_fragment(Kind::Text, b"", false).unwrap();
        end.send_fragment(Kind::Text, b"\xa9", true).unwrap();
        // The next text does not begin where this one ended.
        assert_eq!(refused(&mut end, |end| end.send_fragment(Kind::Text, b"\xa9", true)), SendError::InvalidUtf8);
        assert_eq!(arrived(&mut end), [text("whole"), text("caf\u{e9}")]);
    }
}

#[test]
fn binary_fragments_are_not_checked() {
    let mut end = open(Role::Server);
    end.send_fragment(Kind::Binary, b"\xff", false).unwrap();
    end.send_fragment(Kind::Binary, b"\xc3", true).unwrap();
    assert_eq!(arrived(&mut end), [Event::Binary(b"\xff\xc3"[..].into())]);
}

#[test]
fn a_fragmented_message_must_go_on_in_its_kind_and_alone() {
    for (kind, other) in [(Kind::Text, Kind::Binary), (Kind::Binary, Kind::Text)] {
        let mut end = open(Role::Server);
        end.send_fragment(kind, b"a", false).unwrap();
        let error = refused(&mut end, |end| end.send_fragment(other, b"b", true));
        assert_eq!(error, SendError::FragmentUnderWay);
        for (name, send) in SENDS.iter().filter(|(name, _)| *name != "send_fragment") {
            assert_eq!(refused(&mut end, send), SendError::FragmentUnderWay, "{name}");
        }
        // Control frames may stand between fragments (RFC 6455 §5.4).
        for (_, send) in PINGS {
            send(&mut end).unwrap();
        }
        end.send_fragment(kind, b"c", true).unwrap();
        end.send_text("next").unwrap();
        assert_eq!(
            outbound(&mut end),
            [b"\x89\x01x\x8a\x01x", &[kind.opcode() as u8][..], b"\x01a\x80\x01c\x81\x04next"].concat()
        );
    }
}

#[test]
fn close_waits_for_the_last_fragment() {
    for role in BOTH {
        let mut end = open(role);
        end.send_fragment(Kind::Text, b"a", false).unwrap();
        end.close(Code::from(4000), "done").unwrap();
        assert_eq!(end.state(), State::Closing);
        for (name, send) in SENDS.iter().chain(&PINGS).filter(|(name, _)| *name != "send_fragment") {
            assert_eq!(refused(&mut end, send), SendError::Closing, "{name}");
        }
        assert_eq!(refused(&mut end, |end| end.close(Code::NORMAL, "")), SendError::Closing);
        assert_eq!(sent(&mut end), [(0x01, b"a".to_vec())]);
        end.send_fragment(Kind::Text, b"b", false).unwrap();
        assert_eq!(sent(&mut end), [(0x00, b"b".to_vec())]);
        end.send_fragment(Kind::Text, b"c", true).unwrap();
        assert_eq!(sent(&mut end), [(0x80, b"c".to_vec()), (0x88, b"\x0f\xa0done".to_vec())]);
        assert_eq!(refused(&mut end, |end| end.send_fragment(Kind::Text, b"d", true)), SendError::Closing);
        assert_eq!(end.state(), State::Closing);
    }
}

#[test]
fn pings_are_answered_while_close_waits_for_the_last_fragment() {
    let mut end = open(Role::Server);
    end.send_fragment(Kind::Binary, b"a", false).unwrap();
    end.close(Code::NORMAL, "").unwrap();
    outbound(&mut end);
    feed(&mut end, &client_frame(0x89, b"there?"), usize::MAX);
    assert_eq!(sent(&mut end), [(0x8A, b"there?".to_vec())]);
}

#[test]
fn a_fragmented_message_ends_with_the_connection() {
    let ends: [fn(&mut Connection); 4] = [
        |end| drop(feed(end, &client_frame(0x88, b""), usize::MAX)),
        |end| drop(feed(end, &client_frame(0x83, b""), usize::MAX)),
        |end| drop(end.receive_eof()),
        |end| end.abort(Code::AWAY),
    ];
    for (index, finish) in ends.iter().enumerate() {
        let mut end = open(Role::Server);
        end.send_fragment(Kind::Text, b"a", false).unwrap();
        finish(&mut end);
        let error = refused(&mut end, |end| end.send_fragment(Kind::Text, b"b", true));
        assert_eq!(error, SendError::Closing, "end {index}");
    }
}

// ---- shared payloads

/// The second chunk that waits, behind the header.
fn payload_chunk(connection: &mut Connection, header: usize) -> (usize, Vec<u8>) {
    let mut outgoing = connection.outbound();
    assert_eq!(outgoing.chunk().len(), header, "the header is a chunk of its own");
    outgoing.advance(header);
    (outgoing.chunk().as_ptr().addr(), outgoing.chunk().to_vec())
}

#[test]
fn a_server_sends_shared_bytes_from_where_they_lie() {
    for (kind, first) in [(Kind::Text, 0x81), (Kind::Binary, 0x82)] {
        let bytes = Bytes::from(vec![b'x'; 1000]);
        let mut server = open(Role::Server);
        server.send_shared(kind, bytes.clone()).unwrap();
        assert_eq!(server.outbound().chunk(), [first, 126, 3, 232]);
        assert_eq!(payload_chunk(&mut server, 4), (bytes.as_ptr().addr(), bytes.to_vec()));
    }
}

#[test]
fn a_client_masks_shared_bytes_in_place_if_nobody_else_holds_them() {
    let bytes = Bytes::from(vec![0; 1000]);
    let place = bytes.as_ptr().addr();
    let mut client = open(Role::Client);
    client.send_shared(Kind::Binary, bytes).unwrap();
    assert_eq!(client.outbound().chunk(), b"\x82\xfe\x03\xe8\xec\x58\xce\xef");
    assert_eq!(payload_chunk(&mut client, 8), (place, [0xec, 0x58, 0xce, 0xef].repeat(250)));
}

#[test]
fn a_client_leaves_bytes_alone_that_others_hold() {
    for bytes in [Bytes::from(vec![9; 1000]), Bytes::from_static(&[9; 1000])] {
        let mut client = open(Role::Client);
        client.send_shared(Kind::Binary, bytes.clone()).unwrap();
        assert_eq!(bytes, [9; 1000][..]);
        assert_eq!(arrived(&mut client), [Event::Binary(vec![9; 1000].into())]);
    }
}

#[test]
fn short_shared_bytes_are_copied() {
    for (len, referred) in [(255, false), (256, true)] {
        let bytes = Bytes::from(vec![9; len]);
        let mut server = open(Role::Server);
        server.send_shared(Kind::Binary, bytes.clone()).unwrap();
        assert_eq!(server.outbound().chunk().len(), if referred { 4 } else { 4 + len });
        // The outbox holds a reference of its own, or none.
        assert_eq!(bytes.is_unique(), !referred);
        outbound(&mut server);
        assert!(bytes.is_unique());
    }
}

#[test]
fn shared_text_must_be_utf8() {
    for role in BOTH {
        let mut end = open(role);
        for bytes in [&b"\xff"[..], &[0xC3; 1000]] {
            let bytes = Bytes::copy_from_slice(bytes);
            assert_eq!(refused(&mut end, |end| end.send_shared(Kind::Text, bytes)), SendError::InvalidUtf8);
        }
        end.send_shared(Kind::Binary, Bytes::from_static(b"\xff")).unwrap();
        assert_eq!(arrived(&mut end), [Event::Binary(b"\xff"[..].into())]);
    }
}

// ---- messages written piecemeal

#[test]
fn a_writer_sends_one_message_for_all_that_was_written() {
    for role in BOTH {
        let mut end = open(role);
        let mut writer = end.writer(Kind::Text);
        std::fmt::Write::write_fmt(&mut writer, format_args!("{} + {} = ", 1, 2)).unwrap();
        std::io::Write::write_all(&mut writer, "3 \u{20ac}".as_bytes()).unwrap();
        writer.finish().unwrap();
        // It goes on with an empty message.
        writer.write_str("more").unwrap();
        writer.flush().unwrap();
        writer.finish().unwrap();
        let mut writer = end.writer(Kind::Binary);
        writer.write_all(&[0xFF; 1000]).unwrap();
        writer.finish().unwrap();
        assert_eq!(
            arrived(&mut end),
            [text("1 + 2 = 3 \u{20ac}"), text("more"), Event::Binary(vec![0xFF; 1000].into())]
        );
    }
}

#[test]
fn a_writer_that_is_dropped_sends_nothing() {
    let mut end = open(Role::Server);
    end.writer(Kind::Text).write_str("never").unwrap();
    assert_eq!(outbound(&mut end), b"");
    end.writer(Kind::Text).finish().unwrap();
    assert_eq!(outbound(&mut end), b"\x81\0");
}

#[test]
fn a_writer_keeps_what_cannot_be_sent() {
    let mut end = open(Role::Server);
    let mut writer = end.writer(Kind::Text);
    writer.write_all(b"caf\xc3").unwrap();
    assert_eq!(writer.finish(), Err(SendError::InvalidUtf8));
    writer.write_all(b"\xa9").unwrap();
    assert_eq!(writer.finish(), Ok(()));
    assert_eq!(arrived(&mut end), [text("caf\u{e9}")]);
}

#[test]
fn a_long_message_of_a_writer_is_not_copied() {
    let mut end = open(Role::Server);
    let mut writer = end.writer(Kind::Binary);
    writer.write_all(&[7; 70_000]).unwrap();
    writer.finish().unwrap();
    assert_eq!(payload_chunk(&mut end, 10).1, [7; 70_000]);
}

// ---- refusals

#[test]
fn nothing_can_be_sent_before_the_connection_is_open() {
    let request = sockless::ClientRequest::new("ws://example.com/").unwrap();
    for mut end in
        [Connection::server(Config::default()), Connection::client(&request, Config::default(), SEED).unwrap()]
    {
        for (name, send) in SENDS.iter().chain(&PINGS) {
            assert_eq!(refused(&mut end, send), SendError::NotOpen, "{name}");
        }
        assert_eq!(refused(&mut end, |end| end.close(Code::NORMAL, "")), SendError::NotOpen);
    }
}

#[test]
fn nothing_can_be_sent_after_the_end() {
    let ends: [fn(&mut Connection); 5] = [
        |end| end.close(Code::NORMAL, "").unwrap(),
        |end| drop(feed(end, &client_frame(0x88, b""), usize::MAX)),
        |end| drop(feed(end, &client_frame(0x83, b""), usize::MAX)),
        |end| drop(end.receive_eof()),
        |end| end.abort(Code::AWAY),
    ];
    for (index, finish) in ends.iter().enumerate() {
        let mut end = open(Role::Server);
        finish(&mut end);
        for (name, send) in SENDS.iter().chain(&PINGS) {
            assert_eq!(refused(&mut end, send), SendError::Closing, "{name} after end {index}");
        }
        assert_eq!(refused(&mut end, |end| end.close(Code::NORMAL, "")), SendError::Closing, "end {index}");
    }
}

#[test]
fn above_the_hard_limit_nothing_is_taken_but_close() {
    for role in BOTH {
        let mut end = open_with(role, with_outbound(|outbound| outbound.hard = 20));
        // A message may pass the limit, of which the next one is refused.
        end.send_binary(&[1; 100]).unwrap();
        for (name, send) in SENDS.iter().chain(&PINGS) {
            assert_eq!(refused(&mut end, send), SendError::Full, "{name}");
        }
        let queued = end.counters().queued;
        end.outbound().advance(queued - 21);
        assert_eq!(refused(&mut end, |end| end.send_text("a")), SendError::Full);
        end.outbound().advance(1);
        SENDS[1].1(&mut end).unwrap();
        assert_eq!(refused(&mut end, |end| end.send_text("a")), SendError::Full);
        end.close(Code::NORMAL, "").unwrap();
        let wire = outbound(&mut end);
        let ends = if role == Role::Server { b"\x81\x01x\x88\x02\x03\xe8".len() } else { 7 + 8 };
        assert_eq!(wire.len(), 20 + ends);
    }
}

#[test]
fn a_fragmented_message_goes_on_when_there_is_room_again() {
    let mut end = open_with(Role::Server, with_outbound(|outbound| outbound.hard = 4));
    end.send_fragment(Kind::Text, "\u{20ac}\u{20ac}".as_bytes(), false).unwrap();
    assert_eq!(refused(&mut end, |end| end.send_fragment(Kind::Text, b"b", true)), SendError::Full);
    end.close(Code::NORMAL, "").unwrap();
    assert_eq!(refused(&mut end, |end| end.send_fragment(Kind::Text, b"b", true)), SendError::Full);
    outbound(&mut end);
    end.send_fragment(Kind::Text, b"b", true).unwrap();
    assert_eq!(outbound(&mut end), b"\x80\x01b\x88\x02\x03\xe8");
}

#[test]
fn control_frames_are_short() {
    for role in BOTH {
        let mut end = open(role);
        let long = "x".repeat(124);
        for result in [Connection::ping, Connection::pong].map(|send| refused(&mut end, |end| send(end, &[0; 126]))) {
            assert_eq!(result, SendError::LongControl);
        }
        assert_eq!(refused(&mut end, |end| end.close(Code::NORMAL, &long)), SendError::LongControl);
        // A reason needs a code before it.
        assert_eq!(refused(&mut end, |end| end.close(Code::NO_STATUS, "x")), SendError::LongControl);
        end.ping(&[1; 125]).unwrap();
        end.pong(&[2; 125]).unwrap();
        end.close(Code::NORMAL, &long[1..]).unwrap();
        let close = [&b"\x03\xe8"[..], &long.as_bytes()[1..]].concat();
        assert_eq!(sent(&mut end), [(0x89, vec![1; 125]), (0x8A, vec![2; 125]), (0x88, close)]);
    }
}

#[test]
fn codes_that_are_for_local_use_cannot_be_sent() {
    let mut end = open(Role::Server);
    for code in [0, 999, 1004, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        let error = refused(&mut end, |end| end.close(Code::from(code), ""));
        assert_eq!(error, SendError::CloseCode(code));
    }
}

#[test]
fn limits_can_be_changed_while_a_connection_runs() {
    let mut end = open(Role::Server);
    end.set_outbound(Outbound { hard: 2, ..Outbound::default() });
    end.send_text("abc").unwrap();
    assert_eq!(refused(&mut end, |end| end.send_text("d")), SendError::Full);
    end.set_outbound(Outbound { fragment: 2, ..Outbound::default() });
    end.send_text("def").unwrap();
    assert_eq!(outbound(&mut end), b"\x81\x03abc\x01\x02de\x80\x01f");
}

// ---- fragmentation by configuration

/// The frames of a text that goes out in these parts.
fn fragments(parts: &[&str]) -> Vec<(u8, Vec<u8>)> {
    let first = |index| u8::from(index == 0) | u8::from(index + 1 == parts.len()) << 7;
    parts.iter().enumerate().map(|(index, part)| (first(index), part.as_bytes().to_vec())).collect()
}

#[test]
fn long_messages_go_out_in_fragments_if_the_configuration_says_so() {
    let cases: [&[&str]; 6] = [&[""], &["ab"], &["abc"], &["abc", "d"], &["abc", "def"], &["abc", "def", "g"]];
    for role in BOTH {
        for parts in cases {
            let mut end = open_with(role, with_outbound(|outbound| outbound.fragment = 3));
            let text = parts.concat();
            end.send_text(&text).unwrap();
            assert_eq!(sent(&mut end), fragments(parts));
            end.send_shared(Kind::Text, Bytes::from(text.clone())).unwrap();
            assert_eq!(sent(&mut end), fragments(parts));
            end.send_prepared(&Prepared::text(&text)).unwrap();
            assert_eq!(sent(&mut end), fragments(parts));
            let mut writer = end.writer(Kind::Text);
            writer.write_str(&text).unwrap();
            writer.finish().unwrap();
            assert_eq!(sent(&mut end), fragments(parts));
        }
    }
}

#[test]
fn even_what_could_be_sent_by_reference_is_fragmented() {
    let sends: [Send; 3] = [
        |end| end.send_shared(Kind::Binary, Bytes::from(vec![7; 700])),
        |end| end.send_prepared(&Prepared::binary(&[7; 700])),
        |end| {
            let mut writer = end.writer(Kind::Binary);
            writer.write_all(&[7; 700]).unwrap();
            writer.finish()
        },
    ];
    for role in BOTH {
        for send in sends {
            let mut end = open_with(role, with_outbound(|outbound| outbound.fragment = 300));
            send(&mut end).unwrap();
            assert_eq!(sent(&mut end), [(0x02, vec![7; 300]), (0x00, vec![7; 300]), (0x80, vec![7; 100])]);
        }
    }
}

#[test]
fn fragments_of_the_configuration_may_cut_characters_and_come_together_again() {
    for role in BOTH {
        for fragment in 1..9 {
            let mut end = open_with(role, with_outbound(|outbound| outbound.fragment = fragment));
            end.send_text("\u{1d11e}\u{e4}\u{20ac}").unwrap();
            end.send_binary(&[7; 50]).unwrap();
            assert_eq!(arrived(&mut end), [text("\u{1d11e}\u{e4}\u{20ac}"), Event::Binary(vec![7; 50].into())]);
        }
    }
}

#[test]
fn fragments_of_the_caller_are_not_cut_further() {
    let mut end = open_with(Role::Server, with_outbound(|outbound| outbound.fragment = 2));
    end.send_fragment(Kind::Binary, b"abcde", false).unwrap();
    end.send_fragment(Kind::Binary, b"f", true).unwrap();
    assert_eq!(outbound(&mut end), b"\x02\x05abcde\x80\x01f");
}

/// Where the last of what waits to go out lies.
fn last_slice(connection: &mut Connection) -> *const u8 {
    let mut slices = [std::io::IoSlice::new(&[]); 3];
    let outbound = connection.outbound();
    let count = outbound.chunks_vectored(&mut slices);
    slices[count - 1].as_ptr()
}

#[test]
fn a_long_message_that_is_nobody_elses_goes_out_from_where_it_lies() {
    for (len, stays) in [(4095, false), (4096, true)] {
        let (bytes, arrives) = (vec![7; len], [Event::Binary(vec![7; len].into())]);
        let place = bytes.as_ptr();
        let mut server = open(Role::Server);
        server.send(bytes).unwrap();
        assert_eq!(last_slice(&mut server) == place, stays, "{len} bytes");
        assert_eq!(arrived(&mut server), arrives);
        // Lent, it is copied.
        let lent = vec![7; len];
        server.send(&lent).unwrap();
        assert_ne!(last_slice(&mut server), lent.as_ptr());
        assert_eq!(arrived(&mut server), arrives);
    }
}

#[test]
fn an_end_is_told_from_a_mistake() {
    let mut server = open(Role::Server);
    server.close(1000, "").unwrap();
    assert!(server.send("late").unwrap_err().is_closing());
    assert!(!server.ping(&[0; 126]).unwrap_err().is_closing());
}
