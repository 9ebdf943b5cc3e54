//! The time from a ping to its pong.

use crate::common;
use crate::common::{config, pair, pair_with, within};
use sockless_std::{Error, Event, SendError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn a_round_trip_is_told_and_what_came_meanwhile_is_kept() {
    let (mut client, mut server) = pair_with(Default::default(), config(|config| config.answer_pings = false));
    let answered = Arc::new(AtomicBool::new(false));
    let flag = answered.clone();
    let serving = thread::spawn(move || {
        let Some(Event::Ping(payload)) = server.recv_event().unwrap() else { panic!("no ping") };
        for unasked in [&b""[..], b"unasked!", &[0; 8], &[0xFF; 8]] {
            server.pong(unasked).unwrap();
        }
        server.send("meanwhile").unwrap();
        thread::sleep(Duration::from_millis(20));
        flag.store(true, Ordering::SeqCst);
        server.pong(&payload).unwrap();
        // The next is not answered.
        server.recv_event().unwrap();
        server
    });
    within("a pong", || client.round_trip()).unwrap();
    assert!(answered.load(Ordering::SeqCst));
    client.set_recv_timeout(Duration::from_millis(20));
    assert!(matches!(within("nothing", || client.round_trip()), Err(Error::TimedOut)));
    assert_eq!(client.recv().unwrap(), Some("meanwhile".into()));
    let mut server = serving.join().unwrap();
    let closing = thread::spawn(move || server.close(4000, ""));
    client.set_recv_timeout(None);
    assert!(
        matches!(within("the end", || client.round_trip()), Err(Error::Closed(close)) if close.code == 4000.into())
    );
    closing.join().unwrap().unwrap();
}

#[test]
fn halves_ask_from_many_threads_at_once() {
    let (client, server) = pair();
    let serving = thread::spawn(move || common::echo(server));
    let (sender, mut receiver) = client.split().unwrap();
    let receiving = thread::spawn(move || receiver.recv());
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let sender = sender.clone();
            thread::spawn(move || (0..20).for_each(|_| _ = sender.round_trip(common::PATIENCE).unwrap()))
        })
        .collect();
    within("all pongs", || asking.into_iter().for_each(|asking| asking.join().unwrap()));
    sender.close(1000, "").unwrap();
    assert_eq!(within("the end", || receiving.join()).unwrap().unwrap(), None);
    assert!(matches!(sender.round_trip(None), Err(Error::Closed(_) | Error::Send(SendError::Closing))));
    within("its end", || serving.join()).unwrap().unwrap();
    // A peer that does not answer.
    let (client, _server) = pair();
    let (sender, _receiver) = client.split().unwrap();
    assert!(matches!(within("no time", || sender.round_trip(Duration::ZERO)), Err(Error::TimedOut)));
}

#[test]
fn more_than_is_kept_is_an_error_and_not_a_wait_without_end() {
    let (mut client, mut server) = pair();
    let serving = thread::spawn(move || {
        for _ in 0..120 {
            server.send(vec![7; 10_000]).unwrap();
        }
        server.recv()
    });
    assert!(matches!(within("too much", || client.round_trip()), Err(Error::Unreceived)));
    for _ in 0..120 {
        assert_eq!(within("a message", || client.recv()).unwrap().unwrap().len(), 10_000);
    }
    within("a pong", || client.round_trip()).unwrap();
    client.close(1000, "").unwrap();
    within("its end", || serving.join()).unwrap().unwrap();
}
