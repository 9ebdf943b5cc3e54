//! Heads of the opening handshake, in any cuts, and the bytes behind them.

use crate::feed::{By, Cuts, Feeder, Said};
use crate::frames;
use crate::settings::{DeflateSettings, SEED};
use arbitrary::Arbitrary;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Buf;
use sockless::handshake::{self, BODY_START, ClientHandshake, Outcome, SubprotocolPolicy, accept_key, extended};
use sockless::{
    ClientRequest, Config, Connection, Event, HandshakeError, Limits, Origins, ProtocolError, Request, Response, Role,
};

/// Settings of a server, and what a client sends it.
#[derive(Arbitrary, Debug)]
pub struct ServerInput<'a> {
    limits: HeadLimits,
    /// Bits: the origins; compression; how a request is answered.
    ways: u8,
    deflate: DeflateSettings,
    /// A field of the answer: four bytes of name, and its value; NULs at an end are left out.
    field: [u8; 12],
    cuts: Cuts,
    bytes: &'a [u8],
}

/// Settings of a client, and what a server sends it.
#[derive(Arbitrary, Debug)]
pub struct ClientInput<'a> {
    limits: HeadLimits,
    /// Bits: subprotocols are offered; the policy of browsers; compression is offered.
    ways: u8,
    deflate: DeflateSettings,
    cuts: Cuts,
    bytes: &'a [u8],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct HeadLimits {
    head: u16,
    fields: u8,
}

impl HeadLimits {
    fn limits(self) -> Limits {
        let mut limits = Limits::default();
        if self.head != 0 {
            limits.head = self.head.into();
        }
        if self.fields != 0 {
            limits.fields = self.fields.into();
        }
        limits
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Accept,
    AcceptFirst,
    Reject,
    None,
}

impl ServerInput<'_> {
    fn config(&self) -> Config {
        Config {
            limits: self.limits.limits(),
            origins: match self.ways & 3 {
                0 => Origins::SameHost,
                1 => Origins::List(vec!["https://example.com".into(), "null".into()]),
                _ => Origins::Any,
            },
            deflate: (self.ways & 4 != 0).then(|| self.deflate.deflate()),
            ..Config::default()
        }
    }

    fn answer(&self) -> Answer {
        match self.ways >> 5 {
            0..=2 => Answer::Accept,
            3 | 4 => Answer::AcceptFirst,
            5 | 6 => Answer::Reject,
            _ => Answer::None,
        }
    }

    /// The name and value of a field for the answer.
    fn field(&self) -> Option<(&str, &str)> {
        let (name, value) = self.field.split_at(4);
        let [name, value] = [name, value].map(|text| std::str::from_utf8(text).ok());
        Some((name?.trim_end_matches('\0'), value?.trim_end_matches('\0')))
    }

    fn give(&self, connection: &mut Connection, request: &Request<'_>) {
        let field = self.field().filter(|(name, _)| !name.is_empty());
        let accept = match self.answer() {
            Answer::Accept => request.accept(),
            Answer::AcceptFirst => request.accept_first_subprotocol(),
            Answer::Reject => {
                let fields = Vec::from_iter(field);
                // A status that cannot refuse leaves the request without an answer.
                let _ = connection.reject(u16::from(self.field[11]) + 190, &fields, &self.field);
                return;
            }
            Answer::None => return,
        };
        let with_field = field.map(|(name, value)| accept.clone().header(name, value));
        if with_field.is_none_or(|accept| connection.accept(accept).is_err()) {
            connection.accept(accept).expect("an answer without the field is good");
        }
    }

    /// What becomes of the bytes in these cuts, where the answer comes at once or behind all of them.
    fn said(&self, cuts: Cuts, late: bool) -> Said {
        let mut connection = Connection::server(self.config());
        let mut feeder = Feeder::new(&mut connection, By::Receive);
        let mut waiting = None;
        feeder.feed(self.bytes, cuts, |connection, event| match event {
            Event::Request(request) if late => waiting = Some(request.clone()),
            Event::Request(request) => self.give(connection, request),
            _ => {}
        });
        if let Some(request) = waiting {
            self.give(feeder.connection, &request);
            feeder.receive(b"", &mut |_, _| {});
        }
        feeder.flush();
        feeder.eof();
        feeder.said
    }
}

/// A head says the same in any cuts, answered soon or late; an error is answered by its status.
pub fn server(input: &ServerInput<'_>) {
    let said = input.said(Cuts::WHOLE, false);
    assert_eq!(input.said(input.cuts, false), said);
    assert_eq!(input.said(input.cuts, true), said);
    let request = match said.events.first() {
        Some(Event::Request(request)) => Some(request),
        None => None,
        event => panic!("{event:?} before a request"),
    };
    if let Some(request) = request {
        look_at_request(request, &input.config());
    }
    match (request, said.error) {
        (_, Some(ProtocolError::Handshake(error))) => match error.status() {
            Some(status) => _ = check_response(&said.sent, status, None),
            None => assert!(said.sent.is_empty()),
        },
        (Some(request), _) if request.check().is_ok() && input.answer() != Answer::Reject => {
            let end = check_response(&said.sent, 101, request.key());
            frames::unframe(&said.sent[end..], Role::Server);
        }
        (request, error) => {
            assert_eq!((request.is_some(), input.answer(), error), (true, Answer::Reject, None));
            check_response(&said.sent, 0, None);
        }
    }
}

/// Checks the head of a response, whose status is any if it is 0: where it ends.
fn check_response(sent: &[u8], status: u16, key: Option<&str>) -> usize {
    let end = sent.windows(4).position(|window| window == b"\r\n\r\n").expect("an empty line") + 4;
    let head = std::str::from_utf8(&sent[..end]).expect("a head in UTF-8");
    let rest = head.strip_prefix("HTTP/1.1 ").expect("a response");
    assert!(status == 0 || rest.starts_with(&format!("{status} ")), "{head}");
    for line in head.split_terminator("\r\n") {
        assert!(line.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control()), "{line:?}");
    }
    if let Some(key) = key {
        let accept = accept_key(key.as_bytes().try_into().expect("a good key"));
        let accept = format!("\r\nSec-WebSocket-Accept: {}\r\n", std::str::from_utf8(&accept).unwrap());
        assert!(head.contains(&accept), "{head}");
    }
    end
}

/// Asks a request everything that it can be asked.
fn look_at_request(request: &Request<'_>, config: &Config) {
    assert_eq!(Request::parse(request.as_bytes(), config).as_ref(), Ok(request));
    assert!(request.target().contains(request.path()) || request.path() == "/");
    assert!(request.query().is_none_or(|query| request.target().ends_with(query)));
    let _ = (request.is_upgrade(), request.is_http_1_1(), request.host(), request.origin(), request.key());
    for (name, value) in request.headers() {
        assert!(request.header(name).is_some() && !value.contains(&b'\n'));
    }
    let offered: Vec<_> = request.subprotocols().collect();
    for policy in [SubprotocolPolicy::Rfc, SubprotocolPolicy::Browser] {
        let chosen = request.select_subprotocol(&["chat", "mqtt"], policy);
        assert!(chosen.is_ok_and(|name| name.is_none_or(|name| offered.contains(&name))) || !offered.is_empty());
    }
    let extensions = request.extensions().count();
    assert!(extensions <= request.as_bytes().len());
    look_elsewhere(request, config);
}

/// The same request by way of other libraries and of HTTP/2.
fn look_elsewhere(request: &Request<'_>, config: &Config) {
    if let Ok(converted) = http::Request::<()>::try_from(request)
        && handshake::http::accept(&converted, config).is_ok()
    {
        assert_eq!(request.check(), Ok(()), "nobody takes what we refuse");
    }
    let pseudo =
        [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "example.com")];
    let pseudo = pseudo.map(|(name, value)| (name, value.as_bytes()));
    let list = pseudo.into_iter().chain([(":path", request.path().as_bytes())]).chain(request.headers());
    let _ = extended::check_request(list, config);
}

/// The `Sec-WebSocket-Accept` for the sample of RFC 6455 §1.3, for which inputs have the one that is right.
const SAMPLE_ACCEPT: &[u8; 28] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl ClientInput<'_> {
    fn config(&self) -> Config {
        let deflate = (self.ways & 4 != 0).then(|| self.deflate.deflate());
        Config { limits: self.limits.limits(), deflate, ..Config::default() }
    }

    fn request(&self) -> ClientRequest {
        let mut request = ClientRequest::new("ws://example.com/chat").expect("a good URL");
        if self.ways & 1 != 0 {
            request = request.subprotocol("chat").subprotocol("superchat");
        }
        let browser = self.ways & 2 != 0;
        request.with_subprotocol_policy(if browser { SubprotocolPolicy::Browser } else { SubprotocolPolicy::Rfc })
    }

    /// A connection whose request went out, the key in it, and the bytes of the server with the answer to that key.
    fn start(&self) -> (Connection, [u8; 16], Vec<u8>) {
        let mut connection = Connection::client(&self.request(), self.config(), SEED).expect("a good request");
        let mut outbound = connection.outbound();
        let sent = outbound.copy_to_bytes(outbound.remaining());
        let sent = std::str::from_utf8(&sent).expect("a head in ASCII");
        let (_, key) = sent.split_once("Sec-WebSocket-Key: ").expect("a key");
        let accept = accept_key(key.as_bytes().first_chunk().expect("24 letters"));
        let key = STANDARD.decode(&key[..24]).expect("a key in base64");
        let mut bytes = self.bytes.to_vec();
        while let Some(at) = bytes.windows(28).position(|window| window == SAMPLE_ACCEPT) {
            bytes[at..at + 28].copy_from_slice(&accept);
        }
        (connection, key.try_into().expect("16 bytes"), bytes)
    }

    /// What becomes of the bytes in these cuts.
    fn said(&self, cuts: Cuts) -> Said {
        let (mut connection, _, bytes) = self.start();
        let mut feeder = Feeder::new(&mut connection, By::Receive);
        feeder.feed(&bytes, cuts, |_, _| {});
        feeder.flush();
        feeder.eof();
        let said = feeder.said;
        if let Some(params) = connection.negotiated().deflate() {
            assert!((8..=15).contains(&params.window_bits) && (8..=15).contains(&params.peer_window_bits));
        }
        said
    }

    /// The same by the handshake alone, up to the outcome.
    fn outcome(&self) -> Result<Option<Outcome<'static>>, HandshakeError> {
        let config = self.config();
        let request = match &config.deflate {
            Some(deflate) => self.request().with_extensions(&handshake::deflate::offer(deflate)),
            None => self.request(),
        };
        let (_, key, mut bytes) = self.start();
        let mut handshake = ClientHandshake::new(&request, &key);
        let mut input = &mut bytes[..];
        let outcome = match handshake.receive(&mut input, &config.limits)? {
            None => handshake.receive_eof()?,
            some => some,
        };
        Ok(outcome.map(|outcome| match outcome {
            Outcome::Open(response) => Outcome::Open(response.into_owned()),
            Outcome::Rejected(response) => Outcome::Rejected(response.into_owned()),
        }))
    }
}

/// A response says the same in any cuts, and to the handshake alone.
pub fn client(input: &ClientInput<'_>) {
    let said = input.said(Cuts::WHOLE);
    assert_eq!(input.said(input.cuts), said);
    let outcome = input.outcome();
    match (said.events.first(), &outcome) {
        (Some(Event::Open(response)), Ok(Some(Outcome::Open(other)))) => {
            assert!(response == other && response.status() == 101);
            look_at_response(response);
            frames::unframe(&said.sent, Role::Client);
        }
        (Some(Event::Rejected(response)), Ok(Some(Outcome::Rejected(other)))) => {
            assert!(response == other);
            look_at_response(response);
            assert_eq!((said.events.len(), said.error, said.sent.len()), (1, None, 0));
        }
        (None, outcome) => {
            let Some(ProtocolError::Handshake(error)) = said.error else { panic!("{said:?}") };
            assert!(said.sent.is_empty(), "nothing is left to be said");
            // What the parameters of an extension must say is not for the handshake alone to judge.
            let negotiation = matches!(error, HandshakeError::Extensions | HandshakeError::Parameter(_))
                && matches!(outcome, Ok(Some(Outcome::Open(_))));
            assert!(outcome.as_ref().err() == Some(&error) || negotiation);
        }
        (event, outcome) => panic!("{event:?} beside {outcome:?}"),
    }
}

/// Asks a response everything that it can be asked.
fn look_at_response(response: &Response<'_>) {
    assert!(response.body().len() <= BODY_START);
    let _ = (response.reason(), response.subprotocol(), response.extensions().count());
    for (name, value) in response.headers() {
        assert!(response.header(name).is_some() && !value.contains(&b'\n'));
    }
    let _ = http::Response::<Vec<u8>>::try_from(response);
}
