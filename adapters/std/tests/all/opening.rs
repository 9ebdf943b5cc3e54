//! The opening handshake, from both sides.

use crate::common;
use crate::common::{config, echo, sockets, within};
use sockless_std::sockless::{HandshakeError, ProtocolError, SendError};
use sockless_std::{Client, ConnectError, Error, Incoming, Reject, accept, accept_with, connect};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A server that answers the next connection, or the next few, each with what `answer` says of its request.
fn server(answers: Vec<fn(&str) -> String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(answer(&String::from_utf8(request).unwrap()).as_bytes()).unwrap();
        }
    });
    address
}

/// The answer that opens a WebSocket, to this request.
fn opened(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = sockless_std::sockless::handshake::accept_key(key.as_bytes().try_into().unwrap());
    let accept = String::from_utf8_lossy(&accept).into_owned();
    format!("HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")
}

#[test]
fn the_shortest_way() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://localhost:{}/", listener.local_addr().unwrap().port());
    let serving = thread::spawn(move || echo(accept(listener.accept().unwrap().0).unwrap()));
    let mut socket = within("a connection", || connect(&url)).unwrap();
    socket.send("Hello").unwrap();
    assert_eq!(within("an echo", || socket.recv()).unwrap(), Some("Hello".into()));
    within("the end", || socket.close(1000, "")).unwrap();
    within("its end", || serving.join()).unwrap().unwrap();
}

#[test]
fn a_request_says_what_the_settings_say() {
    let (stream, served) = sockets();
    let asking = thread::spawn(move || {
        let client = Client::new("ws://me:secret@host.test:99/path?query").header("X-One", "1").subprotocol("chat");
        let (socket, response) = client.connect_over(stream).unwrap();
        assert_eq!(response.header("Set-Cookie"), Some(&b"seen=1"[..]));
        socket.subprotocol().map(String::from)
    });
    let incoming = within("a request", || Incoming::read(served, sockless_std::Config::default())).unwrap();
    let request = incoming.request();
    assert_eq!((request.path(), request.query()), ("/path", Some("query")));
    assert_eq!(request.host(), Some("host.test:99"));
    assert_eq!(request.header("X-One"), Some(&b"1"[..]));
    assert_eq!(request.header("Authorization"), Some(&b"Basic bWU6c2VjcmV0"[..]));
    let accept = request.accept_first_subprotocol().header("Set-Cookie", "seen=1");
    let socket = incoming.accept_as(accept).unwrap();
    assert_eq!(socket.subprotocol(), Some("chat"));
    assert_eq!(within("a client", || asking.join()).unwrap().as_deref(), Some("chat"));
}

#[test]
fn a_head_cut_anywhere_opens_and_what_is_behind_it_is_received() {
    let message = b"\x81\x82\0\0\0\0hi";
    let sent = [REQUEST, message].concat();
    for cut in 1..sent.len() {
        let (mut client, served) = sockets();
        let (front, back) = (sent[..cut].to_vec(), sent[cut..].to_vec());
        let writing = thread::spawn(move || {
            client.write_all(&front).unwrap();
            thread::yield_now();
            client.write_all(&back).unwrap();
            client
        });
        let mut socket = within("a connection", || accept(served)).unwrap();
        assert_eq!(within("a message", || socket.recv()).unwrap(), Some("hi".into()), "cut at {cut}");
        drop(writing.join());
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_opens() {
    let (mut client, served) = sockets();
    let writing = thread::spawn(move || {
        for byte in REQUEST {
            client.write_all(&[*byte]).unwrap();
        }
        client
    });
    within("a connection", || accept(served)).unwrap();
    drop(writing.join());
}

#[test]
fn requests_are_refused_with_an_answer_of_the_callers() {
    let (stream, served) = sockets();
    let refusing = thread::spawn(|| {
        let reject = Reject::new(404).header("X-Why", "not here").body("nothing");
        accept_with(served, sockless_std::Config::default(), |_| Err(reject)).map(drop)
    });
    let refused = within("a refusal", || Client::new("ws://localhost/").connect_over(stream)).map(drop);
    let Err(ConnectError::Rejected(response)) = refused else { panic!("{refused:?}") };
    assert_eq!((response.status(), response.header("X-Why")), (404, Some(&b"not here"[..])));
    assert_eq!(response.body(), b"nothing");
    assert!(matches!(within("its end", || refusing.join()).unwrap(), Err(Error::Refused(404))));
}

#[test]
fn bad_requests_are_refused_with_the_status_that_fits() {
    for (request, status) in [
        (&b"nonsense\r\n\r\n"[..], "400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 7\r\n\r\n", "426"),
    ] {
        let (mut client, served) = sockets();
        client.write_all(request).unwrap();
        let refusing = thread::spawn(|| accept(served).map(drop));
        let mut answer = vec![0; 12];
        within("an answer", || client.read_exact(&mut answer)).unwrap();
        assert_eq!(answer, format!("HTTP/1.1 {status}").as_bytes());
        drop(client);
        let refused = within("its end", || refusing.join()).unwrap();
        assert!(matches!(refused, Err(Error::Protocol(ProtocolError::Handshake(_)))), "{refused:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_given_is_one_of_500() {
    let (mut client, served) = sockets();
    client.write_all(REQUEST).unwrap();
    let bad = thread::spawn(|| {
        accept_with(served, sockless_std::Config::default(), |request| Ok(request.accept().header("X", "a\r\nb")))
            .map(drop)
    });
    let mut answer = vec![0; 12];
    within("an answer", || client.read_exact(&mut answer)).unwrap();
    assert_eq!(answer, b"HTTP/1.1 500");
    drop(client);
    assert!(matches!(within("its end", || bad.join()).unwrap(), Err(Error::Send(SendError::Head))));
}

#[test]
fn an_end_before_the_handshake_is_done_is_an_error() {
    let (client, served) = sockets();
    drop(client);
    let cut = within("the end", || accept(served)).map(drop);
    assert!(matches!(cut, Err(Error::Protocol(_))), "{cut:?}");
    let (client, served) = sockets();
    drop(served);
    let cut = within("the end", || Client::new("ws://localhost/").connect_over(client)).map(drop);
    assert!(matches!(cut, Err(ConnectError::Handshake(_))), "{cut:?}");
}

#[test]
fn a_server_that_answers_something_else() {
    let address = server(vec![|_| "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".into()]);
    let bad = within("the end", || connect(&format!("ws://{address}/"))).map(drop);
    let Err(ConnectError::Handshake(Error::Protocol(ProtocolError::Handshake(error)))) = bad else { panic!("{bad:?}") };
    assert_eq!(error, HandshakeError::Accept);
}

#[test]
fn redirects_are_followed_as_far_as_they_may() {
    let redirect: fn(&str) -> String = |_| "HTTP/1.1 302 \r\nLocation: /next\r\nContent-Length: 0\r\n\r\n".into();
    let last: fn(&str) -> String = |request| {
        assert!(request.starts_with("GET /next "));
        opened(request)
    };
    let url = format!("ws://{}/", server(vec![redirect, redirect, last]));
    let client = Client::new(&url).redirects(2);
    assert_eq!(within("a connection", || client.connect()).unwrap().1.status(), 101);
    let url = format!("ws://{}/", server(vec![redirect, redirect]));
    let lost = within("the end", || Client::new(&url).redirects(1).connect()).map(drop);
    assert!(matches!(&lost, Err(ConnectError::Redirect(to)) if to == "/next"), "{lost:?}");
    let url = format!("ws://{}/", server(vec![redirect]));
    let told = within("the end", || connect(&url)).map(drop);
    assert!(matches!(&told, Err(ConnectError::Rejected(response)) if response.status() == 302), "{told:?}");
}

#[test]
fn a_refusal_whose_body_does_not_end_is_told_in_the_time_there_is() {
    let endless: fn(&str) -> String = |_| "HTTP/1.1 503 \r\nContent-Length: 100\r\n\r\nbusy".into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(endless("").as_bytes()).unwrap();
        stream
    });
    let refused = within("the end", || Client::new(&url).timeout(Duration::from_millis(100)).connect()).map(drop);
    let Err(ConnectError::Rejected(response)) = refused else { panic!("{refused:?}") };
    assert_eq!((response.status(), response.is_whole(), response.body()), (503, false, &b"busy"[..]));
    drop(serving.join());
}

#[test]
fn what_cannot_be_asked_is_refused_before_anything_is_dialled() {
    assert!(matches!(connect("http://localhost/").map(drop), Err(ConnectError::Request(_))));
    let client = Client::new("ws://localhost:1/").header("X", "a\r\nb");
    assert!(matches!(client.connect().map(drop), Err(ConnectError::Request(SendError::Head))));
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = within("a refusal", || connect(&format!("ws://{nowhere}/"))).map(drop);
    assert!(matches!(refused, Err(ConnectError::Tcp(_))), "{refused:?}");
}

#[test]
fn limits_of_heads_are_those_of_the_settings() {
    let (mut client, served) = sockets();
    client.write_all(REQUEST).unwrap();
    let small = config(|config| config.limits.head = 50);
    let refusing = thread::spawn(|| accept_with(served, small, |request| Ok(request.accept())).map(drop));
    let mut answer = Vec::new();
    within("an answer", || client.read_to_end(&mut answer)).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 431"));
    drop(client);
    assert!(within("its end", || refusing.join()).unwrap().is_err());
}

#[test]
fn the_stream_comes_back_without_time_limits() {
    let (client, _server) = common::pair();
    let stream: TcpStream = client.into_inner().unwrap().0;
    assert_eq!((stream.read_timeout().unwrap(), stream.write_timeout().unwrap()), (None, None));
}
