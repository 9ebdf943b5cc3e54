//! Limits: on connections, on addresses, on rates, on messages.

use crate::common;
use crate::common::{dial, start, text};
use sockless_mio::sockless::Limits;
use sockless_mio::{Answer, Client, Code, Config, Conn, Error, Handler, Message, Request, Server};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

fn echo(conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
    conn.send(message)?;
    Ok(())
}

#[test]
fn connections_of_a_worker() {
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1).max_connections(3), echo);
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    assert!(common::client(|| Client::connect(&server.url())).is_err());
    server.eventually("it is counted", |stats| stats.refused == 1 && stats.connections == 3);
    for client in &mut clients {
        client.send_text("here").unwrap();
        assert_eq!(client.receive().unwrap(), Some(text("here")));
    }
    clients.pop();
    server.eventually("one is gone", |stats| stats.connections == 2);
    server.connect();
    server.stop();
}

#[test]
fn connections_of_an_address() {
    let server = start(Server::builder().listen("127.0.0.1:0").workers(2).max_connections_per_address(2), echo);
    let clients: Vec<_> = (0..2).map(|_| server.connect()).collect();
    assert!(common::client(|| Client::connect(&server.url())).is_err());
    server.eventually("it is counted", |stats| stats.refused == 1);
    drop(clients);
    server.eventually("both are gone", |stats| stats.connections == 0);
    let _clients: Vec<_> = (0..2).map(|_| server.connect()).collect();
    server.stop();
}

#[test]
fn connections_in_a_time() {
    let server =
        start(Server::builder().listen("127.0.0.1:0").workers(1).connection_rate(3, Duration::from_secs(3600)), echo);
    for _ in 0..3 {
        drop(server.connect());
    }
    assert!(common::client(|| Client::connect(&server.url())).is_err());
    server.eventually("it is counted", |stats| stats.refused == 1 && stats.connections == 0);
    server.stop();
}

/// Takes connections as long as it is told to, and lets each say how much it may say.
#[derive(Default)]
struct Doorman {
    shut: AtomicBool,
}

impl Handler for Doorman {
    type State = ();

    fn on_accept(&self, peer: Option<SocketAddr>) -> bool {
        assert!(peer.unwrap().ip().is_loopback());
        !self.shut.load(Ordering::SeqCst)
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        match message.as_bytes() {
            b"shut" => self.shut.store(true, Ordering::SeqCst),
            b"more" => conn.set_limits(Limits::default()),
            _ => {}
        }
        conn.send(message)?;
        Ok(())
    }
}

#[test]
fn whom_the_handler_refuses() {
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), Doorman::default());
    let mut client = server.connect();
    client.send_text("shut").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("shut")));
    assert!(common::client(|| Client::connect(&server.url())).is_err());
    server.eventually("it is counted", |stats| stats.refused == 1);
    server.stop();
}

#[test]
fn messages() {
    let mut config = Config::default();
    config.limits.message = 100;
    for pool in [false, true] {
        let builder = Server::builder().listen("127.0.0.1:0").workers(1).config(config.clone());
        let server = start(if pool { builder.pool(1, 16) } else { builder }, Doorman::default());
        let mut client = server.connect();
        client.send_text("more").unwrap();
        assert_eq!(client.receive().unwrap(), Some(text("more")));
        let long = "x".repeat(101);
        client.send_text(&long).unwrap();
        assert_eq!(client.receive().unwrap(), Some(text(&long)));
        let mut client = server.connect();
        client.send_text(&long).unwrap();
        assert_eq!(client.receive().unwrap(), None);
        assert_eq!(client.closed().map(|close| close.code), Some(Code::TOO_BIG));
        drop(client);
        server.stop();
    }
}

/// Peers that say nothing are no connections, and hold nobody up.
#[test]
fn handshakes_that_do_not_end_take_no_place_of_connections() {
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1).max_connections(2), echo);
    let mut silent: Vec<_> = (0..10).map(|_| dial(server.address())).collect();
    server.eventually("all are there", |stats| stats.connections == 10);
    silent[0].write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        client.send_text("here").unwrap();
        assert_eq!(client.receive().unwrap(), Some(text("here")));
    }
    // Who was let in before the last place was taken is told that it is.
    silent[1].write_all(common::REQUEST).unwrap();
    let mut answer = String::new();
    silent[1].read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    // A client that goes leaves its place.
    drop(clients);
    server.eventually("both are gone", |stats| stats.open == 0);
    silent[2].write_all(common::REQUEST).unwrap();
    common::skip_head(&mut silent[2]);
    server.eventually("it is open", |stats| stats.open == 1 && stats.refused == 1);
    server.stop();
}

/// The oldest goes, when it has had its time.
#[test]
fn handshakes_have_a_limit_of_their_own() {
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1).max_handshakes(2), echo);
    let mut silent = [dial(server.address()), dial(server.address())];
    server.eventually("both are there", |stats| stats.connections == 2);
    let mut client = server.connect();
    client.send_text("here").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("here")));
    assert_eq!(silent[0].read(&mut [0]).unwrap(), 0);
    // The other one is still served.
    silent[1].write_all(common::REQUEST).unwrap();
    common::skip_head(&mut silent[1]);
    server.eventually("it is open", |stats| stats.open == 2);
    assert_eq!(server.handle().stats().refused, 1);
    server.stop();
}

/// Answers requests when it is let, in the pool.
struct Slow(Mutex<Receiver<()>>);

impl Handler for Slow {
    type State = ();

    fn on_request(&self, _: &mut Conn<'_>, request: &Request<'_>) -> Answer {
        self.0.lock().unwrap().recv_timeout(common::PATIENCE).unwrap();
        request.accept().into()
    }

    fn on_message(&self, _: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// A request that the application thinks about is not given up for others.
#[test]
fn whose_request_is_being_answered_keeps_its_place() {
    let (answer, answers) = channel();
    let builder = Server::builder().listen("127.0.0.1:0").workers(1).pool(1, 100).max_handshakes(1);
    let server = start(builder, Slow(Mutex::new(answers)));
    let mut first = dial(server.address());
    first.write_all(common::REQUEST).unwrap();
    server.eventually("it is there", |stats| stats.connections == 1);
    let mut second = dial(server.address());
    second.write_all(common::REQUEST).unwrap();
    // Longer than others would have.
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(server.handle().stats().accepted, 1);
    for stream in [&mut first, &mut second] {
        answer.send(()).unwrap();
        common::skip_head(stream);
    }
    server.eventually("both are open", |stats| stats.open == 2);
    server.stop();
}
