//! Handlers by paths, with settings of their own; and what goes wrong, which is told.

use crate::common;
use crate::common::{Started, dial, start, text};
use sockless_mio::sockless::{HandshakeError, Origins, ProtocolError};
use sockless_mio::{
    Answer, Client, ClientError, CloseError, Closed, Code, Config, Conn, Error, Handler, Limits, Message, Panicked,
    Piece, Reject, Request, Route, Routes, Server,
};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Says in which room, and whose.
struct Chat;

impl Handler for Chat {
    type State = String;

    fn on_request(&self, conn: &mut Conn<'_, String>, request: &Request<'_>) -> Answer {
        let Some(user) = request.cookie("user") else { return Reject::text(401, "who are you?\n").into() };
        let room = request.param("room").unwrap_or_default();
        *conn.state_mut() = format!("{user} in {room}, {}", request.query_param("as").unwrap_or_default());
        request.accept().into()
    }

    fn on_message(&self, conn: &mut Conn<'_, String>, _: Message<'_>) -> Result<(), Error> {
        let state = conn.state().clone();
        conn.send_text(&state)?;
        Ok(())
    }
}

struct Feed;

impl Handler for Feed {
    type State = String;

    fn on_open(&self, conn: &mut Conn<'_, String>) {
        conn.send_text("fed").unwrap();
    }

    fn on_message(&self, _: &mut Conn<'_, String>, _: Message<'_>) -> Result<(), Error> {
        panic!("it takes pieces");
    }

    fn on_piece(&self, conn: &mut Conn<'_, String>, piece: Piece<'_>) -> Result<(), Error> {
        conn.send_text(&format!("{} {}", piece.data.len(), piece.last))?;
        Ok(())
    }
}

fn routes() -> Routes<String> {
    let limits = Limits { message: 1000, ..Limits::default() };
    let feed = Route::new().config(Config { limits, origins: Origins::Any, ..Config::default() }).pieces();
    let routes = Routes::new().route("/chat/{room}", Route::new(), Chat).unwrap();
    routes.route("/feed", feed, Feed).unwrap()
}

fn connect<S: Send + 'static>(
    server: &Started<S>,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<common::Client, ClientError> {
    let url = format!("ws://{}{target}", server.address());
    let builder = headers.iter().fold(Client::builder(&url), |builder, (name, value)| builder.header(name, value));
    common::client(|| builder.connect())
}

fn run(pool: bool) {
    let builder = Server::builder().listen("127.0.0.1:0").workers(1);
    let server = start(if pool { builder.pool(2, 16) } else { builder }, routes());
    let status = |result: Result<common::Client, ClientError>| match result {
        Err(ClientError::Rejected(response)) => response.status(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => 101,
    };
    let origin = ("Origin", "https://elsewhere.test");
    let user = ("Cookie", "a=b; user=ann");
    let mut chat = connect(&server, "/chat/caf%C3%A9?as=guest+1", &[user]).unwrap();
    chat.send_text(&"x".repeat(2000)).unwrap();
    assert_eq!(chat.receive().unwrap(), Some(text("ann in café, guest 1")));
    assert_eq!(status(connect(&server, "/chat/room", &[])), 401);
    assert_eq!(status(connect(&server, "/chat/room", &[user, origin])), 403);
    for path in ["/", "/chat", "/chat/", "/chat/a/b", "/feed/", "/Feed"] {
        assert_eq!(status(connect(&server, path, &[])), 404, "{path}");
    }
    let mut feed = connect(&server, "/feed", &[origin]).unwrap();
    assert_eq!(feed.receive().unwrap(), Some(text("fed")));
    feed.send_text("hello").unwrap();
    assert_eq!(feed.receive().unwrap(), Some(text("5 true")));
    feed.send_text(&"x".repeat(2000)).unwrap();
    assert_eq!(feed.receive().unwrap(), None);
    assert_eq!(feed.closed().map(|close| close.code), Some(Code::TOO_BIG));
    server.stop();
}

#[test]
fn each_path_has_its_handler_and_its_settings() {
    run(false);
}

#[test]
fn in_a_pool_too() {
    run(true);
}

#[cfg(feature = "deflate")]
#[test]
fn compression_is_a_route_s_own() {
    use sockless_mio::sockless::Deflate;
    let packed = Route::new().config(Config { deflate: Some(Deflate::default()), ..Config::default() });
    let echo = |conn: &mut Conn<'_>, message: Message<'_>| {
        conn.send(message)?;
        Ok(())
    };
    let routes = Routes::new().route("/plain", Route::new(), echo).unwrap().route("/packed", packed, echo).unwrap();
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), routes);
    for (path, is_packed) in [("/plain", false), ("/packed", true)] {
        let url = format!("ws://{}{path}", server.address());
        let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
        let mut client = common::client(|| Client::builder(&url).config(config).connect()).unwrap();
        let extensions = client.response().unwrap().header("sec-websocket-extensions").is_some();
        assert_eq!(extensions, is_packed, "{path}");
        client.send_text(&"long ".repeat(1000)).unwrap();
        assert_eq!(client.receive().unwrap(), Some(text(&"long ".repeat(1000))));
    }
    server.stop();
}

#[test]
fn a_path_is_taken_once_and_others_have_a_handler_too() {
    let routes = routes();
    assert!(routes.route("/chat/{other}", Route::new(), Feed).is_err());
    struct Others;
    impl Handler for Others {
        type State = String;

        fn on_accept(&self, peer: Option<SocketAddr>) -> bool {
            peer.is_some()
        }

        fn on_message(&self, conn: &mut Conn<'_, String>, _: Message<'_>) -> Result<(), Error> {
            conn.send_text("others")?;
            Ok(())
        }
    }
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), self::routes().others(Others));
    let mut client = connect(&server, "/anything", &[]).unwrap();
    client.send_text("who?").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("others")));
    server.stop();
}

/// Tells what it is told by `on_error`, and fails as the path says.
struct Tells(Sender<Error>);

/// An error that can be sent.
fn copied(error: &Error) -> Error {
    match error.downcast_ref::<CloseError>() {
        Some(CloseError::Protocol(error)) => CloseError::Protocol(*error).into(),
        Some(_) => "another".into(),
        None if error.is::<Panicked>() => Panicked.into(),
        None => error.to_string().into(),
    }
}

impl Handler for Tells {
    type State = ();

    fn on_request(&self, _: &mut Conn<'_>, request: &Request<'_>) -> Answer {
        match request.path() {
            "/refused" => Reject::new(403).into(),
            "/panic" => panic!("as it was told"),
            _ => request.accept().into(),
        }
    }

    fn on_message(&self, _: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        match message.as_text() {
            Some("panic") => panic!("as it was told"),
            _ => Err("as it was told".into()),
        }
    }

    fn on_close(&self, _: &mut Conn<'_>, closed: Closed) {
        assert!(matches!(u16::from(closed.code), 1005 | 1006 | 1011), "{closed:?}");
    }

    fn on_error(&self, _: &mut Conn<'_>, error: &Error) {
        self.0.send(copied(error)).unwrap();
    }
}

fn told(errors: &Receiver<Error>) -> String {
    let error = errors.recv_timeout(common::PATIENCE).unwrap();
    match error.downcast_ref::<CloseError>() {
        Some(CloseError::Protocol(ProtocolError::Handshake(error))) => format!("{error:?}"),
        _ => error.to_string(),
    }
}

#[test]
fn what_goes_wrong_is_told_here_and_in_a_pool() {
    for pool in [false, true] {
        let (tells, errors) = channel();
        let mut config = Config::default();
        config.keepalive.handshake = Some(Duration::from_millis(200));
        let builder = Server::builder().listen("127.0.0.1:0").workers(1).config(config);
        let server = start(if pool { builder.pool(1, 16) } else { builder }, Tells(tells));
        // Nothing comes, not all comes, what comes is no request, or not one that is taken.
        let silent = dial(server.address());
        assert_eq!(told(&errors), format!("{:?}", HandshakeError::Timeout));
        drop(silent);
        let mut cut = dial(server.address());
        cut.write_all(b"GET / HT").unwrap();
        drop(cut);
        assert_eq!(told(&errors), format!("{:?}", HandshakeError::UnexpectedEof));
        for (request, error) in [
            ("nonsense\r\n\r\n", HandshakeError::Malformed),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", HandshakeError::NotUpgrade),
        ] {
            let mut stream = dial(server.address());
            stream.write_all(request.as_bytes()).unwrap();
            stream.read_to_string(&mut String::new()).unwrap();
            assert_eq!(told(&errors), format!("{error:?}"));
        }
        assert!(connect(&server, "/", &[("Origin", "https://elsewhere.test")]).is_err());
        assert_eq!(told(&errors), format!("{:?}", HandshakeError::Origin));
        // What the handler refuses is no failure.
        assert!(connect(&server, "/refused", &[]).is_err());
        assert!(connect(&server, "/panic", &[]).is_err());
        assert_eq!(told(&errors), "a handler panicked");
        for (message, error) in [("panic", "a handler panicked"), ("fail", "as it was told")] {
            let mut client = connect(&server, "/", &[]).unwrap();
            client.send_text(message).unwrap();
            assert_eq!(client.receive().unwrap(), None);
            assert_eq!(client.closed().map(|close| close.code), Some(Code::INTERNAL_ERROR));
            assert_eq!(told(&errors), error);
        }
        server.stop();
        assert!(errors.try_recv().is_err());
    }
}
