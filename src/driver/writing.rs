//! Writing: the lent outbox, the answers that wait, the transport's end, and what comes next.

use super::incoming::Incoming;
use super::{Next, Progress, Storage};
use crate::connection::Connection;
use crate::message::Role;
use crate::send::outgoing::Outgoing;
use crate::send::sender::Sender;
use crate::state::{State, Transport, Wants};
use alloc::vec::Vec;
#[cfg(feature = "std")]
use bytes::Buf;
use core::mem;
use core::time::Duration;

/// Bytes; a longer queue takes the lent outbox along instead of being copied out of it.
const MOST_MOVED: usize = 64 << 10;

/// Bytes; a lent outbox that has room for no more is left to the connection that has to wait, which costs less than a copy.
const MOST_GIVEN: usize = 8 << 10;

/// Outboxes of at most as many bytes as are moved that are kept for the next connections that have to wait.
const MOST_SPARE: usize = 8;

/// Parts of what waits that are written by one call.
#[cfg(feature = "std")]
const SLICES: usize = 64;

/// How long is waited for an end that has no deadline of the protocol's, if closing handshakes have none.
const LINGER: Duration = Duration::from_secs(10);

impl Progress {
    /// Lends the outbox to a connection that holds none.
    #[inline]
    pub(super) fn lend(&mut self, sender: &mut Sender, storage: &mut Storage) {
        if !self.has(Self::LENT) && sender.queued() == 0 {
            sender.swap_outbox(&mut storage.outbox);
            self.set(Self::LENT, true);
        }
    }

    /// What is outbound; of a lent outbox, the room stays, and of an own one what the next may take over.
    #[inline]
    pub(super) fn outbound<'a>(&self, sender: &'a mut Sender) -> Outgoing<'a> {
        match self.has(Self::LENT) {
            true => sender.outbound().retaining(usize::MAX),
            false => sender.outbound().retaining(MOST_MOVED),
        }
    }

    /// As much was written as the transport took.
    #[inline]
    pub(super) fn wrote(&mut self, sender: &Sender, storage: &mut Storage) {
        let queued = sender.queued();
        if queued == 0 {
            storage.answered = 0;
        }
        storage.wrote(queued);
    }

    #[cfg(feature = "std")]
    #[inline]
    pub(super) fn write(
        &mut self,
        sender: &mut Sender,
        storage: &mut Storage,
        transport: impl std::io::Write,
    ) -> std::io::Result<bool> {
        self.note_answers(sender, storage);
        let result = write_all(self.outbound(sender), transport);
        if result.is_err() {
            self.write_failed(sender);
        }
        self.wrote(sender, storage);
        result
    }

    #[cold]
    pub(super) fn write_failed(&mut self, sender: &mut Sender) {
        sender.drop_outbound();
        self.set(Self::BROKEN, true);
        self.set(Self::TIMED, false);
    }

    pub(super) fn answering(&mut self, connection: &Connection, storage: &mut Storage) {
        self.enter(connection, storage);
        self.note_answers(connection.sender(), storage);
        storage.begin(connection.queued());
    }

    /// Counts what was made to go out from within reading since the count was last taken up.
    #[inline]
    pub(super) fn note_answers(&mut self, sender: &Sender, storage: &mut Storage) {
        storage.answered += sender.queued().saturating_sub(storage.queued);
    }

    #[inline]
    pub(super) fn is_settled(&self, connection: &Connection, storage: &Storage) -> bool {
        !self.has_any(Self::STOPPED | Self::RATED)
            && !self.has_left(storage)
            && self.is_settled_out(connection.sender())
    }

    /// The part of it that is of writing, time and the end.
    #[inline]
    pub(super) fn is_settled_out(&self, sender: &Sender) -> bool {
        self.flags() & (Self::TIMED | Self::BROKEN) == Self::TIMED
            && sender.queued() == 0
            && sender.state() == State::Open
    }

    #[inline]
    pub(super) fn next(&mut self, connection: &mut Connection, storage: &mut Storage, now: Duration) -> Next {
        self.note_time(now);
        self.enter(connection, storage);
        self.take_answers(connection.sender(), storage);
        storage.end_turn();
        storage.begin(connection.queued());
        self.set(Self::ARMED, true);
        if self.is_settled(connection, storage) {
            return Next { read: true, deadline: connection.poll_timeout(), ..Next::default() };
        }
        self.any_next(connection, storage, now)
    }

    #[inline(never)]
    fn any_next(&mut self, connection: &mut Connection, storage: &Storage, now: Duration) -> Next {
        // Who closes a connection, or breaks it, wants to see its end.
        if self.has(Self::PAUSED) && !matches!(connection.state(), State::Connecting | State::Open) {
            self.resume();
        }
        self.tell_limiter(now);
        let wants = connection.wants();
        let mut next = Next {
            again: !self.has_any(Self::STOPPED) && (self.has(Self::EOF) || wants.read && self.has_input(storage)),
            read: self.reads(connection, storage),
            ..self.next_out(wants)
        };
        if self.has_any(Self::PAUSED | Self::HELD) {
            next.deadline = self.deadline_unread(connection, now, next.deadline);
        } else if let Some(until) = self.limited_until() {
            // As above, but that it is read again.
            let own = next.deadline.filter(|_| connection.is_closing());
            next.deadline = Some(own.map_or(until, |own| own.min(until)));
        }
        self.end_transport(connection.sender(), wants.transport, now, &mut next);
        next
    }

    /// What the sending half wants, as far as it can be done.
    pub(super) fn next_out(&self, wants: Wants) -> Next {
        Next { write: wants.write && !self.has(Self::BROKEN), deadline: wants.deadline, ..Next::default() }
    }

    /// The deadline of a connection that is not read by its application's wish: a peer that is not read cannot answer a ping.
    #[cold]
    fn deadline_unread(&mut self, connection: &Connection, now: Duration, own: Option<Duration>) -> Option<Duration> {
        if !self.has(Self::PAUSED) {
            return own.filter(|_| connection.is_closing());
        }
        let until = now.saturating_add(patience(connection.sender()));
        self.has(Self::HUNG_UP).then(|| *self.rare_mut().linger.get_or_insert(until))
    }

    /// Takes up what was made to go out from within reading.
    #[inline]
    fn take_answers(&mut self, sender: &Sender, storage: &mut Storage) {
        self.note_answers(sender, storage);
        let answered = mem::take(&mut storage.answered);
        if answered > 0 && sender.is_high() || self.has(Self::WAITS) {
            self.note_waiting(sender, answered);
        }
    }

    /// Whether reading waits for a server's answers.
    #[cold]
    fn note_waiting(&mut self, sender: &Sender, answered: usize) {
        if self.has(Self::WAITS) || sender.role() == Role::Server {
            let answers = &mut self.rare_mut().answers;
            answers.add(sender, answered);
            let pause = answers.pause(sender);
            self.set(Self::WAITS, pause);
        }
    }

    /// What becomes of the transport.
    #[inline]
    pub(super) fn end_transport(&mut self, sender: &Sender, transport: Transport, now: Duration, next: &mut Next) {
        let transport = if self.has(Self::DEAD) { Transport::Close } else { transport };
        if transport == Transport::Open {
            return;
        }
        next.shutdown = sender.queued() == 0 && !self.has_any(Self::SHUT | Self::BROKEN | Self::HELD_BACK);
        self.set(Self::SHUT, self.has(Self::SHUT) || next.shutdown);
        if transport == Transport::Shutdown {
            return;
        }
        let held_back = self.has(Self::HELD_BACK) && !self.has_any(Self::BROKEN | Self::DEAD) && sender.queued() == 0;
        // What the transport was given last has still to leave it.
        let until = now.saturating_add(patience(sender));
        let until = held_back.then(|| *self.rare_mut().linger.get_or_insert(until));
        let deadline = until.filter(|until| *until > now);
        *next = Next { shutdown: next.shutdown, close: deadline.is_none(), deadline, ..Next::default() };
    }

    #[inline]
    pub(super) fn leave(&mut self, connection: &mut Connection, storage: &mut Storage) {
        if self.has(Self::HERE) {
            self.take_answers(connection.sender(), storage);
        }
        self.leave_out(connection.sender_mut(), storage);
        self.leave_in(storage);
        if self.rare().is_some() {
            self.tidy(connection.sender());
        }
    }

    /// Takes what is left of the input out of `storage`.
    #[inline]
    pub(super) fn leave_in(&mut self, storage: &mut Storage) {
        if self.has(Self::HERE) && storage.len() > 0 {
            let (kept, at) = storage.keep();
            let rare = self.rare_mut();
            (rare.kept, rare.at) = (kept, at);
        }
        if self.has(Self::HERE) && storage.tail > 0 {
            self.rare_mut().tail = mem::take(&mut storage.tail);
        }
        self.set(Self::HERE, false);
        storage.end_turn();
    }

    /// Takes what waits to go out out of `storage`.
    #[inline]
    pub(super) fn leave_out(&mut self, sender: &mut Sender, storage: &mut Storage) {
        match (self.has(Self::LENT), sender.queued()) {
            (true, 0) => {
                let mut outbox = Vec::new();
                sender.swap_outbox(&mut outbox);
                storage.take_back(outbox);
                self.set(Self::LENT, false);
            }
            (lent, queued) => self.keep_outbox(sender, storage, lent, queued),
        }
    }

    #[inline(never)]
    fn keep_outbox(&mut self, sender: &mut Sender, storage: &mut Storage, lent: bool, queued: usize) {
        match (lent, queued) {
            // An own one that has served.
            (false, 0) => {
                let mut spent = Vec::new();
                sender.swap_outbox(&mut spent);
                if (1..=MOST_MOVED).contains(&spent.capacity()) && storage.outboxes.len() < MOST_SPARE {
                    storage.outboxes.push(spent);
                }
            }
            (true, _) if sender.outbox_capacity() <= MOST_GIVEN => {
                storage.outbox = storage.outboxes.pop().unwrap_or_default();
            }
            (true, ..=MOST_MOVED) => {
                let mut own = storage.outboxes.pop().unwrap_or_default();
                own.reserve(queued);
                sender.swap_outbox(&mut own);
                storage.take_back(own);
            }
            // A large one it keeps, or has kept.
            _ => {}
        }
        self.set(Self::LENT, false);
    }
}

/// How long an end is waited for that has no deadline of its own: as long as a closing handshake may take.
fn patience(sender: &Sender) -> Duration {
    sender.close_timeout().unwrap_or(LINGER)
}

/// Writes until the transport takes less than it is offered; whether all is written.
#[cfg(feature = "std")]
#[inline]
pub(super) fn write_all(mut outbound: impl Buf, mut transport: impl std::io::Write) -> std::io::Result<bool> {
    use std::io::{ErrorKind, IoSlice};
    loop {
        let remaining = outbound.remaining();
        if remaining == 0 {
            return Ok(true);
        }
        let chunk = outbound.chunk();
        let first = chunk.len();
        let (written, offered) = if first == remaining {
            // To a socket, a slice alone is written at less cost.
            (transport.write(chunk), remaining)
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = outbound.chunks_vectored(&mut slices);
            (transport.write_vectored(&slices[..count]), slices[..count].iter().map(|slice| slice.len()).sum())
        };
        match written {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                outbound.advance(n);
                // A stream that takes less than it is offered takes no more (epoll(7), question 9), unless it takes one slice
                // at a time.
                if n < offered && n != first {
                    return Ok(false);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
