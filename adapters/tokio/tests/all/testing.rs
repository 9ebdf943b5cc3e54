//! Two ends joined in memory, on a clock that is paused.

use crate::common::*;
use sockless_tokio::sockless::{Code, Config, Keepalive, ProtocolError};
use sockless_tokio::{Error, Event, testing};
use std::time::Duration;
use tokio::time::{Instant, advance};

#[tokio::test(start_paused = true)]
async fn both_ends_talk_and_close() {
    let (mut client, mut server) = testing::pair();
    let served = tokio::spawn(async move {
        while let Some(message) = server.recv().await? {
            server.send(message).await?;
        }
        Ok::<_, Error>(server.peer_close().map(|close| close.code))
    });
    for len in [0, 16, 1_000_000] {
        let message = vec![7; len];
        client.send(message.clone()).soon().await.unwrap();
        assert_eq!(client.recv().soon().await.unwrap(), Some(message.into()));
    }
    client.close(Code::AWAY, "").soon().await.unwrap();
    assert_eq!(served.soon().await.unwrap().unwrap(), Some(Code::AWAY));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_passes_when_the_clock_is_advanced() {
    let second = Duration::from_secs(1);
    let keepalive = Keepalive { ping: Some(second * 3600), pong: Some(second * 60), ..Keepalive::default() };
    let quiet = Keepalive { handshake: None, ping: None, pong: None, idle: None, close: None, ..Keepalive::default() };
    let config = |keepalive| Config { keepalive, ..Config::default() };
    let (mut client, mut server) = testing::pair_with(config(quiet), config(keepalive));
    let served = tokio::spawn(async move { server.recv().await });
    tokio::task::yield_now().await;
    let started = Instant::now();
    advance(second * 3600).await;
    // The server pings an hour after it was last heard, and this end answers.
    let event = client.recv_event().soon().await.unwrap();
    assert!(matches!(event, Some(Event::Ping(_))), "{event:?}");
    assert_eq!(started.elapsed().as_secs(), 3600);
    // Then it does not.
    let ended = served.await.unwrap();
    assert!(matches!(ended, Err(Error::Protocol(ProtocolError::PongTimeout))), "{ended:?}");
    assert_eq!(started.elapsed().as_secs(), 2 * 3600 + 60);
}
