//! Connections taken apart, and put together again.

use crate::common;
use crate::common::{bytes, config, open, pair, within};
use sockless_std::sockless::{Config, Rate, Rates, Role, Seed};
use sockless_std::{Error, InUse};
use std::io::Write;
use std::thread;
use std::time::Duration;

#[test]
fn what_was_read_and_not_told_goes_on_elsewhere() {
    let (mut client, mut server) = pair();
    for message in ["one", "two", "three"] {
        server.feed(message).unwrap();
    }
    server.flush().unwrap();
    assert_eq!(within("a message", || client.recv()).unwrap(), Some("one".into()));
    let (stream, rest) = client.into_inner().unwrap();
    assert_eq!(rest, b"\x81\x03two\x81\x05three");
    assert_eq!(stream.read_timeout().unwrap(), None);
    let role = Role::Client;
    let seed = Seed::new([1; 16]);
    let mut client = sockless_std::WebSocket::open(stream, role, Default::default(), Config::default(), seed, &rest);
    for message in ["two", "three"] {
        assert_eq!(within("a message", || client.recv()).unwrap(), Some(message.into()));
    }
    client.send("on").unwrap();
    assert_eq!(within("a message", || server.recv()).unwrap(), Some("on".into()));
}

/// More than a read may bring from a peer whose bytes are limited.
#[test]
fn much_that_was_read_goes_on_elsewhere() {
    let (_peer, stream) = common::sockets();
    let config = config(|config| config.rates = Rates { bytes: Some(Rate::per_second(1 << 30)), ..Rates::default() });
    let rest = [&b"\x82\xFF\0\0\0\0\0\x10\0\0\0\0\0\0"[..], &[7; 1 << 20]].concat();
    let mut server =
        sockless_std::WebSocket::open(stream, Role::Server, Default::default(), config, Seed::new([1; 16]), &rest);
    assert!(within("a message", || server.recv()).unwrap() == Some(vec![7; 1 << 20].into()));
}

#[test]
fn what_would_be_lost_is_told_and_the_connection_goes_on() {
    let (mut client, mut server) = pair();
    // More than the system takes, which nobody reads.
    client.set_send_timeout(Duration::from_millis(20));
    assert!(matches!(within("the time", || client.send(bytes(1_000_000).repeat(20))), Err(Error::TimedOut)));
    let kept = client.into_inner().unwrap_err();
    assert_eq!((kept.why, kept.to_string()), (InUse::Unwritten, "bytes wait to be written".into()));
    drop(kept);
    within("the end", || server.recv()).unwrap_err();
    // Within a message.
    let (stream, mut peer) = common::sockets();
    let mut client = open(stream, Role::Client, config(|_| {}));
    peer.write_all(b"\x01\x02He").unwrap();
    client.set_recv_timeout(Duration::from_millis(20));
    assert!(matches!(within("the time", || client.recv()), Err(Error::TimedOut)));
    let kept = client.into_inner().unwrap_err();
    assert_eq!(kept.why, InUse::WithinMessage);
    let mut client = kept.inner;
    peer.write_all(b"\x80\x03llo").unwrap();
    client.set_recv_timeout(None);
    assert_eq!(within("a message", || client.recv()).unwrap(), Some("Hello".into()));
    // Received while it waited for something else.
    let (mut client, mut server) = pair();
    server.send("meanwhile").unwrap();
    let serving = thread::spawn(move || server.recv());
    within("a pong", || client.round_trip()).unwrap();
    let kept = client.into_inner().unwrap_err();
    assert_eq!(kept.why, InUse::Unreceived);
    let mut client = kept.inner;
    assert_eq!(client.recv().unwrap(), Some("meanwhile".into()));
    client.into_inner().unwrap();
    within("the end", || serving.join()).unwrap().unwrap_err();
}

#[test]
fn halves_are_one_again() {
    let (client, mut server) = pair();
    for message in ["one", "two"] {
        server.feed(message).unwrap();
    }
    server.flush().unwrap();
    let (sender, mut receiver) = client.split().unwrap();
    receiver.set_recv_timeout(Duration::from_secs(1));
    assert_eq!(within("a message", || receiver.recv()).unwrap(), Some("one".into()));
    sender.send("from a half").unwrap();
    let clone = sender.clone();
    let kept = receiver.reunite(sender).unwrap_err();
    assert_eq!(kept.why, InUse::Cloned);
    let (sender, receiver) = kept.inner;
    drop(clone);
    let (other, _peer) = pair();
    let (others, _receiver) = other.split().unwrap();
    let kept = receiver.reunite(others).unwrap_err();
    assert_eq!(kept.why, InUse::Different);
    let mut client = kept.inner.1.reunite(sender).unwrap();
    assert_eq!(within("a message", || client.recv()).unwrap(), Some("two".into()));
    client.send("from the whole").unwrap();
    for message in ["from a half", "from the whole"] {
        assert_eq!(within("a message", || server.recv()).unwrap(), Some(message.into()));
    }
    // And again.
    let (sender, receiver) = client.split().unwrap();
    let mut client = receiver.reunite(sender).unwrap();
    let serving = thread::spawn(move || server.recv());
    assert_eq!(within("the end", || client.close(1000, "")).unwrap().code, 1000.into());
    assert_eq!(within("its end", || serving.join()).unwrap().unwrap(), None);
}
