//! Whose a connection is, over real sockets: proxies that are trusted, strangers that are not, and limits by address.

use crate::common;
use crate::common::{Started, bound, dial, eventually, start};
use sockless_mio::sockless::addresses::ProxyHeader;
use sockless_mio::{Builder, Conn, Error, Handler, Message, Server, Trusted};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

const PROXY: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 4000 443\r\n";

const PLAIN: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Tells each client who it is taken for.
struct Mirror;

impl Handler for Mirror {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        let peer = conn.peer().map_or("nobody".to_owned(), |peer| peer.to_string());
        conn.send_text(&peer).unwrap();
    }

    fn on_message(&self, _: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
        Ok(())
    }
}

fn server() -> Builder {
    Server::builder().listen("127.0.0.1:0").workers(1)
}

fn behind_proxies() -> Builder {
    server().trusted(Trusted::new(["127.0.0.1", "10.0.0.0/8"]).unwrap())
}

fn request(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{fields}\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// The status that a server answers to what was sent, and the first message behind it.
fn answered(stream: &mut impl Read) -> (u16, String) {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return (0, String::new()),
        }
    }
    let status = std::str::from_utf8(&head[9..12]).unwrap().parse().unwrap();
    if status != 101 {
        return (status, String::new());
    }
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[0], 0x81);
    let mut text = vec![0; header[1].into()];
    stream.read_exact(&mut text).unwrap();
    (status, String::from_utf8(text).unwrap())
}

/// Opens a WebSocket with `front` before its request.
fn open(to: SocketAddr, front: &[u8], fields: &[(&str, &str)]) -> (TcpStream, u16, String) {
    let mut stream = dial(to);
    // In parts, as it may come.
    let bytes = [front, &request(fields)].concat();
    let (first, rest) = bytes.split_at(front.len() / 2);
    stream.write_all(first).unwrap();
    _ = stream.write_all(rest);
    let (status, told) = answered(&mut stream);
    (stream, status, told)
}

fn told(server: &Started<()>, front: &[u8], fields: &[(&str, &str)]) -> String {
    let (_, status, told) = open(server.address(), front, fields);
    assert_eq!(status, 101);
    told
}

#[test]
fn what_a_trusted_proxy_says_is_the_clients_address() {
    let server = start(behind_proxies(), Mirror);
    assert_eq!(told(&server, b"", &[("X-Forwarded-For", "6.6.6.6, 192.0.2.7, 10.0.0.2")]), "192.0.2.7:0");
    assert_eq!(told(&server, b"", &[("Forwarded", "for=\"[2001:db8::7]:4711\";proto=https")]), "[2001:db8::7]:4711");
    assert!(told(&server, b"", &[]).starts_with("127.0.0.1:"), "its own");
    let both = [("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "192.0.2.7")];
    assert_eq!(open(server.address(), b"", &both).1, 400);
    server.stop();
}

#[test]
fn handlers_in_the_pool_see_it_too() {
    let server = start(behind_proxies().pool(1, 10), Mirror);
    assert_eq!(told(&server, b"", &[("X-Forwarded-For", "192.0.2.7")]), "192.0.2.7:0");
    server.stop();
}

#[test]
fn an_address_header_from_a_stranger_is_ignored() {
    let elsewhere = server().trusted(Trusted::new(["10.0.0.0/8"]).unwrap()).proxy_protocol(true);
    for builder in [server(), elsewhere] {
        let server = start(builder, Mirror);
        for field in [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7")] {
            assert!(told(&server, b"", &[field]).starts_with("127.0.0.1:"), "{field:?}");
        }
        // And what looks like a header of the PROXY protocol is a bad request.
        assert_eq!(open(server.address(), PROXY, &[]).1, 400);
        server.stop();
    }
}

#[test]
fn the_proxy_protocol_goes_before_the_request() {
    let server = start(behind_proxies().proxy_protocol(true), Mirror);
    assert_eq!(told(&server, PROXY, &[]), "192.0.2.7:4000");
    let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\x0a\0\0\x01\x0f\xa0\x01\xbb";
    assert_eq!(told(&server, second, &[]), "192.0.2.8:4000");
    // The client's own words do not count, for it is no proxy; those of a proxy behind a proxy do.
    assert_eq!(told(&server, PROXY, &[("X-Forwarded-For", "6.6.6.6")]), "192.0.2.7:4000");
    let inner = b"PROXY TCP4 10.0.0.9 10.0.0.1 4000 443\r\n";
    assert_eq!(told(&server, inner, &[("X-Forwarded-For", "6.6.6.6, 192.0.2.9")]), "192.0.2.9:0");
    // A check of health.
    assert!(told(&server, b"PROXY UNKNOWN\r\n", &[]).starts_with("127.0.0.1:"));
    server.stop();
}

#[test]
fn a_header_that_is_cut_doubled_too_long_or_missing_is_400_and_gone() {
    let server = start(behind_proxies().proxy_protocol(true), Mirror);
    let long = [b"PROXY UNKNOWN ", &[b'x'; 10 << 10][..], b"\r\n"].concat();
    let long_second = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x28\0"[..], &[0; 10 << 10]].concat();
    assert!(long_second.len() > ProxyHeader::MOST);
    for bytes in [&PROXY[..20], &b""[..], &[PROXY, PROXY, PLAIN].concat(), &long, &long_second, PLAIN] {
        let mut stream = dial(server.address());
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(answered(&mut stream).0, 400, "{:?}", bytes[..bytes.len().min(40)].escape_ascii().to_string());
        server.eventually("it is gone", |stats| stats.connections == 0);
    }
    assert_eq!(told(&server, PROXY, &[]), "192.0.2.7:4000");
    server.stop();
}

#[test]
fn limits_count_clients_and_not_their_proxy() {
    let server = start(behind_proxies().max_connections_per_address(2), Mirror);
    let visit = |client: &str| open(server.address(), b"", &[("X-Forwarded-For", client)]);
    let mut open_ones = vec![];
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "2001:db8::1", "2001:db8::ffff:1"] {
        let (stream, status, _) = visit(client);
        assert_eq!(status, 101, "{client}");
        open_ones.push(stream);
    }
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::2:3:4:5"] {
        assert_eq!(visit(client).1, 429, "{client}");
    }
    // Another network of 64 bits is another's.
    assert_eq!(visit("2001:db8:0:1::1").1, 101);
    // Who leaves makes room.
    drop(open_ones.remove(0));
    eventually("there is room", || visit("192.0.2.1").1 == 101);
    server.stop();
}

#[test]
fn a_page_is_judged_by_how_it_reached_the_proxy() {
    let server = start(behind_proxies(), Mirror);
    let status = |origin, proto| open(server.address(), b"", &[("Origin", origin), ("X-Forwarded-Proto", proto)]).1;
    assert_eq!(status("https://example.com", "https"), 101);
    assert_eq!(status("http://example.com", "https"), 403);
    assert_eq!(status("http://example.com", "http"), 101);
    server.stop();
}

#[cfg(feature = "tls")]
#[test]
fn the_header_comes_before_tls() {
    use sockless_mio::{Tls, rustls};
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = std::env::temp_dir().join(format!("sockless-mio-addresses-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Tls::server(&certificate, &key).unwrap();
    let trusted = Trusted::new(["127.0.0.1"]).unwrap();
    let builder = Server::builder().workers(1).listen_tls("127.0.0.1:0").tls(tls).trusted(trusted).proxy_protocol(true);
    let server = start(builder, Mirror);
    let mut stream = dial(server.address());
    stream.write_all(PROXY).unwrap();
    let config: std::sync::Arc<rustls::ClientConfig> = Tls::trusting(&certificate).unwrap().into();
    std::fs::remove_dir_all(&folder).unwrap();
    let session = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut tls = rustls::StreamOwned::new(session, stream);
    tls.write_all(&request(&[("Origin", "https://example.com")])).unwrap();
    assert_eq!(common::within("an answer", || answered(&mut tls)), (101, "192.0.2.7:4000".to_owned()));
    server.stop();
}

#[cfg(unix)]
#[test]
fn a_proxy_may_come_over_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("sockless-mio-addresses-{}.sock", std::process::id()));
    let trusted = Trusted::new(["unix:"]).unwrap();
    let builder = server().listen(format!("unix:{}", path.display())).trusted(trusted).proxy_protocol(true);
    let server = start(builder, Mirror);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    stream.write_all(&[PROXY, &request(&[])].concat()).unwrap();
    assert_eq!(answered(&mut stream), (101, "192.0.2.7:4000".to_owned()));
    bound(&dial(server.address()));
    server.stop();
}
