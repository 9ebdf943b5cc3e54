//! TLS, for both kinds of client.

use crate::common;
use crate::common::{dial, eventually, start, text, within};
use sockless_mio::{
    Client, ClientError, ClientRequest, Closed, Code, Config, Conn, Error, Handler, Identity, Limits, Message, Route,
    Routes, Server, Tls, rustls,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A certificate for `localhost` and its key, made for this run, in files that end with it.
struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sockless-mio-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.join("certificate.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder }
    }

    fn server(&self) -> Arc<rustls::ServerConfig> {
        Tls::server(self.folder.join("certificate.pem"), self.folder.join("key.pem")).unwrap()
    }

    fn client(&self) -> Tls {
        Tls::trusting(self.folder.join("certificate.pem")).unwrap()
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Answers `tls?` with what is known of it, and echoes the rest.
struct Describe;

impl Handler for Describe {
    type State = ();

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        if message.as_bytes() == b"tls?" {
            let described = match conn.tls() {
                None => "none".to_owned(),
                Some(tls) => {
                    let protocol = tls.protocol.map(|name| String::from_utf8_lossy(&name).into_owned());
                    format!("{:?} {:?} {:?}", tls.version, tls.server_name, protocol)
                }
            };
            conn.send_text(&described)?;
        } else {
            conn.send(message)?;
        }
        Ok(())
    }
}

#[test]
fn a_page_of_http_is_of_another_origin_than_a_server_over_tls() {
    let certificate = Certificate::new("origin");
    let builder = Server::builder().listen("127.0.0.1:0").listen_tls("127.0.0.1:0").workers(1);
    let running = builder.tls(certificate.server()).bind(Describe).unwrap().start().unwrap();
    let ports: Vec<_> = running.addresses().iter().map(|address| address.tcp().unwrap().port()).collect();
    // Who serves without TLS may be behind a proxy that ends it.
    for (tls, scheme, taken) in
        [(true, "https", true), (true, "http", false), (false, "https", true), (false, "http", true)]
    {
        let host = format!("localhost:{}", ports[usize::from(tls)]);
        let url = format!("{}://{host}/", if tls { "wss" } else { "ws" });
        let asked = || Client::builder(&url).header("Origin", &format!("{scheme}://{host}")).tls(certificate.client());
        match common::client(|| asked().connect()) {
            Ok(_) => assert!(taken, "{scheme} to {url}"),
            Err(ClientError::Rejected(refusal)) => {
                assert_eq!((refusal.status(), taken), (403, false), "{scheme} to {url}")
            }
            Err(error) => panic!("{error}"),
        }
    }
    running.handle().shutdown(common::PATIENCE).unwrap();
    within("the end", || running.join());
}

#[test]
fn beside_plain_tcp() {
    let certificate = Certificate::new("tls");
    for pool in [false, true] {
        let builder = Server::builder().listen("127.0.0.1:0").listen_tls("127.0.0.1:0").workers(2);
        let builder = builder.tls(certificate.server());
        let builder = if pool { builder.pool(2, 100) } else { builder };
        let running = builder.bind(Describe).unwrap().start().unwrap();
        let ports: Vec<_> = running.addresses().iter().map(|address| address.tcp().unwrap().port()).collect();
        let mut plain = common::client(|| Client::connect(&format!("ws://127.0.0.1:{}/", ports[0]))).unwrap();
        plain.send_text("tls?").unwrap();
        assert_eq!(plain.receive().unwrap(), Some(text("none")));
        let url = format!("wss://localhost:{}/", ports[1]);
        let mut client = common::client(|| Client::builder(&url).tls(certificate.client()).connect()).unwrap();
        client.send_text("tls?").unwrap();
        let described = r#"Some("TLSv1_3") Some("localhost") Some("http/1.1")"#;
        assert_eq!(client.receive().unwrap(), Some(text(described)));
        for len in [0, 1, 16_384, 65_536, 1 << 20] {
            let bytes: Vec<u8> = (0..len).map(|i| ((i * 31) >> 3) as u8).collect();
            client.send_binary(&bytes).unwrap();
            assert_eq!(client.receive().unwrap(), Some(Message::Binary(bytes.into())), "{len} bytes");
        }
        for number in 0..1000 {
            client.send_text(&number.to_string()).unwrap();
        }
        for number in 0..1000 {
            assert_eq!(client.receive().unwrap(), Some(text(&number.to_string())));
        }
        let close = client.close(Code::NORMAL, "").unwrap();
        assert_eq!(close.code, Code::NORMAL);
        // Who is not trusted is refused, and so is who does not speak TLS.
        assert!(common::client(|| Client::connect(&url)).is_err());
        let mut raw = TcpStream::connect(("127.0.0.1", ports[1])).unwrap();
        raw.set_read_timeout(Some(common::PATIENCE)).unwrap();
        raw.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut alert = Vec::new();
        _ = raw.read_to_end(&mut alert);
        assert!(!alert.starts_with(b"HTTP"), "{alert:?}");
        drop((raw, plain, client));
        eventually("all are gone", || running.handle().stats().connections == 0);
        running.handle().shutdown(common::PATIENCE).unwrap();
        assert_eq!(within("the end", || running.join()).cut_off, []);
    }
}

#[test]
fn a_handshake_that_does_not_end() {
    let certificate = Certificate::new("stops");
    let mut config = Config::default();
    config.keepalive.handshake = Some(Duration::from_millis(100));
    let builder = Server::builder().listen_tls("127.0.0.1:0").workers(1).config(config);
    let server = start(builder.tls(certificate.server()), Describe);
    // Nothing, and the start of a record that begins a handshake (RFC 8446 §5.1).
    for begun in [&b""[..], &[22, 3, 1, 2, 0]] {
        let mut stream = dial(server.address());
        stream.write_all(begun).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    server.eventually("both are gone", |stats| stats.connections == 0 && stats.accepted == 2);
    server.stop();
}

/// They are of TLS too: who says nothing, or half of a thing, holds up nobody for longer than a moment.
#[test]
fn handshakes_have_a_limit_of_their_own() {
    let certificate = Certificate::new("limit");
    let builder = Server::builder().listen_tls("127.0.0.1:0").workers(1).max_handshakes(2).max_connections(1);
    let server = start(builder.tls(certificate.server()), Describe);
    let mut silent = [dial(server.address()), dial(server.address())];
    silent[1].write_all(&[22, 3, 1, 2, 0]).unwrap();
    server.eventually("both are there", |stats| stats.connections == 2);
    let url = format!("wss://localhost:{}/", server.address().port());
    let mut client = common::client(|| Client::builder(&url).tls(certificate.client()).connect()).unwrap();
    client.send_text("here").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("here")));
    server.eventually("one is gone", |stats| (stats.connections, stats.open, stats.refused) == (2, 1, 1));
    server.stop();
}

/// A peer that does not read: what TLS and the outbox hold goes out when it does.
#[test]
fn a_slow_peer() {
    let certificate = Certificate::new("slow");
    let server = start(
        Server::builder().listen_tls("127.0.0.1:0").workers(1).tls(certificate.server()),
        |conn: &mut Conn<'_>, message: Message<'_>| {
            let answer = message.as_bytes().repeat(1000);
            for _ in 0..200 {
                if conn.send_binary(&answer).is_err() {
                    break;
                }
            }
            conn.close(Code::NORMAL, "that was all")?;
            Ok(())
        },
    );
    let url = format!("wss://localhost:{}/", server.address().port());
    let mut client = common::client(|| Client::builder(&url).tls(certificate.client()).connect()).unwrap();
    client.send_text(&"0123456789".repeat(10)).unwrap();
    server.eventually("it has begun", |stats| stats.messages_sent > 10);
    let mut count = 0;
    while let Some(message) = client.receive().unwrap() {
        assert_eq!(message.as_bytes().len(), 100_000);
        count += 1;
    }
    assert_eq!(count, server.handle().stats().messages_sent);
    assert_eq!(client.closed().map(|close| &*close.reason), Some("that was all"));
    server.stop();
}

/// The event loop's own client.
struct Caller {
    heard: Sender<String>,
}

impl Handler for Caller {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        conn.send_text("hello").unwrap();
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        self.heard.send(String::from_utf8_lossy(message.as_bytes()).into_owned()).unwrap();
        conn.close(Code::NORMAL, "")?;
        Ok(())
    }

    fn on_close(&self, _: &mut Conn<'_>, closed: Closed) {
        self.heard.send(format!("{} {}", u16::from(closed.code), closed.error.is_some())).unwrap();
    }
}

#[test]
fn from_an_event_loop() {
    let certificate = Certificate::new("loop");
    let server = start(Server::builder().listen_tls("127.0.0.1:0").workers(1).tls(certificate.server()), Describe);
    let url = format!("wss://localhost:{}/", server.address().port());
    let (heard_by, heard) = channel();
    let caller =
        start(Server::builder().workers(1).client_tls(certificate.client()), Caller { heard: heard_by.clone() });
    caller.handle().connect(&ClientRequest::new(&url).unwrap(), |_| {}).unwrap();
    for wanted in ["hello", "1000 false"] {
        assert_eq!(heard.recv_timeout(common::PATIENCE).unwrap(), wanted);
    }
    // One that trusts others does not speak to it.
    let stranger = start(Server::builder().workers(1), Caller { heard: heard_by });
    stranger.handle().connect(&ClientRequest::new(&url).unwrap(), |_| {}).unwrap();
    assert_eq!(heard.recv_timeout(common::PATIENCE).unwrap(), "1006 true");
    caller.stop();
    stranger.stop();
    server.stop();
}

/// Their bytes count, whatever they say: another has its turn before they are all read.
#[test]
fn records_that_say_little() {
    let certificate = Certificate::new("records");
    let ((tell, told), (begin, begun), (go_on, goes_on)) = (channel(), channel(), channel());
    let gate = Mutex::new(goes_on);
    let server = start(
        Server::builder().listen_tls("127.0.0.1:0").workers(1).tls(certificate.server()),
        move |_: &mut Conn<'_>, message: Message<'_>| {
            if message.as_bytes() == b"wait" {
                begin.send(())?;
                gate.lock().unwrap().recv_timeout(common::PATIENCE)?;
            } else {
                tell.send(message.as_bytes().len())?;
            }
            Ok::<(), Error>(())
        },
    );
    let [mut busy, mut other, mut third] = std::array::from_fn(|_| {
        let name = "localhost".try_into().unwrap();
        let session = rustls::ClientConnection::new(certificate.client().into(), name).unwrap();
        let mut stream = rustls::StreamOwned::new(session, dial(server.address()));
        stream.write_all(common::REQUEST).unwrap();
        common::skip_head(&mut stream);
        stream
    });
    third.write_all(b"\x81\x84\0\0\0\0wait").unwrap();
    begun.recv_timeout(common::PATIENCE).unwrap();
    // A message of one byte to a record: 22 more each (RFC 8446 §5.2).
    let message = [&[0x82, 0xFE, 0x06, 0x40, 0, 0, 0, 0][..], &[7; 1600]].concat();
    let mut records = Vec::new();
    for byte in message {
        busy.conn.writer().write_all(&[byte]).unwrap();
        busy.conn.write_tls(&mut records).unwrap();
    }
    busy.sock.write_all(&records).unwrap();
    other.write_all(b"\x82\x81\0\0\0\0.").unwrap();
    go_on.send(()).unwrap();
    assert_eq!([(); 2].map(|()| told.recv_timeout(common::PATIENCE).unwrap()), [1, 1600]);
    server.stop();
}

/// Whom a client trusts is told the certificate that there is now, and connections that are open stay.
#[test]
fn a_certificate_is_read_again_while_the_server_runs() {
    let certificate = Certificate::new("reload");
    let before = certificate.client();
    let identity =
        Identity::open(certificate.folder.join("certificate.pem"), certificate.folder.join("key.pem")).unwrap();
    let builder = Server::builder().listen_tls("127.0.0.1:0").workers(1).tls(identity.clone());
    let server = start(builder, Describe);
    let url = format!("wss://localhost:{}/", server.address().port());
    let connect = |tls: &Tls| common::client(|| Client::builder(&url).tls(tls.clone()).connect());
    let mut old = connect(&before).unwrap();
    // Another of the same name takes its place.
    let other = Certificate::new("reload-other");
    for file in ["certificate.pem", "key.pem"] {
        std::fs::copy(other.folder.join(file), certificate.folder.join(file)).unwrap();
    }
    identity.reload().unwrap();
    let mut new = connect(&other.client()).unwrap();
    assert!(connect(&before).is_err());
    for client in [&mut old, &mut new] {
        client.send_text("hello").unwrap();
        assert_eq!(client.receive().unwrap(), Some(text("hello")));
    }
    server.stop();
}

/// A route's own settings know of TLS as the server's do; a connection that another has accepted may have it too.
#[test]
fn routes_and_adopted_connections_over_tls() {
    let certificate = Certificate::new("routes");
    let limits = Limits { message: 1000, ..Limits::default() };
    let route = Route::new().config(Config { limits, ..Config::default() });
    let routes = Routes::new().route("/own", route, Describe).unwrap();
    let server = start(Server::builder().workers(1).tls(certificate.server()), routes);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for (scheme, is_taken) in [("https", true), ("http", false)] {
        let (url, origin) = (format!("wss://localhost:{port}/own"), format!("{scheme}://localhost:{port}"));
        let client = Client::builder(&url).tls(certificate.client()).header("Origin", &origin);
        let connecting = std::thread::spawn(move || common::client(|| client.connect()));
        server.handle().adopt_tls(listener.accept().unwrap().0).unwrap();
        match connecting.join().unwrap() {
            Ok(mut client) => {
                assert!(is_taken);
                client.send_text("tls?").unwrap();
                assert!(client.receive().unwrap().unwrap().as_text().unwrap().starts_with("Some(\"TLSv1_3\")"));
            }
            Err(ClientError::Rejected(response)) => assert!(!is_taken && response.status() == 403),
            Err(error) => panic!("{error}"),
        }
    }
    server.stop();
}
