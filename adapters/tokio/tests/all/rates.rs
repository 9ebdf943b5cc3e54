//! How much a peer may send in a time, and what else changes while a connection runs: on a clock that is paused, whole and in halves.

use crate::common::*;
use sockless_tokio::sockless::{Code, Config, Excess, Keepalive, Kind, Limits, ProtocolError, Rate, Rates};
use sockless_tokio::{Error, Event, Message, Open, testing};
use std::time::Duration;
use tokio::time::Instant;

fn ten_a_second() -> Rates {
    Rates { messages: Some(Rate::per_second(10).burst(5)), ..Rates::NONE }
}

fn rated(rates: Rates) -> Config {
    Config { rates, ..Config::default() }
}

/// Sends so many messages, of which each is another.
async fn flood(client: &mut sockless_tokio::WebSocket<tokio::io::DuplexStream>, count: u32) {
    for number in 0..count {
        client.feed(number.to_string()).soon().await.unwrap();
    }
    client.flush().soon().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_read_at_its_rate_and_nothing_of_it_is_lost() {
    let (mut client, mut server) = testing::pair_with(Config::default(), rated(ten_a_second()));
    flood(&mut client, 25).await;
    let started = Instant::now();
    for number in 0..25 {
        assert_eq!(server.recv().await.unwrap(), Some(Message::from(number.to_string())));
        let due = 100 * (number + 1_u32).saturating_sub(5);
        assert_eq!(started.elapsed().as_millis().div_ceil(10) * 10, due.into(), "message {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn halves_keep_to_the_rate_as_well() {
    let (mut client, server) = testing::pair_with(Config::default(), rated(ten_a_second()));
    let (sender, mut receiver) = server.split();
    flood(&mut client, 25).await;
    let started = Instant::now();
    for number in 0..25 {
        assert_eq!(receiver.recv().await.unwrap(), Some(Message::from(number.to_string())));
    }
    assert_eq!(started.elapsed().as_millis().div_ceil(10) * 10, 2000);
    // Sending has no limit.
    sender.send("as much as it likes").soon().await.unwrap();
    assert_eq!(client.recv().soon().await.unwrap(), Some("as much as it likes".into()));
}

#[tokio::test(start_paused = true)]
async fn who_sends_more_is_refused_where_that_is_asked_for() {
    let rates = Rates { excess: Excess::Close, ..ten_a_second() };
    for in_halves in [false, true] {
        let (mut client, mut server) = testing::pair_with(Config::default(), rated(rates));
        flood(&mut client, 25).await;
        let mut told = 0;
        let ended = tokio::spawn(async move {
            if in_halves {
                let (_sender, mut receiver) = server.split();
                loop {
                    match receiver.recv().await {
                        Ok(Some(_)) => told += 1,
                        ended => return (told, ended),
                    }
                }
            }
            loop {
                match server.recv().await {
                    Ok(Some(_)) => told += 1,
                    ended => return (told, ended),
                }
            }
        });
        assert_eq!(client.recv().await.unwrap(), None);
        assert_eq!(client.peer_close().map(|close| close.code), Some(Code::POLICY));
        let (told, ended) = ended.await.unwrap();
        assert_eq!(told, 5);
        assert!(matches!(ended, Err(Error::Protocol(ProtocolError::RateExceeded))), "{ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rates_and_deadlines_are_changed_while_a_connection_runs() {
    for in_halves in [false, true] {
        let (mut client, mut server) = testing::pair();
        let quick = Keepalive {
            ping: Some(Duration::from_secs(3)),
            pong: Some(Duration::from_secs(1)),
            ..Keepalive::default()
        };
        let rate = Rates { messages: Some(Rate::per_second(1)), ..Rates::NONE };
        flood(&mut client, 3).await;
        let started = Instant::now();
        let ended = match in_halves {
            false => {
                server.set_rates(rate);
                for _ in 0..3 {
                    server.recv().await.unwrap().unwrap();
                }
                assert_eq!(started.elapsed().as_secs(), 2);
                server.set_rates(Rates::NONE);
                server.set_keepalive(quick);
                server.recv().await
            }
            true => {
                let (_sender, mut receiver) = server.split();
                receiver.set_rates(rate);
                for _ in 0..3 {
                    receiver.recv().await.unwrap().unwrap();
                }
                assert_eq!(started.elapsed().as_secs(), 2);
                receiver.set_rates(Rates::NONE);
                receiver.set_keepalive(quick);
                receiver.recv().await
            }
        };
        assert!(matches!(ended, Err(Error::Protocol(ProtocolError::PongTimeout))), "{ended:?}");
        // Halves know when something was heard only as exactly as the time was last judged.
        let expected = 2 + 3 + 1 + u64::from(in_halves);
        assert_eq!(started.elapsed().as_secs(), expected, "in halves: {in_halves}");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_change_from_elsewhere_of_one_and_of_all_that_are_tracked() {
    let small = Limits { message: 10, ..Limits::default() };
    let slow = Rates { messages: Some(Rate::per_second(1)), ..Rates::NONE };
    let pings =
        Keepalive { ping: Some(Duration::from_secs(300)), pong: Some(Duration::from_secs(1)), ..Keepalive::default() };
    for in_halves in [false, true] {
        for by_all in [false, true] {
            let open = Open::new();
            let (mut client, mut server) = testing::pair();
            let _tracked = open.track(&server);
            let closer = server.closer();
            let change = || match by_all {
                true => {
                    open.set_limits(small);
                    open.set_rates(slow);
                    open.set_keepalive(pings);
                }
                false => {
                    closer.set_limits(small);
                    closer.set_rates(slow);
                    closer.set_keepalive(pings);
                }
            };
            let (told, received) = tokio::sync::oneshot::channel();
            let serving = tokio::spawn(async move {
                let started = Instant::now();
                let mut times = vec![];
                let mut told = Some(told);
                let ended = if in_halves {
                    let (_sender, mut receiver) = server.split();
                    loop {
                        match receiver.recv().await {
                            Ok(Some(_)) => times.push(started.elapsed().as_secs()),
                            ended => break ended,
                        }
                        told.take().into_iter().for_each(|told| _ = told.send(()));
                    }
                } else {
                    loop {
                        match server.recv().await {
                            Ok(Some(_)) => times.push(started.elapsed().as_secs()),
                            ended => break ended,
                        }
                        told.take().into_iter().for_each(|told| _ = told.send(()));
                    }
                };
                (times, ended)
            });
            client.send("a message of before the change").soon().await.unwrap();
            received.soon().await.unwrap();
            change();
            tokio::task::yield_now().await;
            flood(&mut client, 4).await;
            // Nothing pings it for five minutes.
            tokio::time::sleep(Duration::from_secs(200)).await;
            client.send("too long by now").soon().await.unwrap();
            let (times, ended) = serving.await.unwrap();
            assert_eq!(times, [0, 0, 1, 2, 3], "in halves: {in_halves}, by all: {by_all}");
            let too_long = ProtocolError::MessageTooLong { len: 15, limit: 10 };
            assert!(matches!(ended, Err(Error::Protocol(error)) if error == too_long), "{ended:?}");
            // What opens later has it too.
            let (mut client, mut server) = testing::pair();
            let _tracked = open.track(&server);
            client.send("too long by now").soon().await.unwrap();
            assert_eq!(server.recv().soon().await.is_err(), by_all);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_is_answered_by_hand() {
    let by_hand = Config { answer_close: false, ..Config::default() };
    let (mut client, mut server) = testing::pair_with(Config::default(), by_hand);
    let served = tokio::spawn(async move {
        let event = server.recv_event().await.unwrap();
        assert!(matches!(&event, Some(Event::Close(close)) if close.code == Code::new(4001)), "{event:?}");
        server.close(Code::new(4002), "by hand").await.unwrap();
    });
    client.close(Code::new(4001), "").soon().await.unwrap();
    let close = client.peer_close().cloned().unwrap();
    assert_eq!((close.code, &*close.reason), (Code::new(4002), "by hand"));
    served.soon().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn frames_come_as_they_were_sent() {
    for in_halves in [false, true] {
        let (client, mut server) = testing::pair();
        let (sender, _receiver) = client.split();
        let long = "x".repeat(40_000);
        for (part, last) in [("Hel", false), ("lo", true), (&long, false), ("", true)] {
            sender.send_fragment(Kind::Text, part.as_bytes(), last).soon().await.unwrap();
        }
        sender.send("whole").soon().await.unwrap();
        let mut frames = vec![];
        let of = |piece: sockless_tokio::Piece| {
            let text = piece.data.as_text().unwrap().to_owned();
            assert!(piece.frame_end);
            (text, piece.first, piece.last)
        };
        if in_halves {
            let (_sender, mut receiver) = server.split();
            for _ in 0..5 {
                frames.push(of(receiver.recv_frame().soon().await.unwrap().unwrap()));
            }
        } else {
            for _ in 0..5 {
                frames.push(of(server.recv_frame().soon().await.unwrap().unwrap()));
            }
        }
        let expected =
            [("Hel", true, false), ("lo", false, true), (&long, true, false), ("", false, true), ("whole", true, true)];
        assert_eq!(frames, expected.map(|(text, first, last)| (text.to_owned(), first, last)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_finished_in_time_ends_the_connection() {
    for in_halves in [false, true] {
        let mut config = Config::default();
        config.keepalive = Keepalive { message: Some(Duration::from_secs(5)), ..config.keepalive };
        let (client, mut server) = testing::pair_with(Config::default(), config);
        let (sender, mut client) = client.split();
        sender.send_fragment(Kind::Text, b"begun", false).soon().await.unwrap();
        let started = Instant::now();
        let pinging = tokio::spawn(async move { while let Ok(Some(_)) = client.recv_event().await {} });
        let ended = match in_halves {
            false => server.recv().await,
            true => server.split().1.recv().await,
        };
        assert!(matches!(ended, Err(Error::Protocol(ProtocolError::MessageTimeout))), "{ended:?}");
        assert_eq!(started.elapsed().as_secs(), 5, "in halves: {in_halves}");
        pinging.await.unwrap();
    }
}
