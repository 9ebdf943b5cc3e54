//! Connections through proxies of every kind, honest and not.

use sockless_test_support::proxy::{Then, scripted};
use sockless_test_support::{PATIENCE, Soon, within};
use sockless_tokio::{Client, ConnectError, Proxies, Proxy, ProxyError, Roots, SocksError, Tls, WebSocket, accept};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const FINE: &[u8] = b"HTTP/1.1 200 Fine\r\nProxy-Agent: x\r\n\r\n";

/// A server that echoes, over TLS if it has a certificate.
async fn echo(tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    Some(tls) => echo_over(accept(tls.accept(stream).await?).await).await,
                    None => echo_over(accept(stream).await).await,
                }
                Ok::<_, std::io::Error>(())
            });
        }
    });
    address
}

async fn echo_over<S>(socket: Result<WebSocket<S>, sockless_tokio::Error>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut socket = socket.unwrap();
    while let Ok(Some(message)) = socket.recv().await {
        _ = socket.send(message).await;
    }
}

/// A certificate made now for this name, and who shows it.
fn made(name: &str) -> (Tls, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let certificate: CertificateDer<'static> = made.cert.into();
    let server = Tls::server_with(vec![certificate.clone()], key).unwrap();
    (Tls::new(Roots::Own(vec![certificate])).unwrap(), TlsAcceptor::from(server))
}

async fn talk(client: &Client) -> Result<(), ConnectError> {
    let (mut socket, _) = client.connect().soon().await?;
    socket.send("through").soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("through".into()));
    socket.close(1000, "").soon().await.unwrap();
    Ok(())
}

fn through(url: &str, proxy: &str, port: u16) -> Client {
    Client::new(url).proxy(Proxy::new(&proxy.replace("PROXY", &format!("127.0.0.1:{port}"))).unwrap())
}

fn turns(turns: &[(&[u8], &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
    turns.iter().map(|(read, said)| (read.to_vec(), said.to_vec())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_is_told_what_it_wants_and_passes_bytes_on() {
    let server = echo(None).await;
    let port = server.port().to_be_bytes();
    let connect = |host: &str, more: &str| {
        format!("CONNECT {host}:{0} HTTP/1.1\r\nHost: {host}:{0}\r\n{more}\r\n", server.port()).into_bytes()
    };
    let granted5: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let with_port = |start: &[u8], end: &[u8]| [start, &port, end].concat();
    for (proxy, host, exchange) in [
        ("http://PROXY", "name.test", turns(&[(&connect("name.test", ""), FINE)])),
        ("http://PROXY", "[::1]", turns(&[(&connect("[::1]", ""), FINE)])),
        (
            "http://us%3Fer:%20secret@PROXY",
            "name.test",
            turns(&[(&connect("name.test", "Proxy-Authorization: Basic dXM/ZXI6IHNlY3JldA==\r\n"), FINE)]),
        ),
        (
            "socks4a://me@PROXY",
            "name.test",
            turns(&[(&with_port(&[4, 1], b"\0\0\0\x01me\0name.test\0"), &[0, 90, 0, 0, 0, 0, 0, 0])]),
        ),
        // Looked up here.
        ("socks4://PROXY", "localhost", turns(&[(&with_port(&[4, 1], b"\x7f\0\0\x01\0"), &[0, 90, 0, 0, 0, 0, 0, 0])])),
        (
            "socks5h://PROXY",
            "name.test",
            turns(&[(&[5, 1, 0], &[5, 0]), (&with_port(b"\x05\x01\0\x03\x09name.test", b""), granted5)]),
        ),
        (
            "socks5://user:secret@PROXY",
            "127.0.0.1",
            turns(&[
                (&[5, 2, 0, 2], &[5, 2]),
                (b"\x01\x04user\x06secret", &[1, 0]),
                (&with_port(&[5, 1, 0, 1, 127, 0, 0, 1], b""), granted5),
            ]),
        ),
    ] {
        let (port, ended) = scripted(exchange, Then::Pass(server));
        let client = through(&format!("ws://{host}:{}/", server.port()), proxy, port);
        talk(&client).await.unwrap_or_else(|error| panic!("{proxy}: {error}"));
        assert_eq!(within("the proxy", || ended.recv_timeout(PATIENCE)).unwrap().unwrap(), b"", "{proxy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_its_fields_and_its_body() {
    let client = |port| {
        let proxy = Proxy::new(&format!("http://127.0.0.1:{port}")).unwrap().header("X-Department", "sales");
        Client::new("ws://a.test/").proxy(proxy)
    };
    let asked: &[u8] = b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\nX-Department: sales\r\n\r\n";
    let answer = b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 5\r\n\r\nlogin";
    let (port, _) = scripted(turns(&[(asked, answer)]), Then::Wait);
    let Err(ConnectError::Proxy(ProxyError::Refused(response))) = client(port).connect().soon().await else { panic!() };
    assert_eq!((response.status(), response.reason(), response.is_whole()), (407, "Who?", true));
    assert_eq!(response.header("proxy-authenticate"), Some(&b"Basic realm=\"x\""[..]));
    assert_eq!(response.body(), b"login");
    // Its body is not waited for long.
    let answer = b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nlog";
    for then in [Then::Wait, Then::HangUp] {
        let (port, _) = scripted(turns(&[(asked, answer)]), then);
        let refused = client(port).timeout(None).connect().soon().await;
        let Err(ConnectError::Proxy(ProxyError::Refused(response))) = refused else { panic!("{refused:?}") };
        assert_eq!((response.status(), response.body(), response.is_whole()), (403, &b"log"[..], false));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_that_lie_flood_or_hang_up() {
    let asked: &[u8] = b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n";
    let flood = [b"HTTP/1.1 200 Fine\r\nX: ", &*vec![b'x'; 16 << 10]].concat();
    for answer in [&flood[..], b"SSH-2.0-x\r\n\r\n", b"\0"] {
        let (port, _) = scripted(turns(&[(asked, answer)]), Then::Wait);
        let told = through("ws://a.test/", "http://PROXY", port).connect().soon().await;
        assert!(matches!(told, Err(ConnectError::Proxy(ProxyError::Answer))), "{told:?}");
    }
    for answer in [&b""[..], b"HTTP/1.1 200 Fine\r\n"] {
        let (port, _) = scripted(turns(&[(asked, answer)]), Then::HangUp);
        let told = through("ws://a.test/", "http://PROXY", port).connect().soon().await;
        assert!(matches!(told, Err(ConnectError::Proxy(ProxyError::Io(_)))), "{told:?}");
    }
    for (answer, wanted) in
        [(&[5, 0xFF][..], SocksError::Login), (&[4, 0], SocksError::Malformed), (&[5, 2], SocksError::Malformed)]
    {
        let (port, _) = scripted(turns(&[(&[5, 1, 0], answer)]), Then::Wait);
        let told = through("ws://a.test/", "socks5h://PROXY", port).connect().soon().await;
        assert!(matches!(&told, Err(ConnectError::Proxy(ProxyError::Socks(error))) if *error == wanted), "{told:?}");
    }
    // Nobody is there: a port that was free a moment ago refuses.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let told = through("ws://a.test/", "http://PROXY", port).connect().soon().await;
    assert!(matches!(told, Err(ConnectError::Proxy(ProxyError::Io(_)))), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_never_answers_is_given_up_and_hung_up_on() {
    let asked: &[u8] = b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n";
    let (port, ended) = scripted(turns(&[(asked, b"HTTP/1.1 200 ")]), Then::Wait);
    let client = through("ws://a.test/", "http://PROXY", port).timeout(Duration::from_millis(50));
    let late = client.connect().soon().await;
    assert!(matches!(late, Err(ConnectError::Timeout)), "{late:?}");
    // However far it has come.
    _ = within("its end", || ended.recv_timeout(PATIENCE)).unwrap();
    // Nor is one left that nobody wants any more.
    let (port, ended) = scripted(turns(&[(asked, b"HTTP/1.1 200 ")]), Then::Wait);
    let client = through("ws://a.test/", "http://PROXY", port);
    tokio::select! {
        told = client.connect() => panic!("{told:?}"),
        () = tokio::time::sleep(Duration::from_millis(20)) => {}
    }
    _ = within("its end", || ended.recv_timeout(PATIENCE)).unwrap();
}

/// A proxy over TLS that takes CONNECT, and passes on.
async fn https_proxy(tls: TlsAcceptor) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let mut stream = tls.accept(stream).await?;
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8(head).unwrap();
                let mut upstream = TcpStream::connect(head.split(' ').nth(1).unwrap()).await?;
                stream.write_all(FINE).await?;
                stream.flush().await?;
                tokio::io::copy_bidirectional(&mut stream, &mut upstream).await
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_a_proxy_and_tls_within_it() {
    let ((proxys, show_proxy), (servers, show_server)) = (made("127.0.0.1"), made("localhost"));
    let port = https_proxy(show_proxy).await;
    let plain = format!("ws://localhost:{}/", echo(None).await.port());
    let secure = format!("wss://localhost:{}/", echo(Some(show_server)).await.port());
    let client = |url: &str| through(url, "https://PROXY", port);
    talk(&client(&plain).tls(proxys.clone())).await.unwrap();
    talk(&client(&secure).tls(servers.clone()).proxy_tls(proxys.clone())).await.unwrap();
    // Neither vouches for the other.
    let told = client(&secure).tls(servers.clone()).connect().soon().await;
    assert!(matches!(told, Err(ConnectError::Proxy(ProxyError::Tls(_)))), "{told:?}");
    let told = client(&secure).tls(proxys.clone()).connect().soon().await;
    assert!(matches!(told, Err(ConnectError::Tls(_))), "{told:?}");
    let (socket, _) = client(&secure).tls(servers).proxy_tls(proxys).connect().soon().await.unwrap();
    assert!(socket.stream().is_tls());
    assert_eq!(socket.stream().tcp().unwrap().peer_addr().unwrap().port(), port);
}

#[cfg(feature = "native-tls")]
#[tokio::test(flavor = "multi_thread")]
async fn tls_within_tls_by_the_systems_library() {
    let ((proxys, show_proxy), (_, show_server)) = (made("127.0.0.1"), made("localhost"));
    let port = https_proxy(show_proxy).await;
    let secure = format!("wss://localhost:{}/", echo(Some(show_server)).await.port());
    let mut lenient = sockless_tokio::native_tls::TlsConnector::builder();
    let lenient = lenient.danger_accept_invalid_certs(true).build().unwrap();
    let client = through(&secure, "https://PROXY", port).native_tls(lenient.clone());
    talk(&client).await.unwrap();
    talk(&client.clone().proxy_native_tls(lenient)).await.unwrap();
    talk(&client.clone().proxy_tls(proxys)).await.unwrap();
    let strict = sockless_tokio::native_tls::TlsConnector::new().unwrap();
    let told = client.proxy_native_tls(strict).connect().soon().await;
    assert!(matches!(told, Err(ConnectError::Proxy(ProxyError::Tls(_)))), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_without_a_proxy_are_connected_to() {
    let server = echo(None).await;
    let (port, ended) = scripted(turns(&[(b"CONNECT ", b"")]), Then::Wait);
    let get = |name: &str| match name {
        "http_proxy" => Some(format!("127.0.0.1:{port}")),
        "no_proxy" => Some("localhost,127.0.0.0/8".into()),
        _ => None,
    };
    let proxies = Proxies::from_variables(get).unwrap();
    for host in ["localhost", "127.0.0.1"] {
        talk(&Client::new(&format!("ws://{host}:{}/", server.port())).proxy(proxies.clone())).await.unwrap();
    }
    let other = Client::new("ws://a.test:1/").proxy(proxies).timeout(Duration::from_millis(50)).connect().soon().await;
    assert!(matches!(other, Err(ConnectError::Timeout)), "{other:?}");
    assert_eq!(
        within("its end", || ended.recv_timeout(PATIENCE)).unwrap().unwrap(),
        b"a.test:1 HTTP/1.1\r\nHost: a.test:1\r\n\r\n"
    );
}

#[tokio::test]
async fn what_socks_has_no_place_for_is_told_before_anything_is_sent() {
    for (url, proxy, wanted) in [
        ("ws://[::1]:1/", "socks4a://PROXY", SocksError::Address),
        ("ws://a.test/", "socks4a://%00@PROXY", SocksError::Credentials),
    ] {
        let told = through(url, proxy, 1).connect().soon().await;
        assert!(matches!(&told, Err(ConnectError::Proxy(ProxyError::Socks(error))) if *error == wanted), "{told:?}");
    }
    let field = Proxy::new("http://127.0.0.1:1").unwrap().header("X", "a\r\nb: c");
    let told = Client::new("ws://a.test/").proxy(field).connect().soon().await;
    assert!(matches!(told, Err(ConnectError::Proxy(ProxyError::Request(_)))), "{told:?}");
}
