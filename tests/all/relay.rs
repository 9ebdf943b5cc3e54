//! A proxy: messages pass from one connection to another, frame by frame; what is a connection's own stays with it.

use crate::common::*;
use sockless::RelayError::{Peer, Send};
use sockless::SendError::{Closing, FragmentUnderWay, Full, NotOpen};
use sockless::{Code, Config, Connection, Event, Kind, Limits, ProtocolError, RelayError, Role, State};

/// Relays all of `bytes`, `cut` at a time: what `from` says of them.
fn relay(
    from: &mut Connection,
    to: &mut Connection,
    bytes: &[u8],
    cut: usize,
) -> Result<Vec<Event<'static>>, RelayError> {
    let mut events = vec![];
    for part in bytes.chunks(cut) {
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        while let Some(event) = from.relay(&mut input, to)? {
            events.push(event.into_owned());
        }
        assert!(input.is_empty());
    }
    Ok(events)
}

/// Both ways through a proxy: from a client to a server, and back.
const WAYS: [[Role; 2]; 2] = [[Role::Server, Role::Client], [Role::Client, Role::Server]];

#[test]
fn each_frame_goes_on_as_a_fragment_masked_anew() {
    for [a, b] in WAYS {
        let (mut from, mut to, mut twin) = (open(a), open(b), open(b));
        let frames: &[(u8, &[u8])] = &[
            (0x81, b"one"),
            (0x01, b"t"),
            (0x00, b""),
            (0x80, b"wo"),
            (0x82, b"\xff"),
            (0x82, b""),
            (0x02, b""),
            (0x80, b""),
        ];
        assert_eq!(relay(&mut from, &mut to, &frames_to(a, frames), usize::MAX), Ok(vec![]));

        twin.send_text("one").unwrap();
        for (part, last) in [("t", false), ("", false), ("wo", true)] {
            twin.send_fragment(Kind::Text, part.as_bytes(), last).unwrap();
        }
        twin.send_binary(b"\xff").unwrap();
        twin.send_binary(b"").unwrap();
        for last in [false, true] {
            twin.send_fragment(Kind::Binary, b"", last).unwrap();
        }
        let bytes = outbound(&mut to);
        assert_eq!(bytes, outbound(&mut twin), "the keys follow from the seed alone");
        assert_eq!(unframe(&bytes), frames.iter().map(|(first, data)| (*first, data.to_vec())).collect::<Vec<_>>());
        assert_eq!(outbound(&mut from), b"");
    }
}

#[test]
fn frames_from_a_server_go_on_as_they_came_when_nothing_masks_them() {
    let (mut from, mut to) = (open(Role::Client), open(Role::Server));
    let stream = b"\x01\x03Hel\x80\x02lo\x82\x7e\x00\x80".iter().chain(&[7; 128]).copied().collect::<Vec<_>>();
    assert_eq!(relay(&mut from, &mut to, &stream, usize::MAX), Ok(vec![]));
    assert_eq!(outbound(&mut to), stream);
}

#[test]
fn a_cut_frame_goes_on_as_fragments_and_the_message_is_the_same() {
    let messages = [text("Hello \u{20ac}"), binary(&[9; 300]), text(""), binary(b"\xff\xfe")];
    for [a, b] in WAYS {
        let frames: &[(u8, &[u8])] = &[
            (0x81, "Hello \u{20ac}".as_bytes()),
            (0x02, &[9; 200]),
            (0x80, &[9; 100]),
            (0x01, b""),
            (0x80, b""),
            (0x82, b"\xff\xfe"),
        ];
        let stream = frames_to(a, frames);
        for cut in [1, 2, 3, 7, 50, usize::MAX] {
            let (mut from, mut to) = (open(a), open(b));
            assert_eq!(relay(&mut from, &mut to, &stream, cut), Ok(vec![]));
            let bytes = outbound(&mut to);
            assert_eq!(feed(&mut open(a), &bytes, usize::MAX), (messages.to_vec(), None));
            let counters = to.counters().sent;
            assert_eq!((counters.frames, counters.bytes), (unframe(&bytes).len() as u64, bytes.len() as u64));
        }
        let (mut from, mut to) = (open(a), open(b));
        let stream = frame_to(a, 0x81, b"abc");
        relay(&mut from, &mut to, &stream, stream.len() - 2).unwrap();
        assert_eq!(sent(&mut to), [(0x01, b"a".to_vec()), (0x80, b"bc".to_vec())]);
    }
}

#[test]
fn what_arrived_of_a_frame_goes_on_at_once() {
    for [a, b] in WAYS {
        let (mut from, mut to) = (open(a), open(b));
        let stream = [header_to(a, 0x82, 1000), vec![0; 10]].concat();
        relay(&mut from, &mut to, &stream, usize::MAX).unwrap();
        let frames = sent(&mut to);
        assert_eq!((frames.len(), frames[0].0, frames[0].1.len()), (1, 0x02, 10));
    }
}

#[test]
fn control_frames_stay_with_their_connection() {
    for [a, b] in WAYS {
        for cut in [1, usize::MAX] {
            let (mut from, mut to) = (open(a), open(b));
            let frames: &[(u8, &[u8])] =
                &[(0x02, b"a"), (0x89, b"p"), (0x8A, b"q"), (0x80, b"b"), (0x88, b"\x0f\xa0bye"), (0x82, b"lost")];
            let events = vec![ping(b"p"), pong(b"q"), closed(4000, "bye")];
            assert_eq!(relay(&mut from, &mut to, &frames_to(a, frames), cut), Ok(events));
            assert_eq!(sent(&mut from), [(0x8A, b"p".to_vec()), close_frame(4000)]);
            assert_eq!(sent(&mut to), [(0x02, b"a".to_vec()), (0x80, b"b".to_vec())]);
            assert_eq!(
                (from.receive_eof(), to.state()),
                (Ok(None), State::Open),
                "the other has its own closing handshake"
            );
            to.close(Code::from(4000), "bye").unwrap();
            assert_eq!(sent(&mut to), [(0x88, b"\x0f\xa0bye".to_vec())]);
        }
    }
}

#[test]
fn text_is_not_checked_on_its_way() {
    for [a, b] in WAYS {
        let (mut from, mut to) = (open(a), open(b));
        let stream = frames_to(a, &[(0x01, b"\xf0\x9d"), (0x80, b"\x84"), (0x81, b"\xff")]);
        assert_eq!(relay(&mut from, &mut to, &stream, 1), Ok(vec![]));
        let payloads: Vec<u8> = sent(&mut to).into_iter().flat_map(|(_, payload)| payload).collect();
        assert_eq!(payloads, b"\xf0\x9d\x84\xff");
    }
}

#[test]
fn a_peer_that_does_not_read_stops_the_relay_and_no_byte_is_lost() {
    for [a, b] in WAYS {
        let mut config = Config::default();
        (config.outbound.soft, config.outbound.hard) = (50, 100);
        let (mut from, mut to) = (open(a), open_with(b, config));
        let messages: Vec<Event<'static>> = (0..40).map(|i| binary(&[i; 30])).collect();
        let mut stream: Vec<u8> = (0..40).flat_map(|i| frame_to(a, 0x82, &[i; 30])).collect();

        let mut input = &mut stream[..];
        let mut arrived = vec![];
        let mut full = 0;
        loop {
            match from.relay(&mut input, &mut to) {
                Ok(None) => break,
                Err(Send(Full)) => {
                    let waits = to.counters().queued;
                    assert!((101..=136).contains(&waits) && to.is_high(), "{waits} bytes wait");
                    let left = input.len();
                    assert_eq!(from.relay(&mut input, &mut to), Err(Send(Full)));
                    assert_eq!(input.len(), left, "nothing was taken");
                    full += 1;
                    arrived.extend(outbound(&mut to));
                }
                result => panic!("{result:?}"),
            }
        }
        arrived.extend(outbound(&mut to));
        assert!(full > 5);
        assert_eq!(feed(&mut open(a), &arrived, usize::MAX), (messages, None));
    }
}

#[test]
fn a_connection_that_closes_or_is_not_open_takes_nothing() {
    let request = sockless::ClientRequest::new("ws://host/").unwrap();
    for [a, b] in WAYS {
        let closing = |connection: &mut Connection| connection.close(Code::AWAY, "").unwrap();
        let closed = |connection: &mut Connection| drop(feed(connection, &frame_to(b, 0x88, b"\x03\xe8"), 9));
        let failed = |connection: &mut Connection| drop(feed(connection, &frame_to(b, 0x83, b""), 9));
        let gone = |connection: &mut Connection| drop(connection.receive_eof());
        let fragment = |connection: &mut Connection| connection.send_fragment(Kind::Text, b"x", false).unwrap();
        type End<'a> = &'a dyn Fn(&mut Connection);
        let cases: [(End<'_>, RelayError); 5] = [
            (&closing, Send(Closing)),
            (&closed, Send(Closing)),
            (&failed, Send(Closing)),
            (&gone, Send(Closing)),
            (&fragment, Send(FragmentUnderWay)),
        ];
        for (happen, error) in cases {
            let (mut from, mut to) = (open(a), open(b));
            happen(&mut to);
            let queued = outbound(&mut to);
            let mut stream = frame_to(a, 0x81, b"kept");
            let mut input = &mut stream[..];
            assert_eq!(from.relay(&mut input, &mut to), Err(error));
            assert_eq!(outbound(&mut to), b"", "{queued:?} was all");
            assert_eq!(from.receive(&mut input), Ok(Some(text("kept"))));
        }
        let mut unopened = match b {
            Role::Server => Connection::server(Config::default()),
            Role::Client => Connection::client(&request, Config::default(), SEED).unwrap(),
        };
        let mut stream = frame_to(a, 0x81, b"kept");
        let mut input = &mut stream[..];
        assert_eq!(open(a).relay(&mut input, &mut unopened), Err(Send(NotOpen)));
        assert_eq!(input.len(), frame_to(a, 0x81, b"kept").len());
    }
}

#[test]
fn a_fault_of_the_peer_is_told_and_answered_where_it_happened() {
    for [a, b] in WAYS {
        for cut in [1, usize::MAX] {
            let (mut from, mut to) = (open(a), open(b));
            let stream = frames_to(a, &[(0x02, b"half"), (0x82, b"new")]);
            let error = Err(Peer(ProtocolError::InterleavedMessage));
            assert_eq!(relay(&mut from, &mut to, &stream, cut), error);
            assert_eq!(sent(&mut from), [close_frame(1002)]);
            assert_eq!(relay(&mut from, &mut to, &frame_to(a, 0x80, b"lost"), 1), Ok(vec![]));
            let half: Vec<u8> = sent(&mut to).into_iter().flat_map(|(_, payload)| payload).collect();
            assert_eq!(half, b"half");

            // The message will never end, so the other connection's can only be aborted.
            assert_eq!(to.send_text("x"), Err(FragmentUnderWay));
            to.abort(Code::BAD_GATEWAY);
            assert_eq!(sent(&mut to), [close_frame(1014)]);
        }
    }
}

#[test]
fn limits_hold_for_what_is_relayed() {
    for [a, b] in WAYS {
        let (mut from, mut to) = (open(a), open(b));
        from.set_limits(Limits { message: 10, ..Limits::default() });
        let stream = [frame_to(a, 0x02, &[1; 6]), header_to(a, 0x80, 5)].concat();
        assert_eq!(
            relay(&mut from, &mut to, &stream, 3),
            Err(Peer(ProtocolError::MessageTooLong { len: 11, limit: 10 }))
        );
        assert_eq!(sent(&mut from), [close_frame(1009)]);
    }
}

#[test]
fn while_a_message_is_relayed_only_control_frames_may_come_between() {
    for [a, b] in WAYS {
        let (mut from, mut to) = (open(a), open(b));
        relay(&mut from, &mut to, &frame_to(a, 0x01, b"a"), 100).unwrap();
        assert_eq!(to.send_binary(b"x"), Err(FragmentUnderWay));
        assert_eq!(to.send_fragment(Kind::Text, b"x", false), Err(FragmentUnderWay), "not even a fragment of its kind");
        to.ping(b"!").unwrap();
        to.close(Code::AWAY, "").unwrap();
        assert_eq!(sent(&mut to), [(0x89, b"!".to_vec()), (0x01, b"a".to_vec())], "the close waits for the message");
        relay(&mut from, &mut to, &frame_to(a, 0x80, b"b"), 100).unwrap();
        assert_eq!(sent(&mut to), [(0x80, b"b".to_vec()), close_frame(1001)]);
        let mut stream = frame_to(a, 0x81, b"c");
        assert_eq!(from.relay(&mut &mut stream[..], &mut to), Err(Send(Closing)));
    }
}

#[test]
fn a_close_need_not_wait_for_a_message_that_gets_no_more() {
    for [a, b] in WAYS {
        let (mut from, mut to) = (open(a), open(b));
        relay(&mut from, &mut to, &frame_to(a, 0x01, b"a"), 100).unwrap();
        to.close_amid(Code::from(4001), "gone").unwrap();
        assert_eq!(sent(&mut to), [(0x01, b"a".to_vec()), (0x88, b"\x0f\xa1gone".to_vec())]);
        assert_eq!(from.relay(&mut &mut frame_to(a, 0x80, b"b")[..], &mut to), Err(Send(Closing)));
        assert_eq!(to.close_amid(Code::AWAY, ""), Err(Closing));
    }
}

#[test]
fn a_message_that_began_with_another_method_stays_with_it() {
    for [a, b] in WAYS {
        let (mut from, mut to) = (open(a), open(b));
        assert_eq!(feed(&mut from, &frame_to(a, 0x01, b"\xe2"), 1), (vec![], None));
        let rest = frames_to(a, &[(0x80, b"\x82\xac"), (0x81, b"next")]);
        assert_eq!(relay(&mut from, &mut to, &rest, 1), Ok(vec![text("\u{20ac}")]));
        let payloads: Vec<u8> = sent(&mut to).into_iter().flat_map(|(_, payload)| payload).collect();
        assert_eq!(payloads, b"next");
    }
}

#[test]
fn the_rest_of_a_relayed_message_is_discarded_by_whoever_receives_it() {
    for [a, b] in WAYS {
        for (first, cut) in [(0x01, 1), (0x02, 1), (0x01, usize::MAX), (0x02, usize::MAX)] {
            for pieces in [false, true] {
                let (mut from, mut to) = (open(a), open(b));
                relay(&mut from, &mut to, &frame_to(a, first, b"half"), 100).unwrap();
                to.abort(Code::AWAY);
                let rest = frames_to(a, &[(0x00, b"\xff"), (0x89, b"p"), (0x80, b"end")]);
                for part in rest.chunks(cut) {
                    let mut part = part.to_vec();
                    let mut input = &mut part[..];
                    assert_eq!(from.relay(&mut &mut [0; 1][..], &mut to), Err(Send(Closing)));
                    loop {
                        let event = if pieces { from.receive_piece(&mut input) } else { from.receive(&mut input) };
                        match event {
                            Ok(None) => break,
                            event => assert_eq!(event, Ok(Some(ping(b"p")))),
                        }
                    }
                }
                assert_eq!(from.tail(), None);
                assert_eq!(feed(&mut from, &frame_to(a, 0x81, b"next"), cut), (vec![text("next")], None));
            }
        }
    }
}

#[test]
fn a_request_comes_to_a_proxy_as_to_any_server() {
    let request = sockless::ClientRequest::new("ws://host/").unwrap();
    let mut client = Connection::client(&request, Config::default(), SEED).unwrap();
    let mut from = Connection::server(Config::default());
    let mut to = open(Role::Client);
    let mut head = outbound(&mut client);
    let mut input = &mut head[..];
    match from.relay(&mut input, &mut to) {
        Ok(Some(Event::Request(request))) => from.accept(request.accept()).unwrap(),
        result => panic!("{result:?}"),
    }
    assert_eq!(relay(&mut from, &mut to, &client_frame(0x81, b"hi"), 100), Ok(vec![]));
    assert_eq!(sent(&mut to), [(0x81, b"hi".to_vec())]);
}

#[test]
fn halves_relay_like_whole_connections() {
    let (_, mut receiver) = open(Role::Server).split().ok().unwrap();
    let (mut sender, _) = open(Role::Client).split().ok().unwrap();
    let (mut from, mut to) = (open(Role::Server), open(Role::Client));
    let mut stream = [client_frame(0x01, b"a"), client_frame(0x89, b"p"), client_frame(0x80, b"b")].concat();
    relay(&mut from, &mut to, &stream, 100).unwrap();

    let mut input = &mut stream[..];
    assert_eq!(receiver.relay(&mut input, &mut sender), Ok(Some(ping(b"p"))));
    assert_eq!(receiver.relay(&mut input, &mut sender), Ok(None));
    let mut outgoing = sender.outbound();
    let len = bytes::Buf::remaining(&outgoing);
    assert_eq!(bytes::Buf::copy_to_bytes(&mut outgoing, len), outbound(&mut to));
}
