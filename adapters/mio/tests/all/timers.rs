//! The timers of the core, driven by the wheel; and pausing. Nothing here measures time: deadlines only have to come.

use crate::common;
use crate::common::{dial, raw, start, text};
use sockless_mio::sockless::{HandshakeError, ProtocolError};
use sockless_mio::{Client, CloseError, Closed, Code, Config, Conn, Error, Handler, Message, Prepared, Server};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

struct Tell {
    closed: Sender<Option<ProtocolError>>,
    pongs: Sender<Vec<u8>>,
}

impl Handler for Tell {
    type State = ();

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        match message.as_bytes() {
            b"pause" => {
                conn.pause();
                let (id, handle) = (conn.id(), conn.handle());
                conn.send_text("paused")?;
                // Somebody else resumes it.
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(300));
                    _ = handle.run(id, |conn| {
                        _ = conn.send_text("resumed");
                        conn.resume();
                    });
                });
            }
            _ => _ = conn.send(message)?,
        }
        Ok(())
    }

    fn on_pong(&self, _: &mut Conn<'_>, payload: &[u8]) {
        _ = self.pongs.send(payload.to_vec());
    }

    fn on_close(&self, _: &mut Conn<'_>, closed: Closed) {
        let error = match closed.error {
            Some(CloseError::Protocol(error)) => Some(error),
            _ => None,
        };
        _ = self.closed.send(error);
    }
}

const SOON: Option<Duration> = Some(Duration::from_millis(100));

#[test]
fn a_handshake_that_does_not_end() {
    let mut config = Config::default();
    config.keepalive.handshake = SOON;
    let server =
        start(Server::builder().listen("127.0.0.1:0").workers(1).config(config), |_: &mut Conn<'_>, _: Message<'_>| {
            Ok(())
        });
    for begun in ["", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = dial(server.address());
        stream.write_all(begun.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    server.eventually("both are gone", |stats| stats.connections == 0 && stats.accepted == 2);
    server.stop();
}

#[test]
fn silence_is_pinged_and_then_ended() {
    let mut config = Config::default();
    (config.keepalive.ping, config.keepalive.pong) = (SOON, SOON);
    let (closed, closes) = channel();
    let (pongs_by, pongs) = channel();
    let server =
        start(Server::builder().listen("127.0.0.1:0").workers(1).config(config), Tell { closed, pongs: pongs_by });
    // One that answers lives on.
    let mut client = server.connect();
    for _ in 0..3 {
        assert!(client.receive_timeout(Duration::from_millis(120)).is_err());
    }
    assert!(pongs.recv_timeout(common::PATIENCE).is_ok());
    client.send_text("here").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("here")));
    // One that doesn't is told, and closed.
    let error = closes.recv_timeout(common::PATIENCE).unwrap();
    assert_eq!(error, Some(ProtocolError::PongTimeout));
    assert_eq!(client.receive().unwrap(), None);
    assert_eq!(client.closed().map(|close| close.code), Some(Code::INTERNAL_ERROR));
    server.stop();
}

#[test]
fn a_close_that_is_not_answered() {
    let mut config = Config::default();
    config.keepalive.close = SOON;
    let (closed, closes) = channel();
    let server =
        start(Server::builder().listen("127.0.0.1:0").workers(1).config(config), Tell { closed, pongs: channel().0 });
    let client = server.connect();
    let (told, tells) = channel();
    let each = move |conn: &mut Conn<'_>| _ = conn.close(Code::NORMAL, "");
    server.handle().each(each, move || told.send(()).unwrap()).unwrap();
    tells.recv_timeout(common::PATIENCE).unwrap();
    assert_eq!(closes.recv_timeout(common::PATIENCE).unwrap(), Some(ProtocolError::CloseTimeout));
    server.eventually("it is gone", |stats| stats.connections == 0);
    drop(client);
    server.stop();
}

/// While it is paused, nothing is read and no deadline counts.
#[test]
fn a_pause() {
    let mut config = Config::default();
    (config.keepalive.ping, config.keepalive.pong) = (Some(Duration::from_millis(50)), Some(Duration::from_millis(50)));
    let server = start(
        Server::builder().listen("127.0.0.1:0").workers(1).config(config),
        Tell { closed: channel().0, pongs: channel().0 },
    );
    let mut client = server.connect();
    client.send_text("pause").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("paused")));
    client.send_text("unread").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("resumed")));
    assert_eq!(client.receive().unwrap(), Some(text("unread")));
    server.stop();
}

/// What the same read brought waits too.
#[test]
fn a_pause_within_a_read() {
    let server =
        start(Server::builder().listen("127.0.0.1:0").workers(1), Tell { closed: channel().0, pongs: channel().0 });
    let mut stream = raw(server.address());
    stream.write_all(b"\x81\x85\0\0\0\0pause\x81\x86\0\0\0\0behind\x81\x84\0\0\0\0last").unwrap();
    let mut frames = [0; 8 + 9 + 8 + 6];
    stream.read_exact(&mut frames).unwrap();
    assert_eq!(frames.escape_ascii().to_string(), r"\x81\x06paused\x81\x07resumed\x81\x06behind\x81\x04last");
    server.stop();
}

#[test]
fn a_client_that_waits_in_vain() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", silent.local_addr().unwrap());
    let error = Client::builder(&url).timeout(Duration::from_millis(100)).connect().unwrap_err();
    assert!(matches!(error, sockless_mio::ClientError::TimedOut), "{error}");
    let mut config = Config::default();
    config.keepalive.handshake = SOON;
    let error = Client::builder(&url).config(config).connect().unwrap_err();
    let wanted = ProtocolError::Handshake(HandshakeError::Timeout);
    assert!(matches!(error, sockless_mio::ClientError::Protocol(error) if error == wanted), "{error}");
}

/// Timers of the application's: `N` sets the timer N, which says so, and whether it came before another had come many times that comes
/// again and again; 9 sets itself anew.
#[derive(Default)]
struct Timed {
    ticks: AtomicUsize,
}

impl Handler for Timed {
    /// The ticks when it set a timer.
    type State = usize;

    fn on_open(&self, conn: &mut Conn<'_, usize>) {
        conn.set_timer(1, Duration::ZERO);
    }

    fn on_message(&self, conn: &mut Conn<'_, usize>, message: Message<'_>) -> Result<(), Error> {
        for number in message.as_text().unwrap_or_default().split(' ') {
            let number = number.parse()?;
            conn.set_timer(number, Duration::from_millis(u64::from(number)));
        }
        conn.set_timer(500, Duration::from_secs(3600));
        conn.clear_timer(300);
        *conn.state_mut() = self.ticks.load(Ordering::Relaxed);
        Ok(())
    }

    fn on_timer(&self, conn: &mut Conn<'_, usize>, number: u32) {
        let ticks = self.ticks.load(Ordering::Relaxed);
        let in_time = ticks < *conn.state() + 20;
        _ = conn.send_text(&format!("{number} {in_time}"));
        if number == 9 {
            self.ticks.store(ticks + 1, Ordering::Relaxed);
            conn.set_timer(9, Duration::from_millis(9));
        }
    }
}

#[test]
fn timers_of_the_application() {
    for pool in [false, true] {
        let builder = Server::builder().listen("127.0.0.1:0").workers(1);
        let server = start(if pool { builder.pool(2, 16) } else { builder }, Timed::default());
        let mut ticking = server.connect();
        ticking.send_text("9").unwrap();
        let mut client = server.connect();
        assert_eq!(client.receive().unwrap(), Some(text("1 true")), "set as it opened");
        client.send_text("500 300 200 2").unwrap();
        assert_eq!(client.receive().unwrap(), Some(text("2 true")));
        assert_eq!(client.receive().unwrap(), Some(text("200 true")));
        assert_eq!(ticking.receive().unwrap(), Some(text("1 true")));
        for _ in 0..3 {
            assert_eq!(ticking.receive().unwrap(), Some(text("9 true")));
        }
        server.stop();
    }
}

#[test]
fn what_is_done_again_and_again() {
    common::watch();
    let (ends, told) = channel();
    let mut calls = 0;
    let server = Server::builder().listen("127.0.0.1:0").workers(2).bind(Timed::default()).unwrap();
    let server = server.every(Duration::from_millis(5), move |handle| {
        calls += 1;
        assert!(calls != 2, "a panic that the test asked for");
        _ = handle.broadcast(&Prepared::text(&calls.to_string()));
        if handle.count() == 1 {
            _ = ends.send(calls);
        }
    });
    let server = server.every(Duration::from_secs(3600), |_| panic!("it is not time"));
    let running = server.start().unwrap();
    let url = format!("ws://{}/", running.addresses()[0]);
    let mut client = common::client(|| Client::connect(&url)).unwrap();
    let first = told.recv_timeout(common::PATIENCE).unwrap();
    assert!(told.recv_timeout(common::PATIENCE).unwrap() > first);
    let mut last = 0;
    for _ in 0..3 {
        let said = client.receive().unwrap().unwrap();
        if let Ok(number) = said.as_text().unwrap().parse::<u32>() {
            assert!(number > last && number != 2);
            last = number;
        }
    }
    assert_eq!(running.handle().stats().panics, 1);
    running.handle().shutdown(Duration::ZERO).unwrap();
    common::within("the end", || running.join());
}
