//! The client that connects again.

use sockless_tokio::sockless::{Code, Config};
use sockless_tokio::{Backoff, Change, Client, ConnectError, Message, Reject, accept, accept_with};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

const QUICK: Backoff =
    Backoff { first: Duration::from_millis(2), longest: Duration::from_millis(8), attempts: Some(4) };

#[tokio::test]
async fn it_connects_again_and_reports_what_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        // The first connection is closed with a reason, the second dropped while much is on its way, the third serves.
        let mut socket = accept(listener.accept().await.unwrap().0).await.unwrap();
        assert_eq!(socket.recv().await.unwrap(), Some("one".into()));
        socket.close(Code::RESTART, "back soon").await.unwrap();
        drop(socket);

        let refuse = |_: &sockless_tokio::sockless::Request<'_>| Err(Reject::new(503));
        _ = accept_with(listener.accept().await.unwrap().0, Config::default(), refuse).await;

        let mut socket = accept(listener.accept().await.unwrap().0).await.unwrap();
        assert_eq!(socket.recv().await.unwrap(), Some("two".into()));
        // Some of the next is read, and never all of it.
        socket.stream_mut().read_exact(&mut [0; 100]).await.unwrap();
        drop(socket);

        let mut socket = accept(listener.accept().await.unwrap().0).await.unwrap();
        while let Some(message) = socket.recv().await.unwrap() {
            socket.send(message).await.unwrap();
        }
    });
    let mut client = Client::new(&url).reconnecting(QUICK);
    assert_eq!(client.send("early").await, Err("early".into()));
    assert!(matches!(client.next().await, Ok(Change::Connected)));
    client.send("one").await.unwrap();
    match client.next().await {
        Ok(Change::Lost { close: Some(close), error: None, unsent }) => {
            assert_eq!((close.code, &*close.reason, unsent), (Code::RESTART, "back soon", vec![]));
        }
        other => panic!("{other:?}"),
    }
    match client.next().await {
        Ok(Change::Failed(ConnectError::Rejected(response), wait)) => {
            assert_eq!(response.status(), 503);
            assert!(wait <= QUICK.longest);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.next().await, Ok(Change::Connected)));
    client.send("two").await.unwrap();
    // More than fits between two sockets.
    let large = Message::binary(vec![7; 32 << 20]);
    client.send(large.clone()).await.unwrap();
    match client.next().await {
        Ok(Change::Lost { close: None, error: Some(_), unsent }) => assert!(unsent == [large]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.next().await, Ok(Change::Connected)));
    client.send("three").await.unwrap();
    assert!(matches!(client.next().await, Ok(Change::Message(message)) if message == "three".into()));
    client.close(1000, "").await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn it_gives_up_after_so_many_failures_and_begins_anew() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut client = Client::new(&format!("ws://127.0.0.1:{port}/")).reconnecting(QUICK);
    for _ in 0..2 {
        for _ in 0..3 {
            assert!(matches!(client.next().await, Ok(Change::Failed(ConnectError::Tcp(_), _))));
        }
        assert!(matches!(client.next().await, Err(ConnectError::Tcp(_))));
    }
    let mut hopeless = Client::new("http://127.0.0.1/").reconnecting(QUICK);
    assert!(matches!(hopeless.next().await, Err(ConnectError::Request(_))));
}

#[tokio::test]
async fn a_dropped_wait_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut socket = accept(listener.accept().await.unwrap().0).await.unwrap();
        socket.send("Hello").await.unwrap();
        socket.close(1000, "").await.unwrap();
        // One connection is all that there was.
        drop(listener);
    });
    let mut client = Client::new(&url).reconnecting(QUICK);
    let mut told = vec![];
    while told.len() < 3 {
        tokio::select! {
            biased;
            change = client.next() => told.push(format!("{:?}", change.unwrap())),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(told[0], "Connected");
    assert_eq!(told[1], r#"Message(Text("Hello"))"#);
    assert!(told[2].starts_with("Lost"), "{told:?}");
    server.await.unwrap();
}
