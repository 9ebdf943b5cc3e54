//! What a connection does, over streams in memory.

use crate::common::*;
use sockless_tokio::sockless::{Close, Code, Config, Kind, Prepared, ProtocolError, Role, SendError, State};
use sockless_tokio::{Error, Event, Message, WebSocket};
use std::borrow::Cow;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

#[tokio::test]
async fn messages_of_both_kinds_go_both_ways() {
    let (mut client, mut server) = pair(1 << 16);
    for message in [Message::text("grüße"), Message::text(""), Message::binary(vec![0; 300_000])] {
        let (sent, received) = tokio::join!(client.send(message.clone()), server.recv());
        sent.unwrap();
        assert_eq!(received.unwrap(), Some(message.clone()));
        let (sent, received) = tokio::join!(server.send(message.clone()), client.recv());
        sent.unwrap();
        assert_eq!(received.unwrap(), Some(message));
    }
}

#[tokio::test]
async fn messages_are_lent_and_answered_where_they_lie() {
    let (mut client, mut server) = pair(1 << 20);
    let sent = [Message::text("one"), Message::binary(vec![2; 70_000]), Message::text("three"), Message::text("")];
    for (number, message) in sent.iter().enumerate() {
        client.feed(message.clone()).soon().await.unwrap();
        client.ping(&[number as u8]).soon().await.unwrap();
    }
    let mut lent = 0;
    for _ in &sent {
        let fed = server.recv_with(|message, replies| {
            lent += usize::from(match &message {
                sockless_tokio::sockless::Message::Text(text) => matches!(text, Cow::Borrowed(_)),
                message => message.as_bytes().len() < 1000,
            });
            replies.feed(message)
        });
        fed.await.unwrap().unwrap().unwrap();
    }
    assert_eq!(lent, 3, "the texts");
    server.flush().soon().await.unwrap();
    for message in sent {
        assert_eq!(client.recv().soon().await.unwrap(), Some(message));
    }
}

#[tokio::test]
async fn answers_go_out_together_and_wait_for_a_peer_that_takes_none() {
    let (mut wire, stream) = duplex(1 << 20);
    let mut server = open(stream, Role::Server, Config::default());
    let frames = b"\x82\x81\0\0\0\0a".repeat(3);
    wire.write_all(&frames).soon().await.unwrap();
    let mut answers = [0; 16];
    for number in 0..3 {
        server.recv_with(|message, replies| replies.feed(message)).await.unwrap().unwrap().unwrap();
        let early = tokio::time::timeout(std::time::Duration::ZERO, wire.read(&mut answers)).await;
        assert!(early.is_err(), "nothing is written before answer {number} is");
    }
    // The wait for the next writes them.
    assert_eq!(polled_once(&mut server), None);
    assert_eq!(wire.read(&mut answers).soon().await.unwrap(), 9);
    assert_eq!(&answers[..9], b"\x82\x01a\x82\x01a\x82\x01a");

    // Here nobody reads.
    let (mut client, mut server) = pair(1 << 10);
    client.feed("go").soon().await.unwrap();
    client.feed("on").soon().await.unwrap();
    client.flush().soon().await.unwrap();
    let much = || sockless_tokio::sockless::Message::Binary(vec![0; 1 << 20].into());
    server.recv_with(|_, replies| replies.feed(much())).await.unwrap().unwrap().unwrap();
    assert_eq!(polled_once(&mut server), None, "what waits is written before more is taken");
}

#[tokio::test]
async fn each_message_is_lent_until_one_is_refused() {
    let (mut wire, stream) = duplex(1 << 20);
    let mut server = open(stream, Role::Server, Config::default());
    wire.write_all(b"\x82\x81\0\0\0\0a\x89\x80\0\0\0\0\x81\x81\0\0\0\0b\x82\x81\0\0\0\0c\x82\x81\0\0")
        .soon()
        .await
        .unwrap();
    let refused = server.recv_each(|message, replies| {
        replies.feed(message.clone()).map_err(Some)?;
        if message.as_bytes() == b"b" { Err(None) } else { Ok(()) }
    });
    assert!(matches!(refused.await, Err(None::<Error>)));
    // What is left is kept, and what was answered goes out, the pong ahead.
    assert_eq!(polled_once(&mut server), Some(1), "the third");
    assert_eq!(polled_once(&mut server), None, "a part of the fourth");
    let mut answers = [0; 16];
    assert_eq!(wire.read(&mut answers).soon().await.unwrap(), 8);
    assert_eq!(&answers[..8], b"\x8a\0\x82\x01a\x81\x01b");

    wire.write_all(b"\0\0d\x88\x80\0\0\0\0").soon().await.unwrap();
    let mut last = Vec::new();
    server
        .recv_each(|message, _| {
            last.extend_from_slice(message.as_bytes());
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!((last, server.state()), (b"d".to_vec(), State::Closed));
}

#[tokio::test]
async fn connections_of_a_thread_share_its_buffers() {
    // Each takes so little at once that all have something waiting while the others are at work.
    let echo = |number: usize| async move {
        let (client, mut server) = pair(64);
        let (sender, mut receiver) = client.split();
        let served = async { server.recv_each(|message, replies| replies.feed(message)).await };
        let asked = async {
            for len in 0..100 {
                sender.feed(vec![number as u8; len * number]).soon().await.unwrap();
            }
            sender.close(1000, "").soon().await
        };
        let answered = async {
            for len in 0..100 {
                assert_eq!(receiver.recv().soon().await.unwrap(), Some(vec![number as u8; len * number].into()));
            }
            receiver.recv().soon().await
        };
        let ended = tokio::join!(served, asked, answered);
        assert!(matches!(ended, (Ok(()), Ok(()), Ok(None))), "{ended:?}");
    };
    tokio::join!(echo(1), echo(2), echo(3), echo(9));
}

/// A stream that takes so many bytes, and then fails, as a socket does: it tells why once.
struct Breaking {
    stream: DuplexStream,
    takes: usize,
    told: bool,
}

impl AsyncRead for Breaking {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Breaking {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let len = buf.len().min(self.takes);
        self.takes -= len;
        match len {
            0 if mem::replace(&mut self.told, true) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            0 => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ => Pin::new(&mut self.stream).poll_write(cx, &buf[..len]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Bytes of a long answer and its frame.
const LONG: (usize, usize) = (40_000, 40_004);

/// Answers the next message with what it is, and then with a long one that is borrowed.
async fn answer_long(server: &mut WebSocket<impl AsyncRead + AsyncWrite + Unpin>) {
    let long = vec![7; LONG.0];
    let fed = server.recv_with(|message, replies| {
        replies.feed(message)?;
        replies.feed(sockless_tokio::sockless::Message::Binary(Cow::Borrowed(&long)))
    });
    fed.await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_long_answer_goes_out_at_once_behind_what_waits_as_far_as_it_can() {
    let frames = [b"\x82\x01a\x82\x7e\x9c\x40".to_vec(), vec![7; LONG.0]].concat();
    for capacity in [1, 3, 4, 1000, frames.len() - 1, frames.len(), 1 << 20] {
        let (mut wire, stream) = duplex(capacity);
        let mut server = open(stream, Role::Server, Config::default());
        let sent = async { wire.write_all(b"\x82\x81\0\0\0\0a").soon().await.unwrap() };
        tokio::join!(sent, answer_long(&mut server));
        let out = frames.len().min(capacity);
        assert_eq!(server.counters().queued, frames.len() - out);
        let mut answers = vec![0; out];
        wire.read_exact(&mut answers).soon().await.unwrap();
        // Whoever receives writes the rest.
        let rest = async {
            let mut rest = vec![0; frames.len() - out + 3];
            wire.write_all(b"\x82\x81\0\0\0\0b").soon().await.unwrap();
            wire.read_exact(&mut rest).soon().await.unwrap();
            rest
        };
        let next = async {
            server.recv_with(|message, replies| replies.feed(message)).await.unwrap().unwrap().unwrap();
            server.flush().soon().await.unwrap();
        };
        let (rest, ()) = tokio::join!(rest, next);
        assert!([answers, rest].concat() == [&frames[..], b"\x82\x01b"].concat(), "through {capacity} bytes");
    }
}

#[tokio::test]
async fn a_long_answer_to_a_peer_that_is_gone_ends_the_connection() {
    for takes in [0, 2, 5, 100] {
        let (mut wire, stream) = duplex(1 << 20);
        let mut server = open(Breaking { stream, takes, told: false }, Role::Server, Config::default());
        wire.write_all(b"\x82\x81\0\0\0\0a\x82\x81\0\0\0\0b").soon().await.unwrap();
        answer_long(&mut server).await;
        // What the peer said before is told yet.
        assert_eq!(server.recv().soon().await.unwrap(), Some(vec![b'b'].into()));
        let error = server.send("c").soon().await.unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionReset), "{error:?}");
        assert!(server.flush().soon().await.is_err());
        assert_eq!(server.counters().queued, 0);
    }
}

/// What `recv_with` gives if it is polled once.
fn polled_once(server: &mut sockless_tokio::WebSocket<tokio::io::DuplexStream>) -> Option<usize> {
    let future = std::pin::pin!(server.recv_with(|message, _| message.as_bytes().len()));
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(result) => result.unwrap(),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_closing_handshake_ends_both() {
    let (mut client, mut server) = pair(1 << 10);
    let served = tokio::spawn(async move {
        assert_eq!(server.recv().soon().await.unwrap(), Some("last".into()));
        assert_eq!(server.recv().soon().await.unwrap(), None);
        assert_eq!(server.recv().soon().await.unwrap(), None);
        assert_eq!(server.state(), State::Closed);
        server.peer_close().cloned()
    });
    client.send("last").soon().await.unwrap();
    client.close(4000, "done").soon().await.unwrap();
    assert_eq!(client.state(), State::Closed);
    assert_eq!(client.recv().soon().await.unwrap(), None);
    assert!(matches!(client.send("late").soon().await, Err(Error::Send(SendError::Closing))));
    let close = Close { code: Code::from(4000), reason: "done".into() };
    assert_eq!(served.soon().await.unwrap(), Some(close.clone()));
    assert_eq!(client.peer_close().map(|close| close.code), Some(close.code));
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_and_harms_nothing() {
    let (mut client, mut server) = pair(1 << 10);
    assert!(matches!(client.close(1006, "").soon().await, Err(Error::Send(SendError::CloseCode(1006)))));
    assert!(matches!(client.ping(&[0; 126]).soon().await, Err(Error::Send(SendError::LongControl))));
    client.send("still here").soon().await.unwrap();
    assert_eq!(server.recv().soon().await.unwrap(), Some("still here".into()));
}

#[tokio::test]
async fn events_tell_of_pings_pongs_and_the_close() {
    let (mut client, mut server) = pair(1 << 10);
    client.ping(b"one").soon().await.unwrap();
    client.send("two").soon().await.unwrap();
    client.start_close(Code::AWAY, "three").unwrap();
    client.flush().soon().await.unwrap();
    assert_eq!(server.recv_event().soon().await.unwrap(), Some(Event::Ping("one".into())));
    assert_eq!(server.recv_event().soon().await.unwrap(), Some(Event::Message("two".into())));
    let close = Close { code: Code::AWAY, reason: "three".into() };
    assert_eq!(server.recv_event().soon().await.unwrap(), Some(Event::Close(close)));
    let (ended, pong) = tokio::join!(server.recv_event(), client.recv_event());
    assert_eq!((ended.unwrap(), pong.unwrap()), (None, Some(Event::Pong("one".into()))));
    assert!(matches!(client.recv_event().soon().await.unwrap(), Some(Event::Close(_))));
    drop(server);
    assert_eq!(client.recv_event().soon().await.unwrap(), None);
}

#[tokio::test]
async fn pieces_and_a_writer_carry_a_message_of_any_size() {
    let (mut client, mut server) = pair(1 << 12);
    let sending = tokio::spawn(async move {
        let mut writer = client.writer(Kind::Binary);
        for part in 0..100_u8 {
            writer.write(&[part; 5000]).soon().await.unwrap();
        }
        writer.finish().soon().await.unwrap();
        // The same through `AsyncWrite`.
        let mut writer = client.writer(Kind::Text);
        tokio::io::copy(&mut "grüße".as_bytes(), &mut writer).await.unwrap();
        writer.shutdown().soon().await.unwrap();
        client
    });
    let (mut bytes, mut frames, mut firsts) = (vec![], 0, 0);
    loop {
        let piece = server.recv_piece().soon().await.unwrap().unwrap();
        bytes.extend_from_slice(piece.data.as_bytes());
        frames += u32::from(piece.frame_end);
        firsts += u32::from(piece.first);
        if piece.last {
            break;
        }
    }
    let expected: Vec<u8> = (0..100).flat_map(|part| [part; 5000]).collect();
    // The first part, and the others in 14 of them, for that is 64 KiB or more.
    assert_eq!((bytes == expected, frames, firsts), (true, 1 + 99_u32.div_ceil(14), 1));
    assert_eq!(server.recv().soon().await.unwrap(), Some("grüße".into()));
    drop(sending.soon().await.unwrap());
}

#[tokio::test]
async fn an_unfinished_writer_goes_on() {
    let (mut client, mut server) = pair(1 << 12);
    client.writer(Kind::Text).write(b"gr\xC3").soon().await.unwrap();
    assert!(matches!(client.send("other").soon().await, Err(Error::Send(SendError::FragmentUnderWay))));
    assert!(matches!(client.writer(Kind::Text).write(b"\xFF").soon().await, Err(Error::Send(SendError::InvalidUtf8))));
    let mut writer = client.writer(Kind::Text);
    writer.write(b"\xBC\xC3\x9Fe").soon().await.unwrap();
    writer.finish().soon().await.unwrap();
    assert_eq!(server.recv().soon().await.unwrap(), Some("grüße".into()));
}

#[tokio::test]
async fn prepared_messages_and_counters() {
    let (mut client, mut server) = pair(1 << 12);
    let prepared = Prepared::text("tick");
    server.send_prepared(&prepared).soon().await.unwrap();
    server.send_prepared(&prepared).soon().await.unwrap();
    assert_eq!(client.recv().soon().await.unwrap(), Some("tick".into()));
    assert_eq!(client.recv().soon().await.unwrap(), Some("tick".into()));
    let (sent, received) = (server.counters().sent, client.counters().received);
    assert_eq!((sent.frames, sent.bytes), (2, 12));
    assert_eq!(received, sent);
}

#[tokio::test]
async fn what_was_fed_goes_out_together_when_it_is_received_or_flushed() {
    let (client, mut wire) = duplex(1 << 12);
    let mut client = open(client, Role::Server, Config::default());
    for _ in 0..3 {
        client.feed("a").soon().await.unwrap();
    }
    assert_eq!(client.counters().queued, 9);
    let mut buffer = [0; 64];
    let received = tokio::select! {
        biased;
        _ = client.recv() => panic!("nothing comes"),
        n = wire.read(&mut buffer) => n.unwrap(),
    };
    assert_eq!(&buffer[..received], b"\x81\x01a\x81\x01a\x81\x01a");
}

#[tokio::test]
async fn a_breach_of_the_protocol_is_told_once_and_to_the_peer() {
    let (server, mut wire) = duplex(1 << 12);
    let mut server = open(server, Role::Server, Config::default());
    wire.write_all(b"\x81\x81\0\0\0\0a\x83\x80\0\0\0\0").soon().await.unwrap();
    assert_eq!(server.recv().soon().await.unwrap(), Some("a".into()));
    let (told, seen) = tokio::join!(server.recv(), async {
        let mut seen = vec![0; 4];
        wire.read_exact(&mut seen).soon().await.unwrap();
        // The write side has been shut down; this end does the same.
        assert_eq!(wire.read(&mut [0]).soon().await.unwrap(), 0);
        wire.shutdown().soon().await.unwrap();
        seen
    });
    assert!(matches!(told, Err(Error::Protocol(ProtocolError::ReservedOpcode(3)))));
    assert_eq!(seen, b"\x88\x02\x03\xea");
    assert_eq!(server.recv().soon().await.unwrap(), None);
}

#[tokio::test]
async fn an_early_end_is_an_error() {
    let (mut client, server) = pair(1 << 12);
    drop(server);
    assert!(matches!(client.recv().soon().await, Err(Error::Protocol(ProtocolError::UnexpectedEof))));
    assert_eq!(client.recv().soon().await.unwrap(), None);
    let (mut client, server) = pair(1 << 12);
    drop(server);
    assert!(matches!(client.send("a").soon().await, Err(Error::Io(_))));
    // What was said before is not said again by sending, but by receiving.
    assert!(client.recv().soon().await.is_err());
}

#[tokio::test]
async fn an_abort_waits_for_nothing() {
    let (mut client, mut server) = pair(1 << 12);
    client.abort(Code::INTERNAL_ERROR);
    assert_eq!(client.state(), State::Closed);
    assert_eq!(client.recv().soon().await.unwrap(), None);
    drop(client);
    assert_eq!(server.recv().soon().await.unwrap(), None);
    assert_eq!(server.peer_close().map(|close| close.code), Some(Code::INTERNAL_ERROR));
}

#[tokio::test]
async fn a_closer_works_from_another_task() {
    let (mut client, mut server) = pair(1 << 12);
    let closer = server.closer();
    let served = tokio::spawn(async move { server.recv().soon().await });
    tokio::task::yield_now().await;
    tokio::spawn(async move { closer.go_away() });
    assert_eq!(client.recv().soon().await.unwrap(), None);
    assert_eq!(client.peer_close().map(|close| close.code), Some(Code::AWAY));
    assert_eq!(served.soon().await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn compressed_connections_and_streams_of_futures() {
    use futures_util::{SinkExt, StreamExt};
    let (client, server) = pair(1 << 12);
    let (mut sink, stream) = client.split_futures();
    let (mut server_sink, mut server_stream) = server.split_futures();
    let served = tokio::spawn(async move {
        while let Some(message) = server_stream.next().await {
            server_sink.send(message.unwrap()).soon().await.unwrap();
        }
    });
    let received = tokio::spawn(stream.take(50).map(|message| message.unwrap()).collect::<Vec<_>>());
    for number in 0..50 {
        sink.send(Message::text(number.to_string())).soon().await.unwrap();
    }
    let expected: Vec<_> = (0..50).map(|number| Message::text(number.to_string())).collect();
    assert_eq!(received.soon().await.unwrap(), expected);
    served.abort();
}
