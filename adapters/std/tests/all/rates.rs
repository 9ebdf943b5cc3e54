//! How much a peer may send in a time, by a thread that waits; and what is answered by hand.

use crate::common::{config, pair_with, within};
use sockless_std::sockless::{Code, Config, Excess, Kind, ProtocolError, Rate, Rates};
use sockless_std::{Error, Event};
use std::thread;

/// So quick that a test is over soon, and slower than a flood.
fn quick(excess: Excess) -> Config {
    config(|config| config.rates = Rates { messages: Some(Rate::per_second(100).burst(5)), bytes: None, excess })
}

#[test]
fn a_flood_comes_whole_and_in_order_through_its_limit() {
    for in_halves in [false, true] {
        let (client, mut server) = pair_with(Config::default(), quick(Excess::Wait));
        let (sender, _receiver) = client.split().unwrap();
        (0..30).for_each(|number: u32| sender.send(&number.to_string()[..]).unwrap());
        let expected = (0..30).map(|number: u32| number.to_string());
        if in_halves {
            let (_sender, mut receiver) = server.split().unwrap();
            for text in expected {
                assert_eq!(within("a message", || receiver.recv()).unwrap(), Some(text.into()));
            }
        } else {
            for text in expected {
                assert_eq!(within("a message", || server.recv()).unwrap(), Some(text.into()));
            }
        }
    }
}

#[test]
fn who_sends_more_is_refused_where_that_is_asked_for() {
    let slow = Rates { messages: Some(Rate { per_second: 1, burst: 5 }), bytes: None, excess: Excess::Close };
    let (mut client, mut server) = pair_with(Config::default(), config(|config| config.rates = slow));
    let serving = thread::spawn(move || {
        let mut told = 0;
        loop {
            match server.recv() {
                Ok(Some(_)) => told += 1,
                ended => return (told, ended),
            }
        }
    });
    (0..100).for_each(|_| _ = client.send("x"));
    while let Ok(Some(_)) = within("the end", || client.recv()) {}
    assert_eq!(client.peer_close().map(|close| close.code), Some(Code::POLICY));
    let (told, ended) = within("its end", || serving.join()).unwrap();
    // Another came to be due if this took a second.
    assert!((5..100).contains(&told), "{told}");
    assert!(matches!(ended, Err(Error::Protocol(ProtocolError::RateExceeded))), "{ended:?}");
}

#[test]
fn frames_come_as_they_were_sent() {
    for in_halves in [false, true] {
        let (client, mut server) = pair_with(Config::default(), Config::default());
        let (sender, _receiver) = client.split().unwrap();
        for (part, last) in [(&b"Hel"[..], false), (b"lo", true)] {
            sender.send_fragment(Kind::Text, part, last).unwrap();
        }
        let mut frames = vec![];
        if in_halves {
            let (_sender, mut receiver) = server.split().unwrap();
            (0..2).for_each(|_| frames.push(within("a frame", || receiver.recv_frame()).unwrap().unwrap()));
        } else {
            (0..2).for_each(|_| frames.push(within("a frame", || server.recv_frame()).unwrap().unwrap()));
        }
        let told: Vec<_> =
            frames.iter().map(|piece| (piece.data.as_text(), piece.first, piece.frame_end, piece.last)).collect();
        assert_eq!(told, [(Some("Hel"), true, true, false), (Some("lo"), false, true, true)]);
    }
}

#[test]
fn a_close_is_answered_by_hand() {
    let (mut client, mut server) = pair_with(Config::default(), config(|config| config.answer_close = false));
    let serving = thread::spawn(move || {
        let event = server.recv_event().unwrap();
        assert!(matches!(&event, Some(Event::Close(close)) if close.code == Code::new(4001)), "{event:?}");
        server.close(Code::new(4002), "by hand")
    });
    _ = within("a close", || client.close(Code::new(4001), ""));
    let close = client.peer_close().cloned().unwrap();
    assert_eq!((close.code, &*close.reason), (Code::new(4002), "by hand"));
    _ = within("its end", || serving.join()).unwrap();
}
