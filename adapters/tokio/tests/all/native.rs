//! TLS by the system's library.

use crate::common::{PATIENCE, Soon, parting, watch};
use sockless_tokio::native_tls::{Certificate, Identity, TlsAcceptor, TlsConnector};
use sockless_tokio::sockless::{Config, ProtocolError};
use sockless_tokio::{Client, ConnectError, Error, NativeTlsStream, OtherStream, Server, WebSocket, accept};
use std::sync::mpsc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};

/// A certificate made now for `localhost`: who trusts it, and who shows it.
fn made() -> (TlsConnector, TlsAcceptor) {
    watch();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let trusted = Certificate::from_pem(certificate.as_bytes()).unwrap();
    let client = TlsConnector::builder().disable_built_in_roots(true).add_root_certificate(trusted).build().unwrap();
    let identity = Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).unwrap();
    (client, TlsAcceptor::new(identity).unwrap())
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// Starts a server of echoes; where clients find it.
async fn start(server: Server) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(server.serve(listener, |socket, _, _| async move {
        assert!(socket.stream().is_tls() && socket.stream().tcp().is_some());
        echo(socket).await
    }));
    port
}

#[tokio::test]
async fn a_client_and_a_server() {
    let (trusting, showing) = made();
    let port = start(Server::new().native_tls(showing)).await;
    let client = Client::new(&format!("wss://localhost:{port}/")).native_tls(trusting.clone());
    let (mut socket, _) = client.connect().soon().await.unwrap();
    assert!(socket.stream().is_tls() && socket.stream().tcp().is_some());
    for len in [0, 1, 16 << 10, 1 << 20] {
        socket.send(vec![7; len]).soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap().unwrap().len(), len);
    }
    socket.close(1000, "").soon().await.unwrap();
    // Another name than the certificate's, and the certificate's for another address.
    let named = Client::new(&format!("wss://127.0.0.1:{port}/")).native_tls(trusting);
    let refused = named.connect().soon().await.map(drop);
    assert!(matches!(refused, Err(ConnectError::Tls(_))), "{refused:?}");
    named.server_name("localhost").connect().soon().await.unwrap();
    // Nobody vouches for it.
    for distrusting in [client.clone().native_tls(made().0), client.native_tls(TlsConnector::new().unwrap())] {
        let refused = distrusting.connect().soon().await.map(drop);
        assert!(matches!(refused, Err(ConnectError::Tls(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn who_says_nothing_has_no_longer_than_there_is() {
    let (trusting, showing) = made();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let client = Client::new(&url).native_tls(trusting).timeout(Duration::from_millis(50));
    let late = client.connect().soon().await.map(drop);
    assert!(matches!(late, Err(ConnectError::Timeout)), "{late:?}");
    // And so has a client.
    let mut config = Config::default();
    config.keepalive.handshake = Some(Duration::from_millis(50));
    let (told, telling) = mpsc::channel();
    let server = Server::new().config(config).native_tls(showing);
    let port = start(server.on_error(move |_, error| told.send(error.to_string()).unwrap())).await;
    let _silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let told = tokio::task::spawn_blocking(move || telling.recv_timeout(PATIENCE)).soon().await.unwrap();
    assert!(told.unwrap().contains("timed out"));
}

#[tokio::test]
async fn an_end_without_tls_own_goodbye_is_an_end() {
    for clean in [true, false] {
        let (trusting, showing) = made();
        let (near, far) = duplex(1 << 14);
        let serving = tokio::spawn(async move {
            parting(&mut NativeTlsStream::accept(&showing, far).await.unwrap(), clean).await;
        });
        let client = Client::new("wss://localhost/").native_tls(trusting);
        let (mut socket, _) = client.connect_by(OtherStream::new(near)).soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some("a".into()));
        serving.soon().await.unwrap();
        let ended = socket.recv().soon().await;
        match clean {
            true => assert_eq!(ended.unwrap(), None),
            false => assert!(matches!(ended, Err(Error::Protocol(ProtocolError::UnexpectedEof))), "{ended:?}"),
        }
    }
}

/// A client and a server over a stream that holds little.
async fn narrow() -> (WebSocket<NativeTlsStream<DuplexStream>>, WebSocket<NativeTlsStream<DuplexStream>>) {
    let (trusting, showing) = made();
    let (near, far) = duplex(1 << 10);
    let accepting = tokio::spawn(async move { accept(NativeTlsStream::accept(&showing, far).await.unwrap()).await });
    let stream = NativeTlsStream::connect(&trusting, "localhost", near).soon().await.unwrap();
    let (client, _) = Client::new("wss://localhost/").connect_over(stream).soon().await.unwrap();
    (client, accepting.soon().await.unwrap().unwrap())
}

#[tokio::test]
async fn what_changes_while_nobody_reads_does_not_end_the_session() {
    let (client, server) = narrow().await;
    let serving = tokio::spawn(echo(server));
    let (sender, mut receiver) = client.split();
    // Each pong that waits gives way to the next, which is shorter, or longer.
    for number in 0..200_usize {
        sender.ping(&vec![b'p'; number * 37 % 126]).soon().await.unwrap();
    }
    let sending = tokio::spawn(async move {
        for number in 0..4_u8 {
            sender.send(vec![number; 1 << 20]).await.unwrap();
            sender.ping(&vec![number; usize::from(number) * 40]).await.unwrap();
        }
        sender
    });
    for number in 0..4_u8 {
        let message = receiver.recv().soon().await.unwrap().unwrap();
        assert!(message.as_bytes() == vec![number; 1 << 20], "message {number}, of {} bytes", message.len());
    }
    sending.soon().await.unwrap().close(1000, "").soon().await.unwrap();
    assert_eq!(receiver.recv().soon().await.unwrap(), None);
    serving.soon().await.unwrap().unwrap();
}

#[tokio::test]
async fn two_ends_that_both_send_much_do_not_wait_for_each_other() {
    async fn talk(socket: WebSocket<NativeTlsStream<DuplexStream>>) {
        let (sender, mut receiver) = socket.split();
        let sending = tokio::spawn(async move {
            for number in 0..3_u8 {
                sender.send(vec![number; 1 << 20]).await.unwrap();
                sender.ping(&vec![number; usize::from(number) * 60]).await.unwrap();
            }
            sender
        });
        for number in 0..3_u8 {
            let message = receiver.recv().await.unwrap().unwrap();
            assert!(message.as_bytes() == vec![number; 1 << 20], "message {number}, of {} bytes", message.len());
        }
        _ = sending.await.unwrap().close(1000, "").await;
        while let Ok(Some(_)) = receiver.recv().await {}
    }
    let (client, server) = narrow().await;
    for end in [tokio::spawn(talk(client)), tokio::spawn(talk(server))] {
        end.soon().await.unwrap();
    }
}
