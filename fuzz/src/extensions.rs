//! The grammar of extensions, and the negotiation of permessage-deflate.

use crate::settings::DeflateSettings;
use arbitrary::Arbitrary;
use sockless::handshake::{deflate, extension};
use sockless::{Deflate, DeflateParams};

/// The settings of two ends, and the value of a `Sec-WebSocket-Extensions`.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    server: DeflateSettings,
    client: DeflateSettings,
    value: &'a [u8],
}

/// Whatever an offer or an answer says, what comes of it is in range, and no end breaks what the other asked for.
pub fn check(input: &Input<'_>) {
    let (server, client) = (input.server.deflate(), input.client.deflate());
    if let Ok(value) = std::str::from_utf8(input.value) {
        check_grammar(value);
        if let Some((params, answer)) = deflate::choose(extension::parse(value), &server) {
            check_params(&params, 9, &server);
            assert_eq!(extension::parse(&answer).count(), 1, "{answer}");
        }
        if let Ok(Some(params)) = deflate::agreed(extension::parse(value), &client) {
            // A window of 8, which a server may ask for, makes messages plain.
            check_params(&params, 8, &client);
            assert!(params.peer_window_bits <= client.peer_window_bits);
        }
    }
    check_our_own(&server, &client);
}

/// What was read is written as something that reads the same.
fn check_grammar(value: &str) {
    let mut list = String::new();
    let read: Vec<_> = extension::parse(value).flatten().collect();
    for extension in &read {
        let params: Vec<_> = extension.params().collect();
        let params: Vec<_> = params.iter().map(|param| (param.name, param.value.as_deref())).collect();
        extension::push(&mut list, extension.name(), &params).expect("what was read can be written");
        assert!(list.ends_with(&extension.to_string()));
    }
    let again: Vec<_> = extension::parse(&list).map(|extension| extension.expect("what was written is good")).collect();
    assert_eq!(again.len(), read.len());
    for (again, read) in again.iter().zip(&read) {
        assert_eq!((again.name(), again.to_string()), (read.name(), read.to_string()));
        assert!(again.params().eq(read.params()));
    }
}

/// Windows that there are, and nothing beyond the settings.
fn check_params(params: &DeflateParams, least: u8, own: &Deflate) {
    assert!((least..=15).contains(&params.window_bits) && (8..=15).contains(&params.peer_window_bits), "{params:?}");
    assert!(params.window_bits <= own.window_bits);
    assert!(!params.takeover || own.takeover);
    assert!(!params.peer_takeover || own.peer_takeover);
}

/// Our client takes our server's answer to its offer, and both mean the same.
fn check_our_own(server: &Deflate, client: &Deflate) {
    let offer = deflate::offer(client);
    let (chosen, answer) = deflate::choose(extension::parse(&offer), server).expect("our own offer can be honoured");
    let agreed = deflate::agreed(extension::parse(&answer), client).expect("our own answer is good");
    let agreed = agreed.expect("the answer is not empty");
    check_params(&chosen, 9, server);
    check_params(&agreed, 9, client);
    // A window that is larger than the other end's is taken as well.
    assert!(agreed.window_bits <= chosen.peer_window_bits && chosen.window_bits <= agreed.peer_window_bits);
    assert!(!agreed.takeover || chosen.peer_takeover);
    assert!(!chosen.takeover || agreed.peer_takeover);
}
