//! How connections end, and how it is told.

use crate::common::{config, open, pair, pair_with, sockets, within};
use sockless_std::sockless::{Code, ProtocolError, Role, SendError};
use sockless_std::{Error, Event, State};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

#[test]
fn either_end_closes_and_is_told_what_the_other_said() {
    for by_server in [false, true] {
        let (client, server) = pair();
        let (mut one, mut other) = if by_server { (server, client) } else { (client, server) };
        one.send("last words").unwrap();
        let closing = thread::spawn(move || {
            let close = one.close(1000, "bye").unwrap();
            (close, one.state(), one.recv().unwrap(), one.close(1000, "again").unwrap())
        });
        assert_eq!(within("a message", || other.recv()).unwrap(), Some("last words".into()));
        let event = within("the close", || other.recv_event()).unwrap();
        assert!(matches!(event, Some(Event::Close(close)) if close.reason == "bye"));
        assert_eq!(within("the end", || other.recv()).unwrap(), None);
        assert_eq!(other.peer_close().unwrap().reason, "bye");
        assert_eq!(other.state(), State::Closed);
        let (close, state, then, again) = within("its end", || closing.join()).unwrap();
        assert_eq!((close.code, &*close.reason, state, then), (Code::NORMAL, "", State::Closed, None));
        assert_eq!(again, close);
        let refused = other.send("too late");
        assert!(matches!(&refused, Err(Error::Closed(close)) if close.reason == "bye"), "{refused:?}");
        assert!(refused.is_err_and(|error| error.is_closing()));
    }
}

#[test]
fn both_close_at_once() {
    let (mut client, mut server) = pair();
    client.start_close(1000, "client").unwrap();
    server.start_close(1000, "server").unwrap();
    let closing = thread::spawn(move || server.close(1000, "").unwrap());
    assert_eq!(within("the end", || client.close(1000, "")).unwrap().reason, "server");
    assert_eq!(within("its end", || closing.join()).unwrap().reason, "client");
}

#[test]
fn messages_that_come_behind_a_close_can_be_received() {
    let (mut client, mut server) = pair();
    client.start_close(1000, "").unwrap();
    client.flush().unwrap();
    assert!(matches!(client.send("no more"), Err(Error::Send(SendError::Closing))));
    server.send("one").unwrap();
    server.send("two").unwrap();
    let ending = thread::spawn(move || server.recv().unwrap());
    assert_eq!(within("a message", || client.recv()).unwrap(), Some("one".into()));
    assert_eq!(within("a message", || client.recv()).unwrap(), Some("two".into()));
    assert_eq!(within("the end", || client.recv()).unwrap(), None);
    assert_eq!(within("its end", || ending.join()).unwrap(), None);
}

#[test]
fn what_cannot_be_said_is_refused_and_nothing_happens() {
    let (mut client, _server) = pair();
    assert!(matches!(client.close(1006, ""), Err(Error::Send(SendError::CloseCode(_)))));
    assert!(matches!(client.close(1000, &"long".repeat(31)), Err(Error::Send(SendError::LongControl))));
    assert_eq!(client.state(), State::Open);
}

#[test]
fn a_peer_that_cuts_the_connection() {
    let (client, mut server) = pair();
    drop(client);
    let cut = within("the end", || server.recv());
    assert!(matches!(cut, Err(Error::Protocol(ProtocolError::UnexpectedEof))), "{cut:?}");
    assert_eq!(server.recv().unwrap(), None);
    // And one that resets it, by hanging up on what it has not read.
    let (client, mut server) = pair();
    server.send("unread").unwrap();
    let kernel = client.into_inner().unwrap().0;
    let mut byte = [0];
    while kernel.peek(&mut byte).unwrap() == 0 {}
    drop(kernel);
    let reset = within("the end", || server.recv());
    match cfg!(target_os = "linux") {
        // The cause is told before the effect.
        true => {
            assert!(matches!(&reset, Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset), "{reset:?}")
        }
        false => assert!(reset.is_err(), "{reset:?}"),
    }
}

#[test]
fn what_a_peer_said_before_it_went_is_read_although_it_takes_no_more() {
    let (stream, served) = sockets();
    let mut client = open(stream, Role::Client, Default::default());
    (&served).write_all(b"\x81\x01a\x88\x02\x03\xf3").unwrap();
    drop(served);
    // It may go out, or not.
    for _ in 0..3 {
        let sent = client.send("b");
        assert!(sent.as_ref().map_or_else(Error::is_closing, |()| true), "{sent:?}");
    }
    assert_eq!(within("a message", || client.recv()).unwrap(), Some("a".into()));
    assert_eq!(within("the end", || client.recv()).unwrap(), None);
    assert_eq!(client.peer_close().unwrap().code, Code::INTERNAL_ERROR);
}

#[test]
fn a_breach_of_the_protocol_is_told_to_the_peer_and_then_here() {
    let (stream, served) = sockets();
    let mut server = open(served, Role::Server, Default::default());
    (&stream).write_all(b"\x83\x80\0\0\0\0").unwrap();
    let telling = thread::spawn(move || {
        let mut said = Vec::new();
        (&stream).read_to_end(&mut said).unwrap();
        said
    });
    let failed = within("the end", || server.recv());
    assert!(matches!(failed, Err(Error::Protocol(ProtocolError::ReservedOpcode(3)))), "{failed:?}");
    assert_eq!(within("what was said", || telling.join()).unwrap()[..4], [0x88, 2, 3, 0xEA]);
    assert_eq!(server.recv().unwrap(), None);
}

#[test]
fn an_aborted_connection_is_over_at_once() {
    let (mut client, mut server) = pair();
    client.abort(Code::POLICY);
    assert_eq!((client.state(), client.recv().unwrap()), (State::Closed, None));
    let _stream = client.into_inner().unwrap().0;
    assert_eq!(within("the close", || server.recv()).unwrap(), None);
    assert_eq!(server.peer_close().unwrap().code, Code::POLICY);
}

#[test]
fn work_that_is_done_is_closed_behind() {
    for (fails, code) in [(false, Code::NORMAL), (true, Code::INTERNAL_ERROR)] {
        let (client, mut server) = pair();
        let working = thread::spawn(move || {
            client.run(|socket| {
                socket.send("done")?;
                if fails { Err(std::io::Error::other("not done").into()) } else { Ok::<_, Error>(7) }
            })
        });
        assert_eq!(within("a message", || server.recv()).unwrap(), Some("done".into()));
        assert_eq!(within("the end", || server.recv()).unwrap(), None);
        assert_eq!(server.peer_close().unwrap().code, code);
        let worked = within("the work", || working.join()).unwrap();
        assert_eq!(worked.ok(), (!fails).then_some(7));
    }
}

#[test]
fn another_thread_has_it_closed() {
    let (mut client, mut server) = pair();
    let closer = client.closer();
    client.feed("first").unwrap();
    let receiving = thread::spawn(move || client.recv().unwrap());
    closer.go_away();
    assert_eq!(within("what was fed", || server.recv()).unwrap(), Some("first".into()));
    assert_eq!(within("the end", || server.recv()).unwrap(), None);
    assert_eq!(server.peer_close().unwrap().code, Code::AWAY);
    assert_eq!(within("its end", || receiving.join()).unwrap(), None);
}

#[test]
fn a_closing_handshake_that_does_not_end_is_given_up() {
    let soon = config(|config| config.keepalive.close = Some(Duration::from_millis(30)));
    let (mut client, server) = pair_with(soon, Default::default());
    let silent = server.into_inner().unwrap().0;
    let given_up = within("the end", || client.close(1000, ""));
    assert!(matches!(given_up, Err(Error::Protocol(ProtocolError::CloseTimeout))), "{given_up:?}");
    _ = silent.shutdown(Shutdown::Both);
}
