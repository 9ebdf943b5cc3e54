//! Messages that come in pieces, as they arrive: of any size in constant memory.

use crate::common;
use crate::common::{dial, skip_head, start, text};
use sockless_mio::sockless::SharedConfig;
use sockless_mio::{Answer, Client, Config, Conn, Error, Handler, Kind, Limits, Message, Piece, Request, Server};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

const READ_BUFFER: usize = 64 << 10;

/// Takes pieces at `/upload`, and says of each message what it came to; elsewhere echoes.
struct Uploads;

#[derive(Default)]
struct Upload {
    bytes: u64,
    sum: u64,
    pieces: usize,
    text: String,
}

impl Handler for Uploads {
    type State = Upload;

    fn on_request(&self, conn: &mut Conn<'_, Upload>, request: &Request<'_>) -> Answer {
        conn.take_pieces(request.path() == "/upload");
        request.accept().into()
    }

    fn on_message(&self, conn: &mut Conn<'_, Upload>, message: Message<'_>) -> Result<(), Error> {
        if message.as_text() == Some("pieces") {
            conn.take_pieces(true);
        }
        conn.send(message)?;
        Ok(())
    }

    fn on_piece(&self, conn: &mut Conn<'_, Upload>, piece: Piece<'_>) -> Result<(), Error> {
        assert!(piece.data.len() <= READ_BUFFER);
        assert_eq!(piece.first, conn.state().pieces == 0);
        let state = conn.state_mut();
        state.pieces += 1;
        state.bytes += piece.data.len() as u64;
        state.sum += piece.data.as_bytes().iter().map(|byte| u64::from(*byte)).sum::<u64>();
        if piece.data.kind() == Kind::Text {
            state.text += piece.data.as_text().unwrap();
        }
        if piece.last {
            let Upload { bytes, sum, text, .. } = std::mem::take(state);
            match &text[..] {
                "fail" => return Err("as it was told".into()),
                "whole" => conn.take_pieces(false),
                _ => {}
            }
            conn.send_text(&format!("{bytes} {sum} {text}"))?;
        }
        Ok(())
    }
}

fn config() -> SharedConfig {
    let limits = Limits { message: 1 << 30, ..Limits::default() };
    Config { limits, ..Config::default() }.into()
}

fn run(pool: bool) {
    let builder = Server::builder().listen("127.0.0.1:0").workers(1).read_buffer(READ_BUFFER).config(config());
    let server = start(if pool { builder.pool(2, 16) } else { builder }, Uploads);
    let mut client = common::client(|| Client::connect(&format!("{}upload", server.url()))).unwrap();
    client.send_binary(&vec![3; 20 << 20]).unwrap();
    assert_eq!(client.receive().unwrap(), Some(text(&format!("{} {} ", 20 << 20, 60 << 20))));
    client.send_text("größer").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("8 1163 größer")));
    client.send_text("whole").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("5 543 whole")));
    client.send_text("echo").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("echo")));
    client.send_text("pieces").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("pieces")));
    client.send_text("").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("0 0 ")));
    common::eventually("all are counted", || server.handle().stats().messages_received == 6);
    client.send_text("fail").unwrap();
    assert_eq!(common::within("the end", || client.receive()).unwrap(), None);
    server.stop();
}

#[test]
fn a_message_of_any_size_comes_in_pieces() {
    run(false);
}

#[test]
fn in_a_pool_too() {
    run(true);
}

/// What comes with the request, in one read, comes the way that the request's handler chose.
#[test]
fn pieces_from_the_first_on() {
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1).config(config()), Uploads);
    let mut stream = dial(server.address());
    let request = String::from_utf8(common::REQUEST.to_vec()).unwrap().replacen("GET / ", "GET /upload ", 1);
    let mut bytes = request.into_bytes();
    // Text in two fragments, cut within a character; masks of zeros.
    bytes.extend(b"\x01\x83\0\0\0\0ab\xc3");
    bytes.extend(b"\x80\x81\0\0\0\0\xb6");
    bytes.extend(b"\x81\x85\0\0\0\0whole\x81\x81\0\0\0\0c");
    stream.write_all(&bytes).unwrap();
    skip_head(&mut stream);
    let expected = "\u{81}\u{a}4 572 abö\u{81}\u{b}5 543 whole\u{81}\u{1}c";
    let expected: Vec<u8> = expected
        .chars()
        .flat_map(|char| match char {
            '\u{81}' => vec![0x81],
            'ö' => "ö".as_bytes().to_vec(),
            char => vec![char as u8],
        })
        .collect();
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, expected);
    server.stop();
}

/// Keeps what came of an upload, and says so to who comes back.
#[derive(Default)]
struct Resumed(Arc<Mutex<Vec<u8>>>);

impl Handler for Resumed {
    type State = ();

    fn on_request(&self, conn: &mut Conn<'_>, request: &Request<'_>) -> Answer {
        conn.take_pieces(true);
        request.accept().into()
    }

    fn on_open(&self, conn: &mut Conn<'_>) {
        let there = self.0.lock().unwrap().len();
        conn.send_text(&there.to_string()).unwrap();
    }

    fn on_message(&self, _: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
        Err("it takes pieces".into())
    }

    fn on_piece(&self, conn: &mut Conn<'_>, piece: Piece<'_>) -> Result<(), Error> {
        self.0.lock().unwrap().extend(piece.data.as_bytes());
        if piece.last {
            conn.send_text("done")?;
        }
        Ok(())
    }
}

#[test]
fn an_upload_that_was_cut_off_is_taken_up_again() {
    let upload: Vec<u8> = (0..300_000_u32).map(|number| ((number * 7) >> 3) as u8).collect();
    let kept = Arc::default();
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1).config(config()), Resumed(Arc::clone(&kept)));
    // It is cut off within a frame, more than once.
    for cut in [1, 100_000, 70_000] {
        let mut stream = common::raw(server.address());
        let there = kept.lock().unwrap().len();
        let said = there.to_string();
        let mut answer = vec![0; 2 + said.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer[2..], said.as_bytes());
        let rest = &upload[there..];
        let mut frame = vec![0x82, 0xFF];
        frame.extend((rest.len() as u64).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(&rest[..cut]);
        stream.write_all(&frame).unwrap();
        common::eventually("it is kept", || kept.lock().unwrap().len() == there + cut);
        drop(stream);
    }
    let mut client = server.connect();
    let there: usize = client.receive().unwrap().unwrap().as_text().unwrap().parse().unwrap();
    assert_eq!(there, 170_001);
    client.send_binary(&upload[there..]).unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("done")));
    assert_eq!(*kept.lock().unwrap(), upload);
    server.stop();
}
