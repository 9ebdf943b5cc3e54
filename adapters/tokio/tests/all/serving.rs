//! The server helper: limits, handlers, and an end in which nothing is lost.

use sockless_test_support::Soon;
use sockless_tokio::sockless::{Close, Code, Config, SendError};
use sockless_tokio::{
    Client, ConnectError, Error, NetStream, Open, Reject, Report, Server, WebSocket, connect, listen,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A running server of echoes.
struct Running {
    url: String,
    open: Open,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Report>,
}

async fn echo(mut socket: WebSocket<NetStream>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        socket.feed(message).soon().await?;
    }
    Ok(())
}

async fn start<T: Send + 'static>(server: Server<T>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let open = server.open();
    let stopped = async {
        if stopped.await.is_err() {
            // The test has no use for it.
            std::future::pending::<()>().await;
        }
    };
    let served = tokio::spawn(server.shutdown(stopped).serve(listener, |socket, _, _| echo(socket)));
    Running { url, open, stop, served }
}

/// Waits for something that takes a moment.
async fn until(mut done: impl FnMut() -> bool) {
    let waited = timeout(Duration::from_secs(30), async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.expect("it happens");
}

#[tokio::test]
async fn a_shutdown_loses_nothing_and_says_goodbye() {
    let Running { url, open, stop, served } = start(Server::new()).await;
    let mut sockets = vec![];
    for number in 0..20 {
        let mut socket = connect(&url).soon().await.unwrap();
        socket.send(format!("hello {number}")).soon().await.unwrap();
        sockets.push(socket);
    }
    until(|| open.count() == 20).await;
    stop.send(()).unwrap();
    for (number, socket) in sockets.iter_mut().enumerate() {
        // It may have been on its way to the server when that stopped reading, but then the close is behind it.
        if let Some(message) = socket.recv().soon().await.unwrap() {
            assert_eq!(message, format!("hello {number}").into());
            assert_eq!(socket.recv().soon().await.unwrap(), None);
        }
        assert_eq!(socket.peer_close().map(|close| close.code), Some(Code::AWAY));
    }
    let report = served.soon().await.unwrap();
    assert_eq!((report.closed, report.cut_off), (20, vec![]));
    assert_eq!(open.count(), 0);
    assert!(matches!(connect(&url).soon().await, Err(ConnectError::Tcp(_))));
}

#[tokio::test]
async fn what_was_sent_before_a_shutdown_arrives() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let server = Server::new().shutdown(stopped);
    let served = tokio::spawn(server.serve(listener, |mut socket, _, _| async move {
        // More than the socket's buffers take at once.
        for _ in 0..100 {
            socket.feed(vec![7; 9_000]).soon().await?;
        }
        while socket.recv().await?.is_some() {}
        Ok::<_, Error>(())
    }));
    let mut socket = connect(&url).soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some(vec![7; 9_000].into()));
    stop.send(()).unwrap();
    for _ in 1..100 {
        assert_eq!(socket.recv().soon().await.unwrap(), Some(vec![7; 9_000].into()));
    }
    assert_eq!(socket.recv().soon().await.unwrap(), None);
    assert_eq!(served.soon().await.unwrap().cut_off, []);
}

#[tokio::test]
async fn handlers_that_do_not_return_are_dropped_when_the_grace_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let server = Server::new().grace(Duration::from_millis(50)).shutdown(stopped);
    let served = tokio::spawn(server.serve(listener, |socket, _, _| async move {
        std::future::pending::<()>().await;
        drop(socket);
        Ok::<_, Error>(())
    }));
    let mut socket = connect(&url).soon().await.unwrap();
    stop.send(()).unwrap();
    let cut_off: Vec<_> = served.soon().await.unwrap().cut_off.iter().map(|peer| peer.address).collect();
    assert_eq!(cut_off, [Some(socket.stream().tcp().unwrap().local_addr().unwrap())]);
    assert!(socket.recv().soon().await.is_err());
}

#[tokio::test]
async fn connections_have_a_limit_and_are_counted() {
    let Running { url, open, .. } = start(Server::new().connections(2)).await;
    let mut first = connect(&url).soon().await.unwrap();
    let _second = connect(&url).soon().await.unwrap();
    until(|| open.count() == 2).await;
    let third = tokio::spawn(async move { connect(&url).soon().await });
    assert!(timeout(Duration::from_millis(100), async { until(|| open.count() == 3).await }).await.is_err());
    first.close(1000, "").soon().await.unwrap();
    let mut third = timeout(Duration::from_secs(30), third).await.expect("there is room").unwrap().unwrap();
    third.send("in").soon().await.unwrap();
    assert_eq!(third.recv().soon().await.unwrap(), Some("in".into()));
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A connection that says this, and nothing else.
async fn saying(url: &str, begin: &[u8]) -> TcpStream {
    let address = url.strip_prefix("ws://").unwrap().trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(begin).await.unwrap();
    stream
}

/// All that comes, up to the end or a reset.
async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = vec![];
    _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await.expect("it hangs up");
    String::from_utf8(rest).unwrap()
}

/// Peers that say nothing are no connections, and neither are those that ask for something else.
#[tokio::test]
async fn handshakes_that_do_not_end_take_no_place_of_connections() {
    let mut config = Config::default();
    config.keepalive.handshake = Some(Duration::from_secs(60));
    let Running { url, open, .. } = start(Server::new().connections(2).config(config)).await;
    let mut silent = vec![];
    for begin in ["", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        silent.push(saying(&url, begin.as_bytes()).await);
    }
    let mut first = connect(&url).await.unwrap();
    // One that comes to its request when there is no place left waits for it.
    let mut late = saying(&url, b"").await;
    let _second = connect(&url).await.unwrap();
    until(|| open.count() == 2).await;
    late.write_all(REQUEST).await.unwrap();
    assert!(timeout(Duration::from_millis(100), late.readable()).await.is_err());
    first.close(1000, "").await.unwrap();
    let mut answer = [0; 12];
    timeout(Duration::from_secs(30), late.read_exact(&mut answer)).await.expect("there is room").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}

/// Or is refused when it has waited for long enough.
#[tokio::test]
async fn who_finds_no_place_is_told() {
    let mut config = Config::default();
    config.keepalive.handshake = Some(Duration::from_secs(3));
    let Running { url, open, .. } = start(Server::new().connections(1).config(config)).await;
    let mut late = saying(&url, b"").await;
    let _only = connect(&url).await.unwrap();
    until(|| open.count() == 1).await;
    late.write_all(REQUEST).await.unwrap();
    let answer = rest(&mut late).await;
    // Unless this machine has taken so long that the handshake was over.
    assert!(answer.starts_with("HTTP/1.1 503 ") || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

/// The oldest goes, when it has had its time.
#[tokio::test]
async fn handshakes_have_a_limit_of_their_own() {
    let mut config = Config::default();
    config.keepalive.handshake = None;
    let server = Server::new().handshakes(3).grace(Duration::from_secs(2)).config(config);
    let Running { url, open, stop, served } = start(server).await;
    let [mut first, mut second, _third] =
        [saying(&url, b"").await, saying(&url, b"GET").await, saying(&url, b"GET").await];
    let socket = connect(&url).await.unwrap();
    assert_eq!(rest(&mut first).await, "");
    // The others are served.
    second.write_all(&REQUEST[3..]).await.unwrap();
    until(|| open.count() == 2).await;
    // And none of them holds up the end.
    drop((socket, second));
    stop.send(()).unwrap();
    assert_eq!(timeout(Duration::from_secs(30), served).await.expect("it ends").unwrap().cut_off, []);
}

/// An answer that panics ends its connection only, and a question whether to admit one refuses it.
#[tokio::test]
async fn a_panic_harms_no_other() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let server = Server::new().connections(1).handshakes(1);
    let server = server.admit(|_| match ASKED.fetch_add(1, Ordering::Relaxed) {
        0 => panic!("a panic that the test asked for"),
        _ => true,
    });
    let server = server.answer(async |request, _| match request.path() {
        "/panic" => panic!("another"),
        _ => Ok((request.accept(), ())),
    });
    let Running { url, .. } = start(server).await;
    assert!(connect(&url).await.is_err());
    assert!(connect(&format!("{url}panic")).await.is_err());
    let mut socket = connect(&url).await.unwrap();
    socket.send("hello").await.unwrap();
    assert_eq!(socket.recv().await.unwrap(), Some("hello".into()));
}

#[tokio::test]
async fn a_server_listens_at_several_addresses() {
    let mut listeners = listen("localhost:0").await.unwrap();
    listeners.extend(listen("127.0.0.1:0").await.unwrap());
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    tokio::spawn(Server::new().serve(listeners, |socket, _, _| echo(socket)));
    for _ in 0..3 {
        for address in &addresses {
            let mut socket = connect(&format!("ws://{address}/")).await.unwrap();
            socket.send("hello").await.unwrap();
            assert_eq!(socket.recv().await.unwrap(), Some("hello".into()));
        }
    }
}

#[tokio::test]
async fn clients_are_admitted_or_not() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    // The first three of each second, say.
    let server = Server::new().admit(|address| {
        assert!(address.ip().is_loopback());
        ASKED.fetch_add(1, Ordering::Relaxed) < 3
    });
    let Running { url, .. } = start(server).await;
    for _ in 0..3 {
        connect(&url).soon().await.unwrap();
    }
    assert!(matches!(connect(&url).soon().await, Err(ConnectError::Handshake(_))));
    assert_eq!(ASKED.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn requests_are_answered_by_the_server_s_rule() {
    let server = Server::new().config(Config::default()).answer(async |request, peer| match request.path() {
        "/" => Ok((request.accept().header("X-Address", &peer.address.unwrap().ip().to_string()), ())),
        _ => Err(Reject::new(404)),
    });
    let Running { url, .. } = start(server).await;
    let (_, response) = Client::new(&url).connect().soon().await.unwrap();
    assert_eq!(response.header("x-address"), Some(&b"127.0.0.1"[..]));
    match connect(&format!("{url}other")).soon().await {
        Err(ConnectError::Rejected(response)) => assert_eq!(response.status(), 404),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_connection_is_closed_from_elsewhere_by_its_number() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (peers, mut opened) = mpsc::unbounded_channel();
    let server = Server::new();
    let open = server.open();
    tokio::spawn(server.serve(listener, move |socket, peer, _| {
        let peers = peers.clone();
        async move {
            peers.send(peer).unwrap();
            echo(socket).await
        }
    }));
    let mut first = connect(&url).soon().await.unwrap();
    let mut second = connect(&url).soon().await.unwrap();
    let (one, other) = (opened.recv().soon().await.unwrap(), opened.recv().soon().await.unwrap());
    assert_ne!(one.id, other.id);
    let (closed, kept) = match one.address == Some(first.stream().tcp().unwrap().local_addr().unwrap()) {
        true => (&mut first, &mut second),
        false => (&mut second, &mut first),
    };
    assert_eq!(open.close(one.id, 4003, "banned"), Ok(true));
    assert_eq!(closed.recv().soon().await.unwrap(), None);
    assert_eq!(closed.peer_close(), Some(&Close { code: Code::new(4003), reason: "banned".into() }));
    kept.send("here").soon().await.unwrap();
    assert_eq!(kept.recv().soon().await.unwrap(), Some("here".into()));
    assert_eq!(open.close(4711, 1000, ""), Ok(false));
    assert_eq!(open.close(other.id, 1006, ""), Err(SendError::CloseCode(1006)));
    assert_eq!(open.close(other.id, 1000, &"x".repeat(124)), Err(SendError::LongControl));
    assert_eq!(open.count(), 1);
}

#[tokio::test]
async fn run_closes_behind_its_work_whatever_became_of_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(Server::new().serve(listener, |socket, _, _| {
        socket.run(async |socket| match socket.recv().soon().await? {
            Some(message) if message.as_text() == Some("good") => Ok(()),
            _ => Err(Box::<dyn std::error::Error + Send + Sync>::from("a bug")),
        })
    }));
    for (said, code) in [("good", Code::NORMAL), ("bad", Code::INTERNAL_ERROR)] {
        let mut socket = connect(&url).soon().await.unwrap();
        socket.send(said).soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), None);
        assert_eq!(socket.peer_close().map(|close| close.code), Some(code));
    }
    // The same for a client.
    let socket = connect(&url).soon().await.unwrap();
    let done = socket.run(async |socket| {
        socket.send("good").soon().await?;
        Ok::<_, Error>(7)
    });
    assert_eq!(done.await.unwrap(), 7);
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_keep_others_out() {
    let Running { url, .. } = start(Server::new()).await;
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let _silent = TcpStream::connect(address).soon().await.unwrap();
    let mut socket = connect(&url).soon().await.unwrap();
    socket.send("in").soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("in".into()));
}

#[tokio::test]
async fn unix_sockets_are_streams_too() {
    let directory = std::env::temp_dir().join(format!("sockless-{}", std::process::id()));
    let listener = UnixListener::bind(&directory).unwrap();
    let served = tokio::spawn(async move {
        let mut socket = sockless_tokio::accept(listener.accept().soon().await.unwrap().0).soon().await.unwrap();
        socket.recv().soon().await.unwrap()
    });
    let stream = UnixStream::connect(&directory).soon().await.unwrap();
    std::fs::remove_file(&directory).unwrap();
    let (mut socket, _) = Client::new("ws://localhost/").connect_over(stream).soon().await.unwrap();
    socket.send("local").soon().await.unwrap();
    assert_eq!(served.soon().await.unwrap(), Some("local".into()));
}
