//! Peers that don't read: what a send says, how much is kept, and that nobody else suffers.

use crate::common;
use crate::common::{REQUEST, dial, eventually, skip_head, start, text};
use sockless_mio::{Conn, Error, Handler, Id, Message, Prepared, SendError, Sent, Server, sockless};
use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Echoes, and tells who has come and who takes too little.
struct Watch {
    told: Mutex<Sender<(Id, &'static str)>>,
}

impl Watch {
    fn tell(&self, conn: &Conn<'_>, what: &'static str) {
        self.told.lock().unwrap().send((conn.id(), what)).unwrap();
    }
}

impl Handler for Watch {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        self.tell(conn, "open");
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        conn.send(message)?;
        Ok(())
    }

    fn on_backpressure(&self, conn: &mut Conn<'_>) {
        assert!(conn.queued() > sockless::Outbound::SOFT);
        self.tell(conn, "pressed");
    }

    fn on_drain(&self, conn: &mut Conn<'_>) {
        assert_eq!(conn.queued(), 0);
        self.tell(conn, "drained");
    }
}

#[test]
fn a_send_says_what_becomes_of_it() {
    let (told_by, told) = channel();
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), Watch { told: Mutex::new(told_by) });
    let handle = server.handle();
    let mut slow = dial(server.address());
    slow.write_all(REQUEST).unwrap();
    let (id, what) = told.recv_timeout(common::PATIENCE).unwrap();
    assert_eq!(what, "open");

    // Until the system's buffers are full, and then ours.
    let message = vec![b'x'; 100_000];
    let mut taken: u64 = 0;
    let mut pressed = false;
    eventually("it is refused", || {
        loop {
            match handle.send_binary(id, &message) {
                Ok(_) => taken += 1,
                Err(error) => {
                    assert_eq!(error, SendError::Full);
                    // The system takes some more, now and then, and at first perhaps all.
                    while let Ok((_, what)) = told.try_recv() {
                        pressed = what == "pressed";
                    }
                    return pressed && handle.queued(id).unwrap() > sockless::Outbound::HARD;
                }
            }
        }
    });
    let most = sockless::Outbound::HARD + 2 * message.len();
    assert!(handle.queued(id).unwrap() < most, "{:?}", handle.queued(id));
    assert!(told.try_recv().is_err());

    // A broadcast passes it over, and reaches the others.
    let mut other = server.connect();
    assert_eq!(told.recv_timeout(common::PATIENCE).unwrap().1, "open");
    handle.broadcast(&Prepared::text("all")).unwrap();
    assert_eq!(other.receive().unwrap(), Some(text("all")));
    server.eventually("one was passed over", |stats| stats.dropped >= 1);
    let stats = handle.stats();
    assert_eq!((stats.dropped_slow, stats.dropped_closing), (stats.dropped, 0));

    // When it reads after all, it gets everything that was taken, in order and whole.
    let mut expected = taken * (10 + 100_000);
    skip_head(&mut slow);
    let mut frame = vec![0; 10 + 100_000];
    while expected > 0 {
        slow.read_exact(&mut frame).unwrap();
        assert_eq!(frame[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0x86, 0xA0]);
        assert!(frame[10..].iter().all(|byte| *byte == b'x'));
        expected -= frame.len() as u64;
    }
    assert_eq!(told.recv_timeout(common::PATIENCE).unwrap(), (id, "drained"));
    eventually("nothing waits", || handle.queued(id) == Some(0));
    assert_eq!(handle.send_text(id, "again"), Ok(Sent::Now));
    server.stop();
}

#[test]
fn behind_what_waits_a_message_is_queued() {
    let (told_by, told) = channel();
    let mut config = sockless::Config::default();
    config.outbound.hard = 64 << 20;
    let builder = Server::builder().listen("127.0.0.1:0").workers(1).config(config);
    let server = start(builder, Watch { told: Mutex::new(told_by) });
    let _deaf = common::raw(server.address());
    let (id, _) = told.recv_timeout(common::PATIENCE).unwrap();
    let message = vec![b'x'; 100_000];
    assert_eq!(server.handle().send_binary(id, &message), Ok(Sent::Now));
    eventually("the system takes no more", || server.handle().send_binary(id, &message).unwrap() == Sent::Queued);
    server.stop();
}

/// A hundred peers that send and never read.
#[test]
#[cfg(unix)]
fn others_are_unharmed() {
    let (told_by, _told) = channel();
    // Of TCP the system would take megabytes from each before it was held up.
    let path = std::env::temp_dir().join(format!("sockless-mio-slow-{}.sock", std::process::id()));
    let builder = Server::builder().listen("127.0.0.1:0").listen(format!("unix:{}", path.display())).workers(1);
    let server = start(builder, Watch { told: Mutex::new(told_by) });
    let mut frame = vec![0x82, 0xFE, 0x40, 0, 0, 0, 0, 0];
    frame.resize(8 + 0x4000, b'y');
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        stream.write_all(REQUEST).unwrap();
        stream.set_nonblocking(true).unwrap();
        slow.push((stream, 0));
    }
    server.eventually("all are open", |stats| stats.open == 100);
    let mut client = server.connect();
    // They flood it for as long as it lets them; each is read no more when its own echoes wait.
    let mut sent = 0_u64;
    eventually("none is read any more", || {
        let before = sent;
        for (stream, offset) in &mut slow {
            while let Ok(n) = stream.write(&frame[*offset..]) {
                *offset = (*offset + n) % frame.len();
                sent += n as u64;
            }
        }
        client.send_text("still there?").unwrap();
        assert_eq!(client.receive().unwrap(), Some(text("still there?")));
        before == sent
    });
    for number in 0..1000 {
        client.send_text(&number.to_string()).unwrap();
        assert_eq!(client.receive().unwrap(), Some(text(&number.to_string())));
    }
    // What is kept for each is bounded, so nothing had to be refused.
    let stats = server.handle().stats();
    assert_eq!((stats.open, stats.dropped), (101, 0));
    assert!(stats.bytes_received - stats.bytes_sent < 101 * (4 << 20), "{stats:?}");
    drop(slow);
    server.eventually("all but one are gone", |stats| stats.connections == 1);
    server.stop();
}

/// Answers with a lot.
struct Generous;

impl Handler for Generous {
    type State = ();

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        let mut answer = vec![b'a'; 1 << 20];
        answer.extend_from_slice(message.as_bytes());
        conn.send_binary(&answer)?;
        Ok(())
    }
}

#[test]
fn what_came_in_one_read_is_answered_as_the_peer_takes_it() {
    let mut config = sockless::Config::default();
    (config.outbound.soft, config.outbound.hard) = (1000, 2000);
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1).config(config), Generous);
    let mut client = dial(server.address());
    let mut stream = REQUEST.to_vec();
    for number in 0..40 {
        stream.extend([0x82, 0x81, 0, 0, 0, 0, number]);
    }
    client.write_all(&stream).unwrap();
    skip_head(&mut client);
    let len = (1 << 20) + 1;
    let mut answer = vec![0; 10 + len as usize];
    for number in 0..40 {
        client.read_exact(&mut answer).unwrap();
        let length = u64::to_be_bytes(len);
        assert_eq!((&answer[..2], &answer[2..10], answer.last()), (&[0x82, 127][..], &length[..], Some(&number)));
    }
    server.stop();
}

/// Says that it has a message, and keeps its worker until it is let go.
struct Gate {
    opened: Sender<Id>,
    entered: Sender<()>,
    release: Mutex<Receiver<()>>,
}

impl Handler for Gate {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        self.opened.send(conn.id()).unwrap();
    }

    fn on_message(&self, _: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
        self.entered.send(()).unwrap();
        Ok(self.release.lock().unwrap().recv_timeout(common::PATIENCE)?)
    }
}

/// Otherwise as much again would be taken, and then be lost.
#[test]
fn what_a_worker_has_taken_counts_until_it_is_sent() {
    let mut config = sockless::Config::default();
    (config.outbound.soft, config.outbound.hard) = (1000, 2000);
    let ((opened, ids), (entered, inside), (let_go, release)) = (channel(), channel(), channel());
    let gate = Gate { opened, entered, release: Mutex::new(release) };
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1).config(config), gate);
    let handle = server.handle();
    let (mut to, mut other) = (server.connect(), server.connect());
    let id = ids.recv_timeout(common::PATIENCE).unwrap();

    other.send_text("keep it busy").unwrap();
    inside.recv_timeout(common::PATIENCE).unwrap();
    let mut taken = 0;
    while handle.send_binary(id, &[taken; 100]).is_ok() {
        taken += 1;
    }
    // In its next turn the worker takes them first, and before it sends them it has this.
    other.send_text("again").unwrap();
    let_go.send(()).unwrap();
    inside.recv_timeout(common::PATIENCE).unwrap();
    assert_eq!(handle.send_binary(id, b"more"), Err(SendError::Full));
    let_go.send(()).unwrap();
    for number in 0..taken {
        assert_eq!(to.receive().unwrap(), Some(Message::from(&[number; 100][..]).into_owned()));
    }
    eventually("there is room again", || handle.queued(id) == Some(0));
    assert_eq!(handle.send_text(id, "more"), Ok(Sent::Now));
    assert_eq!(to.receive().unwrap(), Some(text("more")));
    assert_eq!(handle.stats().dropped, 0);
    server.stop();
}
