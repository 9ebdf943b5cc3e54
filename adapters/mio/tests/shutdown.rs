//! Shutting down: everybody is told, nothing that was taken is lost, and what could not go out is reported.

mod common;

use common::{dial, start, text};
use sockless_mio::{Code, Conn, Error, Handler, Id, Message, SendError, Server, sockless};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

struct Farewell {
    came: Mutex<Sender<Id>>,
}

impl Handler for Farewell {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        self.came.lock().unwrap().send(conn.id()).unwrap();
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        conn.send(message)?;
        Ok(())
    }

    fn on_shutdown(&self, conn: &mut Conn<'_>) {
        // To a peer that does not read there is no saying it.
        _ = conn.send_text("farewell");
    }
}

#[test]
fn everybody_is_told_behind_what_waits() {
    let (came, comes) = channel();
    let server = start(Server::builder().listen("127.0.0.1:0").workers(2), Farewell { came: Mutex::new(came) });
    let address = server.address();
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    // One that has not asked for anything does not hold it up.
    let _silent = dial(address);
    let ids: Vec<_> = (0..20).map(|_| comes.recv_timeout(common::PATIENCE).unwrap()).collect();
    let handle = server.handle().clone();
    // More than the system's buffers take at once; all of it was taken.
    let long = "x".repeat(900_000);
    for id in &ids {
        handle.send_text(*id, &long).unwrap();
        handle.send_text(*id, "last").unwrap();
    }
    handle.shutdown(common::PATIENCE);
    assert_eq!(handle.send_text(ids[0], "too late"), Err(SendError::Closing));
    for client in &mut clients {
        assert_eq!(client.receive().unwrap(), Some(text(&long)));
        for message in ["last", "farewell"] {
            assert_eq!(client.receive().unwrap(), Some(text(message)));
        }
        assert_eq!(client.receive().unwrap(), None);
        assert_eq!(client.closed().map(|close| close.code), Some(Code::AWAY));
    }
    let report = server.stop_within(common::PATIENCE);
    assert_eq!(report.undelivered, []);
    assert!(report.closed >= 20);
    assert!(TcpStream::connect(address).is_err(), "it listens still");
    let stats = handle.stats();
    assert_eq!((stats.open, stats.connections, stats.dropped), (0, 0, 0));
}

#[test]
fn what_cannot_go_out_is_reported() {
    let (came, comes) = channel();
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), Farewell { came: Mutex::new(came) });
    let mut client = server.connect();
    comes.recv_timeout(common::PATIENCE).unwrap();
    let mut deaf = dial(server.address());
    deaf.write_all(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .unwrap();
    let deaf_id = comes.recv_timeout(common::PATIENCE).unwrap();
    let message = vec![0; 1 << 20];
    // Until the system's buffers are full, and ours.
    common::eventually("it is refused", || {
        let refused = server.handle().send_binary(deaf_id, &message).is_err();
        // The worker has had its turn, and the system has taken what it takes.
        for _ in 0..2 {
            client.send_text("hello").unwrap();
            assert_eq!(client.receive().unwrap(), Some(text("hello")));
        }
        refused && server.handle().queued(deaf_id).unwrap() > sockless::Outbound::HARD
    });
    server.handle().shutdown(Duration::from_millis(200));
    assert_eq!(client.receive().unwrap(), Some(text("farewell")));
    assert_eq!(client.receive().unwrap(), None);
    let report = server.stop_within(Duration::ZERO);
    assert_eq!(report.closed, 1);
    let [(id, bytes)] = report.undelivered[..] else { panic!("{report:?}") };
    assert_eq!(id, deaf_id);
    assert!(bytes > 0);
}
