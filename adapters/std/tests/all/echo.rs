//! Messages of every kind and length, there and back, over several kinds of streams.

use crate::common;
use crate::common::{bytes, echo, open, pair, within};
use sockless_std::sockless::{Kind, Prepared, Role};
use sockless_std::{Event, Message, NoTimeouts, Stream, WebSocket};
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Every kind of sending, and what comes back.
#[track_caller]
fn talk<S: Stream, T: Stream + Send + 'static>((mut client, server): (WebSocket<S>, WebSocket<T>)) {
    let serving = thread::spawn(|| echo(server));
    within("echoes", || {
        let recv = |client: &mut WebSocket<S>| client.recv().unwrap().unwrap();
        client.send("text").unwrap();
        assert_eq!(recv(&mut client), Message::from("text"));
        for len in [0, 1, 125, 126, 65_535, 65_536, 300_000, 1 << 20] {
            let bytes = bytes(len);
            client.send(&bytes[..]).unwrap();
            assert_eq!(recv(&mut client).as_bytes(), bytes, "{len} bytes");
        }
        client.send_fragment(Kind::Text, b"in ", false).unwrap();
        client.send_fragment(Kind::Text, b"parts", true).unwrap();
        assert_eq!(recv(&mut client), Message::from("in parts"));
        for number in 0..100 {
            client.feed(&*number.to_string()).unwrap();
        }
        for number in 0..100 {
            assert_eq!(recv(&mut client), Message::from(&*number.to_string()));
        }
        client.ping(b"are you there?").unwrap();
        assert_eq!(client.recv_event().unwrap(), Some(Event::Pong(b"are you there?"[..].into())));
        client.pong(b"unasked").unwrap();
        let close = client.close(4321, "enough").unwrap();
        assert_eq!(u16::from(close.code), 4321);
        assert_eq!(client.recv().unwrap(), None);
        serving.join().unwrap().unwrap();
    });
}

#[test]
fn over_tcp() {
    talk(pair());
}

#[cfg(unix)]
#[test]
fn over_unix_sockets() {
    let (client, server) = std::os::unix::net::UnixStream::pair().unwrap();
    talk((open(client, Role::Client, Default::default()), open(server, Role::Server, Default::default())));
}

/// One end of a pipe in memory, which takes and gives a few bytes at a time, and keeps no time.
struct Pipe {
    to: Sender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
    rest: Vec<u8>,
}

impl Pipe {
    fn pair() -> (NoTimeouts<Self>, NoTimeouts<Self>) {
        let ((to, of_to), (from, of_from)) = (channel(), channel());
        let end = |to, from| NoTimeouts(Self { to, from, rest: Vec::new() });
        (end(to, of_from), end(from, of_to))
    }
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.from.recv().unwrap_or_default();
        }
        let len = buf.len().min(self.rest.len()).min(1000);
        buf[..len].copy_from_slice(&self.rest[..len]);
        self.rest.drain(..len);
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = buf.len().min(900);
        self.to.send(buf[..len].into()).map_err(io::Error::other)?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn over_any_stream() {
    let (client, server) = Pipe::pair();
    talk((open(client, Role::Client, Default::default()), open(server, Role::Server, Default::default())));
}

#[cfg(feature = "deflate")]
#[test]
fn compressed() {
    let deflate = || common::config(|config| config.deflate = Some(Default::default()));
    let (client, server) = common::pair_with(deflate(), deflate());
    assert!(client.negotiated().is_compressed() && server.negotiated().is_compressed());
    talk((client, server));
    let (mut client, mut server) = common::pair_with(deflate(), deflate());
    let message = vec![b'a'; 100_000];
    client.send(&message[..]).unwrap();
    assert_eq!(within("a message", || server.recv()).unwrap().unwrap().as_bytes(), message);
    assert!(client.counters().sent.bytes < 5000, "{:?}", client.counters());
    client.send_with(&message[..], sockless_std::sockless::Compress::Never).unwrap();
    assert_eq!(within("a message", || server.recv()).unwrap().unwrap().as_bytes(), message);
    assert!(client.counters().sent.bytes > 100_000, "{:?}", client.counters());
}

#[test]
fn messages_are_lent_and_answered_where_they_lie() {
    let (mut client, mut server) = pair();
    let serving = thread::spawn(move || {
        server.recv_each(|message, replies| {
            if message.as_bytes() == b"prepared" {
                return replies.feed_prepared(&Prepared::text("as prepared"));
            }
            replies.feed(message)
        })
    });
    within("echoes", || {
        for len in [3, 40_000, 500_000] {
            client.send(&bytes(len)[..]).unwrap();
            assert_eq!(client.recv().unwrap().unwrap().as_bytes(), bytes(len));
        }
        client.send("prepared").unwrap();
        assert_eq!(client.recv().unwrap(), Some("as prepared".into()));
        client.close(1000, "").unwrap();
        serving.join().unwrap().unwrap();
    });
}

#[test]
fn lending_goes_on_behind_a_message_that_was_not_liked() {
    let (mut client, mut server) = pair();
    for message in ["good", "bad", "good again"] {
        client.feed(message).unwrap();
    }
    client.flush().unwrap();
    client.start_close(1000, "").unwrap();
    client.flush().unwrap();
    let mut seen = Vec::new();
    let mut look = |server: &mut WebSocket<_>| {
        server.recv_each(|message, _| {
            seen.push(String::from_utf8(message.as_bytes().to_vec()).unwrap());
            if message.as_bytes() == b"bad" { Err(io::Error::other("bad").into()) } else { Ok(()) }
        })
    };
    let refused: Result<(), sockless_std::Error> = within("the bad one", || look(&mut server));
    assert_eq!(refused.unwrap_err().to_string(), "bad");
    within("the end", || look(&mut server)).unwrap();
    assert_eq!(seen, ["good", "bad", "good again"]);
}

#[test]
fn a_message_in_pieces() {
    let (mut client, mut server) = pair();
    client.send_fragment(Kind::Binary, &bytes(1000), false).unwrap();
    client.send_fragment(Kind::Binary, &bytes(2000), true).unwrap();
    client.send("whole").unwrap();
    let (mut all, mut frames) = (Vec::new(), 0);
    loop {
        let piece = within("a piece", || server.recv_piece()).unwrap().unwrap();
        assert_eq!(piece.first, all.is_empty());
        all.extend_from_slice(piece.data.as_bytes());
        frames += usize::from(piece.frame_end);
        if piece.last {
            break;
        }
    }
    assert_eq!((all, frames), ([bytes(1000), bytes(2000)].concat(), 2));
    assert_eq!(within("the next", || server.recv()).unwrap(), Some("whole".into()));
}

#[test]
fn of_a_message_that_was_taken_in_part_the_rest_is_left_out() {
    let (mut client, mut server) = pair();
    client.send_fragment(Kind::Text, b"one", false).unwrap();
    let piece = within("a piece", || server.recv_piece()).unwrap().unwrap();
    assert_eq!((piece.data.as_bytes(), piece.first, piece.last), (&b"one"[..], true, false));
    client.send_fragment(Kind::Text, b"two", true).unwrap();
    client.send("three").unwrap();
    assert_eq!(within("the next", || server.recv()).unwrap(), Some("three".into()));
}

#[test]
fn what_was_read_behind_a_handshake_done_elsewhere() {
    let (_client, server) = common::sockets();
    for len in [3, 400_000] {
        let sent = bytes(len);
        let frame = match len {
            3 => [&[0x82, 3][..], &sent].concat(),
            _ => [&[0x82, 127][..], &(len as u64).to_be_bytes(), &sent].concat(),
        };
        let mut client = WebSocket::open(
            server.try_clone().unwrap(),
            Role::Client,
            Default::default(),
            sockless_std::Config::default(),
            sockless_std::sockless::Seed::new([0; 16]),
            &frame,
        );
        assert_eq!(within("a message", || client.recv()).unwrap().unwrap().as_bytes(), sent);
    }
}
