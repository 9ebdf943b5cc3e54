//! Servers that refuse a client, or send it elsewhere, and how much of it is heard.

use sockless_test_support::Soon;
use sockless_tokio::sockless::{Config, Keepalive, Response};
use sockless_tokio::{Client, ConnectError, accept};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

const HALF: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nhalf";

/// A client that has all the time there is.
fn patient(url: &str) -> Client {
    let keepalive = Keepalive { handshake: None, ..Keepalive::default() };
    Client::new(url).config(Config { keepalive, ..Config::default() }).timeout(None)
}

fn assert_half(response: &Response<'_>) {
    assert_eq!((response.status(), response.body(), response.is_whole()), (403, &b"half"[..], false));
}

/// Reads a request.
async fn request(stream: &mut DuplexStream) {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().soon().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_body_does_not_come_is_told_after_a_second() {
    for (client, told) in [
        (patient("ws://a/"), Duration::from_secs(1)),
        (Client::new("ws://a/"), Duration::from_secs(1)),
        // Or when the client's own time is up.
        (patient("ws://a/").timeout(Duration::from_millis(300)), Duration::from_millis(300)),
    ] {
        let (near, mut wire) = duplex(1 << 12);
        let started = Instant::now();
        let server = async {
            request(&mut wire).await;
            wire.write_all(HALF).soon().await.unwrap();
        };
        let (refused, ()) = tokio::join!(client.connect_over(near), server);
        let Err(ConnectError::Rejected(response)) = refused else { panic!("{refused:?}") };
        assert_half(&response);
        let took = started.elapsed();
        assert!(told <= took && took < told + Duration::from_millis(10), "{took:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_heard_although_tls_ends_without_a_goodbye() {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));
    let (near, far) = duplex(1 << 16);
    let served = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).soon().await.unwrap();
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().soon().await.unwrap());
        }
        stream.write_all(HALF).soon().await.unwrap();
        stream.flush().soon().await.unwrap();
        // Dropped, it says nothing more.
    });
    let stream = client.connect("localhost".try_into().unwrap(), near).soon().await.unwrap();
    let refused = timeout(PATIENCE, patient("wss://localhost/").connect_over(stream)).await.expect("in time");
    served.soon().await.unwrap();
    let Err(ConnectError::Rejected(response)) = refused else { panic!("{refused:?}") };
    assert_half(&response);
}

#[tokio::test]
async fn a_refusal_is_heard_although_the_server_hangs_up_on_the_request() {
    let (near, mut wire) = duplex(1 << 12);
    // More than it takes at once.
    let client = patient("ws://a/").header("X-Long", &"x".repeat(1 << 16));
    let server = async move {
        wire.read_exact(&mut [0; 100]).soon().await.unwrap();
        wire.write_all(HALF).soon().await.unwrap();
    };
    let connecting = async { tokio::join!(client.connect_over(near), server).0 };
    let refused = timeout(PATIENCE, connecting).await.expect("in time");
    let Err(ConnectError::Rejected(response)) = refused else { panic!("{refused:?}") };
    assert_half(&response);
    // Without an answer, the failure is told.
    let (near, wire) = duplex(1 << 12);
    drop(wire);
    let failed = client.connect_over(near).soon().await;
    assert!(matches!(failed, Err(ConnectError::Handshake(sockless_tokio::Error::Io(_)))), "{failed:?}");
}

#[tokio::test]
async fn a_redirect_is_followed_at_its_head() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut first = listener.accept().soon().await.unwrap().0;
        first
            .write_all(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 1000\r\n\r\nhalf")
            .soon()
            .await
            .unwrap();
        let second: TcpStream = listener.accept().soon().await.unwrap().0;
        let mut socket = accept(second).soon().await.unwrap();
        socket.send("here").soon().await.unwrap();
        drop(first);
    });
    let connecting = async {
        let (mut socket, _) = patient(&url).redirects(1).connect().soon().await.unwrap();
        socket.recv().soon().await.unwrap()
    };
    assert_eq!(timeout(PATIENCE, connecting).await.expect("in time"), Some("here".into()));
    server.soon().await.unwrap();
}
