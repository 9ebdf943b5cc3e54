//! permessage-deflate (RFC 7692) through a connection: the RFC's own bytes, bounds, fragments, pieces and pools.
#![cfg(feature = "deflate")]

use bytes::Buf;
use sockless::{Config, Connection, Deflate, DeflateParams, Event, Negotiated, Role, Seed};

const PARAMS: DeflateParams =
    DeflateParams { window_bits: 15, peer_window_bits: 15, takeover: false, peer_takeover: false };

fn open(role: Role, takeover: bool) -> Connection {
    let params = DeflateParams { takeover, peer_takeover: takeover, ..PARAMS };
    let mut config = Config::default();
    config.deflate = Some(Deflate { threshold: 0, ..Deflate::default() });
    Connection::open(role, Negotiated::from(params), config, Seed::new([0; 16]))
}

fn receive(connection: &mut Connection, bytes: &[u8]) -> Vec<Event<'static>> {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    let mut events = Vec::new();
    while let Some(event) = connection.receive(&mut input).unwrap() {
        events.push(event.into_owned());
    }
    events
}

#[test]
fn samples_of_the_rfc() {
    let hello = [Event::Text("Hello".into())];
    // §7.2.3.1, in one frame and in two
    assert_eq!(receive(&mut open(Role::Client, false), b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"), hello);
    assert_eq!(receive(&mut open(Role::Client, false), b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00"), hello);
    // §7.2.3.2: the second message refers to the first
    let mut connection = open(Role::Client, true);
    assert_eq!(receive(&mut connection, b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"), hello);
    assert_eq!(receive(&mut connection, b"\xc1\x05\xf2\x00\x11\x00\x00"), hello);
    // §7.2.3.3: a block that is not compressed
    assert_eq!(receive(&mut open(Role::Client, false), b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), hello);
    // §7.2.3.4: a block that says it is the last
    assert_eq!(receive(&mut open(Role::Client, false), b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), hello);
    // §7.2.3.5: two blocks
    assert_eq!(
        receive(&mut open(Role::Client, false), b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
        hello
    );
}

#[test]
fn what_goes_out_comes_in() {
    for takeover in [false, true] {
        let (mut server, mut client) = (open(Role::Server, takeover), open(Role::Client, takeover));
        for round in 0..4 {
            let text = "the same again, ".repeat(round * 700);
            server.send_text(&text).unwrap();
            let mut outbound = server.outbound();
            let wire = outbound.copy_to_bytes(outbound.remaining());
            assert!(round == 0 || wire.len() < text.len() / 20, "{} of {}", wire.len(), text.len());
            assert_eq!(receive(&mut client, &wire), [Event::Text(text.into())]);
        }
    }
}
