//! Bytes over binary messages.

mod common;

use common::{bytes, pair, within};
use sockless_std::ByteStream;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::thread;

#[test]
fn bytes_go_both_ways_wherever_messages_end() {
    let (client, server) = pair();
    let (mut one, mut other) = (ByteStream::new(client), ByteStream::new(server));
    let sent = bytes(300_000);
    let copy = sent.clone();
    let serving = thread::spawn(move || {
        let mut got = vec![0; copy.len()];
        other.read_exact(&mut got).unwrap();
        assert_eq!(got, copy);
        for part in got.chunks(997) {
            other.write_all(part).unwrap();
        }
        other.close().unwrap();
        assert_eq!(other.read(&mut [0]).unwrap(), 0);
    });
    one.write_all(&sent).unwrap();
    let mut back = Vec::new();
    within("all of it", || one.read_to_end(&mut back)).unwrap();
    assert_eq!(back, sent);
    within("its end", || serving.join()).unwrap();
    // And it stays the end, for both ways.
    assert_eq!(one.read(&mut [0]).unwrap(), 0);
    assert_eq!(one.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn lines_and_an_answer_behind_the_end_of_what_was_asked() {
    let (client, server) = pair();
    let serving = thread::spawn(move || {
        let mut lines = BufReader::new(ByteStream::new(server));
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap() > 0 {
            assert!(line.ends_with("\r\n"));
            lines.get_mut().write_all(line.as_bytes()).unwrap();
            line.clear();
        }
    });
    let mut stream = ByteStream::new(client);
    for line in ["HELO there\r\n", "QUIT\r\n"] {
        for byte in line.bytes() {
            stream.write_all(&[byte]).unwrap();
        }
    }
    let mut echoed = [0; 18];
    within("both lines", || stream.read_exact(&mut echoed)).unwrap();
    assert_eq!(&echoed, b"HELO there\r\nQUIT\r\n");
    stream.close().unwrap();
    stream.close().unwrap();
    assert_eq!(within("the end", || stream.read(&mut [0])).unwrap(), 0);
    within("its end", || serving.join()).unwrap();
}

#[test]
fn the_end_of_what_is_written_is_told_at_once() {
    let (client, mut server) = pair();
    let mut stream = ByteStream::new(client);
    stream.write_all(b"all").unwrap();
    stream.close().unwrap();
    assert_eq!(within("the bytes", || server.recv()).unwrap().unwrap().as_bytes(), b"all");
    assert_eq!(within("the end", || server.recv()).unwrap(), None);
}

#[test]
fn an_end_without_a_closing_handshake_is_an_error() {
    let (client, server) = pair();
    drop(client);
    let cut = within("the end", || ByteStream::new(server).read(&mut [0]));
    assert_eq!(cut.unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn nothing_asked_for_and_nothing_written_is_nothing() {
    let (mut client, server) = pair();
    let mut stream = ByteStream::new(server);
    assert_eq!(stream.read(&mut []).unwrap(), 0);
    assert_eq!(stream.write(&[]).unwrap(), 0);
    client.send(&[][..]).unwrap();
    client.send("text").unwrap();
    let mut text = [0; 4];
    within("text", || stream.read_exact(&mut text)).unwrap();
    assert_eq!(&text, b"text");
    assert_eq!(stream.get_mut().counters().sent.frames, 0);
    client.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
}
