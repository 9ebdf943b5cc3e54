//! Whoever only receives still answers pings and closes, and keeps the deadlines; whole or by one half.

use crate::common::*;
use sockless_tokio::sockless::{Config, Keepalive, ProtocolError, Role};
use sockless_tokio::{Error, Event, Message};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// An empty masked ping of a client's, and the answer.
const PING: &[u8] = b"\x89\x81\0\0\0\0p";
const PONG: &[u8] = b"\x8a\x01p";

type Ended = Result<(), Error>;

/// A server whose task only receives, with or without an idle sender beside it.
fn reader(config: Config, halves: bool) -> (DuplexStream, JoinHandle<Ended>) {
    let (server, wire) = duplex(1 << 10);
    let mut socket = open(server, Role::Server, config);
    let task = tokio::spawn(async move {
        if halves {
            let (sender, mut receiver) = socket.split();
            while receiver.recv().await?.is_some() {}
            drop(sender);
        } else {
            while socket.recv().await?.is_some() {}
        }
        Ok(())
    });
    (wire, task)
}

async fn expect(wire: &mut DuplexStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    let result = timeout(Duration::from_secs(60), wire.read_exact(&mut read)).await;
    result.expect("it is written").expect("it is open");
    assert_eq!(read, bytes);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_only_receives_answers_pings_and_the_close() {
    for halves in [false, true] {
        let (mut wire, task) = reader(Config::default(), halves);
        for _ in 0..3 {
            wire.write_all(PING).soon().await.unwrap();
            expect(&mut wire, PONG).await;
        }
        // Each of many is answered, though they come together.
        wire.write_all(&PING.repeat(5)).soon().await.unwrap();
        expect(&mut wire, &PONG.repeat(5)).await;
        wire.write_all(b"\x88\x82\0\0\0\0\x03\xe8").soon().await.unwrap();
        expect(&mut wire, b"\x88\x02\x03\xe8").await;
        assert_eq!(wire.read(&mut [0]).soon().await.unwrap(), 0);
        task.soon().await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_pinged_and_then_ends() {
    for halves in [false, true] {
        let started = Instant::now();
        let (mut wire, task) = reader(Config::default(), halves);
        expect(&mut wire, b"\x89\x01\x01").await;
        assert_eq!(started.elapsed().as_secs(), 20);
        wire.write_all(b"\x8a\x81\0\0\0\0\x01").soon().await.unwrap();
        expect(&mut wire, b"\x89\x01\x02").await;
        assert_eq!(started.elapsed().as_secs(), 40);
        // No pong comes. That is told at once, though the stream is still there, and a close frame of 1011 says why.
        let ended = task.soon().await.unwrap();
        assert!(matches!(ended, Err(Error::Protocol(ProtocolError::PongTimeout))), "{ended:?}");
        assert_eq!(started.elapsed().as_secs(), 60);
        expect(&mut wire, b"\x88\x02\x03\xf3").await;
        assert_eq!(wire.read(&mut [0]).soon().await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_that_nobody_answers_ends_in_time() {
    let (client, wire) = duplex(1 << 10);
    let mut client = open(client, Role::Client, Config::default());
    let started = Instant::now();
    let ended = client.close(1000, "").soon().await;
    assert!(matches!(ended, Err(Error::Protocol(ProtocolError::CloseTimeout))), "{ended:?}");
    assert_eq!(started.elapsed().as_secs(), 10);
    drop(wire);
}

#[tokio::test(start_paused = true)]
async fn a_flood_does_not_put_off_the_deadline_of_a_close() {
    let (client, mut wire) = duplex(1 << 16);
    let mut client = open(client, Role::Client, Config::default());
    let flood = tokio::spawn(async move {
        let frames = b"\x82\x01a".repeat(20_000);
        while wire.write_all(&frames).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let ended = timeout(Duration::from_secs(11), client.close(1000, "")).await.expect("in time");
    assert!(matches!(ended, Err(Error::Protocol(ProtocolError::CloseTimeout))), "{ended:?}");
    drop(client);
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_does_not_block_a_sender_for_ever() {
    for halves in [false, true] {
        let (client, wire) = duplex(1 << 10);
        let mut client = open(client, Role::Client, Config::default());
        let started = Instant::now();
        let ended = if halves {
            // Nobody receives.
            let (sender, _receiver) = client.split();
            sender.send(vec![0; 1 << 20]).soon().await
        } else {
            client.send(vec![0; 1 << 20]).soon().await
        };
        assert!(matches!(ended, Err(Error::Protocol(ProtocolError::PongTimeout))), "{ended:?}");
        assert_eq!(started.elapsed().as_secs(), 40);
        drop(wire);
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_end_if_the_settings_say_so() {
    for halves in [false, true] {
        let keepalive = Keepalive { ping: None, idle: Some(Duration::from_secs(7)), ..Keepalive::default() };
        let started = Instant::now();
        let (mut wire, task) = reader(Config { keepalive, ..Config::default() }, halves);
        let ended = task.soon().await.unwrap();
        assert!(matches!(ended, Err(Error::Protocol(ProtocolError::IdleTimeout))), "{ended:?}");
        assert_eq!(started.elapsed().as_secs(), 7);
        expect(&mut wire, b"\x88\x02\x03\xe9").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_that_takes_nothing_is_told_at_once() {
    for halves in [false, true] {
        let started = Instant::now();
        let (server, wire) = duplex(2);
        let mut socket = open(server, Role::Server, Config::default());
        let ended = if halves {
            let (sender, mut receiver) = socket.split();
            sender.feed("What does not fit").soon().await.unwrap();
            receiver.recv().soon().await
        } else {
            socket.feed("What does not fit").soon().await.unwrap();
            socket.recv().soon().await
        };
        assert!(matches!(ended, Err(Error::Protocol(ProtocolError::PongTimeout))), "{ended:?}");
        assert_eq!(started.elapsed().as_secs(), 40);
        drop(wire);
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Pings after a second of silence, and waits another for the pong.
fn quick() -> Config {
    let keepalive = Keepalive { ping: Some(SECOND), pong: Some(SECOND), ..Keepalive::default() };
    Config { keepalive, ..Config::default() }
}

/// Sees a ping, and lets its pong wait to be read while the task has other things to do for longer than it may take.
async fn let_a_pong_wait(wire: &mut DuplexStream, number: u8) {
    expect(wire, &[0x89, 1, number]).await;
    wire.write_all(&[0x8A, 0x81, 0, 0, 0, 0, number]).soon().await.unwrap();
    sleep(SECOND * 5 / 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_pong_that_waits_to_be_read_is_not_missing() {
    let (server, mut wire) = duplex(1 << 10);
    let mut socket = open(server, Role::Server, quick());
    for number in 1..10 {
        while let Ok(event) = timeout(SECOND * 3 / 2, socket.recv_event()).await {
            assert!(matches!(event, Ok(Some(Event::Pong(_)))), "{event:?}");
        }
        let_a_pong_wait(&mut wire, number).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pong_that_waits_to_be_read_is_not_missing_where_a_sender_is_at_work() {
    let (server, mut wire) = duplex(1 << 10);
    let (sender, mut receiver) = open(server, Role::Server, quick()).split();
    for number in 1..10 {
        while let Ok(event) = timeout(SECOND * 3 / 2, receiver.recv_event()).await {
            assert!(matches!(event, Ok(Some(Event::Pong(_)))), "{event:?}");
        }
        let_a_pong_wait(&mut wire, number).await;
        // Whoever sends meanwhile does not know what there is to be read.
        sender.send("a").soon().await.unwrap();
        expect(&mut wire, b"\x81\x01a").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_in_two_tasks_echo_while_pings_fly() {
    const MESSAGES: usize = 20_000;
    let (client, server) = pair(1 << 12);
    let (server_sender, mut server_receiver) = server.split();
    let served = tokio::spawn(async move {
        while let Some(message) = server_receiver.recv().await? {
            server_sender.feed(message).soon().await?;
        }
        Ok::<_, Error>(())
    });
    let (sender, mut receiver) = client.split();
    let others = [0, 1].map(|_| {
        let sender = sender.clone();
        tokio::spawn(async move {
            for _ in 0..500 {
                sender.ping(b"p").soon().await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    });
    let closer = sender.clone();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            sender.send(number.to_string()).soon().await.unwrap();
        }
    });
    for number in 0..MESSAGES {
        let message = timeout(Duration::from_secs(60), receiver.recv()).await.expect("it is echoed").unwrap();
        assert_eq!(message, Some(Message::text(number.to_string())));
    }
    sending.soon().await.unwrap();
    for other in others {
        other.soon().await.unwrap();
    }
    closer.close(1000, "").soon().await.unwrap();
    assert_eq!(receiver.recv().soon().await.unwrap(), None);
    served.soon().await.unwrap().unwrap();
}

#[tokio::test]
async fn messages_of_several_senders_stay_whole() {
    let (client, mut server) = pair(100);
    let (sender, mut receiver) = client.split();
    tokio::spawn(async move { while let Ok(Some(_)) = receiver.recv().soon().await {} });
    for letter in ["a", "b", "c"] {
        let sender = sender.clone();
        tokio::spawn(async move {
            for _ in 0..100 {
                sender.send(letter.repeat(333)).soon().await.unwrap();
            }
        });
    }
    let mut counts = [0; 3];
    for _ in 0..300 {
        let message = server.recv().soon().await.unwrap().unwrap();
        let text = message.as_text().unwrap();
        assert_eq!(text, text[..1].repeat(333));
        counts[usize::from(text.as_bytes()[0] - b'a')] += 1;
    }
    assert_eq!(counts, [100; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_alone_is_told_when_the_other_half_is_gone() {
    let (client, mut wire) = duplex(1 << 10);
    let (sender, receiver) = open(client, Role::Server, Config::default()).split();
    drop(receiver);
    sender.send("still").soon().await.unwrap();
    expect(&mut wire, b"\x81\x05still").await;
    drop(wire);
    assert!(matches!(sender.send("gone").soon().await, Err(Error::Io(_))));
}

#[tokio::test]
async fn an_abort_of_a_sender_ends_the_receiver() {
    let (client, mut server) = pair(1 << 10);
    let (sender, mut receiver) = client.split();
    let receiving = tokio::spawn(async move { receiver.recv().soon().await });
    tokio::task::yield_now().await;
    sender.abort(1011);
    assert_eq!(receiving.soon().await.unwrap().unwrap(), None);
    drop(sender);
    assert_eq!(server.recv().soon().await.unwrap(), None);
    assert_eq!(server.peer_close().map(|close| u16::from(close.code)), Some(1011));
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Has many tasks begin to wait for something and give up; says how many of them it knows in the end.
fn known_of_who_gave_up(mut poll: impl FnMut(&mut Context<'_>)) -> usize {
    let tasks: Vec<_> = (0..10_000).map(|_| Arc::new(Woken::default())).collect();
    for task in &tasks {
        poll(&mut Context::from_waker(&Waker::from(task.clone())));
    }
    tasks.iter().filter(|task| Arc::strong_count(task) > 1).count()
}

#[tokio::test(start_paused = true)]
async fn who_gave_up_waiting_to_write_is_forgotten() {
    use futures_util::Sink;
    let (_wire, stream) = duplex(2);
    let mut socket = open(stream, Role::Server, Config::default());
    socket.feed("What does not fit").soon().await.unwrap();
    let known = known_of_who_gave_up(|cx| assert!(pin!(socket.flush()).poll(cx).is_pending()));
    assert!(known <= 1, "whole: {known}");

    let (sender, mut receiver) = socket.split();
    let known = known_of_who_gave_up(|cx| assert!(pin!(sender.flush()).poll(cx).is_pending()));
    assert_eq!(known, 0, "halves");
    // As a `Sink` it has one future for all of its time.
    let mut sink = sender.clone();
    let flush = |cx: &mut Context<'_>| assert!(Sink::<Message>::poll_flush(Pin::new(&mut sink), cx).is_pending());
    assert!(known_of_who_gave_up(flush) <= 1, "a sink");
    let receive = |cx: &mut Context<'_>| assert!(pin!(receiver.recv()).poll(cx).is_pending());
    assert!(known_of_who_gave_up(receive) <= 1, "a receiver");

    // Those who still wait are all woken, whoever has left between them.
    let tasks: [Arc<Woken>; 5] = Default::default();
    let mut waiting: Vec<_> = tasks.iter().map(|_| Some(Box::pin(sender.flush()))).collect();
    for (task, waiting) in tasks.iter().zip(&mut waiting) {
        assert!(
            waiting.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(&Waker::from(task.clone()))).is_pending()
        );
    }
    (waiting[1], waiting[3]) = (None, None);
    sender.closer().go_away();
    assert_eq!(tasks.map(|task| task.0.load(Ordering::Relaxed)), [true, false, true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn who_received_last_is_woken() {
    let (_wire, stream) = duplex(1 << 10);
    let mut socket = open(stream, Role::Server, Config::default());
    let closer = socket.closer();
    let tasks: [Arc<Woken>; 2] = Default::default();
    for task in &tasks {
        let waker = Waker::from(task.clone());
        assert!(socket.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    }
    closer.go_away();
    assert_eq!(tasks.map(|task| task.0.load(Ordering::Relaxed)), [false, true]);
}
