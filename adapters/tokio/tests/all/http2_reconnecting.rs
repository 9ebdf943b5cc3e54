//! The client that connects again, over HTTP/2.

use crate::common::http2::{Counted, hyper};
use sockless_test_support::Soon;
use sockless_tokio::{Backoff, Change, Client, Keep, Message};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const QUICK: Backoff = Backoff {
    first: Duration::from_millis(2),
    longest: Duration::from_millis(8),
    attempts: None,
    settled: Backoff::SETTLED,
};

/// A server whose connections end whenever it is told so, and that.
async fn cutting() -> (Counted, Arc<Notify>) {
    let cut = Arc::new(Notify::new());
    let cuts = cut.clone();
    let server = Counted::serve(move |stream| {
        let cuts = cuts.clone();
        async move {
            tokio::select! {
                () = hyper(stream) => {}
                () = cuts.notified() => {}
            }
        }
    });
    (server.await, cut)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_connects_again_by_a_connection_of_its_own() {
    let (server, cut) = cutting().await;
    let client = Client::new(&server.url("/")).http2_only();
    let mut one = client.clone().reconnecting(QUICK).keep(Keep::default());
    assert!(matches!(one.next().soon().await, Ok(Change::Connected)));
    for round in 1..=5 {
        let message = Message::from(format!("round {round}"));
        one.send(message.clone()).soon().await.unwrap();
        assert!(matches!(one.next().soon().await, Ok(Change::Message(echo)) if echo == message));
        cut.notify_one();
        match one.next().soon().await {
            Ok(Change::Lost { close: None, error: Some(_), unsent, kept: 0, wait: Some(_), .. }) => {
                assert_eq!(unsent, []);
            }
            other => panic!("{other:?}"),
        }
        // What is said meanwhile is kept, and goes out by the next connection.
        one.send("meanwhile").soon().await.unwrap();
        assert!(matches!(one.next().soon().await, Ok(Change::Resumed { kept: 1 })));
        assert!(matches!(one.next().soon().await, Ok(Change::Message(echo)) if echo == "meanwhile".into()));
        assert_eq!(server.ever(), 1 + round);
    }
    assert!(one.close(1000, "").soon().await.ended.is_ok());
    server.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_shared_a_connection_share_the_next() {
    let (server, cut) = cutting().await;
    let client = Client::new(&server.url("/")).http2_only();
    let mut all: Vec<_> = (0..10).map(|_| client.clone().reconnecting(QUICK)).collect();
    for one in &mut all {
        assert!(matches!(one.next().soon().await, Ok(Change::Connected)));
    }
    assert_eq!(server.ever(), 1);
    cut.notify_one();
    for one in &mut all {
        assert!(matches!(one.next().soon().await, Ok(Change::Lost { close: None, error: Some(_), .. })));
    }
    for (number, one) in all.iter_mut().enumerate() {
        assert!(matches!(one.next().soon().await, Ok(Change::Resumed { kept: 0 })));
        let message = Message::from(format!("number {number}"));
        one.send(message.clone()).soon().await.unwrap();
        assert!(matches!(one.next().soon().await, Ok(Change::Message(echo)) if echo == message));
    }
    assert_eq!(server.ever(), 2);
}

#[tokio::test]
async fn it_connects_again_though_another_is_not_polled() {
    let (server, cut) = cutting().await;
    let client = Client::new(&server.url("/")).http2_only();
    let (mut one, mut idle) = (client.reconnecting(QUICK), client.reconnecting(QUICK));
    for one in [&mut one, &mut idle] {
        assert!(matches!(one.next().soon().await, Ok(Change::Connected)));
    }
    cut.notify_one();
    assert!(matches!(one.next().soon().await, Ok(Change::Lost { close: None, error: Some(_), .. })));
    assert!(matches!(one.next().soon().await, Ok(Change::Resumed { kept: 0 })));
    assert_eq!(server.ever(), 2);
    // The other finds the connection that was made meanwhile.
    assert!(matches!(idle.next().soon().await, Ok(Change::Lost { close: None, error: Some(_), .. })));
    assert!(matches!(idle.next().soon().await, Ok(Change::Resumed { kept: 0 })));
    assert_eq!(server.ever(), 2);
}
