//! A tape played to fresh connections, up to the first call that gives something else.

use super::call::{Call, Start, Way};
use super::format::Tape;
use super::said::{PANIC, named, received, sent};
use crate::config::Config;
use crate::connection::Connection;
#[cfg(feature = "deflate")]
use crate::deflate::{Deflate, Pool};
use crate::event::Event;
use crate::handshake::{Accept, ClientRequest, Request, SubprotocolPolicy};
use crate::message::{Kind, Message};
use crate::send::prepared::Prepared;
use crate::wire::error::SendError;
use alloc::collections::BTreeMap;
use alloc::{borrow::Cow, string::String, vec::Vec};
use bytes::{Buf, Bytes};
use core::{error, fmt, time::Duration};

/// The first call that gave something else than on the tape.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Which of [`Tape::steps`].
    pub step: usize,
    /// [`Call::name`].
    pub call: &'static str,
    /// Whose call.
    pub connection: u32,
    /// When.
    pub at: Duration,
    /// What is on the tape.
    pub expected: String,
    /// What it gave now.
    pub came: String,
    /// Whether the tape lacks a call before, so that nothing may be wrong.
    pub unseen: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (expected, came) = (or_nothing(&self.expected), or_nothing(&self.came));
        let Self { step, call, connection, at, .. } = self;
        write!(f, "step {step}, {call} of connection {connection} at {at:?}: {expected} on the tape, {came} now")?;
        if self.unseen { f.write_str("; the tape lacks a call before") } else { Ok(()) }
    }
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "nothing" } else { text }
}

impl error::Error for Difference {}

/// A connection, and what it has been given but not taken.
struct Player {
    connection: Connection,
    input: Vec<u8>,
    taken: usize,
    /// How the latest request may be accepted.
    accept: Option<Accept>,
}

impl Tape {
    /// Makes the calls of the tape to connections of its own. It takes as much memory as they did, by the limits on the tape. A
    /// call that panicked then may do so again.
    ///
    /// # Errors
    /// The first call that gives something else.
    pub fn replay(&self) -> Result<(), Difference> {
        let mut players = BTreeMap::new();
        let mut unseen = false;
        for (index, step) in self.steps.iter().enumerate() {
            let differs = |expected: &str, came: String| Difference {
                step: index,
                call: step.call.name(),
                connection: step.connection,
                at: step.at,
                expected: expected.into(),
                came,
                unseen,
            };
            let came = match &step.call {
                Call::Start(start) => Player::new(start).map_or_else(
                    |reason| reason,
                    |player| {
                        players.insert(step.connection, player);
                        String::new()
                    },
                ),
                Call::Passed(..) => continue,
                Call::Unseen => {
                    unseen = true;
                    continue;
                }
                call => {
                    let Some(player) = players.get_mut(&step.connection) else {
                        return Err(differs(&step.gave, "no connection".into()));
                    };
                    if let Call::Take(bytes) = call {
                        let taken = player.take(bytes.len());
                        if taken != *bytes {
                            return Err(differs(&named("bytes", bytes), named("bytes", &taken)));
                        }
                        continue;
                    }
                    if step.gave == PANIC { player.panics(call, step.at) } else { player.told(call, step.at) }
                }
            };
            if came != step.gave {
                return Err(differs(&step.gave, came));
            }
        }
        Ok(())
    }
}

/// One that has compressed for another connection may find the same bytes elsewhere, and say the same in another way.
fn with_new_codecs(config: Config) -> Config {
    #[cfg(feature = "deflate")]
    if let Some(deflate) = config.deflate {
        return Config { deflate: Some(Deflate { pool: Pool::default(), ..deflate }), ..config };
    }
    config
}

impl Player {
    /// Makes the connection, or says why it cannot be made.
    fn new(start: &Start) -> Result<Self, String> {
        let connection = match start.clone() {
            Start::Server(config) => Connection::server(with_new_codecs(config)),
            Start::Client { request, policy, config, seed } => request_of(request, policy)
                .and_then(|request| Connection::client(&request, with_new_codecs(config), seed))
                .map_err(|error| sent(Err(error)))?,
            Start::Open { role, negotiated, config, seed } => {
                Connection::open(role, negotiated, with_new_codecs(config), seed)
            }
        };
        Ok(Self { connection, input: Vec::new(), taken: 0, accept: None })
    }

    /// Makes a call; what it gives.
    fn told(&mut self, call: &Call, at: Duration) -> String {
        let connection = &mut self.connection;
        sent(match call {
            Call::Receive(bytes) => return self.receive(bytes),
            Call::Eof => return received(&connection.receive_eof()),
            Call::Time => return received(&connection.handle_timeout(at)),
            Call::Send(kind, bytes, way) => send(connection, *kind, bytes, *way),
            Call::Fragment(kind, bytes, last) => connection.send_fragment(*kind, bytes, *last),
            Call::Ping(payload) => connection.ping(payload),
            Call::Pong(payload) => connection.pong(payload),
            Call::Close(code, reason) => connection.close(*code, reason),
            Call::Abort(code) => {
                connection.abort(*code);
                Ok(())
            }
            Call::Accept(subprotocol, headers) => match self.accept.clone() {
                None => Err(SendError::NoRequest),
                Some(mut accept) => {
                    if let Some(name) = subprotocol {
                        accept = accept.subprotocol(name);
                    }
                    connection.accept(headers.iter().fold(accept, |accept, (name, value)| accept.header(name, value)))
                }
            },
            Call::Reject(status, headers, body) => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
                connection.reject(*status, &headers, body)
            }
            Call::Change(config) => {
                connection.set_limits(config.limits);
                connection.set_keepalive(config.keepalive);
                connection.set_outbound(config.outbound);
                Ok(())
            }
            Call::Swap => {
                // What waits moves along; where to, changes nothing.
                connection.swap_outbox(&mut Vec::new());
                Ok(())
            }
            Call::Start(_) | Call::Take(_) | Call::Passed(..) | Call::Unseen => Ok(()),
        })
    }

    /// The same of a call that panicked: whether it does so again.
    fn panics(&mut self, call: &Call, at: Duration) -> String {
        #[cfg(feature = "std")]
        return std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| self.told(call, at)))
            .unwrap_or_else(|_| PANIC.into());
        #[cfg(not(feature = "std"))]
        self.told(call, at)
    }

    fn receive(&mut self, bytes: &[u8]) -> String {
        self.input.extend_from_slice(bytes);
        let len = self.input.len();
        let mut rest = &mut self.input[self.taken..];
        let result = self.connection.receive(&mut rest);
        self.taken = len - rest.len();
        let gave = received(&result);
        if let Ok(Some(Event::Request(request))) = &result {
            self.accept = Some(request.accept());
        }
        if self.taken == len {
            self.input.clear();
            self.taken = 0;
        }
        gave
    }

    /// So many bytes of what is outbound, or as many as there are.
    fn take(&mut self, len: usize) -> Vec<u8> {
        let mut outbound = self.connection.outbound();
        let len = len.min(outbound.remaining());
        outbound.copy_to_bytes(len).into()
    }
}

fn send(connection: &mut Connection, kind: Kind, bytes: &[u8], way: Way) -> Result<(), SendError> {
    let text = core::str::from_utf8(bytes).ok().filter(|_| kind == Kind::Text);
    let message = match text {
        Some(text) => Message::from(text),
        None if kind == Kind::Text => Message::Unchecked(Cow::Borrowed(bytes)),
        None => Message::from(bytes),
    };
    match way {
        Way::Shared => connection.send_shared(kind, Bytes::copy_from_slice(bytes)),
        Way::Prepared => connection.send_prepared(&text.map_or_else(|| Prepared::binary(bytes), Prepared::text)),
        #[cfg(feature = "deflate")]
        Way::Compressed => connection.send_with(message, crate::Compress::Always),
        #[cfg(feature = "deflate")]
        Way::Plain => connection.send_with(message, crate::Compress::Never),
        _ => connection.send(message),
    }
}

/// The request whose head was written so.
fn request_of(head: Vec<u8>, policy: SubprotocolPolicy) -> Result<ClientRequest, SendError> {
    /// What the request writes itself.
    const OWN: [&str; 7] = [
        "Host",
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
    ];
    let mut config = Config::DEFAULT;
    (config.limits.head, config.limits.fields) = (head.len(), crate::Limits::MOST_FIELDS);
    let head = Request::parse(head, &config).map_err(|_| SendError::Head)?;
    let text = |value| core::str::from_utf8(value).map_err(|_| SendError::Head);
    let mut request = ClientRequest::new("ws://tape/")?.with_subprotocol_policy(policy);
    request = request.with_method(head.method()).with_target(head.target());
    request = request.with_host(head.host().unwrap_or_default());
    for name in head.subprotocols() {
        request = request.subprotocol(name);
    }
    if let Some(offer) = head.header("Sec-WebSocket-Extensions") {
        request = request.with_extensions(text(offer)?);
    }
    for (name, value) in head.headers() {
        if !OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            request = request.header(name, text(value)?);
        }
    }
    Ok(request)
}
