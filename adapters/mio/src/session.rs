//! A session without its socket: a driver, the application's state and its subscriptions. Bytes go in, calls and bytes come out.

mod here;
mod local;
mod seat;

use crate::call::Call;
use crate::closed::Closed;
use crate::command::{Act, Cause};
use crate::transport::{self, Counted, Transport};
use sockless::driver::{Driver, Next, Storage};
use sockless::{Code, Connection, Prepared};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) use here::{Calls, Here, Lent, Remote};
pub(crate) use local::Local;
pub(crate) use seat::{Job, Phase, Place, Seat};

/// A connection from the first byte to the last; `S` is what the application keeps for it, `T` a task of the application's.
pub(crate) struct Session<S, T> {
    driver: Driver,
    pub(crate) seat: Seat<S, T>,
}

impl<S: Send + 'static, T> Session<S, T> {
    pub(crate) fn new(connection: Connection, seat: Seat<S, T>) -> Self {
        Self { driver: Driver::new(connection), seat }
    }

    /// The protocol, to look at.
    #[inline]
    pub(crate) fn connection(&self) -> &Connection {
        self.driver.peek()
    }

    /// As it is lent for a call, between the events of its peer.
    pub(crate) fn here<'a>(
        &'a mut self,
        local: &'a mut Local<T>,
        storage: &'a mut Storage,
        transport: &'a mut impl Transport,
    ) -> Here<'a, S, T> {
        Here { turn: self.driver.turn(storage), seat: &mut self.seat, local, transport }
    }

    // ---- reading

    /// Reads once if there may be something, and tells the application what came, and what it is time for if a deadline `is_due`.
    pub(crate) fn read<C: Calls<S, T>>(
        &mut self,
        calls: &C,
        local: &mut Local<T>,
        storage: &mut Storage,
        transport: &mut impl Transport,
        is_due: bool,
    ) {
        local.pooled = 0;
        if transport.is_readable() {
            let now = local.now;
            if let Err(error) = self.driver.read(storage, Counted::new(transport, &mut local.stats), || now) {
                self.driver.write_failed();
                self.seat.failure.get_or_insert(Box::new(error));
            }
        }
        if is_due && !transport.is_readable() {
            self.driver.received_nothing(storage);
        }
        self.tell(calls, local, storage, transport);
        while self.driver.has_more(storage) && self.flush(local, storage, transport) {
            self.tell(calls, local, storage, transport);
        }
    }

    /// The transport has failed before there was one.
    pub(crate) fn fail<C: Calls<S, T>>(
        &mut self,
        calls: &C,
        local: &mut Local<T>,
        storage: &mut Storage,
        transport: &mut impl Transport,
        error: io::Error,
    ) {
        self.seat.failure = Some(Box::new(error));
        self.driver.write_failed();
        self.driver.received(storage, 0, local.now);
        self.tell(calls, local, storage, transport);
    }

    /// Tells the application what has happened, until it is time to write.
    fn tell<C: Calls<S, T>>(
        &mut self,
        calls: &C,
        local: &mut Local<T>,
        storage: &mut Storage,
        transport: &mut impl Transport,
    ) {
        let Self { driver, seat } = self;
        let now = local.now;
        // Once for all that was read, not for each message: it costs more than it seems.
        let told = catch_unwind(AssertUnwindSafe(|| {
            driver.each(storage, now, |turn, event| {
                Here { turn: turn.reborrow(), seat, local, transport }.event(calls, event);
            })
        }));
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.here(local, storage, transport).fail(calls, error),
            Err(_) => {
                local.shared.count_panic();
                self.here(local, storage, transport).act(Act::Abort(Code::INTERNAL_ERROR));
            }
        }
    }

    // ---- what others want of it

    /// Does what another thread has asked for.
    pub(crate) fn act<C: Calls<S, T>>(
        &mut self,
        calls: &C,
        local: &mut Local<T>,
        storage: &mut Storage,
        transport: &mut impl Transport,
        act: Act<T>,
    ) {
        match act {
            Act::Run(task) => self.call(calls, local, storage, transport, Call::Task(task)),
            Act::Send(_, Cause::Heard) => {
                self.driver.answering(storage);
                self.here(local, storage, transport).act(act);
                self.leave(storage);
            }
            Act::Answer(_) => {
                let mut here = self.here(local, storage, transport);
                here.act(act);
                here.answered(calls);
            }
            act => self.here(local, storage, transport).act(act),
        }
    }

    /// Calls the application, for what is no event of the peer's.
    pub(crate) fn call<C: Calls<S, T>>(
        &mut self,
        calls: &C,
        local: &mut Local<T>,
        storage: &mut Storage,
        transport: &mut impl Transport,
        call: Call<'_, T>,
    ) {
        let mut here = self.here(local, storage, transport);
        here.call(calls, call);
        here.touch();
    }

    /// Sends one of many their message.
    pub(crate) fn deliver(&mut self, local: &mut Local<T>, message: &Prepared) {
        match self.driver.connection().send_prepared(message) {
            Ok(()) => local.stats.messages_sent += 1,
            Err(_) => local.stats.dropped += 1,
        }
        if !std::mem::replace(&mut self.seat.dirty, true) {
            local.dirty.push(self.seat.id.key);
        }
    }

    /// The peer has hung up, behind what there is to read.
    pub(crate) fn hung_up(&mut self) {
        self.driver.hung_up();
    }

    // ---- writing, and what next

    /// Writes what is outbound, as far as it is taken; whether all is written.
    #[inline]
    pub(crate) fn flush(
        &mut self,
        local: &mut Local<T>,
        storage: &mut Storage,
        transport: &mut impl Transport,
    ) -> bool {
        if self.seat.blocked {
            return false;
        }
        match transport::write(&mut self.driver, storage, Counted::new(transport, &mut local.stats)) {
            Ok(all) => {
                self.seat.blocked = !all;
                all
            }
            Err(error) => {
                self.seat.failure.get_or_insert(Box::new(error));
                false
            }
        }
    }

    /// Whether nothing has happened but messages, and all that was said has gone out.
    #[inline]
    pub(crate) fn is_at_ease(&self, storage: &Storage) -> bool {
        let Seat { phase, pressed, published, taken, .. } = self.seat;
        self.driver.is_settled(storage) && phase == Phase::Open && !(pressed | published) && taken == 0
    }

    /// What is to be done with the transport now, of which the application is told if it takes less than it is sent.
    pub(crate) fn next<C: Calls<S, T>>(
        &mut self,
        calls: &C,
        local: &mut Local<T>,
        storage: &mut Storage,
        transport: &mut impl Transport,
    ) -> Next {
        let next = self.driver.next(storage, local.now);
        // What the application sends then is no answer to the peer.
        self.leave(storage);
        let held = self.driver.is_held();
        self.here(local, storage, transport).press(calls, held);
        next
    }

    /// It is another session's turn.
    #[inline]
    pub(crate) fn leave(&mut self, storage: &mut Storage) {
        self.driver.leave(storage);
    }

    /// The transport is closed: the application is told, if it was not.
    pub(crate) fn close<C: Calls<S, T>>(
        &mut self,
        calls: &C,
        local: &mut Local<T>,
        storage: &mut Storage,
        transport: &mut impl Transport,
    ) {
        self.here(local, storage, transport).end(calls, Closed::abnormal(None));
        self.leave(storage);
    }
}
