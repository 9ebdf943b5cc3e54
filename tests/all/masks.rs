//! Masking keys that nobody can guess (RFC 6455 §10.3), as far as statistics can tell. The bounds are eight standard
//! deviations wide or more, so that a good source does not fail in a lifetime.

use crate::common::*;
use base64::{Engine, engine::general_purpose::STANDARD};
use sockless::{ClientRequest, Config, Connection, Negotiated, Role, Seed};
use std::collections::HashSet;

const COUNT: usize = 10_000;

/// The masking keys of a client's frames, messages and control frames alike.
fn keys(seed: Seed, count: usize) -> Vec<[u8; 4]> {
    let mut client = Connection::open(Role::Client, Negotiated::default(), Config::default(), seed);
    let key = |index: usize| {
        match index % 3 {
            0 => client.send_binary(b"").unwrap(),
            1 => client.ping(b"").unwrap(),
            _ => client.send_text("").unwrap(),
        }
        let frame = outbound(&mut client);
        assert_eq!((frame.len(), frame[1]), (6, 0x80), "an empty frame with a key");
        frame[2..].try_into().unwrap()
    };
    (0..count).map(key).collect()
}

/// Fixed seeds that a weak generator would show through, and a random one.
fn seeds() -> [Seed; 5] {
    let mut one = [0; 16];
    one[0] = 1;
    [Seed::new([0; 16]), Seed::new(one), Seed::new([0xFF; 16]), SEED, Seed::random()]
}

/// Each of the 32 bits is set in half of the values, give or take.
fn assert_balanced(values: &[u32], what: &str) {
    let half = values.len() / 2;
    // The standard deviation of a bit's count is the root of a quarter of all.
    let bound = (8.0 * (values.len() as f64 / 4.0).sqrt()) as usize;
    for bit in 0..32 {
        let ones = values.iter().filter(|value| **value >> bit & 1 == 1).count();
        assert!(ones.abs_diff(half) < bound, "bit {bit} of {what} is set in {ones} of {}", values.len());
    }
}

#[test]
fn the_keys_of_a_connection_look_random() {
    for seed in seeds() {
        let keys: Vec<u32> = keys(seed, COUNT).into_iter().map(u32::from_be_bytes).collect();
        let distinct: HashSet<_> = keys.iter().collect();
        assert!(distinct.len() > COUNT - 10, "{} distinct keys", distinct.len());
        assert_balanced(&keys, "the keys");
        for step in 1..4 {
            let changes: Vec<u32> = keys.iter().zip(&keys[step..]).map(|(one, next)| one ^ next).collect();
            assert_balanced(&changes, "the changes from key to key");
        }
        let differences: Vec<u32> = keys.windows(2).map(|two| two[1].wrapping_sub(two[0])).collect();
        assert!(differences.iter().collect::<HashSet<_>>().len() > COUNT - 10, "no constant stride");
    }
}

#[test]
fn connections_with_different_seeds_share_nothing() {
    let all: Vec<Vec<u32>> =
        seeds().map(|seed| keys(seed, COUNT).into_iter().map(u32::from_be_bytes).collect()).to_vec();
    for (index, one) in all.iter().enumerate() {
        for other in &all[..index] {
            let changes: Vec<u32> = one.iter().zip(other).map(|(one, other)| one ^ other).collect();
            assert_balanced(&changes, "the changes from seed to seed");
        }
    }
}

#[test]
fn a_random_seed_is_never_the_same() {
    let first_key = |_| {
        let mut client = Connection::open(Role::Client, Negotiated::default(), Config::default(), Seed::random());
        client.send_text("").unwrap();
        outbound(&mut client)
    };
    let first_keys: HashSet<_> = (0..1000).map(first_key).collect();
    assert!(first_keys.len() > 990, "{} distinct first keys", first_keys.len());
}

/// The nonce of the opening handshake is in plain sight: no key must be part of it.
#[test]
fn the_nonce_of_the_handshake_is_new_and_gives_no_key_away() {
    let request = ClientRequest::new("ws://example.com/").unwrap();
    let mut nonces = HashSet::new();
    for seed in 0..100 {
        let mut client = Connection::client(&request, Config::default(), Seed::new([seed; 16])).unwrap();
        let head = String::from_utf8(outbound(&mut client)).unwrap();
        let nonce = head.split("Sec-WebSocket-Key: ").nth(1).unwrap()[..24].to_owned();
        let nonce = STANDARD.decode(nonce).unwrap();
        assert_eq!(nonce.len(), 16);
        let keys = keys(Seed::new([seed; 16]), 100);
        assert!(keys.iter().all(|key| nonce.windows(4).all(|part| part != key)), "a key is in the nonce");
        // All of it is random, not a part.
        for half in [&nonce[..8], &nonce[8..]] {
            assert!(nonces.insert(half.to_owned()), "half a nonce came twice");
        }
    }
}

#[test]
fn a_server_masks_nothing() {
    let mut server = open(Role::Server);
    server.send_text("plain").unwrap();
    server.ping(b"plain").unwrap();
    assert_eq!(outbound(&mut server), b"\x89\x05plain\x81\x05plain");
}
