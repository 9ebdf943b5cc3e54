//! Names, addresses and sockets of a client's: where it connects to, from where, and over what.

use crate::common::parting;
use sockless_test_support::Soon;
use sockless_tokio::{Client, ConnectError, Error, OtherStream, ProtocolError, Roots, Server, Tls, accept, rustls};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A server that tells each client its address, over TLS with settings.
async fn telling(tls: Option<Arc<rustls::ServerConfig>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = match tls {
        Some(tls) => Server::new().tls(tls),
        None => Server::new(),
    };
    tokio::spawn(
        server
            .serve(listener, |mut socket, peer, _| async move { socket.send(peer.address.unwrap().to_string()).await }),
    );
    address
}

/// Settings made now for a client and a server of this name.
fn made(name: &str) -> (Tls, Arc<rustls::ServerConfig>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let certificate: CertificateDer<'static> = made.cert.into();
    let server = Tls::server_with(vec![certificate.clone()], key).unwrap();
    (Tls::new(Roots::Own(vec![certificate])).unwrap(), server)
}

/// The address that the server sees.
async fn seen(client: &Client) -> Result<SocketAddr, ConnectError> {
    let (mut socket, _) = client.connect().soon().await?;
    let message = socket.recv().soon().await.unwrap().unwrap();
    Ok(message.as_text().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_of_ones_own_and_a_dead_first_address() {
    let server = telling(None).await;
    // A port that was free a moment ago refuses.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (asked, mut asking) = unbounded_channel();
    let client = Client::new("ws://name.test:7/").resolver(move |host, port| {
        let asked = asked.clone();
        async move {
            asked.send((host, port)).unwrap();
            Ok([dead, server])
        }
    });
    seen(&client).await.unwrap();
    assert_eq!(asking.recv().soon().await, Some(("name.test".into(), 7)));
    let none = Client::new("ws://a/").resolver(|_, _| async { Ok([]) }).connect().soon().await;
    assert!(matches!(&none, Err(ConnectError::Tcp(error)) if error.kind() == io::ErrorKind::NotFound), "{none:?}");
    let failed = Client::new("ws://a/").resolver(|_, _| async { Err::<[_; 0], _>(io::Error::other("no")) });
    assert!(matches!(failed.connect().soon().await, Err(ConnectError::Resolve(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_another_name_in_tls() {
    let (tls, server) = made("inside.test");
    let server = telling(Some(server)).await;
    let by_address = Client::new(&format!("wss://{server}/")).tls(tls.clone());
    assert!(matches!(seen(&by_address).await, Err(ConnectError::Tls(_))));
    seen(&by_address.clone().server_name("inside.test")).await.unwrap();
    assert!(matches!(seen(&by_address.clone().server_name("other.test")).await, Err(ConnectError::Tls(_))));
    assert!(matches!(seen(&by_address.server_name("no name")).await, Err(ConnectError::TlsSettings(_))));
    let by_name = Client::new("wss://inside.test/").tls(tls).resolver(move |_, _| async move { Ok([server]) });
    seen(&by_name).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn from_an_address_and_by_an_interface() {
    let server = telling(None).await;
    let client = Client::new(&format!("ws://{server}/"));
    let own = IpAddr::from([127, 0, 0, 9]);
    assert_eq!(seen(&client.clone().local_address(own)).await.unwrap().ip(), own);
    assert_eq!(seen(&client.clone().interface("lo").local_address(own)).await.unwrap().ip(), own);
    assert!(matches!(seen(&client.clone().interface("none")).await, Err(ConnectError::Tcp(_))));
    // Of another family than the server's.
    let other = client.local_address("::1".parse().unwrap());
    assert!(matches!(seen(&other).await, Err(ConnectError::Tcp(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_prepared() {
    let server = telling(None).await;
    let client = Client::new(&format!("ws://{server}/")).socket(move |socket, address| {
        assert_eq!(address, server);
        socket.set_keepalive(true)
    });
    seen(&client).await.unwrap();
    let failing = client.socket(|_, _| Err(io::ErrorKind::PermissionDenied.into()));
    let told = seen(&failing).await;
    assert!(
        matches!(&told, Err(ConnectError::Tcp(error)) if error.kind() == io::ErrorKind::PermissionDenied),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_of_this_machine_and_no_server_sees_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let (asked, mut asking) = unbounded_channel();
    let client = Client::new("ws://[fe80::1%25lo]:7/a b").resolver(move |host, _| {
        asked.send(host).unwrap();
        async move { Ok([server]) }
    });
    tokio::spawn(async move { client.connect().await.map(drop) });
    let mut stream = listener.accept().soon().await.unwrap().0;
    let mut start = [0; 38];
    stream.read_exact(&mut start).soon().await.unwrap();
    assert_eq!(start, *b"GET /a%20b HTTP/1.1\r\nHost: [fe80::1]:7");
    assert_eq!(asking.recv().soon().await, Some("fe80::1%lo".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_connection_of_the_callers() {
    let (tls, server) = made("inside.test");
    let acceptor = TlsAcceptor::from(server.clone());
    let server = telling(Some(server)).await;
    let client = Client::new("wss://inside.test/").tls(tls);
    let stream = TcpStream::connect(server).await.unwrap();
    let own = stream.local_addr().unwrap();
    let (mut socket, _) = client.connect_by(stream).soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some(own.to_string().into()));
    // Or over anything else.
    let (near, far) = duplex(1 << 10);
    let serving = tokio::spawn(async move {
        let mut socket = accept(acceptor.accept(far).await.unwrap()).await.unwrap();
        socket.send(vec![7; 100_000]).await.unwrap();
        _ = socket.recv().await;
    });
    let (mut socket, _) = client.connect_by(OtherStream::new(near)).soon().await.unwrap();
    assert!(socket.stream().is_tls() && socket.stream().tcp().is_none());
    assert_eq!(socket.recv().soon().await.unwrap(), Some(vec![7; 100_000].into()));
    socket.close(1000, "").soon().await.unwrap();
    serving.soon().await.unwrap();
    // Nothing is dialled: a name that nobody has will do, and no TLS is added where none is asked for.
    let (near, mut far) = duplex(1 << 10);
    tokio::spawn(async move { Client::new("ws://a.test/").connect_by(OtherStream::new(near)).await.map(drop) });
    let mut start = [0; 16];
    far.read_exact(&mut start).soon().await.unwrap();
    assert_eq!(start, *b"GET / HTTP/1.1\r\n");
}

#[tokio::test]
async fn an_end_without_tls_own_goodbye_is_an_end() {
    for clean in [true, false] {
        let (tls, server) = made("localhost");
        let (near, far) = duplex(1 << 14);
        let serving = tokio::spawn(async move {
            parting(&mut TlsAcceptor::from(server).accept(far).await.unwrap(), clean).await;
        });
        let client = Client::new("wss://localhost/").tls(tls);
        let (mut socket, _) = client.connect_by(OtherStream::new(near)).soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some("a".into()));
        serving.soon().await.unwrap();
        let ended = socket.recv().soon().await;
        match clean {
            true => assert_eq!(ended.unwrap(), None),
            false => {
                assert!(matches!(ended, Err(Error::Io(_) | Error::Protocol(ProtocolError::UnexpectedEof))), "{ended:?}")
            }
        }
    }
}
