//! A connection in two halves: threads that send beside one that receives.

use crate::common;
use crate::common::{PATIENCE, bytes, config, echo, pair, pair_with, sockets, within};
use sockless_std::sockless::{Code, Kind, Prepared, ProtocolError, Role, SendError};
use sockless_std::{Error, Event, NoTimeouts, Stream, WebSocket};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The peer echoes; the halves send and receive at once.
fn talk<S: Stream + Send + 'static, T: Stream + Send + 'static>((client, server): (WebSocket<S>, WebSocket<T>)) {
    const COUNT: usize = 100;
    let serving = thread::spawn(|| echo(server));
    let (sender, mut receiver) = client.split().unwrap();
    let sending: Vec<_> = (0..3_u8)
        .map(|who| {
            let sender = sender.clone();
            thread::spawn(move || {
                for number in 0..COUNT {
                    sender.send(&vec![who; 1 + number * 300][..]).unwrap();
                }
            })
        })
        .collect();
    let mut counts = [0; 3];
    for _ in 0..3 * COUNT {
        let message = within("an echo", || receiver.recv()).unwrap().unwrap();
        let who = message.as_bytes()[0];
        // Those of each come in their order, and whole.
        let count = &mut counts[usize::from(who)];
        assert_eq!(message.as_bytes(), vec![who; 1 + *count * 300]);
        *count += 1;
    }
    for thread in sending {
        within("an end", || thread.join()).unwrap();
    }
    sender.send_fragment(Kind::Text, b"one, ", false).unwrap();
    sender.send_fragment(Kind::Text, b"two", true).unwrap();
    assert_eq!(within("an echo", || receiver.recv()).unwrap(), Some("one, two".into()));
    sender.send_prepared(&Prepared::text("prepared")).unwrap();
    assert_eq!(within("an echo", || receiver.recv()).unwrap(), Some("prepared".into()));
    sender.ping(b"ping").unwrap();
    assert_eq!(within("a pong", || receiver.recv_event()).unwrap(), Some(Event::Pong(b"ping"[..].into())));
    sender.send("in parts").unwrap();
    let piece = within("a piece", || receiver.recv_piece()).unwrap().unwrap();
    assert_eq!((piece.data.as_bytes(), piece.first, piece.last), (&b"in parts"[..], true, true));
    sender.close(1000, "bye").unwrap();
    assert_eq!(within("the end", || receiver.recv()).unwrap(), None);
    assert_eq!(receiver.peer_close().unwrap().code, Code::NORMAL);
    within("its end", || serving.join()).unwrap().unwrap();
    let refused = sender.send("too late");
    assert!(matches!(refused, Err(Error::Closed(_))), "{refused:?}");
}

#[test]
fn over_tcp() {
    talk(pair());
}

#[cfg(unix)]
#[test]
fn over_unix_sockets() {
    let (client, server) = std::os::unix::net::UnixStream::pair().unwrap();
    let open = common::open;
    talk((open(client, Role::Client, Default::default()), common::open(server, Role::Server, Default::default())));
}

#[cfg(feature = "deflate")]
#[test]
fn compressed() {
    let deflate = || config(|config| config.deflate = Some(Default::default()));
    talk(pair_with(deflate(), deflate()));
}

#[test]
fn both_ends_in_halves_that_both_send_much() {
    let (client, server) = pair();
    let ends = [client, server].map(|socket| {
        let (sender, mut receiver) = socket.split().unwrap();
        let sending = thread::spawn(move || {
            for number in 0..60_u8 {
                sender.send(&[number; 1 << 18][..]).unwrap();
            }
            sender
        });
        let receiving = thread::spawn(move || {
            for number in 0..60_u8 {
                assert_eq!(receiver.recv().unwrap().unwrap().as_bytes(), [number; 1 << 18]);
            }
            receiver
        });
        (sending, receiving)
    });
    let ends = ends.map(|(sending, receiving)| {
        (within("all sent", || sending.join()).unwrap(), within("all received", || receiving.join()).unwrap())
    });
    let [(sender, mut receiver), (_, mut other)] = ends;
    sender.close(1000, "").unwrap();
    assert_eq!(within("the end", || other.recv()).unwrap(), None);
    assert_eq!(within("its end", || receiver.recv()).unwrap(), None);
}

#[test]
fn pings_are_answered_while_a_sender_is_stuck() {
    let (client, mut server) = pair();
    let (sender, mut receiver) = client.split().unwrap();
    // More than the transport holds, to a peer that does not take it yet.
    let sending = thread::spawn(move || sender.send(&bytes(16 << 20)[..]));
    let receiving = thread::spawn(move || (receiver.recv(), receiver));
    server.ping(b"there?").unwrap();
    server.set_limits(sockless_std::sockless::Limits { message: 64 << 20, ..Default::default() });
    // The pong comes behind the message, or in the midst of it if that is cut; the sender writes it.
    let mut told = Vec::new();
    while told.len() < 2 {
        told.push(within("an event", || server.recv_event()).unwrap().unwrap());
    }
    assert!(told.contains(&Event::Pong(b"there?"[..].into())));
    within("the message", || sending.join()).unwrap().unwrap();
    server.start_close(1000, "").unwrap();
    assert_eq!(within("the end", || server.recv()).unwrap(), None);
    assert_eq!(within("its end", || receiving.join()).unwrap().0.unwrap(), None);
}

#[test]
fn deadlines_are_kept_by_who_receives() {
    let short = Some(Duration::from_millis(30));
    let impatient = config(|config| (config.keepalive.ping, config.keepalive.pong) = (short, short));
    let (client, server) = pair_with(impatient, Default::default());
    let (sender, mut receiver) = client.split().unwrap();
    // A sender that is stuck is told too.
    let sending = thread::spawn(move || {
        loop {
            if let Err(error) = sender.send(&bytes(1 << 18)[..]) {
                break error;
            }
        }
    });
    let given_up = within("the end", || receiver.recv());
    assert!(matches!(given_up, Err(Error::Protocol(ProtocolError::PongTimeout))), "{given_up:?}");
    assert_eq!(receiver.recv().unwrap(), None);
    let refused = within("its end", || sending.join()).unwrap();
    assert!(matches!(refused, Error::Send(SendError::Closing)), "{refused:?}");
    drop(server);
}

#[test]
fn a_peer_that_goes_is_told_to_both() {
    let (client, server) = pair();
    let (sender, mut receiver) = client.split().unwrap();
    drop(server);
    let gone = within("the end", || receiver.recv());
    assert!(matches!(gone, Err(Error::Protocol(ProtocolError::UnexpectedEof) | Error::Io(_))), "{gone:?}");
    let refused = within("a refusal", || {
        loop {
            if let Err(error) = sender.send("hello?") {
                break error;
            }
        }
    });
    assert!(matches!(refused, Error::Send(SendError::Closing) | Error::Io(_)), "{refused:?}");
}

#[test]
fn a_breach_of_the_protocol_is_told_to_the_peer() {
    let (stream, served) = sockets();
    let server = common::open(served, Role::Server, Default::default());
    let (_sender, mut receiver) = server.split().unwrap();
    (&stream).write_all(b"\x83\x80\0\0\0\0").unwrap();
    let telling = thread::spawn(move || {
        let mut said = Vec::new();
        std::io::Read::read_to_end(&mut &stream, &mut said).unwrap();
        said
    });
    let failed = within("the end", || receiver.recv());
    assert!(matches!(failed, Err(Error::Protocol(ProtocolError::ReservedOpcode(3)))), "{failed:?}");
    assert_eq!(within("what was said", || telling.join()).unwrap()[..4], [0x88, 2, 3, 0xEA]);
}

#[test]
fn another_thread_has_both_closed() {
    let (mut client, mut server) = pair();
    let closer = client.closer();
    let (sender, mut receiver) = client.split().unwrap();
    sender.send("first").unwrap();
    let receiving = thread::spawn(move || receiver.recv().unwrap());
    closer.go_away();
    assert_eq!(within("what was sent", || server.recv()).unwrap(), Some("first".into()));
    assert_eq!(within("the end", || server.recv()).unwrap(), None);
    assert_eq!(server.peer_close().unwrap().code, Code::AWAY);
    assert_eq!(within("its end", || receiving.join()).unwrap(), None);
}

/// A socket that lets nothing out before a gate is open.
struct Gated {
    stream: TcpStream,
    held: Vec<u8>,
    is_open: Arc<AtomicBool>,
}

impl Read for Gated {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf)
    }
}

impl Write for Gated {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.is_open.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.write_all(&std::mem::take(&mut self.held))
    }
}

impl Stream for Gated {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    fn split(self) -> io::Result<(Self, Self)> {
        let reader = Self { stream: self.stream.try_clone()?, held: Vec::new(), is_open: self.is_open.clone() };
        Ok((reader, self))
    }
}

#[test]
fn the_end_waits_for_what_the_stream_holds_back() {
    let (stream, served) = sockets();
    let mut client = common::open(stream, Role::Client, Default::default());
    let is_open = Arc::new(AtomicBool::new(true));
    let gated = Gated { stream: served, held: Vec::new(), is_open: is_open.clone() };
    let (sender, mut receiver) = common::open(gated, Role::Server, Default::default()).split().unwrap();
    sender.send("first").unwrap();
    assert_eq!(within("a message", || client.recv()).unwrap(), Some("first".into()));
    is_open.store(false, Ordering::SeqCst);
    let receiving = thread::spawn(move || receiver.recv());
    client.start_close(1000, "").unwrap();
    client.flush().unwrap();
    client.set_recv_timeout(Duration::from_millis(100));
    assert!(matches!(within("nothing", || client.recv()), Err(Error::TimedOut)));
    is_open.store(true, Ordering::SeqCst);
    client.set_recv_timeout(None);
    assert_eq!(within("the end", || client.recv()).unwrap(), None);
    assert_eq!(client.peer_close().unwrap().code, Code::NORMAL);
    assert_eq!(within("its end", || receiving.join()).unwrap().unwrap(), None);
}

#[test]
fn receiving_has_a_limit_if_it_is_set() {
    let (client, mut server) = pair();
    let (_sender, mut receiver) = client.split().unwrap();
    receiver.set_recv_timeout(Duration::from_millis(20));
    assert!(matches!(within("the limit", || receiver.recv()), Err(Error::TimedOut)));
    server.send("late").unwrap();
    receiver.set_recv_timeout(PATIENCE);
    assert_eq!(within("a message", || receiver.recv()).unwrap(), Some("late".into()));
}

#[test]
fn what_was_read_before_they_were_parted_is_received_behind() {
    let (mut client, mut server) = pair();
    for message in ["one", "two", "three"] {
        server.feed(message).unwrap();
    }
    server.flush().unwrap();
    assert_eq!(within("a message", || client.recv()).unwrap(), Some("one".into()));
    let (_sender, mut receiver) = client.split().unwrap();
    for message in ["two", "three"] {
        assert_eq!(within("a message", || receiver.recv()).unwrap(), Some(message.into()));
    }
}

#[test]
fn what_cannot_be_parted_is_refused() {
    let (stream, _served) = sockets();
    let socket = common::open(NoTimeouts(stream), Role::Client, Default::default());
    assert!(matches!(socket.split().map(drop), Err(Error::Io(_))));
    let (mut client, server) = pair();
    client.start_close(1000, "").unwrap();
    client.flush().unwrap();
    let ending = thread::spawn(|| echo(server));
    assert_eq!(within("the end", || client.recv()).unwrap(), None);
    within("its end", || ending.join()).unwrap().unwrap();
    assert!(matches!(client.split().map(drop), Err(Error::Closed(_) | Error::Send(SendError::Closing))));
}
