//! The writing side of a connection in halves, and how they share it.

use crate::alarm::{Alarm, Place};
use crate::reading::Reading;
use crate::round_trip::Sent;
use crate::writing::{Side, Writing};
use sockless::driver::{self, Error, Next, Storage, lent};
use sockless::seen::Life;
use sockless::{Close, Code, Fact, ProtocolError, SendError};
use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake};
use std::time::Duration;
use tokio::io::AsyncWrite;

/// What the receiver is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Turn {
    Read,
    /// Wait until more has gone out.
    Wait,
    /// The transport is to be dropped.
    Over,
}

/// What the halves share: the writing side, and small facts on their way to it.
pub(super) struct Shared<W> {
    /// Locked for as long as it takes to hand bytes to the transport, never while waiting for it.
    side: Mutex<Side<driver::Writing, W>>,
    /// What the receiver has found while a sender was at work.
    facts: Mutex<VecDeque<Fact>>,
    /// Bytes that the receiver has heard; deadlines depend on it.
    heard: AtomicU64,
    /// A sender has left something to be written since the receiver looked.
    fed: AtomicBool,
    /// What the receiver is to do, as the last turn left it.
    turn: AtomicU8,
    /// The time is to be judged by the receiver, which knows what there was to be read.
    due: AtomicBool,
    /// Why the connection has failed.
    failed: OnceLock<ProtocolError>,
    /// What the peer's close frame said.
    close: OnceLock<Close<'static>>,
    alarm: Arc<Alarm>,
}

/// How many facts may wait before the receiver waits for the sender: enough that it never happens but to a flood.
const MOST_FACTS: usize = 64;

impl<W> Shared<W> {
    pub(super) fn new(side: Side<driver::Writing, W>, reading: &Reading, heard: u64) -> Self {
        let alarm = side.writing.alarm().clone();
        // The first to look does a turn.
        alarm.mark();
        let turn = if reading.is_over() { Turn::Over } else { Turn::Read };
        Self {
            side: Mutex::new(side),
            facts: Mutex::default(),
            heard: AtomicU64::new(heard),
            fed: AtomicBool::new(false),
            turn: AtomicU8::new(turn as u8),
            due: AtomicBool::new(false),
            failed: OnceLock::new(),
            close: reading.close().cloned().map_or_else(OnceLock::new, OnceLock::from),
            alarm,
        }
    }
}

impl<W: AsyncWrite + Unpin> Shared<W> {
    /// Does a turn of the writing side if the alarm rang, unless somebody is at it, who then looks again.
    fn turn(&self, storage: &mut Storage) {
        // The second is for who found the lock taken meanwhile.
        for _ in 0..2 {
            if !self.alarm.has_rung() {
                return;
            }
            match self.side.try_lock() {
                Ok(side) => self.turn_locked(side, storage),
                Err(TryLockError::Poisoned(side)) => self.turn_locked(side.into_inner(), storage),
                Err(TryLockError::WouldBlock) => return,
            }
        }
        // What rings within a turn may ring within each: the next is for another poll.
        if self.alarm.has_rung() {
            self.alarm.wake_by_ref();
        }
    }

    /// The writing side, which knows all that the receiver has found.
    pub(super) fn into_side(self) -> Side<driver::Writing, W> {
        self.hand_over(&mut lock(&self.side).writing);
        self.side.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the sender what the receiver has found.
    fn hand_over(&self, writing: &mut Writing<driver::Writing>) {
        for fact in mem::take(&mut *lock(&self.facts)) {
            writing.driver.handle_fact(fact);
        }
    }

    fn turn_locked(&self, mut side: MutexGuard<'_, Side<driver::Writing, W>>, storage: &mut Storage) {
        self.hand_over(&mut side.writing);
        let next = side.turn(storage);
        side.writing.driver.leave(storage);
        self.due.store(side.writing.is_due(), Ordering::Release);
        let turn = match next {
            Some(Next { close: true, .. }) => Turn::Over,
            None | Some(Next { read: true, .. }) => Turn::Read,
            _ => Turn::Wait,
        };
        self.leave(side, turn);
    }

    /// Leaves the writing side, and wakes the receiver if it has something else to do now.
    fn leave(&self, side: MutexGuard<'_, Side<driver::Writing, W>>, turn: Turn) {
        // The end is final.
        let changed = !self.is_over() && self.turn.swap(turn as u8, Ordering::AcqRel) != turn as u8;
        drop(side);
        if changed {
            self.alarm.wake_by_ref();
        }
    }

    /// Does something to the writing side as a sender, which waits for others at it.
    #[inline]
    pub(super) fn with<T>(&self, command: impl FnOnce(&mut Writing<driver::Writing>) -> T) -> T {
        let mut side = lock(&self.side);
        // A close that the receiver has seen comes before what is sent now.
        if self.alarm.rings() {
            self.hand_over(&mut side.writing);
        }
        let result = command(&mut side.writing);
        drop(side);
        if self.alarm.has_rung() {
            lent(|storage| self.turn_for_receiver(storage));
        }
        result
    }

    /// Does a turn as a sender, which leaves it to the receiver to judge the time.
    #[inline(never)]
    fn turn_for_receiver(&self, storage: &mut Storage) {
        self.turn(storage);
        if self.is_due() {
            self.alarm.wake_reader();
        }
    }

    /// Waits until it is written, all of it or so much that little waits.
    #[inline]
    pub(super) fn poll_drained(&self, cx: &mut Context<'_>, place: &mut Place, all: bool) -> Poll<Result<(), Error>> {
        let side = lock(&self.side);
        match all || side.writing.is_high() {
            true => lent(|storage| self.poll_written(cx, place, side, storage)),
            false => Poll::Ready(Ok(())),
        }
    }

    #[inline(never)]
    fn poll_written(
        &self,
        cx: &mut Context<'_>,
        place: &mut Place,
        mut side: MutexGuard<'_, Side<driver::Writing, W>>,
        storage: &mut Storage,
    ) -> Poll<Result<(), Error>> {
        let mut poll = side.poll_flush(storage);
        if poll.is_pending() {
            place.wait(&self.alarm, cx.waker());
            // It may have rung before it knew whom to wake.
            poll = side.poll_flush(storage);
        }
        // Whether much or little waits, and whether a close frame is out, is the receiver's to know.
        self.turn_locked(side, storage);
        self.turn_for_receiver(storage);
        if poll.is_pending() && self.is_due() {
            // The peer takes nothing, which it must not do for ever, whether or not anybody receives.
            self.judge(self.heard.load(Ordering::Relaxed), storage);
        }
        match poll {
            Poll::Pending if self.is_over() => Poll::Ready(Err(match self.failure() {
                Some(error) => error.into(),
                None => self.closed().unwrap_or(ProtocolError::CloseTimeout.into()),
            })),
            poll => poll,
        }
    }

    /// Waits for the pong of a ping that is sent, which the receiver finds.
    pub(super) fn poll_answered(
        &self,
        cx: &mut Context<'_>,
        place: &mut Place,
        sent: Sent,
    ) -> Poll<Result<Duration, Error>> {
        // Known to the alarm first, or what comes meanwhile would wake nobody.
        place.wait(&self.alarm, cx.waker());
        match self.alarm.asked_after().round_trip(sent) {
            Some(time) => Poll::Ready(Ok(time)),
            None if self.is_over() => Poll::Ready(Err(match self.failure() {
                Some(error) => error.into(),
                None => self.closed().unwrap_or(SendError::Closing.into()),
            })),
            None => Poll::Pending,
        }
    }

    /// Has the time judged by what was heard when there was no more to be read, if it is due; whether the peer is silent.
    pub(super) fn judge(&self, heard: u64, storage: &mut Storage) -> bool {
        let mut side = lock(&self.side);
        self.hand_over(&mut side.writing);
        let mut silent = false;
        if side.writing.is_due() {
            let now = side.writing.out.now();
            match side.writing.driver.judge(heard, now) {
                Ok(found) => silent = found,
                Err(error) => self.fail(error),
            }
        }
        self.turn_locked(side, storage);
        silent
    }

    /// The connection has failed; the first reason counts.
    pub(super) fn fail(&self, error: ProtocolError) {
        _ = self.failed.set(error);
    }

    /// Why the connection has failed.
    pub(super) fn failure(&self) -> Option<ProtocolError> {
        self.failed.get().copied()
    }

    /// What the peer has said at its end, unless this end began to close.
    pub(super) fn closed(&self) -> Option<Error> {
        let close = self.close.get()?;
        let closes = lock(&self.side).writing.closes();
        (!closes).then(|| Error::Closed(Box::new(close.clone())))
    }

    pub(super) fn is_due(&self) -> bool {
        self.due.load(Ordering::Acquire)
    }

    fn is_over(&self) -> bool {
        self.turn.load(Ordering::Acquire) == Turn::Over as u8
    }

    /// Ends the connection without waiting for anything.
    pub(super) fn abort(&self, code: Code) {
        let mut side = lock(&self.side);
        side.writing.abort(code);
        lent(|storage| {
            _ = side.poll_flush(storage);
            side.writing.driver.leave(storage);
        });
        self.leave(side, Turn::Over);
    }

    /// A sender has left something that the receiver is to write the next time that it does anything.
    pub(super) fn feed(&self) {
        self.fed.store(true, Ordering::Release);
    }

    pub(super) fn alarm(&self) -> &Arc<Alarm> {
        &self.alarm
    }

    // ---- the receiver's

    /// Leaves a fact for whoever is at the writing side, or is there next.
    pub(super) fn tell(&self, fact: Fact) {
        let mut facts = lock(&self.facts);
        facts.push_back(fact);
        let flood = facts.len() > MOST_FACTS;
        drop(facts);
        self.alarm.mark();
        if flood {
            self.hand_over(&mut lock(&self.side).writing);
        }
    }

    pub(super) fn take_life(&self) -> Life {
        mem::take(&mut lock(&self.side).writing.out.life)
    }

    pub(super) fn handle_close(&self, close: &Close<'static>) {
        _ = self.close.set(close.clone());
    }

    /// Does a turn for the receiver, which has heard so many bytes; what it is to do.
    pub(super) fn receiver_turn(&self, heard: u64, storage: &mut Storage) -> Turn {
        self.heard.store(heard, Ordering::Relaxed);
        if self.fed.load(Ordering::Acquire) && self.fed.swap(false, Ordering::AcqRel) {
            self.alarm.mark();
        }
        self.turn(storage);
        match self.turn.load(Ordering::Acquire) {
            turn if turn == Turn::Read as u8 => Turn::Read,
            turn if turn == Turn::Over as u8 => Turn::Over,
            _ => Turn::Wait,
        }
    }

    /// Whether the alarm rang since the last turn. Who is at the writing side looks when leaving it.
    pub(super) fn must_look_again(&self) -> bool {
        self.alarm.has_rung() && !matches!(self.side.try_lock(), Err(TryLockError::WouldBlock))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
