//! Messages that go out from where they lie: whatever is written of them at once, the bytes are those of `send`.

use crate::common::heap;
use crate::common::*;
use bytes::{Buf, Bytes};
use proptest::prelude::*;
use sockless::close::Code;
use sockless::{Config, Connection, Kind, Message, Negotiated, Role, Seed, SendError, Transport};
use std::io::IoSlice;
use std::time::Duration;

/// Long enough not to be copied.
const LONG: usize = 300;

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| i as u8).collect()
}

/// Sends a message that is lent, of which `count` bytes go out at once with all that waits before it.
fn through(connection: &mut Connection, message: &[u8], count: usize) -> Vec<u8> {
    let message = Message::from(message);
    let mut through = connection.send_through(&message).unwrap();
    through.copy_to_bytes(count).to_vec()
}

/// The same message, copied.
fn copied(connection: &mut Connection, message: &[u8], count: usize) -> Vec<u8> {
    connection.send_binary(message).unwrap();
    connection.outbound().copy_to_bytes(count).to_vec()
}

/// Writes `count` bytes, or all.
fn write(mut outgoing: impl Buf, count: usize) -> Vec<u8> {
    let count = count.min(outgoing.remaining());
    outgoing.copy_to_bytes(count).to_vec()
}

/// What can wait before the message.
const BEFORE: [fn(&mut Connection); 6] = [
    |_| (),
    |end| end.send_text("before").unwrap(),
    |end| end.ping(b"ping").unwrap(),
    |end| {
        end.send_text("before").unwrap();
        end.outbound().advance(3);
    },
    |end| {
        end.send_shared(Kind::Binary, Bytes::from(payload(LONG))).unwrap();
        end.outbound().advance(3);
    },
    |end| {
        end.send_shared(Kind::Binary, Bytes::from(payload(LONG))).unwrap();
        end.send_text("before").unwrap();
        assert_eq!(feed(end, &frame_to(end.role(), 0x89, b"peer's"), 1000).0, [ping(b"peer's")]);
    },
];

/// What can follow it.
const BEHIND: [fn(&mut Connection); 8] = [
    |_| (),
    |end| end.send_text("behind").unwrap(),
    |end| end.ping(b"ping").unwrap(),
    |end| assert_eq!(feed(end, &frame_to(end.role(), 0x89, b"peer's"), 1000).0, [ping(b"peer's")]),
    |end| {
        end.ping(b"first").unwrap();
        end.send_shared(Kind::Binary, Bytes::from(payload(LONG))).unwrap();
        end.swap_outbox(&mut vec![1; 50]);
        end.pong(b"second").unwrap();
    },
    |end| end.close(Code::AWAY, "behind").unwrap(),
    |end| end.abort(Code::AWAY),
    |end| _ = feed(end, &frame_to(end.role(), 0x83, b""), 1000),
];

#[test]
fn any_number_of_bytes_may_be_taken() {
    for (role, len) in [(Role::Server, 1), (Role::Server, 256), (Role::Server, 0x10000), (Role::Client, 5)] {
        let message = payload(len);
        for (first, before) in BEFORE.iter().enumerate() {
            for (then, behind) in BEHIND.iter().enumerate() {
                let mut end = open(role);
                before(&mut end);
                let start = end.counters().queued;
                end.send_binary(&message).unwrap();
                // All of a short one, and the start and the end of a long one.
                let all = end.counters().queued;
                let counts = (0..=all).filter(|count| *count < start + 300 || *count > all - 3);
                for count in counts {
                    let (mut lent, mut sent) = (open(role), open(role));
                    before(&mut lent);
                    before(&mut sent);
                    assert_eq!(through(&mut lent, &message, count), copied(&mut sent, &message, count));
                    assert_eq!(lent.counters(), sent.counters(), "{count} of {len} bytes");
                    behind(&mut lent);
                    behind(&mut sent);
                    assert_eq!((lent.counters(), lent.wants()), (sent.counters(), sent.wants()));
                    let rest = (outbound(&mut lent), outbound(&mut sent));
                    assert!(rest.0 == rest.1, "{role:?}: {first}, {count} of {len} bytes are out, then {then}");
                }
            }
        }
    }
}

#[test]
fn what_begins_goes_on_behind_no_other_frame() {
    let message = payload(LONG);
    for count in 0..=4 + LONG {
        let mut end = open(Role::Server);
        let mut out = through(&mut end, &message, count);
        end.ping(b"ping").unwrap();
        end.send_text("behind").unwrap();
        end.close(Code::AWAY, "").unwrap();
        out.extend(outbound(&mut end));
        let mut frames = vec![(0x82, message.clone()), (0x81, b"behind".to_vec()), close_frame(1001)];
        frames.insert(usize::from(count > 0), (0x89, b"ping".to_vec()));
        assert_eq!(unframe(&out), frames, "{count} bytes are out");
    }
}

#[test]
fn an_abort_lets_what_has_begun_go_out_whole() {
    let message = payload(LONG);
    for count in 0..=4 + LONG {
        let mut end = open(Role::Server);
        let mut out = through(&mut end, &message, count);
        end.abort(Code::AWAY);
        out.extend(outbound(&mut end));
        let mut frames = vec![close_frame(1001)];
        if count > 0 {
            frames.insert(0, (0x82, message.clone()));
        }
        assert_eq!(unframe(&out), frames, "{count} bytes are out");
    }
}

#[test]
fn several_writes_of_any_size_are_one() {
    let message = payload(LONG);
    let scene = || {
        let mut end = open(Role::Server);
        end.send_shared(Kind::Binary, Bytes::from(payload(LONG))).unwrap();
        end.ping(b"ping").unwrap();
        end.send_text("before").unwrap();
        end
    };
    let mut sent = scene();
    let whole = copied(&mut sent, &message, 0).into_iter().chain(outbound(&mut sent)).collect::<Vec<_>>();
    for size in 1..=whole.len() {
        let mut end = scene();
        let message = Message::from(&message[..]);
        let mut through = end.send_through(&message).unwrap();
        let mut out = vec![];
        while through.has_remaining() {
            assert_eq!(through.remaining(), whole.len() - out.len());
            let part = size.min(through.chunk().len());
            assert!(part > 0, "no chunk is empty while bytes wait");
            out.extend_from_slice(&through.chunk()[..part]);
            through.advance(part);
        }
        drop(through);
        assert!(out == whole, "{size} bytes at a time");
        assert_eq!((end.counters().queued, end.counters().sent.bytes), (0, whole.len() as u64));
    }
}

#[cfg(feature = "std")]
#[test]
fn slices_for_a_vectored_write_are_the_chunks() {
    let message = payload(LONG);
    for before in BEFORE {
        let mut sent = open(Role::Server);
        before(&mut sent);
        sent.send_binary(&message).unwrap();
        let whole = outbound(&mut sent);
        for split in 0..=whole.len() {
            let mut end = open(Role::Server);
            before(&mut end);
            let message = Message::from(&message[..]);
            let mut through = end.send_through(&message).unwrap();
            through.advance(split);
            for room in [0, 1, 2, 3, 16] {
                let mut slices = vec![IoSlice::new(&[]); room];
                let count = through.chunks_vectored(&mut slices);
                let (filled, rest) = slices.split_at(count);
                assert!(filled.iter().all(|slice| !slice.is_empty()) && rest.iter().all(|slice| slice.is_empty()));
                assert!(filled.first().is_none_or(|first| **first == *through.chunk()));
                let vectored: Vec<u8> = filled.iter().flat_map(|slice| slice.to_vec()).collect();
                assert!(whole[split..].starts_with(&vectored), "after {split}");
                assert!(count == room || vectored.len() == through.remaining());
            }
        }
    }
}

#[test]
fn a_message_that_goes_out_at_once_is_where_it_was_and_takes_no_heap() {
    let message = payload(1 << 20);
    let lent = Message::from(&message[..]);
    let mut end = open(Role::Server);
    let ((), used) = heap::used(|| {
        let mut through = end.send_through(&lent).unwrap();
        through.advance(10);
        assert_eq!((through.chunk().as_ptr(), through.chunk().len()), (message.as_ptr(), message.len()));
        through.advance(message.len());
        drop(through);
    });
    assert_eq!(used.peak, 0);
    assert_eq!(outbound(&mut end), b"");
}

#[test]
fn of_a_message_that_is_written_in_part_only_the_rest_is_held() {
    let message = payload(1 << 20);
    let lent = Message::from(&message[..]);
    let mut end = open(Role::Server);
    let ((), used) = heap::used(|| end.send_through(&lent).unwrap().advance(message.len() - 1000));
    assert!(used.peak < 1300, "{}", used.peak);
    assert_eq!(outbound(&mut end), message[message.len() - 1010..]);
}

#[test]
#[should_panic(expected = "advanced past the end")]
fn more_than_remains_cannot_have_gone_out() {
    let message = payload(LONG);
    let mut end = open(Role::Server);
    end.send_through(&Message::from(&message[..])).unwrap().advance(LONG + 5);
}

// ---- what is refused

#[test]
fn a_full_outbox_takes_nothing_and_what_is_lent_counts() {
    let message = payload(LONG);
    let message = Message::from(&message[..]);
    let mut config = Config::default();
    (config.outbound.soft, config.outbound.hard) = (299, 299);
    let mut end = open_with(Role::Server, config);
    end.send_through(&message).unwrap().advance(10);
    assert_eq!((end.counters().queued, end.counters().most_queued), (294, 304));
    assert!(!end.is_high() && end.wants().write);
    drop(end.send_through(&message).unwrap());
    let before = end.counters();
    assert_eq!((before.queued, before.most_queued, before.sent.frames, before.sent.bytes), (598, 598, 2, 10));
    assert!(end.is_high());
    assert_eq!(end.send_through(&message).err(), Some(SendError::Full));
    assert_eq!(end.counters(), before);
    // What has gone out through it makes room.
    end.outbound().advance(594);
    end.send_through(&message).unwrap().advance(308);
    assert_eq!((end.counters().queued, end.counters().most_queued), (0, 598));
}

#[test]
fn what_send_refuses_is_refused() {
    let message = payload(LONG);
    let message = Message::from(&message[..]);
    let mut end = open(Role::Server);
    end.send_fragment(Kind::Text, b"a", false).unwrap();
    assert_eq!(end.send_through(&message).err(), Some(SendError::FragmentUnderWay));
    end.send_fragment(Kind::Text, b"b", true).unwrap();
    end.close(Code::NORMAL, "").unwrap();
    assert_eq!(end.send_through(&message).err(), Some(SendError::Closing));
    let mut server = Connection::server(Config::default());
    assert_eq!(server.send_through(&message).err(), Some(SendError::NotOpen));
    assert_eq!(server.counters().sent.frames, 0);
}

#[test]
fn a_transport_waits_for_the_rest_of_it() {
    let message = payload(LONG);
    let mut end = open(Role::Server);
    through(&mut end, &message, 100);
    feed(&mut end, &client_frame(0x88, b""), 1000);
    assert_eq!(end.wants().transport, Transport::Open);
    outbound(&mut end);
    assert_eq!(end.wants().transport, Transport::Close);
}

/// What is taken of a message that is lent says as much of the peer as what is taken of one that waits.
#[test]
fn a_peer_that_takes_a_part_of_each_is_there() {
    let message = payload(LONG);
    let message = Message::from(&message[..]);
    let mut end = open(Role::Server);
    for now in (0..100).map(Duration::from_secs) {
        let mut through = end.send_through(&message).unwrap();
        through.advance(through.remaining() - 10);
        drop(through);
        end.handle_timeout(now).unwrap();
        assert_eq!(end.poll_timeout(), Some(now + Duration::from_secs(20)));
    }
}

// ---- what is copied at first

/// Two messages by `send_through` are those of `send`, however many bytes of each go out at once.
fn equals_send(open: impl Fn() -> Connection, message: &[u8], step: usize) {
    let mut end = open();
    end.send_binary(message).unwrap();
    for count in (0..=end.counters().queued).step_by(step) {
        let (mut lent, mut sent) = (open(), open());
        for _ in 0..2 {
            let message = Message::from(message);
            let of_lent = write(lent.send_through(&message).unwrap(), count);
            sent.send(&message).unwrap();
            assert_eq!(of_lent, write(sent.outbound(), count));
            assert_eq!(lent.counters(), sent.counters());
        }
        assert!(outbound(&mut lent) == outbound(&mut sent), "{count} bytes are out");
    }
}

#[test]
fn outgoing_fragments_are_those_of_send() {
    for role in BOTH {
        let open = || {
            let mut config = Config::default();
            config.outbound.fragment = 100;
            open_with(role, config)
        };
        equals_send(open, &payload(LONG), 1);
    }
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_messages_are_those_of_send() {
    use sockless::{Deflate, DeflateParams, Negotiated};
    for (role, takeover) in [(Role::Server, true), (Role::Server, false), (Role::Client, true)] {
        let params = DeflateParams { window_bits: 15, peer_window_bits: 15, takeover, peer_takeover: takeover };
        let open = || {
            let mut config = Config::default();
            config.deflate = Some(Deflate { threshold: 500, ..Deflate::default() });
            Connection::open(role, Negotiated::try_from(params).unwrap(), config, SEED)
        };
        equals_send(open, &[7; 600], 1);
        // It is too short to be compressed, and is lent.
        equals_send(open, &[7; 400], 20);
    }
}

// ---- any sequence of operations

#[derive(Clone, Debug)]
enum Op {
    /// A message, and how much is written at once.
    Through(usize, usize),
    Message(usize),
    Shared(usize),
    Fragment(usize, bool),
    Ping(usize),
    PeerPing(usize),
    Write(usize),
    Swap(usize),
    Time(u64),
    Close,
    Abort,
}

fn op() -> impl Strategy<Value = Op> {
    let len = || prop_oneof![5 => 0..8_usize, 2 => 120..130_usize, 9 => 250..400_usize, 1 => 65_530..65_540_usize];
    let part = || prop_oneof![3 => 0..10_usize, 3 => 1..500_usize, 1 => 1..70_000_usize];
    prop_oneof![
        20 => (len(), part()).prop_map(|(len, part)| Op::Through(len, part)),
        4 => len().prop_map(Op::Message),
        4 => len().prop_map(Op::Shared),
        2 => (len(), any::<bool>()).prop_map(|(len, last)| Op::Fragment(len, last)),
        4 => (0..126_usize).prop_map(Op::Ping),
        4 => (0..126_usize).prop_map(Op::PeerPing),
        8 => part().prop_map(Op::Write),
        2 => (0..1000_usize).prop_map(Op::Swap),
        4 => (0..15_u64).prop_map(Op::Time),
        1 => Just(Op::Close),
        1 => Just(Op::Abort),
    ]
}

/// Does the same to two connections, one of which lends what the other copies.
fn run(role: Role, hard: usize, ops: &[Op]) {
    let mut config = Config::default();
    config.outbound.hard = hard;
    let (mut lent, mut sent) = (open_with(role, config.clone()), open_with(role, config));
    let mut wire = (vec![], vec![]);
    let mut now = Duration::ZERO;
    for (index, op) in ops.iter().enumerate() {
        let message = |len: &usize| vec![index as u8; *len];
        if let Op::Through(len, part) = op {
            let message = message(len);
            let message = Message::from(&message[..]);
            let of_lent = lent.send_through(&message).map(|through| write(through, *part));
            let of_sent = sent.send(&message).map(|()| write(sent.outbound(), *part));
            assert_eq!(of_lent, of_sent, "{index}, {op:?}");
            wire.0.extend(of_lent.unwrap_or_default());
            wire.1.extend(of_sent.unwrap_or_default());
        } else {
            if let Op::Time(seconds) = op {
                now += Duration::from_secs(*seconds);
            }
            let same = |end: &mut Connection, wire: &mut Vec<u8>| match op {
                Op::Through(..) => Ok(()),
                Op::Message(len) => end.send_binary(&message(len)),
                Op::Shared(len) => end.send_shared(Kind::Binary, message(len).into()),
                Op::Fragment(len, last) => end.send_fragment(Kind::Binary, &message(len), *last),
                Op::Ping(len) => end.ping(&message(len)),
                Op::PeerPing(len) => {
                    feed(end, &frame_to(role, 0x89, &message(len)), 1000);
                    Ok(())
                }
                Op::Write(count) => {
                    wire.extend(write(end.outbound(), *count));
                    Ok(())
                }
                Op::Swap(capacity) => {
                    end.swap_outbox(&mut Vec::with_capacity(*capacity));
                    Ok(())
                }
                Op::Time(_) => {
                    _ = end.handle_timeout(now);
                    Ok(())
                }
                Op::Close => end.close(Code::AWAY, ""),
                Op::Abort => {
                    end.abort(Code::AWAY);
                    Ok(())
                }
            };
            assert_eq!(same(&mut lent, &mut wire.0), same(&mut sent, &mut wire.1), "{index}, {op:?}");
        }
        // The deadlines among it, which know what the peer has taken.
        let told = |end: &Connection| (end.counters(), end.wants(), end.state());
        assert_eq!(told(&lent), told(&sent), "after {index}, {op:?}");
    }
    wire.0.extend(outbound(&mut lent));
    wire.1.extend(outbound(&mut sent));
    assert!(wire.0 == wire.1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_send_the_bytes_of_send(
        client in prop::bool::weighted(0.1),
        hard in prop_oneof![Just(500_usize), Just(100_000), Just(usize::MAX)],
        ops in prop::collection::vec(op(), 1..60),
    ) {
        run(if client { Role::Client } else { Role::Server }, hard, &ops);
    }
}

#[test]
fn a_lent_outbox_is_retained() {
    let mut connection = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
    let mut lent = Vec::with_capacity(1000);
    connection.swap_outbox(&mut lent);
    connection.send_text("Hello").unwrap();
    let message = Message::from(&[7; 500][..]);
    let mut through = connection.send_through(&message).unwrap().retaining(usize::MAX);
    through.advance(through.remaining());
    drop(through);
    connection.swap_outbox(&mut lent);
    assert!(lent.capacity() >= 1000);
}
