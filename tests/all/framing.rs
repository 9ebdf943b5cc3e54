//! Frames as RFC 6455 §5 has them, end to end: every form, every fault, and what each fault is answered with.

use crate::common;
use crate::common::*;
use sockless::ProtocolError::{self, *};
use sockless::frame::{OpCode, framed};
use sockless::{Config, Role, SendError, State, Transport};
use std::time::Duration;

/// Cuts that show every seam: all at once, one byte at a time, and something between.
const CUTS: [usize; 3] = [usize::MAX, 1, 3];

#[test]
fn a_client_reads_the_unmasked_samples_of_the_rfc() {
    for cut in CUTS {
        let mut client = open(Role::Client);
        let samples = [
            &b"\x81\x05\x48\x65\x6c\x6c\x6f"[..],
            b"\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f",
            b"\x89\x05\x48\x65\x6c\x6c\x6f",
            b"\x82\x7e\x01\x00",
            &[7; 256],
            b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
            &[8; 65536],
        ]
        .concat();
        let events = [text("Hello"), text("Hello"), ping(b"Hello"), binary(&[7; 256]), binary(&[8; 65536])];
        assert_eq!(feed(&mut client, &samples, cut), (events.to_vec(), None));
        assert_eq!(sent(&mut client), [(0x8A, b"Hello".to_vec())]);
    }
}

#[test]
fn a_server_reads_the_masked_samples_of_the_rfc() {
    for cut in CUTS {
        let mut server = open(Role::Server);
        let samples = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(feed(&mut server, samples, cut), (vec![text("Hello"), pong(b"Hello")], None));
        assert_eq!(outbound(&mut server), b"", "a pong is not answered");
    }
}

#[test]
fn a_server_writes_the_unmasked_samples_of_the_rfc() {
    let mut server = open(Role::Server);
    server.send_text("Hello").unwrap();
    server.send_fragment(sockless::Kind::Text, b"Hel", false).unwrap();
    server.send_fragment(sockless::Kind::Text, b"lo", true).unwrap();
    assert_eq!(outbound(&mut server), b"\x81\x05Hello\x01\x03Hel\x80\x02lo");
    server.ping(b"Hello").unwrap();
    assert_eq!(outbound(&mut server), b"\x89\x05Hello");
    server.send_binary(&[7; 256]).unwrap();
    assert_eq!(outbound(&mut server), [&b"\x82\x7e\x01\x00"[..], &[7; 256]].concat());
    server.send_binary(&[7; 65536]).unwrap();
    assert_eq!(outbound(&mut server), [&b"\x82\x7f\0\0\0\0\0\x01\0\0"[..], &[7; 65536]].concat());
}

#[test]
fn a_client_masks_its_pong_with_the_key_it_names() {
    let mut client = open(Role::Client);
    feed(&mut client, b"\x89\x05Hello", 7);
    let frame = outbound(&mut client);
    let key = frame[2..6].try_into().unwrap();
    assert_eq!(frame, common::frame(0x8A, Some(key), b"Hello"));
    assert_ne!(key, [0; 4]);
}

#[test]
fn every_length_form_is_read_at_its_edges() {
    for role in BOTH {
        for len in [0, 1, 7, 8, 125, 126, 127, 0xFFFF, 0x1_0000, 0x1_0001] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut connection = open(role);
            let bytes = frames_to(role, &[(0x82, &payload), (0x81, b"next")]);
            for cut in CUTS {
                assert_eq!(feed(&mut connection, &bytes, cut), (vec![binary(&payload), text("next")], None), "{len}");
            }
            assert_eq!(connection.counters().received.bytes, 3 * bytes.len() as u64);
            assert_eq!(connection.counters().received.frames, 6);
        }
    }
}

#[test]
fn every_masking_key_is_taken_off() {
    for key in [[0; 4], [0xFF; 4], [1, 2, 3, 4], [0, 0, 0, 1], KEY] {
        for cut in CUTS {
            let payload: Vec<u8> = (0..=255).collect();
            let bytes = common::frame(0x82, Some(key), &payload);
            assert_eq!(feed(&mut open(Role::Server), &bytes, cut), (vec![binary(&payload)], None));
        }
    }
}

#[test]
fn a_header_that_was_cut_goes_on_where_the_rest_looks_like_a_frame() {
    // Lengths and keys whose bytes are a header themselves, of an empty message or a ping.
    let payload = vec![b'x'; 0x8902];
    for role in BOTH {
        for len in [0x8100, 0x8180, 0x8280, 0x8900, 0x8902] {
            for key in [KEY, [0x81, 0x80, 0x81, 0x80], [0x82, 0x80, 0, 0], [0x89, 0x80, 0, 0]] {
                let key = key_to(role).and(Some(key));
                for short in [4, len] {
                    let bytes = common::frame(0x82, key, &payload[..short]);
                    for at in 1..bytes.len() - short {
                        let mut connection = open(role);
                        let (events, error) = feed_parts(&mut connection, [&bytes[..at], &bytes[at..]]);
                        assert!(error.is_none() && events == [binary(&payload[..short])], "cut behind {at}: {error:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn fragments_make_one_message_and_controls_come_between_them() {
    for role in BOTH {
        for cut in CUTS {
            let mut connection = open(role);
            let bytes = frames_to(
                role,
                &[
                    (0x01, b"He"),
                    (0x89, b"1"),
                    (0x00, b""),
                    (0x8A, b"2"),
                    (0x00, b"ll"),
                    (0x80, b"o"),
                    (0x02, b""),
                    (0x89, &[9; 125]),
                    (0x80, b""),
                    (0x81, b""),
                ],
            );
            let events = [ping(b"1"), pong(b"2"), text("Hello"), ping(&[9; 125]), binary(b""), text("")];
            assert_eq!(feed(&mut connection, &bytes, cut), (events.to_vec(), None));
        }
    }
}

#[test]
fn a_server_that_requires_no_masks_takes_both_kinds() {
    for cut in CUTS {
        let mut config = Config::default();
        config.require_masks = false;
        let mut server = open_with(Role::Server, config);
        let bytes = [
            server_frame(0x01, b"pl"),
            client_frame(0x89, b"masked"),
            client_frame(0x80, b"ain"),
            server_frame(0x89, b"plain"),
            server_frame(0x88, b"\x03\xe8"),
        ]
        .concat();
        let events = [ping(b"masked"), text("plain"), ping(b"plain"), closed(1000, "")];
        assert_eq!(feed(&mut server, &bytes, cut), (events.to_vec(), None));
        assert_eq!(outbound(&mut server), b"\x8a\x05plain\x88\x02\x03\xe8", "of pongs, the newest");
    }
}

/// Limits that a small table can reach.
fn tight() -> Config {
    let mut config = Config::default();
    (config.limits.message, config.limits.frame, config.limits.fragments) = (1000, 600, 3);
    config
}

/// A fault of the peer's, the error it makes, and the code of the close frame that answers it.
struct Fault {
    bytes: Vec<u8>,
    error: ProtocolError,
    code: u16,
}

/// Every fault that frames to an end with this role can have.
fn faults(role: Role) -> Vec<Fault> {
    let mut faults = vec![];
    let mut add = |bytes: Vec<u8>, error, code| faults.push(Fault { bytes, error, code });
    let to = |frames: &[(u8, &[u8])]| frames_to(role, frames);

    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        add(to(&[(0x80 | opcode, b"")]), ReservedOpcode(opcode), 1002);
        add(to(&[(opcode, b"x")]), ReservedOpcode(opcode), 1002);
    }
    for bits in 1..8 {
        for opcode in [1, 2, 8, 9, 10] {
            add(to(&[(0x80 | bits << 4 | opcode, b"")]), ReservedBits(bits), 1002);
        }
        add(to(&[(0x01, b""), (0x80 | bits << 4, b"")]), ReservedBits(bits), 1002);
    }
    for opcode in [8, 9, 10] {
        add(to(&[(opcode, b"")]), FragmentedControl, 1002);
        add(to(&[(0x80 | opcode, &[0; 126])]), LongControl, 1002);
        add(header_to(role, 0x80 | opcode, 1 << 16), LongControl, 1002);
    }

    let masked = if role == Role::Server { 0x80 } else { 0 };
    let mut length = |form: u8, bytes: &[u8], error| {
        let key = key_to(role).map(Vec::from).unwrap_or_default();
        add([&[0x82, masked | form][..], bytes, &key].concat(), error, 1002);
    };
    length(126, &[0, 0], NonMinimalLength);
    length(126, &[0, 125], NonMinimalLength);
    length(127, &[0, 0, 0, 0, 0, 0, 0, 125], NonMinimalLength);
    length(127, &[0, 0, 0, 0, 0, 0, 0xFF, 0xFF], NonMinimalLength);
    length(127, &[0x80, 0, 0, 0, 0, 0, 0, 0], LengthTopBit);
    length(127, &[0xFF; 8], LengthTopBit);

    let wrong = if role == Role::Server { Unmasked } else { Masked };
    for first in [0x81, 0x82, 0x88, 0x89, 0x8A] {
        add(frame_to(peer_of(role), first, b""), wrong, 1002);
        add(frame_to(peer_of(role), first, b"\x03\xe8"), wrong, 1002);
    }

    add(to(&[(0x80, b"x")]), UnexpectedContinuation, 1002);
    add(to(&[(0x00, b"")]), UnexpectedContinuation, 1002);
    add(to(&[(0x01, b"x"), (0x80, b"y"), (0x80, b"z")]), UnexpectedContinuation, 1002);
    for first in [0x01, 0x02, 0x81, 0x82] {
        add(to(&[(0x01, b"x"), (first, b"y")]), InterleavedMessage, 1002);
        add(to(&[(0x02, b""), (0x89, b""), (first, b"")]), InterleavedMessage, 1002);
    }

    add(to(&[(0x81, b"a\xff")]), InvalidUtf8, 1007);
    add(to(&[(0x01, b"\xce"), (0x80, b"\x41")]), InvalidUtf8, 1007);
    add(to(&[(0x81, b"\xe2\x82")]), InvalidUtf8, 1007);
    add(to(&[(0x01, b"\xe2\x82"), (0x80, b"")]), InvalidUtf8, 1007);
    add(to(&[(0x88, b"\x03\xe8\xff")]), InvalidUtf8, 1007);
    add(to(&[(0x88, b"\x03\xe8\xc3")]), InvalidUtf8, 1007);

    add(header_to(role, 0x82, 601), FrameTooLong { len: 601, limit: 600 }, 1009);
    add(header_to(role, 0x82, u64::MAX >> 1), FrameTooLong { len: u32::MAX, limit: 600 }, 1009);
    add(
        [to(&[(0x02, &[0; 600])]), header_to(role, 0x80, 401)].concat(),
        MessageTooLong { len: 1001, limit: 1000 },
        1009,
    );
    add(to(&[(0x01, b""), (0x00, b""), (0x00, b""), (0x80, b"")]), TooManyFragments { limit: 3 }, 1008);

    add(to(&[(0x88, b"\x03")]), ShortClose, 1002);
    for code in [0_u16, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        add(to(&[(0x88, &code.to_be_bytes())]), CloseCode(code), 1002);
        add(to(&[(0x88, &[&code.to_be_bytes()[..], b"why"].concat())]), CloseCode(code), 1002);
    }
    faults
}

#[test]
fn every_fault_ends_the_connection_once_with_its_error_and_code() {
    for role in BOTH {
        for Fault { bytes, error, code } in faults(role) {
            for cut in CUTS {
                let mut connection = open_with(role, tight());
                let before = frame_to(role, 0x81, b"before");
                assert_eq!(feed(&mut connection, &before, cut), (vec![text("before")], None));

                let stream = [&bytes[..], &frames_to(role, &[(0x81, b"lost"), (0x89, b"lost"), (0x88, b"")])].concat();
                let (events, end) = feed(&mut connection, &stream, cut);
                assert_eq!(end, Some(error), "{bytes:x?} to a {role:?}");
                let lost = events.iter().any(|event| [text("lost"), ping(b"lost")].contains(event));
                assert!(!lost, "{events:?}");
                let sent = sent(&mut connection);
                let closes: Vec<_> = sent.iter().filter(|(first, _)| *first == 0x88).collect();
                assert_eq!(closes, [&close_frame(code)], "{error:?}");
                assert_eq!(sent.last(), Some(&close_frame(code)), "nothing goes behind it");
                assert_eq!(error.close_code(), Some(code.into()));
            }
        }
    }
}

#[test]
fn a_fault_in_a_header_is_found_at_the_byte_that_shows_it() {
    for role in BOTH {
        let whole = |bytes: &[u8]| bytes.len();
        let start = |_: &[u8]| 2;
        type At = fn(&[u8]) -> usize;
        let cases: [(Vec<u8>, ProtocolError, At); 5] = [
            (frame_to(role, 0x83, b""), ReservedOpcode(3), start),
            (frame_to(role, 0xC1, b""), ReservedBits(4), start),
            (frame_to(role, 0x80, b""), UnexpectedContinuation, start),
            (header_to(role, 0x89, 126), LongControl, start),
            (header_to(role, 0x82, 601), FrameTooLong { len: 601, limit: 600 }, whole),
        ];
        for (bytes, error, at) in cases {
            let (before, rest) = bytes.split_at(at(&bytes) - 1);
            let mut connection = open_with(role, tight());
            assert_eq!(feed(&mut connection, before, 1), (vec![], None));
            assert_eq!(feed(&mut connection, &rest[..1], 1), (vec![], Some(error)));
        }
    }
}

#[test]
fn a_failed_connection_stays_failed() {
    for role in BOTH {
        let mut connection = open(role);
        assert_eq!(feed(&mut connection, &frame_to(role, 0x83, b""), 1), (vec![], Some(ReservedOpcode(3))));
        assert_eq!(connection.state(), State::Closing);
        assert_eq!(connection.send_text("x"), Err(SendError::Closing));
        assert_eq!(connection.send_fragment(sockless::Kind::Binary, b"x", true), Err(SendError::Closing));
        assert_eq!(connection.ping(b"x"), Err(SendError::Closing));
        assert_eq!(connection.close(sockless::Code::NORMAL, ""), Err(SendError::Closing));

        let wants = connection.wants();
        assert_eq!((wants.write, wants.transport), (true, Transport::Open), "the close frame is to be written");
        assert_eq!(sent(&mut connection), [close_frame(1002)]);
        let wants = connection.wants();
        assert_eq!((wants.read, wants.write, wants.transport), (true, false, Transport::Shutdown));

        let more = frames_to(role, &[(0x81, b"lost"), (0x88, b"\x03\xe8"), (0x83, b"")]);
        for cut in CUTS {
            assert_eq!(feed(&mut connection, &more, cut), (vec![], None));
        }
        let mut more = more.clone();
        let mut input = &mut more[..];
        assert_eq!(connection.receive_piece(&mut input), Ok(None));
        assert!(input.is_empty());
        assert_eq!(connection.receive_tail(1), Ok(None));
        assert_eq!(connection.tail(), None);

        assert_eq!(connection.handle_timeout(Duration::from_secs(1)), Ok(None));
        assert_eq!(connection.receive_eof(), Ok(None), "the end was told");
        assert_eq!(connection.receive_eof(), Ok(None));
        assert_eq!((connection.state(), connection.wants().transport), (State::Closed, Transport::Close));
        assert_eq!(outbound(&mut connection), b"");
    }
}

#[test]
fn a_receiving_half_ends_by_itself() {
    for role in BOTH {
        for (end, result) in [(0x83, Err(ReservedOpcode(3))), (0x88, Ok(Some(closed(1005, ""))))] {
            let (_, mut receiver) = open(role).split().ok().unwrap();
            let mut bytes = frames_to(role, &[(end, b""), (0x81, b"lost"), (0x89, b"lost")]);
            let mut input = &mut bytes[..];
            assert_eq!(receiver.receive(&mut input), result);
            assert_eq!(receiver.receive(&mut input), Ok(None));
            assert!(input.is_empty());
            assert_eq!(receiver.receive(&mut &mut frame_to(role, 0x81, b"lost")[..]), Ok(None));
            assert_eq!(receiver.receive_eof(), Ok(()));
        }
    }
}

#[test]
fn frames_after_a_close_frame_are_discarded() {
    for role in BOTH {
        for lost in [(0x81, &b"lost"[..]), (0x01, b"lost"), (0x89, b"lost"), (0x88, b"\x03\xe8"), (0x83, b"")] {
            for cut in CUTS {
                let mut connection = open(role);
                let bytes = frames_to(role, &[(0x81, b"a"), (0x88, b"\x03\xe9gone"), lost, (0x82, b"b")]);
                assert_eq!(feed(&mut connection, &bytes, cut), (vec![text("a"), closed(1001, "gone")], None));
                assert_eq!(sent(&mut connection), [close_frame(1001)]);
                assert_eq!(connection.receive_eof(), Ok(None), "a clean end");
                assert_eq!(connection.wants().transport, Transport::Close);
            }
        }
    }
}

#[test]
fn every_form_of_close_frame_is_read_and_answered() {
    let reason = "\u{3ba}".repeat(61);
    let longest = [&b"\x0f\xa0"[..], reason.as_bytes(), b"x"].concat();
    let codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    for role in BOTH {
        for cut in CUTS {
            let mut connection = open(role);
            assert_eq!(feed(&mut connection, &frame_to(role, 0x88, b""), cut), (vec![closed(1005, "")], None));
            assert_eq!(sent(&mut connection), [(0x88, vec![])], "no code answers no code");

            let mut connection = open(role);
            let event = closed(4000, &(reason.clone() + "x"));
            assert_eq!(feed(&mut connection, &frame_to(role, 0x88, &longest), cut), (vec![event], None));
            assert_eq!(sent(&mut connection), [close_frame(4000)]);

            for code in codes {
                let mut connection = open(role);
                let bytes = frame_to(role, 0x88, &u16::to_be_bytes(code));
                assert_eq!(feed(&mut connection, &bytes, cut), (vec![closed(code, "")], None));
                assert_eq!(sent(&mut connection), [close_frame(code)]);
            }
        }
    }
}

#[test]
fn a_close_frame_may_come_inside_a_message() {
    for role in BOTH {
        for cut in CUTS {
            let mut connection = open(role);
            let bytes = frames_to(role, &[(0x01, b"half"), (0x88, b"\x03\xe8"), (0x80, b"")]);
            assert_eq!(feed(&mut connection, &bytes, cut), (vec![closed(1000, "")], None));
            assert_eq!(sent(&mut connection), [close_frame(1000)]);
        }
    }
}

#[test]
fn an_end_of_input_is_an_error_unless_the_connection_had_ended() {
    for role in BOTH {
        for bytes in [vec![], header_to(role, 0x82, 5), frame_to(role, 0x01, b"half"), frame_to(role, 0x81, b"whole")] {
            let mut connection = open(role);
            assert_eq!(feed(&mut connection, &bytes, 1).1, None);
            assert_eq!(connection.receive_eof(), Err(UnexpectedEof));
            assert_eq!(connection.receive_eof(), Ok(None), "told once");
            assert_eq!(outbound(&mut connection), b"", "nobody is left to read a close frame");
            assert_eq!((connection.state(), connection.wants().transport), (State::Closed, Transport::Close));
        }
    }
}

#[test]
fn a_fault_after_our_own_close_frame_is_not_answered_with_another() {
    for role in BOTH {
        let mut connection = open(role);
        connection.close(sockless::Code::AWAY, "bye").unwrap();
        let bytes = frames_to(role, &[(0x81, b"late"), (0x83, b"")]);
        assert_eq!(feed(&mut connection, &bytes, 1), (vec![text("late")], Some(ReservedOpcode(3))));
        assert_eq!(sent(&mut connection), [(0x88, b"\x03\xe9bye".to_vec())]);
    }
}

/// `framed` at run time, where it can be held against frames of any length.
#[test]
fn frames_made_at_compile_time_are_like_any_other() {
    fn check<const N: usize>(opcode: OpCode, len: usize) {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        assert_eq!(framed::<N>(opcode, &payload)[..], server_frame(0x80 | opcode as u8, &payload));
    }
    check::<2>(OpCode::Text, 0);
    check::<127>(OpCode::Ping, 125);
    check::<130>(OpCode::Binary, 126);
    check::<{ 0xFFFF + 4 }>(OpCode::Binary, 0xFFFF);
    check::<{ 0x1_0000 + 10 }>(OpCode::Text, 0x1_0000);
}

#[test]
#[should_panic = "N is not the length of the frame"]
fn a_frame_made_at_compile_time_has_the_length_of_its_payload() {
    framed::<9>(OpCode::Text, b"abc");
}

#[test]
#[should_panic = "control frame too long"]
fn a_control_frame_made_at_compile_time_is_short() {
    framed::<130>(OpCode::Ping, &[0; 126]);
}
