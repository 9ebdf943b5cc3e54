//! The client that connects again.

use crate::common;
use crate::common::{PATIENCE, eventually, within};
use sockless_std::{
    Backoff, Change, Client, ConnectError, Error, Keep, Message, NetStream, Reconnecting, Unsent, WebSocket, accept,
};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const QUICK: Backoff = Backoff {
    first: Duration::from_millis(2),
    longest: Duration::from_millis(8),
    attempts: Some(4),
    settled: Backoff::SETTLED,
};

/// A server that is driven by the test, and a client of it.
fn client() -> (TcpListener, Reconnecting) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    (listener, Client::new(&url).reconnecting(Backoff { attempts: None, ..QUICK }))
}

fn connection(listener: &TcpListener) -> TcpStream {
    listener.accept().unwrap().0
}

/// Takes bytes past the connection, whose own reads may have been told to wait for a moment only.
fn take(socket: &mut WebSocket<TcpStream>, len: usize) {
    socket.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    socket.get_mut().read_exact(&mut vec![0; len]).unwrap();
}

/// A message that says which it is.
fn numbered(number: u32, len: usize) -> Message<'static> {
    let mut bytes = vec![7; len];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

fn number(message: &Message<'_>) -> u32 {
    u32::from_be_bytes(message.as_bytes()[..4].try_into().unwrap())
}

fn next(client: &mut Reconnecting) -> Change {
    within("a change", || client.next()).unwrap()
}

#[test]
fn it_connects_again_and_reports_what_was_not_sent() {
    let (listener, mut client) = client();
    let large = numbered(7, 32 << 20);
    let serving = thread::spawn(move || {
        let mut socket = accept(connection(&listener)).unwrap();
        assert_eq!(socket.recv().unwrap(), Some("one".into()));
        socket.close(1012, "back soon").unwrap();
        drop(socket);
        let mut socket = accept(connection(&listener)).unwrap();
        assert_eq!(socket.recv().unwrap(), Some("two".into()));
        // Some of the next is read, and never all of it.
        take(&mut socket, 100);
        drop(socket);
        common::echo(accept(connection(&listener)).unwrap())
    });
    assert_eq!(client.send("early"), Err(Unsent::NotConnected("early".into())));
    assert!(matches!(next(&mut client), Change::Connected));
    client.send("one").unwrap();
    match next(&mut client) {
        Change::Lost { close: Some(close), error: None, unsent, kept: 0, wait: Some(_), .. } => {
            assert_eq!((close.code, &*close.reason, unsent), (1012.into(), "back soon", vec![]));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(next(&mut client), Change::Resumed { kept: 0 }));
    client.send("two").unwrap();
    within("the loss", || client.send(large.clone())).unwrap();
    match next(&mut client) {
        Change::Lost { close: None, error: Some(Error::Io(_) | Error::Protocol(_)), unsent, .. } => {
            assert!(unsent == [large])
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(next(&mut client), Change::Resumed { kept: 0 }));
    client.send("three").unwrap();
    assert!(matches!(next(&mut client), Change::Message(message) if message == "three".into()));
    // Nothing comes in this time, and nothing is lost by the wait.
    assert!(client.next_within(Duration::from_millis(5)).unwrap().is_none());
    let stopped = within("the end", || client.close(1000, ""));
    stopped.ended.unwrap();
    assert_eq!(stopped.unsent, []);
    within("its end", || serving.join()).unwrap().unwrap();
}

#[test]
fn it_gives_up_after_so_many_failures_and_begins_anew() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut client = Client::new(&format!("ws://127.0.0.1:{port}/")).reconnecting(QUICK);
    for _ in 0..2 {
        for _ in 0..3 {
            assert!(matches!(within("a failure", || client.next()), Ok(Change::Failed(ConnectError::Tcp(_), _))));
        }
        assert!(matches!(within("a failure", || client.next()), Err(ConnectError::Tcp(_))));
    }
    let mut hopeless = Client::new("http://127.0.0.1/").reconnecting(QUICK);
    assert!(matches!(within("a failure", || hopeless.next()), Err(ConnectError::Request(_))));
    // A wait of an hour is not waited for.
    let hour = Duration::from_secs(3600);
    let mut patient =
        Client::new(&format!("ws://127.0.0.1:{port}/")).reconnecting(Backoff { first: hour, longest: hour, ..QUICK });
    assert!(matches!(within("a failure", || patient.next()), Ok(Change::Failed(ConnectError::Tcp(_), _))));
    assert!(within("the time", || patient.next_within(Duration::from_millis(5))).unwrap().is_none());
    assert_eq!(patient.close(1000, "").unsent, []);
}

#[test]
fn what_is_kept_goes_out_once_wherever_the_server_drops_the_connection() {
    // More than the system takes of so many connections.
    const LEN: usize = 1_000_000;
    const MESSAGES: u32 = 48;
    let (listener, client) = client();
    let mut client = client.keep(Keep { messages: 100, bytes: 100 * LEN });
    for number in 0..MESSAGES {
        client.send(numbered(number, LEN)).unwrap();
    }
    let (known, last) = mpsc::channel();
    let serving = thread::spawn(move || {
        // Before anything, in the middle of the request, and within the answer to it.
        drop(connection(&listener));
        connection(&listener).read_exact(&mut [0]).unwrap();
        let mut asked = connection(&listener);
        let mut request = vec![];
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            asked.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        asked.write_all(b"HTTP/1.1 101 ").unwrap();
        drop(asked);
        // Behind the answer, in the middle of a message, and between two.
        let mut got = vec![];
        for (whole, part) in [(0, 0), (0, 1000), (2, 0), (1, 100_000), (3, LEN - 1)] {
            let mut socket = accept(connection(&listener)).unwrap();
            for _ in 0..whole {
                got.push(number(&socket.recv().unwrap().unwrap()));
            }
            take(&mut socket, part);
        }
        let mut socket = accept(connection(&listener)).unwrap();
        while let Some(message) = socket.recv().unwrap() {
            assert_eq!(message.len(), LEN);
            got.push(number(&message));
            known.send(number(&message)).unwrap();
        }
        got
    });
    let (mut lost, mut failed) = (0, 0);
    eventually("the last message", || {
        match client.next_within(Duration::from_millis(1)).unwrap() {
            // Nothing is told to be lost, and all that is kept is told.
            Some(Change::Lost { unsent, kept, .. }) => (lost, _) = (lost + 1, assert!(unsent.is_empty() && kept > 0)),
            Some(Change::Failed(..)) => failed += 1,
            _ => {}
        }
        last.try_iter().any(|last| last == MESSAGES - 1)
    });
    assert_eq!((lost, failed), (5, 3));
    let stopped = within("the end", || client.close(1000, ""));
    stopped.ended.unwrap();
    assert_eq!(stopped.unsent, []);
    let got = within("its end", || serving.join()).unwrap();
    // None twice, and in their order. What is missing was wholly given to a connection that the server dropped.
    assert!(got.is_sorted_by(|one, other| one < other), "{got:?}");
    assert_eq!(got.last(), Some(&(MESSAGES - 1)));
}

#[test]
fn each_connection_is_greeted_before_what_was_kept() {
    let (listener, client) = client();
    let mut greeted = 0;
    let mut client = client.keep(Keep::default()).greeting(move |response| {
        greeted += 1;
        vec![format!("{} {greeted}", response.status()).into(), "subscribe".into()]
    });
    let expect = |socket: &mut WebSocket<TcpStream>, messages: &[&'static str]| {
        for message in messages {
            assert_eq!(socket.recv().unwrap(), Some((*message).into()));
        }
    };
    client.send("kept").unwrap();
    let serving = thread::spawn(move || {
        let mut socket = accept(connection(&listener)).unwrap();
        expect(&mut socket, &["101 1", "subscribe", "kept"]);
        socket.close(1001, "").unwrap();
        let mut socket = accept(connection(&listener)).unwrap();
        expect(&mut socket, &["101 2", "subscribe", "a dialogue", "one", "two", "three"]);
        socket.close(1000, "").unwrap();
    });
    assert!(matches!(next(&mut client), Change::Connected));
    assert!(matches!(next(&mut client), Change::Lost { kept: 0, wait: Some(_), .. }));
    for message in ["one", "two"] {
        client.send(message).unwrap();
    }
    assert!(matches!(next(&mut client), Change::Resumed { kept: 2 }));
    // A dialogue comes before what was kept; what is sent now, behind it.
    let socket: &mut WebSocket<NetStream> = client.socket().unwrap();
    within("a pong", || socket.round_trip()).unwrap();
    socket.send("a dialogue").unwrap();
    client.send("three").unwrap();
    assert!(matches!(next(&mut client), Change::Lost { kept: 0, .. }));
    within("its end", || serving.join()).unwrap();
}

#[test]
fn what_is_kept_is_bounded_and_told_when_it_stops() {
    let (listener, client) = client();
    let mut client = client.keep(Keep { messages: 3, bytes: 10 });
    assert_eq!(client.send("eleven byte"), Err(Unsent::Full("eleven byte".into())));
    for message in ["four", "five!"] {
        client.send(message).unwrap();
    }
    assert_eq!(client.send("ab"), Err(Unsent::Full("ab".into())));
    client.send("").unwrap();
    assert_eq!(client.send(""), Err(Unsent::Full("".into())));
    // Never connected: nothing of it was sent.
    let stopped = client.close(1000, "");
    assert_eq!(stopped.unsent, ["four", "five!", ""].map(Message::from));
    stopped.ended.unwrap();
    // It begins anew, and what it has sent by the time it stops is not told.
    client.send("again").unwrap();
    let serving = thread::spawn(move || {
        let mut socket = accept(connection(&listener)).unwrap();
        [socket.recv().unwrap(), socket.recv().unwrap()]
    });
    assert!(matches!(next(&mut client), Change::Connected));
    let stopped = within("the end", || client.close(1000, ""));
    assert_eq!(stopped.unsent, []);
    stopped.ended.unwrap();
    assert_eq!(within("its end", || serving.join()).unwrap(), [Some("again".into()), None]);
}
