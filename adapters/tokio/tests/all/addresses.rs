//! Whose a connection is, over real sockets: proxies that are trusted, strangers that are not, and limits by address.

use sockless_test_support::{Soon, watch};
use sockless_tokio::sockless::{Config, addresses::ProxyHeader};
use sockless_tokio::{Client, ConnectError, Error, Server, Trusted, WebSocket};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

const PROXY: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 4000 443\r\n";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server that tells each client who it is taken for.
async fn start(server: Server) -> SocketAddr {
    watch();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server.serve(listener, |mut socket, peer, _| async move {
        socket.send(peer.address.map_or("nobody".to_owned(), |address| address.to_string())).await?;
        while socket.recv().await?.is_some() {}
        Ok::<_, Error>(())
    }));
    address
}

fn behind_proxies() -> Server {
    Server::new().trusted(Trusted::new(["127.0.0.1", "10.0.0.0/8"]).unwrap())
}

/// Opens a WebSocket over a stream on which `front` was sent before; and whom the server takes this end for.
async fn open(
    to: SocketAddr,
    front: &[u8],
    fields: &[(&str, &str)],
) -> Result<(WebSocket<TcpStream>, String), ConnectError> {
    let mut stream = TcpStream::connect(to).soon().await.unwrap();
    stream.write_all(front).soon().await.unwrap();
    let client =
        fields.iter().fold(Client::new(&format!("ws://{to}/")), |client, (name, value)| client.header(name, value));
    let (mut socket, _) = client.connect_over(stream).soon().await?;
    let told = socket.recv().soon().await.unwrap().expect("an address");
    Ok((socket, told.as_text().unwrap().to_owned()))
}

async fn told(to: SocketAddr, front: &[u8], fields: &[(&str, &str)]) -> String {
    open(to, front, fields).await.unwrap().1
}

/// What a server answers to bytes, up to its end, of which there are more than it reads.
async fn answer(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).soon().await.unwrap();
    stream.write_all(bytes).soon().await.unwrap();
    stream.shutdown().soon().await.unwrap();
    let mut answer = vec![];
    stream.read_to_end(&mut answer).soon().await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_the_clients_address() {
    let to = start(behind_proxies()).await;
    assert_eq!(told(to, b"", &[("X-Forwarded-For", "6.6.6.6, 192.0.2.7, 10.0.0.2")]).await, "192.0.2.7:0");
    assert_eq!(told(to, b"", &[("Forwarded", "for=\"[2001:db8::7]:4711\";proto=https")]).await, "[2001:db8::7]:4711");
    assert!(told(to, b"", &[]).await.starts_with("127.0.0.1:"), "its own");
    let refused = open(to, b"", &[("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "192.0.2.7")]).await;
    assert!(matches!(&refused, Err(ConnectError::Rejected(response)) if response.status() == 400), "{refused:?}");
}

#[tokio::test]
async fn an_address_header_from_a_stranger_is_ignored() {
    for server in [Server::new(), Server::new().trusted(Trusted::new(["10.0.0.0/8"]).unwrap()).proxy_protocol(true)] {
        let to = start(server).await;
        for field in [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7")] {
            assert!(told(to, b"", &[field]).await.starts_with("127.0.0.1:"), "{field:?}");
        }
        // And what looks like a header of the PROXY protocol is a bad request.
        assert!(answer(to, &[PROXY, REQUEST].concat()).await.starts_with("HTTP/1.1 400 "));
    }
}

#[tokio::test]
async fn the_proxy_protocol_goes_before_the_request() {
    let to = start(behind_proxies().proxy_protocol(true)).await;
    assert_eq!(told(to, PROXY, &[]).await, "192.0.2.7:4000");
    let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\x0a\0\0\x01\x0f\xa0\x01\xbb";
    assert_eq!(told(to, second, &[]).await, "192.0.2.8:4000");
    // The client's own words do not count, for it is no proxy; those of a proxy behind a proxy do.
    assert_eq!(told(to, PROXY, &[("X-Forwarded-For", "6.6.6.6")]).await, "192.0.2.7:4000");
    let inner = b"PROXY TCP4 10.0.0.9 10.0.0.1 4000 443\r\n";
    assert_eq!(told(to, inner, &[("X-Forwarded-For", "6.6.6.6, 192.0.2.9")]).await, "192.0.2.9:0");
    // A check of health.
    assert!(told(to, b"PROXY UNKNOWN\r\n", &[]).await.starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn a_header_that_is_cut_doubled_too_long_or_missing_is_400_and_gone() {
    let to = start(behind_proxies().proxy_protocol(true)).await;
    let long = [b"PROXY UNKNOWN ", &[b'x'; 10 << 10][..], b"\r\n"].concat();
    let long_second = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x28\0"[..], &[0; 10 << 10]].concat();
    assert!(long_second.len() > ProxyHeader::MOST);
    for bytes in [&PROXY[..20], &b""[..], &[PROXY, PROXY, REQUEST].concat(), &long, &long_second, REQUEST] {
        let answer = answer(to, bytes).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 "),
            "{answer:?} to {:?}",
            bytes[..bytes.len().min(40)].escape_ascii().to_string()
        );
    }
    // It serves on.
    assert_eq!(told(to, PROXY, &[]).await, "192.0.2.7:4000");
}

#[tokio::test]
async fn limits_count_clients_and_not_their_proxy() {
    let to = start(behind_proxies().connections_per_address(2)).await;
    let mut open_ones = vec![];
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "2001:db8::1", "2001:db8::ffff:1"] {
        open_ones.push(open(to, b"", &[("X-Forwarded-For", client)]).await.unwrap().0);
    }
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::2:3:4:5"] {
        let refused = open(to, b"", &[("X-Forwarded-For", client)]).await;
        assert!(
            matches!(&refused, Err(ConnectError::Rejected(response)) if response.status() == 429),
            "{client}: {refused:?}"
        );
    }
    // Another network of 64 bits is another's.
    open(to, b"", &[("X-Forwarded-For", "2001:db8:0:1::1")]).await.unwrap();
    // Who leaves makes room.
    let mut first = open_ones.remove(0);
    first.close(1000, "").soon().await.unwrap();
    while open(to, b"", &[("X-Forwarded-For", "192.0.2.1")]).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn limits_by_address_hold_without_proxies_too() {
    let to = start(Server::new().connections_per_address(1)).await;
    let (mut socket, _) = open(to, b"", &[]).await.unwrap();
    let hung_up = open(to, b"", &[]).await;
    assert!(hung_up.is_err() && !matches!(hung_up, Err(ConnectError::Rejected(_))), "{hung_up:?}");
    socket.close(1000, "").soon().await.unwrap();
    while open(to, b"", &[]).await.is_err() {
        tokio::task::yield_now().await;
    }
    let to = start(Server::new().connection_rate(1, std::time::Duration::from_secs(3600))).await;
    open(to, b"", &[]).await.unwrap().0.close(1000, "").soon().await.unwrap();
    assert!(open(to, b"", &[]).await.is_err());
}

#[tokio::test]
async fn a_page_is_judged_by_how_it_reached_the_proxy() {
    let to = start(behind_proxies().config(Config::default())).await;
    let origin = format!("https://{to}");
    let status = |fields: [(&'static str, String); 2]| async move {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, &value[..])).collect();
        match open(to, b"", &fields).await {
            Ok(_) => 101,
            Err(ConnectError::Rejected(response)) => response.status(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(status([("Origin", origin.clone()), ("X-Forwarded-Proto", "https".into())]).await, 101);
    assert_eq!(status([("Origin", format!("http://{to}")), ("X-Forwarded-Proto", "https".into())]).await, 403);
}

#[tokio::test]
async fn a_proxy_may_come_over_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("sockless-addresses-{}.sock", std::process::id()));
    _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let server = Server::new().trusted(Trusted::new(["unix:"]).unwrap()).proxy_protocol(true);
    tokio::spawn(
        server.serve(listener, |mut socket, peer, _| async move { socket.send(format!("{:?}", peer.address)).await }),
    );
    let mut stream = UnixStream::connect(&path).soon().await.unwrap();
    stream.write_all(PROXY).soon().await.unwrap();
    let (mut socket, _) = Client::new("ws://localhost/").connect_over(stream).soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("Some(192.0.2.7:4000)".into()));
    std::fs::remove_file(&path).unwrap();
}
