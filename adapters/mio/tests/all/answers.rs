//! Who may stop reading for what waits to go out: a server, for what its handler has answered. Nobody else, so that no two
//! ends wait for each other.

use crate::common::{PATIENCE, eventually, raw, start, watch};
use sockless_mio::{Builder, ClientRequest, Conn, Error, Handle, Handler, Id, Message, SendError, Server};
use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// Answers each message with itself, and waits until it may.
struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        // In the pool, it may be ahead of the loop that reads no more.
        while let Err(error) = conn.send_binary(message.as_bytes()) {
            if error != SendError::Full {
                return Err(error.into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Answers each message with itself at once.
fn echo(conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
    conn.send(message)?;
    Ok(())
}

/// Tells who has come, and what was heard.
struct Listen {
    opened: Sender<Id>,
    heard: Mutex<Sender<usize>>,
}

impl Handler for Listen {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        self.opened.send(conn.id()).unwrap();
    }

    fn on_message(&self, _: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        Ok(self.heard.lock().unwrap().send(message.as_bytes().len())?)
    }
}

/// Sends so many megabytes, as fast as they are taken.
fn send_all(handle: &Handle, to: Id, count: usize) {
    let message = vec![7; 1_000_000];
    for _ in 0..count {
        eventually("it is taken", || match handle.send_binary(to, &message) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error, SendError::Full);
                false
            }
        });
    }
}

fn on_the_loop(builder: Builder) -> Builder {
    builder.workers(1)
}

fn in_the_pool(builder: Builder) -> Builder {
    builder.workers(1).pool(2, 100)
}

/// All settings are the defaults: what is on its way is more than both ends and the system between them hold.
#[test]
fn a_client_that_sends_much_gets_it_all_back() {
    for at_server in [on_the_loop, in_the_pool] {
        for at_client in [on_the_loop, in_the_pool] {
            let server = start(at_server(Server::builder().listen("127.0.0.1:0")), Echo);
            let ((opened, ids), (heard, hears)) = (channel(), channel());
            let client = start(at_client(Server::builder()), Listen { opened, heard: Mutex::new(heard) });
            client.handle().connect(&ClientRequest::new(&server.url()).unwrap(), |_| {}).unwrap();
            let id = ids.recv_timeout(PATIENCE).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| send_all(client.handle(), id, 60));
                for _ in 0..60 {
                    watch();
                    assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), 1_000_000);
                }
            });
            client.stop();
            server.stop();
        }
    }
}

/// What a server sends of its own accord, from other threads or by tasks, does not stop its reading either.
#[test]
fn a_server_that_sends_much_reads_on() {
    for builder in [on_the_loop, in_the_pool] {
        for by_task in [false, true] {
            let ((opened, ids), (heard, hears)) = (channel(), channel());
            let listen = Listen { opened, heard: Mutex::new(heard) };
            let server = start(builder(Server::builder().listen("127.0.0.1:0")), listen);
            let mut peer = raw(server.address());
            let id = ids.recv_timeout(PATIENCE).unwrap();
            // The peer takes nothing.
            let message = vec![7; 100_000];
            eventually("no more is taken", || {
                if !by_task {
                    return server.handle().send_binary(id, &message) == Err(SendError::Full);
                }
                let ((told, tells), message) = (channel(), message.clone());
                server.handle().run(id, move |conn| told.send(conn.send_binary(&message)).unwrap()).unwrap();
                tells.recv_timeout(PATIENCE).unwrap() == Err(SendError::Full)
            });
            for len in 0..100 {
                let payload = vec![0; len];
                peer.write_all(&[&[0x82, 0x80 | len as u8, 0, 0, 0, 0], &payload[..]].concat()).unwrap();
                assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), len);
            }
            server.stop();
        }
    }
}

/// A server waits with reading while its answers wait, so that a peer which does not take them is owed no more than there is
/// room for.
#[test]
fn who_takes_no_answers_is_not_heard() {
    for builder in [on_the_loop(Server::builder()), Server::builder().workers(1).pool(1, 4)] {
        let server = start(builder.listen("127.0.0.1:0"), echo);
        let mut peer = raw(server.address());
        let frame = [&[0x82, 0xFE, 0x40, 0, 0, 0, 0, 0][..], &[7; 0x4000]].concat();
        peer.set_nonblocking(true).unwrap();
        let (mut sent, mut offset, mut idle) = (0, 0, 0);
        // Until it is not read for a while, or as good as for ever.
        while idle < 100 && sent < 4000 {
            match peer.write(&frame[offset..]) {
                Ok(n) => {
                    (sent, offset) = (sent + (offset + n) / frame.len(), (offset + n) % frame.len());
                    idle = 0;
                }
                Err(_) => {
                    idle += 1;
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
        peer.set_nonblocking(false).unwrap();
        let mut writer = peer.try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&frame[offset..]).unwrap());
            let mut answer = vec![0; 4 + 0x4000];
            for _ in 0..sent + 1 {
                peer.read_exact(&mut answer).unwrap();
                assert_eq!(answer[..4], [0x82, 126, 0x40, 0]);
            }
        });
        server.stop();
    }
}
