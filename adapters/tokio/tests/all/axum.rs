//! Upgrades in axum, over HTTP/1.1: the settings, the refusals, and what follows.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get};
use sockless_test_support::Soon;
use sockless_tokio::sockless::{Config, Deflate, HandshakeError, Limits, Origins};
use sockless_tokio::{Client, ConnectError, Message, Refusal, Trusted, WebSocketUpgrade, connect};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.subprotocols(&["chat.v2", "chat.v1"]).header("Set-Cookie", "seen=1");
    upgrade.on_upgrade(|mut socket| async move {
        while let Ok(Some(message)) = socket.recv().await {
            if message.as_text() == Some("subprotocol?") {
                let subprotocol = socket.subprotocol().unwrap_or("none").to_string();
                _ = socket.send(subprotocol).soon().await;
            } else {
                _ = socket.feed(message).soon().await;
            }
        }
    })
}

async fn configured(upgrade: WebSocketUpgrade) -> Response {
    let limits = Limits { message: 1_000, ..Limits::default() };
    let config = Config { origins: Origins::List(vec!["http://a.example".into()]), limits, ..Config::default() };
    upgrade.config(config).deflate(Deflate::default()).on_upgrade(|mut socket| async move {
        while let Ok(Some(message)) = socket.recv().await {
            _ = socket.send(message).soon().await;
        }
    })
}

async fn judged(State(told): State<UnboundedSender<Refusal>>, upgrade: Result<WebSocketUpgrade, Refusal>) -> Response {
    match upgrade.and_then(|upgrade| upgrade.header("bad", "\r\n").accept()) {
        Ok(_) => panic!("no such field can be sent"),
        Err(refusal) => {
            told.send(refusal).unwrap();
            Response::<String>::from(refusal).map(Into::into)
        }
    }
}

/// Tells each client who it is taken for; this machine is a proxy.
async fn who(upgrade: WebSocketUpgrade) -> Response {
    let trusted = Trusted::new(["127.0.0.1"]).unwrap();
    let upgrade = match upgrade.sent_by(&trusted, Some(([127, 0, 0, 1], 4000).into())) {
        Ok(upgrade) => upgrade,
        Err(refusal) => return Response::<String>::from(refusal).map(Into::into),
    };
    let address = upgrade.client().address.unwrap().to_string();
    upgrade.on_upgrade(|mut socket| async move { _ = socket.send(address).soon().await })
}

/// Serves on loopback; the address.
async fn serve(told: UnboundedSender<Refusal>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let app = Router::new()
        .route("/", get(async || "a page"))
        .route("/echo", any(echo))
        .route("/configured", any(configured))
        .route("/judged", any(judged))
        .route("/who", any(who));
    tokio::spawn(async { axum::serve(listener, app.with_state(told)).await });
    address
}

async fn start() -> String {
    serve(unbounded_channel().0).await
}

/// The head and body that answer this request.
async fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).soon().await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).soon().await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(30), stream.read_to_string(&mut answer)).await.expect("in time").unwrap();
    answer.to_ascii_lowercase()
}

const GOOD: &str = "GET /echo HTTP/1.1\nHost: a.example\nUpgrade: websocket\nConnection: Upgrade, close\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n\n";

#[tokio::test]
async fn messages_and_a_clean_close() {
    let address = start().await;
    let mut socket = connect(&format!("ws://{address}/echo")).soon().await.unwrap();
    for message in [Message::text("grüße"), Message::binary(vec![7; 100_000]), Message::text("")] {
        socket.send(message.clone()).soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some(message));
    }
    timeout(Duration::from_secs(30), socket.close(1000, "")).await.expect("in time").unwrap();
}

#[tokio::test]
async fn frames_that_come_with_the_request_are_not_lost() {
    let address = start().await;
    let mut stream = TcpStream::connect(&address).soon().await.unwrap();
    let mut bytes = GOOD.replace('\n', "\r\n").into_bytes();
    bytes.extend_from_slice(b"\x82\x82\0\0\0\0ab\x88\x80\0\0\0\0");
    stream.write_all(&bytes).soon().await.unwrap();
    let mut answer = vec![];
    timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.expect("in time").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    assert!(answer.ends_with(b"\r\n\r\n\x82\x02ab\x88\x00"));
}

#[tokio::test]
async fn the_subprotocol_is_the_servers_first() {
    let address = start().await;
    for (offered, chosen) in
        [(&["chat.v1", "chat.v2"][..], "chat.v2"), (&["x", "chat.v1"], "chat.v1"), (&["x"], "none"), (&[], "none")]
    {
        let client = Client::new(&format!("ws://{address}/echo"));
        let client = offered.iter().fold(client, |client, name| client.subprotocol(name));
        let (mut socket, response) = client.connect().soon().await.unwrap();
        assert_eq!(response.header("set-cookie"), Some(&b"seen=1"[..]));
        assert_eq!(socket.subprotocol().unwrap_or("none"), chosen);
        socket.send("subprotocol?").soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some(chosen.into()));
    }
}

#[tokio::test]
async fn settings() {
    let address = start().await;
    let url = format!("ws://{address}/configured");
    for (origin, status) in [("http://a.example", None), ("http://b.example", Some(403))] {
        match (Client::new(&url).header("Origin", origin).connect().soon().await, status) {
            (Ok(_), None) => {}
            (Err(ConnectError::Rejected(response)), Some(status)) => assert_eq!(response.status(), status),
            (other, _) => panic!("{other:?}"),
        }
    }
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let (mut socket, response) = Client::new(&url).config(config).connect().soon().await.unwrap();
    let extensions = String::from_utf8_lossy(response.header("sec-websocket-extensions").unwrap()).into_owned();
    assert!(extensions.starts_with("permessage-deflate"), "{extensions}");
    socket.send("x".repeat(1_000)).soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("x".repeat(1_000).into()));
    assert!(socket.counters().received.bytes < 900, "it came compressed");
    socket.send("x".repeat(1_001)).soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), None);
    assert_eq!(socket.peer_close().map(|close| u16::from(close.code)), Some(1009));
}

#[tokio::test]
async fn requests_that_are_no_upgrades_are_answered() {
    let address = start().await;
    assert!(ask(&address, "GET / HTTP/1.1\nHost: a\nConnection: close\n\n").await.ends_with("\r\n\r\na page"));
    let plain = ask(&address, "GET /echo HTTP/1.1\nHost: a\nConnection: close\n\n").await;
    assert!(plain.starts_with("http/1.1 426 ") && plain.contains("\r\nsec-websocket-version: 13\r\n"), "{plain}");
    assert!(plain.contains("\r\nupgrade: websocket\r\n"), "{plain}");
    for (from, to, status) in [
        ("Version: 13", "Version: 8", "426"),
        ("GET", "POST", "405"),
        ("Key: d", "Key: ", "400"),
        ("Upgrade: websocket\n", "Upgrade: websocket\nContent-Length: 5\n", "400"),
        ("Upgrade: websocket\n", "Upgrade: websocket\nTransfer-Encoding: chunked\n", "400"),
        ("Upgrade: websocket\n", "Upgrade: websocket\nOrigin: http://b.example\n", "403"),
        ("Upgrade: websocket\n", "Upgrade: websocket\nSec-WebSocket-Protocol: a b\n", "400"),
    ] {
        assert!(GOOD.contains(from));
        let answer = ask(&address, &GOOD.replacen(from, to, 1)).await;
        assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{to}: {answer}");
    }
}

#[tokio::test]
async fn refusals_are_typed() {
    let (told, mut refusals) = unbounded_channel();
    let address = serve(told).await;
    let good = GOOD.replace("/echo", "/judged");
    assert!(ask(&address, &good.replace(": 13", ": 7")).await.starts_with("http/1.1 426 "));
    match refusals.recv().soon().await.unwrap() {
        Refusal::Handshake { error, .. } => assert_eq!(error, HandshakeError::Version),
        other => panic!("{other:?}"),
    }
    assert!(ask(&address, &good).await.starts_with("http/1.1 500 "));
    assert!(matches!(refusals.recv().soon().await.unwrap(), Refusal::Answer(_)));
    let mut request = axum::http::Request::get("/").body(()).unwrap();
    for (name, value) in GOOD.lines().skip(1).filter_map(|line| line.split_once(": ")) {
        request
            .headers_mut()
            .insert(axum::http::HeaderName::try_from(name).unwrap(), axum::http::HeaderValue::from_str(value).unwrap());
    }
    assert_eq!(WebSocketUpgrade::from_request(&mut request).unwrap_err(), Refusal::NotUpgradable);
}

#[tokio::test]
async fn a_client_is_known_by_what_its_proxy_says() {
    let address = start().await;
    let url = format!("ws://{address}/who");
    let ask = |fields: Vec<(&'static str, String)>| {
        let client = fields.iter().fold(Client::new(&url), |client, (name, value)| client.header(name, value));
        async move {
            match client.connect().soon().await {
                Ok((mut socket, _)) => socket.recv().soon().await.unwrap().unwrap().as_text().unwrap().to_owned(),
                Err(ConnectError::Rejected(response)) => response.status().to_string(),
                Err(error) => panic!("{error}"),
            }
        }
    };
    let from = |client: &str| ("X-Forwarded-For", client.to_owned());
    let proto = || ("X-Forwarded-Proto", "https".to_owned());
    assert_eq!(ask(vec![from("6.6.6.6, 192.0.2.7")]).await, "192.0.2.7:0");
    assert_eq!(ask(vec![]).await, "127.0.0.1:4000");
    assert_eq!(ask(vec![from("192.0.2.7"), ("Forwarded", "for=6.6.6.6".to_owned())]).await, "400");
    // A page is judged by how it reached the proxy.
    assert_eq!(ask(vec![proto(), ("Origin", format!("https://{address}"))]).await, "127.0.0.1:4000");
    assert_eq!(ask(vec![proto(), ("Origin", format!("http://{address}"))]).await, "403");
}
