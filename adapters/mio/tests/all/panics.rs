//! Panics of the application: wherever one comes, it is counted, and harms no other connection than its own.

use crate::common;
use crate::common::{Started, dial, start, text};
use sockless_mio::{Answer, Builder, Closed, Conn, Error, Handler, Id, Message, Request, Server};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// Where a panic is wanted next, once; one test at a time says so.
static WANTED: Mutex<&str> = Mutex::new("");
static TURN: Mutex<()> = Mutex::new(());

fn here(place: &str) {
    let mut wanted = WANTED.lock().unwrap();
    if *wanted == place {
        *wanted = "";
        drop(wanted);
        panic!("a panic that the test asked for, in {place}");
    }
}

struct Breaks {
    opened: Mutex<Sender<Id>>,
}

/// Panics when it is made, or dropped.
struct Fragile(&'static str);

impl Default for Fragile {
    fn default() -> Self {
        here("a state that is made");
        Self("a state that is dropped")
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        here(self.0);
    }
}

impl Handler for Breaks {
    type State = Fragile;

    fn on_accept(&self, _: Option<SocketAddr>) -> bool {
        here("on_accept");
        true
    }

    fn on_request(&self, _: &mut Conn<'_, Fragile>, request: &Request<'_>) -> Answer {
        here("on_request");
        request.accept().into()
    }

    fn on_open(&self, conn: &mut Conn<'_, Fragile>) {
        here("on_open");
        self.opened.lock().unwrap().send(conn.id()).unwrap();
    }

    fn on_message(&self, conn: &mut Conn<'_, Fragile>, message: Message<'_>) -> Result<(), Error> {
        here("on_message");
        conn.send(message)?;
        Ok(())
    }

    fn on_ping(&self, _: &mut Conn<'_, Fragile>, _: &[u8]) {
        here("on_ping");
    }

    fn on_close(&self, _: &mut Conn<'_, Fragile>, _: Closed) {
        here("on_close");
    }
}

struct Test {
    server: Started<Fragile>,
    opened: Receiver<Id>,
    panics: u64,
}

impl Test {
    fn new(builder: Builder) -> Self {
        let (opened_by, opened) = channel();
        let server = start(builder.listen("127.0.0.1:0").workers(1), Breaks { opened: Mutex::new(opened_by) });
        Self { server, opened, panics: 0 }
    }

    /// Waits for the panic that is wanted; then another is served.
    fn breaks(&mut self, place: &str) {
        self.panics += 1;
        self.server.eventually(place, |stats| stats.panics == self.panics);
        let mut client = self.server.connect();
        client.send_text("hello").unwrap();
        assert_eq!(client.receive().unwrap(), Some(text("hello")));
    }
}

const PING: &[u8] = b"\x89\x80\0\0\0\0";
const TEXT: &[u8] = b"\x81\x80\0\0\0\0";

fn run(builder: fn() -> Builder) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut test = Test::new(builder());
    for (place, say) in [
        ("on_accept", TEXT),
        ("a state that is made", TEXT),
        ("on_request", TEXT),
        ("on_open", TEXT),
        ("on_message", TEXT),
        ("on_ping", PING),
        ("on_close", TEXT),
        ("a state that is dropped", TEXT),
    ] {
        *WANTED.lock().unwrap() = place;
        let mut peer = dial(test.server.address());
        // The server may have hung up.
        _ = peer.write_all(&[common::REQUEST, say].concat());
        if ["on_close", "a state that is dropped"].contains(&place) {
            drop(peer);
            test.breaks(place);
        } else {
            test.breaks(place);
            drop(peer);
        }
    }
    test.server.eventually("all are gone", |stats| stats.connections == 0);

    // By other threads: in a task, in what a task leaves behind that comes too late, and behind the last of many.
    while test.opened.try_recv().is_ok() {}
    let client = test.server.connect();
    let id = test.opened.recv_timeout(common::PATIENCE).unwrap();
    *WANTED.lock().unwrap() = "a task";
    test.server.handle().run(id, |_| here("a task")).unwrap();
    test.breaks("a task");
    *WANTED.lock().unwrap() = "what follows";
    test.server.handle().each(|_| {}, || here("what follows")).unwrap();
    test.breaks("what follows");
    drop(client);
    let mut served = test.server.connect();
    served.send_text("hello").unwrap();
    assert_eq!(served.receive().unwrap(), Some(text("hello")));
    test.server.stop();
}

#[test]
fn on_the_loop() {
    run(Server::builder);
}

#[test]
fn in_the_pool() {
    run(|| Server::builder().pool(1, 100));
}
