//! The opening handshake of either role, as a connection speaks it.

use crate::common::*;
use bytes::Buf;
use sockless::close::Code;
use sockless::handshake::{SubprotocolPolicy, extended};
use sockless::{
    Accept, ClientRequest, Config, Connection, Event, HandshakeError, Limits, Negotiated, Origins, ProtocolError,
    Request, Response, Role, SendError, State, Transport, UrlError,
};

/// RFC 6455 §1.2.
const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// RFC 6455 §1.2, in the order that we write.
const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

/// The key that a client with `SEED` sends, as another SipHash-1-3 has it, and its answer.
const OUR_KEY: &str = "dLkWcTYw0ebWgVHTrnCCRA==";
const OUR_ACCEPT: &str = "QS+SDUd7VrR60WwyzsufspTZGZA=";

fn any_origin() -> Config {
    with_origins(Origins::Any)
}

fn with_origins(origins: Origins) -> Config {
    Config { origins, ..Config::default() }
}

fn new_server() -> Connection {
    Connection::server(any_origin())
}

fn new_client(request: &ClientRequest) -> Connection {
    Connection::client(request, Config::default(), SEED).unwrap()
}

fn chat() -> ClientRequest {
    ClientRequest::new("ws://server.example.com/chat").unwrap()
}

/// What a server answers to `chat` in one frame of HTTP, with something of it replaced.
fn answer(from: &str, to: &str) -> String {
    let response = RESPONSE.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", OUR_ACCEPT);
    let response = response.replace("Sec-WebSocket-Protocol: chat\r\n", "");
    assert!(response.contains(from), "{from:?} is part of the response");
    response.replacen(from, to, 1)
}

/// A server that was asked, and its request.
fn asked(config: Config, request: impl AsRef<[u8]>) -> (Connection, Request<'static>) {
    let mut server = Connection::server(config);
    match &feed(&mut server, request.as_ref(), usize::MAX) {
        (events, None) => match &events[..] {
            [Event::Request(request)] => (server, request.clone()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// What goes out, as text.
fn text_out(end: &mut Connection) -> String {
    String::from_utf8(outbound(end)).unwrap()
}

fn wants(end: &Connection) -> (State, bool, bool, Transport) {
    let wants = end.wants();
    (end.state(), wants.read, wants.write, wants.transport)
}

/// An end whose fate was told: what comes is discarded, the transport is shut down, and its end says nothing.
fn over(end: &mut Connection) {
    outbound(end);
    assert_eq!(wants(end), (State::Closing, true, false, Transport::Shutdown));
    assert_eq!(feed(end, b"GET / HTTP/1.1\r\n\r\n\x81\0", 3), (vec![], None));
    assert_eq!(end.send_text("x"), Err(SendError::NotOpen));
    assert_eq!(end.receive_eof(), Ok(None));
    assert_eq!(wants(end), (State::Closed, false, false, Transport::Close));
}

/// The frames that come behind a head in these tests, and their events.
fn frames_behind(role: Role) -> (Vec<u8>, Vec<Event<'static>>) {
    let bytes = frames_to(role, &[(0x81, b"one"), (0x02, b"tw"), (0x89, b"ping"), (0x80, b"o"), (0x88, b"\x03\xe8")]);
    let close = sockless::Close { code: Code::NORMAL, reason: "".into() };
    let events = vec![
        Event::Text("one".into()),
        Event::Ping(b"ping"[..].into()),
        Event::Binary(b"two"[..].into()),
        Event::Close(close),
    ];
    (bytes, events)
}

// ---- server: accepting

#[test]
fn a_server_answers_the_sample_request_of_the_rfc() {
    let (mut server, request) = asked(any_origin(), REQUEST);
    assert_eq!(wants(&server), (State::Connecting, false, false, Transport::Open), "nothing is read meanwhile");
    assert_eq!(request.check(), Ok(()));
    server.accept(request.accept().subprotocol("chat")).unwrap();
    assert_eq!(wants(&server), (State::Open, true, true, Transport::Open));
    assert_eq!(text_out(&mut server), RESPONSE);
    server.send_text("hello").unwrap();
    assert_eq!(outbound(&mut server), b"\x81\x05hello");
}

#[test]
fn a_request_says_everything_about_itself() {
    let head = REQUEST.replace("/chat", "/chat?room=7&x=%20");
    let (_, request) = asked(any_origin(), &head);
    assert!(request.is_upgrade() && request.is_http_1_1());
    assert_eq!((request.method(), request.target()), ("GET", "/chat?room=7&x=%20"));
    assert_eq!((request.path(), request.query()), ("/chat", Some("room=7&x=%20")));
    assert_eq!((request.host(), request.origin()), (Some("server.example.com"), Some("http://example.com")));
    assert_eq!(request.header("uPgRaDe"), Some(&b"websocket"[..]));
    assert_eq!(request.header("Cookie"), None);
    assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["chat", "superchat"]);
    let names: Vec<_> = request.headers().map(|(name, _)| name).collect();
    assert_eq!(names[..3], ["Host", "Upgrade", "Connection"]);
    assert_eq!(request.as_bytes(), head.as_bytes());
}

#[test]
fn a_request_that_came_whole_is_lent_from_the_input() {
    let mut server = new_server();
    let mut bytes = [REQUEST.as_bytes(), b"\x81\x80abcd"].concat();
    let place = bytes.as_ptr();
    let mut input = &mut bytes[..];
    let Ok(Some(Event::Request(request))) = server.receive(&mut input) else { panic!("no request") };
    assert_eq!((request.as_bytes().as_ptr(), request.as_bytes().len()), (place, REQUEST.len()));
    assert_eq!(input, b"\x81\x80abcd");
}

#[test]
fn a_request_may_be_cut_anywhere() {
    for cut in 1..=REQUEST.len() {
        let mut server = new_server();
        let (events, error) = feed(&mut server, REQUEST.as_bytes(), cut);
        let [Event::Request(request)] = &events[..] else { panic!("{events:?} of parts of {cut}") };
        assert_eq!((request.as_bytes(), error), (REQUEST.as_bytes(), None));
        server.accept(request.accept().subprotocol("chat")).unwrap();
        assert_eq!(text_out(&mut server), RESPONSE);
    }
}

#[test]
fn frames_behind_a_request_are_kept_until_it_is_accepted() {
    let (frames, events) = frames_behind(Role::Server);
    let all = [REQUEST.as_bytes(), &frames].concat();
    for cut in (1..=all.len()).filter(|cut| cut % 50 == 1 || *cut > REQUEST.len() - 4) {
        let mut server = new_server();
        let (first, error) = feed(&mut server, &all, cut);
        assert_eq!((first.len(), error), (1, None));
        let Event::Request(request) = &first[0] else { panic!("{first:?}") };
        assert_eq!(server.counters().received.frames, 0);
        server.accept(request.accept().subprotocol("chat")).unwrap();
        // Without any input, and then with more, which comes behind them.
        let mut told = vec![];
        while let Some(event) = server.receive(&mut &mut [][..]).unwrap() {
            told.push(event.into_owned());
        }
        assert_eq!(told, events, "cut into {cut}");
        let out = outbound(&mut server);
        assert!(out.starts_with(RESPONSE.as_bytes()));
        assert_eq!(unframe(&out[RESPONSE.len()..]), [(0x8A, b"ping".to_vec()), (0x88, b"\x03\xe8".to_vec())]);
        assert_eq!(server.receive_eof(), Ok(None));
    }
}

#[test]
fn frames_that_were_kept_come_before_new_ones() {
    let (frames, _) = frames_behind(Role::Server);
    let (mut server, request) = asked(any_origin(), [REQUEST.as_bytes(), &frames[..12]].concat());
    server.accept(request.accept()).unwrap();
    let (events, error) = feed(&mut server, &frames[12..], usize::MAX);
    assert_eq!((events, error), (frames_behind(Role::Server).1, None));
}

#[test]
fn kept_frames_come_in_pieces_too() {
    let frames = frames_to(Role::Server, &[(0x01, b"a"), (0x80, b"b")]);
    let (mut server, request) = asked(any_origin(), [REQUEST.as_bytes(), &frames].concat());
    server.accept(request.accept()).unwrap();
    let mut pieces = vec![];
    while let Some(event) = server.receive_piece(&mut &mut [][..]).unwrap() {
        let Event::Piece(piece) = event else { panic!("{event:?}") };
        pieces.push((piece.data.as_bytes().to_vec(), piece.first, piece.last));
    }
    assert_eq!(pieces, [(b"a".to_vec(), true, false), (b"b".to_vec(), false, true)]);
}

#[test]
fn an_error_in_kept_frames_is_told_once() {
    let (mut server, request) = asked(any_origin(), [REQUEST.as_bytes(), &client_frame(0x83, b"")].concat());
    server.accept(request.accept().subprotocol("chat")).unwrap();
    assert_eq!(server.receive(&mut &mut [][..]), Err(ProtocolError::ReservedOpcode(3)));
    assert_eq!(feed(&mut server, &client_frame(0x81, b"late"), usize::MAX), (vec![], None));
    assert_eq!(outbound(&mut server)[RESPONSE.len()..], *b"\x88\x02\x03\xea");
    assert_eq!(server.receive_eof(), Ok(None));
}

#[test]
fn no_more_is_kept_than_a_few_reads_bring() {
    let (mut server, _) = asked(any_origin(), REQUEST);
    for _ in 0..256 {
        assert_eq!(feed(&mut server, &[0; 1024], usize::MAX), (vec![], None));
    }
    assert_eq!(
        feed(&mut server, &[0], usize::MAX),
        (vec![], Some(HandshakeError::HeadTooLong { limit: 256 << 10 }.into()))
    );
    assert!(text_out(&mut server).starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
    over(&mut server);
}

#[test]
fn a_server_chooses_a_subprotocol_by_its_own_list() {
    let (mut server, request) = asked(any_origin(), REQUEST);
    let supported = ["mqtt", "superchat", "chat"];
    let chosen = request.select_subprotocol(&supported, SubprotocolPolicy::Rfc);
    assert_eq!(chosen, Ok(Some("superchat")));
    assert_eq!(request.select_subprotocol(&["mqtt"], SubprotocolPolicy::Rfc), Ok(None));
    assert_eq!(request.select_subprotocol(&["mqtt"], SubprotocolPolicy::Browser), Err(HandshakeError::Subprotocol));
    server.accept(request.accept().subprotocol("superchat")).unwrap();
    assert!(text_out(&mut server).contains("\r\nSec-WebSocket-Protocol: superchat\r\n"));

    let (mut server, request) = asked(any_origin(), REQUEST);
    assert_eq!(request.accept_first_subprotocol().chosen_subprotocol(), Some("chat"));
    server.accept(request.accept_first_subprotocol()).unwrap();
    assert_eq!(text_out(&mut server), RESPONSE);
}

#[test]
fn a_server_may_set_cookies() {
    let (mut server, request) = asked(any_origin(), REQUEST);
    let accept = request.accept().header("Set-Cookie", "a=b; HttpOnly").header("Set-Cookie", "c=d");
    server.accept(accept).unwrap();
    let response = text_out(&mut server);
    assert!(response.ends_with("xOo=\r\nSet-Cookie: a=b; HttpOnly\r\nSet-Cookie: c=d\r\n\r\n"), "{response}");
}

#[test]
fn a_mistake_in_the_answer_leaves_the_request_waiting() {
    let (mut server, request) = asked(any_origin(), [REQUEST.as_bytes(), &client_frame(0x81, b"kept")].concat());
    let accepts: [(Accept, SendError); 7] = [
        (request.accept().subprotocol("mqtt"), SendError::Subprotocol),
        (request.accept().header("Set-Cookie", "a\r\nX: y"), SendError::Head),
        (request.accept().header("Set-Cookie", "a\nb"), SendError::Head),
        (request.accept().header("Set-Cookie", "a\0b"), SendError::Head),
        (request.accept().header("Set\r\nCookie", "a"), SendError::Head),
        (request.accept().header("Sec-WebSocket-Accept", "a"), SendError::ReservedHeader),
        (request.accept().header("Connection", "close"), SendError::ReservedHeader),
    ];
    for (accept, error) in accepts {
        assert_eq!(server.accept(accept), Err(error));
    }
    let rejects: [(u16, &str, &str, SendError); 5] = [
        (101, "A", "b", SendError::Status(101)),
        (99, "A", "b", SendError::Status(99)),
        (600, "A", "b", SendError::Status(600)),
        (404, "A", "b\r\nC: d", SendError::Head),
        (404, "A\0", "b", SendError::Head),
    ];
    for (status, name, value, error) in rejects {
        assert_eq!(server.reject(status, &[(name, value)], b""), Err(error));
    }
    assert_eq!(wants(&server), (State::Connecting, false, false, Transport::Open));
    server.accept(request.accept().subprotocol("chat")).unwrap();
    assert_eq!(text_out(&mut server), RESPONSE);
    assert_eq!(server.receive(&mut &mut [][..]), Ok(Some(Event::Text("kept".into()))));
}

#[test]
fn only_a_request_can_be_answered_and_only_once() {
    let (mut server, request) = asked(any_origin(), REQUEST);
    server.accept(request.accept()).unwrap();
    for mut end in [server, new_server(), new_client(&chat()), open(Role::Server)] {
        outbound(&mut end);
        assert_eq!(end.accept(request.accept()), Err(SendError::NoRequest));
        assert_eq!(end.reject(404, &[], b""), Err(SendError::NoRequest));
        assert_eq!(outbound(&mut end), b"");
    }
}

// ---- server: refusing

#[test]
fn a_server_may_reject_a_request_with_any_answer() {
    let (mut server, request) = asked(any_origin(), [REQUEST, "frames"].concat());
    server.reject(401, &[("WWW-Authenticate", "Basic realm=\"a\"")], b"who?").unwrap();
    assert_eq!(wants(&server), (State::Closing, true, true, Transport::Open));
    assert_eq!(
        text_out(&mut server),
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a\"\r\nContent-Length: 4\r\n\
         Connection: close\r\n\r\nwho?"
    );
    assert_eq!(server.accept(request.accept()), Err(SendError::NoRequest));
    over(&mut server);
}

#[test]
fn plain_http_is_surfaced_and_answered() {
    let (mut server, request) = asked(Config::default(), "GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!request.is_upgrade());
    assert_eq!((request.path(), request.check()), ("/index.html", Err(HandshakeError::NotUpgrade)));
    server.reject(200, &[("Content-Type", "text/html")], b"<h1>Hello").unwrap();
    assert_eq!(
        text_out(&mut server),
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<h1>Hello"
    );
    over(&mut server);

    let post = "POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody";
    let (mut server, request) = asked(Config::default(), post);
    assert_eq!((request.method(), request.is_http_1_1(), request.is_upgrade()), ("POST", false, false));
    server.reject(302, &[("Location", "/")], b"").unwrap();
    let response = "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(text_out(&mut server), response);
    over(&mut server);
}

/// The whole answer to a request that is accepted although it must not be, and the error that is told then, once.
fn refused(config: Config, request: &str) -> (String, HandshakeError) {
    let (mut server, request) = asked(config, request);
    let error = request.check().unwrap_err();
    assert_eq!(server.accept(request.accept()), Ok(()));
    assert_eq!(server.send_text("x"), Err(SendError::NotOpen));
    assert_eq!(wants(&server), (State::Closing, true, true, Transport::Open));
    let response = text_out(&mut server);
    assert_eq!(wants(&server), (State::Closing, true, false, Transport::Shutdown));
    assert_eq!(server.accept(request.accept()), Err(SendError::NoRequest));
    assert_eq!(server.receive(&mut &mut client_frame(0x81, b"")[..]), Err(ProtocolError::Handshake(error)));
    over(&mut server);
    (response, error)
}

#[test]
fn a_request_that_must_not_be_accepted_is_refused_with_its_status() {
    use HandshakeError as E;
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    for (from, to, status, error) in [
        ("Upgrade: websocket", "Upgrade: h2c", "426 Upgrade Required", E::NotUpgrade),
        ("Connection: Upgrade", "Connection: keep-alive", "426 Upgrade Required", E::NotUpgrade),
        ("GET ", "POST ", "405 Method Not Allowed", E::Method),
        ("HTTP/1.1", "HTTP/1.0", "505 HTTP Version Not Supported", E::HttpVersion),
        ("Host: server.example.com\r\n", "", "400 Bad Request", E::Host),
        ("Version: 13", "Version: 8", "426 Upgrade Required", E::Version),
        (key, "short", "400 Bad Request", E::Key),
        (key, "dGhlIHNhbXBsZSBub25jZQ=!", "400 Bad Request", E::Key),
        ("chat, superchat", "a b", "400 Bad Request", E::Subprotocol),
        ("Origin:", "Sec-WebSocket-Extensions: ;\r\nOrigin:", "400 Bad Request", E::Extensions),
        ("Origin: http", "Origin: a\r\nOrigin: http", "403 Forbidden", E::Origin),
    ] {
        let (response, told) = refused(any_origin(), &REQUEST.replacen(from, to, 1));
        assert_eq!(told, error, "{to}");
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{to}: {response}");
        assert!(response.ends_with(&format!("\r\n\r\n{error}\n")), "{to}: {response}");
    }
}

#[test]
fn a_request_with_a_body_is_no_upgrade_and_none_of_it_is_decoded() {
    // A frame, to whoever takes it for one.
    let body = client_frame(0x81, b"smuggled");
    for fields in [
        "Content-Length: 14",
        "content-length: 1",
        "Content-Length: 99999999999999999999",
        "Content-Length: -0",
        "Content-Length:",
        "Content-Length: 0, 14",
        "Content-Length: 0\r\nContent-Length: 14",
        "Content-Length: 0\r\nContent-Length: 0",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Content-Length: 0\r\nTransfer-Encoding:",
    ] {
        let upgrade = REQUEST.replacen("Origin", &format!("{fields}\r\nOrigin"), 1);
        let plain = format!("POST /form HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        for head in [&upgrade, &plain] {
            // It comes with the head, after it, or after the answer.
            for (with, before) in [(body.len(), 0), (0, body.len()), (0, 0), (5, 2)] {
                let (with, rest) = body.split_at(with);
                let (before, behind) = rest.split_at(before);
                let (mut server, request) = asked(any_origin(), [head.as_bytes(), with].concat());
                assert!(request.has_body(), "{fields}");
                assert_eq!(request.check(), Err(HandshakeError::Body), "{fields}");
                assert_eq!(feed(&mut server, before, 1), (vec![], None));
                assert_eq!(server.accept(request.accept()), Ok(()));
                assert!(text_out(&mut server).starts_with("HTTP/1.1 400 Bad Request\r\n"), "{fields}");
                let told = (vec![], Some(HandshakeError::Body.into()));
                assert_eq!(feed(&mut server, &[behind, b"\x81\0"].concat(), 3), told, "{fields}");
                over(&mut server);
            }
        }
    }
    // As little is kept of one that is answered otherwise, however long it is.
    let post = format!("POST /form HTTP/1.1\r\nContent-Length: {}\r\n\r\n", 5 << 20);
    let (mut server, _) = asked(any_origin(), [post.as_bytes(), &body].concat());
    assert_eq!(feed(&mut server, &vec![0; 5 << 20], 64 << 10), (vec![], None));
    server.reject(200, &[], b"thanks").unwrap();
    assert!(text_out(&mut server).ends_with("\r\n\r\nthanks"));
    over(&mut server);

    let (mut server, request) = asked(any_origin(), REQUEST.replacen("Origin", "Content-Length: 0\r\nOrigin", 1));
    server.accept(request.accept()).unwrap();
    assert_eq!(feed(&mut server, &body, 1), (vec![text("smuggled")], None));
}

#[test]
fn a_refusal_says_what_would_be_taken() {
    assert_eq!(
        refused(any_origin(), &REQUEST.replace("Version: 13", "Version: 12")).0,
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\
         Sec-WebSocket-Version: 13\r\nContent-Type: text/plain\r\nContent-Length: 32\r\n\r\n\
         Sec-WebSocket-Version is not 13\n"
    );
    assert_eq!(
        refused(any_origin(), &REQUEST.replace("GET", "PUT")).0,
        "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Type: text/plain\r\nContent-Length: 18\r\n\
         Connection: close\r\n\r\nmethod is not GET\n"
    );
}

#[test]
fn origins_are_taken_by_policy() {
    let list = || Origins::List(vec!["https://a.example".into(), "http://example.com".into()]);
    let from = |origin: &str| REQUEST.replace("Origin: http://example.com\r\n", origin);
    for (origins, origin, taken) in [
        (Origins::SameHost, "Origin: http://example.com\r\n", false),
        (Origins::SameHost, "Origin: http://server.example.com\r\n", true),
        (Origins::SameHost, "Origin: null\r\n", false),
        (Origins::SameHost, "", true),
        (Origins::Any, "Origin: null\r\n", true),
        (list(), "Origin: http://example.com\r\n", true),
        (list(), "Origin: http://server.example.com\r\n", false),
        (list(), "", true),
    ] {
        if taken {
            let (mut server, request) = asked(with_origins(origins), from(origin));
            server.accept(request.accept()).unwrap();
            assert_eq!(server.state(), State::Open);
        } else {
            let (response, error) = refused(with_origins(origins), &from(origin));
            assert_eq!(error, HandshakeError::Origin);
            assert!(response.starts_with("HTTP/1.1 403 Forbidden\r\n"));
        }
    }
}

#[test]
fn a_page_of_http_is_of_another_origin_than_a_server_over_tls() {
    let of = |origin: &str| REQUEST.replace("Origin: http://example.com", &format!("Origin: {origin}"));
    let [http, https] = ["http://server.example.com", "https://server.example.com"];
    for (secure, origin, taken) in [
        (None, http, true),
        (None, https, true),
        (Some(true), http, false),
        (Some(true), https, true),
        (Some(false), http, true),
        (Some(false), https, false),
    ] {
        let (_, request) = asked(Config { secure, ..Config::default() }, of(origin));
        let expected = if taken { Ok(()) } else { Err(HandshakeError::Origin) };
        assert_eq!(request.check(), expected, "{secure:?}: {origin}");
    }
}

/// A server that has to read a request to know whose settings count.
#[test]
fn a_request_is_judged_anew_by_settings_of_its_own() {
    let listed = |origin: &'static str| with_origins(Origins::List(vec![origin.into()]));
    let strict = |limits| Config { limits, ..any_origin() };
    let cases = [
        (listed("http://example.com"), Ok(())),
        (listed("https://example.com"), Err(HandshakeError::Origin)),
        (strict(Limits { fields: 6, ..Limits::default() }), Err(HandshakeError::TooManyFields { limit: 6 })),
        (strict(Limits { head: 60, ..Limits::default() }), Err(HandshakeError::HeadTooLong { limit: 60 })),
    ];
    for (config, verdict) in cases {
        for first in [any_origin(), listed("http://other.example")] {
            let (mut server, request) = asked(first, REQUEST);
            let request = server.reconfigure(request, config.clone()).unwrap();
            assert_eq!(request.check(), verdict);
            server.accept(request.accept()).unwrap();
            let told = server.receive(&mut &mut [][..]);
            assert_eq!(told, verdict.map(|()| None).map_err(ProtocolError::from));
            assert_eq!(server.state() == State::Open, verdict.is_ok());
        }
    }
    // And so is what follows.
    let (mut server, request) = asked(Config::default(), REQUEST.replace("http://", "https://server."));
    let limits = Limits { message: 3, ..Limits::default() };
    let request = server.reconfigure(request, strict(limits)).unwrap();
    server.accept(request.accept()).unwrap();
    assert_eq!(server.reconfigure(request, any_origin()), Err(SendError::NoRequest));
    let (events, error) = feed(&mut server, b"\x82\x83\0\0\0\0abc\x82\x84\0\0\0\0abcd", usize::MAX);
    assert_eq!(events, [Event::Binary(b"abc".into())]);
    assert_eq!(error, Some(ProtocolError::MessageTooLong { len: 4, limit: 3 }));
}

#[test]
fn a_head_that_is_none_or_too_large_is_refused_at_once() {
    let small = Config { limits: Limits { head: 300, fields: 8, ..Limits::default() }, ..any_origin() };
    let long = REQUEST.replace("Origin", &format!("{}: y\r\nOrigin", "x".repeat(100)));
    let many = REQUEST.replace("Origin", "a: b\r\nc: d\r\nOrigin");
    assert!(REQUEST.len() < 300 && many.len() < 300);
    for (request, status, error) in [
        ("\r\n\r\n".to_owned(), "400 Bad Request", HandshakeError::Malformed),
        (REQUEST.replace("Host: ", "Host:\0"), "400 Bad Request", HandshakeError::Malformed),
        (REQUEST.replace("\r\nHost", "\nHost"), "400 Bad Request", HandshakeError::Malformed),
        ("\x16\x03\x01\r\n\r\n".to_owned(), "400 Bad Request", HandshakeError::Malformed),
        (long, "431 Request Header Fields Too Large", HandshakeError::HeadTooLong { limit: 300 }),
        (many, "431 Request Header Fields Too Large", HandshakeError::TooManyFields { limit: 8 }),
    ] {
        for cut in [1, 7, usize::MAX] {
            let mut server = Connection::server(small.clone());
            assert_eq!(feed(&mut server, request.as_bytes(), cut), (vec![], Some(error.into())));
            assert!(text_out(&mut server).starts_with(&format!("HTTP/1.1 {status}\r\n")));
            over(&mut server);
        }
    }
}

#[test]
fn a_head_that_never_ends_is_refused_at_the_limit() {
    let mut server = new_server();
    assert_eq!(feed(&mut server, b"GET / HTTP/1.1\r\nA: ", usize::MAX), (vec![], None));
    assert_eq!(feed(&mut server, &vec![b'a'; Limits::HEAD - 19], usize::MAX), (vec![], None));
    assert_eq!(
        feed(&mut server, b"a", usize::MAX),
        (vec![], Some(HandshakeError::HeadTooLong { limit: Limits::HEAD as u32 }.into()))
    );
}

// ---- client

#[test]
fn a_client_asks_as_the_rfc_does() {
    let request = chat().header("Origin", "http://example.com").subprotocol("chat").subprotocol("superchat");
    let mut client = new_client(&request);
    assert_eq!(wants(&client), (State::Connecting, true, true, Transport::Open));
    assert_eq!(
        text_out(&mut client),
        format!(
            "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {OUR_KEY}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: chat, superchat\r\nOrigin: http://example.com\r\n\r\n"
        )
    );
    assert_eq!(wants(&client), (State::Connecting, true, false, Transport::Open));
}

#[test]
fn every_client_asks_with_a_key_of_its_own() {
    let key = |seed| {
        let mut client = Connection::client(&chat(), Config::default(), seed).unwrap();
        let request = text_out(&mut client);
        request.split("Key: ").nth(1).unwrap()[..24].to_owned()
    };
    assert_eq!(key(SEED), OUR_KEY);
    assert_ne!(key(sockless::Seed::new([0; 16])), OUR_KEY);
}

#[test]
fn a_client_may_ask_in_its_own_way() {
    let request = ClientRequest::new("wss://user:secret@example.com:8443/a?b").unwrap();
    let request = request.with_method("PATCH").with_target("/c?d").with_host("other.example").header("X-Y", "z");
    let mut client = new_client(&request);
    let text = text_out(&mut client);
    assert!(text.starts_with("PATCH /c?d HTTP/1.1\r\nHost: other.example\r\n"), "{text}");
    assert!(text.ends_with("\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=\r\nX-Y: z\r\n\r\n"), "{text}");
}

#[test]
fn a_client_refuses_to_ask_what_would_break_the_head() {
    for (request, error) in [
        (chat().header("A", "b\r\nC: d"), SendError::Head),
        (chat().header("A", "b\0"), SendError::Head),
        (chat().header("A\n", "b"), SendError::Head),
        (chat().header("A: b\r\nC", "d"), SendError::Head),
        (chat().with_target("/ HTTP/1.1\r\nA: b"), SendError::Head),
        (chat().with_method("GET /\r\n"), SendError::Head),
        (chat().with_host("a\r\nB: c"), SendError::Head),
        (chat().with_extensions("a\r\nB: c"), SendError::Head),
        (chat().subprotocol("a\r\nB: c"), SendError::Subprotocol),
        (chat().subprotocol("a").subprotocol("a"), SendError::Subprotocol),
        (chat().header("Upgrade", "h2c"), SendError::ReservedHeader),
        (chat().header("sec-websocket-key", "a"), SendError::ReservedHeader),
    ] {
        assert_eq!(Connection::client(&request, Config::default(), SEED).err(), Some(error));
    }
    for (url, error) in [
        ("http://a/", UrlError::Scheme),
        ("ws://a/#b", UrlError::Fragment),
        ("ws://", UrlError::Host),
        ("ws://a/\r\nB: c", UrlError::Syntax),
        ("a", UrlError::Syntax),
    ] {
        assert_eq!(ClientRequest::new(url), Err(SendError::Url(error)), "{url}");
    }
}

/// The only event of bytes that come to a client which asked, however they are cut.
fn response_in(request: &ClientRequest, bytes: &[u8]) -> (Connection, Result<Event<'static>, ProtocolError>) {
    let mut results = [1, 10, usize::MAX].map(|cut| {
        let mut client = new_client(request);
        outbound(&mut client);
        let (mut events, error) = feed(&mut client, bytes, cut);
        let result = match (events.pop(), error) {
            (Some(event), None) => Ok(event),
            (None, Some(error)) => Err(error),
            other => panic!("{other:?}"),
        };
        assert_eq!(events, []);
        Some((client, result))
    });
    let last = results[2].take().unwrap();
    for (_, result) in results.into_iter().flatten() {
        assert_eq!(result, last.1);
    }
    last
}

fn rejected(bytes: &str) -> Response<'static> {
    match response_in(&chat(), bytes.as_bytes()) {
        (mut client, Ok(Event::Rejected(response))) => {
            assert_eq!(wants(&client), (State::Closed, false, false, Transport::Close));
            assert_eq!(client.send_text("x"), Err(SendError::NotOpen));
            assert_eq!(client.receive_eof(), Ok(None));
            response
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_opens_when_the_server_switches() {
    let request = chat().subprotocol("chat").with_extensions("x; y");
    let fields = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: x\r\nSet-Cookie: a=b\r\n\r\n";
    let (mut client, result) = response_in(&request, answer("\r\n\r\n", &format!("\r\n{fields}")).as_bytes());
    let Ok(Event::Open(response)) = result else { panic!("{result:?}") };
    assert_eq!((response.status(), response.reason()), (101, "Switching Protocols"));
    assert_eq!(response.subprotocol(), Some("chat"));
    assert_eq!(response.header("set-cookie"), Some(&b"a=b"[..]));
    let extensions: Vec<_> = response.extensions().map(|extension| extension.unwrap().name()).collect();
    assert_eq!(extensions, ["x"]);
    assert_eq!(wants(&client), (State::Open, true, false, Transport::Open));
    client.send_text("hello").unwrap();
    assert_eq!(unframe(&outbound(&mut client)), [(0x81, b"hello".to_vec())]);
}

#[test]
fn frames_may_come_right_behind_the_response() {
    let (frames, events) = frames_behind(Role::Client);
    let bytes = [answer("", "").as_bytes(), &frames].concat();
    for cut in (1..=bytes.len()).filter(|cut| *cut < 40 || bytes.len() - cut < 40) {
        let mut client = new_client(&chat());
        outbound(&mut client);
        let (told, error) = feed(&mut client, &bytes, cut);
        assert!(matches!(told[0], Event::Open(_)) && error.is_none());
        assert_eq!(told[1..], events);
        assert_eq!(unframe(&outbound(&mut client)), [(0x8A, b"ping".to_vec()), (0x88, b"\x03\xe8".to_vec())]);
    }
}

#[test]
fn interim_responses_are_skipped() {
    let text = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n{}", answer("", ""));
    assert!(matches!(response_in(&chat(), text.as_bytes()).1, Ok(Event::Open(response)) if response.status() == 101));
}

#[test]
fn every_other_status_is_surfaced_with_the_start_of_its_body() {
    let response = rejected("HTTP/1.1 302 Found\r\nLocation: ws://b/\r\nContent-Length: 5\r\n\r\nthere and more");
    assert_eq!((response.status(), response.body(), response.is_whole()), (302, &b""[..], false));
    assert_eq!((response.redirect(), response.header("location")), (Some(&b"ws://b/"[..]), Some(&b"ws://b/"[..])));
    let response = rejected("HTTP/1.1 401 \r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((response.status(), response.body(), response.is_whole()), (401, &b""[..], true));
    let response = rejected("HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nlater\r\n0\r\n\r\n");
    assert_eq!((response.status(), response.reason(), response.body()), (503, "No", &b"later"[..]));
    let response = rejected(&format!("HTTP/1.1 500 No\r\n\r\n{}", "x".repeat(5000)));
    assert_eq!((response.body().len(), response.is_whole()), (sockless::handshake::BODY_START, false));
}

#[test]
fn a_body_without_a_length_ends_with_the_transport() {
    let mut client = new_client(&chat());
    outbound(&mut client);
    assert_eq!(feed(&mut client, b"HTTP/1.0 200 OK\r\n\r\nno WebSocket", 5), (vec![], None));
    let Ok(Some(Event::Rejected(response))) = client.receive_eof() else { panic!("no refusal") };
    assert_eq!((response.status(), response.body(), response.is_whole()), (200, &b"no WebSocket"[..], false));
    assert_eq!(wants(&client), (State::Closed, false, false, Transport::Close));
    assert_eq!(client.receive_eof(), Ok(None));
}

#[test]
fn a_client_refuses_a_server_that_does_not_keep_to_the_bargain() {
    use HandshakeError as E;
    for (from, to, error) in [
        (OUR_ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", E::Accept),
        ("Sec-WebSocket-Accept", "X", E::Accept),
        ("Upgrade: websocket\r\n", "", E::Upgrade),
        ("Connection: Upgrade", "Connection: close", E::Upgrade),
        ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", E::Subprotocol),
        ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat, superchat\r\n\r\n", E::Subprotocol),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x, z\r\n\r\n", E::Extensions),
        ("HTTP/1.1", "HTTP/1.0", E::HttpVersion),
        ("HTTP/1.1", "SPDY/3", E::Malformed),
    ] {
        let request = chat().subprotocol("chat").subprotocol("superchat").with_extensions("x, y");
        let (mut client, result) = response_in(&request, answer(from, to).as_bytes());
        assert_eq!(result, Err(error.into()), "{to}");
        assert_eq!(outbound(&mut client), b"", "nobody is left to read an answer");
        over(&mut client);
    }
}

#[test]
fn a_client_that_insists_on_a_subprotocol_refuses_to_go_without() {
    let request = chat().subprotocol("chat").with_subprotocol_policy(SubprotocolPolicy::Browser);
    assert_eq!(response_in(&request, answer("", "").as_bytes()).1, Err(HandshakeError::Subprotocol.into()));
    let request = chat().subprotocol("chat");
    assert!(matches!(response_in(&request, answer("", "").as_bytes()).1, Ok(Event::Open(_))));
}

#[test]
fn a_response_that_never_ends_is_refused_at_the_limit() {
    let mut client = new_client(&chat());
    outbound(&mut client);
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(Limits::HEAD / 25);
    assert_eq!(feed(&mut client, &interim, 1000), (vec![], None));
    assert_eq!(
        feed(&mut client, &interim, 1000),
        (vec![], Some(HandshakeError::HeadTooLong { limit: Limits::HEAD as u32 }.into()))
    );
    over(&mut client);
}

// ---- both

#[test]
fn a_client_and_a_server_see_each_other_whole() {
    let request = chat().subprotocol("superchat").header("Cookie", "a=b");
    let mut client = new_client(&request);
    let (mut server, seen) = asked(Config::default(), outbound(&mut client));
    assert_eq!(seen.header("cookie"), Some(&b"a=b"[..]));
    server.accept(seen.accept_first_subprotocol().header("Server", "sockless")).unwrap();
    let response = outbound(&mut server);
    let (events, error) = feed(&mut client, &response, usize::MAX);
    let [Event::Open(seen)] = &events[..] else { panic!("{events:?}, {error:?}") };
    assert_eq!((seen.subprotocol(), seen.header("server")), (Some("superchat"), Some(&b"sockless"[..])));
    assert_eq!(seen.as_bytes(), response);
}

/// A text from each of two open ends to the other.
fn exchange(mut client: Connection, mut server: Connection) {
    assert_eq!((client.state(), server.state()), (State::Open, State::Open));
    client.send_text("ask").unwrap();
    let bytes = outbound(&mut client);
    assert_eq!(feed(&mut server, &bytes, 1), (vec![Event::Text("ask".into())], None));
    server.send_text("answer").unwrap();
    let bytes = outbound(&mut server);
    assert_eq!(feed(&mut client, &bytes, 1), (vec![Event::Text("answer".into())], None));
}

#[test]
fn a_connection_may_open_after_a_handshake_over_http_2() {
    let (request, config) =
        (ClientRequest::new("wss://example.com/chat").unwrap().subprotocol("chat"), Config::default());
    let sent = extended::request_headers(&request, &config).unwrap();
    let pairs = |list: extended::HeaderList| list.into_iter().map(|(name, value)| (name, value.into_bytes()));
    let sent: Vec<_> = pairs(sent).collect();
    let fields = sent.iter().map(|(name, value)| (&**name, &**value));
    let accept = extended::check_request(fields, &Config::default()).unwrap();
    let answer: Vec<_> = pairs(extended::response_headers(&accept.subprotocol("chat"), None).unwrap()).collect();
    let fields = answer.iter().map(|(name, value)| (&**name, &**value));
    let agreed = extended::check_response(fields, &request, &config).unwrap();
    assert_eq!(agreed, Negotiated::default());
    let end = |role| Connection::open(role, agreed, Config::default(), SEED);
    exchange(end(Role::Client), end(Role::Server));
}

#[cfg(feature = "http")]
#[test]
fn a_connection_may_open_after_a_handshake_of_another_http_server() {
    let mut client = new_client(&chat().subprotocol("chat"));
    let bytes = outbound(&mut client);
    let read = Request::parse(bytes, &Config::default()).unwrap();
    let request = http::Request::try_from(&read).unwrap();
    let accept = sockless::handshake::http::accept(&request, &Config::default()).unwrap();
    let response = sockless::handshake::http::accept_response(&accept.subprotocol("chat"), None).unwrap();
    let mut head = format!("HTTP/1.1 {}\r\n", response.status());
    for (name, value) in response.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let (events, error) = feed(&mut client, (head + "\r\n").as_bytes(), usize::MAX);
    assert!(matches!(events[..], [Event::Open(_)]) && error.is_none());
    exchange(client, Connection::open(Role::Server, Negotiated::default(), Config::default(), SEED));
}

#[test]
fn partly_written_heads_are_whole_in_the_end() {
    let (mut server, request) = asked(any_origin(), REQUEST);
    server.accept(request.accept().subprotocol("chat")).unwrap();
    let mut out = String::new();
    while server.wants().write {
        let mut outgoing = server.outbound();
        out.push(char::from(outgoing.chunk()[0]));
        outgoing.advance(1);
    }
    assert_eq!(out, RESPONSE);
}

#[test]
fn a_rejection_says_what_its_status_means() {
    for (status, reason) in [
        (200, "OK"),
        (204, "No Content"),
        (301, "Moved Permanently"),
        (302, "Found"),
        (303, "See Other"),
        (304, "Not Modified"),
        (307, "Temporary Redirect"),
        (308, "Permanent Redirect"),
        (400, "Bad Request"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (408, "Request Timeout"),
        (409, "Conflict"),
        (410, "Gone"),
        (426, "Upgrade Required"),
        (429, "Too Many Requests"),
        (431, "Request Header Fields Too Large"),
        (500, "Internal Server Error"),
        (501, "Not Implemented"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (504, "Gateway Timeout"),
        (505, "HTTP Version Not Supported"),
        (418, ""),
    ] {
        let (mut server, _) = asked(any_origin(), REQUEST);
        server.reject(status, &[], b"").unwrap();
        let text = text_out(&mut server);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} {reason}\r\n")), "{text}");
    }
}

#[test]
fn the_head_of_a_response_can_be_read_alone() {
    let limits = Limits::default();
    let response = Response::parse(RESPONSE.as_bytes(), &limits).unwrap();
    assert_eq!((response.status(), response.subprotocol()), (101, Some("chat")));
    assert_eq!(response.header("upgrade"), Some(&b"websocket"[..]));
    for bad in ["", "HTTP/1.1 200 OK\r\n", &format!("{RESPONSE}x"), &RESPONSE.replace("101", "099")] {
        assert_eq!(Response::parse(bad.as_bytes(), &limits), Err(HandshakeError::Malformed), "{bad}");
    }
}

#[test]
fn the_first_subprotocol_is_taken_if_there_is_one() {
    for (offer, chosen) in [("Sec-WebSocket-Protocol: chat, superchat\r\n", Some("chat")), ("", None)] {
        let request = REQUEST.replace("Sec-WebSocket-Protocol: chat, superchat\r\n", offer);
        let (mut server, request) = asked(any_origin(), request);
        server.accept(request.accept_first_subprotocol()).unwrap();
        let text = text_out(&mut server);
        let response = Response::parse(text.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(response.subprotocol(), chosen);
    }
}

/// A request that comes whole is read in one pass, and one that comes in parts is collected first; both are read alike,
/// and no line end but CR LF is taken, whatever is put, replaced or left out anywhere.
#[test]
fn a_request_is_the_same_whole_and_in_parts() {
    let run = |head: &[u8], cut| {
        let mut server = new_server();
        let result = feed(&mut server, head, cut);
        (result, outbound(&mut server), server.state())
    };
    let good = REQUEST.as_bytes();
    let mut spoilt = vec![good.to_vec(), [good, b"\x81\x80\0\0\0\0"].concat(), [good, b"\n"].concat()];
    for at in 0..good.len() {
        spoilt.push([&good[..at], &good[at + 1..]].concat());
        for byte in *b"\r\n\0\t :a\x7f\x80" {
            spoilt.push([&good[..at], &[byte], &good[at..]].concat());
            spoilt.push([&good[..at], &[byte], &good[at + 1..]].concat());
        }
    }
    let mut taken = 0;
    for head in spoilt {
        let whole = run(&head, usize::MAX);
        assert_eq!(run(&head, 50), whole, "{}", head.escape_ascii());
        if let [Event::Request(request)] = &whole.0.0[..] {
            let lines = request.as_bytes().escape_ascii().to_string();
            let ends = lines.replace("\\r\\n", "");
            assert!(!ends.contains("\\r") && !ends.contains("\\n") && !ends.contains("\\x00"), "{lines}");
            taken += 1;
        }
    }
    assert!(taken > 100, "{taken}");
}
