//! The server: a thread for each connection, how many there may be, and how it ends.

use crate::common;
use crate::common::{PATIENCE, config, echo, eventually, within};
use sockless_std::sockless::Code;
use sockless_std::{Client, ConnectError, Error, NetStream, Reject, Server, WebSocket, connect};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

fn listener() -> TcpListener {
    common::watch();
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn url(running: &sockless_std::Running) -> String {
    format!("ws://{}/chat", running.address())
}

#[track_caller]
fn connected(running: &sockless_std::Running) -> WebSocket<NetStream> {
    within("a connection", || connect(&url(running))).unwrap()
}

#[test]
fn each_connection_has_its_request_and_a_thread() {
    let running = Server::new().start(listener(), |mut socket, request| {
        socket.send(request.path())?;
        echo(socket)
    });
    let running = running.unwrap();
    let mut sockets: Vec<_> = (0..10).map(|_| connected(&running)).collect();
    for (number, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(within("the path", || socket.recv()).unwrap(), Some("/chat".into()));
        socket.send(&*number.to_string()).unwrap();
    }
    assert_eq!(running.count(), 10);
    for (number, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(within("an echo", || socket.recv()).unwrap(), Some(number.to_string().as_str().into()));
        within("the end", || socket.close(1000, "")).unwrap();
    }
    eventually("all have gone", || running.count() == 0);
    assert_eq!(running.shutdown(), 0);
}

#[test]
fn requests_are_answered_as_the_server_likes() {
    let server = Server::new().answer(|request, peer| {
        assert!(peer.ip().is_loopback());
        match request.path() {
            "/chat" => Ok(request.accept_first_subprotocol()),
            _ => Err(Reject::new(404)),
        }
    });
    let running = server.start(listener(), |socket, _| echo(socket)).unwrap();
    let client = Client::new(&url(&running)).subprotocol("chat");
    assert_eq!(within("a connection", || client.connect()).unwrap().0.subprotocol(), Some("chat"));
    let elsewhere = format!("ws://{}/elsewhere", running.address());
    let refused = within("a refusal", || connect(&elsewhere)).map(drop);
    assert!(matches!(&refused, Err(ConnectError::Rejected(response)) if response.status() == 404), "{refused:?}");
}

#[test]
fn there_are_no_more_connections_than_there_may_be() {
    let running = Server::new().connections(2).start(listener(), |socket, _| echo(socket)).unwrap();
    let (mut first, second) = (connected(&running), connected(&running));
    assert_eq!(running.count(), 2);
    let third = thread::spawn({
        let url = url(&running);
        move || connect(&url).map(drop)
    });
    // Nothing says that a connection is not made but that others are served meanwhile.
    for _ in 0..100 {
        first.send("still here").unwrap();
        assert!(within("an echo", || first.recv()).unwrap().is_some());
        assert!(!third.is_finished());
    }
    drop(second);
    within("its place", || third.join()).unwrap().unwrap();
}

#[test]
fn what_failed_is_told() {
    let (told, telling) = channel();
    let told = Mutex::new(told);
    let server = Server::new().on_error(move |peer, error| {
        assert!(peer.ip().is_loopback());
        told.lock().unwrap().send(error.to_string()).unwrap();
    });
    let running = server.start(listener(), |mut socket, _| match socket.recv()? {
        Some(_) => Err(Error::from(std::io::Error::other("disliked"))),
        None => Ok(()),
    });
    let running = running.unwrap();
    let told = || telling.recv_timeout(PATIENCE).unwrap();
    connected(&running).send("a message").unwrap();
    assert_eq!(told(), "disliked");
    drop(TcpStream::connect(running.address()).unwrap());
    assert!(told().contains("transport ended"));
    within("the end", || connected(&running).close(1000, "")).unwrap();
    drop(connected(&running));
    assert!(told().contains("transport ended"));
}

#[test]
fn a_handler_that_panics_takes_its_own_connection_along() {
    let running = Server::new().start(listener(), |mut socket, _| {
        let message = socket.recv()?.unwrap();
        assert_ne!(message.as_bytes(), b"panic");
        socket.send(message)
    });
    let running = running.unwrap();
    let mut bad = connected(&running);
    bad.send("panic").unwrap();
    assert!(within("the end", || bad.recv()).is_err());
    let mut good = connected(&running);
    good.send("calm").unwrap();
    assert_eq!(within("an echo", || good.recv()).unwrap(), Some("calm".into()));
    eventually("its place is free", || running.count() == 0);
}

#[test]
fn a_shutdown_closes_all_connections_behind_what_was_sent() {
    let running = Server::new().start(listener(), |mut socket, _| {
        socket.feed("welcome")?;
        while let Some(message) = socket.recv()? {
            socket.send(message)?;
        }
        Ok::<_, Error>(())
    });
    let running = running.unwrap();
    let address = running.address();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let mut socket = connected(&running);
            assert_eq!(within("a welcome", || socket.recv()).unwrap(), Some("welcome".into()));
            thread::spawn(move || {
                assert_eq!(socket.recv().unwrap(), None);
                socket.peer_close().unwrap().code
            })
        })
        .collect();
    // Neither a client that has not asked yet nor one that waits for a place holds it up.
    let _silent = TcpStream::connect(address).unwrap();
    assert_eq!(within("the end", || running.shutdown()), 0);
    for client in clients {
        assert_eq!(within("its end", || client.join()).unwrap(), Code::AWAY);
    }
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_full_server_shuts_down_too() {
    let server = Server::new().connections(1).config(config(|_| {}));
    let running = server.start(listener(), |socket, _| echo(socket)).unwrap();
    let mut only = connected(&running);
    let ending = thread::spawn(move || only.recv().unwrap());
    assert_eq!(within("the end", || running.shutdown()), 0);
    assert_eq!(within("its end", || ending.join()).unwrap(), None);
}

#[test]
fn who_does_not_end_in_the_time_there_is_is_counted() {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let server = Server::new().grace(Duration::from_millis(20));
    let running = server.start(listener(), move |socket, _| {
        _ = gone.lock().unwrap().recv();
        drop(socket);
        Ok::<_, Error>(())
    });
    let running = running.unwrap();
    let _client = connected(&running);
    assert_eq!(within("the end", || running.shutdown()), 1);
    drop(go);
}
