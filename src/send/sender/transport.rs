//! What the other half has found, the clock and the transport mean to the sending half.

use super::{Sender, to_u32};
use crate::changes::Changes;
use crate::config::{Config, Keepalive, Negotiated, Outbound};
use crate::counters::{Counters, Traffic};
use crate::event::Fact;
use crate::message::Role;
use crate::noted::Notes;
use crate::send::outbox::Part;
use crate::send::outgoing::Outgoing;
use crate::state::{Happened, State, Transport, Wants};
use crate::timer::{Due, Phase};
use crate::wire::close::Code;
use crate::wire::error::{HandshakeError, ProtocolError};
use crate::wire::frame::OpCode;
use alloc::vec::Vec;
use core::time::Duration;

impl Sender {
    /// What the receiving half has found: answers pings and close frames, and ends a failed connection.
    pub fn handle_fact(&mut self, fact: Fact) {
        match fact {
            Fact::Ping(payload) => {
                // A close frame that waits for a message to end does not keep the pong (RFC 6455 §5.5.2).
                if self.config.answer_pings && self.facts.has(Happened::Open) && !self.facts.is_ending() {
                    self.push_control(OpCode::Pong, &payload, Part::Pong);
                }
            }
            Fact::Pong(payload) => {
                let answers = payload[..] == self.timer.ping_payload();
                let header = if self.role == Role::Server { 6 } else { 2 };
                self.timer.handle_pong(header + payload.len() as u16, answers);
            }
            Fact::Close(code) => {
                self.facts.set(Happened::CloseReceived);
                if self.config.answer_close {
                    self.reply_close(code);
                }
            }
            Fact::MessageBegun => self.timer.handle_message(true),
            // Of no more concern to who keeps no loop.
            Fact::Limited(_) => {}
            Fact::MessageEnded => self.timer.handle_message(false),
            Fact::Failed(code) => self.fail(code),
            Fact::Eof => {
                self.facts.set(Happened::Eof);
                self.take_fragmented();
            }
        }
    }

    pub(crate) fn fail(&mut self, code: Option<Code>) {
        self.facts.set(Happened::Failed);
        match code {
            Some(code) if self.facts.has(Happened::Open) => self.reply_close(code),
            _ => {}
        }
    }

    /// As [`Connection::handle_timeout`](crate::Connection::handle_timeout), where the receiving half has heard `heard`
    /// bytes, as its [`traffic`](crate::Receiver::traffic) says.
    ///
    /// # Errors
    /// [`PongTimeout`](ProtocolError::PongTimeout), [`IdleTimeout`](ProtocolError::IdleTimeout),
    /// [`MessageTimeout`](ProtocolError::MessageTimeout) or [`CloseTimeout`](ProtocolError::CloseTimeout); the receiving half's connection ends with it.
    pub fn handle_timeout(&mut self, now: Duration, heard: u64) -> Result<(), ProtocolError> {
        self.judge(now, heard).map(drop)
    }

    /// The same; whether the peer has been silent for so long that it is sent a ping.
    pub(crate) fn judge(&mut self, now: Duration, heard: u64) -> Result<bool, ProtocolError> {
        if self.outbox.watch() {
            self.timer.handle_taken();
        }
        let error = match self.timer.handle(now, self.phase(), heard, &self.config.keepalive) {
            None => return Ok(false),
            Some(Due::Ping) => {
                let payload = self.timer.ping_payload();
                self.push_control(OpCode::Ping, &payload, Part::Ping);
                #[cfg(feature = "deflate")]
                self.rest_if_idle();
                return Ok(true);
            }
            Some(Due::Close) => {
                self.facts.set(Happened::Expired);
                self.take_fragmented();
                let ended = [Happened::Failed, Happened::Eof, Happened::CloseReceived];
                let ended = ended.into_iter().any(|what| self.facts.has(what));
                return if ended { Ok(false) } else { Err(ProtocolError::CloseTimeout) };
            }
            Some(Due::Handshake) => ProtocolError::Handshake(HandshakeError::Timeout),
            Some(Due::Pong) => ProtocolError::PongTimeout,
            Some(Due::Idle) => ProtocolError::IdleTimeout,
            Some(Due::Message) => ProtocolError::MessageTimeout,
        };
        let code = match error {
            ProtocolError::PongTimeout => Some(self.config.keepalive.pong_code),
            error => error.close_code(),
        };
        self.fail(code);
        Err(error)
    }

    /// Whether something has happened that a deadline counts from, at a time that has not been told.
    #[inline]
    pub(crate) fn is_untimed(&self) -> bool {
        self.timer.is_untimed()
    }

    /// As [`Connection::poll_timeout`](crate::Connection::poll_timeout).
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.timer.poll(self.phase(), &self.config.keepalive)
    }

    /// As [`Connection::outbound`](crate::Connection::outbound).
    #[inline]
    pub fn outbound(&mut self) -> Outgoing<'_> {
        self.note_queued(0);
        Outgoing::new(&mut self.outbox, self.config.outbound.retain, &mut self.bytes, self.notes.clone())
    }

    /// As [`Connection::swap_outbox`](crate::Connection::swap_outbox).
    #[doc(hidden)]
    #[inline]
    pub fn swap_outbox(&mut self, buffer: &mut Vec<u8>) {
        self.outbox.swap(buffer);
    }

    /// What the driver should do now.
    #[inline]
    pub fn wants(&self) -> Wants {
        let transport = self.transport();
        Wants {
            read: self.wants_read(),
            write: transport != Transport::Close && self.outbox.len() > 0,
            transport,
            deadline: self.poll_timeout(),
        }
    }

    /// What [`wants`](Self::wants) says of reading, and less work: for between the events of one read.
    #[inline]
    pub fn wants_read(&self) -> bool {
        !self.facts.has(Happened::Eof) && self.transport() != Transport::Close
    }

    /// As [`Connection::is_high`](crate::Connection::is_high).
    #[inline]
    pub fn is_high(&self) -> bool {
        self.outbox.len() > self.config.outbound.soft.min(self.config.outbound.hard)
    }

    /// Which end of the connection this is.
    #[inline]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The settings, and what the opening handshake agreed on.
    pub(crate) fn settings(&self) -> (&Config, Negotiated) {
        (&self.config, self.negotiated)
    }

    /// Where what goes out is kept, from here on.
    pub(crate) fn set_notes(&mut self, notes: Notes) {
        self.notes = notes;
    }

    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Drops what waits to go out.
    pub(crate) fn drop_outbound(&mut self) {
        let queued = self.queued();
        let mut outbound = self.outbound();
        outbound.notes = Notes::default();
        bytes::Buf::advance(&mut outbound, queued);
    }

    #[inline]
    pub(super) fn transport(&self) -> Transport {
        self.facts.transport(self.role, self.outbox.len())
    }

    /// The state, as RFC 6455 names it.
    #[inline]
    pub fn state(&self) -> State {
        self.facts.state(self.transport())
    }

    fn phase(&self) -> Phase {
        self.facts.phase(self.transport())
    }

    /// The limits of what waits to go out; they count from the next message on.
    pub fn set_outbound(&mut self, outbound: Outbound) {
        self.config.to_mut().outbound = outbound;
        self.note_plain();
    }

    /// The limits of what waits to go out.
    #[inline]
    pub fn outbound_limits(&self) -> Outbound {
        self.config.outbound
    }

    /// Bytes that the outbox's buffer has room for.
    #[inline]
    pub(crate) fn outbox_capacity(&self) -> usize {
        self.outbox.capacity()
    }

    /// Changes the deadlines; they count from what has happened already.
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.config.to_mut().keepalive = keepalive;
    }

    pub(crate) fn change(&mut self, changes: &mut Changes) {
        self.config = changes.of(&self.config);
    }

    /// How long a closing handshake may take.
    pub(crate) fn close_timeout(&self) -> Option<Duration> {
        self.config.keepalive.close
    }

    /// What has gone out.
    #[inline]
    pub fn traffic(&self) -> Traffic {
        Traffic { frames: self.frames, bytes: self.bytes }
    }

    /// Bytes that wait to go out.
    #[inline]
    pub fn queued(&self) -> usize {
        self.outbox.len()
    }

    /// Bytes of messages that wait to go out: what [`queued`](Self::queued) says, without the control frames that overtake
    /// messages, and without this end's close frame, which is behind them all. So a message has gone out as soon as no more
    /// than what was sent behind it waits.
    pub fn queued_messages(&self) -> usize {
        let waits = self.outbox.len() - self.outbox.overtaking();
        if waits > 0 && self.facts.has(Happened::CloseSent) {
            return waits.saturating_sub(self.outbox.last_frame());
        }
        waits
    }

    /// The most bytes that ever waited to go out at once; it counts to 4 GiB.
    pub fn most_queued(&self) -> u32 {
        self.most_queued.max(to_u32(self.outbox.len()))
    }

    /// All of it together, for a connection whose receiving half has `received` so much.
    pub fn counters(&self, received: Traffic) -> Counters {
        Counters {
            received,
            sent: self.traffic(),
            queued: self.queued(),
            most_queued: self.most_queued(),
            round_trip: self.round_trip(),
        }
    }

    /// The time from the latest keepalive ping that was answered to its pong.
    pub fn round_trip(&self) -> Option<Duration> {
        self.timer.round_trip()
    }
}
