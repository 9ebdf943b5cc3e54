//! What the application does again and again, of no connection.

use std::time::Duration;

/// A task, and when it is next; `A` is what it is called with.
pub(crate) struct Periodic<A> {
    period: Duration,
    next: Duration,
    task: Box<dyn FnMut(&A) + Send>,
}

impl<A> Periodic<A> {
    pub(crate) fn new(period: Duration, task: impl FnMut(&A) + Send + 'static) -> Self {
        Self { period, next: period, task: Box::new(task) }
    }

    pub(super) fn next(&self) -> Duration {
        self.next
    }

    /// The task, if it is time for it. What was missed is not made up for.
    pub(super) fn due(&mut self, now: Duration) -> Option<&mut (dyn FnMut(&A) + Send)> {
        if self.next > now {
            return None;
        }
        let next = self.next.saturating_add(self.period);
        self.next = if next > now { next } else { now.saturating_add(self.period) };
        Some(&mut *self.task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn it_comes_once_a_period_and_what_was_missed_does_not() {
        let (came, comes) = channel();
        let millis = Duration::from_millis;
        let mut periodic = Periodic::new(millis(10), move |at: &u64| came.send(*at).unwrap());
        for now in [0, 9, 10, 11, 19, 21, 29, 30, 95, 96, 104, 105] {
            if let Some(task) = periodic.due(millis(now)) {
                task(&now);
            }
        }
        assert_eq!(comes.try_iter().collect::<Vec<_>>(), [10, 21, 30, 95, 105]);
        assert_eq!(periodic.next(), millis(115));
    }
}
