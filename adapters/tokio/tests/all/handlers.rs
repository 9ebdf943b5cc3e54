//! What a server's handlers get, by which route, and what their end tells the peer.

use crate::common::{Soon, watch};
use sockless_tokio::sockless::{Config, Limits, Origins, ProtocolError};
use sockless_tokio::{
    Client, ConnectError, Error, Failure, NetStream, Peer, Reject, Route, Server, WebSocket, connect,
};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

/// A listener, and where clients find it.
async fn listener() -> (TcpListener, String) {
    watch();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn hear(socket: &mut WebSocket<NetStream>) -> String {
    let message = socket.recv().soon().await.unwrap().expect("a message");
    message.as_text().unwrap().to_owned()
}

async fn status(url: &str) -> u16 {
    match connect(url).soon().await {
        Err(ConnectError::Rejected(response)) => response.status(),
        other => panic!("{other:?}"),
    }
}

/// The code that the peer closed with.
async fn code(socket: &mut WebSocket<NetStream>) -> u16 {
    assert_eq!(socket.recv().soon().await.unwrap(), None);
    socket.peer_close().unwrap().code.into()
}

#[tokio::test]
async fn what_the_answer_finds_out_reaches_the_handler() {
    /// What a server knows of its users.
    struct User {
        name: String,
        id: u64,
    }
    let (listener, url) = listener().await;
    let users = Arc::new(tokio::sync::RwLock::new(vec!["ann".to_owned(), "bob".to_owned()]));
    let known = users.clone();
    let server = Server::new().answer(move |request, peer: Peer| {
        let known = known.clone();
        async move {
            // As if a database were asked.
            tokio::task::yield_now().await;
            let name = request.cookie("user").ok_or(Reject::new(401))?.to_owned();
            match known.read().await.contains(&name) {
                true => Ok((request.accept_one_of(&["v2", "v1"]), User { name, id: peer.id })),
                false => Err(Reject::text(403, "nobody knows you\n").header("X-Name", &name)),
            }
        }
    });
    tokio::spawn(server.serve(listener, |mut socket, peer, user: User| async move {
        assert_eq!(peer.id, user.id);
        let spoken = socket.subprotocol().unwrap_or("none").to_owned();
        socket.send(format!("{} speaks {spoken}", user.name)).soon().await
    }));
    let client = |name: &str| Client::new(&url).header("Cookie", &format!("theme=dark; user={name}"));
    for (offered, chosen) in [(&["v1", "v2"][..], "v2"), (&["v1"], "v1"), (&[], "none")] {
        let client = offered.iter().fold(client("ann"), |client, name| client.subprotocol(name));
        let (mut socket, _) = client.connect().soon().await.unwrap();
        assert_eq!(hear(&mut socket).await, format!("ann speaks {chosen}"));
    }
    assert_eq!(status(&url).await, 401);
    match client("eve").connect().soon().await {
        Err(ConnectError::Rejected(response)) => {
            assert_eq!((response.status(), response.body()), (403, &b"nobody knows you\n"[..]));
            assert_eq!(response.header("x-name"), Some(&b"eve"[..]));
        }
        other => panic!("{other:?}"),
    }
    users.write().await.push("eve".to_owned());
    assert!(client("eve").connect().soon().await.is_ok());
}

#[tokio::test]
async fn without_an_answer_of_its_own_a_handler_gets_the_request() {
    let (listener, url) = listener().await;
    tokio::spawn(Server::new().serve(listener, |mut socket, peer, request| async move {
        let mut told = String::new();
        for (name, value) in request.query_params() {
            write!(told, "{name}: {value}; ").unwrap();
        }
        assert_eq!(request.header("x-peer"), None);
        write!(told, "{}", peer.address == socket.stream().tcp().unwrap().peer_addr().ok()).unwrap();
        socket.send(told).soon().await
    }));
    let mut socket = connect(&format!("{url}/?room=caf%C3%A9+7&quiet")).soon().await.unwrap();
    assert_eq!(hear(&mut socket).await, "room: café 7; quiet: ; true");
}

/// An answer that takes for ever takes no longer than a handshake may.
#[tokio::test]
async fn an_answer_has_the_time_of_the_handshake() {
    let (listener, url) = listener().await;
    let mut config = Config::default();
    config.keepalive.handshake = Some(Duration::from_secs(1));
    let server = Server::new().config(config).answer(|request, _| async move {
        std::future::pending::<()>().await;
        Ok((request.accept(), ()))
    });
    tokio::spawn(server.serve(listener, |_, _, ()| async { Ok::<_, Error>(()) }));
    // The latter, if this machine has taken so long that there was no request in time.
    assert!([503, 408].contains(&status(&url).await));
}

#[tokio::test]
async fn routes_have_handlers_and_settings_of_their_own() {
    let (listener, url) = listener().await;
    let small = Config { limits: Limits { message: 3, ..Limits::default() }, ..Config::default() };
    let listed = Config { origins: Origins::List(vec!["http://a.example".into()]), ..Config::default() };
    #[cfg(feature = "deflate")]
    let listed = Config { deflate: Some(Default::default()), ..listed };
    let page = Route::new().answer(async |_, _| Err::<(_, ()), _>(Reject::page("text/html", "<h1>Hello</h1>")));
    let server = Server::new()
        .route("/chat/{room}/{*rest}", Route::new(), |mut socket, _, request| async move {
            let [room, rest] = ["room", "rest"].map(|name| request.param(name).unwrap());
            socket.send(format!("{room} and {rest}")).soon().await
        })
        .unwrap()
        .route("/small", Route::new().config(small), |mut socket, _, _| async move {
            while let Some(message) = socket.recv().await? {
                socket.send(message).soon().await?;
            }
            Ok::<_, Error>(())
        })
        .unwrap()
        .route("/listed", Route::new().config(listed), |mut socket, _, _| async move {
            socket.send("x".repeat(1_000)).soon().await
        })
        .unwrap()
        .route("/", page, |_, _, ()| async { Ok::<_, Error>(()) })
        .unwrap();
    tokio::spawn(server.serve_routes(listener));
    let mut socket = connect(&format!("{url}/chat/caf%C3%A9/a/b?room=x")).soon().await.unwrap();
    assert_eq!(hear(&mut socket).await, "café and a/b");
    // Its limits.
    let mut socket = connect(&format!("{url}/small")).soon().await.unwrap();
    socket.send("abc").soon().await.unwrap();
    assert_eq!(hear(&mut socket).await, "abc");
    socket.send("abcd").soon().await.unwrap();
    assert_eq!(code(&mut socket).await, 1009);
    // Its origins: the server's own would refuse the one and take the other.
    let from = |origin: &str| Client::new(&format!("{url}/listed")).header("Origin", origin);
    match from(&url.replace("ws://", "http://")).connect().soon().await {
        Err(ConnectError::Rejected(response)) => assert_eq!(response.status(), 403),
        other => panic!("{other:?}"),
    }
    let mut socket = from("http://a.example").connect().soon().await.unwrap().0;
    assert_eq!(hear(&mut socket).await.len(), 1_000);
    // Its compression.
    #[cfg(feature = "deflate")]
    {
        let config = Config { deflate: Some(Default::default()), ..Config::default() };
        let mut socket = from("http://a.example").config(config.clone()).connect().soon().await.unwrap().0;
        assert_eq!(hear(&mut socket).await.len(), 1_000);
        assert!(socket.counters().received.bytes < 900, "it came compressed");
        let (socket, _) = Client::new(&format!("{url}/small")).config(config).connect().soon().await.unwrap();
        assert!(!socket.negotiated().is_compressed());
    }
    // Whatever else.
    assert_eq!(status(&format!("{url}/")).await, 200);
    for path in ["/chat/room", "/small/", "/other"] {
        assert_eq!(status(&format!("{url}{path}")).await, 404, "{path}");
    }
    let mut stream = TcpStream::connect(url.trim_start_matches("ws://")).soon().await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").soon().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).soon().await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n<h1>Hello</h1>"), "{answer}");
}

#[tokio::test]
async fn what_no_route_takes_is_the_servers_own() {
    let (listener, url) = listener().await;
    let hears =
        |name: &'static str| move |mut socket: WebSocket<NetStream>, _, _| async move { socket.send(name).await };
    let server = Server::new().route("/a", Route::new(), hears("a")).unwrap();
    let server = server.route("/a", Route::new(), hears("twice")).map(drop).unwrap_err();
    assert!(server.to_string().starts_with("no route at \"/a\": "), "{server}");
    let server = Server::new().route("/a", Route::new(), hears("a")).unwrap();
    tokio::spawn(server.serve(listener, hears("other")));
    for (path, name) in [("/a", "a"), ("/b", "other"), ("/", "other")] {
        assert_eq!(hear(&mut connect(&format!("{url}{path}")).soon().await.unwrap()).await, name);
    }
}

/// What went wrong, in the order that it did.
type Failures = UnboundedReceiver<(Option<Peer>, String)>;

/// A server whose handlers do as the path says.
async fn ending() -> (String, Failures) {
    let (listener, url) = listener().await;
    let (failed, failures) = unbounded_channel();
    let server = Server::new().on_error(move |peer, failure| {
        let kind = match failure {
            Failure::Accept(_) => "accept",
            Failure::Handshake(_) => "handshake",
            Failure::Handler(_) => "handler",
            Failure::Panic => "panic",
            _ => "other",
        };
        _ = failed.send((peer, format!("{kind}: {failure}")));
        assert!(!failure.to_string().contains("again"), "a panic that the test asked for");
    });
    let server = server.answer(async |request, _| match request.path() {
        "/refused" => Err(Reject::new(403)),
        "/page" => Err(Reject::page("text/plain", "hello")),
        "/panic-in-answer" => panic!("a panic that the test asked for"),
        path => {
            let path = path.to_owned();
            Ok((request.accept(), path))
        }
    });
    tokio::spawn(server.serve(listener, |mut socket: WebSocket<NetStream>, _, path: String| {
        assert_ne!(path, "/panic-at-once", "a panic that the test asked for");
        async move {
            match &*path {
                // Handed over and not written, more than the system's buffers take.
                "/full" => {
                    for _ in 0..100 {
                        _ = socket.feed(vec![7; 9_000]);
                    }
                    Ok(())
                }
                "/ok" => Ok(()),
                "/panic" => panic!("a panic that the test asked for"),
                "/panic-later" => {
                    _ = socket.recv().await;
                    panic!("a panic that the test asked for")
                }
                "/elsewhere" => {
                    tokio::spawn(async move { while let Ok(Some(_)) = socket.recv().await {} });
                    Ok(())
                }
                "/parted" => {
                    let (sender, mut receiver) = socket.split();
                    tokio::spawn(async move { while let Ok(Some(_)) = receiver.recv().await {} });
                    sender.send("parted").await?;
                    Ok(())
                }
                "/parted-and-dropped" => {
                    let (sender, receiver) = socket.split();
                    _ = sender.feed("last words");
                    drop(receiver);
                    Ok(())
                }
                "/parted-and-failed" => {
                    let (sender, mut receiver) = socket.split();
                    let writes = tokio::spawn(async move { sender.send("last words").soon().await });
                    writes.await??;
                    receiver.recv().await?;
                    Err("no more".into())
                }
                "/closed" => Ok(socket.close(4000, "by hand").await?),
                "/again" => Err("again".into()),
                _ => Err(Box::<dyn std::error::Error + Send + Sync>::from("no such thing")),
            }
        }
    }));
    (url, failures)
}

#[tokio::test]
async fn the_end_of_a_handler_tells_the_peer() {
    let (url, mut failures) = ending().await;
    for (path, expected, failure) in [
        ("/ok", 1000, None),
        ("/elsewhere", 1000, None),
        ("/closed", 4000, None),
        ("/other", 1011, Some("handler: handler failed: no such thing")),
        ("/panic", 1011, Some("panic: handler panicked")),
        ("/panic-at-once", 1011, Some("panic: handler panicked")),
        // Who is told panics too.
        ("/again", 1011, Some("handler: handler failed: again")),
    ] {
        let mut socket = connect(&format!("{url}{path}")).soon().await.unwrap();
        assert_eq!(code(&mut socket).await, expected, "{path}");
        if let Some(failure) = failure {
            let (peer, told) = failures.recv().soon().await.unwrap();
            assert_eq!((peer.unwrap().address, &*told), (socket.stream().tcp().unwrap().local_addr().ok(), failure));
        }
    }
    let mut socket = connect(&format!("{url}/parted")).soon().await.unwrap();
    assert_eq!(hear(&mut socket).await, "parted");
    assert_eq!(code(&mut socket).await, 1000);
    let mut socket = connect(&format!("{url}/parted-and-dropped")).soon().await.unwrap();
    // It comes to a server that has not read it when its handler ends.
    socket.send("unread").soon().await.unwrap();
    assert_eq!(hear(&mut socket).await, "last words");
    assert_eq!(code(&mut socket).await, 1000);
    let mut socket = connect(&format!("{url}/parted-and-failed")).soon().await.unwrap();
    assert_eq!(hear(&mut socket).await, "last words");
    socket.send("go").soon().await.unwrap();
    assert_eq!(code(&mut socket).await, 1011);
    assert_eq!(failures.recv().soon().await.unwrap().1, "handler: handler failed: no more");
    let mut socket = connect(&format!("{url}/panic-later")).soon().await.unwrap();
    socket.send("go").soon().await.unwrap();
    assert_eq!(code(&mut socket).await, 1011);
    assert_eq!(failures.recv().soon().await.unwrap().1, "panic: handler panicked");
}

#[tokio::test]
async fn what_a_handler_left_unwritten_arrives_before_the_close() {
    let (url, _failures) = ending().await;
    let mut socket = connect(&format!("{url}/full")).soon().await.unwrap();
    for _ in 0..100 {
        assert_eq!(socket.recv().soon().await.unwrap(), Some(vec![7; 9_000].into()));
    }
    assert_eq!(code(&mut socket).await, 1000);
}

#[tokio::test]
async fn failed_handshakes_are_told() {
    let (url, mut failures) = ending().await;
    assert_eq!(status(&format!("{url}/page")).await, 200);
    assert_eq!(status(&format!("{url}/refused")).await, 403);
    let (peer, told) = failures.recv().soon().await.unwrap();
    assert_eq!((peer.is_some(), &*told), (true, "handshake: not opened: request answered with status 403"));
    assert!(connect(&format!("{url}/panic-in-answer")).soon().await.is_err());
    assert_eq!(failures.recv().soon().await.unwrap().1, "panic: handler panicked");
    let mut stream = TcpStream::connect(url.trim_start_matches("ws://")).soon().await.unwrap();
    stream.write_all(b"\x16\x03\x01\0").soon().await.unwrap();
    let (peer, told) = failures.recv().soon().await.unwrap();
    assert_eq!(peer.unwrap().address, stream.local_addr().ok());
    assert!(told.starts_with("handshake: not opened: "), "{told}");
}

/// A peer that breaks the rules fails the handler that passes its error on, and is told of its fault, not of 1011.
#[tokio::test]
async fn a_peers_fault_keeps_its_code() {
    let (listener, url) = listener().await;
    let (failed, failure) = oneshot::channel();
    let failed = std::sync::Mutex::new(Some(failed));
    let server = Server::new().on_error(move |_, failure| {
        let Failure::Handler(error) = failure else { panic!("{failure}") };
        let error = error.downcast_ref::<Error>().unwrap().copied();
        failed.lock().unwrap().take().unwrap().send(error).unwrap();
    });
    tokio::spawn(server.serve(listener, |mut socket, _, _| async move { socket.recv().await.map(drop) }));
    let mut stream = TcpStream::connect(url.trim_start_matches("ws://")).soon().await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x01";
    stream.write_all(request.as_bytes()).soon().await.unwrap();
    // Not masked.
    stream.write_all(b"\x01a").soon().await.unwrap();
    let mut answer = vec![];
    stream.read_to_end(&mut answer).soon().await.unwrap();
    let (_, frames) = answer.split_at(answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4);
    assert_eq!(frames, [0x88, 0x02, 0x03, 0xEA]);
    drop(stream);
    assert!(matches!(failure.soon().await.unwrap(), Error::Protocol(ProtocolError::Unmasked)));
}

/// Whoever meets the end of its connection, and passes that on by `?`, has not failed.
#[tokio::test]
async fn a_handler_that_meets_the_end_has_not_failed() {
    let (listener, url) = listener().await;
    let (tell, mut told) = unbounded_channel();
    let server = Server::new().on_error(move |_, failure| _ = tell.send(failure.to_string()));
    tokio::spawn(server.serve(listener, |mut socket, _, _| async move {
        socket.closer().close(4003, "banned")?;
        loop {
            socket.send("still here").await?;
        }
        #[allow(unreachable_code)]
        Ok::<_, Error>(())
    }));
    let mut socket = connect(&url).soon().await.unwrap();
    while socket.recv().soon().await.unwrap().is_some() {}
    assert_eq!(u16::from(socket.peer_close().unwrap().code), 4003);
    // What is told first is of another.
    assert_eq!(status_of_garbage(&url).await, 400);
    assert_eq!(told.recv().soon().await.unwrap(), "not opened: opening handshake failed: not exactly one Host");
}

async fn status_of_garbage(url: &str) -> u16 {
    let mut stream = TcpStream::connect(url.trim_start_matches("ws://")).soon().await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").soon().await.unwrap();
    let mut answer = vec![];
    stream.read_to_end(&mut answer).soon().await.unwrap();
    std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap()
}
