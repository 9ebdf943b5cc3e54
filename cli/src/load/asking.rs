//! The messages of one connection: which is to be sent when, and what its answer says.

use super::tally::{Notes, Tally};
use super::timed::ReadAt;
use sockless::{Message, SharedConfig};
use sockless_tokio::{Error, Replies};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// What every connection does. All times are since the start.
pub(super) struct Plan {
    pub(super) config: SharedConfig,
    pub(super) message: Message<'static>,
    pub(super) in_flight: usize,
    /// The time between two messages of one connection, where they have a schedule.
    pub(super) period: Option<Duration>,
    pub(super) start: Instant,
    /// When the last message is to be sent.
    pub(super) end: Duration,
}

/// How long answers are waited for behind the last message.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why it fails where a server speaks first.
pub(super) const UNASKED: &str = "answer to nothing";

/// One connection's part of it.
pub(super) struct Asking<'a> {
    pub(super) plan: &'a Plan,
    notes: Notes<'a>,
    read_at: ReadAt,
    /// When each message that has no answer yet was to be sent.
    asked: VecDeque<Duration>,
    /// When the next is to be sent, where there is a schedule.
    next: Duration,
}

/// Why no more answers are taken.
pub(super) enum Stop {
    /// There is something to do at another time than was waited for.
    Wake,
    Failed(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(lost(&error))
    }
}

impl<'a> Asking<'a> {
    /// `next` is when the first message is to be sent.
    pub(super) fn new(plan: &'a Plan, tally: &'a Tally, read_at: ReadAt, next: Duration) -> Self {
        let asked = VecDeque::with_capacity(plan.in_flight.min(1024));
        Self { plan, notes: Notes::new(tally), read_at, asked, next }
    }

    /// Whether a message is to be sent now, as it is then.
    pub(super) fn begins(&mut self, now: Duration) -> bool {
        let due = if self.plan.period.is_some() { self.next } else { now };
        let begins = self.has_room() && due <= now && due < self.plan.end;
        if begins {
            self.next = due + self.plan.period.unwrap_or_default();
            self.asked.push_back(due);
            self.notes.sent();
        }
        begins
    }

    /// How long answers are waited for, when all has been sent that was to be; if they are, and nothing more is to be sent.
    pub(super) fn wake(&self, now: Duration) -> Option<Duration> {
        let due = if self.plan.period.is_some() { self.next } else { now };
        match due < self.plan.end {
            // With room for more, the next message may be due before an answer comes.
            true if self.has_room() => Some(self.next),
            false if self.asked.is_empty() => None,
            _ => Some(self.plan.end + PATIENCE),
        }
    }

    fn has_room(&self) -> bool {
        self.asked.len() < self.plan.in_flight
    }

    /// Takes an answer, and sends what is to be sent then. `wake` is until when others are waited for.
    ///
    /// # Errors
    /// There is something else to do than to wait so, or the answer is wrong.
    #[inline]
    pub(super) fn answered(
        &mut self,
        answer: &Message<'_>,
        requests: &mut Replies<'_>,
        wake: Duration,
    ) -> Result<(), Stop> {
        let now = self.read_at.get();
        let due = self.asked.pop_front().ok_or_else(|| Stop::Failed(UNASKED.into()))?;
        if answer.len() != self.plan.message.len() {
            return Err(Stop::Failed("answer of another length".into()));
        }
        self.notes.answered(now.saturating_sub(due), now);
        while self.begins(now) {
            requests.feed((&self.plan.message).into())?;
        }
        if self.wake(now) == Some(wake) { Ok(()) } else { Err(Stop::Wake) }
    }

    /// What has no answer by now has none.
    pub(super) fn give_up(&mut self) {
        let plan = self.plan;
        let waiting =
            plan.period.filter(|_| self.next < plan.end).map_or(0, |period| steps(plan.end - self.next, period));
        self.notes.failed_often("not answered", self.asked.len() as u64);
        self.notes.failed_often("not sent, as those before were not answered", waiting);
    }
}

/// By what a connection was lost, in words that many share.
pub(super) fn lost(error: &Error) -> String {
    match error {
        Error::Io(error) => error.kind().to_string(),
        error => error.to_string(),
    }
}

/// How many steps of a period begin in a time.
fn steps(time: Duration, period: Duration) -> u64 {
    time.as_nanos().div_ceil(period.as_nanos().max(1)) as u64
}
