//! How much a peer may send in a time, what changes while a server runs, and what is answered by hand.

use crate::common;
use crate::common::{REQUEST, dial, raw, skip_head, start, text};
use sockless_mio::sockless::{Change, Excess, Keepalive, Limits, ProtocolError, Rate, Rates};
use sockless_mio::{
    Answer, Builder, CloseError, Closed, Code, Config, Conn, Error, Handler, Id, Message, Piece, Request, Server,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Echoes, and tells who opened and how each ended.
struct Watched {
    opened: Mutex<Sender<Id>>,
    ended: Mutex<Sender<Closed>>,
    /// What a peer's close is answered with, if not by the core.
    answer: Option<(u16, &'static str)>,
}

impl Watched {
    fn new() -> (Self, Receiver<Id>, Receiver<Closed>) {
        let ((opened, ids), (ended, ends)) = (channel(), channel());
        (Self { opened: opened.into(), ended: ended.into(), answer: None }, ids, ends)
    }
}

impl Handler for Watched {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        _ = self.opened.lock().unwrap().send(conn.id());
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        conn.send(message)?;
        Ok(())
    }

    fn on_close(&self, conn: &mut Conn<'_>, closed: Closed) {
        if let Some((code, reason)) = self.answer {
            conn.close(code, reason).unwrap();
        }
        _ = self.ended.lock().unwrap().send(closed);
    }
}

fn server(rates: Rates) -> Builder {
    Server::builder().listen("127.0.0.1:0").workers(1).config(Config { rates, ..Config::default() })
}

fn messages(rate: Rate, excess: Excess) -> Rates {
    Rates { messages: Some(rate), bytes: None, excess }
}

const MASK: [u8; 4] = [0; 4];

/// A client's frame, whose mask changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8], &MASK[..], payload].concat()
}

/// The first byte of the next frame and its payload, which is short.
fn next_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    let mut payload = vec![0; header[1].into()];
    stream.read_exact(&mut payload).unwrap();
    (header[0], payload)
}

fn close_frame(code: u16, reason: &str) -> (u8, Vec<u8>) {
    (0x88, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

#[test]
fn a_flood_comes_whole_and_in_order_through_its_limit() {
    for pool in [false, true] {
        let (handler, ..) = Watched::new();
        let builder = server(messages(Rate::per_second(100).burst(5), Excess::Wait));
        let server = start(if pool { builder.pool(1, 100) } else { builder }, handler);
        let mut stream = raw(server.address());
        let flood: Vec<u8> = (0..40).flat_map(|number: u8| frame(0x82, &[number])).collect();
        stream.write_all(&flood).unwrap();
        for number in 0..40 {
            assert_eq!(next_frame(&mut stream), (0x82, vec![number]));
        }
        server.stop();
    }
}

#[test]
fn a_flood_is_not_read_while_it_waits() {
    let (handler, ..) = Watched::new();
    let server = start(server(messages(Rate { per_second: 1, burst: 1 }, Excess::Wait)), handler);
    let mut stream = raw(server.address());
    stream.set_nonblocking(true).unwrap();
    // More than the system has room for, unless the server read it.
    let flood = frame(0x82, &[7; 100]).repeat(1000);
    let mut sent = 0;
    common::eventually("the system's buffers are full", || match stream.write(&flood) {
        Ok(len) => {
            sent += len;
            false
        }
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    });
    server.eventually("it has read little", |stats| stats.bytes_received < 256 << 10 && stats.messages_received < 100);
    // Others are served meanwhile.
    let mut other = server.connect();
    other.send_text("here").unwrap();
    assert_eq!(other.receive().unwrap(), Some(text("here")));
    server.stop();
}

#[test]
fn who_sends_more_is_refused_where_that_is_asked_for() {
    let (handler, _, ends) = Watched::new();
    let server = start(server(messages(Rate { per_second: 1, burst: 3 }, Excess::Close)), handler);
    let mut stream = raw(server.address());
    stream.write_all(&frame(0x89, b"").repeat(50)).unwrap();
    let last = loop {
        match next_frame(&mut stream) {
            (0x8A, _) => {}
            other => break other,
        }
    };
    assert_eq!(last, close_frame(1008, ""));
    let closed = ends.recv_timeout(common::PATIENCE).unwrap();
    assert!(matches!(closed.error, Some(CloseError::Protocol(ProtocolError::RateExceeded))), "{closed:?}");
    server.stop();
}

#[test]
fn the_whole_servers_settings_change_while_it_runs() {
    let (handler, ids, ends) = Watched::new();
    let server = start(server(Rates::NONE), handler);
    let mut before = raw(server.address());
    ids.recv_timeout(common::PATIENCE).unwrap();
    server.handle().set_limits(Limits { message: 10, ..Limits::default() }).unwrap();
    // A command is obeyed before what comes behind it.
    let (done, is_done) = channel();
    server.handle().each(|_| {}, move || _ = done.send(())).unwrap();
    is_done.recv_timeout(common::PATIENCE).unwrap();
    let mut behind = raw(server.address());
    for stream in [&mut before, &mut behind] {
        stream.write_all(&frame(0x82, &[1; 10])).unwrap();
        assert_eq!(next_frame(stream), (0x82, vec![1; 10]));
        stream.write_all(&frame(0x82, &[1; 11])).unwrap();
        assert_eq!(next_frame(stream), close_frame(1009, ""));
        let closed = ends.recv_timeout(common::PATIENCE).unwrap();
        assert!(matches!(closed.error, Some(CloseError::Protocol(ProtocolError::MessageTooLong { .. }))));
    }
    // Deadlines and rates too, of one connection and of all.
    let mut pinged = raw(server.address());
    ids.recv_timeout(common::PATIENCE).unwrap();
    let soon = Keepalive { ping: Some(Duration::from_millis(20)), ..Keepalive::default() };
    server.handle().set_keepalive(soon).unwrap();
    assert_eq!(next_frame(&mut pinged).0, 0x89);
    server.handle().set_keepalive(Keepalive::default()).unwrap();
    server.handle().set_rates(messages(Rate { per_second: 1, burst: 1 }, Excess::Close)).unwrap();
    let mut limited = dial(server.address());
    limited.write_all(&[REQUEST, &frame(0x82, b"1"), &frame(0x82, b"2")].concat()).unwrap();
    skip_head(&mut limited);
    let mut frames = vec![];
    while frames.last().is_none_or(|(first, _)| *first != 0x88) {
        frames.push(next_frame(&mut limited));
    }
    assert_eq!(frames.last(), Some(&close_frame(1008, "")));
    server.stop();
}

#[test]
fn one_connections_settings_change_by_its_handler_and_by_its_id() {
    let (handler, ids, _ends) = Watched::new();
    let server = start(server(Rates::NONE), handler);
    let [mut one, mut other] = [raw(server.address()), raw(server.address())];
    let id = ids.recv_timeout(common::PATIENCE).unwrap();
    let other_id = ids.recv_timeout(common::PATIENCE).unwrap();
    server.handle().change(id, Change::Limits(Limits { message: 10, ..Limits::default() })).unwrap();
    let (done, is_done) = channel();
    let changed = move |conn: &mut Conn<'_>| {
        conn.set_keepalive(Keepalive { ping: Some(Duration::from_millis(20)), ..Keepalive::default() });
        conn.set_rates(messages(Rate { per_second: 1, burst: 1 }, Excess::Close));
        _ = done.send(());
    };
    server.handle().run(other_id, changed).unwrap();
    is_done.recv_timeout(common::PATIENCE).unwrap();
    // Which of them is which, its end tells.
    let (mut too_long, mut too_much) = (0, 0);
    for stream in [&mut one, &mut other] {
        stream.write_all(&[frame(0x82, &[1; 11]), frame(0x82, &[1; 11])].concat()).unwrap();
        loop {
            match next_frame(stream) {
                (0x82 | 0x89, _) => {}
                closed if closed == close_frame(1009, "") => break too_long += 1,
                closed if closed == close_frame(1008, "") => break too_much += 1,
                frame => panic!("{frame:?}"),
            }
        }
    }
    assert_eq!((too_long, too_much), (1, 1));
    server.stop();
}

/// Says of each frame what it was.
struct Frames;

impl Handler for Frames {
    type State = ();

    fn on_request(&self, conn: &mut Conn<'_>, request: &Request<'_>) -> Answer {
        conn.take_frames(true);
        request.accept().into()
    }

    fn on_message(&self, _: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
        Err("no message comes".into())
    }

    fn on_piece(&self, conn: &mut Conn<'_>, piece: Piece<'_>) -> Result<(), Error> {
        let Piece { data, first, frame_end, last } = piece;
        conn.send_text(&format!("{} {first} {frame_end} {last}", data.as_text().unwrap_or("?")))?;
        Ok(())
    }
}

#[test]
fn whole_frames_come_as_they_were_sent() {
    let server = start(server(Rates::NONE), Frames);
    let mut stream = raw(server.address());
    let frames = [frame(0x01, b"Hel"), frame(0x80, b"lo"), frame(0x81, b"whole")].concat();
    // However they come.
    for byte in frames {
        stream.write_all(&[byte]).unwrap();
    }
    for told in ["Hel true true false", "lo false true true", "whole true true true"] {
        assert_eq!(next_frame(&mut stream), (0x81, told.as_bytes().to_vec()));
    }
    server.stop();
}

#[test]
fn a_close_is_answered_by_hand() {
    for pool in [false, true] {
        let (mut handler, _, ends) = Watched::new();
        handler.answer = Some((4002, "by hand"));
        let config = Config { answer_close: false, ..Config::default() };
        let builder = Server::builder().listen("127.0.0.1:0").workers(1).config(config);
        let server = start(if pool { builder.pool(1, 100) } else { builder }, handler);
        let mut stream = raw(server.address());
        stream.write_all(&frame(0x88, &4001_u16.to_be_bytes())).unwrap();
        assert_eq!(next_frame(&mut stream), close_frame(4002, "by hand"));
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it hangs up");
        assert_eq!(ends.recv_timeout(common::PATIENCE).unwrap().code, Code::new(4001));
        server.stop();
    }
}
