//! Connections taken apart, and put together again.

use crate::common::*;
use futures_util::FutureExt;
use sockless_tokio::sockless::{Config, Keepalive, Kind, ProtocolError, Rate, Rates, Role, Seed};
use sockless_tokio::{Error, InUse, Message};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn what_was_read_and_not_told_goes_on_elsewhere() {
    let (client, mut server) = pair(10_000);
    for message in ["one", "two", "three"] {
        server.send(message).soon().await.unwrap();
    }
    let mut client = client;
    assert_eq!(client.recv().soon().await.unwrap(), Some("one".into()));
    let (stream, rest) = client.into_inner().unwrap();
    assert_eq!(rest, b"\x81\x03two\x81\x05three");
    let seed = Seed::new([1; 16]);
    let config = Config::default();
    let mut client = sockless_tokio::WebSocket::open(stream, Role::Client, Default::default(), config, seed, &rest);
    for message in ["two", "three"] {
        assert_eq!(client.recv().soon().await.unwrap(), Some(message.into()));
    }
    client.send("on").soon().await.unwrap();
    assert_eq!(server.recv().soon().await.unwrap(), Some("on".into()));
    // Behind a closing handshake there is nothing.
    let (closed, ended) = soon("the end", async { tokio::join!(client.close(1000, ""), server.recv()) }).await;
    closed.unwrap();
    assert_eq!(ended.unwrap(), None);
    assert_eq!(client.into_inner().unwrap().1, b"");
}

/// More than a read may bring from a peer whose bytes are limited.
#[tokio::test]
async fn much_that_was_read_goes_on_elsewhere() {
    let (_peer, stream) = duplex(1);
    let config =
        Config { rates: Rates { bytes: Some(Rate::per_second(1 << 30)), ..Rates::default() }, ..Config::default() };
    let rest = [&b"\x82\xFF\0\0\0\0\0\x10\0\0\0\0\0\0"[..], &[7; 1 << 20]].concat();
    let mut server =
        sockless_tokio::WebSocket::open(stream, Role::Server, Default::default(), config, Seed::new([1; 16]), &rest);
    assert!(server.recv().soon().await.unwrap() == Some(vec![7; 1 << 20].into()));
}

#[tokio::test]
async fn what_would_be_lost_is_told_and_the_connection_goes_on() {
    // Not written.
    let (client, mut server) = pair(10);
    let mut client = client;
    assert!(client.send("more than ten bytes").now_or_never().is_none());
    let kept = client.into_inner().unwrap_err();
    assert_eq!((kept.why, kept.to_string()), (InUse::Unwritten, "bytes wait to be written".into()));
    let mut client = kept.inner;
    let (flushed, got) = soon("both", async { tokio::join!(client.flush(), server.recv()) }).await;
    flushed.unwrap();
    assert_eq!(got.unwrap(), Some("more than ten bytes".into()));
    // A message in parts, of which some is gathered.
    let mut writer = client.writer(Kind::Text);
    writer.write(b"p").soon().await.unwrap();
    writer.write(b"art").soon().await.unwrap();
    let kept = client.into_inner().unwrap_err();
    assert_eq!(kept.why, InUse::Unwritten);
    // Within a message, of which the front has come; and within the header of another.
    for (front, rest) in [(&b"\x81\x05He"[..], &b"llo"[..]), (b"\x01\x02He", b"\x80\x03llo"), (b"\x81", b"\x05Hello")] {
        let (stream, mut peer) = duplex(1000);
        let mut client = open(stream, Role::Client, Config::default());
        peer.write_all(front).soon().await.unwrap();
        assert!(client.recv().now_or_never().is_none());
        let mut client = match client.into_inner() {
            Err(kept) => {
                assert_eq!(kept.why, InUse::WithinMessage, "{front:?}");
                kept.inner
            }
            // One that is short enough is left whole.
            Ok((stream, read)) => {
                assert_eq!(read, front);
                let seed = sockless_tokio::sockless::Seed::new([1; 16]);
                let config = Config::default();
                sockless_tokio::WebSocket::open(stream, Role::Client, Default::default(), config, seed, &read)
            }
        };
        peer.write_all(rest).soon().await.unwrap();
        assert_eq!(client.recv().soon().await.unwrap(), Some("Hello".into()), "{front:?}");
    }
    // Received while it waited for something else.
    let (mut client, mut server) = pair(1000);
    server.send("meanwhile").soon().await.unwrap();
    let (trip, _) = soon("a pong", async { tokio::join!(client.round_trip(), server.recv_event()) }).await;
    trip.unwrap();
    let kept = client.into_inner().unwrap_err();
    assert_eq!(kept.why, InUse::Unreceived);
    let mut client = kept.inner;
    assert_eq!(client.recv().soon().await.unwrap(), Some("meanwhile".into()));
    client.into_inner().unwrap();
}

#[tokio::test]
async fn halves_are_one_again_with_all_that_waits() {
    let (client, mut server) = pair(10);
    let (sender, mut receiver) = client.split();
    // One waits to be written, and of what comes, some is read.
    assert!(sender.send("more than ten bytes").now_or_never().is_none());
    let long = Message::binary(vec![7; 1000]);
    let sending = tokio::spawn(async move {
        server.send(long).await.unwrap();
        server
    });
    for _ in 0..10 {
        assert!(receiver.recv().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let mut client = receiver.reunite(sender).unwrap();
    assert_eq!(client.recv().soon().await.unwrap().unwrap().len(), 1000);
    let mut server = sending.soon().await.unwrap();
    let (flushed, got) = soon("both", async { tokio::join!(client.flush(), server.recv()) }).await;
    flushed.unwrap();
    assert_eq!(got.unwrap(), Some("more than ten bytes".into()));
    // And again; pings and the end are as before.
    let (sender, receiver) = client.split();
    let mut client = receiver.reunite(sender).unwrap();
    server.ping(b"there?").soon().await.unwrap();
    let ending = async { server.close(4000, "bye").await.unwrap() };
    let (told, ()) = soon("the end", async { tokio::join!(client.recv(), ending) }).await;
    assert_eq!((told.unwrap(), client.peer_close().unwrap().code), (None, 4000.into()));
    // Ended, it is taken apart and joined as well.
    let (sender, receiver) = client.split();
    let mut client = receiver.reunite(sender).unwrap();
    assert_eq!(client.recv().soon().await.unwrap(), None);
}

#[tokio::test]
async fn only_both_halves_of_one_connection_are_joined() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connect = async || {
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        (
            open(client.unwrap(), Role::Client, Config::default()),
            open(server.unwrap().0, Role::Server, Config::default()),
        )
    };
    let ((one, mut peer), (other, _there)) = (connect().await, connect().await);
    let (sender, receiver) = one.split_with(TcpStream::into_split);
    let (others_sender, _others_receiver) = other.split_with(TcpStream::into_split);
    let join = |read: tokio::net::tcp::OwnedReadHalf, write| read.reunite(write).unwrap();
    let kept = receiver.reunite_with(others_sender, join).unwrap_err();
    assert_eq!(kept.why, InUse::Different);
    let (_, receiver) = kept.inner;
    let clone = sender.clone();
    let kept = receiver.reunite_with(sender, join).unwrap_err();
    assert_eq!(kept.why, InUse::Cloned);
    let (sender, receiver) = kept.inner;
    drop(clone);
    let mut whole = receiver.reunite_with(sender, join).unwrap();
    whole.send("whole").soon().await.unwrap();
    assert_eq!(peer.recv().soon().await.unwrap(), Some("whole".into()));
}

#[tokio::test(start_paused = true)]
async fn deadlines_go_on() {
    let (stream, mut peer) = duplex(1000);
    let mut config = Config::default();
    config.keepalive =
        Keepalive { ping: Some(Duration::from_secs(5)), pong: Some(Duration::from_secs(5)), ..config.keepalive };
    let (sender, mut receiver) = open(stream, Role::Client, config).split();
    let before = tokio::time::Instant::now();
    tokio::time::timeout(Duration::from_secs(3), receiver.recv()).await.unwrap_err();
    let mut client = receiver.reunite(sender).unwrap();
    let told = client.recv().soon().await;
    assert!(matches!(told, Err(Error::Protocol(ProtocolError::PongTimeout))), "{told:?}");
    assert_eq!(before.elapsed().as_secs(), 10);
    peer.read_u8().await.unwrap();
}
