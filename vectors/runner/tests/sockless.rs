//! The core against all vectors: whole, byte by byte and in random pieces.

use bytes::Buf;
use sockless::handshake::{accept_key, extended};
use sockless::{
    ClientRequest, Config, Connection, Deflate, DeflateParams, Event as Told, HandshakeError, Limits, Negotiated,
    Origins, ProtocolError, Seed,
};
use sockless_test_support::watch;
use sockless_vectors::{
    Bytes, Client, Cutting, Endpoint, Event, Frames, Implementation, Open, Role, Server, load, run,
};

const SEED: Seed = Seed::new([0x5A; 16]);

struct Sockless;

/// A connection, and what a server answers a request with.
struct End {
    connection: Connection,
    subprotocols: Vec<String>,
    failed: bool,
    accept: Option<String>,
    sent: Vec<u8>,
}

fn deflate() -> Deflate {
    Deflate { window_bits: 15, takeover: true, peer_takeover: true, ..Deflate::default() }
}

fn end(connection: Connection, subprotocols: &[String], accept: Option<String>) -> Option<Box<dyn Endpoint>> {
    Some(Box::new(End { connection, subprotocols: subprotocols.to_vec(), failed: false, accept, sent: vec![] }))
}

fn asked(client: &Client) -> ClientRequest {
    let request = ClientRequest::new("ws://server.example.com/chat").unwrap();
    let request = client.subprotocols.iter().fold(request, |request, name| request.subprotocol(name));
    client.deflate.iter().fold(request, |request, offer| request.with_extensions(&offer.header()))
}

impl Implementation for Sockless {
    fn frames(&self, frames: &Frames) -> Option<Box<dyn Endpoint>> {
        let mut config = Config { deflate: Some(deflate()), ..Config::default() };
        let limits = &mut config.limits;
        limits.message = frames.limits.message.unwrap_or(Limits::MESSAGE);
        limits.frame = frames.limits.frame.unwrap_or(Limits::FRAME);
        let mut negotiated = Negotiated::default();
        if let Some(params) = frames.deflate {
            let server = (params.server_max_window_bits, !params.server_no_context_takeover);
            let client = (params.client_max_window_bits, !params.client_no_context_takeover);
            let (own, peer) = if frames.role == Role::Server { (server, client) } else { (client, server) };
            let params =
                DeflateParams { window_bits: own.0, peer_window_bits: peer.0, takeover: own.1, peer_takeover: peer.1 };
            negotiated = Negotiated::try_from(params).unwrap();
        }
        let role = match frames.role {
            Role::Server => sockless::Role::Server,
            Role::Client => sockless::Role::Client,
        };
        end(Connection::open(role, negotiated, config, SEED), &[], None)
    }

    fn server(&self, server: &Server) -> Option<Box<dyn Endpoint>> {
        let origins = match &server.origins {
            None => Origins::Any,
            Some(list) => Origins::List(list.iter().cloned().map(Into::into).collect()),
        };
        let deflate = server.deflate.then(deflate);
        end(Connection::server(Config { origins, deflate, ..Config::default() }), &server.subprotocols, None)
    }

    fn client(&self, client: &Client) -> Option<Box<dyn Endpoint>> {
        let mut connection = Connection::client(&asked(client), Config::default(), SEED).unwrap();
        let mut outgoing = connection.outbound();
        let head = outgoing.copy_to_bytes(outgoing.remaining());
        let head = std::str::from_utf8(&head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = accept_key(key.as_bytes().try_into().unwrap()).map(char::from).iter().collect();
        end(connection, &[], Some(accept))
    }

    fn extended_request(&self, headers: &[(String, String)]) -> Option<Result<(), u16>> {
        let headers = headers.iter().map(|(name, value)| (&**name, value.as_bytes()));
        let checked = extended::check_request(headers, &Config::default());
        Some(checked.map(drop).map_err(|error: HandshakeError| error.status().unwrap()))
    }

    fn extended_response(&self, client: &Client, headers: &[(String, String)]) -> Option<bool> {
        let headers = headers.iter().map(|(name, value)| (&**name, value.as_bytes()));
        Some(extended::check_response(headers, &asked(client), &Config::default()).is_ok())
    }
}

impl End {
    fn flush(&mut self) {
        let mut outgoing = self.connection.outbound();
        self.sent.extend_from_slice(&outgoing.copy_to_bytes(outgoing.remaining()));
    }

    fn tell(&mut self, told: Told<'static>, events: &mut Vec<Event>) {
        let bytes = |bytes: &[u8]| Bytes(bytes.to_vec());
        events.push(match told {
            Told::Text(text) => Event::Text(bytes(text.as_bytes())),
            Told::Binary(data) => Event::Binary(bytes(&data)),
            Told::Ping(data) => Event::Ping(bytes(&data)),
            Told::Pong(data) => Event::Pong(bytes(&data)),
            Told::Close(close) => Event::Close {
                code: (close.code != sockless::Code::NO_STATUS).then(|| close.code.into()),
                reason: close.reason.into_owned(),
            },
            Told::Open(response) => Event::Open(Open {
                subprotocol: response.subprotocol().map(str::to_owned),
                deflate: self.connection.negotiated().is_compressed(),
            }),
            Told::Rejected(response) => Event::Rejected(response.status()),
            Told::Request(request) => {
                let chosen = request.subprotocols().find(|offered| self.subprotocols.iter().any(|own| own == offered));
                let accept = request.accept();
                let accept = match chosen {
                    Some(chosen) => accept.subprotocol(chosen),
                    None => accept,
                };
                self.connection.accept(accept).unwrap();
                return;
            }
            other => panic!("{other:?}"),
        });
    }
}

impl Endpoint for End {
    fn receive(&mut self, bytes: &[u8]) -> Vec<Event> {
        watch();
        let mut bytes = bytes.to_vec();
        let (mut input, mut events) = (&mut bytes[..], vec![]);
        loop {
            let told = self.connection.receive(&mut input).map(|event| event.map(Told::into_owned));
            match told {
                Ok(None) => break,
                Ok(Some(event)) => {
                    self.tell(event, &mut events);
                    // Each ping is answered where each is written.
                    self.flush();
                }
                Err(error) => {
                    self.failed = true;
                    assert_ne!(error, ProtocolError::UnexpectedEof);
                }
            }
        }
        self.flush();
        events
    }

    fn has_failed(&self) -> bool {
        self.failed
    }

    fn sent(&mut self) -> Vec<u8> {
        self.flush();
        std::mem::take(&mut self.sent)
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.connection.close(code, reason).unwrap();
    }

    fn accept(&self) -> Option<String> {
        self.accept.clone()
    }
}

#[track_caller]
fn all_right(cutting: Cutting) {
    let cases = load(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap();
    assert!(cases.len() >= 1000, "{} cases", cases.len());
    let report = run(&cases, &Sockless, cutting);
    assert!(report.deviations.is_empty(), "{cutting:?}: {report}");
    assert_eq!(report.untold, [""; 0], "{cutting:?}");
    assert_eq!((report.left_out, report.passed), (0, cases.len()));
    assert_eq!(report.otherwise, [""; 0]);
}

#[test]
fn every_vector_comes_out_right_whole() {
    all_right(Cutting::Whole);
}

#[test]
fn every_vector_comes_out_right_byte_by_byte() {
    all_right(Cutting::Bytes);
}

#[test]
fn every_vector_comes_out_right_in_random_pieces() {
    for seed in 0..8 {
        all_right(Cutting::Random(seed));
    }
}
