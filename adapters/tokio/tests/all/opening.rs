//! Opening handshakes over loopback: servers, clients, TLS, proxies, redirects.

use sockless_test_support::Soon;
use sockless_tokio::sockless::{Config, HandshakeError, Keepalive, ProtocolError, Request};
use sockless_tokio::{Client, ConnectError, Error, Incoming, Reject, Roots, Server, Tls, accept, accept_with, connect};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// A port, and a task that does something with each connection to it.
async fn serve<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> (u16, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    (port, task)
}

/// A server that echoes until the client closes.
async fn echo(stream: TcpStream) {
    let mut socket = accept(stream).soon().await.unwrap();
    while let Some(message) = socket.recv().await.unwrap() {
        socket.send(message).soon().await.unwrap();
    }
}

#[tokio::test]
async fn connect_and_accept() {
    let (port, _) = serve(echo).await;
    for host in ["127.0.0.1", "localhost"] {
        let mut socket = connect(&format!("ws://{host}:{port}/")).soon().await.unwrap();
        assert!(socket.stream().tcp().unwrap().nodelay().unwrap());
        socket.send("Hello").soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some("Hello".into()));
        socket.close(1000, "").soon().await.unwrap();
    }
}

#[tokio::test]
async fn requests_are_inspected_and_answers_added_to() {
    let (port, _) = serve(|stream| async move {
        let socket = accept_with(stream, Config::default(), |request: &Request<'_>| {
            assert_eq!((request.path(), request.query()), ("/chat", Some("room=7")));
            assert_eq!(request.header("x-color"), Some(&b"blue"[..]));
            assert_eq!(request.header("authorization"), Some(&b"Basic dXNlcjpzZWNyZXQ="[..]));
            Ok(request.accept().subprotocol("second").header("Set-Cookie", "seen=1"))
        });
        let mut socket = socket.await.unwrap();
        assert_eq!(socket.subprotocol(), Some("second"));
        assert_eq!(socket.recv().soon().await.unwrap(), None);
    })
    .await;
    let client = Client::new(&format!("ws://127.0.0.1:{port}/chat?room=7"))
        .header("X-Color", "blue")
        .basic_auth("user", "secret")
        .subprotocol("first")
        .subprotocol("second");
    let (mut socket, response) = client.connect().soon().await.unwrap();
    assert_eq!((response.status(), response.header("set-cookie")), (101, Some(&b"seen=1"[..])));
    assert_eq!(socket.subprotocol(), Some("second"));
    socket.close(1000, "").soon().await.unwrap();
}

#[tokio::test]
async fn requests_are_refused_and_plain_http_is_answered() {
    let (port, _) = serve(|stream| async move {
        let refused = accept_with(stream, Config::default(), |request| match request.path() {
            "/page" => Err(Reject::new(200).header("Content-Type", "text/html").body("<p>hi")),
            _ => Err(Reject::new(403).body("no\n")),
        });
        assert!(matches!(refused.await, Err(Error::Refused(200 | 403))));
    })
    .await;
    match connect(&format!("ws://127.0.0.1:{port}/chat")).soon().await {
        Err(ConnectError::Rejected(response)) => assert_eq!((response.status(), response.body()), (403, &b"no\n"[..])),
        other => panic!("{other:?}"),
    }
    let mut stream = TcpStream::connect(("127.0.0.1", port)).soon().await.unwrap();
    stream.write_all(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n").soon().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).soon().await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n<p>hi"), "{answer}");
}

#[tokio::test]
async fn a_server_may_think_before_it_answers_over_any_stream() {
    let (near, far) = duplex(1 << 12);
    let served = tokio::spawn(async move {
        let incoming = Incoming::read(far, Config::default()).soon().await.unwrap();
        let path = incoming.request().path().to_owned();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut socket = incoming.accept().soon().await.unwrap();
        (path, socket.recv().soon().await.unwrap())
    });
    let (mut socket, _) = Client::new("ws://example.com/over").connect_over(near).soon().await.unwrap();
    socket.send("early").soon().await.unwrap();
    assert_eq!(served.soon().await.unwrap(), ("/over".into(), Some("early".into())));
}

#[tokio::test]
async fn what_comes_right_behind_a_head_is_not_lost() {
    let (mut wire, far) = duplex(1 << 12);
    let head = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    wire.write_all(&[head.as_bytes(), b"\x81\x82\0\0\0\0hi"].concat()).soon().await.unwrap();
    let mut socket = accept(far).soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("hi".into()));
}

#[tokio::test]
async fn bad_requests_are_refused_with_the_status_that_fits() {
    let (mut wire, far) = duplex(1 << 12);
    wire.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").soon().await.unwrap();
    let refused = accept(far).soon().await;
    assert!(matches!(refused, Err(Error::Protocol(ProtocolError::Handshake(HandshakeError::NotUpgrade)))));
    let mut answer = String::new();
    wire.read_to_string(&mut answer).soon().await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}

#[tokio::test]
async fn a_request_with_a_body_is_refused_and_its_body_is_no_frame() {
    for field in ["Content-Length: 8", "Content-Length: 0\r\nContent-Length: 8", "Transfer-Encoding: chunked"] {
        let (mut wire, far) = duplex(1 << 12);
        let head = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{field}\r\n\r\n"
        );
        wire.write_all(&[head.as_bytes(), b"\x89\x82\0\0\0\0hi"].concat()).soon().await.unwrap();
        let refused = accept(far).soon().await;
        assert!(matches!(refused, Err(Error::Protocol(ProtocolError::Handshake(HandshakeError::Body)))), "{refused:?}");
        let mut answer = String::new();
        wire.read_to_string(&mut answer).soon().await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\nrequest with a body\n"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn handshakes_have_deadlines() {
    let (mut wire, far) = duplex(1 << 12);
    let late = accept(far).soon().await;
    assert!(matches!(late, Err(Error::Protocol(ProtocolError::Handshake(HandshakeError::Timeout)))), "{late:?}");
    let mut answer = String::new();
    wire.read_to_string(&mut answer).soon().await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");

    let (near, wire) = duplex(1 << 12);
    let late = Client::new("ws://a/").connect_over(near).soon().await;
    let Err(ConnectError::Handshake(Error::Protocol(ProtocolError::Handshake(HandshakeError::Timeout)))) = late else {
        panic!("{late:?}");
    };
    drop(wire);
    let (near, wire) = duplex(1 << 12);
    let keepalive = Keepalive { handshake: None, ..Keepalive::default() };
    let client = Client::new("ws://a/").config(Config { keepalive, ..Config::default() });
    let late = client.timeout(Duration::from_secs(1)).connect_over(near).soon().await;
    assert!(matches!(late, Err(ConnectError::Timeout)), "{late:?}");
    drop(wire);
}

// ---- TLS

/// A certificate made now for 127.0.0.1, and its key.
fn made() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".into(), "localhost".into()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    (made.cert.into(), key)
}

async fn serve_tls(config: ServerConfig) -> (u16, JoinHandle<()>) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).soon().await else { return };
            let Ok(mut socket) = accept(stream).soon().await else { return };
            while let Ok(Some(message)) = socket.recv().await {
                socket.send(message).soon().await.unwrap();
            }
        }
    })
    .await
}

fn tls_server() -> tokio_rustls::rustls::ConfigBuilder<ServerConfig, tokio_rustls::rustls::WantsVerifier> {
    let provider = Arc::new(ring::default_provider());
    ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap()
}

#[tokio::test(start_paused = true)]
async fn tls_handshakes_have_a_deadline() {
    let (certificate, key) = made();
    let config = tls_server().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new().tls(config);
    tokio::spawn(server.serve(listener, |_, _, _| async { Ok::<_, Error>(()) }));
    let mut silent = TcpStream::connect(address).soon().await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(3600), silent.read_u8()).await;
    assert!(ended.expect("the server hangs up").is_err());
}

#[tokio::test]
async fn a_page_of_http_is_of_another_origin_than_a_server_over_tls() {
    let (certificate, key) = made();
    let config = tls_server().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let tls = Tls::new(Roots::Own(vec![certificate])).unwrap();
    for over_tls in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Who serves without TLS may be behind a proxy that ends it.
        let server = if over_tls { Server::new().tls(config.clone()) } else { Server::new() };
        tokio::spawn(server.serve(listener, |_, _, _| async { Ok::<_, Error>(()) }));
        for scheme in ["http", "https"] {
            let url = format!("{}://{address}/", if over_tls { "wss" } else { "ws" });
            let client = Client::new(&url).header("Origin", &format!("{scheme}://{address}")).tls(tls.clone());
            match client.connect().soon().await {
                Ok(_) => assert!(!over_tls || scheme == "https", "{scheme} to {url}"),
                Err(ConnectError::Rejected(response)) => {
                    assert_eq!((response.status(), over_tls, scheme), (403, true, "http"));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn tls_with_roots_of_ones_own() {
    let (certificate, key) = made();
    let server = tls_server().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let (port, _) = serve_tls(server).await;
    let tls = Tls::new(Roots::Own(vec![certificate])).unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let client = Client::new(&format!("wss://{host}:{port}/")).tls(tls.clone());
        let (mut socket, _) = client.connect().soon().await.unwrap();
        socket.send(vec![7; 300_000]).soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some(vec![7; 300_000].into()));
        socket.close(1000, "").soon().await.unwrap();
    }
    // Nobody else is trusted, and the default roots don't know this server.
    let (other, _) = made();
    let stranger = Client::new(&format!("wss://127.0.0.1:{port}/")).tls(Tls::new(Roots::Own(vec![other])).unwrap());
    assert!(matches!(stranger.connect().soon().await, Err(ConnectError::Tls(_))));
    assert!(matches!(connect(&format!("wss://127.0.0.1:{port}/")).soon().await, Err(ConnectError::Tls(_))));
    let webpki = Client::new(&format!("wss://127.0.0.1:{port}/")).tls(Tls::new(Roots::Webpki).unwrap());
    assert!(matches!(webpki.connect().soon().await, Err(ConnectError::Tls(_))));
}

#[tokio::test]
async fn tls_names_the_server_that_is_meant() {
    let (certificate, key) = made();
    let server = tls_server().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let (port, _) = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).soon().await.unwrap();
            let named = format!("{:?}", stream.get_ref().1.server_name());
            accept(stream).soon().await.unwrap().send(named).soon().await.unwrap();
        }
    })
    .await;
    let tls = Tls::new(Roots::Own(vec![certificate])).unwrap();
    // An address is no name (RFC 6066, section 3).
    for (host, named) in [("localhost", r#"Some("localhost")"#), ("127.0.0.1", "None")] {
        let client = Client::new(&format!("wss://{host}:{port}/")).tls(tls.clone());
        let (mut socket, _) = client.connect().soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some(named.into()));
    }
}

#[tokio::test]
async fn tls_with_a_client_certificate() {
    let (certificate, key) = made();
    let (identity, identity_key) = made();
    let mut trusted = RootCertStore::empty();
    trusted.add(identity.clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider).build().unwrap();
    let server = tls_server().with_client_cert_verifier(verifier);
    let server = server.with_single_cert(vec![certificate.clone()], key).unwrap();
    let (port, _) = serve_tls(server).await;
    let roots = Roots::Own(vec![certificate]);
    let known = Tls::with_identity(roots.clone(), vec![identity], identity_key).unwrap();
    let client = Client::new(&format!("wss://127.0.0.1:{port}/"));
    let (mut socket, _) = client.clone().tls(known).connect().soon().await.unwrap();
    socket.send("known").soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("known".into()));
    assert!(client.tls(Tls::new(roots).unwrap()).connect().soon().await.is_err());
}

// ---- redirects

/// A server that redirects `/N` to `/N-1`, and echoes at `/0`; elsewhere it leads to `away`.
async fn redirecting(away: String) -> u16 {
    let away = Arc::new(away);
    serve(move |stream| {
        let away = away.clone();
        async move {
            let answered = accept_with(stream, Config::default(), |request| {
                assert_eq!(request.header("cookie"), Some(&b"secret"[..]));
                let to = |location: &str| Err(Reject::new(302).header("Location", location));
                match request.path()[1..].parse::<u32>() {
                    Ok(0) => Ok(request.accept()),
                    Ok(more) => to(&format!("/{}", more - 1)),
                    Err(_) => to(&away),
                }
            });
            if let Ok(mut socket) = answered.await {
                while let Some(message) = socket.recv().await.unwrap() {
                    socket.send(message).soon().await.unwrap();
                }
            }
        }
    })
    .await
    .0
}

#[tokio::test]
async fn redirects_are_followed_if_asked_for_and_so_far() {
    let port = redirecting(String::new()).await;
    let client = Client::new(&format!("ws://127.0.0.1:{port}/3")).header("Cookie", "secret");
    match client.connect().soon().await {
        Err(ConnectError::Rejected(response)) => assert_eq!(response.status(), 302),
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(client.clone().redirects(2).connect().soon().await, Err(ConnectError::Redirect(to)) if to == "/0")
    );
    let (mut socket, _) = client.redirects(3).connect().soon().await.unwrap();
    socket.send("arrived").soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("arrived".into()));
}

/// A server that tells the head of each request, and redirects to what it is told for the path, or opens.
async fn redirecting_by(routes: &'static [(&'static str, &'static str)], other: u16) -> (u16, Receiver<String>) {
    let (told_by, told) = channel(100);
    let (port, _) = serve(move |stream| {
        let told_by = told_by.clone();
        async move {
            let mut head = String::new();
            let answered = accept_with(stream, Config::default(), |request| {
                head = String::from_utf8(request.as_bytes().to_vec()).unwrap();
                match routes.iter().find(|(path, _)| *path == request.target()) {
                    Some((_, to)) => Err(Reject::new(307).header("Location", &to.replace("OTHER", &other.to_string()))),
                    None => {
                        let accept = request.accept();
                        Ok(if request.subprotocols().next().is_some() { accept.subprotocol("token") } else { accept })
                    }
                }
            });
            let opened = answered.await;
            told_by.send(head).soon().await.unwrap();
            if let Ok(mut socket) = opened {
                _ = socket.recv().soon().await;
            }
        }
    })
    .await;
    (port, told)
}

/// The fields of a request that are not the handshake's.
fn own_fields(head: &str) -> Vec<&str> {
    let all = ["Upgrade:", "Connection:", "Sec-WebSocket-Key:", "Sec-WebSocket-Version:", "Host: 127.0.0.1:"];
    let lines = head.trim_end().split("\r\n").skip(1);
    lines.filter(|line| !all.iter().any(|start| line.starts_with(start))).collect()
}

#[tokio::test]
async fn a_redirect_to_the_same_server_keeps_all_and_one_to_another_nothing() {
    let (other, mut other_told) = redirecting_by(&[("/b", "/c d")], 0).await;
    let routes =
        &[("/a", "/b%20"), ("/b%20", "x[]?{}|\u{e4}"), ("/x%5B%5D?%7B%7D%7C%C3%A4", "ws://eve:evil@127.0.0.1:OTHER/b")];
    let (port, mut told) = redirecting_by(routes, other).await;
    let client = Client::new(&format!("ws://user:secret@127.0.0.1:{port}/a")).subprotocol("token").redirects(9);
    let client =
        client.header("X-Color", "blue").adjust(|request| request.header("X-Api-Key", "key").with_host("virtual"));
    let all = [
        "Host: virtual",
        "Sec-WebSocket-Protocol: token",
        "Authorization: Basic dXNlcjpzZWNyZXQ=",
        "X-Color: blue",
        "X-Api-Key: key",
    ];
    client.connect().soon().await.unwrap();
    for (path, _) in routes {
        let head = told.recv().soon().await.unwrap();
        assert!(head.starts_with(&format!("GET {path} ")), "{head}");
        assert_eq!(own_fields(&head), all);
    }
    for path in ["/b", "/c%20d"] {
        let head = other_told.recv().soon().await.unwrap();
        assert!(head.starts_with(&format!("GET {path} ")), "{head}");
        assert_eq!(own_fields(&head), [""; 0]);
    }
    // Unless all are trusted.
    let (socket, _) = client.trust_redirects(true).connect().soon().await.unwrap();
    assert_eq!(socket.subprotocol(), Some("token"));
    assert_eq!(own_fields(&other_told.recv().soon().await.unwrap()), all[1..]);
}

#[tokio::test]
async fn the_callers_authorization_is_the_only_one() {
    let (port, mut told) = redirecting_by(&[], 0).await;
    let client = Client::new(&format!("ws://user:secret@127.0.0.1:{port}/"));
    for (client, wanted) in [
        (client.clone(), "Basic dXNlcjpzZWNyZXQ="),
        (client.clone().basic_auth("other", "word"), "Basic b3RoZXI6d29yZA=="),
        (client.basic_auth("other", "word").header("authorization", "Bearer token"), "Bearer token"),
    ] {
        client.connect().soon().await.unwrap();
        let head = told.recv().soon().await.unwrap();
        let fields = own_fields(&head);
        assert_eq!(fields.len(), 1, "{fields:?}");
        assert_eq!(
            fields[0].split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value)),
            Some(("authorization".into(), wanted))
        );
    }
}

#[tokio::test]
async fn a_redirect_that_leads_elsewhere_is_not_followed() {
    for location in ["mailto:a@b", "http://", "ftp://127.0.0.1/"] {
        let port = redirecting(location.into()).await;
        let client = Client::new(&format!("ws://127.0.0.1:{port}/away")).header("Cookie", "secret").redirects(5);
        assert!(matches!(client.connect().soon().await, Err(ConnectError::Redirect(to)) if to == location));
    }
}

#[tokio::test]
async fn what_cannot_be_connected_to_says_why() {
    assert!(matches!(connect("http://127.0.0.1/").soon().await, Err(ConnectError::Request(_))));
    let injected = Client::new("ws://127.0.0.1:1/").header("A", "b\r\nC: d");
    assert!(matches!(injected.connect().soon().await, Err(ConnectError::Request(_))));
    // A port that was free a moment ago refuses.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert!(matches!(connect(&format!("ws://127.0.0.1:{port}/")).soon().await, Err(ConnectError::Tcp(_))));
    assert!(matches!(connect("ws://no.such.name.invalid/").soon().await, Err(ConnectError::Resolve(_))));
}
