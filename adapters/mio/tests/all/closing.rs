//! `on_close`: once for each connection that was opened, whatever the cause.

use crate::common;
use crate::common::{dial, raw, start};
use sockless_mio::{
    ClientError, CloseError, Closed, Code, Conn, Error, Handler, Message, Server, sockless::ProtocolError,
};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc::{Receiver, Sender, channel};

struct Ends {
    told: Sender<(Code, String, Option<String>)>,
    errors: Sender<String>,
}

impl Handler for Ends {
    type State = bool;

    fn on_message(&self, conn: &mut Conn<'_, bool>, message: Message<'_>) -> Result<(), Error> {
        match message.as_bytes() {
            b"fail" => return Err("no such luck".into()),
            b"panic" => panic!("a panic that the test asked for"),
            b"close" => conn.close(Code::from(4001), "enough")?,
            b"abort" => conn.abort(Code::POLICY),
            _ => _ = conn.send(message)?,
        }
        Ok(())
    }

    fn on_close(&self, conn: &mut Conn<'_, bool>, closed: Closed) {
        assert!(!std::mem::replace(conn.state_mut(), true), "told twice");
        assert!(conn.send_text("too late").is_err());
        let error = closed.error.map(|error| match error {
            CloseError::Protocol(ProtocolError::UnexpectedEof) => "eof".into(),
            CloseError::Protocol(error) => error.to_string(),
            CloseError::Io(_) => "eof".into(), // a reset, as it happens
            other => other.to_string(),
        });
        self.told.send((closed.code, closed.reason, error)).unwrap();
    }

    fn on_error(&self, _: &mut Conn<'_, bool>, error: &Error) {
        self.errors.send(error.to_string()).unwrap();
    }
}

type Told = Receiver<(Code, String, Option<String>)>;

fn next(told: &Told) -> (u16, String, Option<String>) {
    let (code, reason, error) = told.recv_timeout(common::PATIENCE).unwrap();
    (code.into(), reason, error)
}

fn run(pool: bool) {
    let (told_by, told) = channel();
    let (errors_by, errors) = channel();
    let builder = Server::builder().listen("127.0.0.1:0").workers(1);
    let server = start(if pool { builder.pool(2, 16) } else { builder }, Ends { told: told_by, errors: errors_by });

    let mut client = server.connect();
    client.close(Code::NORMAL, "bye").unwrap();
    assert_eq!(next(&told), (1000, "bye".into(), None));

    let mut client = server.connect();
    client.close(Code::NO_STATUS, "").unwrap();
    assert_eq!(next(&told), (1005, String::new(), None));

    // Gone without a word, in a message and out of it.
    drop(server.connect());
    assert_eq!(next(&told), (1006, String::new(), Some("eof".into())));

    let mut client = server.connect();
    client.send_text("close").unwrap();
    assert_eq!(client.receive().unwrap(), None);
    assert_eq!(client.closed().map(|close| (u16::from(close.code), &*close.reason)), Some((4001, "enough")));
    // The peer's close frame answers ours, with the same code.
    assert_eq!(next(&told), (4001, String::new(), None));

    let mut client = server.connect();
    client.send_text("fail").unwrap();
    assert_eq!(client.receive().unwrap(), None);
    assert_eq!(client.closed().map(|close| close.code), Some(Code::INTERNAL_ERROR));
    assert_eq!(next(&told).0, 1011);
    assert_eq!(errors.recv_timeout(common::PATIENCE).unwrap(), "no such luck");

    let mut client = server.connect();
    client.send_text("panic").unwrap();
    assert_eq!(client.receive_timeout(common::PATIENCE).unwrap(), None);
    assert_eq!(client.closed().map(|close| close.code), Some(Code::INTERNAL_ERROR));
    assert_eq!(errors.recv_timeout(common::PATIENCE).unwrap(), "a handler panicked");
    drop(client);
    assert_eq!(next(&told).0, 1006);

    let mut client = server.connect();
    client.send_text("abort").unwrap();
    assert_eq!(client.receive().unwrap(), None);
    assert_eq!(client.closed().map(|close| close.code), Some(Code::POLICY));
    drop(client);
    assert_eq!(next(&told).0, 1006);

    // A peer that breaks the protocol: here, a frame without a mask.
    let mut raw = raw(server.address());
    raw.write_all(b"\x81\x02hi").unwrap();
    let mut rest = Vec::new();
    raw.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x88\x02\x03\xea");
    assert_eq!(next(&told), (1002, String::new(), Some("unmasked frame from a client".into())));
    drop(raw);

    // A peer that half-closes hears the rest, and is gone; the pool may come too late to answer.
    if !pool {
        let mut half = self::raw(server.address());
        half.write_all(b"\x81\x82\0\0\0\0hi").unwrap();
        half.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        half.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"\x81\x02hi");
        assert_eq!(next(&told), (1006, String::new(), Some("eof".into())));
    }

    server.eventually("all are gone", |stats| stats.connections == 0 && stats.open == 0);
    assert!(told.try_recv().is_err() && errors.try_recv().is_err());

    // And the server is as well as before.
    let mut client = server.connect();
    client.send_text("hello").unwrap();
    assert_eq!(client.receive().unwrap(), Some(common::text("hello")));
    server.stop();
    assert!(matches!(client.receive(), Ok(None) | Err(ClientError::Protocol(_) | ClientError::Io(_))));
}

#[test]
fn on_the_loop() {
    run(false);
}

#[test]
fn in_the_pool() {
    run(true);
}

#[test]
fn a_handshake_that_fails_is_not_told() {
    let (told_by, told) = channel();
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), Ends { told: told_by, errors: channel().0 });
    let mut stream = dial(server.address());
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    drop(stream);
    drop(dial(server.address()));
    server.eventually("both are gone", |stats| stats.accepted == 2 && stats.connections == 0);
    assert!(told.try_recv().is_err());
    let client = server.connect();
    drop(client);
    assert_eq!(next(&told).0, 1006);
    server.stop();
}
