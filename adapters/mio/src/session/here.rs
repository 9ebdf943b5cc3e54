//! A session as it is lent to the application for the time of a call, and what it tells and is told.

use super::local::Local;
use super::seat::{Phase, Place, Seat, Snapshot};
use crate::call::Call;
use crate::closed::{CloseError, Closed};
use crate::command::{Act, Audience, Cause, Id, Parcel, Sent};
use crate::mailbox::{Shared, Teller};
use crate::routed::Routed;
use crate::transport::{Counted, Transport, is_eof};
use sockless::addresses::Entry;
use sockless::driver::Turn;
use sockless::seen::{Ended, Refused, refused};
use sockless::{
    Answer, Changes, Code, Event, Message, Prepared, ProtocolError, Reject, Request, Role, SendError, State,
};
use std::borrow::Cow;
use std::sync::Arc;

/// What a message for others costs the turn for each of them, in bytes: as much as an event.
const RECEIVER: usize = 128;

/// The part of what may wait for a peer in which the pool's answers to one turn are to find room.
const POOLED: usize = 8;

/// Who is called for what happens to sessions: the application, of which no more is known here. `S` is what it keeps for each, `T`
/// a task of its own.
pub(crate) trait Calls<S, T> {
    /// A message came. A panic is the caller's to catch.
    fn message(&self, lent: Lent<'_, S, T>, message: Message<'_>);

    /// That call has panicked. Panics are caught.
    fn panicked(&self, lent: Lent<'_, S, T>);

    /// Where a request goes, and by which settings.
    fn routed(&self, request: &mut Request<'_>, is_secure: bool) -> Routed;

    /// Anything happened. Panics are caught.
    fn call(&self, lent: Lent<'_, S, T>, call: Call<'_, T>);
}

/// A session, for the time of a call.
pub(crate) enum Lent<'a, S, T> {
    Here(Here<'a, S, T>),
    Remote(Remote<'a, S, T>),
}

/// A session in the thread of its loop.
pub(crate) struct Here<'a, S, T> {
    pub(crate) turn: Turn<'a>,
    pub(crate) seat: &'a mut Seat<S, T>,
    pub(crate) local: &'a mut Local<T>,
    pub(crate) transport: &'a mut dyn Transport,
}

/// A session of another thread.
pub(crate) struct Remote<'a, S, T> {
    pub(crate) id: Id,
    pub(crate) state: &'a mut S,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) shared: &'a Arc<Shared<T>>,
    /// What its handler was called for.
    pub(crate) cause: Cause,
}

impl<S, T> Remote<'_, S, T> {
    pub(crate) fn act(&self, act: Act<T>) -> Result<Sent, SendError> {
        match (&act, self.snapshot.ready_state) {
            (Act::Send(..) | Act::Close(..), State::Connecting) => Err(SendError::NotOpen),
            // A close may be the answer to the peer's.
            (Act::Send(..), State::Closing | State::Closed) | (Act::Close(..), State::Closed) => {
                Err(SendError::Closing)
            }
            _ => self.shared.act(self.id, act, Teller::Pool),
        }
    }
}

/// What the application, or another thread, has it do.
impl<S, T> Here<'_, S, T> {
    /// The same, for a shorter time.
    #[inline]
    fn reborrow(&mut self) -> Here<'_, S, T> {
        Here { turn: self.turn.reborrow(), seat: self.seat, local: self.local, transport: self.transport }
    }

    /// Sends a message; a long one goes out at once, from where it lies, unless others will follow it.
    #[inline]
    pub(crate) fn send(&mut self, message: &Message<'_>) -> Result<Sent, SendError> {
        let len = message.as_bytes().len();
        let sent = match len < Turn::LEAST_THROUGH || self.seat.blocked {
            true => self.turn.send(message),
            false => self.send_through(message),
        };
        self.turn.charge_sent(len);
        self.outcome(sent)
    }

    /// Sends a message that is left to the connection.
    pub(crate) fn send_own(&mut self, message: Message<'_>) -> Result<Sent, SendError> {
        self.turn.charge_sent(message.len());
        let sent = self.turn.send(message);
        self.outcome(sent)
    }

    #[inline(never)]
    fn send_through(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        let mut counted = Counted::new(self.transport, &mut self.local.stats);
        let sent = self.turn.send_through(message, &mut counted);
        self.seat.blocked = counted.blocked;
        sent
    }

    pub(crate) fn send_parcel(&mut self, parcel: Parcel) -> Result<Sent, SendError> {
        self.turn.charge_sent(parcel.deflated());
        let sent = parcel.send(&mut self.turn);
        self.outcome(sent)
    }

    /// What becomes of a message, for the caller and the statistics.
    #[inline]
    fn outcome(&mut self, sent: Result<(), SendError>) -> Result<Sent, SendError> {
        sent?;
        self.local.stats.messages_sent += 1;
        Ok(if self.seat.blocked { Sent::Queued } else { Sent::Now })
    }

    /// Sends to others, when the call has returned.
    pub(crate) fn spread(&mut self, audience: Audience, message: &Prepared) {
        let Local { shared, worker, .. } = self.local;
        // What a worker that is far behind is not told, it counts neither.
        _ = shared.publish(&audience, message, Some(*worker), Teller::Loop);
        self.turn.charge(RECEIVER * self.local.receivers(&audience).max(1));
        if !self.local.deliveries.push(audience, message) {
            self.local.stats.dropped += 1;
        }
    }

    /// Does what other threads, or the application, have asked for; not the calls.
    pub(crate) fn act(&mut self, act: Act<T>) {
        let Seat { id, subscriptions, phase, .. } = &mut *self.seat;
        let (topics, shared) = (&mut self.local.topics, &self.local.shared);
        match act {
            Act::Send(parcel, _) => {
                self.seat.taken = self.seat.taken.saturating_add(parcel.cost());
                if let Err(error) = self.send_parcel(parcel) {
                    self.local.stats.drop_one(error);
                }
            }
            Act::Close(code, reason) => {
                let goes_on = matches!(self.turn.state(), State::Connecting | State::Open);
                if self.turn.close(code, &reason).is_err() && goes_on {
                    shared.mailboxes[usize::from(id.worker)].goes_on(id.key);
                }
            }
            Act::Abort(code) => {
                self.turn.abort(code);
                // How it ends is the application's own doing, and no failure.
                if self.turn.role() == Role::Server && matches!(phase, Phase::Opening | Phase::Asked) {
                    *phase = Phase::Failed;
                }
            }
            Act::Pause => self.turn.pause(),
            Act::Resume => self.turn.resume(),
            Act::Unstall => self.turn.release(),
            Act::Subscribe(scope, topic) => {
                if *phase == Phase::Open || self.turn.state() == State::Connecting {
                    topics.subscribe(id.key, subscriptions, scope, &topic);
                }
            }
            Act::Unsubscribe(scope, topic) => _ = topics.unsubscribe(id.key, subscriptions, scope, &topic),
            Act::Timer(number, after) => {
                self.seat.timers.set(number, after, self.local.now);
                self.seat.timed = true;
            }
            Act::Parts(parts) => {
                // What follows in this turn is taken the other way.
                self.seat.parts = parts;
                self.turn.end();
            }
            Act::Change(change) => self.turn.change(&mut Changes::new(*change)),
            Act::Answer(answer) => self.answer(*answer),
            Act::Run(_) => unreachable!("a call"),
        }
        self.touch();
    }

    /// Finds out who has sent a request, if a proxy brought it; whether that came over TLS.
    fn identify(&mut self, request: &Request<'_>) -> Result<bool, Reject> {
        let over_tls = self.transport.is_secure();
        if self.seat.counted || self.turn.role() == Role::Client {
            return Ok(over_tls);
        }
        let client = self.local.clients.identify(request.headers(), self.seat.peer, self.transport.take_proxied());
        let client = client.map_err(|error| Reject::new(error.status().unwrap_or(400)))?;
        match self.local.clients.enter(client.address, self.local.now) {
            Entry::Refused => {
                self.local.stats.refused += 1;
                return Err(Reject::new(429));
            }
            entry => self.seat.counted = entry == Entry::Counted,
        }
        if client.address != self.seat.peer {
            self.seat.peer = client.address;
            client.address.into_iter().for_each(|address| self.seat.span.client(address));
        }
        Ok(client.secure.unwrap_or(over_tls))
    }

    fn answer(&mut self, answer: Answer) {
        if self.seat.phase == Phase::Asked {
            self.seat.phase = Phase::Opening;
        }
        let written = match answer {
            Answer::Accept(_) if self.local.websockets >= self.local.max_websockets => {
                self.local.stats.refused += 1;
                refused(Refused::Full);
                self.turn.reject(503, &[("Content-Type", "text/plain")], b"no room for another connection\n")
            }
            answer => {
                if let Answer::Reject(reject) = &answer {
                    refused(Refused::Status(reject.status()));
                }
                self.turn.answer(answer)
            }
        };
        if let Err(error) = written {
            self.local.mistake = Some(error);
            // There may be no request any more: it has been given up.
            _ = self.turn.reject(500, &[], b"");
        }
    }

    /// Has it looked after at the end of the turn.
    pub(crate) fn touch(&mut self) {
        self.seat.touch(self.local);
    }
}

/// What most events are, and goes straight to the application: a message that lies where it was read.
#[inline(always)]
pub(super) fn message<'a, S, T>(event: &Event<'a>, place: &Place<S, T>) -> Option<Message<'a>> {
    // Taken apart and put together: moved, it would be read back from memory before it is written there.
    match (place, event) {
        (Place::Here(_), Event::Text(Cow::Borrowed(text))) => Some(Message::from(*text)),
        (Place::Here(_), Event::Binary(Cow::Borrowed(bytes))) => Some(Message::from(*bytes)),
        _ => None,
    }
}

/// What the application is told.
impl<S: Send + 'static, T> Here<'_, S, T> {
    /// Anything but what [`message`] finds.
    #[cold]
    #[inline(never)]
    pub(super) fn event<C: Calls<S, T>>(mut self, calls: &C, event: Event<'_>) {
        match event {
            Event::Request(mut request) => {
                self.seat.phase = Phase::Asked;
                self.seat.span.path(request.path());
                let secure = match self.identify(&request) {
                    Ok(secure) => secure,
                    Err(reject) => {
                        self.answer(reject.into());
                        return self.answered(calls);
                    }
                };
                let Routed { number, config, parts } = calls.routed(&mut request, secure);
                let other = secure != self.transport.is_secure();
                let config = config.or_else(|| other.then(|| self.local.configs[usize::from(secure)].clone()));
                (self.seat.route, self.seat.parts) = (number, parts);
                let request = match config {
                    Some(config) => self.turn.reconfigure(request, config).expect("it waits for its answer"),
                    None => request,
                };
                // What the settings of its route were changed to.
                self.local.changes.iter_mut().for_each(|changes| self.turn.change(changes));
                self.call(calls, Call::Request(request));
                self.answered(calls);
            }
            Event::Open(response) => {
                self.call(calls, Call::Response(response));
                self.answered(calls);
            }
            Event::Rejected(response) => {
                let error = CloseError::Rejected(response.status());
                self.call(calls, Call::Response(response));
                self.end(calls, Closed::abnormal(Some(error)));
            }
            Event::Piece(piece) => {
                self.local.stats.messages_received += u64::from(piece.last);
                self.call(calls, Call::Piece(piece));
            }
            Event::Ping(payload) => self.call(calls, Call::Ping(payload)),
            Event::Pong(payload) => self.call(calls, Call::Pong(payload)),
            Event::Close(close) => self.end(calls, close.into()),
            event => {
                if let Some(message) = event.into_message() {
                    self.local.stats.messages_received += 1;
                    self.call(calls, Call::Message(message));
                }
            }
        }
    }

    /// A request has perhaps been answered; if so, the connection may be open.
    pub(super) fn answered<C: Calls<S, T>>(&mut self, calls: &C) {
        if let Some(mistake) = self.local.mistake.take() {
            self.call(calls, Call::Error(mistake.into()));
        }
        if matches!(self.seat.phase, Phase::Opening | Phase::Asked) && self.turn.state() == State::Open {
            self.seat.phase = Phase::Open;
            self.seat.timed = true;
            if self.turn.role() == Role::Server {
                (self.local.handshakes, self.local.websockets) = (self.local.handshakes - 1, self.local.websockets + 1);
            }
            self.local.stats.open += 1;
            self.seat.life.open(self.turn.role());
            self.local.stats.opened += 1;
            self.call(calls, Call::Open);
        }
    }

    /// The protocol has ended it; what ended the transport is known better, if that has failed.
    pub(super) fn fail<C: Calls<S, T>>(&mut self, calls: &C, error: ProtocolError) {
        let closed = match self.seat.failure.take() {
            Some(failure) if is_eof(error) => Closed::abnormal(Some((*failure).into())),
            _ => error.into(),
        };
        self.end(calls, closed);
    }

    /// The connection has ended: tells the application, once.
    pub(super) fn end<C: Calls<S, T>>(&mut self, calls: &C, closed: Closed) {
        let was_open = match self.seat.phase {
            Phase::Closed | Phase::Failed => return,
            Phase::Opening | Phase::Asked => false,
            Phase::Open => true,
        };
        self.seat.phase = if was_open { Phase::Closed } else { Phase::Failed };
        let Seat { id, subscriptions, .. } = &mut *self.seat;
        self.local.topics.remove(id.key, subscriptions);
        self.local.stats.open -= u64::from(was_open);
        self.tell_end(was_open, &closed);
        if was_open || self.turn.role() == Role::Client {
            self.call(calls, Call::Close(closed));
        } else if let Some(error) = closed.error {
            self.call(calls, Call::Error(error.into()));
        }
    }

    /// Tells the log of an end.
    fn tell_end(&mut self, was_open: bool, closed: &Closed) {
        match &closed.error {
            Some(CloseError::Protocol(error)) if !was_open && self.turn.role() == Role::Server => {
                refused(Refused::Handshake(error));
            }
            Some(CloseError::Protocol(error)) => self.seat.life.end(closed.code, Ended::Protocol(error)),
            Some(_) => self.seat.life.end(closed.code, Ended::Transport),
            None if closed.code == Code::ABNORMAL => self.seat.life.end(closed.code, Ended::Dropped),
            None => self.seat.life.end(closed.code, Ended::Closing),
        }
    }

    /// Calls the application, here or in the pool.
    #[inline(never)]
    pub(super) fn call<C: Calls<S, T>>(&mut self, calls: &C, call: Call<'_, T>) {
        let Place::Pool(queue) = &self.seat.place else { return calls.call(Lent::Here(self.reborrow()), call) };
        let snapshot = Snapshot {
            peer: self.seat.peer,
            route: self.seat.route,
            tls: self.transport.tls(),
            ready_state: self.turn.state(),
            counters: self.turn.counters(),
            span: self.seat.span.clone(),
        };
        let certificates = snapshot.tls.iter().flat_map(|tls| &tls.certificates).map(Vec::len).sum::<usize>();
        let len = call.len();
        if queue.clone().push((call.into_owned(), snapshot), len + certificates) {
            self.turn.hold();
        }
        // What the pool answers meanwhile is seen in a later turn, and is to find room then.
        self.local.pooled += RECEIVER + len;
        if self.local.pooled > (128 << 10).min(self.local.shared.hard / POOLED) {
            self.turn.end();
        }
    }

    /// Tells the application when the peer has begun to take less than it is sent, and when all has gone; and other threads what
    /// waits.
    pub(super) fn press<C: Calls<S, T>>(&mut self, calls: &C, held: bool) {
        let queued = self.turn.queued();
        let Seat { id, taken, published, .. } = &mut *self.seat;
        if queued > 0 || *published || *taken > 0 {
            *published = queued > 0;
            let taken = std::mem::take(taken);
            self.local.shared.mailboxes[usize::from(id.worker)].set_queued(id.key, queued, taken);
        }
        // A peer that now takes much and now nothing gives the pool no more to do than it has.
        if self.seat.phase != Phase::Open || held {
            return;
        }
        // More than the soft limit waits, or the peer would be read.
        let pressed = queued > 0 && (self.seat.pressed || self.turn.is_high());
        if pressed != self.seat.pressed {
            self.seat.pressed = pressed;
            self.call(calls, if pressed { Call::Backpressure } else { Call::Drain });
            self.touch();
        }
    }
}
