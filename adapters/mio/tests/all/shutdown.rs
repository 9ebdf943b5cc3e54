//! Shutting down: everybody is told, nothing that was taken is lost, and what could not go out is reported.

use crate::common;
use crate::common::{dial, start, text};
use sockless_mio::{Code, Conn, Drain, Error, Handler, Id, Message, Prepared, SendError, Server, sockless};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
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
    handle.shutdown(common::PATIENCE).unwrap();
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
    assert_eq!(report.cut_off, []);
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
    server.handle().shutdown(Duration::from_millis(200)).unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("farewell")));
    assert_eq!(client.receive().unwrap(), None);
    let report = server.stop_within(Duration::ZERO);
    assert_eq!(report.closed, 1);
    let [(id, bytes)] = report.cut_off[..] else { panic!("{report:?}") };
    assert_eq!(id, deaf_id);
    assert!(bytes > 0);
}

/// Notes whom it has taken leave of, and still speaks to the last.
struct Leaving {
    opened: Mutex<Sender<Id>>,
    left: Mutex<Vec<Id>>,
    last: Mutex<Option<Id>>,
}

impl Handler for Leaving {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        self.opened.lock().unwrap().send(conn.id()).unwrap();
    }

    fn on_message(&self, _: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn on_shutdown(&self, conn: &mut Conn<'_>) {
        self.left.lock().unwrap().push(conn.id());
        if let Some(last) = self.last.lock().unwrap().take() {
            conn.handle().send_text(last, "still served").unwrap();
        }
    }
}

#[test]
fn peers_are_told_over_a_span_and_served_until_they_are() {
    const CLIENTS: u64 = 10;
    let (opened, opens) = channel();
    let leaving = Leaving { opened: Mutex::new(opened), left: Mutex::default(), last: Mutex::default() };
    let leaving = Arc::new(leaving);
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), Shared(leaving.clone()));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let client = server.connect();
        clients.push((opens.recv_timeout(common::PATIENCE).unwrap(), client));
    }
    let handle = server.handle();
    // What cannot be said ends nothing.
    assert_eq!(handle.shutdown(Drain { code: Code::ABNORMAL, ..Drain::default() }), Err(SendError::CloseCode(1006)));
    assert_eq!(
        handle.shutdown(Drain { reason: "x".repeat(124).into(), ..Drain::default() }),
        Err(SendError::LongControl)
    );

    // With one worker that has had no other connections, their numbers are those of the order that they came in.
    let drain = Drain {
        span: Duration::from_secs(2),
        code: Code::RESTART,
        reason: "back soon".into(),
        grace: common::PATIENCE,
    };
    let mut order: Vec<u64> = (0..CLIENTS).collect();
    order.sort_by_key(|number| drain.delay(*number));
    let expected: Vec<Id> = order.iter().map(|number| clients[*number as usize].0).collect();
    let last = order[CLIENTS as usize - 1] as usize;
    *leaving.last.lock().unwrap() = Some(clients[last].0);
    handle.shutdown(drain).unwrap();
    handle.shutdown(Duration::ZERO).unwrap(); // too late to change it
    assert_eq!(clients[last].1.receive().unwrap(), Some(text("still served")));
    assert!(TcpStream::connect(server.address()).is_err(), "it listens still");
    for (_, client) in &mut clients {
        assert_eq!(client.receive().unwrap(), None);
        let close = client.closed().unwrap();
        assert_eq!((close.code, &*close.reason), (Code::RESTART, "back soon"));
    }
    assert_eq!(handle.send_text(clients[0].0, "late"), Err(SendError::Closing));
    let report = server.stop_within(Duration::ZERO);
    assert_eq!((report.closed, report.cut_off), (CLIENTS as usize, vec![]));
    assert_eq!(*leaving.left.lock().unwrap(), expected);
}

/// A handler that the test sees too.
struct Shared(Arc<Leaving>);

impl Handler for Shared {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        self.0.on_open(conn);
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        self.0.on_message(conn, message)
    }

    fn on_shutdown(&self, conn: &mut Conn<'_>) {
        self.0.on_shutdown(conn);
    }
}

/// Whoever is closing already is told nothing more, and gets what waits for it.
#[test]
fn a_closing_handshake_that_is_under_way_goes_on() {
    let (came, comes) = channel();
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), Farewell { came: Mutex::new(came) });
    let mut client = server.connect();
    let id = comes.recv_timeout(common::PATIENCE).unwrap();
    // Until the system's buffers are full, and ours.
    let long = "x".repeat(900_000);
    let mut taken = 0;
    common::eventually("it is refused", || {
        let refused = server.handle().send_text(id, &long).is_err();
        taken += usize::from(!refused);
        refused && server.handle().queued(id).unwrap() > sockless::Outbound::HARD && taken > 3
    });
    server.handle().close(id, 4001, "enough").unwrap();
    server.handle().shutdown(common::PATIENCE).unwrap();
    for _ in 0..taken {
        assert_eq!(client.receive().unwrap(), Some(text(&long)));
    }
    assert_eq!(client.receive().unwrap(), None);
    assert_eq!(client.closed().map(|close| u16::from(close.code)), Some(4001));
    let report = server.stop_within(Duration::ZERO);
    assert_eq!((report.closed, report.cut_off), (1, vec![]));
}

/// Once all are told, nothing more is taken, although there is somebody who has not answered.
#[test]
fn nothing_is_taken_behind_a_span() {
    let (came, comes) = channel();
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), Farewell { came: Mutex::new(came) });
    let mut silent = common::raw(server.address());
    let id = comes.recv_timeout(common::PATIENCE).unwrap();
    let message = Prepared::text("to all");
    server.handle().broadcast(&message).unwrap();
    server.handle().shutdown(Drain { span: Duration::from_millis(1), ..Drain::default() }).unwrap();
    let mut told = [0; 8 + 10 + 4];
    silent.read_exact(&mut told).unwrap();
    assert_eq!(told, *b"\x81\x06to all\x81\x08farewell\x88\x02\x03\xe9");
    common::eventually("it is refused", || server.handle().broadcast(&message) == Err(SendError::Closing));
    assert!(server.handle().queued(id).is_some(), "it is still there");
    drop(silent);
    server.stop();
}
