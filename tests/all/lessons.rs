//! What has been published against other implementations, each as a test of ours. Those of memory, deadlines, masks and
//! compression bombs have files of their own: hostile.rs, memory.rs, timers.rs, masks.rs, deflate_memory.rs.
//!
//! Linear time is shown by sizes at which any other would not end.

use crate::common::heap;
use crate::common::*;
use bytes::Buf;
use sockless::handshake::{SubprotocolPolicy, accept_key, extension};
use sockless::{
    ClientRequest, Config, Connection, Event, HandshakeError, Limits, Origins, ProtocolError, Role, State, Transport,
};

/// Bytes of head: what takes quadratic time takes hours.
const LONG: usize = 1 << 20;

fn patient() -> Config {
    let limits = Limits { head: 2 * LONG, ..Limits::default() };
    Config { limits, origins: Origins::Any, ..Config::default() }
}

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The sample request with more fields.
fn request_with(fields: &[u8]) -> Vec<u8> {
    let head = REQUEST.strip_suffix("\r\n").unwrap().as_bytes();
    [head, fields, b"\r\n"].concat()
}

/// What becomes of a request that the caller accepts.
fn asked(config: Config, request: &[u8], cut: usize) -> Result<State, ProtocolError> {
    let mut server = Connection::server(config);
    let mut bytes = request.to_vec();
    for part in bytes.chunks_mut(cut) {
        let mut input = part;
        while let Some(event) = server.receive(&mut input)? {
            let Event::Request(request) = event else { panic!("{event:?}") };
            server.accept(request.accept()).unwrap();
        }
    }
    server.receive(&mut &mut [][..]).map(|_| server.state())
}

/// A request is refused with this error, however it is cut.
fn refused(request: &[u8], error: HandshakeError) {
    for cut in [1, 7, usize::MAX] {
        let text = String::from_utf8_lossy(request);
        assert_eq!(asked(patient(), request, cut), Err(error.into()), "{}", &text[..text.len().min(500)]);
    }
}

/// What a client makes of a response, in which `ACCEPT` stands for the right answer to its key.
fn answered(config: Config, response: &str) -> Result<State, ProtocolError> {
    let mut client = Connection::client(&ClientRequest::new("ws://a/").unwrap(), config, SEED).unwrap();
    let head = outbound(&mut client);
    let head = str::from_utf8(&head).unwrap();
    let (_, key) = head.split_once("Sec-WebSocket-Key: ").unwrap();
    let accept = accept_key(key.as_bytes().first_chunk().unwrap());
    let mut bytes = response.replace("ACCEPT", str::from_utf8(&accept).unwrap()).into_bytes();
    client.receive(&mut &mut bytes[..])?;
    Ok(client.state())
}

const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: ACCEPT\r\n\r\n";

// ---- heads

/// ws, CVE-2021-32640.
#[test]
fn a_list_of_subprotocols_full_of_spaces_takes_linear_time() {
    for list in ["b", "b,"].map(|part| part.to_owned() + &" ".repeat(LONG) + "x") {
        let request = request_with(format!("Sec-WebSocket-Protocol: {list}\r\n").as_bytes());
        let expected = if list.contains(',') { Ok(State::Open) } else { Err(HandshakeError::Subprotocol.into()) };
        assert_eq!(asked(patient(), &request, usize::MAX), expected);
    }
    let many = "a,".repeat(LONG / 2);
    let request = request_with(format!("Sec-WebSocket-Protocol: {many}b\r\n").as_bytes());
    let mut server = Connection::server(patient());
    let mut request = request;
    let mut input = &mut request[..];
    let Some(Event::Request(request)) = server.receive(&mut input).unwrap() else { panic!("a request") };
    assert_eq!(request.select_subprotocol(&["c", "b"], SubprotocolPolicy::Browser).ok(), Some(Some("b")));
}

/// websocket-extensions for Ruby and Node.js, CVE-2020-7662 and CVE-2020-7663.
#[test]
fn a_quoted_string_that_does_not_end_takes_linear_time() {
    for value in [
        "a; b=\"".to_owned() + &"\\a".repeat(LONG / 2),
        "a; b=\"".to_owned() + &"\\\"".repeat(LONG / 2),
        "a; b=".to_owned() + &"\" ".repeat(LONG / 2),
        "a".to_owned() + &";a".repeat(LONG / 2) + ";",
        ",;".repeat(LONG / 2),
    ] {
        assert!(extension::parse(&value).any(|extension| extension.is_err()), "{}", &value[..20]);
        let request = request_with(format!("Sec-WebSocket-Extensions: {value}\r\n").as_bytes());
        assert_eq!(asked(patient(), &request, usize::MAX), Err(HandshakeError::Extensions.into()), "{}", &value[..20]);
    }
}

/// ws, NSP advisory 550: names that the language knew already.
#[test]
fn extensions_of_any_name_are_declined() {
    for name in ["constructor", "__proto__", "toString", "hasOwnProperty; valueOf=1", "permessage-deflatee"] {
        let request = request_with(format!("Sec-WebSocket-Extensions: {name}\r\n").as_bytes());
        assert_eq!(asked(patient(), &request, usize::MAX), Ok(State::Open), "{name}");
    }
    refused(&request_with(b"Sec-WebSocket-Extensions: ,;constructor\r\n"), HandshakeError::Extensions);
}

/// ws, CVE-2024-37890.
#[test]
fn more_fields_than_allowed_are_refused() {
    let names = (0..2000).map(|n| format!("!{n}: x\r\n"));
    refused(&request_with(String::from_iter(names).as_bytes()), HandshakeError::TooManyFields { limit: 100 });
}

/// Granian: bytes beyond ASCII where a subprotocol is expected ended its process.
#[test]
fn a_subprotocol_that_is_not_ascii_is_refused() {
    for name in [&b"ch\xe4t"[..], b"ch\xc3\xa4t", b"\xff", b"chat, \xf0\x9d\x84\x9e"] {
        refused(&request_with(&[b"Sec-WebSocket-Protocol: ", name, b"\r\n"].concat()), HandshakeError::Subprotocol);
    }
}

/// llhttp, CVE-2024-27982: what one reader takes for one field is two to another.
#[test]
fn lines_that_two_readers_may_see_differently_are_refused() {
    for fields in [
        "A: b\r\n c: d\r\n",                // obs-fold
        "A: b\r\n\tc: d\r\n",               // the same with a tab
        " A: b\r\n",                        // a fold of the line before
        "A: b\nC: d\r\n",                   // a bare LF
        "A: b\rC: d\r\n",                   // a bare CR
        "A: b\0c\r\n",                      // NUL
        "A : b\r\n",                        // a space before the colon
        "A\r\n",                            // no colon
        ": b\r\n",                          // no name
        "A\u{b5}: b\r\n",                   // a name that is no token
        "A: b\r\n\nUpgrade: websocket\r\n", // an empty line for some
        "A: b\u{7f}\r\n",                   // DEL
        "A: b\u{8}\r\n",                    // another control character
    ] {
        refused(&request_with(fields.as_bytes()), HandshakeError::Malformed);
        let response = RESPONSE.replace("\r\n\r\n", &format!("\r\n{fields}\r\n"));
        assert_eq!(answered(patient(), &response), Err(HandshakeError::Malformed.into()), "{fields:?}");
    }
}

/// A proxy may take the first of two fields, and a server the last.
#[test]
fn fields_that_there_must_be_one_of_are_refused_in_twos() {
    refused(&request_with(b"Host: other\r\n"), HandshakeError::Host);
    refused(&request_with(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), HandshakeError::Key);
    refused(&request_with(b"Sec-WebSocket-Version: 13\r\n"), HandshakeError::Version);
    refused(&request_with(b"Sec-WebSocket-Version: 8\r\n"), HandshakeError::Version);
    let twice = RESPONSE.replace("\r\n\r\n", "\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n");
    assert_eq!(answered(patient(), &twice), Err(HandshakeError::Accept.into()));
}

/// OpenSIPS: a key of any length went into a buffer of its own.
#[test]
fn a_key_is_24_characters_that_are_16_bytes() {
    for key in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ==AAAA", "dGhlIHNhbXBsZSBub25jZR=="] {
        let request = REQUEST.replace("dGhlIHNhbXBsZSBub25jZQ==", key);
        refused(request.as_bytes(), HandshakeError::Key);
    }
    let long = REQUEST.replace("dGhlIHNhbXBsZSBub25jZQ==", &"A".repeat(LONG));
    assert_eq!(asked(patient(), long.as_bytes(), usize::MAX), Err(HandshakeError::Key.into()));
}

/// tungstenite, CVE-2023-43669: a head that never ended was read again from its start with each part.
#[test]
fn a_head_that_does_not_end_is_looked_at_once() {
    let mut server = Connection::server(patient());
    let head = [REQUEST.strip_suffix("\r\n").unwrap().as_bytes(), b"A: ", &vec![b'b'; LONG]].concat();
    let (events, error) = feed(&mut server, &head, 1);
    assert_eq!((events, error), (vec![], None));
    let (events, error) = feed(&mut server, &vec![b'b'; LONG], 1);
    assert_eq!((events, error), (vec![], Some(HandshakeError::HeadTooLong { limit: 2 * LONG as u32 }.into())));
}

/// A server that never stops saying 100 Continue.
#[test]
fn interim_responses_without_end_are_refused() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let few = interim.repeat(10) + RESPONSE;
    assert_eq!(answered(Config::default(), &few), Ok(State::Open));
    let many = interim.repeat(Limits::HEAD / interim.len() + 1) + RESPONSE;
    assert_eq!(
        answered(Config::default(), &many),
        Err(HandshakeError::HeadTooLong { limit: Limits::HEAD as u32 }.into())
    );
}

// ---- lengths

/// gorilla CVE-2020-27813, nats-server, noPoll, Tomcat CVE-2020-13935, golang.org/x/net: a length with its top bit set.
#[test]
fn a_length_with_its_top_bit_set_is_refused() {
    for role in BOTH {
        for length in [1 << 63, u64::MAX, u64::MAX - 3, (1 << 63) | 5, u64::MAX - 13] {
            for first in [0x81, 0x82, 0x02] {
                for cut in [1, usize::MAX] {
                    let bytes = [header_to(role, first, length), vec![0; 100]].concat();
                    let (events, error) = feed(&mut open(role), &bytes, cut);
                    assert_eq!((events, error), (vec![], Some(ProtocolError::LengthTopBit)));
                }
            }
        }
    }
}

/// reSIProcate: the sum of two lengths wrapped, and passed the limit.
#[test]
fn lengths_of_fragments_do_not_wrap() {
    for role in BOTH {
        let most = u64::MAX >> 1;
        // Where any length is allowed, the sum is still longer than a buffer can be.
        let mut config = Config::default();
        config.limits.message = usize::MAX;
        let mut end = open_with(role, config);
        assert_eq!(feed(&mut end, &frame_to(role, 0x02, b"abc"), usize::MAX), (vec![], None));
        let (result, used) = heap::used(|| feed(&mut end, &header_to(role, 0x00, most), 1));
        let len = u32::MAX;
        assert_eq!(result, (vec![], Some(ProtocolError::MessageTooLong { len, limit: u32::MAX })));
        assert!(used.peak < 1024, "{used:?}");
        let mut end = open(role);
        let bytes = [frame_to(role, 0x02, b"abc"), header_to(role, 0x00, most)].concat();
        assert_eq!(
            feed(&mut end, &bytes, 1),
            (vec![], Some(ProtocolError::MessageTooLong { len, limit: Limits::MESSAGE as u32 }))
        );
    }
}

/// fastws: a close frame of one byte made a length of -1; wsServer: one of 125 bytes wrote behind its buffer.
#[test]
fn control_frames_of_every_length_are_read() {
    for role in BOTH {
        for cut in [1, 3, usize::MAX] {
            for len in 0..=125 {
                let payload = vec![b'a'; len];
                let (events, error) = feed(&mut open(role), &frame_to(role, 0x89, &payload), cut);
                assert_eq!((events, error), (vec![ping(&payload)], None));
                let close = [&1000_u16.to_be_bytes()[..], &payload].concat();
                let close = &close[..len];
                let (events, error) = feed(&mut open(role), &frame_to(role, 0x88, close), cut);
                match len {
                    0 => assert_eq!((events, error), (vec![closed(1005, "")], None)),
                    1 => assert_eq!((events, error), (vec![], Some(ProtocolError::ShortClose))),
                    _ => assert_eq!((events, error), (vec![closed(1000, &"a".repeat(len - 2))], None)),
                }
            }
        }
    }
}

// ---- faults

/// facil.io: an unmasked message reached the handler before the connection ended.
#[test]
fn nothing_of_a_faulty_frame_is_handed_out() {
    for role in BOTH {
        let wrong = frame(0x81, key_to(peer_of(role)), b"obey");
        let error = if role == Role::Server { ProtocolError::Unmasked } else { ProtocolError::Masked };
        for (bytes, error) in [
            (wrong, error),
            (frame_to(role, 0xA1, b"obey"), ProtocolError::ReservedBits(2)),
            (frame_to(role, 0xC1, b"obey"), ProtocolError::ReservedBits(4)),
            (frame_to(role, 0x80, b"obey"), ProtocolError::UnexpectedContinuation),
            (frame_to(role, 0x83, b"obey"), ProtocolError::ReservedOpcode(3)),
            (frame_to(role, 0x09, b"obey"), ProtocolError::FragmentedControl),
        ] {
            for cut in [1, usize::MAX] {
                assert_eq!(feed(&mut open(role), &bytes, cut), (vec![], Some(error)));
                let mut end = open(role);
                let mut bytes = bytes.clone();
                let result = bytes.chunks_mut(cut).find_map(|part| end.receive_piece(&mut &mut *part).transpose());
                assert_eq!(result, Some(Err(error)));
            }
        }
    }
}

/// gorilla: reading on after an error ended the process at the thousandth time.
#[test]
fn whoever_reads_on_after_the_end_is_told_nothing_more() {
    for role in BOTH {
        let mut end = open(role);
        assert_eq!(feed(&mut end, &frame_to(role, 0x83, b""), 1).1, Some(ProtocolError::ReservedOpcode(3)));
        for _ in 0..10_000 {
            assert_eq!(feed(&mut end, &frame_to(role, 0x81, b"more"), usize::MAX), (vec![], None));
            assert_eq!(end.receive_eof(), Ok(None));
        }
        assert_eq!(sent(&mut end), [close_frame(1002)]);
        assert_eq!(end.wants().transport, Transport::Close);
    }
}

/// Drivers that stop writing when there is no more to read lose the answer.
#[test]
fn a_peer_that_shuts_its_writing_side_still_gets_its_answer() {
    for role in BOTH {
        let mut end = open(role);
        let bytes = [frame_to(role, 0x81, b"question"), frame_to(role, 0x88, b"\x03\xe8")].concat();
        let mut input = bytes;
        let mut input = &mut input[..];
        assert!(matches!(end.receive(&mut input), Ok(Some(Event::Text(_)))));
        end.send_text("answer").unwrap();
        assert!(matches!(end.receive(&mut input), Ok(Some(Event::Close(_)))));
        assert_eq!(end.receive_eof(), Ok(None));
        assert!(end.wants().write && end.wants().transport == Transport::Open);
        assert_eq!(sent(&mut end), [(0x81, b"answer".to_vec()), close_frame(1000)]);
        assert_eq!(end.wants().transport, Transport::Close);

        // The same where it has not closed.
        let mut end = open(role);
        feed(&mut end, &frame_to(role, 0x81, b"question"), usize::MAX);
        end.send_text("answer").unwrap();
        assert_eq!(end.receive_eof(), Err(ProtocolError::UnexpectedEof));
        assert!(end.wants().write && end.wants().transport == Transport::Open);
        assert_eq!(end.outbound().remaining(), end.counters().queued);
        assert_eq!(sent(&mut end)[0], (0x81, b"answer".to_vec()));
        assert_eq!(end.wants().transport, Transport::Close);
    }
}

// ---- messages

/// ws, CVE-2026-48779, and Java-WebSocket: each fragment of a byte was held on its own, and a message that never ended for
/// ever.
#[test]
fn fragments_of_a_byte_that_never_end_hold_little_more_than_their_bytes() {
    for role in BOTH {
        let mut end = open(role);
        let mut bytes = frame_to(role, 0x01, b"a");
        bytes.extend(frame_to(role, 0x00, b"b").repeat(Limits::FRAGMENTS as usize - 1));
        let (error, used) = heap::used(|| {
            let mut error = None;
            for part in bytes.chunks_mut(1000) {
                let mut input = part;
                error = error.or(end.receive(&mut input).err());
            }
            error
        });
        assert_eq!(error, None);
        assert!(used.peak <= 4 * Limits::FRAGMENTS as isize, "{used:?}");
        let (events, error) = feed(&mut end, &frame_to(role, 0x00, b"b"), 1);
        assert_eq!((events, error), (vec![], Some(ProtocolError::TooManyFragments { limit: Limits::FRAGMENTS })));
    }
}

/// embedded-websocket: a control frame between fragments became part of the message.
#[test]
fn a_control_frame_is_no_part_of_the_message_around_it() {
    for role in BOTH {
        let frames: &[(u8, &[u8])] = &[(0x01, b"hello"), (0x89, b" "), (0x8A, b"x"), (0x80, b"world")];
        let expected = vec![ping(b" "), pong(b"x"), text("helloworld")];
        for cut in [1, 2, 5, usize::MAX] {
            assert_eq!(feed(&mut open(role), &frames_to(role, frames), cut), (expected.clone(), None));
        }
    }
}

// ---- compression

#[cfg(feature = "deflate")]
mod compression {
    use super::*;
    use sockless::{Deflate, DeflateParameter, DeflateParams, Negotiated};

    fn compressed(role: Role) -> Connection {
        let params = DeflateParams { window_bits: 15, peer_window_bits: 15, takeover: true, peer_takeover: true };
        Connection::open(role, Negotiated::try_from(params).unwrap(), Config::default(), SEED)
    }

    /// uWebSockets: the tail that every message wants was written over the frame behind it.
    #[test]
    fn what_lies_behind_a_compressed_message_stays_as_it_is() {
        for role in BOTH {
            let hello: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
            let mut bytes = frames_to(role, &[(0xC1, hello), (0x82, b"\xff\xff\xff\xff"), (0xC1, hello)]);
            let behind = bytes.split_off(frame_to(role, 0xC1, hello).len());
            let mut whole = [&bytes[..], &behind].concat();
            let mut input = &mut whole[..];
            let mut end = compressed(role);
            assert_eq!(end.receive(&mut input).unwrap().map(Event::into_owned), Some(text("Hello")));
            assert_eq!(input, &behind[..]);
            let (events, error) = feed(&mut end, &behind, usize::MAX);
            assert_eq!((events, error), (vec![binary(b"\xff\xff\xff\xff"), text("Hello")], None));
        }
    }

    /// undici: a window out of range ended the process at the first compressed message.
    #[test]
    fn windows_out_of_range_are_refused_in_the_handshake() {
        let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
        for value in ["0", "7", "16", "1000", "99999999999999999999", "-9", "+9", "09", "0x9", "9.0", "", " ", "\"\""] {
            for name in [DeflateParameter::ServerMaxWindowBits, DeflateParameter::ClientMaxWindowBits] {
                let field = format!("\r\nSec-WebSocket-Extensions: permessage-deflate; {name}={value}\r\n\r\n");
                let response = RESPONSE.replace("\r\n\r\n", &field);
                // What is no value by the grammar is not told from other nonsense.
                let error = match value.trim_matches([' ', '"']) {
                    "" => HandshakeError::Extensions,
                    _ => HandshakeError::Parameter(name),
                };
                assert_eq!(answered(config.clone(), &response), Err(error.into()), "{field}");
            }
        }
    }

    /// A server declines such an offer, and goes on without compression, unless it is none by its grammar.
    #[test]
    fn windows_out_of_range_are_declined_by_a_server() {
        let config = Config { deflate: Some(Deflate::default()), origins: Origins::Any, ..Config::default() };
        for value in ["0", "7", "16", "99999999999999999999", "-9", "09"] {
            for name in ["server_max_window_bits", "client_max_window_bits"] {
                let field = format!("Sec-WebSocket-Extensions: permessage-deflate; {name}={value}\r\n");
                let mut server = Connection::server(config.clone());
                let mut request = request_with(field.as_bytes());
                let mut input = &mut request[..];
                let Some(Event::Request(request)) = server.receive(&mut input).unwrap() else { panic!("a request") };
                server.accept(request.accept()).unwrap();
                assert_eq!(server.negotiated(), Negotiated::default(), "{field}");
            }
        }
    }
}
