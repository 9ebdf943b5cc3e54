//! Limits: on connections, on addresses, on rates, on messages.

mod common;

use common::{start, text};
use sockless_mio::sockless::Limits;
use sockless_mio::{Client, Code, Config, Conn, Error, Handler, Message, Server};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
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
