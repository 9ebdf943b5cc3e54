//! What a connection is made of: its two halves, and where its opening handshake is.

use crate::config::{Negotiated, SharedConfig};
use crate::event::Event;
use crate::extensions::Stages;
use crate::handshake::{ClientHandshake, HeadReader};
use crate::message::Role;
use crate::receive::receiver::Receiver;
use crate::send::sender::Sender;
use crate::wire::error::{HandshakeError, ProtocolError};
use crate::wire::mask::Seed;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// A WebSocket connection, from the first byte of the HTTP head to the last, without its transport.
///
/// Bytes that were read go into [`receive`](Self::receive), events come out. What is to be written waits in
/// [`outbound`](Self::outbound). [`wants`](Self::wants) says what to do next.
///
/// ```
/// use sockless::{Config, Connection, Event, Negotiated, Role, Seed};
/// use bytes::Buf;
///
/// let mut server = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
/// let mut input: &mut [u8] = &mut b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".clone();
/// while let Some(event) = server.receive(&mut input)? {
///     if let Event::Text(text) = event {
///         server.send_text(&text)?;
///     }
/// }
/// assert_eq!(server.outbound().chunk(), b"\x81\x05Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Connection {
    pub(super) receiver: Receiver,
    pub(super) sender: Sender,
    pub(super) opening: Option<Box<Opening>>,
}

/// Where the opening handshake is.
pub(super) enum Opening {
    /// Server: the request has not come whole.
    Request(HeadReader),
    /// Server: the request waits for an answer.
    Answer(Answer),
    /// Server: accepted; these bytes came before, and some of them are decoded.
    Held(Vec<u8>, usize),
    /// Server: refused, which the caller has not been told.
    Refused(HandshakeError),
    /// Client: the response has not come whole; when it was first known to be a refusal.
    Response(ClientHandshake, Option<Duration>),
}

#[derive(Default)]
pub(super) struct Answer {
    /// Bytes that came behind the request.
    pub(super) held: Vec<u8>,
    /// They are a body, or what is behind it: nothing to be decoded.
    pub(super) body: bool,
    /// What an acceptance agrees on, and the extensions that it says so with.
    pub(super) negotiated: Negotiated,
    pub(super) extensions: Option<String>,
    /// Those of them that are stages.
    pub(super) stages: Stages,
}

impl From<(Sender, Receiver)> for Connection {
    /// An open connection that was [split](Connection::split), put together again. The sender has been told all facts of the
    /// receiver's.
    fn from((sender, receiver): (Sender, Receiver)) -> Self {
        Self { receiver, sender, opening: None }
    }
}

impl Connection {
    /// Whether the next byte to be received begins a message or a control frame between messages.
    pub fn is_between_messages(&self) -> bool {
        self.opening.is_none() && self.receiver.is_between_messages()
    }

    pub(super) fn new(role: Role, config: SharedConfig, seed: Seed, opening: Option<Box<Opening>>) -> Self {
        let receiver = Receiver::new(role, config.clone());
        Self { receiver, sender: Sender::new(role, seed, config), opening }
    }

    pub(super) fn opened(&mut self, negotiated: Negotiated) {
        self.receiver.open(negotiated);
        self.sender.open(negotiated);
    }

    /// Ends the connection for a fault that was found outside of it.
    pub(crate) fn break_off(&mut self, error: ProtocolError) {
        self.receiver.end();
        self.sender.handle_fact(error.into());
    }

    /// Tells the sending half of what the receiving half has found.
    pub(super) fn settle<'a>(
        &mut self,
        result: Result<Option<Event<'a>>, ProtocolError>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        if let Some(fact) = self.receiver.message_fact() {
            self.sender.handle_fact(fact);
        }
        match &result {
            Ok(None) => {}
            Ok(Some(event)) => {
                if let Some(fact) = event.fact() {
                    self.sender.handle_fact(fact);
                }
            }
            Err(error) => self.break_off(*error),
        }
        result
    }
}
