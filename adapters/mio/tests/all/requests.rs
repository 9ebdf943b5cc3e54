//! Requests: what a handler sees of them, and all that it may answer.

use crate::common;
use crate::common::{start, text};
use sockless_mio::{Answer, Client, ClientError, Conn, Error, Handler, Message, Reject, Request, Server, State};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

/// What the handler saw of a request.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    path: String,
    query: Option<String>,
    agent: Option<Vec<u8>>,
    origin: Option<String>,
    loopback: bool,
    tls: bool,
    connecting: bool,
    refused_send: bool,
}

#[derive(Clone, Default)]
struct Gate {
    seen: Arc<Mutex<Vec<Seen>>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Handler for Gate {
    type State = String;

    fn on_request(&self, conn: &mut Conn<'_, String>, request: &Request<'_>) -> Answer {
        self.seen.lock().unwrap().push(Seen {
            path: request.path().to_owned(),
            query: request.query().map(str::to_owned),
            agent: request.header("x-agent").map(<[u8]>::to_vec),
            origin: request.origin().map(str::to_owned),
            loopback: conn.peer().unwrap().ip().is_loopback(),
            tls: conn.tls().is_some(),
            connecting: conn.ready_state() == State::Connecting,
            refused_send: conn.send_text("too early").is_err(),
        });
        match request.path() {
            "/chat" => {
                *conn.state_mut() = request.query().unwrap_or_default().to_owned();
                Answer::Accept(request.accept().subprotocol("chat").header("Set-Cookie", "seen=1"))
            }
            "/teapot" => Reject::text(418, "short and stout\n").header("X-Pot", "tea").into(),
            "/split" => Answer::Accept(request.accept().header("X-Bad", "a\r\nInjected: yes")),
            "/page" => Reject::page("text/html", "<p>hello").into(),
            _ => request.accept().into(),
        }
    }

    fn on_message(&self, conn: &mut Conn<'_, String>, _: Message<'_>) -> Result<(), Error> {
        let state = conn.state().clone();
        conn.send_text(&state)?;
        Ok(())
    }

    fn on_error(&self, _: &mut Conn<'_, String>, error: &Error) {
        self.errors.lock().unwrap().push(error.to_string());
    }
}

fn run(pool: bool) {
    let gate = Gate::default();
    let builder = Server::builder().listen("127.0.0.1:0").workers(1);
    let server = start(if pool { builder.pool(2, 16) } else { builder }, gate.clone());

    let client = Client::builder(&format!("{}chat?name=ann", server.url())).header("X-Agent", "test");
    let mut client = client.subprotocol("mqtt").subprotocol("chat").connect().unwrap();
    let response = client.response().unwrap();
    assert_eq!((response.status(), response.subprotocol()), (101, Some("chat")));
    assert_eq!(response.header("set-cookie"), Some(&b"seen=1"[..]));
    client.send_text("who am I?").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("name=ann")));
    let seen = gate.seen.lock().unwrap().pop().unwrap();
    let wanted = Seen {
        path: "/chat".into(),
        query: Some("name=ann".into()),
        agent: Some(b"test".into()),
        origin: None,
        loopback: true,
        tls: false,
        connecting: true,
        refused_send: true,
    };
    assert_eq!(seen, wanted);

    let Err(ClientError::Rejected(refusal)) = Client::connect(&format!("{}teapot", server.url())) else { panic!() };
    assert_eq!(
        (refusal.status(), refusal.header("x-pot"), refusal.body()),
        (418, Some(&b"tea"[..]), &b"short and stout\n"[..])
    );

    // An answer that would split the response becomes a 500, and is told.
    let Err(ClientError::Rejected(refusal)) = Client::connect(&format!("{}split", server.url())) else { panic!() };
    assert_eq!((refusal.status(), refusal.header("injected")), (500, None));
    common::eventually("the mistake is told", || gate.errors.lock().unwrap().len() == 1);
    assert_eq!(*gate.errors.lock().unwrap(), ["byte not allowed in an HTTP head"]);

    // Plain HTTP on the same port, and what asks for nothing that is there.
    let page = http(&server.address().to_string(), "GET /page HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("Content-Type: text/html\r\n"), "{page}");
    assert!(page.ends_with("\r\n\r\n<p>hello"), "{page}");
    let other = http(&server.address().to_string(), "GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(other.starts_with("HTTP/1.1 426 "), "{other}");
    let garbage = http(&server.address().to_string(), "HELO example.com\r\n\r\n");
    assert!(garbage.starts_with("HTTP/1.1 400 "), "{garbage}");
    // A page of another origin, which the configuration does not allow.
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://evil.example\r\n";
    let evil = http(&server.address().to_string(), &format!("GET / HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n"));
    assert!(evil.starts_with("HTTP/1.1 403 "), "{evil}");
    // A body, which would be frames to whoever took it for them.
    for field in ["Content-Length: 8", "Content-Length: 0, 8", "Transfer-Encoding: chunked"] {
        let head = format!("GET /page HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n\u{1}body");
        let page = http(&server.address().to_string(), &head);
        assert!(page.starts_with("HTTP/1.1 200 ") && page.ends_with("\r\n\r\n<p>hello"), "{page}");
        let upgrade = upgrade.replace("Origin: http://evil.example", field);
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n\u{1}\u{0}body");
        let answer = http(&server.address().to_string(), &head);
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\nrequest with a body\n"), "{answer}");
    }
    server.eventually("only one is left", |stats| (stats.connections, stats.open, stats.opened) == (1, 1, 1));
    server.stop();
}

/// What is answered, to its end.
fn http(address: &str, request: &str) -> String {
    let mut stream = common::dial(address.parse().unwrap());
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn on_the_loop() {
    run(false);
}

#[test]
fn in_the_pool() {
    run(true);
}
