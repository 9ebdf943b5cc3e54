//! The end of a worker: its peers are told over a time, and have some more to close.

use super::Worker;
use super::leaving::Leaving;
use crate::call::Call;
use crate::handler::Handler;
use crate::report::Report;
use crate::session::Phase;
use sockless::Drain;
use std::sync::Arc;

impl<H: Handler> Worker<H> {
    pub(super) fn shut_down(&mut self, drain: Arc<Drain>) {
        let now = self.local.now;
        self.stop_at = Some(now.saturating_add(drain.end()));
        self.listeners.clear();
        let workers = self.local.shared.mailboxes.len() as u64;
        let mut left = Vec::new();
        let keys: Vec<_> = self.entries.iter().map(|(key, _)| key).collect();
        for key in keys {
            let seat = &self.entries[key].session.seat;
            match seat.phase {
                // No two workers have the same number, nor two connections of one.
                Phase::Open => {
                    let number = key as u64 * workers + u64::from(seat.id.worker);
                    left.push((now.saturating_add(drain.delay(number)), seat.id));
                }
                Phase::Closed => {}
                _ => self.close(key),
            }
        }
        self.leaving = Some(Leaving::new(drain, left));
        self.take_leave();
    }

    /// Tells those whose time has come.
    pub(super) fn take_leave(&mut self) {
        let Some(mut leaving) = self.leaving.take() else { return };
        while let Some(id) = leaving.due(self.local.now) {
            let active = self.at(id.key as usize).filter(|active| active.session.seat.id == id);
            if let Some(mut active) = active.filter(|active| active.session.seat.phase == Phase::Open) {
                active.call(Call::Shutdown(leaving.drain.clone()));
            }
        }
        self.deliver_all();
        if leaving.next().is_none() {
            self.local.shared.mailboxes[usize::from(self.local.worker)].stop();
        } else {
            self.leaving = Some(leaving);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.stop_at.is_some_and(|at| self.entries.is_empty() || at <= self.started.elapsed())
    }

    /// What became of the connections; those that are left are let go.
    pub(super) fn report(mut self) -> Report {
        let closed = self.closed;
        let mut cut_off = Vec::new();
        let keys: Vec<_> = self.entries.iter().map(|(key, _)| key).collect();
        for key in keys {
            let session = &self.entries[key].session;
            cut_off.push((session.seat.id, session.connection().queued()));
            self.close(key);
        }
        self.local.shared.mailboxes[usize::from(self.local.worker)].stats.store(self.local.stats);
        Report { closed, cut_off }
    }
}
