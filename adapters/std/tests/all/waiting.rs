//! Deadlines and time limits, and peers that take nothing.

use crate::common::{bytes, config, open, pair, pair_with, sockets, within};
use sockless_std::sockless::{HandshakeError, ProtocolError, Role};
use sockless_std::{Client, ConnectError, Error, Event, Stream, accept_with};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(30);

#[test]
fn a_peer_that_says_nothing_is_given_up() {
    let impatient = config(|config| (config.keepalive.ping, config.keepalive.pong) = (Some(SHORT), Some(SHORT)));
    let (mut client, mut server) = pair_with(impatient, Default::default());
    let given_up = within("the end", || client.recv());
    assert!(matches!(given_up, Err(Error::Protocol(ProtocolError::PongTimeout))), "{given_up:?}");
    // It was asked.
    assert!(matches!(within("a ping", || server.recv_event()).unwrap(), Some(Event::Ping(_))));
}

#[test]
fn a_peer_that_answers_is_kept_and_pings_are_answered_while_a_call_waits() {
    let impatient = config(|config| config.keepalive.ping = Some(Duration::from_millis(5)));
    let (mut client, mut server) = pair_with(impatient, Default::default());
    let waiting = thread::spawn(move || server.recv());
    for _ in 0..3 {
        assert!(matches!(within("a pong", || client.recv_event()).unwrap(), Some(Event::Pong(_))));
    }
    client.send("enough").unwrap();
    assert_eq!(within("its end", || waiting.join()).unwrap().unwrap(), Some("enough".into()));
}

#[test]
fn opening_handshakes_have_an_end() {
    let hasty = || config(|config| config.keepalive.handshake = Some(SHORT));
    let (client, server) = sockets();
    (&client).write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
    let late = within("the end", || accept_with(server, hasty(), |request| Ok(request.accept()))).map(drop);
    let timeout = ProtocolError::Handshake(HandshakeError::Timeout);
    assert!(matches!(late, Err(Error::Protocol(error)) if error == timeout), "{late:?}");
    let (client, _server) = sockets();
    let opening = Client::new("ws://localhost/").config(hasty());
    let late = within("the end", || opening.connect_over(client)).map(drop);
    assert!(matches!(late, Err(ConnectError::Handshake(Error::Protocol(error))) if error == timeout), "{late:?}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(&format!("ws://{}/", listener.local_addr().unwrap())).timeout(SHORT);
    let late = within("the end", || client.connect()).map(drop);
    assert!(matches!(late, Err(ConnectError::Timeout)), "{late:?}");
}

#[test]
fn receiving_has_a_limit_if_it_is_set() {
    let (mut client, mut server) = pair();
    client.set_recv_timeout(SHORT);
    for _ in 0..2 {
        assert!(matches!(within("the limit", || client.recv()), Err(Error::TimedOut)));
    }
    assert!(matches!(within("at once", || client.try_recv()), Err(Error::TimedOut)));
    server.send("late").unwrap();
    client.set_recv_timeout(None);
    assert_eq!(within("a message", || client.recv()).unwrap(), Some("late".into()));
}

#[test]
fn a_peer_that_never_reads_is_given_up_while_sending_waits() {
    let impatient = config(|config| (config.keepalive.ping, config.keepalive.pong) = (Some(SHORT), Some(SHORT)));
    let (mut client, server) = pair_with(impatient, Default::default());
    let message = bytes(1 << 20);
    let given_up = within("the end", || {
        loop {
            if let Err(error) = client.send(&message[..]) {
                break error;
            }
        }
    });
    assert!(matches!(given_up, Error::Protocol(ProtocolError::PongTimeout)), "{given_up:?}");
    assert_eq!(client.recv().unwrap(), None);
    drop(server);
}

#[test]
fn sending_has_a_limit_if_it_is_set_and_loses_nothing() {
    let (mut client, mut server) = pair();
    client.set_send_timeout(SHORT);
    let message = bytes(1 << 20);
    let mut sent = 0;
    let late = within("the limit", || {
        loop {
            sent += 1;
            if let Err(error) = client.send(&message[..]) {
                break error;
            }
        }
    });
    assert!(matches!(late, Error::TimedOut), "{late:?}");
    let taking = thread::spawn(move || {
        let mut taken = 0;
        while server.recv().unwrap().is_some() {
            taken += 1;
        }
        taken
    });
    client.set_send_timeout(None);
    within("the end", || client.close(1000, "")).unwrap();
    assert_eq!(within("its end", || taking.join()).unwrap(), sent);
}

#[test]
fn two_ends_that_both_send_much_and_receive_it_then_do_not_wait_for_each_other() {
    let roomy = || config(|config| config.outbound.hard = 64 << 20);
    let (client, server) = pair_with(roomy(), roomy());
    let talk = |mut socket: sockless_std::WebSocket<_>| {
        move || {
            for number in 0..60_u8 {
                socket.send(&[number; 1 << 18][..]).unwrap();
            }
            for number in 0..60_u8 {
                assert_eq!(socket.recv().unwrap().unwrap().as_bytes(), [number; 1 << 18]);
            }
            socket
        }
    };
    let ends = [thread::spawn(talk(client)), thread::spawn(talk(server))];
    let [mut client, mut server] = ends.map(|end| within("an end", || end.join()).unwrap());
    client.start_close(1000, "").unwrap();
    client.flush().unwrap();
    assert_eq!(within("the end", || server.recv()).unwrap(), None);
}

#[test]
fn a_peer_is_answered_while_sending_waits() {
    let (stream, served) = sockets();
    let mut client = open(stream, Role::Client, Default::default());
    let sending = thread::spawn(move || {
        let message = bytes(1 << 20);
        for _ in 0..30 {
            client.send(&message[..]).unwrap();
        }
        client
    });
    // The server sends much before it takes anything, as one does that is itself waiting to send.
    let text = [&b"\x81\x7e\xff\xff"[..], &[b'x'; 65_535]].concat();
    for _ in 0..10 {
        within("room", || (&served).write_all(&text)).unwrap();
    }
    let mut server = open(served, Role::Server, Default::default());
    for _ in 0..30 {
        assert_eq!(within("a message", || server.recv()).unwrap().unwrap().as_bytes().len(), 1 << 20);
    }
    let mut client = within("all that was sent", || sending.join()).unwrap();
    for _ in 0..10 {
        assert_eq!(within("a message", || client.recv()).unwrap().unwrap().as_bytes().len(), 65_535);
    }
}

#[test]
fn pings_that_are_due_while_a_message_is_half_written_harm_it_not() {
    let pinging = config(|config| {
        (config.keepalive.ping, config.keepalive.pong) = (Some(Duration::from_millis(5)), None);
        config.outbound.hard = 64 << 20;
    });
    let (mut client, mut server) = pair_with(pinging, Default::default());
    let sending = thread::spawn(move || {
        for number in (0..=u8::MAX).cycle() {
            match client.send(&[number; 1 << 18][..]) {
                Ok(()) => {}
                Err(Error::Closed(_)) => return,
                Err(error) => panic!("{error}"),
            }
        }
    });
    // Until a ping has come, and for some messages besides.
    let (mut pings, mut numbers) = (0, (0..=u8::MAX).cycle());
    for left in (0..20).rev() {
        loop {
            thread::sleep(Duration::from_millis(10));
            match within("an event", || server.recv_event()).unwrap().unwrap() {
                Event::Ping(_) => pings += 1,
                event => {
                    let message = event.into_message().unwrap();
                    assert_eq!(message.as_bytes(), [numbers.next().unwrap(); 1 << 18]);
                    if left > 0 || pings > 0 {
                        break;
                    }
                }
            }
        }
    }
    within("the end", || server.close(1000, "")).unwrap();
    within("its end", || sending.join()).unwrap();
}

#[test]
fn who_only_sends_keeps_no_more_than_there_is_room_for() {
    let small = config(|config| config.outbound.hard = 10_000);
    let (mut client, mut server) = pair_with(small, Default::default());
    for _ in 0..100 {
        server.feed(&bytes(1000)[..]).unwrap();
    }
    server.flush().unwrap();
    // It looks what has come after a while, and goes on though not all of it is kept.
    thread::sleep(Duration::from_millis(150));
    for _ in 0..3 {
        within("room", || client.send("message")).unwrap();
        assert_eq!(within("a message", || server.recv()).unwrap(), Some("message".into()));
        thread::sleep(Duration::from_millis(150));
    }
    for _ in 0..100 {
        assert_eq!(within("a message", || client.recv()).unwrap().unwrap().as_bytes(), bytes(1000));
    }
}

#[test]
fn who_only_sends_answers_pings_and_sees_a_close() {
    let (mut client, mut server) = pair();
    server.ping(b"there?").unwrap();
    thread::sleep(Duration::from_millis(150));
    client.send("message").unwrap();
    assert!(matches!(within("the message", || server.recv_event()).unwrap(), Some(Event::Text(_))));
    assert_eq!(within("a pong", || server.recv_event()).unwrap(), Some(Event::Pong(b"there?"[..].into())));
    server.start_close(1000, "enough").unwrap();
    server.flush().unwrap();
    let closed = within("the close", || {
        loop {
            if let Err(error) = client.send("more") {
                break error;
            }
        }
    });
    assert!(matches!(&closed, Error::Closed(close) if close.reason == "enough"), "{closed:?}");
}

#[test]
fn a_peer_that_waits_to_be_read_is_not_waited_for_without_end() {
    let small = config(|config| {
        config.outbound.hard = 10_000;
        config.keepalive.pong = Some(SHORT);
    });
    let (mut client, server) = pair_with(small, Default::default());
    let (sender, mut receiver) = server.split().unwrap();
    // More than the transport holds, to a client that receives nothing for now.
    let sending = thread::spawn(move || {
        for _ in 0..40 {
            sender.send(&bytes(1 << 19)[..]).unwrap();
        }
        sender
    });
    let long = bytes(1 << 20);
    let late = within("an end", || {
        loop {
            if let Err(error) = client.send(&long) {
                break error;
            }
        }
    });
    assert!(matches!(late, Error::TimedOut), "{late:?}");
    // Once the client receives, and the server too, all goes on.
    let receiving = thread::spawn(move || {
        let mut count = 0;
        while let Some(message) = receiver.recv().unwrap() {
            assert_eq!(message.as_bytes().len(), 1 << 20);
            count += 1;
        }
        count
    });
    for _ in 0..40 {
        assert_eq!(within("a message", || client.recv()).unwrap().unwrap().as_bytes(), bytes(1 << 19));
    }
    within("all sent", || sending.join()).unwrap();
    within("the end", || client.close(1000, "")).unwrap();
    assert!(within("its end", || receiving.join()).unwrap() > 1);
}

/// A stream that waits, but for so many calls: as where the clock is late by which the system waits.
struct Early {
    stream: TcpStream,
    calls: u8,
}

impl Early {
    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        match self.calls {
            0 => Ok(&mut self.stream),
            _ => {
                self.calls -= 1;
                Err(ErrorKind::WouldBlock.into())
            }
        }
    }
}

impl Read for Early {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream()?.read(buf)
    }
}

impl Write for Early {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream()?.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Early {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }
}

#[test]
fn a_stream_that_comes_back_too_soon_is_waited_for_all_the_same() {
    let (stream, served) = sockets();
    let mut client = open(Early { stream, calls: 2 }, Role::Client, Default::default());
    let mut server = open(served, Role::Server, Default::default());
    server.send("here").unwrap();
    assert_eq!(within("a message", || client.recv()).unwrap(), Some("here".into()));
    client.get_mut().calls = 2;
    client.send("there").unwrap();
    assert!(!client.wants_write(), "it is written");
    assert_eq!(within("a message", || server.recv()).unwrap(), Some("there".into()));
}

#[test]
fn sending_ends_when_all_is_written_though_the_peer_says_nothing() {
    let quiet = || config(|config| config.keepalive.ping = None);
    let (mut client, mut server) = pair_with(quiet(), quiet());
    let sending = thread::spawn(move || {
        // More than the transport holds, so that it waits.
        for _ in 0..20 {
            client.send(bytes(1 << 20)).unwrap();
        }
        client
    });
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(40));
        assert_eq!(within("a message", || server.recv()).unwrap().unwrap().as_bytes().len(), 1 << 20);
    }
    drop(within("all sent", || sending.join()).unwrap());
}
