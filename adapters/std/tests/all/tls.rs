//! TLS, from both sides.

use crate::common;
use crate::common::{bytes, config, echo, sockets, within};
use sockless_std::sockless::ProtocolError;
use sockless_std::{Client, ConnectError, Error, NetStream, ProxyError, Server, Tls, TlsStream, accept};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// A certificate for `localhost` and its key, made for this run, in files that end with it.
struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sockless-std-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder }
    }

    fn server(&self) -> std::sync::Arc<sockless_std::rustls::ServerConfig> {
        Tls::server(self.folder.join("cert.pem"), self.folder.join("key.pem")).unwrap()
    }

    fn client(&self) -> Tls {
        Tls::trusting(self.folder.join("cert.pem")).unwrap()
    }

    /// A client's and a server's stream, whose handshake is done.
    fn streams(&self) -> (TlsStream<TcpStream>, TlsStream<TcpStream>) {
        let (client, served) = sockets();
        let mut client = TlsStream::connect(&self.client(), "localhost", client).unwrap();
        let mut server = TlsStream::accept(self.server(), served).unwrap();
        let serving = thread::spawn(move || {
            server.handshake(Instant::now() + common::PATIENCE).unwrap();
            server
        });
        client.handshake(Instant::now() + common::PATIENCE).unwrap();
        (client, within("a server", || serving.join()).unwrap())
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_client_and_a_server() {
    let certificate = Certificate::new("both");
    let server = Server::new().tls(certificate.server());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = server.start(listener, |socket, _| echo(socket)).unwrap();
    let url = format!("wss://localhost:{}/", running.address().port());
    let client = Client::new(&url).tls(certificate.client());
    let (mut socket, _) = within("a connection", || client.connect()).unwrap();
    let NetStream::Tls(stream) = socket.get_ref() else { panic!("no TLS") };
    assert_eq!(
        stream.session(|session| session.alpn_protocol().map(<[u8]>::to_vec)).as_deref(),
        Some(&b"http/1.1"[..])
    );
    for len in [0, 1, 16_384, 65_536, 1 << 20] {
        socket.send(&bytes(len)[..]).unwrap();
        assert_eq!(within("an echo", || socket.recv()).unwrap().unwrap().as_bytes(), bytes(len), "{len} bytes");
    }
    for number in 0..1000 {
        socket.feed(&*number.to_string()).unwrap();
    }
    for number in 0..1000 {
        assert_eq!(within("an echo", || socket.recv()).unwrap(), Some(number.to_string().as_str().into()));
    }
    within("the end", || socket.close(1000, "")).unwrap();
    assert_eq!(running.shutdown(), 0);
}

#[test]
fn a_page_of_http_is_of_another_origin_than_a_server_over_tls() {
    let certificate = Certificate::new("origin");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Server::new().tls(certificate.server()).start(listener, |socket, _| echo(socket)).unwrap();
    let host = format!("localhost:{}", running.address().port());
    for (scheme, status) in [("https", 101), ("http", 403)] {
        let client = Client::new(&format!("wss://{host}/")).header("Origin", &format!("{scheme}://{host}"));
        let asked = match within("an answer", || client.tls(certificate.client()).connect()) {
            Ok((_, response)) => response.status(),
            Err(ConnectError::Rejected(response)) => response.status(),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(asked, status, "{scheme}");
    }
}

#[test]
fn a_server_that_nobody_vouches_for() {
    let (certificate, other) = (Certificate::new("known"), Certificate::new("unknown"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Server::new().tls(certificate.server()).start(listener, |socket, _| echo(socket)).unwrap();
    let port = running.address().port();
    for (host, tls) in [("localhost", other.client()), ("127.0.0.1", certificate.client())] {
        let refused = within("a refusal", || Client::new(&format!("wss://{host}:{port}/")).tls(tls).connect());
        assert!(matches!(refused.as_ref().map(drop), Err(ConnectError::Tls(_))), "{:?}", refused.map(drop));
    }
}

#[test]
fn a_server_that_says_nothing_has_no_longer_than_there_is() {
    let certificate = Certificate::new("silent");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let client = Client::new(&url).tls(certificate.client()).timeout(Duration::from_millis(50));
    let late = within("the end", || client.connect()).map(drop);
    assert!(matches!(late, Err(ConnectError::Timeout)), "{late:?}");
    // And so has a client.
    let short = config(|config| config.keepalive.handshake = Some(Duration::from_millis(50)));
    let (told, telling) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let server = Server::new().config(short).tls(certificate.server());
    let server = server.on_error(move |_, error| told.lock().unwrap().send(error.to_string()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = server.start(listener, |socket, _| echo(socket)).unwrap();
    let _silent = TcpStream::connect(running.address()).unwrap();
    assert_eq!(telling.recv_timeout(common::PATIENCE).unwrap(), "timed out");
}

#[test]
fn an_end_without_tls_own_goodbye_is_an_end() {
    let certificate = Certificate::new("goodbye");
    for clean in [true, false] {
        let (client, mut server) = certificate.streams();
        let tcp = server.get_ref().try_clone().unwrap();
        let answering = thread::spawn(move || {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                server.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            let accept = sockless_std::sockless::handshake::accept_key(key.as_bytes().try_into().unwrap());
            let answer = b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
            server.write_all(&[&answer[..], &accept, b"\r\n\r\n\x81\x01a"].concat()).unwrap();
            if clean {
                server.write_all(&[0x88, 2, 3, 0xE8]).unwrap();
            }
            server.flush().unwrap();
            tcp.shutdown(std::net::Shutdown::Write).unwrap();
            server
        });
        let asked = within("a connection", || Client::new("wss://localhost/").connect_over(client));
        let mut socket = asked.unwrap().0;
        assert_eq!(within("a message", || socket.recv()).unwrap(), Some("a".into()));
        let ended = within("the end", || socket.recv());
        match clean {
            true => assert_eq!(ended.unwrap(), None),
            false => assert!(matches!(ended, Err(Error::Protocol(ProtocolError::UnexpectedEof))), "{ended:?}"),
        }
        drop(answering.join());
    }
}

#[test]
fn two_ends_that_both_send_much_do_not_wait_for_each_other() {
    let certificate = Certificate::new("much");
    let (client, server) = certificate.streams();
    let roomy = || config(|config| config.outbound.hard = 64 << 20);
    let serving =
        thread::spawn(move || sockless_std::accept_with(server, roomy(), |request| Ok(request.accept())).unwrap());
    let asked = within("a connection", || Client::new("wss://localhost/").config(roomy()).connect_over(client));
    fn talk(mut socket: sockless_std::WebSocket<TlsStream<TcpStream>>) -> impl FnOnce() {
        move || {
            for number in 0..60_u8 {
                socket.send(&[number; 1 << 18][..]).unwrap();
            }
            for number in 0..60_u8 {
                assert_eq!(socket.recv().unwrap().unwrap().as_bytes(), [number; 1 << 18]);
            }
            _ = socket.close(1000, "");
        }
    }
    let ends = [thread::spawn(talk(asked.unwrap().0)), thread::spawn(talk(within("it", || serving.join()).unwrap()))];
    for end in ends {
        within("an end", || end.join()).unwrap();
    }
}

#[test]
fn a_socket_below_that_does_not_block() {
    let certificate = Certificate::new("nonblocking");
    let (client, server) = certificate.streams();
    let serving = thread::spawn(move || accept(server).unwrap());
    let mut client = within("a connection", || Client::new("wss://localhost/").connect_over(client)).unwrap().0;
    let mut server = within("a server", || serving.join()).unwrap();
    for socket in [&client, &server] {
        socket.get_ref().get_ref().set_nonblocking(true).unwrap();
    }
    assert!(matches!(client.try_recv(), Err(Error::TimedOut)));
    client.send(&bytes(1 << 20)[..]).unwrap();
    let mut message = None;
    common::eventually("a message", || {
        _ = client.flush();
        message = server.try_recv().ok().flatten();
        message.is_some()
    });
    assert_eq!(message.unwrap().as_bytes(), bytes(1 << 20));
}

#[test]
fn settings_that_cannot_be_used_are_told() {
    let certificate = Certificate::new("settings");
    let (stream, _served) = sockets();
    let named = TlsStream::connect(&certificate.client(), "no host", stream);
    assert!(matches!(named.map(drop), Err(ConnectError::TlsSettings(_))));
}

#[test]
fn a_peer_that_speaks_no_tls() {
    let certificate = Certificate::new("plain");
    let (mut client, served) = sockets();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut server = TlsStream::accept(certificate.server(), served).unwrap();
    let refused = within("a refusal", || server.handshake(Instant::now() + common::PATIENCE));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidData);
    // It is told so: by an alert.
    let mut alert = [0];
    within("an alert", || client.read_exact(&mut alert)).unwrap();
    assert_eq!(alert, [21]);
}

#[test]
fn bytes_keep_their_order_however_seldom_a_call_gets_through() {
    let (client, server) = Certificate::new("order").streams();
    common::keep_their_order([client, server], 20 << 20);
}

#[test]
fn a_handshake_that_nobody_has_done_is_done_by_who_reads_and_writes() {
    let certificate = Certificate::new("undone");
    let (client, served) = sockets();
    let mut client = TlsStream::connect(&certificate.client(), "localhost", client).unwrap();
    let mut server = TlsStream::accept(certificate.server(), served).unwrap();
    let serving = thread::spawn(move || {
        let mut asked = [0; 5];
        server.read_exact(&mut asked).unwrap();
        server.write_all(&asked).unwrap();
    });
    client.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    within("an answer", || client.read_exact(&mut answer)).unwrap();
    assert_eq!(&answer, b"hello");
    within("its end", || serving.join()).unwrap();
}

#[test]
fn a_connection_of_the_callers_and_its_two_halves() {
    let certificate = Certificate::new("halves");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Server::new().tls(certificate.server()).start(listener, |socket, _| echo(socket)).unwrap();
    let stream = TcpStream::connect(running.address()).unwrap();
    let client = Client::new("wss://localhost/").tls(certificate.client());
    let (socket, _) = within("a connection", || client.connect_by(stream)).unwrap();
    let (sender, mut receiver) = socket.split().unwrap();
    let sending = thread::spawn(move || {
        for len in (0..60).map(|number| number * 5000) {
            sender.send(&bytes(len)[..]).unwrap();
        }
        sender
    });
    for len in (0..60).map(|number| number * 5000) {
        assert_eq!(within("an echo", || receiver.recv()).unwrap().unwrap().as_bytes(), bytes(len), "{len} bytes");
    }
    within("all sent", || sending.join()).unwrap().close(1000, "").unwrap();
    assert_eq!(within("the end", || receiver.recv()).unwrap(), None);
    assert_eq!(within("all gone", || running.shutdown()), 0);
}

/// A proxy over TLS that takes CONNECT, and passes on.
fn https_proxy(certificate: &Certificate) -> u16 {
    let (listener, config) = (TcpListener::bind("127.0.0.1:0").unwrap(), certificate.server());
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut stream = TlsStream::accept(config.clone(), stream).unwrap();
            thread::spawn(move || {
                stream.handshake(Instant::now() + common::PATIENCE)?;
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_exact(&mut byte)?;
                    head.extend(byte);
                }
                let head = String::from_utf8(head).unwrap();
                let mut upstream = TcpStream::connect(head.split(' ').nth(1).unwrap())?;
                stream.write_all(b"HTTP/1.1 200 Fine\r\n\r\n")?;
                stream.flush()?;
                let (mut reader, mut writer) = sockless_std::Stream::split(stream)?;
                let mut back = upstream.try_clone()?;
                thread::spawn(move || {
                    _ = std::io::copy(&mut back, &mut writer);
                    sockless_std::Stream::shutdown(&mut writer)
                });
                std::io::copy(&mut reader, &mut upstream)?;
                upstream.shutdown(std::net::Shutdown::Write)
            });
        }
    });
    port
}

#[test]
fn tls_to_a_proxy_and_tls_within_it() {
    let (proxys, servers) = (Certificate::new("proxy"), Certificate::new("behind"));
    let proxy = sockless_std::Proxy::new(&format!("https://localhost:{}", https_proxy(&proxys))).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Server::new().tls(servers.server()).start(listener, |socket, _| echo(socket)).unwrap();
    let client = Client::new(&format!("wss://localhost:{}/", running.address().port())).proxy(proxy);
    let both = client.clone().tls(servers.client()).proxy_tls(proxys.client());
    let (socket, _) = within("a connection", || both.connect()).unwrap();
    let (sender, mut receiver) = socket.split().unwrap();
    let sending = thread::spawn(move || {
        sender.send(&bytes(1 << 20)[..]).unwrap();
        sender
    });
    assert_eq!(within("an echo", || receiver.recv()).unwrap().unwrap().as_bytes(), bytes(1 << 20));
    within("all sent", || sending.join()).unwrap().close(1000, "").unwrap();
    assert_eq!(within("the end", || receiver.recv()).unwrap(), None);
    // Neither vouches for the other.
    let told = within("an error", || client.clone().tls(servers.client()).connect()).map(drop);
    assert!(matches!(told, Err(ConnectError::Proxy(ProxyError::Tls(_)))), "{told:?}");
    let told = within("an error", || client.tls(proxys.client()).connect()).map(drop);
    assert!(matches!(told, Err(ConnectError::Tls(_))), "{told:?}");
}

#[test]
fn an_address_with_another_name() {
    let certificate = Certificate::new("name");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Server::new().tls(certificate.server()).start(listener, |socket, _| echo(socket)).unwrap();
    let client = Client::new(&format!("wss://{}/", running.address())).tls(certificate.client());
    assert!(matches!(within("an error", || client.connect()).map(drop), Err(ConnectError::Tls(_))));
    within("a connection", || client.server_name("localhost").connect()).map(drop).unwrap();
}
