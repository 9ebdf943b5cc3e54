//! TLS by the system's library.

use crate::common::{self, bytes, config, echo, sockets, within};
use sockless_std::native_tls::{Certificate, Identity, TlsAcceptor, TlsConnector};
use sockless_std::sockless::ProtocolError;
use sockless_std::sockless::handshake::accept_key;
use sockless_std::{Client, ConnectError, Error, NativeTlsStream, NetStream, Server, accept};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// A certificate made now for `localhost`: who trusts it, and who shows it.
fn made() -> (TlsConnector, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let trusted = Certificate::from_pem(certificate.as_bytes()).unwrap();
    let client = TlsConnector::builder().disable_built_in_roots(true).add_root_certificate(trusted).build().unwrap();
    let identity = Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).unwrap();
    (client, TlsAcceptor::new(identity).unwrap())
}

/// A client's and a server's stream, whose handshake is done.
fn streams() -> (NativeTlsStream<TcpStream>, NativeTlsStream<TcpStream>) {
    let ((trusting, showing), (client, served)) = (made(), sockets());
    let mut client = NativeTlsStream::connect(&trusting, "localhost", client).unwrap();
    let mut server = NativeTlsStream::accept(&showing, served).unwrap();
    let serving = thread::spawn(move || {
        server.handshake(Instant::now() + common::PATIENCE).unwrap();
        server
    });
    client.handshake(Instant::now() + common::PATIENCE).unwrap();
    (client, within("a server", || serving.join()).unwrap())
}

#[test]
fn a_client_and_a_server() {
    let (trusting, showing) = made();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Server::new().native_tls(showing).start(listener, |socket, _| echo(socket)).unwrap();
    let port = running.address().port();
    let client = Client::new(&format!("wss://localhost:{port}/")).native_tls(trusting.clone());
    let (mut socket, _) = within("a connection", || client.connect()).unwrap();
    assert!(matches!(socket.get_ref(), NetStream::NativeTls(_)));
    for len in [0, 1, 16 << 10, 1 << 20] {
        socket.send(&bytes(len)[..]).unwrap();
        assert!(within("an echo", || socket.recv()).unwrap().unwrap().as_bytes() == bytes(len), "{len} bytes");
    }
    within("the end", || socket.close(1000, "")).unwrap();
    // Another name than the certificate's, and the certificate's for another address.
    let named = Client::new(&format!("wss://127.0.0.1:{port}/")).native_tls(trusting);
    let refused = within("a refusal", || named.connect()).map(drop);
    assert!(matches!(refused, Err(ConnectError::Tls(_))), "{refused:?}");
    within("a connection", || named.server_name("localhost").connect()).map(drop).unwrap();
    // Nobody vouches for it.
    for distrusting in [client.clone().native_tls(made().0), client.native_tls(TlsConnector::new().unwrap())] {
        let refused = within("a refusal", || distrusting.connect()).map(drop);
        assert!(matches!(refused, Err(ConnectError::Tls(_))), "{refused:?}");
    }
}

#[test]
fn who_says_nothing_has_no_longer_than_there_is() {
    let (trusting, showing) = made();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let client = Client::new(&url).native_tls(trusting).timeout(Duration::from_millis(50));
    let late = within("the end", || client.connect()).map(drop);
    assert!(matches!(late, Err(ConnectError::Timeout)), "{late:?}");
    // And so has a client.
    let (_silent, served) = sockets();
    let mut server = NativeTlsStream::accept(&showing, served).unwrap();
    let late = within("the end", || server.handshake(Instant::now() + Duration::from_millis(50)));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn a_peer_that_speaks_no_tls() {
    let (mut client, served) = sockets();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut server = NativeTlsStream::accept(&made().1, served).unwrap();
    let refused = within("a refusal", || server.handshake(Instant::now() + common::PATIENCE));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn an_end_without_tls_own_goodbye_is_an_end() {
    for clean in [true, false] {
        let (client, mut server) = streams();
        let tcp = server.get_ref().try_clone().unwrap();
        let answering = thread::spawn(move || {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                server.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            let accept = accept_key(key.as_bytes().try_into().unwrap());
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
fn what_changes_while_nobody_reads_does_not_end_the_session() {
    let (client, server) = streams();
    let serving = thread::spawn(move || echo(accept(server).unwrap()));
    let roomy = config(|config| config.outbound.hard = 64 << 20);
    let asked = within("a connection", || Client::new("wss://localhost/").config(roomy).connect_over(client));
    let (sender, mut receiver) = asked.unwrap().0.split().unwrap();
    let sending = thread::spawn(move || {
        for number in 0..20_u8 {
            sender.ping(&vec![number; usize::from(number) * 37 % 126]).unwrap();
            sender.send(&vec![number; 1 << 20][..]).unwrap();
        }
        sender
    });
    for number in 0..20_u8 {
        let message = within("an echo", || receiver.recv()).unwrap().unwrap();
        assert!(message.as_bytes() == vec![number; 1 << 20], "message {number}, of {} bytes", message.len());
    }
    within("all sent", || sending.join()).unwrap().close(1000, "").unwrap();
    assert_eq!(within("the end", || receiver.recv()).unwrap(), None);
    within("the server", || serving.join()).unwrap().unwrap();
}

#[test]
fn bytes_keep_their_order_however_seldom_a_call_gets_through() {
    let (client, server) = streams();
    common::keep_their_order([client, server], 2 << 20);
}
