//! tungstenite against all vectors: where it differs stands in `vectors/deviations.md`, and nowhere else.

use http::header::SEC_WEBSOCKET_PROTOCOL;
use sockless_test_support::watch;
use sockless_vectors::{
    Bytes, Client, Cutting, Endpoint, Event, Frames, Implementation, Open, Role, Server, load, run, table,
};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::{env, fs};
use tungstenite::handshake::client::{ClientHandshake, Response};
use tungstenite::handshake::server::{NoCallback, ServerHandshake};
use tungstenite::handshake::{HandshakeError, HandshakeRole, MidHandshake};
use tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};
use tungstenite::protocol::{self, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

/// The newest version that is tested against, with what the table is to say of it.
const NAME: &str = "tungstenite 0.30";
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deviations.md");
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A transport that has what it was given, and would block for more.
#[derive(Debug, Default)]
struct Wire {
    input: VecDeque<u8>,
    output: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a connection is: in its handshake, of either role, open, or at an end with what was sent last.
enum State {
    Server(MidHandshake<ServerHandshake<Wire, NoCallback>>),
    Client(MidHandshake<ClientHandshake<Wire>>),
    Open(Box<WebSocket<Wire>>),
    Failed(Vec<u8>),
}

struct End {
    state: State,
}

fn handshake<R: HandshakeRole>(mid: MidHandshake<R>) -> Result<R::FinalResult, HandshakeError<R>> {
    mid.handshake()
}

impl End {
    fn wire(&mut self) -> Option<&mut Wire> {
        match &mut self.state {
            State::Server(mid) => Some(mid.get_mut().get_mut()),
            State::Client(mid) => Some(mid.get_mut().get_mut()),
            State::Open(socket) => Some(socket.get_mut()),
            State::Failed(_) => None,
        }
    }

    /// Goes on with a handshake; what it tells of.
    fn step(&mut self, events: &mut Vec<Event>) {
        self.state = match std::mem::replace(&mut self.state, State::Failed(vec![])) {
            State::Server(mid) => match handshake(mid) {
                Ok(socket) => State::Open(Box::new(socket)),
                Err(HandshakeError::Interrupted(mid)) => State::Server(mid),
                Err(HandshakeError::Failure(_)) => State::Failed(vec![]),
            },
            State::Client(mid) => match handshake(mid) {
                Ok((socket, response)) => {
                    events.push(Event::Open(opened(&response)));
                    State::Open(Box::new(socket))
                }
                Err(HandshakeError::Interrupted(mid)) => State::Client(mid),
                Err(HandshakeError::Failure(error)) => {
                    if let Error::Http(response) = error {
                        events.push(Event::Rejected(response.status().as_u16()));
                    }
                    State::Failed(vec![])
                }
            },
            other => other,
        };
    }

    fn read(&mut self, events: &mut Vec<Event>) {
        while let State::Open(socket) = &mut self.state {
            match socket.read() {
                Ok(message) => events.push(told(message)),
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => break,
                Err(_) => {
                    let _ = socket.flush();
                    self.state = State::Failed(std::mem::take(&mut socket.get_mut().output));
                }
            }
        }
    }
}

fn opened(response: &Response) -> Open {
    let subprotocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
    Open { subprotocol: subprotocol.map(|name| name.to_str().unwrap().to_owned()), deflate: false }
}

fn told(message: Message) -> Event {
    match message {
        Message::Text(text) => Event::Text(Bytes(text.as_bytes().to_vec())),
        Message::Binary(data) => Event::Binary(Bytes(data.to_vec())),
        Message::Ping(data) => Event::Ping(Bytes(data.to_vec())),
        Message::Pong(data) => Event::Pong(Bytes(data.to_vec())),
        Message::Close(None) => Event::Close { code: None, reason: String::new() },
        Message::Close(Some(frame)) => {
            Event::Close { code: Some(frame.code.into()), reason: frame.reason.as_str().to_owned() }
        }
        Message::Frame(frame) => panic!("{frame:?}"),
    }
}

impl Endpoint for End {
    fn receive(&mut self, bytes: &[u8]) -> Vec<Event> {
        watch();
        let mut events = vec![];
        if let Some(wire) = self.wire() {
            wire.input.extend(bytes);
        }
        self.step(&mut events);
        self.read(&mut events);
        events
    }

    fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    fn sent(&mut self) -> Vec<u8> {
        match &mut self.state {
            State::Failed(sent) => std::mem::take(sent),
            State::Open(socket) => {
                let _ = socket.flush();
                std::mem::take(&mut socket.get_mut().output)
            }
            _ => std::mem::take(&mut self.wire().unwrap().output),
        }
    }

    fn close(&mut self, code: u16, reason: &str) {
        if let State::Open(socket) = &mut self.state {
            let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
            socket.close(Some(frame)).unwrap();
        }
    }
}

struct Tungstenite;

fn end(state: State) -> Option<Box<dyn Endpoint>> {
    Some(Box::new(End { state }))
}

/// It has no extensions, and leaves subprotocols and origins to the user of a server. Heads that come a byte at a time it
/// takes for an attack, so they are given to it whole only.
impl Implementation for Tungstenite {
    fn frames(&self, frames: &Frames) -> Option<Box<dyn Endpoint>> {
        if frames.deflate.is_some() {
            return None;
        }
        let mut config = WebSocketConfig::default();
        config.max_message_size = frames.limits.message.or(config.max_message_size);
        config.max_frame_size = frames.limits.frame.or(config.max_frame_size);
        let role = match frames.role {
            Role::Server => protocol::Role::Server,
            Role::Client => protocol::Role::Client,
        };
        end(State::Open(Box::new(WebSocket::from_raw_socket(Wire::default(), role, Some(config)))))
    }

    fn server(&self, server: &Server) -> Option<Box<dyn Endpoint>> {
        if !server.subprotocols.is_empty() || server.origins.is_some() || server.deflate {
            return None;
        }
        end(State::Server(ServerHandshake::start(Wire::default(), NoCallback, None)))
    }

    fn client(&self, client: &Client) -> Option<Box<dyn Endpoint>> {
        if client.deflate.is_some() {
            return None;
        }
        let mut request = http::Request::get("ws://server.example.com/chat")
            .header("Host", "server.example.com")
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", &client.key);
        if !client.subprotocols.is_empty() {
            request = request.header(SEC_WEBSOCKET_PROTOCOL, client.subprotocols.join(", "));
        }
        let mid = ClientHandshake::start(Wire::default(), request.body(()).unwrap(), None).unwrap();
        let mut client = End { state: State::Client(mid) };
        client.step(&mut vec![]);
        Some(Box::new(client))
    }
}

#[test]
fn it_deviates_where_the_table_says() {
    let cases = load(CASES).unwrap();
    let frames: Vec<_> = cases.iter().filter(|case| case.role.is_some()).cloned().collect();
    let whole = run(&cases, &Tungstenite, Cutting::Whole);
    let cut = [Cutting::Bytes, Cutting::Random(1)].map(|cutting| run(&frames, &Tungstenite, cutting));
    let section = table::section(NAME, cases.len(), &[&[whole][..], &cut].concat());
    let known = fs::read_to_string(TABLE).unwrap();
    if env::var_os("SOCKLESS_VECTORS_WRITE").is_some() {
        fs::write(TABLE, table::replace(&known, NAME, &section)).unwrap();
        return;
    }
    assert_eq!(table::find(&known, NAME), Some(&*section), "SOCKLESS_VECTORS_WRITE=1 writes the table anew");
}
