//! What a connection reads, and what its handler is told of it.

use super::{Entry, Local, MOST_GATHERED, Place};
use crate::command::Act;
use crate::conn::Conn;
use crate::handler::{self, Call, CloseError, Closed, Handler};
use crate::pool::Snapshot;
use crate::stream::Received;
use crate::work;
use sockless::bytes::Buf;
use sockless::{Code, Event, Message, Role, State};
use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl<S: Send + 'static> Entry<S> {
    /// Reads once, and tells the handler what came.
    pub(crate) fn read<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, buffer: &mut [u8]) {
        self.lend(local);
        (local.work, local.queued) = (0, self.queued());
        self.read_on(handler, local, buffer);
        self.answers.note(self.connection.sender(), local.queued);
    }

    fn read_on<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, buffer: &mut [u8]) {
        if let Some(mut held) = self.held.take() {
            let left = self.receive(handler, local, &mut held);
            if left > 0 {
                held.advance(held.len() - left);
                self.held = Some(held);
            }
            return;
        }
        // While a large message is under way, the socket fills it where it lies.
        let (received, is_tail) = match self.connection.tail() {
            Some(tail) => (self.stream.read(tail), true),
            None => (self.stream.read(buffer), false),
        };
        match received {
            Ok(Received { len: 0, .. }) => {
                self.flags.readable = false;
                let result = self.connection.receive_eof();
                self.told(handler, local, result);
            }
            Ok(Received { len, more }) => {
                local.stats.bytes_received += len as u64;
                self.heard = Some(local.now);
                self.flags.readable = more || self.flags.read_closed;
                if is_tail {
                    local.last = true;
                    let result = self.connection.receive_tail(len);
                    self.told(handler, local, result);
                } else {
                    let left = self.receive(handler, local, &mut buffer[..len]);
                    if left > 0 {
                        self.held = Some(Box::new(buffer[len - left..len].into()));
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.flags.readable = false,
            // There may be more, but now it is the others' turn.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.fail(handler, local, error),
        }
    }

    /// Takes bytes that were read, or none, to go on with those that the connection holds. How many of them are left, for
    /// reading has stopped being wanted.
    pub(crate) fn receive<H: Handler<State = S>>(
        &mut self,
        handler: &H,
        local: &mut Local<S>,
        input: &mut [u8],
    ) -> usize {
        // Once for all that was read, not for each message: it costs more than it seems.
        let left = catch_unwind(AssertUnwindSafe(|| self.receive_all(handler, local, input)));
        left.unwrap_or_else(|_| {
            local.shared.count_panic();
            self.act(local, Act::Abort(Code::INTERNAL_ERROR));
            0
        })
    }

    fn receive_all<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, mut input: &mut [u8]) -> usize {
        let most = MOST_GATHERED.min(local.shared.hard / 2);
        // What the pool answers meanwhile is seen in a later turn, and is to find room then.
        let turn = match &self.place {
            Place::Here(_) => work::MOST,
            Place::Pool(_) => most / 4,
        };
        // What lies behind the bytes that the connection is given.
        let mut behind: &mut [u8] = &mut [];
        if self.flags.compressed || !self.flags.opened {
            (input, behind) = part(input);
        }
        loop {
            let before = input.len();
            match self.connection.receive(&mut input) {
                Ok(Some(event)) => {
                    local.last = input.is_empty() && behind.is_empty();
                    local.work += work::EVENT + before - input.len();
                    self.event(handler, local, event, before - input.len());
                }
                Ok(None) if behind.is_empty() => return 0,
                Ok(None) => {
                    local.work += work::CODEC * before;
                    (input, behind) = part(behind);
                }
                Err(error) => {
                    self.end(handler, local, error.into());
                    return 0;
                }
            }
            let left = input.len() + behind.len();
            if left > 0 && (local.work > turn || self.has_enough(most)) && self.flags.opened && !self.flags.told {
                self.flush_answers(local);
                if local.work > turn || !self.wants_input() {
                    return left;
                }
            }
        }
    }

    /// Whether more than so much waits to go out, or the handler has paused.
    #[inline]
    fn has_enough(&self, most: usize) -> bool {
        self.queued() > most || self.is_unread()
    }

    /// Writes what waits, from within reading.
    fn flush_answers(&mut self, local: &mut Local<S>) {
        self.answers.note(self.connection.sender(), local.queued);
        self.flush(local);
        local.queued = self.queued();
    }

    /// Takes what a call of the connection's has found.
    fn told<H: Handler<State = S>>(
        &mut self,
        handler: &H,
        local: &mut Local<S>,
        result: Result<Option<Event<'_>>, sockless::ProtocolError>,
    ) {
        match result {
            Ok(Some(event)) => self.any_event(handler, local, event, 0),
            Ok(None) => {}
            Err(error) => self.end(handler, local, error.into()),
        }
    }

    /// What most events are goes straight to the handler: a message that lies where it was read. `taken` bytes were read of
    /// the event.
    #[inline(always)]
    fn event<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, event: Event<'_>, taken: usize) {
        // Taken apart and put together: moved, it would be read back from memory before it is written there.
        let message = match event {
            Event::Text(Cow::Borrowed(text)) => Message::from(text),
            Event::Binary(Cow::Borrowed(bytes)) => Message::from(bytes),
            Event::Unchecked(Cow::Borrowed(text)) => Message::Unchecked(text.into()),
            _ => return self.any_event(handler, local, event, taken),
        };
        // There is nothing to drop, which is not seen here.
        std::mem::forget(event);
        local.stats.messages_received += 1;
        match &self.place {
            Place::Here(_) => handler::deliver(handler, &mut Conn::on_loop(self, local), message),
            Place::Pool(_) => self.call(handler, local, Call::Message(message)),
        }
    }

    #[cold]
    fn any_event<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, event: Event<'_>, taken: usize) {
        let message = match event {
            Event::Text(text) => Message::Text(text),
            Event::Binary(bytes) => Message::Binary(bytes),
            Event::Unchecked(text) => Message::Unchecked(text),
            event => return self.rare_event(handler, local, event),
        };
        local.stats.messages_received += 1;
        local.work += message.as_bytes().len();
        if self.flags.compressed {
            local.work += work::CODEC * taken;
        }
        self.call(handler, local, Call::Message(message));
    }

    fn rare_event<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, event: Event<'_>) {
        self.flags.timed = false;
        match event {
            Event::Request(request) => {
                self.flags.asked = true;
                self.call(handler, local, Call::Request(request));
                self.answered(handler, local);
            }
            Event::Open(response) => {
                self.call(handler, local, Call::Response(response));
                self.answered(handler, local);
            }
            Event::Rejected(response) => {
                let error = CloseError::Rejected(response.status());
                self.call(handler, local, Call::Response(response));
                self.end(handler, local, Closed::abnormal(Some(error)));
            }
            Event::Ping(payload) => {
                local.work += work::PING;
                self.call(handler, local, Call::Ping(payload));
                // The pong goes out at once: the next ping's would take its place.
                self.flush_answers(local);
            }
            Event::Pong(payload) => self.call(handler, local, Call::Pong(payload)),
            Event::Close(close) => self.end(handler, local, close.into()),
            _ => {}
        }
    }

    /// A request has perhaps been answered; if so, the connection may be open.
    pub(crate) fn answered<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>) {
        if let Some(mistake) = local.mistake.take() {
            self.call(handler, local, Call::Error(mistake.into()));
        }
        if !self.flags.opened && self.connection.state() == State::Open {
            self.flags.opened = true;
            if self.flags.admitted {
                (local.handshakes, local.websockets) = (local.handshakes - 1, local.websockets + 1);
            }
            self.flags.compressed = self.connection.negotiated().is_compressed();
            local.stats.open += 1;
            local.stats.opened += 1;
            self.call(handler, local, Call::Open);
        }
    }

    /// The peer has hung up, and nobody has read up to that.
    pub(crate) fn give_up<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>) {
        self.held = None;
        self.flags.readable = false;
        let result = self.connection.receive_eof();
        self.told(handler, local, result);
    }

    /// The socket has failed.
    pub(crate) fn fail<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, error: io::Error) {
        self.flags.dead = true;
        self.flags.readable = false;
        // What the handler is told is the reason of it, unless more is known.
        if let Ok(Some(event)) = self.connection.receive_eof() {
            self.any_event(handler, local, event, 0);
        }
        self.end(handler, local, Closed::abnormal(Some(error.into())));
    }

    /// The connection has ended: tells the handler, once.
    pub(crate) fn end<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, closed: Closed) {
        if std::mem::replace(&mut self.flags.told, true) {
            return;
        }
        local.topics.remove(self.id.key, &mut self.subscriptions);
        local.stats.open -= u64::from(self.flags.opened);
        if self.flags.opened || self.connection.role() == Role::Client {
            self.call(handler, local, Call::Close(closed));
        }
        // A handler may have subscribed once more.
        local.topics.remove(self.id.key, &mut self.subscriptions);
    }

    /// Calls the handler, here or in the pool.
    pub(crate) fn call<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, what: Call<'_, S>) {
        match &self.place {
            Place::Here(_) => handler::call(handler, &mut Conn::on_loop(self, local), what),
            Place::Pool(session) => {
                let snapshot = Snapshot::new(self);
                self.flags.stalled |= session.clone().push(what.into_owned(), snapshot);
            }
        }
    }

    /// Tells the handler when the peer has begun to take less than it is sent, and when all has gone.
    pub(crate) fn press<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>) {
        let queued = self.queued();
        if queued > 0 || self.flags.published || self.taken > 0 {
            self.flags.published = queued > 0;
            let taken = std::mem::take(&mut self.taken);
            local.shared.mailboxes[usize::from(self.id.worker)].set_queued(self.id.key, queued, taken);
        }
        // A peer that now takes much and now nothing gives the pool no more to do than it has.
        if self.flags.told || !self.flags.opened || self.flags.stalled {
            return;
        }
        // More than the soft limit waits, or the peer would be read.
        let pressed = queued > 0 && (self.flags.pressed || self.connection.is_high());
        if pressed != self.flags.pressed {
            self.flags.pressed = pressed;
            self.call(handler, local, if pressed { Call::Backpressure } else { Call::Drain });
            self.touch(local);
        }
    }

    /// Tells the connection the time, that of the last read before it, and the handler what came of it.
    pub(crate) fn tell_time<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>) {
        if let Some(heard) = self.heard.take().filter(|heard| *heard < local.now) {
            let result = self.connection.handle_timeout(heard);
            self.told(handler, local, result);
        }
        self.flags.timed = self.connection.state() == State::Open;
        let result = self.connection.handle_timeout(local.now);
        if !matches!(result, Ok(None)) {
            self.told(handler, local, result);
        }
    }
}

/// Of compressed input as much as is taken at once, and the rest.
fn part(input: &mut [u8]) -> (&mut [u8], &mut [u8]) {
    input.split_at_mut(input.len().min(work::MOST_COMPRESSED))
}
