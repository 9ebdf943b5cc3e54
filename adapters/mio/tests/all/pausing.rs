//! Connections that are not read, because their handler has paused or the pool is behind: they end all the same.

use crate::common;
use crate::common::{Started, raw, start};
use sockless_mio::sockless::{Keepalive, ProtocolError};
use sockless_mio::{Builder, CloseError, Closed, Code, Config, Conn, Error, Handler, Id, Message, Server};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// What a handler is told.
#[derive(Debug, PartialEq)]
enum Told {
    Message(String),
    Closed(u16, End),
}

/// What a connection's end is told with.
#[derive(Debug, PartialEq)]
enum End {
    Nothing,
    WithoutAWord,
    TimedOut,
}

/// Does what messages say.
struct Obey {
    told: Sender<(Id, Told)>,
    /// What a message that says so waits for.
    gate: Mutex<Receiver<()>>,
}

impl Handler for Obey {
    type State = ();

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        let message = String::from_utf8(message.as_bytes().to_vec())?;
        for word in message.split(' ') {
            match word {
                "pause" => conn.pause(),
                "close" => conn.close(Code::NORMAL, "")?,
                "abort" => conn.abort(Code::POLICY),
                "wait" => self.gate.lock().unwrap().recv_timeout(common::PATIENCE)?,
                _ => {}
            }
        }
        self.told.send((conn.id(), Told::Message(message)))?;
        Ok(())
    }

    fn on_close(&self, conn: &mut Conn<'_>, closed: Closed) {
        let end = match closed.error {
            None => End::Nothing,
            Some(CloseError::Protocol(ProtocolError::UnexpectedEof) | CloseError::Io(_)) => End::WithoutAWord,
            Some(CloseError::Protocol(ProtocolError::CloseTimeout)) => End::TimedOut,
            Some(other) => panic!("{other}"),
        };
        self.told.send((conn.id(), Told::Closed(closed.code.into(), end))).unwrap();
    }
}

struct Test {
    server: Started<()>,
    told: Receiver<(Id, Told)>,
    gate: Sender<()>,
}

/// Closing handshakes have so much time, and nothing else has any.
fn test(close: Option<Duration>, builder: impl Fn(Builder) -> Builder) -> Test {
    let mut config = Config::default();
    config.keepalive = Keepalive { handshake: None, ping: None, pong: None, idle: None, close, ..Keepalive::default() };
    let ((told_by, told), (gate, opens)) = (channel(), channel());
    let builder = builder(Server::builder().listen("127.0.0.1:0").workers(1).config(config));
    Test { server: start(builder, Obey { told: told_by, gate: Mutex::new(opens) }), told, gate }
}

impl Test {
    fn peer(&self) -> TcpStream {
        raw(self.server.address())
    }

    fn next(&self) -> (Id, Told) {
        self.told.recv_timeout(common::PATIENCE).unwrap()
    }

    /// Waits until the handler has had this message.
    fn heard(&self, message: &str) -> Id {
        let (id, told) = self.next();
        assert_eq!(told, Told::Message(message.into()));
        id
    }

    /// Has the handler pause, and waits until the loop knows: the pool tells it.
    fn pause(&self, peer: &mut TcpStream) -> Id {
        say(peer, "pause");
        let id = self.heard("pause");
        let (done, is_done) = channel();
        self.server.handle().run(id, move |_| done.send(()).unwrap()).unwrap();
        is_done.recv_timeout(common::PATIENCE).unwrap();
        id
    }

    fn closed(&self, code: u16, end: End) {
        assert_eq!(self.next().1, Told::Closed(code, end));
    }

    fn end(self) {
        self.server.eventually("all are gone", |stats| stats.connections == 0);
        assert!(self.told.try_recv().is_err());
        self.server.stop();
    }
}

fn say(peer: &mut TcpStream, text: &str) {
    peer.write_all(&[&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()).unwrap();
}

/// What the peer hears until the server has hung up.
fn rest(mut peer: &TcpStream) -> String {
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).unwrap();
    rest.escape_ascii().to_string()
}

const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";
const SOON: Option<Duration> = Some(Duration::from_millis(100));

fn on_the_loop(builder: Builder) -> Builder {
    builder
}

fn in_the_pool(builder: Builder) -> Builder {
    builder.pool(2, 100)
}

/// And whatever comes before the peer's answer is heard.
#[test]
fn closing_reads_on() {
    for builder in [on_the_loop, in_the_pool] {
        let test = test(None, builder);
        for (order, by_handle) in [("pause close", false), ("close pause", false), ("pause", true)] {
            let mut peer = test.peer();
            say(&mut peer, order);
            let id = test.heard(order);
            if by_handle {
                test.server.handle().close(id, Code::NORMAL, "").unwrap();
            }
            let mut close = [0; 4];
            peer.read_exact(&mut close).unwrap();
            assert_eq!(close, *b"\x88\x02\x03\xe8");
            say(&mut peer, "meanwhile");
            test.heard("meanwhile");
            peer.write_all(CLOSE).unwrap();
            assert_eq!(rest(&peer), "");
            test.closed(1000, End::Nothing);
        }
        test.end();
    }
}

#[test]
fn aborting_reads_on() {
    for builder in [on_the_loop, in_the_pool] {
        let test = test(None, builder);
        for (order, by_handle) in [("pause abort", false), ("abort pause", false), ("pause", true)] {
            let mut peer = test.peer();
            say(&mut peer, order);
            let id = test.heard(order);
            if by_handle {
                test.server.handle().abort(id, Code::POLICY).unwrap();
            }
            assert_eq!(rest(&peer), r"\x88\x02\x03\xf0");
            drop(peer);
            test.closed(1006, End::WithoutAWord);
        }
        test.end();
    }
}

/// A peer that neither answers nor hangs up is not waited for either.
#[test]
fn closing_has_its_deadline() {
    for builder in [on_the_loop, in_the_pool] {
        let test = test(SOON, builder);
        let mut peer = test.peer();
        say(&mut peer, "pause close");
        test.heard("pause close");
        test.closed(1006, End::TimedOut);
        test.server.eventually("it is gone", |stats| stats.connections == 0);
        drop(peer);
        test.end();
    }
}

/// Who has sent more than is read, and then is gone, in this way or that.
fn hang_up(test: &Test, peer: TcpStream, how: &str) {
    match how {
        "half" => peer.shutdown(Shutdown::Write).unwrap(),
        "reset" => socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap(),
        _ => {}
    }
    if how == "half" {
        test.closed(1006, End::WithoutAWord);
        // It hears the end, or that what it had sent was not read.
        let end = (&peer).read(&mut [0]);
        assert!(end.as_ref().is_ok_and(|n| *n == 0) || end.is_err_and(|end| end.kind() == ErrorKind::ConnectionReset));
    } else {
        drop(peer);
        test.closed(1006, End::WithoutAWord);
    }
}

#[test]
fn a_peer_that_hangs_up_is_not_waited_for() {
    for builder in [on_the_loop, in_the_pool] {
        for how in ["close", "half", "reset"] {
            let test = test(SOON, builder);
            let mut peer = test.peer();
            test.pause(&mut peer);
            say(&mut peer, "unread");
            hang_up(&test, peer, how);
            test.end();
        }
    }
}

/// The pause comes with the end, in one read.
#[test]
fn a_peer_that_has_hung_up_before_is_not_waited_for() {
    let test = test(SOON, on_the_loop);
    let mut peer = test.peer();
    say(&mut peer, "wait pause");
    peer.shutdown(Shutdown::Write).unwrap();
    test.gate.send(()).unwrap();
    test.heard("wait pause");
    test.closed(1006, End::WithoutAWord);
    test.end();
}

#[test]
fn a_handler_that_resumes_gets_what_a_peer_has_left() {
    for builder in [on_the_loop, in_the_pool] {
        let test = test(Some(2 * common::PATIENCE), builder);
        let mut peer = test.peer();
        let id = test.pause(&mut peer);
        say(&mut peer, "one");
        say(&mut peer, "two");
        drop(peer);
        // So that it has heard of the hang-up.
        let mut other = test.peer();
        say(&mut other, "other");
        test.heard("other");
        test.server.handle().run(id, |conn| conn.resume()).unwrap();
        test.heard("one");
        test.heard("two");
        test.closed(1006, End::WithoutAWord);
        drop(other);
        test.closed(1006, End::WithoutAWord);
        test.end();
    }
}

/// While the pool has no room for more, it may be closed, and of what a peer has left nothing is lost.
#[test]
fn what_the_pool_has_no_room_for() {
    for how in ["close", "abort", "hang up"] {
        let test = test(SOON, |builder| builder.pool(1, 3));
        let mut peer = test.peer();
        say(&mut peer, "first");
        let id = test.heard("first");
        say(&mut peer, "wait");
        for number in 0..10 {
            say(&mut peer, &number.to_string());
        }
        // Two or three calls wait then, for the first one's may not be over.
        test.server.eventually("the pool is full", |stats| stats.messages_received >= 3);
        match how {
            "close" => test.server.handle().close(id, Code::NORMAL, "").unwrap(),
            "abort" => test.server.handle().abort(id, Code::NORMAL).unwrap(),
            _ => drop(peer.shutdown(Shutdown::Write)),
        }
        if how != "hang up" {
            test.server.eventually("it is gone", |stats| stats.connections == 0);
        }
        test.gate.send(()).unwrap();
        test.heard("wait");
        let taken = test.server.handle().stats().messages_received - 2;
        let (left, end) = match how {
            "close" => (taken, End::TimedOut),
            "abort" => (taken, End::Nothing),
            _ => (10, End::WithoutAWord),
        };
        assert!(how == "hang up" || taken <= 2, "{taken}");
        for number in 0..left {
            test.heard(&number.to_string());
        }
        test.closed(1006, end);
        test.end();
    }
}
