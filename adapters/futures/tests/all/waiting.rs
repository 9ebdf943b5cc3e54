//! Dropped futures, and deadlines by a timer of the caller's or without one.

use crate::common::{Forgetting, bytes, config, echo, open_over, pair, pair_with, run, sockets};
use futures_util::{FutureExt, SinkExt, StreamExt, future};
use smol::Timer;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use sockless_futures::sockless::{HandshakeError, Keepalive, Negotiated, ProtocolError, Role, Seed};
use sockless_futures::{ClientRequest, ConnectError, Error, Settings, WebSocket};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn futures_that_are_dropped_lose_nothing() {
    run(async {
        let (mut client, server) = pair().await;
        let server = smol::spawn(echo(server));
        for turn in 0..30usize {
            let message = bytes(turn * 5000);
            // Taken by the call, be it polled once or never.
            let sent = client.send(message.clone());
            if turn % 2 == 0 {
                _ = sent.now_or_never();
            } else {
                drop(sent);
            }
            let received = loop {
                // Each is dropped behind its first poll, until one has it.
                match client.recv().now_or_never() {
                    Some(received) => break received,
                    None => smol::future::yield_now().await,
                }
            };
            assert_eq!(received.unwrap(), Some(message.into()));
        }
        client.close(1000, "").await.unwrap();
        server.await.unwrap();
    });
}

#[test]
fn no_flush_takes_away_what_wakes_a_write() {
    run(async {
        let (client, server) = sockets().await;
        let waits = Arc::new(Mutex::new(None));
        let forgetting = |stream| Forgetting { stream, stuck: false, waits: waits.clone() };
        let (mut client, _server) = open_over(forgetting(client), forgetting(server), &Settings::default()).await;
        assert!(client.send(bytes(5000)).now_or_never().is_none());
        assert!(waits.lock().unwrap().is_some());
    });
}

fn keepalive(change: impl FnOnce(&mut Keepalive)) -> Settings {
    Settings::default().config(config(|config| change(&mut config.keepalive)))
}

#[test]
fn a_silent_peer_is_given_up_by_the_callers_timer() {
    let soon = Some(Duration::from_millis(20));
    run(async {
        let settings = keepalive(|keepalive| (keepalive.ping, keepalive.pong) = (soon, soon)).timer(Timer::after);
        let (mut client, _silent) = pair_with(&settings).await;
        let told = client.recv().await;
        assert!(matches!(told, Err(Error::Protocol(ProtocolError::PongTimeout))), "{told:?}");
        assert_eq!(client.recv().await.unwrap(), None);
    });
}

#[test]
fn a_handshake_and_a_close_have_their_time() {
    let soon = Some(Duration::from_millis(20));
    run(async {
        let settings = keepalive(|keepalive| (keepalive.handshake, keepalive.close) = (soon, soon)).timer(Timer::after);
        let (client, server) = sockets().await;
        let request = ClientRequest::new("ws://localhost/").unwrap();
        let asked = settings.connect_over(&request, client).await;
        let Err(ConnectError::Handshake(Error::Protocol(ProtocolError::Handshake(error)))) = asked else {
            panic!("{asked:?}")
        };
        assert_eq!(error, HandshakeError::Timeout);
        drop(server);
        let (_client, server) = sockets().await;
        let answered = settings.accept_with(server, |request| Ok(request.accept())).await;
        let Err(Error::Protocol(ProtocolError::Handshake(error))) = answered else { panic!("{answered:?}") };
        assert_eq!(error, HandshakeError::Timeout);

        // A half that sends starts the close, and either keeps its time.
        let (client, _silent) = pair_with(&settings).await;
        let (mut sink, mut stream) = client.split();
        let mut waiting = pin!(stream.next());
        assert!(future::poll_immediate(&mut waiting).await.is_none());
        assert!(future::poll_immediate(&mut sink.close()).await.is_none());
        let told = waiting.await;
        assert!(matches!(told, Some(Err(Error::Protocol(ProtocolError::CloseTimeout)))), "{told:?}");
    });
}

#[test]
fn pings_are_answered_and_deadlines_kept_while_a_message_waits_to_be_written() {
    let soon = Some(Duration::from_millis(20));
    run(async {
        let settings = keepalive(|keepalive| (keepalive.ping, keepalive.pong) = (soon, soon)).timer(Timer::after);
        // The message is more than the sockets take. Once more came before than is kept, so that nothing more is read.
        for came in [0, 100_000] {
            let (mut client, mut silent) = pair_with(&settings).await;
            silent.send(bytes(came)).await.unwrap();
            let told = client.send(bytes(32 << 20)).await;
            assert!(matches!(told, Err(Error::Protocol(ProtocolError::PongTimeout))), "{told:?}");
            assert_eq!(client.recv().await.unwrap(), Some(bytes(came).into()));
        }

        let (client, server) = sockets().await;
        let (role, negotiated) = (Role::Server, Negotiated::default());
        let mut server = WebSocket::open(server, role, negotiated, &Settings::default(), Seed::random(), b"");
        let reading = async {
            let mut client = client;
            client.write_all(b"\x89\x81\0\0\0\0?").await.unwrap();
            let mut all = vec![0; 10 + (32 << 20) + 3];
            client.read_exact(&mut all).await.unwrap();
            all
        };
        let (sent, all) = future::join(server.send(bytes(32 << 20)), reading).await;
        sent.unwrap();
        assert!(all.ends_with(b"\x8A\x01?"), "the message is one frame, and the pong follows it");
    });
}

#[test]
fn with_a_deadline_far_off_few_timers_are_made() {
    run(async {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let settings = Settings::default().timer(move |time| {
            counted.fetch_add(1, Ordering::Relaxed);
            Timer::after(time)
        });
        let (mut client, server) = pair_with(&settings).await;
        let server = smol::spawn(echo(server));
        for _ in 0..100 {
            client.send("message").await.unwrap();
            client.recv().await.unwrap();
        }
        // For each end: its handshake's, and one for pings.
        let count = made.load(Ordering::Relaxed);
        assert!(count <= 4, "{count} timers");
        client.close(1000, "").await.unwrap();
        server.await.unwrap();
    });
}
