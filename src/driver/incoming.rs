//! What reading asks of a connection, or of the half of it that receives.

use crate::config::{Config, Negotiated};
use crate::connection::Connection;
use crate::event::Event;
use crate::message::Role;
use crate::receive::receiver::Receiver;
use crate::state::State;
use crate::wire::error::ProtocolError;
use core::time::Duration;

type Told<'a> = Result<Option<Event<'a>>, ProtocolError>;

/// Bytes in, events out, as [`Connection`]'s methods of these names.
pub(super) trait Incoming {
    fn receive<'a>(&mut self, input: &mut &'a mut [u8]) -> Told<'a>;
    fn receive_tail(&mut self, len: usize) -> Told<'static>;
    fn receive_eof(&mut self) -> Told<'static>;
    fn tail(&mut self) -> Option<&mut [u8]>;
    fn missing(&self, input: &[u8]) -> usize;
    fn wants_read(&self) -> bool;
    fn is_open(&self) -> bool;
    /// Whether the opening handshake is under way.
    fn is_opening(&self) -> bool;
    /// Ends the connection, for the peer has broken a rule of the driver's.
    fn fail(&mut self, error: ProtocolError);
    /// Whether the closing handshake has begun, or the end has come.
    fn is_closing(&self) -> bool;
    fn is_compressed(&self) -> bool;
    /// Whether a deadline has come nearer, from a time that has not been told.
    fn is_untimed(&self) -> bool;
    /// Frames that have come.
    fn frames(&self) -> u64;
    /// Whether a request waits to be answered, behind which the connection may hold input.
    fn awaits_answer(&self) -> bool;
    /// Bytes that wait to go out, as far as that matters to who reads.
    fn queued(&self) -> usize;
    /// The most that may.
    fn most_queued(&self) -> usize;
    fn handle_timeout(&mut self, now: Duration) -> Told<'static>;
    /// The settings, and what the opening handshake agreed on.
    fn settings(&self) -> (&Config, Negotiated);
    fn role(&self) -> Role;
    /// Whether no frame and no message is under way.
    fn is_between(&self) -> bool;
}

impl Incoming for Connection {
    #[inline(always)]
    fn receive<'a>(&mut self, input: &mut &'a mut [u8]) -> Told<'a> {
        Connection::receive(self, input)
    }

    fn receive_tail(&mut self, len: usize) -> Told<'static> {
        Connection::receive_tail(self, len)
    }

    fn receive_eof(&mut self) -> Told<'static> {
        Connection::receive_eof(self)
    }

    #[inline]
    fn tail(&mut self) -> Option<&mut [u8]> {
        Connection::tail(self)
    }

    #[inline]
    fn missing(&self, input: &[u8]) -> usize {
        Connection::missing(self, input)
    }

    #[inline]
    fn wants_read(&self) -> bool {
        Connection::wants_read(self)
    }

    #[inline]
    fn is_open(&self) -> bool {
        self.state() == State::Open
    }

    fn is_opening(&self) -> bool {
        self.state() == State::Connecting
    }

    fn fail(&mut self, error: ProtocolError) {
        self.break_off(error);
    }

    fn is_closing(&self) -> bool {
        matches!(self.state(), State::Closing | State::Closed)
    }

    #[inline]
    fn is_compressed(&self) -> bool {
        self.negotiated().is_compressed()
    }

    #[inline]
    fn is_untimed(&self) -> bool {
        self.sender().is_untimed()
    }

    #[inline]
    fn frames(&self) -> u64 {
        self.receiver().traffic().frames
    }

    fn awaits_answer(&self) -> bool {
        self.state() == State::Connecting && self.role() == Role::Server && !self.wants_read()
    }

    #[inline]
    fn queued(&self) -> usize {
        Connection::queued(self)
    }

    #[inline]
    fn most_queued(&self) -> usize {
        self.sender().outbound_limits().hard
    }

    fn handle_timeout(&mut self, now: Duration) -> Told<'static> {
        Connection::handle_timeout(self, now)
    }

    fn settings(&self) -> (&Config, Negotiated) {
        self.sender().settings()
    }

    fn role(&self) -> Role {
        Connection::role(self)
    }

    fn is_between(&self) -> bool {
        self.receiver().is_between_messages()
    }
}

/// It judges no time, and does not know what waits to go out: the sending half does.
impl Incoming for Receiver {
    #[inline(always)]
    fn receive<'a>(&mut self, input: &mut &'a mut [u8]) -> Told<'a> {
        Receiver::receive(self, input)
    }

    fn receive_tail(&mut self, len: usize) -> Told<'static> {
        Receiver::receive_tail(self, len)
    }

    fn receive_eof(&mut self) -> Told<'static> {
        Receiver::receive_eof(self).map(|()| None)
    }

    #[inline]
    fn tail(&mut self) -> Option<&mut [u8]> {
        Receiver::tail(self)
    }

    #[inline]
    fn missing(&self, input: &[u8]) -> usize {
        Receiver::missing(self, input)
    }

    #[inline]
    fn wants_read(&self) -> bool {
        true
    }

    #[inline]
    fn is_open(&self) -> bool {
        true
    }

    fn is_opening(&self) -> bool {
        false
    }

    fn fail(&mut self, _: ProtocolError) {
        // Both halves are told of the error.
    }

    fn is_closing(&self) -> bool {
        false
    }

    #[inline]
    fn is_compressed(&self) -> bool {
        self.negotiated().is_compressed()
    }

    #[inline]
    fn is_untimed(&self) -> bool {
        false
    }

    #[inline]
    fn frames(&self) -> u64 {
        self.traffic().frames
    }

    fn awaits_answer(&self) -> bool {
        false
    }

    #[inline]
    fn queued(&self) -> usize {
        0
    }

    #[inline]
    fn most_queued(&self) -> usize {
        usize::MAX
    }

    fn handle_timeout(&mut self, _: Duration) -> Told<'static> {
        Ok(None)
    }

    fn settings(&self) -> (&Config, Negotiated) {
        (self.config(), self.negotiated())
    }

    fn role(&self) -> Role {
        Receiver::role(self)
    }

    fn is_between(&self) -> bool {
        self.is_between_messages()
    }
}
