//! A session without its socket: a driver, the application's state and its subscriptions. Bytes go in, calls and bytes come out.

mod here;
mod local;
mod seat;
mod timers;

use crate::call::Call;
use crate::closed::Closed;
use crate::command::{Act, Cause};
use crate::routed::Parts;
use crate::transport::{self, Counted, Transport};
use sockless::driver::{Driver, Next, Storage, Turn};
use sockless::{Connection, Event, Prepared};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use here::message;
pub(crate) use here::{Calls, Here, Lent, Remote};
pub(crate) use local::Local;
pub(crate) use seat::{Job, Phase, Place, Seat};

/// A connection from the first byte to the last; `S` is what the application keeps for it, `T` a task of the application's.
pub(crate) struct Session<S, T> {
    pub(crate) driver: Driver,
    pub(crate) seat: Seat<S, T>,
}

/// A session whose turn it is, and what it needs for that.
pub(crate) struct Active<'a, S, T, C, X> {
    pub(crate) session: &'a mut Session<S, T>,
    pub(crate) calls: &'a C,
    pub(crate) local: &'a mut Local<T>,
    pub(crate) storage: &'a mut Storage,
    pub(crate) transport: &'a mut X,
}

impl<S, T> Session<S, T> {
    pub(crate) fn new(connection: Connection, seat: Seat<S, T>) -> Self {
        Self { driver: Driver::new(connection), seat }
    }

    /// The protocol, to look at.
    #[inline]
    pub(crate) fn connection(&self) -> &Connection {
        self.driver.peek()
    }

    /// Sends one of many their message.
    pub(crate) fn deliver(&mut self, local: &mut Local<T>, message: &Prepared) {
        let _entered = self.seat.span.enter();
        match self.driver.connection().send_prepared(message) {
            Ok(()) => local.stats.messages_sent += 1,
            Err(error) => local.stats.drop_one(error),
        }
        self.seat.touch(local);
    }
}

impl<S: Send + 'static, T, C: Calls<S, T>, X: Transport> Active<'_, S, T, C, X> {
    /// As it is lent for a call, between the events of its peer.
    pub(crate) fn here(&mut self) -> Here<'_, S, T> {
        let Session { driver, seat } = &mut *self.session;
        Here { turn: driver.turn(self.storage), seat, local: self.local, transport: self.transport }
    }

    // ---- reading

    /// Reads once if there may be something, and tells the application what came, and what it is time for if a deadline `is_due`.
    #[inline]
    pub(crate) fn read(&mut self, is_due: bool) {
        let _entered = self.session.seat.span.enter();
        self.local.pooled = 0;
        if self.transport.is_readable() {
            let (now, counted) = (self.local.now, Counted::new(self.transport, &mut self.local.stats));
            if let Err(error) = self.session.driver.read(self.storage, counted, || now) {
                self.session.driver.write_failed();
                self.session.seat.failure.get_or_insert(Box::new(error));
            }
        }
        if is_due && !self.transport.is_readable() {
            self.session.driver.received_nothing(self.storage);
        }
        self.tell();
        while self.session.driver.has_more(self.storage) && self.flush() {
            self.tell();
        }
    }

    /// The transport has failed before there was one.
    pub(crate) fn fail(&mut self, error: io::Error) {
        let _entered = self.session.seat.span.enter();
        self.session.seat.failure = Some(Box::new(error));
        self.session.driver.write_failed();
        self.session.driver.received(self.storage, 0, self.local.now);
        self.tell();
    }

    /// Tells the application what has happened, until it is time to write.
    fn tell(&mut self) {
        let Session { driver, seat } = &mut *self.session;
        let (calls, local, transport) = (self.calls, &mut *self.local, &mut *self.transport);
        let now = local.now;
        // Once for all that was read, not for each message: it costs more than it seems.
        let told = catch_unwind(AssertUnwindSafe(|| {
            let parts = seat.parts;
            if parts != Parts::Whole {
                let mut take = |turn: &mut Turn<'_>, event: Event<'_>| {
                    Here { turn: turn.reborrow(), seat, local, transport }.event(calls, event);
                };
                return match parts {
                    Parts::Frames => while_some(|| driver.frame_with(self.storage, now, &mut take)),
                    _ => while_some(|| driver.piece_with(self.storage, now, &mut take)),
                };
            }
            driver.each(self.storage, now, |turn, event| {
                match message(&event, &seat.place) {
                    Some(message) => {
                        // There is nothing to drop, which is not seen here.
                        std::mem::forget(event);
                        local.stats.messages_received += 1;
                        let here = Here { turn: turn.reborrow(), seat, local, transport };
                        calls.message(Lent::Here(here), message);
                    }
                    None => Here { turn: turn.reborrow(), seat, local, transport }.event(calls, event),
                }
            })
        }));
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.here().fail(calls, error),
            Err(_) => {
                let calls = self.calls;
                calls.panicked(Lent::Here(self.here()));
                self.here().touch();
            }
        }
    }

    // ---- what others want of it

    /// Does what another thread has asked for.
    pub(crate) fn act(&mut self, act: Act<T>) {
        let _entered = self.session.seat.span.enter();
        match act {
            Act::Run(task) => self.call(Call::Task(task)),
            Act::Send(_, Cause::Heard) => {
                self.session.driver.answering(self.storage);
                self.here().act(act);
                self.leave();
            }
            Act::Answer(_) => {
                let calls = self.calls;
                let mut here = self.here();
                here.act(act);
                here.answered(calls);
            }
            act => self.here().act(act),
        }
    }

    /// Calls the application, for what is no event of the peer's.
    pub(crate) fn call(&mut self, call: Call<'_, T>) {
        let _entered = self.session.seat.span.enter();
        let calls = self.calls;
        let mut here = self.here();
        here.call(calls, call);
        here.touch();
    }

    /// Calls the application for those of its timers that are due.
    pub(crate) fn ring(&mut self) {
        let seat = &mut self.session.seat;
        if seat.phase != Phase::Open || seat.timers.next().is_none() {
            return;
        }
        seat.timed = true;
        for number in seat.timers.take_due(self.local.now) {
            self.call(Call::Timer(number));
        }
    }

    // ---- writing, and what next

    /// Writes what is outbound, as far as it is taken; whether all is written.
    #[inline]
    pub(crate) fn flush(&mut self) -> bool {
        let Session { driver, seat } = &mut *self.session;
        if seat.blocked {
            return false;
        }
        match transport::write(driver, self.storage, Counted::new(self.transport, &mut self.local.stats)) {
            Ok(all) => {
                seat.blocked = !all;
                all
            }
            Err(error) => {
                seat.failure.get_or_insert(Box::new(error));
                false
            }
        }
    }

    /// Whether nothing has happened but messages, and all that was said has gone out.
    #[inline]
    pub(crate) fn is_at_ease(&self) -> bool {
        let Seat { phase, pressed, published, timed, taken, .. } = self.session.seat;
        self.session.driver.is_settled(self.storage)
            && phase == Phase::Open
            && !(pressed | published | timed)
            && taken == 0
    }

    /// What is to be done with the transport now; the application is told if that takes less than it is given.
    pub(crate) fn next(&mut self) -> Next {
        let _entered = self.session.seat.span.enter();
        let mut next = self.session.driver.next(self.storage, self.local.now);
        let seat = &mut self.session.seat;
        seat.timed = false;
        if seat.phase == Phase::Open {
            next.deadline = next.deadline.into_iter().chain(seat.timers.next()).min();
        }
        // What the application sends then is no answer to the peer.
        self.leave();
        let (calls, held) = (self.calls, self.session.driver.is_held());
        self.here().press(calls, held);
        next
    }

    /// It is another session's turn.
    #[inline]
    pub(crate) fn leave(&mut self) {
        self.session.driver.leave(self.storage);
    }

    /// The transport is closed: the application is told, if it was not.
    pub(crate) fn close(&mut self) {
        let _entered = self.session.seat.span.enter();
        let calls = self.calls;
        self.here().end(calls, Closed::abnormal(None));
        self.leave();
    }
}

/// Goes on as long as there is something.
fn while_some<T, E>(mut next: impl FnMut() -> Result<Option<T>, E>) -> Result<(), E> {
    while next()?.is_some() {}
    Ok(())
}
