//! Clients over HTTP/2 (RFC 8441): against hyper's server, against one that is told what to do, and against none.

use crate::common::http2::{Counted, hyper};
use axum::http::{Request, Response};
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use sockless_test_support::Soon;
use sockless_tokio::sockless::bytes::Bytes;
use sockless_tokio::sockless::{Code, Config, Deflate, HandshakeError, Keepalive, ProtocolError};
use sockless_tokio::{Client, ConnectError, Error, Message, NetStream, Server, Tls, WebSocket, accept};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

type Opened = (WebSocket<NetStream>, sockless_tokio::Response<'static>);

fn client(url: &str) -> Client {
    Client::new(url).http2_only()
}

async fn echoes(socket: &mut WebSocket<NetStream>, message: impl Into<Message>) {
    let message = message.into();
    socket.send(message.clone()).soon().await.unwrap();
    // Not shown: it may be long.
    assert!(socket.recv().soon().await.unwrap() == Some(message));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_share_a_connection_that_ends_with_the_last() {
    let server = Counted::serve(hyper).await;
    let client = client(&server.url("/")).subprotocol("chat");
    let mut opening = JoinSet::new();
    for number in 0..20 {
        let client = client.clone().url(&server.url(if number % 2 == 0 { "/" } else { "/chat" }));
        opening.spawn(async move { client.connect().soon().await.unwrap() });
    }
    let opened: Vec<Opened> = opening.join_all().soon().await;
    assert_eq!(server.ever(), 1, "they wait for the one that makes it");
    let mut sockets = Vec::new();
    for (number, (mut socket, response)) in opened.into_iter().enumerate() {
        assert_eq!(
            (response.status(), response.subprotocol(), socket.subprotocol()),
            (200, Some("chat"), Some("chat"))
        );
        let NetStream::Http2(stream) = socket.stream() else { panic!("{:?}", socket.stream()) };
        assert!(!stream.is_tls() && socket.stream().tcp().is_none());
        echoes(&mut socket, format!("{number}")).await;
        sockets.push(socket);
    }
    let mut last = sockets.pop().unwrap();
    for (number, mut socket) in sockets.into_iter().enumerate() {
        match number % 3 {
            // Each of these ends one of them and no other.
            0 => socket.close(1000, "").soon().await.unwrap(),
            1 => drop(socket),
            _ => drop(socket.split()),
        }
    }
    echoes(&mut last, vec![7; 1_000_000]).await;
    last.close(1000, "").soon().await.unwrap();
    assert_eq!(last.peer_close().unwrap().code, Code::NORMAL);
    drop(last);
    server.ended().await;
    // The client is there still, and makes another.
    let (mut socket, _) = client.connect().soon().await.unwrap();
    echoes(&mut socket, "again").await;
    assert_eq!(server.ever(), 2);
}

#[tokio::test]
async fn halves_send_and_receive_at_once() {
    let server = Counted::serve(hyper).await;
    let config =
        Config { limits: sockless_tokio::Limits { message: 8 << 20, ..Default::default() }, ..Config::default() };
    let (socket, _) = client(&server.url("/")).config(config).connect().soon().await.unwrap();
    let (sender, mut receiver) = socket.split();
    let sending = tokio::spawn(async move {
        for number in 0..200_u32 {
            // More than windows hold, so that both directions wait for room.
            sender.send(vec![number as u8; 100_000]).soon().await.unwrap();
        }
        sender
    });
    for number in 0..200_u32 {
        assert!(receiver.recv().soon().await.unwrap() == Some(vec![number as u8; 100_000].into()));
    }
    drop(sending.soon().await.unwrap());
}

#[tokio::test]
async fn refusals_and_redirects() {
    let server = Counted::serve(hyper).await;
    let (mut socket, _) = client(&server.url("/")).connect().soon().await.unwrap();
    let client = client(&server.url("/no"));
    let Err(ConnectError::Rejected(refusal)) = client.connect().soon().await else { panic!("taken") };
    assert_eq!((refusal.status(), refusal.header("x-why")), (403, Some(&b"because"[..])));
    assert_eq!((refusal.body(), refusal.is_whole()), (&b"not you"[..], true));
    let moved = client.clone().url(&server.url("/moved"));
    let Err(ConnectError::Rejected(refusal)) = moved.connect().soon().await else { panic!("taken") };
    assert_eq!((refusal.status(), refusal.redirect()), (302, Some(&b"/chat"[..])));
    let (mut there, response) = moved.redirects(1).connect().soon().await.unwrap();
    assert_eq!(response.status(), 200);
    echoes(&mut there, "moved").await;
    echoes(&mut socket, "not").await;
    let foreign = client.header("origin", "http://evil.example").url(&server.url("/"));
    assert!(matches!(foreign.connect().soon().await, Err(ConnectError::Rejected(refusal)) if refusal.status() == 403));
}

#[tokio::test]
async fn compression_with_the_defaults() {
    let server = Counted::serve(hyper).await;
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let (mut socket, response) = client(&server.url("/")).config(config).connect().soon().await.unwrap();
    assert!(socket.negotiated().is_compressed() && response.header("sec-websocket-extensions").is_some());
    echoes(&mut socket, "x".repeat(100_000)).await;
    assert!(socket.counters().received.bytes < 1_000 && socket.counters().sent.bytes < 1_000);
}

// ---- TLS

fn tls(alpn: &[&str]) -> (Tls, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let mut config =
        sockless_tokio::rustls::ServerConfig::clone(&Tls::server_with(vec![certificate.clone()], key).unwrap());
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    (Tls::new(sockless_tokio::Roots::Own(vec![certificate])).unwrap(), TlsAcceptor::from(Arc::new(config)))
}

/// A server that speaks what was chosen by ALPN.
async fn serve_tls(alpn: &[&str]) -> (Client, Counted) {
    let (trusting, acceptor) = tls(alpn);
    let server = Counted::serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).soon().await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                return hyper(stream).await;
            }
            let mut socket = accept(stream).soon().await.unwrap();
            while let Ok(Some(message)) = socket.recv().await {
                socket.send(message).soon().await.unwrap();
            }
        }
    });
    let server = server.await;
    (Client::new(&server.url("/").replace("ws:", "wss:")).tls(trusting), server)
}

#[tokio::test]
async fn tls_chooses() {
    let (client, server) = serve_tls(&["h2", "http/1.1"]).await;
    for client in [client.clone().http2(), client.clone().http2_only()] {
        let (mut one, response) = client.connect().soon().await.unwrap();
        let (mut two, _) = client.connect().soon().await.unwrap();
        assert_eq!((response.status(), one.stream().is_tls()), (200, true));
        echoes(&mut one, "one").await;
        echoes(&mut two, "two").await;
    }
    assert_eq!(server.ever(), 2);
    // Without HTTP/2 it is not offered.
    let (mut socket, response) = client.connect().soon().await.unwrap();
    assert_eq!(response.status(), 101);
    echoes(&mut socket, "by HTTP/1.1").await;
}

#[tokio::test]
async fn what_tls_does_not_choose_is_not_spoken() {
    for alpn in [&["http/1.1"][..], &[]] {
        let (client, server) = serve_tls(alpn).await;
        let (mut socket, response) = client.clone().http2().connect().soon().await.unwrap();
        assert_eq!((response.status(), socket.stream().is_tls()), (101, true));
        echoes(&mut socket, "by HTTP/1.1").await;
        assert_eq!(server.ever(), 1, "over the same connection");
        assert!(matches!(client.http2_only().connect().soon().await, Err(ConnectError::NoHttp2)));
    }
}

#[cfg(feature = "native-tls")]
#[tokio::test]
async fn the_systems_library_offers_what_its_settings_say() {
    let (client, _server) = serve_tls(&["h2", "http/1.1"]).await;
    let mut tls = sockless_tokio::native_tls::TlsConnector::builder();
    tls.danger_accept_invalid_certs(true);
    let silent = client.clone().native_tls(tls.build().unwrap());
    let (mut socket, response) = silent.clone().http2().connect().soon().await.unwrap();
    assert_eq!((response.status(), socket.stream().is_tls()), (101, true));
    echoes(&mut socket, "by HTTP/1.1").await;
    assert!(matches!(silent.http2_only().connect().soon().await, Err(ConnectError::NoHttp2)));
    tls.request_alpns(&["h2", "http/1.1"]);
    let offering = client.native_tls(tls.build().unwrap()).http2_only();
    let (mut socket, response) = offering.connect().soon().await.unwrap();
    assert_eq!((response.status(), socket.stream().is_tls()), (200, true));
    echoes(&mut socket, vec![7; 1 << 20]).await;
}

#[tokio::test]
async fn what_trusts_others_has_a_connection_of_its_own() {
    let (client, server) = serve_tls(&["h2"]).await;
    let client = client.http2();
    let (mut socket, _) = client.connect().soon().await.unwrap();
    let distrusting = client.clone().tls(tls(&[]).0);
    assert!(matches!(distrusting.connect().soon().await, Err(ConnectError::Tls(_))));
    echoes(&mut socket, "still here").await;
    assert_eq!(server.ever(), 2);
}

// ---- servers without HTTP/2, or without WebSockets over it

#[tokio::test]
async fn http1_where_there_is_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("ws://{}/", listener.local_addr().unwrap()));
    tokio::spawn(Server::new().serve(listener, |mut socket, _, _| async move {
        while let Some(message) = socket.recv().await? {
            socket.send(message).soon().await?;
        }
        Ok::<_, Error>(())
    }));
    let (mut socket, response) = client.clone().http2().connect().soon().await.unwrap();
    assert_eq!(response.status(), 101);
    echoes(&mut socket, "by HTTP/1.1").await;
    assert!(matches!(client.http2_only().connect().soon().await, Err(ConnectError::NoHttp2)));
}

#[tokio::test]
async fn settings_that_lack_the_protocol() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = Counted::serve(move |stream| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move {
            if number < 2 {
                let mut connection = h2::server::handshake(stream).soon().await.unwrap();
                assert!(connection.accept().soon().await.is_none_or(|asked| asked.is_err()), "nothing is asked");
            } else {
                accept(stream).soon().await.unwrap().close(1000, "").soon().await.unwrap();
            }
        }
    });
    let server = server.await;
    assert!(matches!(client(&server.url("/")).connect().soon().await, Err(ConnectError::NoHttp2)));
    let (mut socket, response) = Client::new(&server.url("/")).http2().connect().soon().await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(socket.recv().soon().await.unwrap(), None);
    assert_eq!(server.ever(), 3);
}

// ---- a server that is told what to do

type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// A connection of the server's end: what it is asked for, and its end.
struct Peer {
    asked: mpsc::UnboundedReceiver<Asked>,
    leave: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Peer {
    fn new(mut connection: Connection<TcpStream, Bytes>) -> Self {
        let (tell, asked) = mpsc::unbounded_channel();
        let (leave, mut told) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut leaving = false;
            loop {
                tokio::select! {
                    request = connection.accept() => match request {
                        Some(Ok(request)) => _ = tell.send(request),
                        _ => return,
                    },
                    Ok(()) = &mut told, if !leaving => {
                        connection.graceful_shutdown();
                        leaving = true;
                    }
                }
            }
        });
        Self { asked, leave: Some(leave), task }
    }

    async fn next(&mut self) -> Asked {
        self.asked.recv().soon().await.expect("a request")
    }

    /// Opens a WebSocket.
    async fn open(&mut self) -> (SendStream<Bytes>, RecvStream) {
        let (request, mut respond) = self.next().await;
        let protocol = request.extensions().get::<h2::ext::Protocol>().expect("an extended CONNECT");
        assert_eq!(
            (protocol.as_str(), request.headers()["sec-websocket-version"].as_bytes()),
            ("websocket", &b"13"[..])
        );
        (respond.send_response(Response::new(()), false).unwrap(), request.into_body())
    }
}

struct Told(TcpListener);

impl Told {
    async fn new() -> (Self, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(&format!("ws://{}/", listener.local_addr().unwrap()));
        (Self(listener), client)
    }

    async fn next(&self) -> Peer {
        self.next_with(|_| {}).await
    }

    async fn next_with(&self, set: impl FnOnce(&mut h2::server::Builder)) -> Peer {
        let (stream, _) = self.0.accept().soon().await.unwrap();
        let mut builder = h2::server::Builder::new();
        builder.enable_connect_protocol();
        set(&mut builder);
        Peer::new(builder.handshake(stream).soon().await.unwrap())
    }
}

/// An attempt in a task of its own.
fn attempt(client: &Client) -> JoinHandle<Result<Opened, ConnectError>> {
    let client = client.clone();
    tokio::spawn(async move { client.connect().await })
}

async fn opened(attempt: JoinHandle<Result<Opened, ConnectError>>) -> WebSocket<NetStream> {
    attempt.soon().await.unwrap().unwrap().0
}

/// Two WebSockets over one connection, each with the server's end of its stream.
async fn two(told: &Told, client: &Client) -> (Peer, [(WebSocket<NetStream>, SendStream<Bytes>, RecvStream); 2]) {
    let first = attempt(client);
    let mut peer = told.next().await;
    let (send, recv) = peer.open().await;
    let one = (opened(first).await, send, recv);
    let second = attempt(client);
    let (send, recv) = peer.open().await;
    let two = (opened(second).await, send, recv);
    (peer, [one, two])
}

const HI: Bytes = Bytes::from_static(b"\x81\x02hi");

/// Waits for the client's end of a stream: by END_STREAM, or by a reset.
async fn end_of(stream: &mut RecvStream) -> Result<(), Option<Reason>> {
    while let Some(data) = stream.data().soon().await {
        match data {
            Ok(data) => stream.flow_control().release_capacity(data.len()).unwrap(),
            Err(error) => return Err(error.reason()),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_leaves_keeps_what_is_open() {
    let (told, client) = Told::new().await;
    let first = attempt(&client);
    let mut peer = told.next().await;
    let (mut send, mut recv) = peer.open().await;
    let mut socket = opened(first).await;
    peer.leave.take().unwrap().send(()).unwrap();
    send.send_data(HI, false).unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("hi".into()));
    // Whether or not the client has heard of it by now, this one is made elsewhere.
    let second = attempt(&client);
    let mut other = told.next().await;
    let _other = other.open().await;
    let _second = opened(second).await;
    send.send_data(Bytes::from_static(b"\x88\x02\x03\xe9"), true).unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), None);
    assert_eq!(socket.peer_close().unwrap().code, Code::AWAY);
    assert_eq!(end_of(&mut recv).await, Ok(()));
    peer.task.soon().await.unwrap();
}

#[tokio::test]
async fn what_a_server_has_not_taken_is_asked_of_another_connection() {
    let (told, client) = Told::new().await;
    let first = attempt(&client);
    let mut peer = told.next().await;
    let _first = (peer.open().await, opened(first).await);
    let second = attempt(&client);
    let (_, mut respond) = peer.next().await;
    respond.send_reset(Reason::REFUSED_STREAM);
    let mut other = told.next().await;
    // One that is new is asked once.
    let (_, mut respond) = other.next().await;
    respond.send_reset(Reason::REFUSED_STREAM);
    let error = second.soon().await.unwrap().unwrap_err();
    assert!(matches!(&error, ConnectError::Handshake(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset));
    // Of any other reset it is not known what was done.
    let third = attempt(&client);
    let mut third_peer = told.next().await;
    let (_, mut respond) = third_peer.next().await;
    respond.send_reset(Reason::INTERNAL_ERROR);
    let error = third.soon().await.unwrap().unwrap_err();
    assert!(matches!(&error, ConnectError::Handshake(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_reset_ends_one_websocket_and_no_other() {
    let (told, client) = Told::new().await;
    let (_peer, [(mut one, mut reset, _), (mut two, mut send, _)]) = two(&told, &client).await;
    reset.send_data(HI, false).unwrap();
    assert_eq!(one.recv().soon().await.unwrap(), Some("hi".into()));
    reset.send_reset(Reason::CANCEL);
    let error = one.recv().soon().await.unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::ConnectionReset), "{error:?}");
    assert!(one.send("more").soon().await.is_err());
    assert_eq!(one.recv().soon().await.unwrap(), None);
    send.send_data(HI, false).unwrap();
    assert_eq!(two.recv().soon().await.unwrap(), Some("hi".into()));
}

#[tokio::test]
async fn a_stream_that_ends_early_is_told_and_so_is_a_connection() {
    let (told, client) = Told::new().await;
    for whole in [false, true] {
        let first = attempt(&client);
        let mut peer = told.next().await;
        let (mut send, _recv) = peer.open().await;
        let mut socket = opened(first).await;
        send.send_data(HI, !whole).unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some("hi".into()));
        if whole {
            peer.task.abort();
            drop((send, _recv, peer));
        }
        let error = socket.recv().soon().await.unwrap_err();
        let expected = match &error {
            Error::Protocol(ProtocolError::UnexpectedEof) => !whole,
            Error::Io(_) => whole,
            _ => false,
        };
        assert!(expected, "{error:?}, {whole}");
        assert_eq!(socket.recv().soon().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_client_that_closes_ends_its_stream_and_one_that_is_dropped_resets_it() {
    let (told, client) = Told::new().await;
    let (_peer, [(mut closing, mut send, mut recv), (dropped, _send, mut reset)]) = two(&told, &client).await;
    drop(dropped);
    assert_eq!(end_of(&mut reset).await, Err(Some(Reason::CANCEL)));
    let closed = tokio::spawn(async move { closing.close(1000, "").await });
    // The close frame, masked, and then nothing, until it is answered.
    let frame = recv.data().soon().await.unwrap().unwrap();
    assert_eq!((frame[0], frame[1]), (0x88, 0x82));
    send.send_data(Bytes::from_static(b"\x88\x02\x03\xe8"), false).unwrap();
    assert_eq!(end_of(&mut recv).await, Ok(()));
    // The client has said its last word, and waits for ours.
    send.send_data(Bytes::new(), true).unwrap();
    closed.soon().await.unwrap().unwrap();
}

#[tokio::test]
async fn who_is_not_answered_gives_up_and_resets() {
    let (told, client) = Told::new().await;
    let short = Duration::from_millis(50);
    let keepalive = Keepalive { handshake: Some(short), ..Default::default() };
    let slow = client.clone().config(Config { keepalive, ..Config::default() });
    let is_timeout = |error: ConnectError| {
        matches!(error, ConnectError::Handshake(Error::Protocol(ProtocolError::Handshake(HandshakeError::Timeout))))
    };
    // No settings, and then no answer.
    let first = attempt(&slow);
    let (silent, _) = told.0.accept().soon().await.unwrap();
    assert!(is_timeout(first.soon().await.unwrap().unwrap_err()));
    drop(silent);
    let timed = client.clone().timeout(short);
    let mut kept = Vec::new();
    for (impatient, other) in [(slow, false), (timed, true)] {
        // Of a connection on which there was no answer nothing more is asked, though there is a WebSocket on it.
        let keeping = attempt(&client);
        let mut peer = told.next().await;
        let ends = (peer.open().await, opened(keeping).await);
        let attempt = attempt(&impatient);
        let (mut request, _respond) = peer.next().await;
        let error = attempt.soon().await.unwrap().unwrap_err();
        assert!(if other { matches!(error, ConnectError::Timeout) } else { is_timeout(error) });
        assert_eq!(end_of(request.body_mut()).await, Err(Some(Reason::CANCEL)));
        kept.push((peer, ends));
    }
    // And who is dropped does.
    let attempt = attempt(&client);
    let mut peer = told.next().await;
    let (mut request, _respond) = peer.next().await;
    attempt.abort();
    assert_eq!(end_of(request.body_mut()).await, Err(Some(Reason::CANCEL)));
}

#[tokio::test]
async fn a_connection_that_is_lost_is_made_again_though_it_is_held() {
    let (told, client) = Told::new().await;
    let (peer, [(mut one, send, recv), held]) = two(&told, &client).await;
    peer.task.abort();
    drop((peer, send, recv));
    assert!(one.recv().soon().await.is_err());
    for _ in 0..2 {
        let again = attempt(&client);
        let mut peer = told.next().await;
        let (_send, _recv) = peer.open().await;
        opened(again).await;
    }
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_that_is_not_answered_gives_up_with_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let time = Duration::from_secs(8);
    let keepalive = Keepalive { handshake: Some(time), ..Default::default() };
    let client =
        client(&format!("ws://{}/", listener.local_addr().unwrap())).config(Config { keepalive, ..Config::default() });
    let began = tokio::time::Instant::now();
    let attempts: Vec<_> = (0..6).map(|_| attempt(&client)).collect();
    for attempt in attempts {
        let error = attempt.await.unwrap().unwrap_err();
        let timeout = HandshakeError::Timeout;
        assert!(
            matches!(&error, ConnectError::Handshake(Error::Protocol(ProtocolError::Handshake(e))) if *e == timeout),
            "{error:?}"
        );
    }
    // Of the clock, which stands still while there is something to do; one behind the other it is six times that.
    assert!(began.elapsed() < 2 * time, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_refusal_whose_body_does_not_end_is_told_as_far_as_it_came() {
    let (told, client) = Told::new().await;
    let first = attempt(&client);
    let mut peer = told.next().await;
    let (_, mut respond) = peer.next().await;
    let response = Response::builder().status(503).header("retry-after", "7").body(()).unwrap();
    let mut send = respond.send_response(response, false).unwrap();
    send.send_data(Bytes::from_static(b"bus"), false).unwrap();
    let Err(ConnectError::Rejected(refusal)) = first.soon().await.unwrap() else { panic!("taken") };
    assert_eq!((refusal.status(), refusal.body(), refusal.is_whole()), (503, &b"bus"[..], false));
    assert_eq!(refusal.header("Retry-After"), Some(&b"7"[..]));
}

#[tokio::test]
async fn an_answer_that_breaks_the_rules() {
    let (told, client) = Told::new().await;
    for (name, value, expected) in [
        ("sec-websocket-protocol", "mqtt", HandshakeError::Subprotocol),
        ("sec-websocket-extensions", "permessage-deflate", HandshakeError::Extensions),
    ] {
        let first = attempt(&client);
        let mut peer = told.next().await;
        let (mut request, mut respond) = peer.next().await;
        let response = Response::builder().header(name, value).body(()).unwrap();
        let _send = respond.send_response(response, false).unwrap();
        let error = first.soon().await.unwrap().unwrap_err();
        let ConnectError::Handshake(Error::Protocol(ProtocolError::Handshake(error))) = error else {
            panic!("{error:?}")
        };
        assert_eq!(error, expected);
        assert_eq!(end_of(request.body_mut()).await, Err(Some(Reason::CANCEL)));
    }
}

#[tokio::test]
async fn where_no_stream_is_free_there_is_another_connection() {
    let (told, client) = Told::new().await;
    let few = |builder: &mut h2::server::Builder| _ = builder.max_concurrent_streams(2);
    let first = attempt(&client);
    let mut peer = told.next_with(few).await;
    let one = (peer.open().await, opened(first).await);
    let second = attempt(&client);
    let _two = (peer.open().await, opened(second).await);
    let third = attempt(&client);
    let mut other = told.next_with(few).await;
    let _three = (other.open().await, opened(third).await);
    drop(one);
    let fourth = attempt(&client);
    let _four = (other.open().await, opened(fourth).await);
}

#[tokio::test]
async fn a_websocket_that_is_not_read_holds_up_no_other() {
    let (told, client) = Told::new().await;
    let (_peer, [(mut unread, mut held_up, _), (mut socket, mut send, _)]) = two(&told, &client).await;
    // Short frames that are not read are no attack; and behind them, more than a window holds.
    for _ in 0..20_000 {
        held_up.send_data(HI, false).unwrap();
    }
    let long = Bytes::from([&b"\x82\x7f\0\0\0\0\0\x0f\0\0"[..], &[7; 15 << 16]].concat());
    held_up.send_data(long.clone(), false).unwrap();
    send.send_data(long, false).unwrap();
    send.send_data(HI, false).unwrap();
    assert!(socket.recv().soon().await.unwrap() == Some(vec![7; 15 << 16].into()));
    assert_eq!(socket.recv().soon().await.unwrap(), Some("hi".into()));
    // As it is read, the window opens.
    for _ in 0..20_000 {
        assert_eq!(unread.recv().soon().await.unwrap(), Some("hi".into()));
    }
    assert!(unread.recv().soon().await.unwrap() == Some(vec![7; 15 << 16].into()));
}
