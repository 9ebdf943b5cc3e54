//! What is told by `tracing`: a span for each connection, and events of its life.

use sockless_test_support::{Level, Log, Soon};
use sockless_tokio::sockless::Config;
use sockless_tokio::{Backoff, Change, Client, ConnectError, Error, Reject, Server, accept_with, connect};
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::test]
async fn the_life_of_a_connection_is_told() {
    let log = Log::new(Level::TRACE);
    let _default = tracing::subscriber::set_default(log.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(Server::new().serve(listener, |mut socket, _, _| async move {
        while socket.recv().await?.is_some() {}
        Ok::<_, Error>(())
    }));
    let mut socket = connect(&url).soon().await.unwrap();
    socket.close(1000, "done").soon().await.unwrap();
    let told = log.take();
    for wanted in [
        "SPAN connect",
        "SPAN connection",
        "open role=Server",
        "open role=Client",
        "closed role=Client code=1000 cause=\"closing\"",
    ] {
        assert!(told.iter().any(|told| told.contains(wanted)), "{wanted} in {told:#?}");
    }
}

#[tokio::test]
async fn nothing_that_may_be_secret_is_told() {
    let log = Log::new(Level::TRACE);
    let _default = tracing::subscriber::set_default(log.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let locations = [
        Some(format!("ws://user:secret@{address}/secret?token=secret#secret")),
        None,
        Some("ftp://user:secret@host.test/path?token=secret".into()),
        Some("ws://user:secret@[bad?token=secret".into()),
    ];
    let server = tokio::spawn(async move {
        for location in locations {
            let stream = listener.accept().soon().await.unwrap().0;
            let answered = accept_with(stream, Config::default(), |request| match &location {
                Some(location) => Err(Reject::new(302).header("Location", location)),
                None => Ok(request.accept().subprotocol("secret")),
            });
            if let Ok(mut socket) = answered.await {
                socket.close(1000, "secret").soon().await.unwrap();
            }
        }
    });
    let client = Client::new(&format!("ws://user:secret@{address}/secret?secret")).redirects(1).subprotocol("secret");
    let mut client =
        client.trust_redirects(true).reconnecting(Backoff { first: Duration::from_millis(1), ..Backoff::default() });
    assert!(matches!(client.next().soon().await, Ok(Change::Connected)));
    assert!(
        matches!(client.next().soon().await, Ok(Change::Lost { close: Some(close), .. }) if close.reason == "secret")
    );
    for location in ["host.test/path", "[bad"] {
        let Ok(Change::Failed(error @ ConnectError::Redirect(_), _)) = client.next().soon().await else {
            panic!("followed")
        };
        assert_eq!(error.to_string(), format!("redirect to {location:?} not followed"));
    }
    server.soon().await.unwrap();
    let told = log.take();
    for wanted in ["redirected", "open", "closed", "not connected"] {
        assert!(told.iter().any(|told| told.contains(wanted)), "{wanted} in {told:#?}");
    }
    assert!(!told.iter().any(|told| told.contains("secret")), "{told:#?}");
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn an_upgrade_is_told_within_a_span_with_its_path() {
    use axum::{Router, routing::any};
    let log = Log::new(Level::DEBUG);
    let _default = tracing::subscriber::set_default(log.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/chat?token=secret", listener.local_addr().unwrap());
    let chat = async |upgrade: sockless_tokio::WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket: sockless_tokio::WebSocket<_>| socket.recv().await.map(drop))
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/chat", any(chat))).await });
    connect(&url).soon().await.unwrap().close(1000, "").soon().await.unwrap();
    let (mut told, mut depth) = (Vec::new(), 0);
    let is_over = |line: &String| line.starts_with("DEBUG closed role=Server");
    let over = async {
        while !told.iter().any(is_over) {
            told.extend(log.take());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    over.soon().await;
    assert!(told.contains(&"record path=\"/chat\"".to_owned()), "{told:#?}");
    for line in &told {
        depth += i32::from(line == "enter") - i32::from(line == "exit");
        assert!(depth > 0 || !line.contains("role=Server"), "{line} in {told:#?}");
    }
}
