//! Bytes over binary messages.

use crate::common::{bytes, pair, within};
use sockless_std::{ByteStream, Code, Error};
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
fn only_a_normal_close_is_the_end() {
    for (code, kind) in [(1000, None), (1001, Some(ErrorKind::BrokenPipe)), (1011, Some(ErrorKind::BrokenPipe))] {
        let (mut client, server) = pair();
        let closing = thread::spawn(move || {
            client.send(&b"half"[..]).unwrap();
            client.close(code, "").unwrap();
        });
        let (mut stream, mut all) = (ByteStream::new(server), vec![]);
        let read = within("the end", || stream.read_to_end(&mut all));
        assert_eq!((read.as_ref().err().map(|error| error.kind()), &all[..]), (kind, &b"half"[..]), "{code}");
        if let Err(error) = read {
            let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
            assert!(matches!(cause, Some(Error::Closed(close)) if close.code == Code::from(code)), "{error:?}");
            // It does not become one by being asked again.
            assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
        closing.join().unwrap();
    }
    let (client, server) = pair();
    drop(client);
    let mut cut = ByteStream::new(server);
    for _ in 0..2 {
        assert_eq!(within("the end", || cut.read(&mut [0])).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[test]
fn nothing_asked_for_and_nothing_written_is_nothing() {
    let (mut client, server) = pair();
    let mut stream = ByteStream::new(server);
    assert_eq!(stream.read(&mut []).unwrap(), 0);
    assert_eq!(stream.write(&[]).unwrap(), 0);
    client.send(&[][..]).unwrap();
    client.send(&b"some"[..]).unwrap();
    let mut some = [0; 4];
    within("bytes", || stream.read_exact(&mut some)).unwrap();
    assert_eq!(&some, b"some");
    assert_eq!(stream.get_mut().counters().sent.frames, 0);
    client.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
}

#[test]
fn text_is_an_error_and_ends_it() {
    let refused = |error: std::io::Error| {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        assert!(error.kind() == ErrorKind::InvalidData && matches!(cause, Some(Error::Text)), "{error:?}");
    };
    for halves in [false, true] {
        let (mut client, server) = pair();
        client.send(&b"some"[..]).unwrap();
        client.send("text").unwrap();
        let reading = thread::spawn(move || {
            let mut all = vec![];
            if halves {
                let (_sender, receiver) = server.split().unwrap();
                let mut stream = ByteStream::new(receiver);
                refused(stream.read_to_end(&mut all).unwrap_err());
                stream.read(&mut [0]).unwrap_err();
            } else {
                let mut stream = ByteStream::new(server);
                refused(stream.read_to_end(&mut all).unwrap_err());
                stream.read(&mut [0]).unwrap_err();
            }
            all
        });
        assert_eq!(within("the end", || client.recv()).unwrap(), None);
        assert_eq!(client.peer_close().unwrap().code, Code::UNSUPPORTED);
        drop(client);
        assert_eq!(within("the other end", || reading.join()).unwrap(), b"some");
    }
}

/// A session as of a remote shell: each key is echoed before the next, while much comes and goes beside it.
#[test]
fn halves_carry_keys_while_much_comes_and_goes() {
    const KEYS: usize = 200;
    let block = bytes(20_000);
    let (client, server) = pair();
    let (to_server, from_server) = client.split().unwrap();
    let (mut to_server, mut from_server) = (ByteStream::new(to_server), ByteStream::new(from_server));
    let (to_client, from_client) = server.split().unwrap();
    let (mut to_client, mut from_client) = (ByteStream::new(to_client), ByteStream::new(from_client));
    let (echo, echoes) = std::sync::mpsc::channel();
    let (echoed, seen) = std::sync::mpsc::channel();
    let (theirs, ours) = (block.clone(), block.clone());
    let hosting = thread::spawn(move || {
        let mut got = vec![0; 1 + theirs.len()];
        for _ in 0..KEYS {
            from_client.read_exact(&mut got).unwrap();
            assert!(got[1..] == theirs);
            echo.send(got[0]).unwrap();
        }
        assert_eq!(from_client.read(&mut got).unwrap(), 0);
    });
    let host_writing = thread::spawn(move || {
        for key in echoes {
            to_client.write_all(&ours).unwrap();
            to_client.write_all(&[key]).unwrap();
        }
    });
    let expected = block.clone();
    let reading = thread::spawn(move || {
        let mut got = vec![0; expected.len() + 1];
        for _ in 0..KEYS {
            from_server.read_exact(&mut got).unwrap();
            assert!(got[..expected.len()] == expected);
            echoed.send(got[expected.len()]).unwrap();
        }
        from_server.read(&mut got).unwrap()
    });
    within("the session", || {
        for key in 0..KEYS {
            to_server.write_all(&[key as u8]).unwrap();
            to_server.write_all(&block).unwrap();
            assert_eq!(seen.recv().unwrap(), key as u8);
        }
        to_server.close().unwrap();
        to_server.close().unwrap();
        assert_eq!(to_server.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(reading.join().unwrap(), 0);
        hosting.join().unwrap();
        host_writing.join().unwrap();
    });
}

#[test]
fn messages_are_no_longer_than_others_take() {
    let (client, mut server) = pair();
    let writing = thread::spawn(move || ByteStream::new(client).write_all(&bytes(200_000)));
    let mut sizes = vec![];
    while sizes.iter().sum::<usize>() < 200_000 {
        sizes.push(within("a message", || server.recv()).unwrap().unwrap().len());
    }
    assert_eq!(sizes, [65_536, 65_536, 65_536, 3_392]);
    within("its end", || writing.join()).unwrap().unwrap();
}
