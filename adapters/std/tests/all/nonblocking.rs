//! Sockets that do not block, in a loop of the caller's.

use crate::common::{bytes, config, eventually, pair, pair_with, within};
use sockless_std::sockless::SendError;
use sockless_std::{Error, WebSocket};
use std::net::TcpStream;
use std::time::Duration;

/// The next message, asked for until it has come.
#[track_caller]
fn poll(socket: &mut WebSocket<TcpStream>) -> Option<sockless_std::Message<'static>> {
    let mut told = None;
    eventually("a message", || match socket.try_recv() {
        Ok(message) => {
            told = Some(message);
            true
        }
        Err(Error::TimedOut) => false,
        Err(error) => panic!("{error}"),
    });
    told.unwrap()
}

#[test]
fn nothing_waits() {
    let (mut client, mut server) = pair();
    for socket in [&client, &server] {
        socket.get_ref().set_nonblocking(true).unwrap();
    }
    for _ in 0..100 {
        assert!(matches!(within("at once", || client.recv()), Err(Error::TimedOut)));
        assert!(matches!(within("at once", || client.try_recv()), Err(Error::TimedOut)));
    }
    client.send("here").unwrap();
    assert_eq!(poll(&mut server), Some("here".into()));
    let long = bytes(1 << 20);
    client.send(&long[..]).unwrap();
    let mut echoed = None;
    eventually("all of it", || {
        _ = client.flush();
        match server.try_recv() {
            Ok(message) => echoed = message,
            Err(error) => assert!(matches!(error, Error::TimedOut), "{error}"),
        }
        echoed.is_some()
    });
    assert_eq!(echoed.unwrap().as_bytes(), long);
    client.start_close(1000, "").unwrap();
    client.flush().unwrap();
    assert_eq!(poll(&mut server), None);
    assert_eq!(poll(&mut client), None);
}

#[test]
fn a_peer_that_takes_nothing_fills_what_may_wait() {
    let (mut client, server) = pair();
    client.get_ref().set_nonblocking(true).unwrap();
    let long = bytes(1 << 18);
    let refused = within("a refusal", || {
        loop {
            if let Err(error) = client.send(&long[..]) {
                break error;
            }
        }
    });
    assert!(matches!(refused, Error::Send(SendError::Full)), "{refused:?}");
    assert!(client.wants_write());
    assert!(matches!(client.flush(), Err(Error::TimedOut)));
    drop(server);
}

#[test]
fn deadlines_are_told_and_kept() {
    let soon = Some(Duration::from_millis(20));
    let impatient = config(|config| (config.keepalive.ping, config.keepalive.pong) = (soon, soon));
    let (mut client, _server) = pair_with(impatient, Default::default());
    client.get_ref().set_nonblocking(true).unwrap();
    assert!(matches!(client.try_recv(), Err(Error::TimedOut)));
    let given_up = within("the end", || {
        loop {
            let deadline = client.deadline().expect("one");
            std::thread::sleep(deadline.saturating_duration_since(std::time::Instant::now()));
            match client.try_recv() {
                Err(Error::TimedOut) => {}
                told => break told,
            }
        }
    });
    assert!(matches!(given_up, Err(Error::Protocol(_))), "{given_up:?}");
    assert!(client.deadline().is_none());
}

#[test]
fn what_a_server_sends_of_its_own_accord_never_stops_its_reading() {
    let (mut client, mut server) = pair();
    server.get_ref().set_nonblocking(true).unwrap();
    let long = bytes(1 << 18);
    let refused = within("a refusal", || {
        loop {
            if let Err(error) = server.send(&long) {
                break error;
            }
        }
    });
    assert!(matches!(refused, Error::Send(SendError::Full)), "{refused:?}");
    for number in 0..100 {
        client.send(number.to_string()).unwrap();
        assert_eq!(poll(&mut server), Some(number.to_string().into()));
    }
}
