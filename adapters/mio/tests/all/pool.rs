//! Handlers in the pool: in order for each connection, at the same time for different ones, never without bound.

use crate::common;
use crate::common::{eventually, start, text};
use sockless_mio::{Closed, Conn, Error, Handler, Message, SendError, Server};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};

/// A handler that waits until the test opens a gate.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opens: Condvar,
    waiting: AtomicUsize,
    called: AtomicUsize,
    closed: AtomicUsize,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opens.notify_all();
    }

    fn wait(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let open = self.open.lock().unwrap();
        drop(self.opens.wait_timeout_while(open, common::PATIENCE, |open| !*open).unwrap());
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.called.fetch_add(1, Ordering::SeqCst);
    }
}

struct Slow(Arc<Gate>);

impl Handler for Slow {
    /// Whether a call of this connection's is under way, and how many were before.
    type State = (bool, usize);

    fn on_message(&self, conn: &mut Conn<'_, (bool, usize)>, message: Message<'_>) -> Result<(), Error> {
        assert!(!std::mem::replace(&mut conn.state_mut().0, true), "two at once");
        self.0.wait();
        assert_eq!(message.as_bytes(), conn.state().1.to_string().as_bytes());
        conn.state_mut().0 = false;
        conn.state_mut().1 += 1;
        conn.send(message)?;
        Ok(())
    }

    fn on_close(&self, _: &mut Conn<'_, (bool, usize)>, _: Closed) {
        self.0.closed.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits likewise, whatever comes.
struct Count(Arc<Gate>);

impl Handler for Count {
    type State = ();

    fn on_message(&self, _: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
        self.0.wait();
        Ok(())
    }
}

#[test]
fn each_in_order_and_all_at_once() {
    let gate = Arc::new(Gate::default());
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1).pool(3, 1000), Slow(gate.clone()));
    let mut clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for client in &mut clients {
        for number in 0..20 {
            client.send_text(&number.to_string()).unwrap();
        }
    }
    // As many as there are threads, each for another connection; the loop itself goes on.
    eventually("three are under way", || gate.waiting.load(Ordering::SeqCst) == 3);
    server.eventually("all were read", |stats| stats.messages_received == 100);
    clients[0].ping(b"there?").unwrap();
    assert_eq!(clients[0].receive_pong(common::PATIENCE).unwrap(), b"there?");
    assert_eq!((gate.waiting.load(Ordering::SeqCst), gate.called.load(Ordering::SeqCst)), (3, 0));
    gate.open();
    for client in &mut clients {
        for number in 0..20 {
            assert_eq!(client.receive().unwrap(), Some(text(&number.to_string())));
        }
    }
    drop(clients);
    eventually("all have closed", || gate.closed.load(Ordering::SeqCst) == 5);
    server.stop();
}

#[test]
fn a_flood_is_not_read() {
    let gate = Arc::new(Gate::default());
    let server =
        start(Server::builder().listen("127.0.0.1:0").workers(1).pool(1, 10).read_buffer(4096), Slow(gate.clone()));
    let mut flood = server.connect();
    // One at a time, so that each read brings few.
    for number in 0..10 {
        flood.send_text(&number.to_string()).unwrap();
        server.eventually("it was read", |stats| stats.messages_received > number);
    }
    for number in 10..2000 {
        flood.send_text(&number.to_string()).unwrap();
    }
    // Others are served their handshake, as far as the handler has no part in it.
    assert_eq!(server.handle().stats().messages_received, 10);
    gate.open();
    for number in 0..2000 {
        assert_eq!(flood.receive().unwrap(), Some(text(&number.to_string())));
    }
    server.stop();
}

#[test]
fn a_shutdown_waits_for_what_was_begun() {
    let gate = Arc::new(Gate::default());
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1).pool(2, 100), Slow(gate.clone()));
    let mut client = server.connect();
    for number in 0..10 {
        client.send_text(&number.to_string()).unwrap();
    }
    server.eventually("all were read", |stats| stats.messages_received == 10);
    server.handle().shutdown(common::PATIENCE).unwrap();
    gate.open();
    for number in 0..10 {
        assert_eq!(client.receive().unwrap(), Some(text(&number.to_string())));
    }
    assert_eq!(client.receive().unwrap(), None);
    assert_eq!(client.closed().map(|close| close.code), Some(sockless_mio::Code::AWAY));
    let report = server.stop_within(common::PATIENCE);
    assert_eq!((report.closed, report.cut_off.len()), (1, 0));
    assert_eq!(gate.closed.load(Ordering::SeqCst), 1);
}

/// Bytes count too: of long messages fewer wait.
#[test]
fn a_flood_of_long_messages_is_not_read() {
    let gate = Arc::new(Gate::default());
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1).pool(1, 1000), Count(gate.clone()));
    let (mut flood, mut other) = (common::raw(server.address()), common::raw(server.address()));
    let message = [&[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[7; 0x1_0000]].concat();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..200).for_each(|_| flood.write_all(&message).unwrap()));
        eventually("one is under way", || gate.waiting.load(Ordering::SeqCst) == 1);
        // Were there no bound, more would have come by the time that another connection has been served many times.
        for _ in 0..50 {
            other.write_all(b"\x89\x80\0\0\0\0").unwrap();
            other.read_exact(&mut [0; 2]).unwrap();
        }
        let read = server.handle().stats().messages_received;
        gate.open();
        assert!(read <= 4, "{read} were read");
        eventually("all are handled", || gate.called.load(Ordering::SeqCst) == 200);
    });
    server.stop();
}

/// What others have a connection do waits in the pool too, and no more of it than there is room for.
#[test]
fn a_flood_of_tasks_is_refused() {
    let gate = Arc::new(Gate::default());
    let (opened, ids) = channel();
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1).pool(1, 1000), Count(gate.clone()));
    let mut peer = common::raw(server.address());
    server.handle().each(move |conn| opened.send(conn.id()).unwrap(), || {}).unwrap();
    let id = ids.recv_timeout(common::PATIENCE).unwrap();
    peer.write_all(b"\x82\x80\0\0\0\0").unwrap();
    eventually("it is under way", || gate.waiting.load(Ordering::SeqCst) == 1);
    let ran = Arc::new(AtomicUsize::new(0));
    let mut taken = 0;
    let refused = loop {
        let ran = ran.clone();
        match server.handle().run(id, move |_| _ = ran.fetch_add(1, Ordering::SeqCst)) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 1_000_000, "no end of them is taken");
    };
    assert_eq!(refused, SendError::Full);
    gate.open();
    eventually("they are called", || ran.load(Ordering::SeqCst) == taken);
    server.handle().run(id, |_| {}).unwrap();
    server.stop();
}
