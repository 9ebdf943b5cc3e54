//! The time from a ping to its pong.

use crate::common::*;
use futures_util::FutureExt;
use futures_util::future::join_all;
use sockless_tokio::sockless::{Config, Keepalive, ProtocolError, Role};
use sockless_tokio::{Error, Event, SendError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::{sleep, timeout};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Settings under which a peer answers pings only when it is told to, and nobody is given up.
fn by_hand() -> Config {
    let mut config = Config::default();
    config.answer_pings = false;
    config.keepalive = Keepalive { ping: None, pong: None, idle: None, ..config.keepalive };
    config
}

#[tokio::test(start_paused = true)]
async fn a_round_trip_takes_as_long_as_its_pong() {
    let (client, server) = duplex(1000);
    let (mut client, mut server) = (open(client, Role::Client, by_hand()), open(server, Role::Server, by_hand()));
    let answering = tokio::spawn(async move {
        server.send("one").await.unwrap();
        for wait in [3, 5] {
            let Some(Event::Ping(payload)) = server.recv_event().await.unwrap() else { panic!("no ping") };
            // What nobody asked for, and what was asked before, tells nothing.
            for unasked in [&b""[..], b"unasked!", &[0; 8], &1_u64.to_be_bytes(), &[0xFF; 8]] {
                if unasked != &payload[..] {
                    server.pong(unasked).await.unwrap();
                }
            }
            server.send("two").await.unwrap();
            sleep(s(wait)).await;
            server.pong(&payload).await.unwrap();
            server.pong(&payload).await.unwrap();
        }
        server
    });
    assert_eq!(client.round_trip().soon().await.unwrap(), s(3));
    assert_eq!(client.round_trip().soon().await.unwrap(), s(5));
    answering.soon().await.unwrap();
    // What came meanwhile is not lost.
    for message in ["one", "two", "two"] {
        assert_eq!(client.recv().soon().await.unwrap(), Some(message.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_has_lost_nothing_and_takes_no_others_pong() {
    let (client, server) = duplex(1000);
    let (mut client, mut server) = (open(client, Role::Client, by_hand()), open(server, Role::Server, by_hand()));
    timeout(s(2), client.round_trip()).await.unwrap_err();
    let answering = tokio::spawn(async move {
        for wait in [1, 4] {
            let Some(Event::Ping(payload)) = server.recv_event().await.unwrap() else { panic!("no ping") };
            sleep(s(wait)).await;
            server.pong(&payload).await.unwrap();
        }
        server
    });
    // The pong of the first comes 1 s after this, and its own 4 s later.
    assert_eq!(client.round_trip().soon().await.unwrap(), s(5));
    answering.soon().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_at_once_by_halves_are_answered_by_the_newest() {
    let (client, server) = duplex(1000);
    let (sender, mut receiver) = open(client, Role::Client, by_hand()).split();
    let mut server = open(server, Role::Server, by_hand());
    let receiving = tokio::spawn(async move { receiver.recv().await });
    let answering = async {
        let mut newest = None;
        for _ in 0..100 {
            newest = server.recv_event().await.unwrap();
        }
        let Some(Event::Ping(payload)) = newest else { panic!("no ping") };
        sleep(s(7)).await;
        server.pong(&payload).await.unwrap();
    };
    let asking = join_all((0..100).map(|_| async { sender.clone().round_trip().await.unwrap() }));
    let (times, ()) = soon("all pongs", async { tokio::join!(asking, answering) }).await;
    assert_eq!(times, [s(7); 100]);
    // A closing handshake ends the wait.
    let (ended, _) = soon("the end", async { tokio::join!(sender.round_trip(), server.close(4000, "")) }).await;
    assert!(matches!(ended, Err(Error::Closed(close)) if close.code == 4000.into()));
    assert_eq!(receiving.soon().await.unwrap().unwrap(), None);
    assert!(matches!(sender.round_trip().soon().await, Err(Error::Closed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_and_one_that_only_talks_is_the_callers_to_give_up() {
    for halves in [false, true] {
        let (client, mut silent) = duplex(1000);
        let mut client = open(client, Role::Client, Config::default());
        let told = match halves {
            false => client.round_trip().soon().await,
            true => {
                let (sender, mut receiver) = client.split();
                soon("the end", async { tokio::join!(sender.round_trip(), receiver.recv()) }).await.0
            }
        };
        assert!(matches!(told, Err(Error::Protocol(ProtocolError::PongTimeout))), "{told:?}");
        silent.read_u8().await.unwrap();
    }
    let (client, mut talks) = duplex(1000);
    let mut client = open(client, Role::Client, Config::default());
    tokio::spawn(async move {
        loop {
            talks.write_all(b"\x81\x01.").await.unwrap();
            sleep(s(1)).await;
        }
    });
    assert!(timeout(s(60), client.round_trip()).await.is_err());
    assert_eq!(client.recv().soon().await.unwrap(), Some(".".into()));
}

#[tokio::test]
async fn more_than_is_kept_is_an_error_and_not_a_wait_without_end() {
    let (mut client, mut server) = pair(1 << 20);
    for _ in 0..20 {
        server.feed(vec![7; 10_000]).soon().await.unwrap();
    }
    server.flush().soon().await.unwrap();
    assert!(matches!(client.round_trip().soon().await, Err(Error::Unreceived)));
    for _ in 0..20 {
        assert_eq!(client.recv().soon().await.unwrap().unwrap().len(), 10_000);
    }
    let serving = tokio::spawn(async move { server.recv().await });
    client.round_trip().soon().await.unwrap();
    client.close(1000, "").soon().await.unwrap();
    assert!(matches!(client.round_trip().soon().await, Err(Error::Send(SendError::Closing))));
    serving.soon().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_poll_of_each_future_is_enough_to_be_asked() {
    let (client, server) = duplex(1000);
    let (mut client, mut server) = (open(client, Role::Client, by_hand()), open(server, Role::Server, by_hand()));
    for _ in 0..5 {
        assert!(client.round_trip().now_or_never().is_none());
    }
    for number in 1..=5_u64 {
        let ping = server.recv_event().soon().await.unwrap();
        assert_eq!(ping, Some(Event::Ping(number.to_be_bytes().to_vec().into())));
    }
}
