//! The one room where the two halves, the opening handshake and time meet.

mod ends;
mod opening;
mod receiving;
mod sending;

use crate::changes::Changes;
use crate::config::{Config, Keepalive, Limits, Negotiated, Outbound, SharedConfig};
use crate::counters::Counters;
use crate::event::Event;
use crate::extensions::Stages;
use crate::handshake::{self, ClientHandshake, ClientRequest, HeadReader};
use crate::message::Role;
use crate::receive::receiver::Receiver;
use crate::send::outgoing::Outgoing;
use crate::send::sender::Sender;
use crate::state::{State, Wants};
use crate::wire::error::{ProtocolError, SendError};
use crate::wire::mask::Seed;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
pub use ends::Connection;
use ends::Opening;

/// Making a connection.
impl Connection {
    /// A server's end, which waits for a request.
    pub fn server(config: impl Into<SharedConfig>) -> Self {
        let opening = Opening::Request(HeadReader::default());
        // A server masks nothing, so its seed does not matter.
        Self::new(Role::Server, config.into(), Seed::new([0; 16]), Some(Box::new(opening)))
    }

    /// A client's end; its request is outbound already.
    ///
    /// The nonce and all masking keys follow from `seed`: use [`Seed::random`], or a source as good.
    ///
    /// # Errors
    /// [`Head`](SendError::Head) or [`ReservedHeader`](SendError::ReservedHeader) for what the request must not say.
    ///
    /// ```
    /// use sockless::{ClientRequest, Config, Connection, Seed};
    /// use bytes::Buf;
    ///
    /// let request = ClientRequest::new("ws://example.com/chat")?;
    /// let mut client = Connection::client(&request, Config::default(), Seed::new([7; 16]))?;
    /// assert!(client.outbound().chunk().starts_with(b"GET /chat HTTP/1.1\r\nHost: example.com\r\n"));
    /// # Ok::<(), sockless::SendError>(())
    /// ```
    pub fn client(request: &ClientRequest, config: impl Into<SharedConfig>, seed: Seed) -> Result<Self, SendError> {
        let config = handshake::client_config(request, config.into());
        let mut connection = Self::new(Role::Client, config, seed, None);
        let request = &*handshake::offer_all(request, connection.receiver.config())?;
        let nonce = connection.sender.nonce();
        connection.sender.push_head(|out| handshake::write_request(request, &nonce, out))?;
        connection.opening = Some(Box::new(Opening::Response(ClientHandshake::new(request, &nonce), None)));
        Ok(connection)
    }

    /// An open connection, after a handshake done elsewhere.
    ///
    /// `negotiated` is what that handshake agreed on; `seed` matters for a client only.
    pub fn open(role: Role, negotiated: Negotiated, config: impl Into<SharedConfig>, seed: Seed) -> Self {
        #[allow(unused_mut)]
        let mut config = config.into();
        #[cfg(feature = "deflate")]
        if negotiated.deflate.is_some() && config.deflate.is_none() {
            config.to_mut().deflate = Some(crate::Deflate::default());
        }
        let mut connection = Self::new(role, config, seed, None);
        connection.opened(negotiated);
        connection
    }

    /// Has all messages, of both ways, go through these stages: what a handshake done elsewhere agreed on by
    /// [`handshake::stages`]. Call it before the first is sent or received.
    #[inline]
    pub fn extend(&mut self, stages: Stages) {
        if !stages.is_empty() {
            let (encoding, decoding) = stages.part();
            self.sender.extend(encoding);
            self.receiver.extend(decoding);
        }
    }

    /// Parts an open connection into halves for two threads, which exchange [`Fact`](crate::Fact)s and nothing else.
    ///
    /// # Errors
    /// The connection itself, if it is not open, or holds events of bytes that came before it was.
    ///
    /// ```
    /// # use sockless::{Config, Connection, Event, Fact, Negotiated, Role, Seed};
    /// # use bytes::Buf;
    /// # let connection = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
    /// let Ok((mut sender, mut receiver)) = connection.split() else { panic!("not open") };
    /// let (facts, of_receiver) = std::sync::mpsc::channel();
    /// let reader = std::thread::spawn(move || {
    ///     let mut input: &mut [u8] = &mut b"\x89\x82\0\0\0\0hi".clone(); // a ping, read from somewhere
    ///     loop {
    ///         match receiver.receive(&mut input) {
    ///             Ok(Some(event)) => facts.send(event.fact()).unwrap(),
    ///             Ok(None) => break,
    ///             Err(error) => facts.send(Some(Fact::from(error))).unwrap(),
    ///         }
    ///     }
    /// });
    /// for fact in of_receiver.iter().flatten() {
    ///     sender.handle_fact(fact);
    /// }
    /// assert_eq!(sender.outbound().chunk(), b"\x8a\x02hi");
    /// # reader.join().unwrap();
    /// ```
    #[allow(clippy::result_large_err)] // The error is the connection, given back.
    pub fn split(self) -> Result<(Sender, Receiver), Self> {
        match self.state() {
            State::Closed => Err(self),
            _ => self.into_halves(),
        }
    }

    /// The same, also where it has ended.
    #[allow(clippy::result_large_err)] // The error is the connection, given back.
    pub(crate) fn into_halves(self) -> Result<(Sender, Receiver), Self> {
        match (self.state(), &self.opening) {
            (State::Connecting, _) | (_, Some(_)) => Err(self),
            _ => Ok((self.sender, self.receiver)),
        }
    }
}

/// The transport, the clock and the state.
impl Connection {
    /// What waits to go out, as a [`Buf`](bytes::Buf): write from it and `advance` it by what was written.
    #[inline]
    pub fn outbound(&mut self) -> Outgoing<'_> {
        self.sender.outbound()
    }

    /// Swaps the storage of the outbox with `buffer`, which is cleared; what waits is moved along.
    ///
    /// So a loop lends one buffer to whichever connection is busy: swap before, write what is outbound, swap back: a
    /// connection from which all has gone out then holds nothing.
    #[doc(hidden)] // The driver's, and for tests, benchmarks and fuzzing.
    #[inline]
    pub fn swap_outbox(&mut self, buffer: &mut Vec<u8>) {
        self.sender.swap_outbox(buffer);
    }

    /// What the driver should do now; it changes with every other call.
    #[inline]
    pub fn wants(&self) -> Wants {
        Wants { read: self.wants_read(), deadline: self.poll_timeout(), ..self.sender.wants() }
    }

    /// What [`wants`](Self::wants) says of reading, and less work: for between the events of one read.
    #[inline]
    pub fn wants_read(&self) -> bool {
        self.sender.wants_read() && !matches!(self.opening.as_deref(), Some(Opening::Answer(_)))
    }

    /// Whether more than [`Outbound::soft`] bytes wait to go out: time to write them before more is made.
    ///
    /// It is no reason not to read, or two ends that both send much wait for each other for ever. Only a server that answers
    /// from within reading may wait with reading on, while its answers wait, as a [`Driver`](crate::driver::Driver) has it do.
    #[inline]
    pub fn is_high(&self) -> bool {
        self.sender.is_high()
    }

    /// The sending half.
    #[inline]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    #[inline]
    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    #[inline]
    pub(crate) fn sender_mut(&mut self) -> &mut Sender {
        &mut self.sender
    }

    /// Tells the time: on a monotonic clock of the caller's choice, as the time since any moment that stays the same.
    ///
    /// Call it when [`poll_timeout`](Self::poll_timeout) says so, and as often else as is convenient: the more often, the
    /// more exact is what it knows of silence.
    ///
    /// # Errors
    /// A deadline that ends the connection: [`PongTimeout`](ProtocolError::PongTimeout),
    /// [`IdleTimeout`](ProtocolError::IdleTimeout), [`MessageTimeout`](ProtocolError::MessageTimeout),
    /// [`CloseTimeout`](ProtocolError::CloseTimeout) or [`HandshakeError::Timeout`](crate::HandshakeError::Timeout).
    pub fn handle_timeout(&mut self, now: Duration) -> Result<Option<Event<'static>>, ProtocolError> {
        if let Some(event) = self.refusal_in_time(now) {
            return Ok(Some(event));
        }
        let heard = self.receiver.traffic().bytes;
        match self.sender.judge(now, heard) {
            Ok(silent) => {
                #[cfg(feature = "deflate")]
                if silent {
                    self.receiver.rest_if_idle();
                }
                let _ = silent;
                Ok(None)
            }
            Err(ProtocolError::Handshake(error)) => match self.end_refusal() {
                Some(event) => Ok(Some(event)),
                None => Err(self.fail_opening(error)),
            },
            Err(error) => {
                self.receiver.end();
                Err(error)
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the caller's clock; a past time means now.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let deadline = self.sender.poll_timeout();
        match self.refusal_deadline() {
            None => deadline,
            Some(refusal) => Some(deadline.map_or(refusal, |deadline| deadline.min(refusal))),
        }
    }

    /// The state, as RFC 6455 names it.
    #[inline]
    pub fn state(&self) -> State {
        self.sender.state()
    }

    /// Which end of the connection this is.
    pub fn role(&self) -> Role {
        self.receiver.role()
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        self.receiver.config()
    }

    /// What the opening handshake agreed on.
    pub fn negotiated(&self) -> Negotiated {
        self.receiver.negotiated()
    }

    /// Bytes that wait to go out.
    #[inline]
    pub fn queued(&self) -> usize {
        self.sender.queued()
    }

    /// Bytes of messages that wait to go out: what [`queued`](Self::queued) says, without the control frames that overtake
    /// messages, and without this end's close frame, which is behind them all. So a message has gone out as soon as no more
    /// than what was sent behind it waits.
    pub fn queued_messages(&self) -> usize {
        self.sender.queued_messages()
    }

    /// What the connection has done so far.
    pub fn counters(&self) -> Counters {
        self.sender.counters(self.receiver.traffic())
    }

    /// Gives back what compression with context takeover holds between messages, but for the window that the peer may refer to:
    /// at most 32 KiB (RFC 7692 §7.1.1), instead of both codecs. The next messages are compressed and inflated by codecs of the pool;
    /// this end's next refers to none before it.
    ///
    /// Where time is told, a connection whose codecs were of no use between two keepalive pings does so by itself, and so does a
    /// [`Sender`](crate::Sender). A [`Receiver`](crate::Receiver) is told no time: there, it is the caller's to call.
    #[cfg(feature = "deflate")]
    pub fn rest(&mut self) {
        self.receiver.rest();
        self.sender.rest();
    }

    /// Changes what the peer may send, from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.receiver.set_limits(limits);
    }

    /// Changes the deadlines; they count from what has happened already.
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.receiver.set_keepalive(keepalive);
        self.sender.set_keepalive(keepalive);
    }

    pub(crate) fn change(&mut self, changes: &mut Changes) {
        self.receiver.change(changes);
        self.sender.change(changes);
    }

    /// Changes what may wait to go out, from the next message on.
    pub fn set_outbound(&mut self, outbound: Outbound) {
        self.sender.set_outbound(outbound);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role())
            .field("state", &self.state())
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
