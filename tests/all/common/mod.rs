//! What the tests share: frames by an encoder of their own, and connections driven without a transport.

pub(crate) mod budget;
#[cfg(feature = "deflate")]
pub(crate) mod compressed;
pub(crate) mod heap;
pub(crate) mod random;

use bytes::Buf;
use sockless::{Close, Config, Connection, Event, Negotiated, ProtocolError, Role, Seed};
use sockless_test_support::watch;

/// The masking key of RFC 6455 §5.7.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Where the masking keys of tested clients come from.
pub(crate) const SEED: Seed = Seed::new([0x5A; 16]);

pub(crate) const BOTH: [Role; 2] = [Role::Server, Role::Client];

/// The second byte of a header and what follows it, up to the payload.
pub(crate) fn length_and_key(length: u64, key: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = match length {
        0..126 => vec![masked | length as u8],
        126..=0xFFFF => [&[masked | 126][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[masked | 127][..], &length.to_be_bytes()].concat(),
    };
    bytes.extend(key.into_iter().flatten());
    bytes
}

/// A frame whose first byte holds FIN, the reserved bits and the opcode, as in `0x81` for a whole text.
pub(crate) fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(length_and_key(payload.len() as u64, key));
    let mask = key.unwrap_or_default().into_iter().cycle();
    bytes.extend(payload.iter().zip(mask).map(|(byte, key)| byte ^ key));
    bytes
}

/// A frame as a client sends it.
pub(crate) fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, Some(KEY), payload)
}

/// A frame as a server sends it.
pub(crate) fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, None, payload)
}

/// The masking key of the frames that an end with this role receives.
pub(crate) fn key_to(role: Role) -> Option<[u8; 4]> {
    (role == Role::Server).then_some(KEY)
}

/// A frame as the peer of an end with this role sends it.
pub(crate) fn frame_to(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, key_to(role), payload)
}

/// The same for many frames, one after the other.
pub(crate) fn frames_to(role: Role, frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| frame_to(role, *first, payload)).collect()
}

/// The header of a frame to an end with this role, which announces `length` bytes of payload.
pub(crate) fn header_to(role: Role, first: u8, length: u64) -> Vec<u8> {
    [vec![first], length_and_key(length, key_to(role))].concat()
}

/// The frames in `bytes`, each by its first byte and its payload, unmasked; they must be whole.
pub(crate) fn unframe(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = vec![];
    while !bytes.is_empty() {
        let first = bytes.get_u8();
        let second = bytes.get_u8();
        let length = match second & 0x7F {
            126 => bytes.get_u16() as usize,
            127 => bytes.get_u64() as usize,
            short => usize::from(short),
        };
        let key = if second & 0x80 == 0 { [0; 4] } else { bytes.get_u32().to_be_bytes() };
        let payload = bytes[..length].iter().zip(key.into_iter().cycle()).map(|(byte, key)| byte ^ key);
        frames.push((first, payload.collect()));
        bytes.advance(length);
    }
    frames
}

/// An open connection.
#[track_caller]
pub(crate) fn open(role: Role) -> Connection {
    open_with(role, Config::default())
}

/// An open connection with settings of its own.
#[track_caller]
pub(crate) fn open_with(role: Role, config: Config) -> Connection {
    watch();
    Connection::open(role, Negotiated::default(), config, SEED)
}

/// The other role.
pub(crate) fn peer_of(role: Role) -> Role {
    match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    }
}

/// All that `bytes` make, which come `cut` at a time: the events, and the error behind them.
///
/// Input goes on behind the end of the connection, where nothing may follow.
#[track_caller]
pub(crate) fn feed(
    connection: &mut Connection,
    bytes: &[u8],
    cut: usize,
) -> (Vec<Event<'static>>, Option<ProtocolError>) {
    feed_parts(connection, bytes.chunks(cut))
}

/// The same for parts of any lengths.
#[track_caller]
pub(crate) fn feed_parts<'p>(
    connection: &mut Connection,
    parts: impl IntoIterator<Item = &'p [u8]>,
) -> (Vec<Event<'static>>, Option<ProtocolError>) {
    watch();
    let mut events = vec![];
    let mut end = None;
    for part in parts {
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        loop {
            match connection.receive(&mut input) {
                Ok(None) => break,
                result if end.is_some() => panic!("{result:?} behind {end:?}"),
                Ok(Some(event)) => events.push(event.into_owned()),
                Err(error) => end = Some(error),
            }
        }
        assert!(input.is_empty(), "all input is taken");
    }
    (events, end)
}

/// All that waits to go out; it has gone out then.
#[track_caller]
pub(crate) fn outbound(connection: &mut Connection) -> Vec<u8> {
    watch();
    let mut outgoing = connection.outbound();
    let len = outgoing.remaining();
    outgoing.copy_to_bytes(len).to_vec()
}

/// The frames that wait to go out, each by its first byte and its payload; they have gone out then.
pub(crate) fn sent(connection: &mut Connection) -> Vec<(u8, Vec<u8>)> {
    let bytes = outbound(connection);
    let frames = unframe(&bytes);
    let masked = if connection.role() == Role::Client { 4 } else { 0 };
    let len: usize = frames.iter().map(|(_, payload)| sockless::frame::framed_len(payload.len()) + masked).sum();
    assert_eq!(len, bytes.len(), "a client masks its frames, and a server doesn't");
    frames
}

/// A close frame with this code, as [`sent`] tells it.
pub(crate) fn close_frame(code: u16) -> (u8, Vec<u8>) {
    (0x88, code.to_be_bytes().to_vec())
}

/// A text event.
pub(crate) fn text(text: &str) -> Event<'static> {
    Event::Text(text.to_owned().into())
}

/// A binary event.
pub(crate) fn binary(bytes: &[u8]) -> Event<'static> {
    Event::Binary(bytes.to_vec().into())
}

/// A ping event.
pub(crate) fn ping(payload: &[u8]) -> Event<'static> {
    Event::Ping(payload.to_vec().into())
}

/// A pong event.
pub(crate) fn pong(payload: &[u8]) -> Event<'static> {
    Event::Pong(payload.to_vec().into())
}

/// A close event.
pub(crate) fn closed(code: u16, reason: &str) -> Event<'static> {
    Event::Close(Close { code: code.into(), reason: reason.to_owned().into() })
}
