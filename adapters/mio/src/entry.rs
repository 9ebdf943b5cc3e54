//! A connection as its worker holds it: the protocol, the socket, the application's state, and what is known of them.

mod reading;
mod writing;

use crate::command::{Act, Audience, Cause, Id, Sent};
use crate::dial::Dialing;
use crate::handler::Answer;
use crate::mailbox::Shared;
use crate::pool::Session;
use crate::stats::Stats;
use crate::stream::Stream;
use crate::topics::{Subscriptions, Topics};
use crate::work;
use sockless::bytes::BytesMut;
use sockless::driver::Answers;
use sockless::{Connection, Prepared, SendError, State};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where the application's state is.
pub(crate) enum Place<S> {
    Here(S),
    /// With the pool, and what the pool has still to do with it.
    Pool(Arc<Session<S>>),
}

/// All that a connection at rest takes.
pub(crate) struct Entry<S> {
    pub(crate) connection: Connection,
    pub(crate) stream: Stream,
    pub(crate) place: Place<S>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) id: Id,
    /// The tick of the wheel that it waits for; 0 is none.
    pub(crate) armed: u32,
    /// The tick at which it is waited for no more; 0 is none.
    pub(crate) patience: u32,
    /// What the handler has answered from within reading: a server waits with reading until that has gone out.
    pub(crate) answers: Answers,
    /// Bytes of messages from the mailbox that others have not been told the fate of: that they are queued, or have gone out.
    pub(crate) taken: u32,
    pub(crate) flags: Flags,
    /// When something was read that the connection has not been told the time of.
    pub(crate) heard: Option<Duration>,
    /// Client: there is no socket yet, but those that try to connect.
    pub(crate) dialing: Option<Box<Dialing>>,
    /// Why writing has failed.
    pub(crate) broken: Option<Box<io::Error>>,
    /// The rest of a read, which stopped being wanted within it.
    pub(crate) held: Option<Box<BytesMut>>,
}

/// Facts about an entry, one each.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flags {
    /// There may be bytes to read.
    pub(crate) readable: bool,
    /// The socket has told that its end is near, so bytes are read up to it.
    pub(crate) read_closed: bool,
    /// The socket takes no more, until it tells.
    pub(crate) blocked: bool,
    /// The handler has paused reading.
    pub(crate) paused: bool,
    /// The pool has enough to do with it.
    pub(crate) stalled: bool,
    /// The handler has its request, and has not answered it.
    pub(crate) asked: bool,
    /// The handler has been told that it is open; that it has ended.
    pub(crate) opened: bool,
    pub(crate) told: bool,
    /// Messages may be compressed.
    pub(crate) compressed: bool,
    /// The handler has been told that much waits.
    pub(crate) pressed: bool,
    /// Other threads have been told that something waits.
    pub(crate) published: bool,
    /// The outbox is the worker's.
    pub(crate) lent: bool,
    /// It is in the worker's list of those to look after at the end of the turn.
    pub(crate) dirty: bool,
    /// It is in the worker's list of those to be read in the next turn.
    pub(crate) again: bool,
    /// The connection was open when it was told the time, and nothing but messages has come since.
    pub(crate) timed: bool,
    /// The write side is shut down.
    pub(crate) shut: bool,
    /// The socket is of no more use.
    pub(crate) dead: bool,
    /// It counts in the table of addresses.
    pub(crate) admitted: bool,
}

/// Messages for others, to be delivered when the handler has returned.
#[derive(Default)]
pub(crate) struct Deliveries {
    list: Vec<(Audience, Prepared)>,
    /// What they take, in bytes.
    bytes: usize,
}

impl Deliveries {
    /// Bytes beyond which no more are taken, as in a mailbox.
    const MOST: usize = 64 << 20;

    /// Takes one, unless too many wait.
    pub(crate) fn push(&mut self, audience: Audience, message: &Prepared) -> bool {
        let has_room = self.bytes <= Self::MOST;
        if has_room {
            self.bytes += audience.cost(message);
            self.list.push((audience, message.clone()));
        }
        has_room
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them.
    pub(crate) fn take(&mut self) -> Vec<(Audience, Prepared)> {
        self.bytes = 0;
        std::mem::take(&mut self.list)
    }

    /// Takes their list back for its room, unless it was much.
    pub(crate) fn give_back(&mut self, list: Vec<(Audience, Prepared)>) {
        if list.capacity() <= 1024 {
            self.list = list;
        }
    }
}

/// What a worker has besides its connections, for those who hold one of them.
pub(crate) struct Local<S> {
    pub(crate) worker: u16,
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) topics: Topics,
    pub(crate) deliveries: Deliveries,
    /// Those to look after at the end of the turn.
    pub(crate) dirty: Vec<u32>,
    pub(crate) stats: Stats,
    pub(crate) now: Duration,
    /// Connections of clients that are not open WebSockets yet, or never will be, and those that are, or were.
    pub(crate) handshakes: usize,
    pub(crate) websockets: usize,
    pub(crate) max_websockets: usize,
    /// Bytes that waited to go out when the connection's answers were last noted.
    pub(crate) queued: usize,
    /// What this turn of a connection has cost so far; see [`work`](crate::work).
    pub(crate) work: usize,
    /// Nothing was read behind the message that a handler was called for last.
    pub(crate) last: bool,
    /// Lent to whichever connection is busy.
    pub(crate) outbox: Vec<u8>,
    /// Outboxes of connections whose answers have gone out, for the next that have to wait.
    pub(crate) spares: Vec<Vec<u8>>,
    /// An answer of the handler's that could not be written.
    pub(crate) mistake: Option<SendError>,
}

impl<S> Local<S> {
    /// Charges the turn of the connection whose handler has a message for others, for each of them.
    pub(crate) fn charge_for(&mut self, audience: &Audience) {
        let receivers = match &audience.topic {
            Some(topic) => self.topics.count(topic),
            None => self.stats.open as usize,
        };
        self.work += work::EVENT * receivers.max(1);
    }
}

/// Bytes; while fewer wait, one read's messages are gone on with before they are written: a system call for each would
/// cost more than the copy.
const MOST_GATHERED: usize = 512 << 10;

impl<S> Entry<S> {
    #[inline]
    pub(crate) fn state(&self) -> &S {
        match &self.place {
            Place::Here(state) => state,
            Place::Pool(_) => unreachable!("the handler runs in the pool"),
        }
    }

    #[inline]
    pub(crate) fn state_mut(&mut self) -> &mut S {
        match &mut self.place {
            Place::Here(state) => state,
            Place::Pool(_) => unreachable!("the handler runs in the pool"),
        }
    }

    /// What becomes of a message, for the caller and the statistics.
    #[inline]
    pub(crate) fn outcome(&self, local: &mut Local<S>, sent: Result<(), SendError>) -> Result<Sent, SendError> {
        sent?;
        local.stats.messages_sent += 1;
        Ok(if self.flags.blocked { Sent::Queued } else { Sent::Now })
    }

    /// Has it looked after at the end of the turn.
    pub(crate) fn touch(&mut self, local: &mut Local<S>) {
        if !self.flags.dirty {
            self.flags.dirty = true;
            local.dirty.push(self.id.key);
        }
    }

    /// Whether reading is wanted, and may bring something.
    pub(crate) fn may_read(&self) -> bool {
        (self.flags.readable || self.held.is_some()) && self.dialing.is_none() && self.wants_input()
    }

    fn wants_input(&self) -> bool {
        !self.is_unread() && self.connection.wants_read() && !self.answers.pause(self.connection.sender())
    }

    /// Whether the handler takes nothing for now, so that the peer is not read.
    ///
    /// A pause holds while the connection is not closing: then its end has to be heard. What the pool has to catch up with
    /// holds in any case, or more would pile up before it; it ends by itself. And a peer that has hung up cannot be waited
    /// for, see [`is_left`](Self::is_left).
    fn is_unread(&self) -> bool {
        self.flags.stalled || self.flags.paused && !self.is_closing()
    }

    /// Whether deadlines count. A peer that is not read cannot answer a ping, but nobody waits for ever for its end.
    pub(crate) fn is_timed(&self) -> bool {
        !(self.flags.paused || self.flags.stalled) || self.is_closing()
    }

    /// Whether the peer has hung up while the handler has paused. How it ended lies behind all that it sent, which a
    /// handler that resumes in time gets.
    pub(crate) fn is_left(&self) -> bool {
        self.flags.read_closed && self.flags.paused && !self.is_closing()
    }

    fn is_closing(&self) -> bool {
        matches!(self.connection.state(), State::Closing | State::Closed)
    }

    /// Whether nothing has happened since it was told the time but messages, and all that was said has gone out: no
    /// deadline has come nearer then.
    #[inline]
    pub(crate) fn is_at_ease(&self) -> bool {
        let Flags { timed, told, pressed, published, dead, .. } = self.flags;
        timed
            && !(told | pressed | published | dead)
            && self.is_timed()
            && self.broken.is_none()
            && self.taken == 0
            && self.queued() == 0
            && self.connection.state() == State::Open
    }

    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.connection.queued()
    }

    /// Does what other threads, or the handler, have asked for; not the calls of a handler.
    pub(crate) fn act(&mut self, local: &mut Local<S>, act: Act<S>) {
        match act {
            Act::Send(parcel, cause) => {
                self.taken = self.taken.saturating_add(parcel.cost());
                let queued = self.queued();
                let sent = parcel.send(&mut self.connection);
                if cause == Cause::Heard {
                    self.answers.note(self.connection.sender(), queued);
                }
                if self.outcome(local, sent).is_err() {
                    local.stats.dropped += 1;
                }
            }
            Act::Close(code, reason) => {
                if self.connection.close(code, &reason).is_err() && !self.is_closing() {
                    local.shared.mailboxes[usize::from(self.id.worker)].goes_on(self.id.key);
                }
            }
            Act::Abort(code) => self.connection.abort(code),
            Act::Pause => self.flags.paused = true,
            Act::Resume => self.flags.paused = false,
            Act::Unstall => self.flags.stalled = false,
            Act::Subscribe(topic) => {
                if self.flags.opened && !self.flags.told || self.connection.state() == State::Connecting {
                    local.topics.subscribe(self.id.key, &mut self.subscriptions, &topic);
                }
            }
            Act::Unsubscribe(topic) => {
                local.topics.unsubscribe(self.id.key, &mut self.subscriptions, &topic);
            }
            Act::Limits(limits) => self.connection.set_limits(limits),
            Act::Answer(answer) => self.answer(local, *answer),
            Act::Run(_) => unreachable!("a call of the handler's"),
        }
        self.touch(local);
    }

    fn answer(&mut self, local: &mut Local<S>, answer: Answer) {
        self.flags.asked = false;
        let written = match answer {
            Answer::Accept(_) if self.flags.admitted && local.websockets >= local.max_websockets => {
                local.stats.refused += 1;
                self.connection.reject(503, &[("Content-Type", "text/plain")], b"no room for another connection\n")
            }
            Answer::Accept(accept) => self.connection.accept(accept),
            Answer::Reject { status, headers, body } => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
                self.connection.reject(status, &headers, &body)
            }
        };
        if let Err(error) = written {
            local.mistake = Some(error);
            // There may be no request any more: it has been given up.
            _ = self.connection.reject(500, &[], b"");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ENTRY;

    #[test]
    fn deliveries_of_nothing_are_bounded() {
        let mut deliveries = Deliveries::default();
        let empty = Prepared::binary(b"");
        while deliveries.push(Audience { topic: None, except: None }, &empty) {}
        assert_eq!(deliveries.list.len(), Deliveries::MOST / ENTRY + 1);
        assert_eq!(deliveries.take().len(), Deliveries::MOST / ENTRY + 1);
        assert!(deliveries.push(Audience { topic: None, except: None }, &empty));
    }
}
