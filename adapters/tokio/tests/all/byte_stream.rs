//! Bytes over binary messages.

use crate::common::choppy;
use crate::common::choppy::Choppy;
use crate::common::random::{Random, Replay, seeds};
use crate::common::*;
use futures_util::FutureExt;
use sockless_tokio::sockless::{Config, Role};
use sockless_tokio::{ByteStream, Code, Error, Message, Server, WebSocket, connect};
use std::io::ErrorKind;
use std::pin::pin;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, copy, copy_bidirectional,
    duplex, split,
};
use tokio::net::{TcpListener, TcpStream};

/// Bytes that go each way in bulk.
const BULK: usize = 100_000;

/// Some bytes, which differ from those of others.
fn bytes(len: usize, of: u8) -> Vec<u8> {
    (0..len).map(|at| (at / 7) as u8 ^ of).collect()
}

/// Two ends of a stream, over one that holds so many bytes.
fn streams(capacity: usize) -> (ByteStream<WebSocket<DuplexStream>>, ByteStream<WebSocket<DuplexStream>>) {
    let (client, server) = pair(capacity);
    (ByteStream::new(client), ByteStream::new(server))
}

/// What the error of a read or a write is made of.
fn cause(error: &std::io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

#[test]
fn what_is_written_both_ways_at_once_arrives_however_it_is_cut() {
    for seed in seeds(20) {
        let _replay = Replay(seed);
        let random = &mut Random(seed);
        let (client, server) = duplex(choppy::LARGEST);
        let client = open(Choppy::new(client, random), Role::Client, Config::default());
        let server = open(Choppy::new(server, random), Role::Server, Config::default());
        let sizes: Vec<_> = (0..400).map(|_| 1 + random.below(500)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        within("both ends", || {
            runtime.block_on(async {
                // Both ends write all, and read meanwhile.
                let (one, other) = (ByteStream::new(client).split(), split(ByteStream::new(server)));
                tokio::join!(exchange(one, &sizes, 1, 2), exchange(other, &sizes, 2, 1))
            })
        });
    }
}

/// Writes in parts of these sizes and shuts down; reads what the other end has written.
async fn exchange<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    (mut r, mut w): (R, W),
    sizes: &[usize],
    own: u8,
    its: u8,
) {
    let all = bytes(sizes.iter().sum(), own);
    let writing = async {
        let mut rest = &all[..];
        for size in sizes {
            w.write_all(&rest[..*size]).await.unwrap();
            rest = &rest[*size..];
        }
    };
    let reading = async {
        let mut got = vec![0; all.len()];
        r.read_exact(&mut got).await.unwrap();
        assert!(got == bytes(all.len(), its), "what the other end has written");
    };
    tokio::join!(writing, reading);
    // Each has all of the other's: whoever is first to shut down ends both ways.
    let (_, mut more) = (w.shutdown().await, vec![]);
    assert_eq!(r.read_to_end(&mut more).await.unwrap(), 0);
}

/// A session as of a remote shell: each key is echoed before the next, while much comes and goes beside it.
#[tokio::test]
async fn keys_are_echoed_while_much_comes_and_goes() {
    // A frame of this protocol: which channel, how many bytes, and these.
    async fn frame(w: &mut (impl AsyncWrite + Unpin), channel: u8, data: &[u8]) {
        w.write_all(&[&[channel][..], &(data.len() as u16).to_be_bytes(), data].concat()).await.unwrap();
    }
    async fn next(r: &mut (impl AsyncRead + Unpin)) -> (u8, Vec<u8>) {
        let (channel, len) = (r.read_u8().await.unwrap(), r.read_u16().await.unwrap());
        let mut data = vec![0; len.into()];
        r.read_exact(&mut data).await.unwrap();
        (channel, data)
    }
    const KEYS: usize = 300;
    const BLOCKS: usize = 100;
    let (client, server) = streams(1000);
    let (mut from_server, mut to_server) = client.split();
    let (mut from_client, mut to_client) = split(server);
    let (echo, mut echoes) = tokio::sync::mpsc::unbounded_channel();
    let host = async {
        let (mut keys, mut blocks) = (0, 0);
        while keys < KEYS || blocks < BLOCKS {
            match next(&mut from_client).await {
                (0, key) => (keys, _) = (keys + 1, echo.send(key).unwrap()),
                (_, block) => (blocks, _) = (blocks + 1, assert!(block == bytes(BULK / BLOCKS, 5))),
            }
        }
    };
    let host_out = async {
        for number in 0..KEYS.max(BLOCKS) {
            if number < BLOCKS {
                frame(&mut to_client, 1, &bytes(BULK / BLOCKS, 9)).await;
            }
            if number < KEYS {
                let key = echoes.recv().await.unwrap();
                frame(&mut to_client, 0, &key).await;
            }
        }
    };
    let (echoed, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let user = async {
        for number in 0..KEYS {
            frame(&mut to_server, 0, &[number as u8]).await;
            if number < BLOCKS {
                frame(&mut to_server, 1, &bytes(BULK / BLOCKS, 5)).await;
            }
            assert_eq!(seen.recv().await, Some(vec![number as u8]));
        }
    };
    let user_in = async {
        let (mut keys, mut blocks) = (0, 0);
        while keys < KEYS || blocks < BLOCKS {
            match next(&mut from_server).await {
                (0, key) => (keys, _) = (keys + 1, echoed.send(key).unwrap()),
                (_, block) => (blocks, _) = (blocks + 1, assert!(block == bytes(BULK / BLOCKS, 9))),
            }
        }
    };
    soon("the session", async { tokio::join!(host, host_out, user, user_in) }).await;
}

#[test]
fn tunnels_of_many_under_load() {
    #[tokio::main(worker_threads = 4)]
    async fn tunnels() {
        // From TCP through a WebSocket to TCP, where all is sent back.
        let home = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = home.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut r, mut w) = home.accept().await.unwrap().0.into_split();
                tokio::spawn(async move { copy(&mut r, &mut w).await.unwrap() });
            }
        });
        let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", far.local_addr().unwrap());
        tokio::spawn(Server::new().serve(far, move |socket, _, _| async move {
            let mut target = TcpStream::connect(target).await?;
            // Who ends it is the other end.
            _ = copy_bidirectional(&mut ByteStream::new(socket), &mut target).await;
            Ok::<_, std::io::Error>(())
        }));
        let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let entrance = near.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = near.accept().await.unwrap();
                let url = url.clone();
                tokio::spawn(async move {
                    let mut tunnel = ByteStream::new(connect(&url).await.unwrap());
                    _ = copy_bidirectional(&mut stream, &mut tunnel).await;
                });
            }
        });
        let clients: Vec<_> = (0..16_u8)
            .map(|number| {
                tokio::spawn(async move {
                    let (mut r, mut w) = TcpStream::connect(entrance).await.unwrap().into_split();
                    let all = bytes(20 * BULK, number);
                    let mut got = vec![0; all.len()];
                    let (wrote, read) = tokio::join!(w.write_all(&all), r.read_exact(&mut got));
                    wrote.unwrap();
                    read.unwrap();
                    assert!(got == all, "what was sent comes back");
                    w.shutdown().await.unwrap();
                    assert_eq!(r.read(&mut [0]).await.unwrap(), 0);
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    }
    within("all tunnels", tunnels);
}

#[tokio::test]
async fn the_end_comes_behind_what_was_written_and_stays_the_end() {
    let (mut one, mut other) = streams(100);
    let serving = tokio::spawn(async move {
        let mut all = vec![];
        other.read_to_end(&mut all).await.unwrap();
        assert_eq!(other.read(&mut [0]).await.unwrap(), 0);
        // Both ways end at once.
        assert_eq!(other.write_all(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        other.shutdown().await.unwrap();
        all
    });
    one.write_all(&bytes(BULK, 3)).soon().await.unwrap();
    one.shutdown().soon().await.unwrap();
    one.shutdown().soon().await.unwrap();
    assert_eq!(one.read(&mut [0]).soon().await.unwrap(), 0);
    assert!(serving.soon().await.unwrap() == bytes(BULK, 3));
}

#[tokio::test]
async fn what_the_peer_has_written_before_it_learns_of_the_end_can_be_read() {
    let (mut one, mut other) = streams(1 << 20);
    other.write_all(b"the last words").soon().await.unwrap();
    one.write_all(b"enough").soon().await.unwrap();
    let (mut all, mut its) = (vec![], vec![]);
    let (shut, read) = soon("both", async { tokio::join!(one.shutdown(), other.read_to_end(&mut its)) }).await;
    shut.unwrap();
    read.unwrap();
    one.read_to_end(&mut all).soon().await.unwrap();
    assert_eq!((&all[..], &its[..]), (&b"the last words"[..], &b"enough"[..]));
}

#[tokio::test]
async fn only_a_normal_close_is_the_end() {
    for (code, kind) in [(1000, None), (1001, Some(ErrorKind::BrokenPipe)), (1011, Some(ErrorKind::BrokenPipe))] {
        let (mut one, other) = streams(1000);
        let mut other = other.into_inner();
        other.send(&b"half"[..]).soon().await.unwrap();
        let closing = async { other.close(code, "").await.unwrap() };
        let mut all = vec![];
        let (read, ()) = soon("both", async { tokio::join!(one.read_to_end(&mut all), closing) }).await;
        assert_eq!((read.as_ref().err().map(|error| error.kind()), &all[..]), (kind, &b"half"[..]), "{code}");
        if let Err(error) = read {
            assert!(matches!(cause(&error), Some(Error::Closed(close)) if close.code == Code::from(code)), "{error:?}");
            // It does not become one by being asked again.
            assert_eq!(one.read(&mut [0]).soon().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    }
    let (mut one, other) = streams(1000);
    drop(other);
    for _ in 0..2 {
        assert_eq!(one.read(&mut [0]).soon().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn text_is_refused_even_if_the_stream_is_dropped_with_the_error() {
    for halves in [false, true] {
        let (client, mut server) = pair(1000);
        server.send("text").soon().await.unwrap();
        let mut all = vec![];
        if halves {
            ByteStream::new(client.split().1).read_to_end(&mut all).soon().await.unwrap_err();
        } else {
            ByteStream::new(client).read_to_end(&mut all).soon().await.unwrap_err();
        }
        _ = server.recv().soon().await;
        assert_eq!(server.peer_close().map(|close| close.code), Some(Code::from(1003)), "{halves}");
    }
}

#[tokio::test]
async fn text_is_an_error_and_ends_it() {
    for halves in [false, true] {
        let (client, mut server) = pair(1000);
        for message in [Message::from(&b"bytes"[..]), "text".into()] {
            server.send(message).soon().await.unwrap();
        }
        let reading = async {
            let refused = |error: std::io::Error| {
                assert_eq!(error.kind(), ErrorKind::InvalidData);
                assert!(matches!(cause(&error), Some(Error::Text)), "{error:?}");
            };
            let mut all = vec![];
            if halves {
                let (_sender, receiver) = client.split();
                let mut stream = ByteStream::new(receiver);
                refused(stream.read_to_end(&mut all).await.unwrap_err());
                stream.read(&mut [0]).await.unwrap_err();
            } else {
                let mut stream = ByteStream::new(client);
                refused(stream.read_to_end(&mut all).await.unwrap_err());
                stream.read(&mut [0]).await.unwrap_err();
            }
            assert_eq!(all, b"bytes");
        };
        let (told, ()) = soon("both", async { tokio::join!(server.recv(), reading) }).await;
        assert_eq!((told.unwrap(), server.peer_close().unwrap().code), (None, Code::UNSUPPORTED));
    }
}

#[tokio::test]
async fn what_is_read_and_what_is_written_survives_whoever_gives_up() {
    let (one, other) = streams(60);
    let ((mut r, mut w), (mut back, mut out)) = (split(one), split(other));
    let echoing = tokio::spawn(async move { copy(&mut back, &mut out).await });
    let all = bytes(20_000, 11);
    let (mut written, mut got) = (0, vec![]);
    soon("all of it", async {
        while got.len() < all.len() {
            // Each future gets one poll, and the next begins anew.
            if written < all.len()
                && let Some(len) = w.write(&all[written..(written + 700).min(all.len())]).now_or_never()
            {
                written += len.unwrap();
            }
            let mut part = [0; 300];
            if let Some(len) = r.read(&mut part).now_or_never() {
                got.extend_from_slice(&part[..len.unwrap()]);
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(got == all);
    w.shutdown().soon().await.unwrap();
    assert_eq!(echoing.soon().await.unwrap().unwrap(), all.len() as u64);
}

#[tokio::test]
async fn messages_are_no_longer_than_others_take_and_empty_ones_are_nothing() {
    let (mut one, other) = streams(1 << 20);
    let mut other = other.into_inner();
    let writing = tokio::spawn(async move {
        one.write_all(&bytes(200_000, 1)).await.unwrap();
        assert_eq!(one.write(&[]).await.unwrap(), 0);
        one.flush().await.unwrap();
        let mut lines = vec![];
        while one.read_until(b'\n', &mut lines).await.unwrap() > 0 {}
        lines
    });
    let mut sizes = vec![];
    while sizes.iter().sum::<usize>() < 200_000 {
        sizes.push(other.recv().soon().await.unwrap().unwrap().len());
    }
    assert_eq!(sizes, [65_536, 65_536, 65_536, 3_392]);
    for part in [&b""[..], b"a\nb", b"", b"\n", b"end"] {
        other.send(part).soon().await.unwrap();
    }
    other.close(1000, "").soon().await.unwrap();
    assert_eq!(writing.soon().await.unwrap(), b"a\nb\nend");
}

#[tokio::test]
async fn two_ends_that_only_write_stand_still_as_over_tcp_and_go_on_when_read() {
    let (one, other) = streams(1000);
    let ((mut r1, mut w1), (mut r2, mut w2)) = (split(one), split(other));
    // More than is kept on either side.
    let all = bytes(1 << 20, 0);
    let (mut first, mut second) = (pin!(w1.write_all(&all)), pin!(w2.write_all(&all)));
    for _ in 0..1000 {
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let (mut got1, mut got2) = (vec![0; all.len()], vec![0; all.len()]);
    let (a, b, c, d) =
        soon("all of it", async { tokio::join!(first, second, r1.read_exact(&mut got1), r2.read_exact(&mut got2)) })
            .await;
    a.unwrap();
    b.unwrap();
    c.unwrap();
    d.unwrap();
    assert!(got1 == all && got2 == all);
}
