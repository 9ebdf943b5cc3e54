//! Upgrades as a layer has them go, what their handlers' end tells, and how a server of axum takes leave of them, over HTTP/2 too.

use crate::common::{Soon, watch};
use axum::Router;
use axum::response::Response;
use axum::routing::{any, get, post};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockless_tokio::sockless::{Close, Code, Config, Deflate, Limits, Negotiated, Origins, Role, Seed};
use sockless_tokio::{
    Client, ConnectError, Drain, Error, Failure, Open, Upgraded, Upgrades, WebSocket, WebSocketUpgrade, connect,
};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

async fn echo(mut socket: WebSocket<Upgraded>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        socket.feed(message).soon().await?;
    }
    Ok(())
}

async fn chat(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo)
}

/// A server on loopback that ends gracefully when it is told; its address.
async fn serve(app: Router) -> (String, oneshot::Sender<()>, JoinHandle<()>) {
    watch();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(async {
        axum::serve(listener, app).with_graceful_shutdown(async { _ = stopped.await }).await.unwrap();
    });
    (address, stop, served)
}

async fn until_open(open: &Open, count: usize) {
    while open.count() != count {
        tokio::time::sleep(Duration::from_millis(1)).soon().await;
    }
}

/// The code that the peer closed with.
async fn code<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocket<S>) -> u16 {
    assert_eq!(socket.recv().soon().await.unwrap(), None);
    socket.peer_close().unwrap().code.into()
}

#[tokio::test]
async fn a_layer_says_how_upgrades_go() {
    let upgrades = Upgrades::new()
        .limits(Limits { message: 1_000, ..Limits::default() })
        .origins(Origins::List(vec!["http://a.example".into()]))
        .subprotocols(&["v2", "v1"])
        .deflate(Deflate::default());
    let own = async |upgrade: WebSocketUpgrade| {
        // A handler's own go before.
        let limits = Limits { message: 3, ..Limits::default() };
        upgrade.limits(limits).origins(Origins::Any).subprotocols(&["v1"]).on_upgrade(echo)
    };
    let app = Router::new().route("/chat", any(chat)).route("/own", any(own)).layer(upgrades);
    let (address, _stop, _served) = serve(app).await;
    let client = |path: &str, origin: &str| {
        let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
        let client = Client::new(&format!("ws://{address}/{path}")).config(config);
        client.header("Origin", origin).subprotocol("v1").subprotocol("v2")
    };
    match client("chat", "http://b.example").connect().soon().await {
        Err(ConnectError::Rejected(response)) => assert_eq!(response.status(), 403),
        other => panic!("{other:?}"),
    }
    for (path, origin, subprotocol, most) in
        [("chat", "http://a.example", "v2", 1_000), ("own", "http://b.example", "v1", 3)]
    {
        let (mut socket, _) = client(path, origin).connect().soon().await.unwrap();
        assert_eq!(socket.subprotocol(), Some(subprotocol));
        assert!(socket.negotiated().is_compressed());
        socket.send("x".repeat(most)).soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some("x".repeat(most).into()));
        socket.send("x".repeat(most + 1)).soon().await.unwrap();
        assert_eq!(code(&mut socket).await, 1009);
    }
}

#[tokio::test]
async fn the_end_of_a_handler_tells_the_peer() {
    let (failed, mut failures) = unbounded_channel();
    let open = Open::new();
    let upgrades = Upgrades::new().track(&open).on_error(move |peer, failure| {
        assert!(matches!(failure, Failure::Handler(_) | Failure::Panic));
        failed.send((peer.map(|peer| peer.id), failure.to_string())).unwrap();
    });
    let nothing = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(|_| async {});
    let good = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(|_| async { Ok::<_, Error>(()) });
    let bad = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(|_| async { Err::<(), _>("a bug") });
    let panics = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(|mut socket| async move {
            let sent = socket.send("last words").soon().await;
            assert!(sent.is_err(), "a panic that the test asked for");
        })
    };
    let app = Router::new().route("/nothing", any(nothing)).route("/good", any(good));
    let app = app.route("/bad", any(bad)).route("/panics", any(panics)).layer(upgrades);
    let (address, _stop, _served) = serve(app).await;
    for (path, expected) in [("nothing", 1000), ("good", 1000), ("bad", 1011)] {
        let mut socket = connect(&format!("ws://{address}/{path}")).soon().await.unwrap();
        assert_eq!(code(&mut socket).await, expected, "{path}");
    }
    assert_eq!(failures.recv().soon().await.unwrap(), (Some(2), "handler failed: a bug".into()));
    let mut socket = connect(&format!("ws://{address}/panics")).soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("last words".into()));
    assert_eq!(code(&mut socket).await, 1011);
    assert_eq!(failures.recv().soon().await.unwrap(), (Some(3), "handler panicked".into()));
    until_open(&open, 0).await;
}

#[tokio::test]
async fn a_server_of_axum_takes_leave_of_its_websockets() {
    let open = Open::new();
    let app = Router::new().route("/chat", any(chat)).layer(Upgrades::new().track(&open));
    let (address, stop, served) = serve(app).await;
    let url = format!("ws://{address}/chat");
    let mut first = connect(&url).soon().await.unwrap();
    let mut second = over_http2(&address).await;
    until_open(&open, 2).await;
    second.send("hello").soon().await.unwrap();
    assert_eq!(second.recv().soon().await.unwrap(), Some("hello".into()));
    // One is kicked.
    let mut third = connect(&url).soon().await.unwrap();
    until_open(&open, 3).await;
    assert_eq!(open.close(2, 4003, "banned"), Ok(true));
    assert_eq!(code(&mut third).await, 4003);
    until_open(&open, 2).await;
    // All others are told, and the server, which listens no more, waits for those of HTTP/2.
    stop.send(()).unwrap();
    let drain = Drain { code: Code::RESTART, reason: "back soon".into(), ..Drain::default() };
    let (report, ..) = tokio::join!(
        open.shutdown(drain),
        async {
            assert_eq!(first.recv().soon().await.unwrap(), None);
            assert_eq!(first.peer_close(), Some(&Close { code: Code::RESTART, reason: "back soon".into() }));
        },
        async { assert_eq!(code(&mut second).await, 1012) }
    );
    let report = report.unwrap();
    assert_eq!((report.closed, report.cut_off), (2, vec![]));
    served.soon().await.unwrap();
    assert!(connect(&url).soon().await.is_err());
}

/// A WebSocket over HTTP/2.
async fn over_http2(address: &str) -> WebSocket<Upgraded> {
    let stream = TokioIo::new(TcpStream::connect(address).soon().await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let response = async {
        loop {
            let request =
                hyper::Request::connect("http://a.example/chat").extension(Protocol::from_static("websocket"));
            let request = request.header("sec-websocket-version", "13").body(Empty::<Bytes>::new()).unwrap();
            match sender.send_request(request).await {
                Ok(response) => return response,
                // The server's settings, which allow it, come a moment after the connection.
                Err(error) if error.is_user() => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    let response = response.soon().await;
    assert_eq!(response.status(), 200);
    let stream = TokioIo::new(hyper::upgrade::on(response).soon().await.unwrap());
    WebSocket::open(stream, Role::Client, Negotiated::default(), Config::default(), Seed::random(), b"")
}

/// Who wants more of HTTP than pages takes axum: all on one port, and on one connection.
#[tokio::test]
async fn http_with_bodies_and_keep_alive_is_beside_websockets_on_one_port() {
    let app = Router::new()
        .route("/", get(async || "a page"))
        .route("/upper", post(async |body: Bytes| body.to_ascii_uppercase()))
        .route("/chat", any(chat));
    let (address, _stop, _served) = serve(app).await;
    let mut stream = TcpStream::connect(&address).soon().await.unwrap();
    let mut ask = async |request: &str, end: &str| {
        stream.write_all(request.replace('\n', "\r\n").as_bytes()).soon().await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            answer.push(stream.read_u8().soon().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{request}");
    };
    ask("GET / HTTP/1.1\nHost: a\n\n", "\r\n\r\na page").await;
    ask("POST /upper HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello", "\r\n\r\nHELLO").await;
    // The same connection becomes a WebSocket.
    let (mut socket, _) = Client::new("ws://a/chat").connect_over(stream).soon().await.unwrap();
    socket.send("hello").soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("hello".into()));
}
