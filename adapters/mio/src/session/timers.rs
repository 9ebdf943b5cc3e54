//! The application's timers of a session.

use std::time::Duration;

/// The shortest that one lasts, so that one that is set anew whenever it comes leaves time for others.
const LEAST: Duration = Duration::from_millis(1);

/// Numbers, and when they are due; no memory while there is none.
#[derive(Default)]
pub(crate) struct Timers {
    #[allow(clippy::box_collection)] // Hardly any session has one, and every session pays for its room.
    set: Option<Box<Vec<(u32, Duration)>>>,
}

impl Timers {
    /// Sets or clears one.
    pub(super) fn set(&mut self, number: u32, after: Option<Duration>, now: Duration) {
        let set = self.set.get_or_insert_default();
        set.retain(|(other, _)| *other != number);
        if let Some(after) = after {
            set.push((number, now.saturating_add(after.max(LEAST))));
        }
        if set.is_empty() {
            self.set = None;
        }
    }

    /// When the first is due.
    #[inline]
    pub(super) fn next(&self) -> Option<Duration> {
        self.set.as_ref().and_then(|set| set.iter().map(|(_, at)| *at).min())
    }

    /// Those that are due, the first first, which are set no longer.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<u32> {
        let Some(set) = &mut self.set else { return Vec::new() };
        let mut due: Vec<_> = set.extract_if(.., |(_, at)| *at <= now).collect();
        if set.is_empty() {
            self.set = None;
        }
        due.sort_by_key(|(_, at)| *at);
        due.into_iter().map(|(number, _)| number).collect()
    }
}
