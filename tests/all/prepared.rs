//! Messages framed once: at run time or while compiling, for any number of connections.

use crate::common::*;
use bytes::Buf;
use sockless::{Connection, Event, Kind, Prepared, Role, binary_frame, text_frame};

const LONG_TEXT: &str = match str::from_utf8(&[b'x'; 70_000]) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};
const HELLO: Prepared = Prepared::from_static(text_frame!("Hello"));
const MOVES: Prepared = Prepared::from_static(binary_frame!(&[7; 300]));

/// The address of the next bytes to go out.
fn place(connection: &mut Connection) -> usize {
    connection.outbound().chunk().as_ptr().addr()
}

fn arrived(connection: &mut Connection) -> Vec<Event<'static>> {
    let bytes = outbound(connection);
    let (events, error) = feed(&mut open(peer_of(connection.role())), &bytes, usize::MAX);
    assert_eq!(error, None);
    events
}

#[test]
fn a_server_sends_the_frame_as_it_was_made() {
    for len in [0, 5, 125, 126, 253, 254, 65_535, 65_536] {
        let payload = vec![b'x'; len];
        for (message, kind, first) in [
            (Prepared::text(str::from_utf8(&payload).unwrap()), Kind::Text, 0x81),
            (Prepared::binary(&payload), Kind::Binary, 0x82),
        ] {
            assert_eq!((message.kind(), message.payload()), (kind, &payload[..]));
            let mut server = open(Role::Server);
            server.send_prepared(&message).unwrap();
            assert_eq!(outbound(&mut server), server_frame(first, &payload));
            assert_eq!(server.counters().sent.frames, 1);
        }
    }
}

#[test]
fn a_client_masks_a_copy_with_a_key_of_its_own() {
    let message = Prepared::text(LONG_TEXT);
    let mut client = open(Role::Client);
    client.send_prepared(&message).unwrap();
    let first = outbound(&mut client);
    client.send_prepared(&message).unwrap();
    let second = outbound(&mut client);
    assert_ne!(first, second);
    for bytes in [first, second] {
        assert_ne!(bytes[10..14], [0; 4], "there is a key");
        assert_eq!(unframe(&bytes), [(0x81, LONG_TEXT.as_bytes().to_vec())]);
    }
    assert_eq!(message.payload(), LONG_TEXT.as_bytes(), "the message itself is not masked");
}

#[test]
fn many_servers_send_one_allocation() {
    let message = Prepared::binary(&[7; 1000]);
    let mut servers: Vec<Connection> = (0..100).map(|_| open(Role::Server)).collect();
    for server in &mut servers {
        server.send_prepared(&message.clone()).unwrap();
    }
    let places: Vec<usize> = servers.iter_mut().map(place).collect();
    // It is the message's own: four bytes of header are before its payload.
    assert_eq!(places, [message.payload().as_ptr().addr() - 4; 100]);
    drop(message);
    for server in &mut servers {
        assert_eq!(arrived(server), [Event::Binary(vec![7; 1000].into())]);
    }
}

#[test]
fn a_short_message_is_copied_where_it_makes_one_chunk_with_others() {
    let mut server = open(Role::Server);
    server.send_text("a").unwrap();
    server.send_prepared(&HELLO).unwrap();
    server.send_text("b").unwrap();
    assert_eq!(server.outbound().chunk(), b"\x81\x01a\x81\x05Hello\x81\x01b");
}

#[test]
fn messages_framed_while_compiling_lie_in_the_program() {
    assert_eq!((HELLO.kind(), HELLO.payload()), (Kind::Text, &b"Hello"[..]));
    assert_eq!((MOVES.kind(), MOVES.payload()), (Kind::Binary, &[7; 300][..]));
    let mut server = open(Role::Server);
    server.send_prepared(&MOVES).unwrap();
    assert_eq!(place(&mut server), MOVES.payload().as_ptr().addr() - 4);
    assert_eq!(outbound(&mut server), server_frame(0x82, &[7; 300]));
    let mut client = open(Role::Client);
    client.send_prepared(&HELLO).unwrap();
    client.send_prepared(&MOVES).unwrap();
    assert_eq!(arrived(&mut client), [Event::Text("Hello".into()), Event::Binary(vec![7; 300].into())]);
}

#[test]
fn frames_of_every_length_form_can_be_made_while_compiling() {
    assert_eq!(text_frame!(""), server_frame(0x81, b""));
    assert_eq!(binary_frame!(&[1; 125]), server_frame(0x82, &[1; 125]));
    assert_eq!(binary_frame!(&[1; 126]), server_frame(0x82, &[1; 126]));
    assert_eq!(binary_frame!(&[1; 65_535]), server_frame(0x82, &[1; 65_535]));
    const LONG: Prepared = Prepared::from_static(text_frame!(LONG_TEXT));
    assert_eq!(LONG.payload(), LONG_TEXT.as_bytes());
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no panic is caught there")]
fn only_one_whole_unmasked_message_is_a_static_frame() {
    let bad: [(&str, &'static [u8]); 14] = [
        ("nothing", b""),
        ("half a header", b"\x81"),
        ("half a length", b"\x82\x7e\x01"),
        ("too few bytes", b"\x81\x05Hell"),
        ("too many bytes", b"\x81\x05Hello!"),
        ("two frames", b"\x81\x01a\x81\x01b"),
        ("a first fragment", b"\x01\x01a"),
        ("a last fragment", b"\x80\x01a"),
        ("a reserved bit", b"\xc1\x01a"),
        ("a ping", b"\x89\x01a"),
        ("a close frame", b"\x88\x00"),
        ("a masked frame", b"\x81\x81\0\0\0\0a"),
        ("a length in too long a form", b"\x82\x7e\x00\x01a"),
        ("the same, in the longest", b"\x82\x7f\0\0\0\0\0\0\0\x01a"),
    ];
    for (what, frame) in bad {
        let result = std::panic::catch_unwind(|| Prepared::from_static(frame));
        assert!(result.is_err(), "{what} is taken");
    }
}
