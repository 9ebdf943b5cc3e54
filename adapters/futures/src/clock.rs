//! Deadlines, by a timer of the caller's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes futures that are ready after a while.
pub(crate) type Timer = Arc<dyn Fn(Duration) -> Sleep + Send + Sync>;

/// The clock of one connection. Without a timer it stands still.
pub(crate) struct Clock {
    started: Instant,
    timer: Option<Timer>,
    /// What is waited for, and until when.
    sleep: Option<(Duration, Sleep)>,
}

impl Clock {
    pub(crate) fn new(timer: Option<Timer>) -> Self {
        Self { started: Instant::now(), timer, sleep: None }
    }

    pub(crate) fn now(&self) -> Duration {
        if self.timer.is_some() { self.started.elapsed() } else { Duration::ZERO }
    }

    /// Ready when that time has come.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, until: Option<Duration>) -> Poll<()> {
        let (Some(until), Some(timer)) = (until, self.timer.clone()) else { return Poll::Pending };
        loop {
            let now = self.now();
            if until <= now {
                return Poll::Ready(());
            }
            // With traffic deadlines move away: one alarm for many of them costs less than one for each.
            if self.sleep.as_ref().is_none_or(|(at, _)| *at > until) {
                self.sleep = Some((until, timer(until - now)));
            }
            if let Some((_, sleep)) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
            }
            self.sleep = None;
        }
    }
}
