//! Descriptors: none is leaked, and when there are none left, load is shed and the server lives on.
#![cfg(target_os = "linux")]

#[allow(dead_code)] // It uses a part.
#[path = "all/common/mod.rs"]
mod common;

use common::{dial, eventually, start, text};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sockless_mio::{Conn, Error, Handler, Message, Server};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Echoes, and counts what it is told could not be accepted.
struct Echo(Arc<AtomicUsize>);

impl Handler for Echo {
    type State = ();

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        conn.send(message)?;
        Ok(())
    }

    fn on_accept_error(&self, error: &io::Error) {
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Gets a descriptor that is there: Linux takes one for an `accept` before it sees that nobody waits.
fn insist<T>(get: impl Fn() -> io::Result<T>) -> T {
    let mut got = None;
    eventually("there is a descriptor", || {
        got = get().ok();
        got.is_some()
    });
    got.unwrap()
}

/// One test: descriptors are the whole process's.
#[test]
fn descriptors_come_back_and_run_out() {
    let before = descriptors();
    let failed = Arc::new(AtomicUsize::new(0));
    let server = start(Server::builder().listen("127.0.0.1:0").workers(2), Echo(failed.clone()));
    for _ in 0..20 {
        let clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
        drop(clients);
        for _ in 0..20 {
            drop(dial(server.address()));
        }
    }
    server.eventually("all are gone", |stats| stats.connections == 0 && stats.accepted == 800);
    server.stop();
    eventually("no descriptor is left", || descriptors() == before);
    assert_eq!(failed.load(Ordering::Relaxed), 0);

    // Now with few of them, most taken by others.
    let limit = getrlimit(Resource::Nofile);
    let few = 64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(few), maximum: limit.maximum }).unwrap();
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), Echo(failed.clone()));
    let mut friend = server.connect();
    friend.send_text("first").unwrap();
    assert_eq!(friend.receive().unwrap(), Some(text("first")));
    // A client that is accepted takes two in this process: leave just enough to connect with, and none to accept with.
    let mut mine = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        mine.push(file);
    }
    for _ in 0..50 {
        mine.pop();
        let mut stream = insist(|| TcpStream::connect(server.address()));
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        // Turned away at once, not left to wait.
        match stream.read(&mut [0; 16]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("{other:?}"),
        }
        drop(stream);
        mine.push(insist(|| File::open("/dev/null")));
    }
    server.eventually("they are counted", |stats| stats.refused == 50 && stats.connections == 1);
    assert!(failed.load(Ordering::Relaxed) >= 50, "each is told");
    friend.send_text("still there?").unwrap();
    assert_eq!(friend.receive().unwrap(), Some(text("still there?")));
    drop(mine);
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut client = server.connect();
    client.send_text("back to normal").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("back to normal")));
    server.stop();
}
