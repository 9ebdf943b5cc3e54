//! A connection as a `Stream` and a `Sink`, under what `futures` makes of them, in one task and in several, against peers that
//! end it in ways of their own: nothing hangs, and nothing that the peer has said is lost.

use crate::common::*;
use futures_util::future::join;
use futures_util::stream::{self, BoxStream};
use futures_util::{Sink, SinkExt, StreamExt};
use sockless_tokio::sockless::{self, Config, Connection, ProtocolError, Role, Seed};
use sockless_tokio::{Error, Message};
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::yield_now;
use tokio::time::timeout;

/// What the peer does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    /// It answers the close frame and hangs up.
    Prompt,
    /// It has much to say before that: more than is kept for nobody.
    Late,
    /// It answers the close frame, and does not hang up.
    Lingering,
    /// It does not answer.
    Silent,
    /// It says something, and closes before it has heard anything.
    First,
}

const PEERS: [Peer; 5] = [Peer::Prompt, Peer::Late, Peer::Lingering, Peer::Silent, Peer::First];

/// Late messages, and their length.
const LATE: (usize, usize) = (150, 1000);

/// Messages that this end sends.
const SENT: usize = 5;

/// A frame as the role sends it; a client's is masked by zeros.
fn frame(role: Role, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let (mask, key): (u8, &[u8]) = if role == Role::Client { (0x80, &[0; 4]) } else { (0, &[]) };
    let len = payload.len() as u16;
    let len = if len < 126 { vec![mask | len as u8] } else { [&[mask | 126], &len.to_be_bytes()[..]].concat() };
    [&[0x80 | opcode], &len[..], key, payload].concat()
}

fn late(number: usize) -> Vec<u8> {
    vec![number as u8; LATE.1]
}

/// Plays the peer until the stream ends; the messages that it got.
async fn play(peer: Peer, role: Role, mut stream: DuplexStream) -> usize {
    let close = frame(role, 8, b"\x03\xe8");
    let mut connection = Connection::open(role, Default::default(), Config::default(), Seed::new([0; 16]));
    let say_much = async |stream: &mut DuplexStream| {
        for number in 0..LATE.0 {
            stream.write_all(&frame(role, 2, &late(number))).await.unwrap();
        }
    };
    if peer == Peer::First {
        say_much(&mut stream).await;
        stream.write_all(&close).await.unwrap();
    }
    let (mut messages, mut buffer) = (0, [0; 100]);
    loop {
        // An end that is given up may hang up in any way.
        let Ok(len @ 1..) = stream.read(&mut buffer).await else { return messages };
        let mut input = &mut buffer[..len];
        while let Ok(Some(event)) = connection.receive(&mut input) {
            match (event, peer) {
                (sockless::Event::Text(_), _) => messages += 1,
                (sockless::Event::Close(_), Peer::Silent) => {}
                (sockless::Event::Close(_), _) => {
                    if peer == Peer::Late {
                        say_much(&mut stream).await;
                    }
                    if peer != Peer::First {
                        stream.write_all(&close).await.unwrap();
                    }
                    // A client waits for the server to hang up.
                    if peer != Peer::Lingering && role == Role::Server {
                        return messages;
                    }
                }
                (event, _) => panic!("{event:?}"),
            }
        }
    }
}

type Sending = Pin<Box<dyn Sink<Message, Error = Error> + Send>>;
type Receiving = BoxStream<'static, Result<Message, Error>>;

/// How a connection is parted.
#[derive(Clone, Copy, Debug)]
enum Parted {
    /// As `futures` does it, with a lock.
    ByFutures,
    /// In halves of its own.
    Halves,
}

fn parted(stream: DuplexStream, role: Role, parted: Parted) -> (Sending, Receiving) {
    let socket = open(stream, role, Config::default());
    match parted {
        Parted::ByFutures => {
            let (sink, stream) = socket.split_futures();
            (Box::pin(sink), Box::pin(stream))
        }
        Parted::Halves => {
            let (sender, receiver) = socket.split();
            (Box::pin(sender), Box::pin(receiver))
        }
    }
}

/// How both are used.
#[derive(Clone, Copy, Debug)]
enum Used {
    Plainly,
    InTwoTasks,
    /// The stream is not asked before the sink is closed.
    OneAfterTheOther,
    Forward,
    SendAll,
    Select,
    Buffered,
    Timeout,
}

const USES: [Used; 8] = [
    Used::Plainly,
    Used::InTwoTasks,
    Used::OneAfterTheOther,
    Used::Forward,
    Used::SendAll,
    Used::Select,
    Used::Buffered,
    Used::Timeout,
];

type Received = Vec<Result<Message, Error>>;

fn messages() -> impl Iterator<Item = Message> {
    (0..SENT).map(|number| Message::text(number.to_string()))
}

async fn send(sink: &mut Sending) -> Result<(), Error> {
    for message in messages() {
        sink.send(message).await?;
    }
    Ok(())
}

/// Sends some messages and closes, while all is received that comes; how either ended.
async fn talk(mut sink: Sending, mut stream: Receiving, used: Used) -> (Result<(), Error>, Received) {
    let sent_and_closed = async |sink: &mut Sending| {
        let sent = send(sink).await;
        let closed = sink.close().await;
        sent.and(closed)
    };
    match used {
        Used::Plainly => join(sent_and_closed(&mut sink), stream.collect()).await,
        Used::InTwoTasks => {
            let sending = tokio::spawn(async move {
                let sent = send(&mut sink).await;
                sent.and(sink.close().await)
            });
            let receiving = tokio::spawn(stream.collect());
            (sending.await.unwrap(), receiving.await.unwrap())
        }
        Used::OneAfterTheOther => {
            let sent = sent_and_closed(&mut sink).await;
            (sent, stream.collect().await)
        }
        Used::Forward => join(stream::iter(messages().map(Ok)).forward(sink), stream.collect()).await,
        Used::SendAll => {
            let sending = async {
                let sent = sink.send_all(&mut stream::iter(messages().map(Ok))).await;
                sent.and(sink.close().await)
            };
            join(sending, stream.collect()).await
        }
        Used::Select => {
            let others = stream::repeat_with(|| None).take(1000);
            let both = stream::select(stream.map(Some), others).filter_map(async |item| item);
            join(sent_and_closed(&mut sink), both.collect()).await
        }
        Used::Buffered => {
            let slowly = stream.map(|item| async {
                yield_now().await;
                item
            });
            join(sent_and_closed(&mut sink), slowly.buffered(4).collect()).await
        }
        Used::Timeout => {
            const SHORT: Duration = Duration::from_millis(10);
            let sending = async {
                let sent = send(&mut sink).await;
                loop {
                    if let Ok(closed) = timeout(SHORT, sink.close()).await {
                        break sent.and(closed);
                    }
                }
            };
            let receiving = async {
                let mut received = vec![];
                loop {
                    match timeout(SHORT, stream.next()).await {
                        Ok(Some(item)) => received.push(item),
                        Ok(None) => break received,
                        Err(_) => {}
                    }
                }
            };
            join(sending, receiving).await
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_hangs_and_nothing_is_lost() {
    for (role, peers) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
        for way in [Parted::ByFutures, Parted::Halves] {
            for used in USES {
                for peer in PEERS {
                    let what = format!("a {role:?}, parted {way:?}, used {used:?}, its peer {peer:?}");
                    let (near, far) = duplex(300);
                    let played = tokio::spawn(play(peer, peers, far));
                    let (sink, stream) = parted(near, role, way);
                    let talked = soon(&what, timeout(Duration::from_secs(60), talk(sink, stream, used))).await;
                    let (sent, mut received) = talked.unwrap_or_else(|_| panic!("{what} hangs"));
                    let timed_out =
                        |result: &Result<_, _>| matches!(result, Err(Error::Protocol(ProtocolError::CloseTimeout)));
                    let got = soon(&what, played).await.unwrap();
                    if peer == Peer::Silent {
                        let end = received.pop().expect("the error").map(drop);
                        assert!(timed_out(&end), "{what}: {end:?}");
                        // Halves have the frame sent, and no more than that.
                        assert!(sent.is_ok() == matches!(way, Parted::Halves), "{what}: {sent:?}");
                        assert!(sent.is_ok() || timed_out(&sent), "{what}: {sent:?}");
                    } else if peer == Peer::First {
                        assert!(sent.as_ref().map_or_else(Error::is_closing, |()| true), "{what}: {sent:?}");
                    } else {
                        assert!(sent.is_ok(), "{what}: {sent:?}");
                    }
                    let received: Vec<_> = received.into_iter().map(|item| item.unwrap().into_bytes()).collect();
                    let said = if matches!(peer, Peer::Late | Peer::First) { LATE.0 } else { 0 };
                    let expected: Vec<_> = (0..said).map(late).collect();
                    assert!(received == expected, "{what}: {} messages", received.len());
                    assert!(got == SENT || peer == Peer::First, "{what}: {got} messages");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_it_was_put_together_again_is_not_lost() {
    for peer in PEERS {
        let (near, far) = duplex(300);
        let played = tokio::spawn(play(peer, Role::Server, far));
        let (mut sink, stream) = open(near, Role::Client, Config::default()).split_futures();
        for message in messages() {
            _ = sink.send(message).await;
        }
        _ = timeout(Duration::from_secs(1), sink.close()).await;
        let mut socket = sink.reunite(stream).unwrap();
        let mut received = 0;
        let end = loop {
            match soon("the end", socket.next()).await {
                Some(Ok(message)) => {
                    assert!(message.as_bytes() == late(received));
                    received += 1;
                }
                end => break end,
            }
        };
        assert_eq!(end.is_some(), peer == Peer::Silent, "{peer:?}: {end:?}");
        assert_eq!(received, if matches!(peer, Peer::Late | Peer::First) { LATE.0 } else { 0 }, "{peer:?}");
        drop(socket);
        soon("the peer", played).await.unwrap();
    }
}
