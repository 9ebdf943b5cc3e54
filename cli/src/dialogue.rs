//! Both directions of a connection, from bytes to what they say, as one sees them who only listens.

mod seen;
mod stream;

pub(crate) use seen::{Fault, Seen, Side, What};
use sockless_tokio::sockless::handshake::{ClientHandshake, Outcome, extended, extension};
use sockless_tokio::sockless::{Deflate, DeflateParams, HandshakeError, Limits, Negotiated, Origins, ProtocolError};
use sockless_tokio::{ClientRequest, Config, Request, Response};
use std::sync::Arc;
use stream::{Found, Span, Stream};

/// Bytes, more than any head that a server or a client takes.
pub(crate) const LONGEST_HEAD: usize = 64 << 10;

/// How a connection is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// No longer messages are taken.
    pub(crate) max_message: usize,
    /// Whether there is no opening handshake.
    pub(crate) is_open: bool,
    /// Whether compressed messages are taken although no handshake says so.
    pub(crate) compressed: bool,
}

/// A connection as it is seen.
pub(crate) struct Dialogue {
    streams: [Stream; 2],
    config: Arc<Config>,
    request: Option<Request<'static>>,
    /// What was agreed on, as the server has it.
    agreed: Option<Negotiated>,
}

/// What is taken where nobody knows what was agreed on: it reads all that any agreement allows.
const ANY: DeflateParams = DeflateParams { window_bits: 15, peer_window_bits: 15, takeover: true, peer_takeover: true };

impl Dialogue {
    pub(crate) fn new(reading: Reading) -> Self {
        let mut config = Config::default();
        config.limits.message = reading.max_message;
        config.limits.fragments = u32::MAX;
        (config.limits.head, config.limits.fields) = (LONGEST_HEAD, Limits::MOST_FIELDS);
        config.origins = Origins::Any;
        config.deflate = Some(Deflate { takeover: true, peer_takeover: true, window_bits: 15, ..Deflate::default() });
        let config = Arc::new(config);
        let streams = Side::BOTH.map(|side| Stream::new(side, &config));
        let mut dialogue = Self { streams, config, request: None, agreed: None };
        if reading.is_open {
            dialogue.agreed = Some(any(reading.compressed));
            for stream in &mut dialogue.streams {
                stream.open(any(reading.compressed), &dialogue.config);
            }
        }
        dialogue
    }

    /// Takes the next bytes of one end's stream, and tells what they say.
    pub(crate) fn receive(&mut self, from: Side, bytes: &mut [u8], tell: &mut impl FnMut(Seen)) {
        let mut rest = bytes;
        loop {
            match self.streams[from as usize].receive(&mut rest, tell) {
                Some(Found::Request(span, request)) => self.requested(span, request, tell),
                Some(Found::Response(span, response)) => self.answered(span, response, tell),
                Some(Found::Foreign(seen)) => {
                    self.give_up();
                    tell(seen);
                }
                Some(Found::Overdue) => self.assume(),
                None => {}
            }
            for side in Side::BOTH {
                self.streams[side as usize].receive_held(tell);
            }
            if rest.is_empty() {
                return;
            }
        }
    }

    /// One end says nothing more. An end that was only not recorded is none.
    pub(crate) fn end(&mut self, from: Side, tell: &mut impl FnMut(Seen)) {
        self.flush(from, tell);
        self.streams[from as usize].end(tell);
    }

    /// Nothing more of this end is there to be read: what it said before an answer that is not there is told now.
    pub(crate) fn flush(&mut self, from: Side, tell: &mut impl FnMut(Seen)) {
        if self.streams[from as usize].is_held() {
            self.assume();
            self.streams[from as usize].receive_held(tell);
        }
    }

    /// How many bytes of this end have been taken.
    pub(crate) fn offset(&self, from: Side) -> u64 {
        self.streams[from as usize].offset()
    }

    /// Whether anything is read any more.
    pub(crate) fn reads(&self) -> bool {
        !self.streams.iter().all(Stream::is_done)
    }

    /// Nothing of either end is read from here on.
    pub(crate) fn give_up(&mut self) {
        self.streams.iter_mut().for_each(Stream::give_up);
    }

    fn requested(&mut self, (start, end): Span, request: Request<'static>, tell: &mut impl FnMut(Seen)) {
        let mut tell = |what| tell(Seen { from: Side::Client, start, end, what });
        tell(What::Request(request.clone()));
        if !request.is_upgrade() {
            self.give_up();
            return tell(What::Unread("plain HTTP, which asks for no WebSocket"));
        }
        if let Err(error) = request.check() {
            tell(What::Fault(ProtocolError::from(error).into()));
        }
        self.request = Some(request);
        if let Some(agreed) = self.agreed {
            self.streams[Side::Client as usize].open(agreed, &self.config);
        }
    }

    fn answered(&mut self, (start, end): Span, response: Response<'static>, tell: &mut impl FnMut(Seen)) {
        let mut tell = |what| tell(Seen { from: Side::Server, start, end, what });
        if response.status() != 101 {
            self.give_up();
            return tell(What::Rejected(response));
        }
        let (agreed, fault) = match agreed(self.request.as_ref(), &response, &self.config) {
            Ok(agreed) => (agreed, None),
            Err((agreed, error)) => (agreed, Some(error)),
        };
        let url = self.request.as_ref().map(url);
        tell(What::Open(response, agreed, url));
        if let Some(error) = fault {
            tell(What::Fault(ProtocolError::from(error).into()));
        }
        self.agreed = Some(mirrored(agreed));
        self.streams[Side::Server as usize].open(agreed, &self.config);
        if self.request.is_some() {
            self.streams[Side::Client as usize].open(mirrored(agreed), &self.config);
        }
    }

    /// The client's frames are read without an answer to its request: by what it offered.
    fn assume(&mut self) {
        let offered = self.request.as_ref().is_some_and(|request| {
            request.extensions().flatten().any(|extension| extension.name() == "permessage-deflate")
        });
        self.streams[Side::Client as usize].open(any(offered), &self.config);
    }
}

/// What a request asks for. Whether it came over TLS, which somebody has taken off, it does not say.
fn url(request: &Request<'_>) -> String {
    format!("ws://{}{}", request.host().unwrap_or_default(), request.target())
}

fn any(compressed: bool) -> Negotiated {
    compressed.then_some(ANY).and_then(|params| params.try_into().ok()).unwrap_or_default()
}

/// What was agreed on as the other end has it.
pub(crate) fn mirrored(agreed: Negotiated) -> Negotiated {
    let Some(DeflateParams { window_bits, peer_window_bits, takeover, peer_takeover }) = agreed.deflate() else {
        return agreed;
    };
    let mirrored = DeflateParams {
        window_bits: peer_window_bits,
        peer_window_bits: window_bits,
        takeover: peer_takeover,
        peer_takeover: takeover,
    };
    mirrored.try_into().unwrap_or(agreed)
}

/// What a response agrees on, as the client has it. Where it breaks a rule, what it is taken for all the same.
fn agreed(
    request: Option<&Request<'_>>,
    response: &Response<'_>,
    config: &Config,
) -> Result<Negotiated, (Negotiated, HandshakeError)> {
    let says_deflate = response.extensions().flatten().any(|extension| extension.name() == "permessage-deflate");
    let meant = any(says_deflate);
    let failed = |error| (meant, error);
    let asked = asked(request, response).ok_or(failed(HandshakeError::Malformed))?;
    if let Some(key) = request.and_then(Request::key) {
        let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, key).unwrap_or_default();
        // A key that is none has been told of.
        if let Ok(key) = <[u8; 16]>::try_from(key) {
            let mut head = response.as_bytes().to_vec();
            match ClientHandshake::new(&asked, &key)
                .receive(&mut &mut head[..], &Limits { head: usize::MAX, ..config.limits })
            {
                Ok(Some(Outcome::Open(_))) => {}
                Ok(_) => return Err(failed(HandshakeError::Upgrade)),
                Err(error) => return Err(failed(error)),
            }
        }
    }
    let fields = [(":status", &b"200"[..])].into_iter().chain(response.headers());
    extended::check_response(fields, &asked, config).map_err(failed)
}

/// A request that asks for the same; where it was not seen, for all that is in the response.
fn asked(request: Option<&Request<'_>>, response: &Response<'_>) -> Option<ClientRequest> {
    let mut asked = ClientRequest::new("ws://host/").ok()?;
    let Some(request) = request else {
        if let Some(name) = response.subprotocol() {
            asked = asked.subprotocol(name);
        }
        return Some(asked.with_extensions("permessage-deflate; client_max_window_bits"));
    };
    for name in request.subprotocols() {
        asked = asked.subprotocol(name);
    }
    let mut offer = String::new();
    for offered in request.extensions().flatten() {
        let params: Vec<_> = offered.params().collect();
        let params: Vec<_> = params.iter().map(|param| (param.name, param.value.as_deref())).collect();
        extension::push(&mut offer, offered.name(), &params).ok()?;
    }
    Some(asked.with_extensions(&offer))
}
