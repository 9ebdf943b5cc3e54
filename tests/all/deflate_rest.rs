//! What a connection with context takeover holds while nothing is compressed, and that nothing is lost by it.

use crate::common::heap::used;
use crate::common::random::Random;
use crate::common::*;
use sockless::driver::{Driver, Reading, Storage};
use sockless::{
    ClientRequest, Config, Connection, Deflate, DeflateParams, Event, Kind, Negotiated, Pool, RelayError, Role,
    SendError,
};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// The settings of connections that hold all codecs themselves.
fn config(bits: u8) -> Arc<Config> {
    let deflate = Deflate {
        window_bits: bits,
        peer_window_bits: bits,
        takeover: true,
        peer_takeover: true,
        threshold: 0,
        pool: Pool::new(0),
        ..Deflate::default()
    };
    Arc::new(Config { deflate: Some(deflate), ..Config::default() })
}

fn open_with_window(role: Role, bits: u8, config: &Arc<Config>) -> Connection {
    let params = DeflateParams { window_bits: bits, peer_window_bits: bits, takeover: true, peer_takeover: true };
    Connection::open(role, Negotiated::try_from(params).unwrap(), config.clone(), SEED)
}

fn pair(bits: u8) -> [Connection; 2] {
    let config = config(bits);
    [Role::Client, Role::Server].map(|role| open_with_window(role, bits, &config))
}

/// Noise of sixteen letters: a codec halves it, and finds little of it twice.
fn letters(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..len).map(|_| b'a' + random.below(16) as u8).collect()
}

/// Sends a message from one to the other; bytes on the wire.
fn pass(from: &mut Connection, to: &mut Connection, message: &[u8]) -> usize {
    from.send_binary(message).unwrap();
    let bytes = outbound(from);
    assert_eq!(feed(to, &bytes, usize::MAX), (vec![binary(message)], None));
    bytes.len()
}

#[test]
fn messages_may_refer_to_all_that_was_inflated_before_the_rest() {
    for bits in 9..=15 {
        for len in [0, 1, 2, 3, 4, 5, 8, 257, 258, 259, 500, 512, 4000, 32_768 - 6, 32_768, 40_000, 100_000] {
            // The window ends in these, and a copy of them from its other end is the longest distance.
            let [mut client, mut server] = pair(bits);
            let noise = letters(7, len);
            pass(&mut client, &mut server, &noise);
            let window = 1 << bits;
            let kept = &noise[len.saturating_sub(window - 300)..];
            for _ in 0..3 {
                server.rest();
                let wire = pass(&mut client, &mut server, kept);
                // Whatever is short goes as it is.
                assert!(len < 4000 || wire < kept.len() / 6 + 30, "{wire} bytes for {} of {bits} bits", kept.len());
                server.rest();
                server.rest();
            }
        }
    }
}

#[test]
fn random_messages_with_rests_between_come_as_they_were_sent() {
    let mut random = Random(11);
    for round in 0..60 {
        let [mut client, mut server] = pair(9 + round % 7);
        let mut said: Vec<u8> = vec![];
        for _ in 0..30 {
            let mut message = {
                let len = random.below(600);
                random.bytes(len)
            };
            for _ in 0..random.below(5) {
                // Parts of what was said before, from near and far.
                let from = random.below(said.len() + 1);
                message.extend(&said[from..said.len().min(from + random.below(2000))]);
            }
            said.extend(&message);
            let (from, to) = if random.percent(50) { (&mut client, &mut server) } else { (&mut server, &mut client) };
            pass(from, to, &message);
            for end in [&mut client, &mut server] {
                if random.percent(30) {
                    end.rest();
                }
            }
        }
    }
}

#[test]
fn at_rest_only_the_window_is_held() {
    for (bits, most) in [(15, 48 << 10), (12, 12 << 10), (9, 8 << 10)] {
        let config = config(bits);
        let message = letters(3, 100_000);
        let mut client = open_with_window(Role::Client, bits, &config);
        client.send_binary(&message).unwrap();
        let input = outbound(&mut client);
        let (mut server, busy) = used(|| {
            let mut server = open_with_window(Role::Server, bits, &config);
            assert_eq!(feed(&mut server, &input, usize::MAX).0.len(), 1);
            server.send_binary(&message).unwrap();
            drop(outbound(&mut server));
            server
        });
        let ((), rest) = used(|| server.rest());
        let held = busy.held + rest.held;
        assert!((1 << bits..=most).contains(&held), "{held} bytes at rest of {} with {bits} bits", busy.held);
    }
}

#[test]
fn codecs_of_no_use_between_two_pings_are_given_back() {
    const PING: Duration = Duration::from_secs(20);
    let config = config(15);
    let mut client = open_with_window(Role::Client, 15, &config);
    let message = letters(3, 100_000);
    let mut server = open_with_window(Role::Server, 15, &config);
    pass(&mut client, &mut server, &message);
    pass(&mut server, &mut client, &message);
    let mut now = Duration::ZERO;
    let mut silence = |server: &mut Connection| {
        let ((), used) = used(|| {
            assert_eq!(server.handle_timeout(now), Ok(None));
            now += PING;
            assert_eq!(server.handle_timeout(now), Ok(None));
            assert_eq!(sent(server).len(), 1, "a ping");
        });
        assert_eq!(feed(server, &client_frame(0x8A, b""), usize::MAX), (vec![pong(b"")], None));
        used.held
    };
    let held = silence(&mut server);
    assert!(held.abs() < 1 << 10, "they were of use before this ping: {held}");
    let held = silence(&mut server);
    assert!(held < -(300 << 10), "and not since: {held}");
    // Both ways go on.
    assert!(pass(&mut client, &mut server, &message[90_000..]) < 300);
    pass(&mut server, &mut client, &message);
}

#[test]
fn halves_of_a_driver_give_them_back_too() {
    let config = config(15);
    let message = letters(3, 100_000);
    let mut client = open_with_window(Role::Client, 15, &config);
    let Ok((mut reading, mut writing)) = Driver::new(open_with_window(Role::Server, 15, &config)).split() else {
        panic!("it is open")
    };
    let mut storage = Storage::default();
    let mut read = |reading: &mut Reading, mut bytes: &[u8]| {
        let mut told = None;
        while !bytes.is_empty() {
            let len = bytes.read(reading.space(&mut storage)).unwrap();
            reading.received(&mut storage, len);
            told = reading.event(&mut storage, |_| {}).unwrap().map(Event::into_owned);
            reading.next(&mut storage, true);
        }
        told
    };
    client.send_binary(&message).unwrap();
    assert_eq!(read(&mut reading, &outbound(&mut client)), Some(binary(&message)));
    writing.sender().send_binary(&message).unwrap();
    let mut now = Duration::ZERO;
    let mut silence = |reading: &mut Reading| {
        let ((), used) = used(|| {
            assert_eq!(writing.judge(reading.heard(), now), Ok(false));
            now += Duration::from_secs(20);
            assert_eq!(writing.judge(reading.heard(), now), Ok(true));
            reading.rest_if_idle();
        });
        assert_eq!(read(reading, &client_frame(0x8A, b"")), Some(pong(b"")));
        used.held
    };
    let held = silence(&mut reading);
    assert!(held.abs() < 1 << 10, "they were of use before this ping: {held}");
    let held = silence(&mut reading);
    assert!(held < -(300 << 10), "and not since: {held}");
    client.send_binary(&message[90_000..]).unwrap();
    let input = outbound(&mut client);
    assert!(input.len() < 300);
    assert_eq!(read(&mut reading, &input), Some(binary(&message[90_000..])));
}

#[test]
fn within_a_message_nothing_is_given_back() {
    let [mut client, mut server] = pair(15);
    let text = "a text that is said twice. ".repeat(20);
    client.send_fragment(Kind::Text, text.as_bytes(), false).unwrap();
    let front = outbound(&mut client);
    assert_eq!(feed(&mut server, &front, 3), (vec![], None));
    client.rest();
    server.rest();
    client.send_fragment(Kind::Text, text.as_bytes(), true).unwrap();
    let back = outbound(&mut client);
    assert!(back.len() < 40, "it refers to the front: {} bytes", back.len());
    assert_eq!(feed(&mut server, &back, 3), (vec![Event::Text(text.repeat(2).into())], None));
}

#[test]
fn what_may_refer_to_a_window_is_not_relayed() {
    let [mut client, mut server] = pair(15);
    let [mut onward, _] = pair(15);
    pass(&mut client, &mut server, &[7; 100]);
    server.rest();
    client.send_binary(&[7; 100]).unwrap();
    let mut input = outbound(&mut client);
    assert_eq!(server.relay(&mut &mut input[..], &mut onward), Err(RelayError::Send(SendError::Extension)));
}

#[test]
fn without_takeover_there_is_nothing_to_give_back() {
    let mut config = Config::default();
    config.deflate = Some(Deflate::default());
    let request = ClientRequest::new("ws://example.com/").unwrap();
    let mut connecting = Connection::client(&request, config, SEED).unwrap();
    connecting.rest();
    let mut plain = open(Role::Server);
    plain.rest();
    plain.send_text("on").unwrap();
    assert_eq!(outbound(&mut plain), b"\x81\x02on");
}
