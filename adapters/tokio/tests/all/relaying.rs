//! A proxy between a client and an upstream.

use crate::common::*;
use sockless_tokio::sockless::{Close, Code, Config, Keepalive, Role, SendError, State};
use sockless_tokio::{Error, Event, Message, WebSocket, relay};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::runtime::Builder;
use tokio::task::JoinHandle;

type Ends = (Result<(), Error>, Result<(), Error>);

/// A client and a server, and a proxy between them.
fn proxied(capacity: usize) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>, JoinHandle<Ends>) {
    let (client, near) = pair(capacity);
    let (far, server) = pair(capacity);
    (client, server, tokio::spawn(relay(near, far)))
}

#[tokio::test]
async fn messages_pings_and_the_close_go_through() {
    let (mut client, mut server, proxy) = proxied(1 << 10);
    for len in [0, 1, 5_000, 300_000] {
        let message = Message::binary(vec![7; len]);
        let (sent, received) = tokio::join!(client.send(message.clone()), server.recv());
        sent.unwrap();
        assert!(received.unwrap() == Some(message.clone()));
        let (sent, received) = tokio::join!(server.send(message.clone()), client.recv());
        sent.unwrap();
        assert!(received.unwrap() == Some(message));
    }
    // Pings are answered by the next hop.
    client.ping(b"near").soon().await.unwrap();
    assert_eq!(client.recv_event().soon().await.unwrap(), Some(Event::Pong("near".into())));
    let closing = tokio::spawn(async move { client.close(4000, "done").soon().await });
    assert_eq!(server.recv().soon().await.unwrap(), None);
    let close = Close { code: Code::from(4000), reason: "done".into() };
    assert_eq!(server.peer_close(), Some(&close));
    closing.await.unwrap().unwrap();
    drop(server);
    let (one, other) = proxy.await.unwrap();
    assert!(one.is_ok() && other.is_ok());
}

/// Sends so many messages both ways at once, each as long as `len` says of its number, through a proxy over pipes with this room.
async fn both_ways(room: usize, count: usize, len: impl Fn(usize) -> usize + Copy + Send + 'static) {
    let (client, server, proxy) = proxied(room);
    let ends = [client, server].map(|socket| {
        let (sender, mut receiver) = socket.split();
        let sending = tokio::spawn(async move {
            for number in 0..count {
                sender.send(vec![number as u8; len(number)]).soon().await.unwrap();
            }
            sender
        });
        tokio::spawn(async move {
            for number in 0..count {
                assert!(receiver.recv().soon().await.unwrap() == Some(vec![number as u8; len(number)].into()));
            }
            (receiver, sending.soon().await.unwrap())
        })
    });
    for end in ends {
        drop(end.await.unwrap());
    }
    let (one, other) = proxy.await.unwrap();
    assert!(one.is_err() && other.is_err(), "both have hung up without a close");
}

#[tokio::test]
async fn many_messages_go_both_ways_at_once() {
    both_ways(700, 500, |number| number).await;
}

/// What one end brings sooner than the other takes it waits there until it is read.
#[tokio::test]
async fn reads_that_bring_more_than_may_wait_are_passed_on() {
    for (count, len) in [(4, 1_000_000), (100, 100_000), (3000, 1000)] {
        both_ways(4 << 20, count, move |_| len).await;
    }
}

#[tokio::test]
async fn who_does_not_read_is_not_sent_more() {
    let (mut client, server, _proxy) = proxied(1 << 10);
    let mut sent = 0;
    // Each message is larger than what may wait in the proxy.
    while tokio::time::timeout(std::time::Duration::from_millis(100), client.send(vec![0; 100_000])).await.is_ok() {
        sent += 1;
        assert!(sent < 10, "the proxy takes everything");
    }
    drop(server);
}

#[tokio::test]
async fn a_lost_upstream_is_told_to_the_client() {
    let (mut client, server, proxy) = proxied(1 << 10);
    drop(server);
    assert_eq!(client.recv().soon().await.unwrap(), None);
    assert_eq!(client.peer_close().map(|close| close.code), Some(Code::AWAY));
    drop(client);
    let (one, other) = proxy.await.unwrap();
    assert!(one.is_ok() && other.is_err());
}

/// What ends in the middle of a message, which is then never whole, ends at the other side too: by a close frame, not later.
#[tokio::test]
async fn an_end_in_the_middle_of_a_message_goes_through() {
    const PART: &[u8] = b"\x02\x81\0\0\0\0a";
    const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x0f\xa1";
    for (bytes, code) in [([PART, CLOSE].concat(), 4001), (PART.to_vec(), 1001), (b"\x82\x85\0\0\0\0ab".to_vec(), 1001)]
    {
        let ((mut client, near), (far, mut server)) = (duplex(1000), pair(1 << 10));
        tokio::spawn(relay(open(near, Role::Server, Config::default()), far));
        client.write_all(&bytes).soon().await.unwrap();
        client.shutdown().soon().await.unwrap();
        assert_eq!(server.recv().soon().await.unwrap(), None);
        assert_eq!(server.peer_close().map(|close| u16::from(close.code)), Some(code));
    }
}

#[tokio::test]
async fn what_came_before_it_began_goes_through_too() {
    let ((client, near), (far, server)) = (duplex(1000), pair(1 << 10));
    let (mut client, mut server) = (open(client, Role::Client, Config::default()), server);
    let mut near = open(near, Role::Server, Config::default());
    // It is kept while something else waits to be written.
    let talk = async {
        for number in 0..10 {
            client.feed(number.to_string()).await.unwrap();
        }
        client.flush().await.unwrap();
        client.recv().await.unwrap()
    };
    let (sent, received) = tokio::join!(near.send(vec![7; 5000]), talk);
    sent.unwrap();
    assert_eq!(received, Some(vec![7; 5000].into()));
    assert!(near.counters().received.frames > 0);
    let proxy = tokio::spawn(relay(near, far));
    client.send("last").await.unwrap();
    for number in 0..10 {
        assert_eq!(soon("a message", server.recv()).await.unwrap(), Some(number.to_string().into()));
    }
    assert_eq!(soon("the last", server.recv()).await.unwrap(), Some("last".into()));
    drop((client, server));
    soon("the proxy", proxy).await.unwrap().0.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_other_is_not_given_up() {
    use std::time::Duration;
    // All comes from the server at once, and takes the client minutes. The server itself has patience.
    let ((mut client, near), (far, server)) = (pair(1 << 10), duplex(1 << 20));
    let far = open(far, Role::Client, Config::default());
    let keepalive = Keepalive { ping: None, ..Keepalive::default() };
    let mut server = open(server, Role::Server, Config { keepalive, ..Config::default() });
    let proxy = tokio::spawn(relay(near, far));
    let sending = tokio::spawn(async move {
        server.send(vec![7; 300_000]).await?;
        server.recv().await
    });
    // It takes a little now and then, which is enough for its own connection to live.
    let mut taken = 0;
    while taken < 300_000 {
        tokio::time::sleep(Duration::from_secs(15)).await;
        for _ in 0..20 {
            let piece = soon("a piece", client.recv_piece()).await.expect("it goes on").expect("it is open");
            taken += piece.data.as_bytes().len();
            if taken == 300_000 {
                break;
            }
        }
    }
    client.close(1000, "").await.unwrap();
    assert_eq!(soon("the server", sending).await.unwrap().expect("it was not given up"), None);
    let (one, other) = soon("the proxy", proxy).await.unwrap();
    assert!(one.is_ok() && other.is_ok(), "{one:?}, {other:?}");
}

/// A stream that is never done with shutting down.
struct Lingering(DuplexStream);

impl AsyncRead for Lingering {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[test]
fn a_stream_that_lingers_does_not_make_it_spin() {
    within("the relay", || {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (client, near) = duplex(1 << 10);
            let (far, server) = pair(1 << 10);
            let mut client = open(client, Role::Client, Config::default());
            let proxy = tokio::spawn(relay(open(Lingering(near), Role::Server, Config::default()), far));
            client.start_close(1000, "").unwrap();
            assert_eq!(
                client.recv_event().soon().await.unwrap().map(|event| matches!(event, Event::Close(_))),
                Some(true)
            );
            drop(server);
            let (one, other) = proxy.await.unwrap();
            assert!(one.is_ok() && other.is_err(), "{one:?}, {other:?}");
        });
    });
}

#[tokio::test]
async fn frames_are_neither_joined_nor_inflated() {
    let (near, mut wire) = duplex(1 << 10);
    let (far, upstream) = pair(1 << 10);
    let near = open(near, Role::Server, Config::default());
    let proxy = tokio::spawn(relay(near, far));
    let mut server = upstream;
    wire.write_all(b"\x01\x81\0\0\0\0a").soon().await.unwrap();
    let piece = server.recv_piece().soon().await.unwrap().unwrap();
    assert_eq!((piece.data, piece.last), ("a".into(), false));
    wire.write_all(b"\x80\x81\0\0\0\0b").soon().await.unwrap();
    let piece = server.recv_piece().soon().await.unwrap().unwrap();
    assert_eq!((piece.data, piece.last), ("b".into(), true));
    drop(wire);
    assert_eq!(server.recv().soon().await.unwrap(), None);
    assert_eq!(server.state(), State::Closed);
    drop(server);
    proxy.await.unwrap().0.unwrap_err();
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn compressed_messages_pass_as_they_are_or_not_at_all() {
    use sockless_tokio::sockless::{Compress, Deflate, DeflateParams, Negotiated, Seed};
    let params = DeflateParams { window_bits: 12, peer_window_bits: 12, takeover: false, peer_takeover: false };
    let open = |stream, role, compressed: bool| {
        let negotiated = if compressed { Negotiated::try_from(params).unwrap() } else { Negotiated::default() };
        let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
        WebSocket::open(stream, role, negotiated, config, Seed::new([7; 16]), b"")
    };
    for carried in [true, false] {
        let ((client, near), (far, mut wire)) = (duplex(1 << 12), duplex(1 << 12));
        let mut client = open(client, Role::Client, true);
        let proxy = tokio::spawn(relay(open(near, Role::Server, true), open(far, Role::Client, carried)));
        let text = "compress me ".repeat(50);
        client.send_with(&text.as_str().into(), Compress::Always).await.unwrap();
        if carried {
            let mut first = [0; 2];
            wire.read_exact(&mut first).soon().await.unwrap();
            assert_eq!(first[0], 0xC1, "RSV1 is kept");
            drop((client, wire));
            proxy.await.unwrap().0.unwrap_err();
        } else {
            assert_eq!(client.recv().soon().await.unwrap(), None);
            assert_eq!(client.peer_close().map(|close| close.code), Some(Code::INTERNAL_ERROR));
            drop((client, wire));
            assert!(matches!(proxy.await.unwrap().0, Err(Error::Send(SendError::Extension))));
        }
    }
}
