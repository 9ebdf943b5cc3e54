//! The outbox: what waits goes out in order and whole, whatever parts it is written in, and control frames go ahead.

use crate::common::*;
use bytes::{Buf, Bytes};
use proptest::prelude::*;
use sockless::close::Code;
use sockless::handshake::{ClientRequest, accept_key};
use sockless::{Config, Connection, Kind, Outbound, Prepared, Role, SendError, Transport};
#[cfg(feature = "std")]
use std::io::IoSlice;

/// A frame by its first byte and its payload.
type Frame = (u8, Vec<u8>);

const CLOSE_AWAY: &[u8] = b"\x03\xe9";

/// Long enough to be sent by reference.
const LONG: usize = 300;

fn open_changed(role: Role, change: impl FnOnce(&mut Outbound)) -> Connection {
    let mut config = Config::default();
    change(&mut config.outbound);
    open_with(role, config)
}

/// An end where four messages wait, in each of the forms that the outbox keeps: `a` and `d` copied, the payload of `b`
/// by reference, and for a server the whole frame of `c` too.
fn waiting(role: Role) -> Connection {
    let mut end = open(role);
    end.send_binary(b"aaa").unwrap();
    end.send_shared(Kind::Binary, Bytes::from(vec![b'b'; LONG])).unwrap();
    end.send_prepared(&Prepared::binary(&[b'c'; LONG])).unwrap();
    end.send_binary(b"ddd").unwrap();
    end
}

fn messages() -> Vec<Frame> {
    vec![(0x82, b"aaa".to_vec()), (0x82, vec![b'b'; LONG]), (0x82, vec![b'c'; LONG]), (0x82, b"ddd".to_vec())]
}

/// The bytes of a frame that an end with this role sends.
fn len_on_wire(role: Role, payload: usize) -> usize {
    let mask = if role == Role::Client { 4 } else { 0 };
    sockless::frame::framed_len(payload) + mask
}

/// The ends of these frames, counted from the start of the first.
fn ends(role: Role, frames: &[Frame]) -> Vec<usize> {
    let ends = frames.iter().scan(0, |end, (_, payload)| {
        *end += len_on_wire(role, payload.len());
        Some(*end)
    });
    ends.collect()
}

/// How many of frames with these ends have begun when so many bytes are out.
fn begun(ends: &[usize], out: usize) -> usize {
    let starts = [0].into_iter().chain(ends.iter().copied()).take(ends.len());
    starts.filter(|start| *start < out).count()
}

/// Writes `count` bytes, as they come in chunks.
fn write(connection: &mut Connection, count: usize) -> Vec<u8> {
    let mut outgoing = connection.outbound();
    outgoing.copy_to_bytes(count).to_vec()
}

/// What goes out next and last, when these bytes are out.
fn frames_after(mut out: Vec<u8>, connection: &mut Connection) -> Vec<Frame> {
    out.extend(outbound(connection));
    unframe(&out)
}

/// `frames` with `more` of them at `index`.
fn with(mut frames: Vec<Frame>, index: usize, more: &[Frame]) -> Vec<Frame> {
    frames.splice(index..index, more.iter().cloned());
    frames
}

fn queued(connection: &Connection) -> usize {
    connection.counters().queued
}

// ---- partial writes

#[test]
fn writes_of_every_size_give_the_same_bytes() {
    for role in BOTH {
        let scene = || {
            let mut end = waiting(role);
            end.ping(b"ping").unwrap();
            end.close(Code::AWAY, "").unwrap();
            end
        };
        let whole = outbound(&mut scene());
        let frames = with(messages(), 0, &[(0x89, b"ping".to_vec())]);
        assert_eq!(unframe(&whole), with(frames, 5, &[(0x88, CLOSE_AWAY.to_vec())]));
        for size in 1..=whole.len() {
            let mut end = scene();
            let mut out = vec![];
            while queued(&end) > 0 {
                assert_eq!(queued(&end), whole.len() - out.len());
                let mut outgoing = end.outbound();
                let part = size.min(outgoing.chunk().len());
                assert!(part > 0, "no chunk is empty while bytes wait");
                out.extend_from_slice(&outgoing.chunk()[..part]);
                outgoing.advance(part);
            }
            assert!(out == whole, "{size} bytes at a time");
        }
    }
}

#[test]
fn a_write_may_end_anywhere_even_across_chunks() {
    for role in BOTH {
        let whole = outbound(&mut waiting(role));
        for split in 0..=whole.len() {
            let mut end = waiting(role);
            end.outbound().advance(split);
            assert_eq!(queued(&end), whole.len() - split);
            assert!(outbound(&mut end) == whole[split..], "after {split}");
            assert_eq!(end.counters().sent.bytes, whole.len() as u64);
        }
    }
}

#[test]
fn messages_go_behind_what_is_partly_out() {
    for role in BOTH {
        let all = messages();
        let len = *ends(role, &all).last().unwrap();
        for split in 0..=len {
            let mut end = waiting(role);
            let out = write(&mut end, split);
            end.send_text("e").unwrap();
            end.send_shared(Kind::Text, Bytes::from(vec![b'f'; LONG])).unwrap();
            let more = [(0x81, b"e".to_vec()), (0x81, vec![b'f'; LONG])];
            assert!(frames_after(out, &mut end) == with(all.clone(), 4, &more), "after {split}");
        }
    }
}

#[test]
#[should_panic(expected = "advanced past the end")]
fn more_than_waits_cannot_have_gone_out() {
    let mut end = open(Role::Server);
    end.send_text("a").unwrap();
    end.outbound().advance(4);
}

#[cfg(feature = "std")]
#[test]
fn slices_for_a_vectored_write_are_the_chunks() {
    for role in BOTH {
        // What was never cut is one slice, and nothing is none.
        let mut end = open(role);
        assert_eq!(end.outbound().chunks_vectored(&mut [IoSlice::new(&[])]), 0);
        end.send_text("a").unwrap();
        let mut slices = [IoSlice::new(&[]); 2];
        let outgoing = end.outbound();
        assert_eq!(outgoing.chunks_vectored(&mut slices), 1);
        assert_eq!(*slices[0], *outgoing.chunk());

        let whole = outbound(&mut waiting(role));
        for split in 0..=whole.len() {
            let mut end = waiting(role);
            end.ping(b"").unwrap();
            end.outbound().advance(split);
            for room in [0, 1, 2, 3, 16] {
                let outgoing = end.outbound();
                let mut slices = vec![IoSlice::new(&[]); room];
                let count = outgoing.chunks_vectored(&mut slices);
                let (filled, rest) = slices.split_at(count);
                assert!(filled.iter().all(|slice| !slice.is_empty()) && rest.iter().all(|slice| slice.is_empty()));
                assert!(filled.first().is_none_or(|first| **first == *outgoing.chunk()));
                let len: usize = filled.iter().map(|slice| slice.len()).sum();
                assert!(count == room || len == outgoing.remaining(), "{count} of {room} slices hold {len}");
            }
            let mut slices = [IoSlice::new(&[]); 16];
            let outgoing = end.outbound();
            let count = outgoing.chunks_vectored(&mut slices);
            let vectored: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            assert!(vectored == outbound(&mut end), "after {split}");
        }
    }
}

// ---- control frames

#[test]
fn a_control_frame_overtakes_what_has_not_begun_and_splits_nothing() {
    for role in BOTH {
        let all = messages();
        let ends = ends(role, &all);
        for split in 0..*ends.last().unwrap() {
            let mut end = waiting(role);
            let out = write(&mut end, split);
            end.ping(b"1").unwrap();
            end.pong(b"2").unwrap();
            end.ping(b"3").unwrap();
            let controls = [(0x89, b"1".to_vec()), (0x8A, b"2".to_vec()), (0x89, b"3".to_vec())];
            let expected = with(all.clone(), begun(&ends, split), &controls);
            assert!(frames_after(out, &mut end) == expected, "{role:?} after {split}");
        }
    }
}

#[test]
fn a_control_frame_goes_behind_another_that_is_partly_out() {
    for role in BOTH {
        let ping = len_on_wire(role, 5);
        for split in 0..=ping {
            let mut end = waiting(role);
            end.ping(b"first").unwrap();
            let out = write(&mut end, split);
            end.ping(b"2").unwrap();
            let controls = [(0x89, b"first".to_vec()), (0x89, b"2".to_vec())];
            assert_eq!(frames_after(out, &mut end), with(messages(), 0, &controls), "after {split}");
        }
    }
}

#[test]
fn control_frames_go_between_fragments() {
    let mut end = open(Role::Server);
    end.send_fragment(Kind::Text, b"a", false).unwrap();
    end.send_fragment(Kind::Text, b"b", true).unwrap();
    let mut out = write(&mut end, 1);
    end.ping(b"p").unwrap();
    out.extend(outbound(&mut end));
    assert_eq!(out, b"\x01\x01a\x89\x01p\x80\x01b");
}

/// Tells an end that its peer pings.
fn peer_pings(connection: &mut Connection, payload: &[u8]) {
    let ping = frame_to(connection.role(), 0x89, payload);
    let (events, error) = feed(connection, &ping, usize::MAX);
    assert_eq!((events.len(), error), (1, None));
}

#[test]
fn of_the_answers_to_pings_only_the_newest_waits() {
    for role in BOTH {
        let mut end = waiting(role);
        end.ping(b"own").unwrap();
        end.pong(b"own").unwrap();
        for payload in [&b"1"[..], b"22", b"", b"4444"] {
            peer_pings(&mut end, payload);
        }
        // What the caller sends is never dropped, and a new pong takes the place of the old one.
        end.ping(b"later").unwrap();
        peer_pings(&mut end, b"55555");
        let controls =
            [(0x89, b"own".to_vec()), (0x8A, b"own".to_vec()), (0x8A, b"55555".to_vec()), (0x89, b"later".to_vec())];
        assert_eq!(queued(&end), *ends(role, &with(messages(), 0, &controls)).last().unwrap());
        assert_eq!(frames_after(vec![], &mut end), with(messages(), 0, &controls));
    }
}

#[test]
fn a_pong_that_is_partly_out_goes_out_whole() {
    for role in BOTH {
        let first = len_on_wire(role, 3);
        for split in 0..=first {
            let mut end = waiting(role);
            peer_pings(&mut end, b"old");
            let out = write(&mut end, split);
            peer_pings(&mut end, b"new");
            peer_pings(&mut end, b"newest");
            let old = (split > 0).then(|| (0x8A, b"old".to_vec()));
            let controls: Vec<Frame> = old.into_iter().chain([(0x8A, b"newest".to_vec())]).collect();
            assert_eq!(frames_after(out, &mut end), with(messages(), 0, &controls), "after {split}");
        }
    }
}

#[test]
fn however_many_pings_come_one_pong_waits() {
    let mut end = waiting(Role::Server);
    let before = queued(&end);
    let pings = client_frame(0x89, b"are you there?").repeat(100);
    for _ in 0..100 {
        feed(&mut end, &pings, usize::MAX);
        assert_eq!(queued(&end), before + 16);
    }
}

#[test]
fn close_is_the_last_frame_and_always_has_room() {
    for role in BOTH {
        let mut end = open_changed(role, |outbound| outbound.hard = 0);
        end.send_binary(b"aaa").unwrap();
        peer_pings(&mut end, b"p");
        assert_eq!(end.ping(b""), Err(SendError::Full));
        end.close(Code::AWAY, "").unwrap();
        // Whatever comes now is not answered.
        peer_pings(&mut end, b"later");
        let close = (0x88, CLOSE_AWAY.to_vec());
        assert_eq!(frames_after(vec![], &mut end), [(0x8A, b"p".to_vec()), (0x82, b"aaa".to_vec()), close]);
    }
}

#[test]
fn what_waits_of_messages_is_told_apart_from_control_frames_and_the_close_frame() {
    for (role, closes, splits) in [(Role::Server, false, 1), (Role::Client, true, 1), (Role::Server, true, 7)] {
        let all = messages();
        let ends = ends(role, &all);
        let len = *ends.last().unwrap();
        for split in (0..=len).step_by(splits) {
            let mut end = waiting(role);
            write(&mut end, split);
            end.ping(b"1").unwrap();
            peer_pings(&mut end, b"2");
            if closes {
                end.close(Code::AWAY, "back soon").unwrap();
            }
            let messages = |end: &Connection| end.queued_messages();
            assert_eq!(messages(&end), len - split, "{role:?} at {split}");
            // Now the frame that has begun, then the control frames, then the rest.
            let controls = 2 * len_on_wire(role, 1);
            let rest = ends[..begun(&ends, split)].last().map_or(0, |end| end - split);
            for out in 0..queued(&end) {
                let waits = (len - split).saturating_sub(out.min(rest) + out.saturating_sub(rest + controls));
                assert_eq!(messages(&end), waits, "{role:?} at {split}, {out} bytes later");
                write(&mut end, 1);
            }
            assert_eq!((messages(&end), queued(&end)), (0, 0));
        }
    }
}

#[test]
fn behind_the_rest_of_a_message_that_went_through_a_close_frame_is_no_message() {
    let mut end = open(Role::Server);
    let message = sockless::Message::from(&[7; 50_000][..]);
    end.send_through(&message).unwrap().advance(10_000);
    let rest = queued(&end);
    end.close(Code::NORMAL, "").unwrap();
    assert_eq!(end.queued_messages(), rest);
    write(&mut end, rest);
    assert_eq!((end.queued_messages(), queued(&end)), (0, 4));
}

// ---- the head of the opening handshake

/// A server that has accepted a request, of which `out` bytes of its response are out; they are given too.
fn accepted(out: usize) -> (Connection, Vec<u8>, usize) {
    let mut server = Connection::server(Config::default());
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut request = request.to_vec();
    match server.receive(&mut &mut request[..]) {
        Ok(Some(sockless::Event::Request(request))) => server.accept(request.accept()).unwrap(),
        other => panic!("{other:?}"),
    }
    let len = queued(&server);
    let out = write(&mut server, out.min(len));
    (server, out, len)
}

#[test]
fn nothing_overtakes_the_head_of_the_response() {
    let len = accepted(0).2;
    for split in 0..=len {
        let (mut server, mut out, _) = accepted(split);
        server.send_text("data").unwrap();
        server.ping(b"own").unwrap();
        peer_pings(&mut server, b"peer's");
        out.extend(outbound(&mut server));
        assert!(out.starts_with(b"HTTP/1.1 101 ") && out[..len].ends_with(b"\r\n\r\n"), "after {split}");
        assert_eq!(out[len..], *b"\x89\x03own\x8a\x06peer's\x81\x04data", "after {split}");
    }
}

#[test]
fn abort_leaves_the_head_of_the_response() {
    let len = accepted(0).2;
    for split in 0..=len {
        let (mut server, mut out, _) = accepted(split);
        server.send_text("data").unwrap();
        server.abort(Code::AWAY);
        out.extend(outbound(&mut server));
        assert!(out.starts_with(b"HTTP/1.1 101 ") && out[..len].ends_with(b"\r\n\r\n"), "after {split}");
        assert_eq!(out[len..], *b"\x88\x02\x03\xe9", "after {split}");
    }
}

#[test]
fn a_head_that_waits_can_be_swapped_along() {
    let len = accepted(0).2;
    for split in 0..=len {
        let (mut server, mut out, _) = accepted(split);
        server.swap_outbox(&mut Vec::new());
        server.send_text("data").unwrap();
        server.ping(b"own").unwrap();
        server.swap_outbox(&mut Vec::new());
        out.extend(outbound(&mut server));
        assert_eq!(out[len..], *b"\x89\x03own\x81\x04data", "after {split}");
    }
}

/// A client that was answered when no more than `out` bytes of its request are out; they are given too.
fn answered(method: &str, out: usize) -> (Connection, Vec<u8>, usize) {
    let request = ClientRequest::new("ws://a/").unwrap().with_method(method);
    let mut client = Connection::client(&request, Config::default(), SEED).unwrap();
    let len = queued(&client);
    let head = String::from_utf8(client.outbound().chunk().to_vec()).unwrap();
    let (_, behind) = head.split_once("Sec-WebSocket-Key: ").unwrap();
    let key = behind.as_bytes().first_chunk().unwrap();
    let accept = String::from_utf8(accept_key(key).to_vec()).unwrap();
    let out = write(&mut client, out.min(len));
    let mut response =
        format!("HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")
            .into_bytes();
    let event = client.receive(&mut &mut response[..]).unwrap();
    assert!(matches!(event, Some(sockless::Event::Open(_))), "{event:?}");
    (client, out, len)
}

#[test]
fn nothing_overtakes_the_head_of_a_request_of_any_method() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "QUERY", "DELETE", "OPTIONS", "CONNECT", "!", "\u{7e}"] {
        let len = answered(method, 0).2;
        for split in [0, 1, 2, 6, 7, len - 1, len] {
            let (mut client, mut out, _) = answered(method, split);
            client.send_text("data").unwrap();
            client.ping(b"own").unwrap();
            client.pong(b"unasked").unwrap();
            peer_pings(&mut client, b"peer's");
            client.close(Code::AWAY, "").unwrap();
            out.extend(outbound(&mut client));
            let head = String::from_utf8(out[..len].to_vec()).unwrap();
            assert!(head.starts_with(&format!("{method} / HTTP/1.1\r\n")) && head.ends_with("\r\n\r\n"), "{head}");
            let control = [(0x89, b"own".to_vec()), (0x8A, b"unasked".to_vec()), (0x8A, b"peer's".to_vec())];
            let behind = [(0x81, b"data".to_vec()), (0x88, CLOSE_AWAY.to_vec())];
            assert_eq!(unframe(&out[len..]), [&control[..], &behind].concat(), "{method} after {split}");

            let (mut client, mut out, _) = answered(method, split);
            client.send_text("data").unwrap();
            client.ping(b"own").unwrap();
            client.abort(Code::AWAY);
            out.extend(outbound(&mut client));
            assert!(out[..len].ends_with(b"\r\n\r\n"), "{method} after {split}");
            assert_eq!(unframe(&out[len..]), [(0x88, CLOSE_AWAY.to_vec())], "{method} after {split}");
        }
    }
}

// ---- abort

#[test]
fn abort_drops_what_has_not_begun_and_says_so_last() {
    for role in BOTH {
        let all = messages();
        let ends = ends(role, &all);
        for split in 0..=*ends.last().unwrap() {
            let mut end = waiting(role);
            let out = write(&mut end, split);
            end.ping(b"never").unwrap();
            peer_pings(&mut end, b"unanswered");
            end.abort(Code::AWAY);
            let mut expected = all[..begun(&ends, split)].to_vec();
            expected.push((0x88, CLOSE_AWAY.to_vec()));
            assert!(frames_after(out, &mut end) == expected, "{role:?} after {split}");
        }
    }
}

#[test]
fn abort_lets_a_control_frame_go_out_that_has_begun() {
    for role in BOTH {
        for split in 1..len_on_wire(role, 4) {
            let mut end = waiting(role);
            end.ping(b"ping").unwrap();
            end.ping(b"pong").unwrap();
            let out = write(&mut end, split);
            end.abort(Code::AWAY);
            let expected = [(0x89, b"ping".to_vec()), (0x88, CLOSE_AWAY.to_vec())];
            assert_eq!(frames_after(out, &mut end), expected, "after {split}");
        }
    }
}

#[test]
fn abort_after_close_sends_one_close_frame() {
    for role in BOTH {
        let data = len_on_wire(role, 3);
        for split in 0..=data + len_on_wire(role, 2) {
            let mut end = open(role);
            end.send_binary(b"aaa").unwrap();
            end.close(Code::NORMAL, "").unwrap();
            let out = write(&mut end, split);
            end.abort(Code::AWAY);
            end.abort(Code::RESTART);
            let mut expected = vec![];
            if split > 0 {
                expected.push((0x82, b"aaa".to_vec()));
            }
            // A close frame that has begun is the last; one that waits gives way to the abort's.
            expected.push((0x88, if split > data { b"\x03\xe8" } else { b"\x03\xf4" }.to_vec()));
            assert_eq!(frames_after(out, &mut end), expected, "after {split}");
        }
    }
}

// ---- storage

/// The capacity of an outbox that is empty.
fn kept(connection: &mut Connection) -> usize {
    assert_eq!(queued(connection), 0);
    let mut storage = Vec::new();
    connection.swap_outbox(&mut storage);
    storage.capacity()
}

#[test]
fn a_drained_outbox_keeps_no_more_than_it_is_told_to() {
    for (retain, len, keeps) in [(0, 1, false), (1000, 900, true), (1000, 1001, false), (usize::MAX, 1001, true)] {
        let mut end = open_changed(Role::Server, |outbound| outbound.retain = retain);
        end.send_binary(&vec![1; len]).unwrap();
        end.outbound().advance(1);
        outbound(&mut end);
        assert_eq!(kept(&mut end) >= len, keeps, "{len} bytes where {retain} are kept");
    }
}

#[test]
fn a_lent_buffer_is_kept_up_to_the_same_capacity() {
    for (retain, keeps) in [(999, 0), (1000, 1000)] {
        let mut end = open_changed(Role::Server, |outbound| outbound.retain = retain);
        end.swap_outbox(&mut Vec::with_capacity(1000));
        end.send_text("hello").unwrap();
        outbound(&mut end);
        assert_eq!(kept(&mut end), keeps);
    }
}

#[test]
fn a_lent_buffer_is_written_to_and_comes_back_empty() {
    let mut end = open_changed(Role::Server, |outbound| outbound.retain = usize::MAX);
    let mut lent = Vec::with_capacity(4096);
    lent.extend(b"whatever was there");
    let place = lent.as_ptr();
    end.swap_outbox(&mut lent);
    assert_eq!((lent.len(), lent.capacity()), (0, 0));
    end.send_text("hello").unwrap();
    assert_eq!(end.outbound().chunk().as_ptr(), place);
    assert_eq!(outbound(&mut end), b"\x81\x05hello");
    end.swap_outbox(&mut lent);
    assert_eq!((lent.as_ptr(), lent.len(), lent.capacity()), (place, 0, 4096));
    assert_eq!(kept(&mut end), 0);
}

#[test]
fn what_waits_moves_into_the_lent_buffer() {
    for role in BOTH {
        let all = messages();
        let ends = ends(role, &all);
        for split in 0..=*ends.last().unwrap() {
            let mut end = waiting(role);
            let mut out = write(&mut end, split);
            let mut lent = b"whatever was there".to_vec();
            end.swap_outbox(&mut lent);
            assert_eq!(lent, b"");
            // The outbox knows its frames as before.
            end.ping(b"p").unwrap();
            end.send_binary(b"e").unwrap();
            out.extend(write(&mut end, 1));
            end.swap_outbox(&mut lent);
            let more = with(all.clone(), 4, &[(0x82, b"e".to_vec())]);
            let expected = with(more, begun(&ends, split), &[(0x89, b"p".to_vec())]);
            assert!(frames_after(out, &mut end) == expected, "{role:?} after {split}");
        }
    }
}

#[test]
fn what_is_out_does_not_move_into_the_lent_buffer() {
    let mut end = open(Role::Server);
    end.send_text("hello").unwrap();
    end.outbound().advance(3);
    let mut lent = Vec::with_capacity(4);
    let place = lent.as_ptr();
    end.swap_outbox(&mut lent);
    assert_eq!(end.outbound().chunk(), b"ello");
    assert_eq!(end.outbound().chunk().as_ptr(), place);
}

/// A driver that always writes a little less than it queues never comes to an empty outbox, whose storage must not grow
/// for it.
#[test]
fn an_outbox_that_is_never_empty_does_not_grow() {
    let mut end = open(Role::Server);
    end.send_binary(&[0; 100]).unwrap();
    for _ in 0..10_000 {
        end.send_binary(&[0; 100]).unwrap();
        end.outbound().advance(102);
    }
    let mut storage = Vec::new();
    end.swap_outbox(&mut storage);
    assert!(storage.capacity() < 1024, "{} bytes of capacity", storage.capacity());
    assert_eq!(outbound(&mut end), [&b"\x82\x64"[..], &[0; 100]].concat());
}

// ---- marks

#[test]
fn above_the_soft_mark_it_is_time_to_write() {
    let mut end = open_changed(Role::Server, |outbound| outbound.soft = 10);
    assert!(!end.is_high() && !end.wants().write);
    end.send_binary(&[0; 8]).unwrap();
    assert!(!end.is_high() && end.wants().write);
    peer_pings(&mut end, b"");
    assert!(end.is_high() && end.wants().read && end.wants().write);
    end.outbound().advance(1);
    assert!(end.is_high() && end.wants().read);
    end.outbound().advance(1);
    assert!(!end.is_high() && end.wants().write);
    end.outbound().advance(10);
    assert!(!end.is_high() && !end.wants().write);
    assert_eq!(end.wants().transport, Transport::Open);
}

#[test]
fn counters_tell_what_waits_and_what_has_gone_out() {
    let mut end = open(Role::Server);
    end.send_binary(&[0; 8]).unwrap();
    end.ping(b"").unwrap();
    let counters = end.counters();
    assert_eq!((counters.queued, counters.most_queued), (12, 12));
    assert_eq!((counters.sent.frames, counters.sent.bytes), (2, 0));
    end.outbound().advance(5);
    end.send_text("").unwrap();
    let counters = end.counters();
    assert_eq!((counters.queued, counters.most_queued), (9, 12));
    assert_eq!((counters.sent.frames, counters.sent.bytes), (3, 5));
}

// ---- any sequence of operations

#[derive(Clone, Debug)]
enum Op {
    Message(usize),
    Shared(usize),
    Prepared(usize),
    Fragment(usize, bool),
    Ping(usize),
    Pong(usize),
    PeerPing(usize),
    Write(usize),
    WriteAll,
    Swap(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let len = || prop_oneof![9 => 0..8_usize, 5 => 120..130_usize, 5 => 250..400_usize, 1 => 65_530..65_540_usize];
    let short = || 0..126_usize;
    prop_oneof![
        3 => len().prop_map(Op::Message),
        3 => len().prop_map(Op::Shared),
        3 => len().prop_map(Op::Prepared),
        3 => (len(), any::<bool>()).prop_map(|(len, last)| Op::Fragment(len, last)),
        3 => short().prop_map(Op::Ping),
        1 => short().prop_map(Op::Pong),
        3 => short().prop_map(Op::PeerPing),
        8 => prop_oneof![3 => 1..10_usize, 2 => 1..500_usize, 1 => 1..70_000_usize].prop_map(Op::Write),
        1 => Just(Op::WriteAll),
        1 => (0..1000_usize).prop_map(Op::Swap),
    ]
}

/// What should wait: whole frames in order, of the first of which `out` bytes are out.
struct Model {
    role: Role,
    hard: usize,
    frames: Vec<(Frame, Rank)>,
    out: usize,
    gone: Vec<Frame>,
    in_message: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Rank {
    Data,
    Control,
    Answer,
}

impl Model {
    fn queued(&self) -> usize {
        self.frames.iter().map(|((_, payload), _)| len_on_wire(self.role, payload.len())).sum::<usize>() - self.out
    }

    fn room(&self) -> Result<(), SendError> {
        if self.queued() > self.hard { Err(SendError::Full) } else { Ok(()) }
    }

    fn message(&mut self, first: u8, payload: Vec<u8>) -> Result<(), SendError> {
        if self.in_message {
            return Err(SendError::FragmentUnderWay);
        }
        self.room()?;
        self.frames.push(((first, payload), Rank::Data));
        Ok(())
    }

    fn fragment(&mut self, payload: Vec<u8>, last: bool) -> Result<(), SendError> {
        self.room()?;
        let first = if self.in_message { 0 } else { 2 } | u8::from(last) << 7;
        self.in_message = !last;
        self.frames.push(((first, payload), Rank::Data));
        Ok(())
    }

    fn control(&mut self, frame: Frame, rank: Rank) {
        let begun = usize::from(self.out > 0);
        let waiting = self.frames[begun..].iter().take_while(|(_, rank)| *rank != Rank::Data).count();
        let waiting = begun..begun + waiting;
        let old = self.frames[waiting.clone()].iter_mut().find(|(_, rank)| *rank == Rank::Answer);
        match old {
            Some((old, _)) if rank == Rank::Answer => *old = frame,
            _ => self.frames.insert(waiting.end, (frame, rank)),
        }
    }

    fn write(&mut self, mut count: usize) {
        while let Some(((_, payload), _)) = self.frames.first() {
            let left = len_on_wire(self.role, payload.len()) - self.out;
            if count < left {
                self.out += count;
                return;
            }
            count -= left;
            self.out = 0;
            self.gone.push(self.frames.remove(0).0);
        }
    }
}

/// Does the same to a connection and to the model of its outbox, and compares what they say.
fn run(role: Role, hard: usize, ops: &[Op]) {
    let mut end = open_changed(role, |outbound| outbound.hard = hard);
    let mut model = Model { role, hard, frames: vec![], out: 0, gone: vec![], in_message: false };
    let mut lent = Vec::new();
    let mut wire = Vec::new();
    for (index, op) in ops.iter().enumerate() {
        let payload = |len: &usize| vec![index as u8; *len];
        match op {
            Op::Message(len) => {
                assert_eq!(end.send_binary(&payload(len)), model.message(0x82, payload(len)));
            }
            Op::Shared(len) => {
                let result = end.send_shared(Kind::Text, vec![b'a' + index as u8 % 26; *len].into());
                assert_eq!(result, model.message(0x81, vec![b'a' + index as u8 % 26; *len]));
            }
            Op::Prepared(len) => {
                let result = end.send_prepared(&Prepared::binary(&payload(len)));
                assert_eq!(result, model.message(0x82, payload(len)));
            }
            Op::Fragment(len, last) => {
                let result = end.send_fragment(Kind::Binary, &payload(len), *last);
                assert_eq!(result, model.fragment(payload(len), *last));
            }
            Op::Ping(len) | Op::Pong(len) => {
                let first = if matches!(op, Op::Ping(_)) { 0x89 } else { 0x8A };
                let result = if first == 0x89 { end.ping(&payload(len)) } else { end.pong(&payload(len)) };
                let room = model.room();
                assert_eq!(result, room);
                if room.is_ok() {
                    model.control((first, payload(len)), Rank::Control);
                }
            }
            Op::PeerPing(len) => {
                peer_pings(&mut end, &payload(len));
                model.control((0x8A, payload(len)), Rank::Answer);
            }
            Op::Write(count) => {
                let count = (*count).min(queued(&end));
                wire.extend(write(&mut end, count));
                model.write(count);
            }
            Op::WriteAll => {
                wire.extend(outbound(&mut end));
                model.write(usize::MAX);
            }
            Op::Swap(capacity) => {
                lent.reserve(*capacity);
                end.swap_outbox(&mut lent);
            }
        }
        assert_eq!(queued(&end), model.queued(), "after {index}, {op:?}");
        assert_eq!(end.outbound().chunk().is_empty(), model.frames.is_empty());
    }
    wire.extend(outbound(&mut end));
    model.write(usize::MAX);
    assert!(unframe(&wire) == model.gone);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_send_whole_frames_in_order(
        client in any::<bool>(),
        hard in prop_oneof![Just(500_usize), Just(100_000), Just(usize::MAX)],
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        run(if client { Role::Client } else { Role::Server }, hard, &ops);
    }
}
