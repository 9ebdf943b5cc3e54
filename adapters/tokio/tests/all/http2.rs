//! WebSockets over HTTP/2 (RFC 8441): a server of hyper, and a client that speaks HTTP/2 only.

use axum::Router;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::routing::any;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::ext::Protocol;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockless_test_support::Soon;
use sockless_tokio::sockless::handshake::{ClientRequest, extended};
use sockless_tokio::sockless::{Config, Deflate, Role, Seed};
use sockless_tokio::{Error, Message, Refusal, Upgraded, WebSocket, WebSocketUpgrade};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const LONG: Duration = Duration::from_secs(30);

/// Answers as a server of hyper alone would.
async fn answer(mut request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let upgrade = WebSocketUpgrade::from_request(&mut request);
    let accepted = upgrade.and_then(|upgrade| upgrade.subprotocols(&["chat"]).deflate(Deflate::default()).accept());
    let (response, upgrading) = match accepted {
        Ok(accepted) => accepted,
        Err(refusal @ Refusal::Handshake { .. }) => return Ok(refusal.into()),
        Err(other) => panic!("{other}"),
    };
    tokio::spawn(async move {
        let mut socket = upgrading.await?;
        assert_eq!(socket.subprotocol(), Some("chat"));
        while let Some(message) = socket.recv().await? {
            socket.feed(message).soon().await?;
        }
        Ok::<_, Error>(())
    });
    Ok(response.map(|()| String::new()))
}

/// A client's end of an HTTP/2 connection to such a server.
async fn connect() -> SendRequest<Empty<Bytes>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().soon().await.unwrap();
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.enable_connect_protocol().serve_connection(TokioIo::new(stream), service_fn(answer)).await
    });
    connect_to(address).soon().await
}

async fn connect_to(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(address).soon().await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// An extended CONNECT, as hyper wants it.
fn to_hyper(request: &ClientRequest, config: &Config) -> Request<Empty<Bytes>> {
    let mut to_send = extended::http_request(request, config).unwrap();
    to_send.extensions_mut().insert(Protocol::from_static("websocket"));
    to_send.map(|()| Empty::new())
}

/// Sends a request; the server's settings, which allow it, come a moment after the connection.
async fn send(sender: &mut SendRequest<Empty<Bytes>>, request: Request<Empty<Bytes>>) -> Response<Incoming> {
    let sent = timeout(LONG, async {
        loop {
            match sender.send_request(request.clone()).await {
                Ok(response) => return response,
                Err(error) if error.is_user() => sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error:?}"),
            }
        }
    });
    sent.soon().await.expect("in time")
}

async fn open(sender: &mut SendRequest<Empty<Bytes>>, deflate: Option<Deflate>) -> WebSocket<Upgraded> {
    let request = ClientRequest::new("ws://a.example/chat").unwrap().subprotocol("x").subprotocol("chat");
    let config = Config { deflate, ..Config::default() };
    let response = send(sender, to_hyper(&request, &config)).soon().await;
    let negotiated = extended::check_http_response(&response, &request, &config).unwrap();
    let headers = response.headers();
    assert_eq!(response.status(), 200);
    assert_eq!(headers["sec-websocket-protocol"], "chat");
    assert!(!headers.contains_key("sec-websocket-accept") && !headers.contains_key("upgrade"));
    assert_eq!(negotiated.is_compressed(), config.deflate.is_some());
    let stream = TokioIo::new(timeout(LONG, hyper::upgrade::on(response)).await.expect("in time").unwrap());
    WebSocket::open(stream, Role::Client, negotiated, config, Seed::random(), b"")
}

async fn echoes(socket: &mut WebSocket<Upgraded>, message: Message) {
    let echoed = async {
        socket.send(message.clone()).soon().await.unwrap();
        socket.recv().soon().await.unwrap()
    };
    assert_eq!(timeout(LONG, echoed).await.expect("in time"), Some(message));
}

#[tokio::test]
async fn two_websockets_share_an_http2_connection() {
    let mut sender = connect().soon().await;
    let (mut one, mut two) = (open(&mut sender, None).await, open(&mut sender, None).await);
    for number in 0..20 {
        echoes(&mut one, format!("one {number}").into()).await;
        echoes(&mut two, format!("two {number}").into()).await;
    }
    // More than a window of HTTP/2, so that both sides have to wait for room.
    echoes(&mut one, vec![7; 1 << 20].into()).await;
    timeout(LONG, one.close(1000, "")).await.expect("in time").unwrap();
    echoes(&mut two, "still here".into()).await;
    timeout(LONG, two.close(1000, "")).await.expect("in time").unwrap();
}

#[tokio::test]
async fn axum_takes_them_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let work = |mut socket: WebSocket<Upgraded>| async move {
        while let Ok(Some(message)) = socket.recv().await {
            _ = socket.feed(message).soon().await;
        }
    };
    let handler = move |upgrade: WebSocketUpgrade| async move { upgrade.subprotocols(&["chat"]).on_upgrade(work) };
    let app = Router::new().route("/chat", any(handler));
    tokio::spawn(async { axum::serve(listener, app).await });
    let mut sender = connect_to(address).soon().await;
    let mut socket = open(&mut sender, None).await;
    echoes(&mut socket, "grüße".into()).await;
    timeout(LONG, socket.close(1000, "")).await.expect("in time").unwrap();
}

#[tokio::test]
async fn compression_over_http2() {
    let mut sender = connect().soon().await;
    let mut socket = open(&mut sender, Some(Deflate::default())).await;
    echoes(&mut socket, "x".repeat(10_000).into()).await;
    assert!(socket.counters().received.bytes < 1_000, "it came compressed");
}

#[tokio::test]
async fn refusals_over_http2() {
    let mut sender = connect().soon().await;
    let good = ClientRequest::new("ws://a.example/chat").unwrap();
    let with = |change: &dyn Fn(&mut Request<Empty<Bytes>>)| {
        let mut request = to_hyper(&good, &Config::default());
        change(&mut request);
        request
    };
    for (request, status) in [
        (
            with(&|request| _ = request.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("8"))),
            400,
        ),
        (with(&|request| _ = request.headers_mut().insert("origin", HeaderValue::from_static("http://b"))), 403),
        (with(&|request| _ = request.extensions_mut().insert(Protocol::from_static("other"))), 501),
        (Request::get("http://a.example/").body(Empty::new()).unwrap(), 501),
    ] {
        let shown = format!("{request:?}");
        let response = send(&mut sender, request).soon().await;
        assert_eq!(response.status(), StatusCode::from_u16(status).unwrap(), "{shown}");
    }
}
