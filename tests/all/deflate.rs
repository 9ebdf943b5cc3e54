//! Compressed messages that are received (RFC 7692 §7.2.2): the RFC's own bytes, every kind of block, corrupt data,
//! fragments, cuts, limits, pieces and relays.

use crate::common;
use crate::common::compressed::*;
use crate::common::*;
use proptest::prelude::*;
use sockless::RelayError::{Peer, Send as NotSent};
use sockless::SendError::Extension;
use sockless::{
    Config, Connection, Deflate, DeflateParams, Event, Kind, Limits, Message, Pool, ProtocolError, RelayError, Role,
};
use std::borrow::Cow;

/// Whether there is context takeover.
const EITHER: [bool; 2] = [false, true];

const CUTS: [usize; 5] = [1, 2, 3, 7, usize::MAX];

/// The frames of a compressed message whose payload goes `size` bytes to a fragment.
fn fragments(role: Role, first: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let count = payload.len().div_ceil(size).max(1);
    let first_byte = |index| if index == 0 { 0x40 | first } else { 0 } | if index + 1 == count { 0x80 } else { 0 };
    let mut parts = payload.chunks(size);
    (0..count).flat_map(|index| frame_to(role, first_byte(index), parts.next().unwrap_or_default())).collect()
}

/// A frame of which this much has come, and the rest never does.
fn begun(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let frame = frame_to(role, first, payload);
    [&header_to(role, first, 1 << 16), &frame[frame.len() - payload.len()..]].concat()
}

/// Every way in which bytes reach a connection: all ends, with takeover and without, in frames and reads of any length.
fn every_way(payloads: &[(u8, &[u8])], expected: (Vec<Event<'static>>, Option<ProtocolError>)) {
    for role in BOTH {
        for takeover in EITHER {
            for size in [1, 2, 5, usize::MAX] {
                let stream: Vec<u8> =
                    payloads.iter().flat_map(|(first, payload)| fragments(role, *first, payload, size)).collect();
                for cut in CUTS {
                    let mut connection = compressed(role, takeover);
                    let what = format!("{payloads:02x?} to {role:?}, takeover {takeover}, size {size}, cut {cut}");
                    assert_eq!(feed(&mut connection, &stream, cut), expected, "{what}");
                    let code = expected.1.and_then(|error| error.close_code()).map(u16::from);
                    let close: Vec<_> = code.into_iter().map(close_frame).collect();
                    assert_eq!(sent(&mut connection), close, "{what}");
                }
            }
        }
    }
}

/// One payload makes this binary message, and one behind it another.
fn makes(payload: &[u8], plain: &[u8]) {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    every_way(&[(2, payload), (1, hello)], (vec![binary(plain), text("Hello")], None));
}

fn fails(payload: &[u8], error: ProtocolError) {
    every_way(&[(2, payload), (1, b"\xf2\x48\xcd\xc9\xc9\x07\x00")], (vec![], Some(error)));
}

// ---- what is well compressed

#[test]
fn samples_of_the_rfc() {
    // §7.2.3.1, whole; every_way has it in two frames.
    makes(b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"Hello");
    // §7.2.3.3: a block that is not compressed
    makes(b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", b"Hello");
    // §7.2.3.4: a block that says it is the last
    makes(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", b"Hello");
    // §7.2.3.5: two blocks
    makes(b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", b"Hello");
    for role in BOTH {
        // §7.2.3.1, in two frames
        let stream = [frame_to(role, 0x41, b"\xf2\x48\xcd"), frame_to(role, 0x80, b"\xc9\xc9\x07\x00")].concat();
        assert_eq!(feed(&mut compressed(role, false), &stream, 100), (vec![text("Hello")], None));
        // §7.2.3.2: the second message refers to the first
        let stream = frames_to(role, &[(0xC1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"), (0xC1, b"\xf2\x00\x11\x00\x00")]);
        for cut in CUTS {
            let events = vec![text("Hello"), text("Hello")];
            assert_eq!(feed(&mut compressed(role, true), &stream, cut), (events, None));
            let failed = (vec![text("Hello")], Some(ProtocolError::CorruptDeflate));
            assert_eq!(feed(&mut compressed(role, false), &stream, cut), failed, "there is nothing to refer to");
        }
    }
}

#[test]
fn empty_messages_and_empty_blocks() {
    let fixed = || Bits::default().block(false, 1).end();
    makes(b"\x00", b"");
    makes(b"", b"");
    makes(b"\x00\x00\x00\xff\xff\x00", b"");
    makes(&[b"\x00\x00\x00\xff\xff".repeat(50), b"\x00".to_vec()].concat(), b"");
    makes(&fixed().block(false, 0).bytes(), b"");
    makes(&fixed().block(false, 1).end().block(false, 1).letter(b'a').end().block(false, 0).bytes(), b"a");
    makes(&[b"\xf2\x48\x05\x00".to_vec(), b"\x00\x00\xff\xff\x00".repeat(9)].concat(), b"He");
    // Text, too, is empty without a character.
    every_way(&[(1, b"\x00"), (1, b""), (1, b"\x02\x00")], (vec![text(""); 3], None));
}

#[test]
fn blocks_that_say_they_are_the_last() {
    let last = || Bits::default().block(true, 1).letter(b'a').letter(b'b').three(2).end().bytes();
    // Nothing behind it, an empty block as the RFC has it, or one of any kind.
    makes(&last(), b"ababa");
    makes(&[&last()[..], b"\x00"].concat(), b"ababa");
    makes(&[&last()[..], b"\xf2\x48\xcd\xc9\xc9\x07\x00"].concat(), b"ababaHello");
    makes(&[last(), last(), last()].concat(), b"ababaababaababa");
    makes(&[&last()[..], b"\x00\x02\x00\xfd\xffxy\x00"].concat(), b"ababaxy");
    makes(&[&b"\x00\x02\x00\xfd\xffxy"[..], &last()].concat(), b"xyababa");
    // The last block is the empty one whose end is left out.
    makes(b"\x01", b"");
    makes(&Bits::default().block(false, 1).letter(b'a').end().block(true, 0).bytes(), b"a");
}

#[test]
fn dynamic_blocks_of_every_level_and_window() {
    let text = lines(40_000);
    for level in 0..=9 {
        for window_bits in [9, 12, 15] {
            let payload = Encoder::new(level, window_bits).message(text.as_bytes());
            for takeover in EITHER {
                let stream = frame_to(Role::Client, 0xC1, &payload);
                for cut in [1000, usize::MAX] {
                    let (events, error) = feed(&mut compressed(Role::Client, takeover), &stream, cut);
                    assert!(error.is_none() && events == [common::text(&text)], "level {level}, window {window_bits}");
                }
            }
        }
    }
}

#[test]
fn with_takeover_messages_refer_to_any_before_them() {
    for role in BOTH {
        for cut in [1, 100, usize::MAX] {
            let mut encoder = Encoder::new(9, 15);
            let plain = noise(10_000);
            let payloads: Vec<Vec<u8>> =
                [&plain[..], b"", &plain, &plain[5_000..], b"x"].map(|m| encoder.message(m)).into();
            assert!(payloads[2].len() < 200 && payloads[3].len() < 100, "they do refer");
            let stream: Vec<u8> = payloads
                .iter()
                .flat_map(|payload| [frame_to(role, 0xC2, payload), frame_to(role, 0x82, b"plain")].concat())
                .collect();
            let (events, error) = feed(&mut compressed(role, true), &stream, cut);
            assert_eq!(error, None);
            let messages =
                [&plain[..], b"plain", b"", b"plain", &plain, b"plain", &plain[5_000..], b"plain", b"x", b"plain"];
            assert!(events == messages.map(binary));
        }
    }
}

#[test]
fn plain_and_compressed_messages_mix() {
    let frames: &[(u8, &[u8])] = &[
        (0x81, b"plain"),
        (0xC1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        (0x02, b"pl"),
        (0x80, b"ain"),
        (0x42, b"\xf2\x48\xcd"),
        (0x80, b"\xc9\xc9\x07\x00"),
        (0x82, b""),
        (0xC2, b"\x00"),
        (0x01, b"\xe2\x82"),
        (0x80, b"\xac"),
    ];
    let events =
        [text("plain"), text("Hello"), binary(b"plain"), binary(b"Hello"), binary(b""), binary(b""), text("\u{20ac}")];
    for role in BOTH {
        for takeover in EITHER {
            for cut in CUTS {
                let mut connection = compressed(role, takeover);
                assert_eq!(feed(&mut connection, &frames_to(role, frames), cut), (events.to_vec(), None));
                assert_eq!(connection.counters().received.frames, 10);
            }
        }
    }
}

#[test]
fn control_frames_come_between_compressed_fragments() {
    let frames: &[(u8, &[u8])] = &[
        (0x41, b"\xf2\x48"),
        (0x89, b"1"),
        (0x00, b""),
        (0x8A, b"2"),
        (0x00, b"\xcd\xc9"),
        (0x89, b""),
        (0x80, b"\xc9\x07\x00"),
        (0x42, b""),
        (0x89, b"3"),
        (0x80, b"\x00"),
        (0x41, b"\xf2"),
        (0x88, b"\x03\xe8"),
    ];
    let events = vec![ping(b"1"), pong(b"2"), ping(b""), text("Hello"), ping(b"3"), binary(b""), closed(1000, "")];
    for role in BOTH {
        for takeover in EITHER {
            for cut in CUTS {
                let mut connection = compressed(role, takeover);
                assert_eq!(feed(&mut connection, &frames_to(role, frames), cut), (events.clone(), None));
                assert_eq!(sent(&mut connection), [(0x8A, b"3".to_vec()), close_frame(1000)], "the newest pong");
            }
        }
    }
}

#[test]
fn the_pool_counts_what_was_inflated() {
    let mut deflate = always();
    deflate.pool = Pool::new(1);
    let plain = lines(10_000);
    let payload = deflated(plain.as_bytes());
    let mut connection = agreed(Role::Client, params(false), deflate.clone());
    let stream = [frame_to(Role::Client, 0xC1, &payload), frame_to(Role::Client, 0x81, b"plain")].concat();
    for cut in [1, usize::MAX] {
        feed(&mut connection, &stream, cut);
    }
    let inflated = deflate.pool.inflated();
    assert_eq!((inflated.plain, inflated.compressed), (20_000, 2 * payload.len() as u64));
    assert_eq!(deflate.pool.deflated(), Default::default());
}

#[test]
fn a_buffer_that_was_given_back_holds_what_is_inflated() {
    for takeover in EITHER {
        for first in [1, 2] {
            let mut connection = compressed(Role::Client, takeover);
            let plain = lines(20_000);
            let stream = frame_to(Role::Client, 0xC0 | first, &deflated(plain.as_bytes()));
            let spent = vec![b'?'; 30_000];
            let place = spent.as_ptr();
            connection.recycle(spent);
            for cut in [usize::MAX, 1, 100] {
                let (mut events, _) = feed(&mut connection, &stream, cut);
                let buffer = match events.pop() {
                    Some(Event::Text(Cow::Owned(text))) => text.into_bytes(),
                    Some(Event::Binary(Cow::Owned(bytes))) => bytes,
                    event => panic!("{event:?}"),
                };
                assert!(buffer == plain.as_bytes());
                assert_eq!(buffer.as_ptr(), place);
                connection.recycle(buffer);
            }
        }
    }
}

#[test]
fn a_driver_is_lent_no_tail_of_what_is_inflated() {
    let mut connection = limited(Role::Client, false, 10 << 20);
    let payload = Encoder::new(0, 15).message(&noise(500_000));
    let stream = frame_to(Role::Client, 0xC2, &payload);
    let (front, rest) = stream.split_at(100_000);
    assert_eq!(feed(&mut connection, front, usize::MAX), (vec![], None));
    assert_eq!(connection.tail(), None);
    assert_eq!(connection.receive_tail(100), Ok(None));
    assert!(feed(&mut connection, rest, usize::MAX) == (vec![binary(&noise(500_000))], None));
}

// ---- what is not

#[test]
fn corrupt_data_fails_with_1007() {
    let bits = Bits::default;
    let dynamic = |letters: u32, distances: u32, lengths: u32| {
        bits().block(false, 2).number(letters - 257, 5).number(distances - 1, 5).number(lengths - 4, 4)
    };
    let ones = |mut bits: Bits, count: usize| {
        for _ in 0..count {
            bits = bits.number(1, 3);
        }
        bits
    };
    let cases: &[(&str, Vec<u8>)] = &[
        ("a type of block that is reserved", bits().block(false, 3).bytes()),
        ("the same behind a block", bits().block(false, 1).letter(b'a').end().block(false, 3).bytes()),
        ("the same behind a last block", bits().block(true, 1).letter(b'a').end().number(0, 6).block(false, 3).bytes()),
        ("a length that is not said twice", b"\x00\x05\x00\xfa\xfeHello\x00".to_vec()),
        ("a distance with nothing before", bits().block(false, 1).three(1).end().block(false, 0).bytes()),
        ("a distance one too far", bits().block(false, 1).letter(b'a').three(2).end().block(false, 0).bytes()),
        ("a letter that is none", bits().block(false, 1).code(0b1100_0110, 8).end().bytes()),
        ("a distance that is none", bits().block(false, 1).letter(b'a').code(1, 7).code(30, 5).end().bytes()),
        ("too many letters", dynamic(287, 1, 4).number(0, 12).bytes()),
        ("too many distances", dynamic(257, 31, 4).number(0, 12).bytes()),
        ("more codes than there can be", ones(dynamic(257, 1, 19), 19).bytes()),
        ("fewer codes than there must be", dynamic(257, 1, 4).number(0b001, 3).number(0, 9).bytes()),
        ("a length to repeat before the first", ones(dynamic(257, 1, 4), 2).number(0, 6).number(0, 30).bytes()),
        ("bytes behind the end", b"\xf2\x48\xcd\xc9\xc9\x07\x00\xff".to_vec()),
        ("the tail that is left out", b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff".to_vec()),
    ];
    for (what, payload) in cases {
        assert_eq!(inflate(b"", payload), None, "{what}");
        fails(payload, ProtocolError::CorruptDeflate);
    }
}

#[test]
fn corrupt_data_is_found_when_it_comes() {
    for role in BOTH {
        for takeover in EITHER {
            let bad = b"\xf2\x48\xcd\xc9\xc9\x07\x18";
            for stream in [begun(role, 0xC2, bad), frame_to(role, 0x42, bad)] {
                for cut in CUTS {
                    let failed = (vec![], Some(ProtocolError::CorruptDeflate));
                    assert_eq!(feed(&mut compressed(role, takeover), &stream, cut), failed);
                }
            }
        }
    }
}

#[test]
fn a_message_that_ends_inside_a_block_is_corrupt() {
    let words = lines(300);
    let payloads = [
        deflated(words.as_bytes()),
        deflated(b"Hello, hello, hello"),
        Encoder::new(0, 15).message(b"stored"),
        [Encoder::new(9, 15).part(words.as_bytes()), deflated(b"Hello")].concat(),
        // Each bit that is 0 is 258 bytes, so what was left out of a message makes thousands.
        [&b"\xec\xc1\x31\x01\x00\x00\x00\xc2\xa0\xf5\x4f\x6d\x0d\x0f\xa0"[..], &[0; 100]].concat(),
        Bits::default().block(true, 1).letter(b'a').end().bytes(),
    ];
    let (mut whole, mut corrupt) = (0, 0);
    for payload in &payloads {
        for len in 1..=payload.len() {
            let payload = &payload[..len];
            let expected = match inflate(b"", payload) {
                Some(inflated) => (vec![binary(&inflated.plain)], None),
                None => (vec![], Some(ProtocolError::CorruptDeflate)),
            };
            *if expected.1.is_none() { &mut whole } else { &mut corrupt } += 1;
            for takeover in EITHER {
                for cut in [1, usize::MAX] {
                    let stream = frame_to(Role::Client, 0xC2, payload);
                    assert_eq!(feed(&mut compressed(Role::Client, takeover), &stream, cut), expected, "{payload:02x?}");
                }
            }
        }
    }
    // The last has two ends: its tail's header fits into the bits that the block leaves.
    assert!(whole < 10 && corrupt > 200, "{whole} whole, {corrupt} corrupt");
}

#[test]
fn text_fails_at_the_first_byte_that_cannot_continue() {
    for role in BOTH {
        for takeover in EITHER {
            for (good, bad) in
                [("a", &b"\xff"[..]), ("a\u{20ac}", b"\xe2\x82b"), ("", b"\xc0"), ("\u{1d11e}", b"\xed\xa0")]
            {
                let front = Encoder::new(6, 15).part(&[good.as_bytes(), bad].concat());
                let stream = begun(role, 0xC1, &front);
                for cut in CUTS {
                    let mut connection = compressed(role, takeover);
                    let failed = (vec![], Some(ProtocolError::InvalidUtf8));
                    assert_eq!(feed(&mut connection, &stream, cut), failed);
                    assert_eq!(sent(&mut connection), [close_frame(1007)]);
                }
            }
        }
    }
    // A character that does not end, where the message does.
    every_way(&[(1, &deflated(b"a\xe2\x82"))], (vec![], Some(ProtocolError::InvalidUtf8)));
    every_way(&[(2, &deflated(b"a\xe2\x82"))], (vec![binary(b"a\xe2\x82")], None));
}

#[test]
fn a_character_may_be_cut_by_steps_blocks_and_frames() {
    // Whatever the length of a step is, one of these characters lies across its end.
    for character in ["\u{e9}", "\u{20ac}", "\u{1d11e}"] {
        for before in 0..4 {
            let plain = format!("{}{}", "x".repeat(before), character.repeat(20_000));
            let stream = frame_to(Role::Client, 0xC1, &deflated(plain.as_bytes()));
            for cut in [1, usize::MAX] {
                let (events, error) = feed(&mut compressed(Role::Client, false), &stream, cut);
                assert!(error.is_none() && events == [text(&plain)]);
            }
        }
        let stored: Vec<u8> = character.bytes().flat_map(|byte| [0, 1, 0, 0xfe, 0xff, byte]).chain([0]).collect();
        every_way(&[(1, &stored)], (vec![text(character)], None));
    }
}

#[test]
fn text_that_is_not_checked_comes_as_it_is() {
    for role in BOTH {
        let mut config = Config::default();
        config.check_utf8 = false;
        config.deflate = Some(always());
        let mut connection = Connection::open(role, params(false).try_into().unwrap(), config, SEED);
        let stream = frames_to(role, &[(0xC1, &deflated(b"a\xff")), (0x81, b"\xff")]);
        let events = vec![Event::Unchecked(b"a\xff".into()), Event::Unchecked(b"\xff".into())];
        assert_eq!(feed(&mut connection, &stream, 1), (events, None));
    }
}

#[test]
fn rsv1_marks_the_first_frame_of_a_message_and_nothing_else() {
    for role in BOTH {
        for cut in [1, usize::MAX] {
            for takeover in EITHER {
                for (front, first, rsv) in [
                    (Some(0x41), 0xC0, 0b100), // a continuation
                    (Some(0x41), 0x40, 0b100),
                    (Some(0x01), 0xC0, 0b100), // one of a plain message
                    (Some(0x41), 0xC9, 0b100), // control frames
                    (None, 0xC9, 0b100),
                    (None, 0xCA, 0b100),
                    (None, 0xC8, 0b100),
                    (None, 0xA1, 0b010), // the other bits
                    (None, 0x92, 0b001),
                    (None, 0xE1, 0b110),
                    (None, 0xF2, 0b111),
                ] {
                    let front = front.map(|first| frame_to(role, first, b"\x00")).unwrap_or_default();
                    let stream = [front, frame_to(role, first, b"\x00")].concat();
                    let mut connection = compressed(role, takeover);
                    let failed = (vec![], Some(ProtocolError::ReservedBits(rsv)));
                    assert_eq!(feed(&mut connection, &stream, cut), failed, "{first:#x}");
                    assert_eq!(sent(&mut connection), [close_frame(1002)]);
                }
            }
            let mut connection = open(role);
            let failed = (vec![], Some(ProtocolError::ReservedBits(0b100)));
            assert_eq!(feed(&mut connection, &frame_to(role, 0xC1, b"\x00"), cut), failed, "not negotiated");
            assert_eq!(sent(&mut connection), [close_frame(1002)]);
        }
    }
}

// ---- limits

#[test]
fn a_message_of_many_blocks_comes_whole_whatever_its_limit() {
    // What does not get smaller lies in blocks that are not compressed, and every part ends one.
    let plain: Vec<u8> =
        (0..3000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()).take(4000).collect();
    for part in [50, 333, 1018] {
        let mut encoder = Encoder::new(1, 15);
        let mut payload: Vec<u8> = plain.chunks(part).flat_map(|part| encoder.part(part)).collect();
        payload.truncate(payload.len() - 4);
        for role in BOTH {
            for limit in (4000..40_000).step_by(71) {
                let stream = frame_to(role, 0xC2, &payload);
                let whole = (vec![Event::Binary(plain.clone().into())], None);
                assert_eq!(feed(&mut limited(role, false, limit), &stream, usize::MAX), whole, "{part}, {limit}");
            }
        }
    }
}

/// What inflates to a byte more than the limit, or would go on beyond that.
fn too_long(limit: usize) -> ProtocolError {
    ProtocolError::MessageTooLong { len: limit as u32 + 1, limit: limit as u32 }
}

#[test]
fn the_limit_counts_what_comes_out_while_it_does() {
    for role in BOTH {
        for takeover in EITHER {
            for limit in [1, 1000, 8191, 8192, 8193, 50_000] {
                let fits = deflated(&vec![b'x'; limit]);
                let over = begun(role, 0xC1, &Encoder::new(6, 15).part(&vec![b'x'; limit + 1]));
                for cut in [1, 2, usize::MAX] {
                    let mut connection = limited(role, takeover, limit);
                    let stream = [frame_to(role, 0xC2, &fits), over.clone()].concat();
                    let (events, error) = feed(&mut connection, &stream, cut);
                    assert!(events == [binary(&vec![b'x'; limit])], "limit {limit}, cut {cut}");
                    assert_eq!(error, Some(too_long(limit)));
                    assert_eq!(sent(&mut connection), [close_frame(1009)]);
                }
            }
        }
    }
}

/// A codec that a peer has left inside a message goes to nobody else.
#[test]
fn a_message_that_is_refused_leaves_nothing_in_the_pool() {
    let pool = Pool::new(4);
    let (good, long) = ("good, ".repeat(9), lines(20_000));
    let good_frame = frame_to(Role::Server, 0xC1, &deflated(good.as_bytes()));
    let stream = [&good_frame[..], &frame_to(Role::Server, 0xC1, &deflated(long.as_bytes()))].concat();
    for _ in 0..3 {
        let connection = || agreed(Role::Server, params(false), Deflate { pool: pool.clone(), ..always() });
        let mut refusing = connection();
        refusing.set_limits(Limits { message: 1000, ..Limits::default() });
        assert_eq!(feed(&mut refusing, &stream, usize::MAX), (vec![text(&good)], Some(too_long(1000))));
        assert_eq!(feed(&mut connection(), &good_frame, usize::MAX), (vec![text(&good)], None));
    }
    assert_eq!(pool.inflated().plain, 6 * good.len() as u64);
}

#[test]
fn the_limit_is_not_for_compressed_bytes() {
    // Blocks that say nothing, and letters of nine bits.
    let empty = [b"\x00\x00\x00\xff\xff".repeat(100), b"\x00".to_vec()].concat();
    let noisy = Encoder::new(1, 15).message(&loud_noise(400));
    assert!(noisy.len() > 440);
    let stream = [frame_to(Role::Client, 0xC2, &empty), frame_to(Role::Client, 0xC2, &noisy)].concat();
    let events = vec![binary(b""), binary(&loud_noise(400))];
    assert_eq!(feed(&mut limited(Role::Client, false, 400), &stream, usize::MAX), (events, None));
}

#[test]
fn what_a_compressed_message_has_on_the_wire_is_bounded_when_it_is_announced() {
    const MOST: usize = 2 * 1000 + (64 << 10);
    let too_long = ProtocolError::MessageTooLong { len: MOST as u32 + 1, limit: 1000 };
    let refused = Some(too_long);
    // Empty blocks, which inflate to nothing: all in one frame, or in fragments.
    let empty = |len: usize| [b"\x00\x00\x00\xff\xff".repeat(len / 5), vec![0; len % 5]].concat();
    for role in BOTH {
        let whole = frame_to(role, 0xC2, &empty(MOST));
        let parts = |last: &[u8]| {
            let (first, next) = (frame_to(role, 0x42, &empty(40_000)), frame_to(role, 0x00, &empty(MOST - 40_000)));
            [first, next, last.to_vec()].concat()
        };
        let in_fragments = parts(&frame_to(role, 0x80, b""));
        for stream in [&whole, &in_fragments] {
            for cut in [1000, usize::MAX] {
                assert_eq!(feed(&mut limited(role, false, 1000), stream, cut), (vec![binary(b"")], None));
            }
        }
        let over = [header_to(role, 0xC2, MOST as u64 + 1), parts(&header_to(role, 0x80, 1))];
        for stream in over {
            let (front, last) = stream.split_at(stream.len() - 1);
            let mut connection = limited(role, false, 1000);
            assert_eq!(connection.missing(&stream), 0);
            assert_eq!(feed(&mut connection, front, usize::MAX), (vec![], None));
            assert_eq!(feed(&mut connection, last, 1), (vec![], refused));
            assert_eq!(sent(&mut connection), [close_frame(1009)]);
            assert_eq!(feed_pieces(&mut limited(role, false, 1000), stream.chunks(999)).1, refused);
            let (mut from, mut to) = (limited(role, false, 1000), compressed(peer_of(role), false));
            let error = relay(&mut from, &mut to, &stream, 999).map_err(|(error, _)| error);
            assert_eq!(error, Err(RelayError::Peer(too_long)));
        }
        // One that came whole is not let through for that.
        let whole = frame_to(role, 0xC2, &empty(MOST + 1));
        assert_eq!(feed(&mut limited(role, false, 1000), &whole, usize::MAX), (vec![], refused));
    }
}

#[test]
fn the_first_of_several_faults_is_told_however_the_input_is_cut() {
    // In one step: text that is too long, then not UTF-8, then corrupt; and in other orders.
    let [long, bad] = [vec![b'x'; 100], b"\xff".to_vec()];
    let corrupt = |plain: &[u8]| [Encoder::new(6, 15).part(plain), b"\x06".to_vec()].concat();
    let cases = [
        (corrupt(&[&long[..], &bad].concat()), 50, too_long(50)),
        (corrupt(&[&bad[..], &long].concat()), 50, ProtocolError::InvalidUtf8),
        (corrupt(&[&bad[..], &long].concat()), 500, ProtocolError::InvalidUtf8),
        (corrupt(&long), 50, too_long(50)),
        (corrupt(&long), 100, ProtocolError::CorruptDeflate),
    ];
    for (payload, limit, error) in cases {
        for cut in [1, 2, 10, usize::MAX] {
            let mut connection = limited(Role::Server, false, limit);
            assert_eq!(feed(&mut connection, &client_frame(0xC1, &payload), cut), (vec![], Some(error)));
        }
    }
}

#[test]
fn what_a_message_that_ends_inside_a_block_is_told_of_does_not_hang_on_its_cuts() {
    // What stands in for the tail goes on with the zeros, so that this is both cut off and too long.
    let payload = Encoder::new(9, 15).message(&[0; 200_000]);
    let payload = &payload[..payload.len() / 2];
    let mut codec = zlib_rs::Inflate::new(false, 15);
    codec.decompress(payload, &mut [0; 200_000], zlib_rs::InflateFlush::SyncFlush).unwrap();
    let plain = codec.total_out() as usize;
    let stream = client_frame(0xC2, payload);
    let faults: Vec<_> = (plain..plain + 20_000)
        .step_by(50)
        .map(|limit| {
            let whole = feed(&mut limited(Role::Server, false, limit), &stream, usize::MAX).1;
            for cut in [1, 3, 7, 10] {
                assert_eq!(feed(&mut limited(Role::Server, false, limit), &stream, cut), (vec![], whole));
                let pieces = feed_pieces(&mut limited(Role::Server, false, limit), stream.chunks(cut));
                assert_eq!(pieces.1, whole, "{limit} in {cut}");
            }
            whole
        })
        .collect();
    assert_eq!(faults.first(), Some(&Some(too_long(plain))));
    assert_eq!(faults.last(), Some(&Some(ProtocolError::CorruptDeflate)));
    assert!(faults.is_sorted_by_key(|fault| *fault == Some(ProtocolError::CorruptDeflate)));
}

#[test]
fn a_limit_that_is_lowered_on_the_way_counts_from_then_on() {
    let mut connection = limited(Role::Client, false, 1000);
    let [front, back] = [vec![b'x'; 900], vec![b'x'; 10]];
    let mut encoder = Encoder::new(6, 15);
    let front = frame_to(Role::Client, 0x42, &encoder.part(&front));
    assert_eq!(feed(&mut connection, &front, 10), (vec![], None));
    connection.set_limits(Limits { message: 100, ..Limits::default() });
    let back = frame_to(Role::Client, 0x80, &encoder.message(&back));
    assert_eq!(feed(&mut connection, &back, 10), (vec![], Some(too_long(100))));
}

// ---- pieces

/// The same as `feed_parts`, by `receive_piece`.
fn feed_pieces<'p>(
    connection: &mut Connection,
    parts: impl IntoIterator<Item = &'p [u8]>,
) -> (Vec<Event<'static>>, Option<ProtocolError>) {
    let mut events = vec![];
    for part in parts {
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        loop {
            match connection.receive_piece(&mut input) {
                Ok(None) => break,
                Ok(Some(event)) => events.push(event.into_owned()),
                Err(error) => return (events, Some(error)),
            }
        }
        assert!(input.is_empty());
    }
    (events, None)
}

/// Joins pieces to messages, and holds their flags against each other; ends of frames are counted.
fn joined(events: Vec<Event<'static>>) -> (Vec<Event<'static>>, usize) {
    let mut whole = vec![];
    let mut under_way: Option<(Kind, Vec<u8>)> = None;
    let mut frames = 0;
    for event in events {
        let Event::Piece(piece) = event else {
            whole.push(event);
            continue;
        };
        assert_eq!(piece.first, under_way.is_none(), "the first is said to be, and no other");
        let (kind, bytes) = under_way.get_or_insert((piece.data.kind(), vec![]));
        assert_eq!(*kind, piece.data.kind());
        assert!(piece.frame_end || !piece.data.as_bytes().is_empty(), "an empty one ends something");
        bytes.extend(piece.data.as_bytes());
        frames += usize::from(piece.frame_end);
        if piece.last {
            assert!(piece.frame_end);
            let (kind, bytes) = under_way.take().unwrap();
            whole.push(match kind {
                Kind::Text => text(str::from_utf8(&bytes).unwrap()),
                Kind::Binary => binary(&bytes),
            });
        }
    }
    (whole, frames)
}

#[test]
fn pieces_end_where_frames_do() {
    let frames: &[(u8, &[u8])] = &[
        (0x41, b"\xf2\x48"),
        (0x89, b"p"),
        (0x00, b""),
        (0x00, b"\xcd\xc9"),
        (0x80, b"\xc9\x07\x00"),
        (0xC2, b"\x00"),
        (0x81, b"plain"),
        (0xC1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
    ];
    let piece = |data: &'static str, [first, frame_end, last]: [bool; 3]| {
        Event::Piece(sockless::Piece { data: data.into(), first, frame_end, last })
    };
    let expected = [
        piece("H", [true, true, false]),
        ping(b"p"),
        piece("", [false, true, false]),
        piece("el", [false, true, false]),
        piece("lo", [false, true, true]),
        Event::Piece(sockless::Piece { data: Message::Binary(b"".into()), first: true, frame_end: true, last: true }),
        piece("plain", [true, true, true]),
        piece("Hello", [true, true, true]),
    ];
    for role in BOTH {
        for takeover in EITHER {
            let stream = frames_to(role, frames);
            let (events, error) = feed_pieces(&mut compressed(role, takeover), [&stream[..]]);
            assert_eq!((&events[..], error), (&expected[..], None));
        }
    }
}

#[test]
fn a_piece_is_told_as_soon_as_the_input_ends() {
    let mut encoder = Encoder::new(6, 15);
    let [one, two] = [encoder.part(b"one"), encoder.message(b"two")];
    let stream = frame_to(Role::Client, 0xC2, &[&one[..], &two].concat());
    let (front, back) = stream.split_at(2 + one.len());
    let mut connection = compressed(Role::Client, false);
    let pieces = feed_pieces(&mut connection, [front, back]).0;
    let data = pieces.iter().map(|event| match event {
        Event::Piece(piece) => (piece.data.as_bytes(), piece.first, piece.last),
        _ => panic!("{event:?}"),
    });
    assert_eq!(data.collect::<Vec<_>>(), [(&b"one"[..], true, false), (b"two", false, true)]);
}

#[test]
fn pieces_are_bounded_and_whole() {
    let most = (16 << 10) + 64 * 1032;
    for (first, plain) in [(0xC2, vec![0; 5 << 20]), (0xC1, lines(3 << 20).into_bytes()), (0xC2, noise(1 << 20))] {
        let payload = Encoder::new(9, 15).message(&plain);
        for cut in [100, 65_536, usize::MAX] {
            let mut connection = limited(Role::Client, false, 5 << 20);
            let stream = frame_to(Role::Client, first, &payload);
            let (events, error) = feed_pieces(&mut connection, stream.chunks(cut));
            assert_eq!(error, None);
            for event in &events {
                let Event::Piece(piece) = event else { panic!("{event:?}") };
                assert!(piece.data.as_bytes().len() <= most);
            }
            assert!(cut < 65_536 || events.len() < plain.len() / (16 << 10) + payload.len() / 65_536 + 2);
            let (messages, frames) = joined(events);
            let expected = if first == 0xC1 { text(str::from_utf8(&plain).unwrap()) } else { binary(&plain) };
            assert!(messages == [expected] && frames == 1);
        }
    }
}

#[test]
fn faults_are_found_in_pieces_too() {
    for role in BOTH {
        for cut in [1, usize::MAX] {
            for (limit, payload, error) in [
                (100, deflated(&[b'x'; 101]), too_long(100)),
                (100, deflated(b"ab\xff"), ProtocolError::InvalidUtf8),
                (100, deflated(b"ab\xe2\x82"), ProtocolError::InvalidUtf8),
                (100, b"\xf2\x48\x06".to_vec(), ProtocolError::CorruptDeflate),
                (100, b"\xf2\x48".to_vec(), ProtocolError::CorruptDeflate),
            ] {
                let mut connection = limited(role, false, limit);
                let stream = frame_to(role, 0xC1, &payload);
                let (events, found) = feed_pieces(&mut connection, stream.chunks(cut));
                assert_eq!(found, Some(error));
                assert!(events.iter().all(|event| matches!(event, Event::Piece(piece) if !piece.last)));
                assert_eq!(sent(&mut connection), [close_frame(error.close_code().unwrap().into())]);
            }
        }
    }
}

#[test]
fn a_message_stays_with_the_method_it_began_with() {
    let payload = deflated(b"one, two, three");
    let stream = [frame_to(Role::Client, 0xC2, &payload), frame_to(Role::Client, 0xC2, &payload)].concat();
    let (front, back) = stream.split_at(5);
    let mut connection = compressed(Role::Client, false);
    assert_eq!(feed(&mut connection, front, 1), (vec![], None));
    let (events, error) = feed_pieces(&mut connection, [back]);
    assert_eq!((joined(events), error), ((vec![binary(b"one, two, three"); 2], 1), None));
    let (front, back) = stream.split_at(6);
    let (mut events, _) = feed_pieces(&mut connection, [front]);
    events.extend(feed(&mut connection, back, usize::MAX).0);
    assert_eq!(joined(events), (vec![binary(b"one, two, three"); 2], 1));
}

// ---- relays

/// Relays `bytes`, `cut` at a time; where it stops, if it does, and what is left then.
fn relay(from: &mut Connection, to: &mut Connection, bytes: &[u8], cut: usize) -> Result<(), (RelayError, usize)> {
    for part in bytes.chunks(cut) {
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        match from.relay(&mut input, to) {
            Ok(None) => {}
            Ok(Some(event)) => panic!("{event:?}"),
            Err(error) => return Err((error, input.len())),
        }
    }
    Ok(())
}

const WAYS: [[Role; 2]; 2] = [[Role::Server, Role::Client], [Role::Client, Role::Server]];

#[test]
fn compressed_messages_are_relayed_as_they_are() {
    for [a, b] in WAYS {
        for takeover in EITHER {
            let plain = lines(3000);
            let mut encoder = Encoder::new(6, 15);
            let mut payload = |plain: &[u8]| match takeover {
                true => encoder.message(plain),
                false => deflated(plain),
            };
            let payloads = [payload(plain.as_bytes()), payload(plain.as_bytes())];
            let stream =
                [frame_to(a, 0xC1, &payloads[0]), frame_to(a, 0x82, b"plain"), fragments(a, 1, &payloads[1], 10)]
                    .concat();
            for cut in [1, 10, usize::MAX] {
                let (mut from, mut to) = (compressed(a, takeover), compressed(b, takeover));
                assert_eq!(relay(&mut from, &mut to, &stream, cut), Ok(()));
                let bytes = outbound(&mut to);
                let frames = unframe(&bytes);
                let on_the_way: Vec<u8> = frames.iter().flat_map(|(_, payload)| payload.clone()).collect();
                assert_eq!(on_the_way, [&payloads[0][..], b"plain", &payloads[1]].concat());
                assert_eq!(frames.iter().filter(|(first, _)| first & 0x40 != 0).count(), 2);
                let events = vec![text(&plain), binary(b"plain"), text(&plain)];
                assert_eq!(feed(&mut compressed(a, takeover), &bytes, cut), (events, None));
            }
        }
    }
}

#[test]
fn corrupt_data_and_bombs_are_for_the_receiver_to_find() {
    let (mut from, mut to) = (limited(Role::Server, false, 10), compressed(Role::Client, false));
    let stream = [client_frame(0xC2, b"\x06"), client_frame(0xC2, &deflated(&[0; 5000]))].concat();
    assert_eq!(relay(&mut from, &mut to, &stream, usize::MAX), Ok(()));
    assert_eq!(sent(&mut to), [(0xC2, b"\x06".to_vec()), (0xC2, deflated(&[0; 5000]))]);
}

#[test]
fn a_relay_needs_a_receiver_that_can_inflate_what_comes() {
    // What the peer that is read deflates with, and the end that is written.
    let cases = [
        ((12, false), Some((12, false)), true),
        ((12, false), Some((15, false)), true),
        ((12, false), Some((12, true)), true),
        ((12, true), Some((12, true)), true),
        ((12, true), Some((12, false)), false),
        ((12, false), Some((11, false)), false),
        ((15, true), Some((12, true)), false),
        ((8, false), Some((9, false)), true),
        ((12, false), None, false),
    ];
    for [a, b] in WAYS {
        for ((peer_window_bits, peer_takeover), to, works) in cases {
            let of_peer = DeflateParams { peer_window_bits, peer_takeover, ..params(false) };
            let mut from = agreed(a, of_peer, always());
            let mut to = match to {
                Some((window_bits, takeover)) => {
                    agreed(b, DeflateParams { window_bits, takeover, ..params(true) }, always())
                }
                None => open(b),
            };
            let stream = frame_to(a, 0xC1, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
            let result = relay(&mut from, &mut to, &stream, usize::MAX);
            let refused = Err((NotSent(Extension), stream.len()));
            assert_eq!(result, if works { Ok(()) } else { refused }, "{of_peer:?}");
            if !works {
                assert_eq!(outbound(&mut to), b"");
                assert_eq!(feed(&mut from, &stream, usize::MAX), (vec![text("Hello")], None), "it can be received");
            }
        }
        // What is not compressed goes anywhere.
        let (mut from, mut to) = (open(a), compressed(b, true));
        assert_eq!(relay(&mut from, &mut to, &frame_to(a, 0x81, b"plain"), usize::MAX), Ok(()));
        assert_eq!(sent(&mut to), [(0x81, b"plain".to_vec())]);
    }
}

#[test]
fn messages_of_ones_own_between_relayed_ones_are_understood() {
    for [a, b] in WAYS {
        for takeover in EITHER {
            let (mut from, mut to, mut far) =
                (compressed(a, takeover), compressed(b, takeover), compressed(a, takeover));
            let plain = lines(2000);
            let mut encoder = Encoder::new(6, 15);
            for round in 0..3 {
                to.send_text(&plain).unwrap();
                if !takeover {
                    encoder = Encoder::new(6, 15);
                }
                let stream = frame_to(a, 0xC1, &encoder.message(plain.as_bytes()));
                relay(&mut from, &mut to, &stream, usize::MAX).unwrap();
                to.send_fragment(Kind::Text, plain.as_bytes(), false).unwrap();
                to.send_fragment(Kind::Text, b"!", true).unwrap();
                let bytes = outbound(&mut to);
                let events = vec![text(&plain), text(&plain), text(&format!("{plain}!"))];
                assert_eq!(feed(&mut far, &bytes, usize::MAX), (events, None));
                // With takeover the context is the relayed messages' from the first one on.
                let marked: Vec<bool> = unframe(&bytes).iter().map(|(first, _)| first & 0x40 != 0).collect();
                assert_eq!(marked, [!takeover || round == 0, true, !takeover, false]);
            }
        }
    }
}

#[test]
fn with_takeover_messages_are_all_relayed_or_none() {
    for [a, b] in WAYS {
        let mut encoder = Encoder::new(6, 15);
        let stream: Vec<u8> = (0..3).flat_map(|_| frame_to(a, 0xC1, &encoder.message(lines(500).as_bytes()))).collect();
        let len = stream.len();
        let first = frame_to(a, 0xC1, &deflated(lines(500).as_bytes())).len();

        let (mut from, mut to) = (compressed(a, true), compressed(b, true));
        assert_eq!(feed(&mut from, &stream[..first], 1), (vec![text(&lines(500))], None));
        let refused = Err((NotSent(Extension), len - first));
        assert_eq!(relay(&mut from, &mut to, &stream[first..], usize::MAX), refused);
        assert_eq!(feed(&mut from, &stream[first..], 1), (vec![text(&lines(500)); 2], None));

        let (mut from, mut to) = (compressed(a, true), compressed(b, true));
        assert_eq!(relay(&mut from, &mut to, &stream[..first], 1), Ok(()));
        let failed = (vec![], Some(ProtocolError::CorruptDeflate));
        assert_eq!(feed(&mut from, &stream[first..], 1), failed, "it refers to what was not seen");
        let stream = frame_to(a, 0x83, b"");
        let gone = relay(&mut compressed(a, true), &mut to, &stream, 1);
        assert_eq!(gone, Err((Peer(ProtocolError::ReservedOpcode(3)), 0)));
    }
}

// ---- any cutting

/// Something that a peer sends.
#[derive(Clone, Debug)]
enum Sent {
    /// Whether it is text, its plain bytes, whether it is compressed, and the length of its fragments.
    Message(bool, Vec<u8>, bool, usize),
    Ping(Vec<u8>),
}

fn any_sent() -> impl Strategy<Value = Sent> {
    let plain = prop_oneof![
        "[a-c\u{20ac}\u{1d11e}]{0,40}".prop_map(String::into_bytes),
        (0..30_000_usize).prop_map(|len| "long \u{20ac} ".repeat(len / 9).into_bytes()),
        prop::collection::vec(any::<u8>(), 0..300),
    ];
    prop_oneof![
        8 => (any::<bool>(), plain, prop::bool::weighted(0.8), prop_oneof![1..20_usize, Just(100_000)])
            .prop_map(|(text, plain, compressed, size)| Sent::Message(text, plain, compressed, size)),
        1 => prop::collection::vec(any::<u8>(), 0..125).prop_map(Sent::Ping),
    ]
}

/// The bytes of what is sent; now and then one of them is wrong.
fn stream(role: Role, takeover: bool, sent: &[Sent], wrong: Option<(prop::sample::Index, u8)>) -> Vec<u8> {
    let mut encoder = Encoder::new(6, 15);
    let mut frames = vec![];
    for sent in sent {
        match sent {
            Sent::Ping(payload) => frames.push((0x89, payload.clone())),
            Sent::Message(text, plain, compressed, size) => {
                if !takeover {
                    encoder = Encoder::new(6, 15);
                }
                let payload = if *compressed { encoder.message(plain) } else { plain.clone() };
                let mut first = if *text { 1 } else { 2 } | if *compressed { 0x40 } else { 0 };
                let mut parts = payload.chunks(*size).peekable();
                let mut part = parts.next().unwrap_or_default();
                while parts.peek().is_some() {
                    frames.push((first, part.to_vec()));
                    (first, part) = (0, parts.next().unwrap_or_default());
                }
                frames.push((first | 0x80, part.to_vec()));
            }
        }
    }
    if let Some((index, flip)) = wrong {
        let mut payloads: Vec<&mut u8> = frames.iter_mut().flat_map(|(_, payload)| payload).collect();
        let count = payloads.len();
        if count > 0 {
            *payloads[index.index(count)] ^= flip;
        }
    }
    frames.iter().flat_map(|(first, payload)| frame_to(role, *first, payload)).collect()
}

fn cut<'s>(stream: &'s [u8], lengths: &[usize]) -> Vec<&'s [u8]> {
    let mut rest = stream;
    let mut parts = vec![];
    for len in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (part, behind) = rest.split_at((*len).min(rest.len()));
        parts.push(part);
        rest = behind;
    }
    parts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_cutting_gives_the_same(
        takeover: bool,
        server: bool,
        sent in prop::collection::vec(any_sent(), 1..8),
        wrong in prop::option::weighted(0.3, (any::<prop::sample::Index>(), 1..=255_u8)),
        lengths in prop::collection::vec(1..200_usize, 1..10),
        limit in prop_oneof![Just(1 << 20), 1..40_000_usize],
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let stream = stream(role, takeover, &sent, wrong);
        let run = |parts: &[&[u8]]| {
            let mut connection = limited(role, takeover, limit);
            let told = feed_parts(&mut connection, parts.iter().copied());
            let state = connection.state();
            (told, outbound(&mut connection), state)
        };
        let whole = run(&[&stream]);
        let parts = cut(&stream, &lengths);
        // Of many pings in one read, only the newest is answered: the same all the same, for nothing goes out here.
        prop_assert_eq!(&run(&parts), &whole);

        let mut connection = limited(role, takeover, limit);
        let (pieces, error) = feed_pieces(&mut connection, parts);
        let (messages, _) = joined(pieces);
        prop_assert_eq!((&messages, error), (&whole.0.0, whole.0.1));
        prop_assert_eq!(outbound(&mut connection), whole.1);
    }

    #[test]
    fn what_is_well_compressed_is_told_as_it_was(
        takeover: bool,
        sent in prop::collection::vec(any_sent(), 1..8),
        lengths in prop::collection::vec(1..2000_usize, 1..10),
    ) {
        let stream = stream(Role::Client, takeover, &sent, None);
        let mut connection = limited(Role::Client, takeover, 1 << 20);
        let (events, error) = feed_parts(&mut connection, cut(&stream, &lengths));
        let count = sent.len();
        let expected = sent.into_iter().map_while(|sent| match sent {
            Sent::Ping(payload) => Some(ping(&payload)),
            Sent::Message(true, plain, ..) => str::from_utf8(&plain).ok().map(text),
            Sent::Message(false, plain, ..) => Some(binary(&plain)),
        });
        prop_assert!(events == expected.collect::<Vec<_>>());
        prop_assert_eq!(error, (events.len() < count).then_some(ProtocolError::InvalidUtf8));
    }
}

#[test]
fn text_that_is_not_checked_comes_in_pieces_as_it_is() {
    let words = lines(100);
    for role in BOTH {
        let mut config = Config::default();
        (config.deflate, config.check_utf8) = (Some(always()), false);
        let mut end = Connection::open(role, params(false).try_into().unwrap(), config, SEED);
        let mut stream = frame_to(role, 0xC1, &deflated(words.as_bytes()));
        let Ok(Some(Event::Piece(piece))) = end.receive_piece(&mut &mut stream[..]) else { panic!("a piece") };
        assert_eq!(piece.data, Message::Unchecked(words.as_bytes().into()));
        assert!(piece.first && piece.last);
    }
}

#[test]
fn a_pool_is_equal_to_itself_and_tells_how_many_it_keeps() {
    let (pool, other) = (Pool::new(3), Pool::new(3));
    assert_eq!(pool, pool.clone());
    assert_ne!(pool, other);
    assert_eq!(format!("{pool:?}"), "Pool { most: 3, .. }");
}
