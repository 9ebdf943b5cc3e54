//! The timer wheel of a worker: coarse, and free while nothing is due.

use std::time::Duration;

/// How exact deadlines are.
const TICK: Duration = Duration::from_millis(50);

/// In a second.
const TICKS: u64 = 20;

/// 51 s of ticks: what is due later goes around again.
const SLOTS: u64 = 1024;

/// Keys by the tick that they are due at, counted from the start of the clock.
///
/// A key is not taken out when it is armed anew: whoever arms one remembers the tick, and passes over a key that comes at
/// another. Those that are over are [`swept`](Wheel::sweep) out when they are many.
pub(crate) struct Wheel {
    slots: Vec<Vec<u32>>,
    /// The tick that was told last; all up to it are done.
    now: u32,
    /// No tick before this one has a key.
    next: Option<u32>,
    /// How many keys there are.
    len: usize,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { slots: vec![Vec::new(); SLOTS as usize], now: 0, next: None, len: 0 }
    }

    /// The tick that was told last.
    pub(crate) fn now(&self) -> u32 {
        self.now
    }

    /// The tick to arm for one that is waited for: always in the future, and no further than the wheel goes around.
    pub(crate) fn within_reach(&self, tick: u32) -> u32 {
        tick.clamp(self.now + 1, self.now + SLOTS as u32 - 1)
    }

    /// Lets `key` be due at `tick`.
    pub(crate) fn arm(&mut self, key: u32, tick: u32) {
        self.slots[slot(tick)].push(key);
        self.len += 1;
        self.next = Some(self.next.map_or(tick, |next| next.min(tick)));
    }

    /// How many keys there are, those that are over included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes out keys that are over: leaves one of each key where `armed` says the tick that it is armed for.
    pub(crate) fn sweep(&mut self, armed: impl Fn(u32) -> Option<u32>) {
        self.len = 0;
        for (index, keys) in self.slots.iter_mut().enumerate() {
            keys.retain(|key| armed(*key).is_some_and(|tick| slot(tick) == index));
            keys.sort_unstable();
            keys.dedup();
            keys.shrink_to_fit();
            self.len += keys.len();
        }
    }

    /// How long to wait at most.
    pub(crate) fn timeout(&self, now: Duration) -> Option<Duration> {
        Some((TICK * self.next?).saturating_sub(now))
    }

    /// Tells the time; gives the keys that have come due to `due`.
    pub(crate) fn advance(&mut self, now: Duration, due: &mut Vec<u32>) {
        let now = ticks(now).max(self.now);
        let before = std::mem::replace(&mut self.now, now);
        let Some(next) = self.next.filter(|next| *next <= now) else { return };
        // All that is armed lies within one turn of the wheel from the last time told.
        for tick in next..=now.min(before + SLOTS as u32) {
            self.len -= self.slots[slot(tick)].len();
            due.append(&mut self.slots[slot(tick)]);
            // Room that a burst has taken is given back.
            self.slots[slot(tick)] = Vec::new();
        }
        self.next = (now + 1..now + SLOTS as u32).find(|tick| !self.slots[slot(*tick)].is_empty());
    }
}

/// The tick for a deadline: never before it.
pub(crate) fn tick(deadline: Duration) -> u32 {
    ticks(deadline.saturating_add(TICK - Duration::from_nanos(1)))
}

/// How many are over at that time.
fn ticks(time: Duration) -> u32 {
    let in_second = time.subsec_nanos() / TICK.subsec_nanos();
    u32::try_from(time.as_secs().saturating_mul(TICKS).saturating_add(in_second.into())).unwrap_or(u32::MAX)
}

fn slot(tick: u32) -> usize {
    (u64::from(tick) % SLOTS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(wheel: &mut Wheel, millis: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.advance(Duration::from_millis(millis), &mut due);
        due
    }

    fn arm(wheel: &mut Wheel, key: u32, millis: u64) -> u32 {
        let tick = wheel.within_reach(tick(Duration::from_millis(millis)));
        wheel.arm(key, tick);
        tick
    }

    #[test]
    fn never_early_and_at_most_a_tick_late() {
        let mut wheel = Wheel::new();
        arm(&mut wheel, 1, 120);
        arm(&mut wheel, 2, 101);
        arm(&mut wheel, 3, 250);
        assert_eq!(wheel.timeout(Duration::ZERO), Some(Duration::from_millis(150)));
        assert!(due(&mut wheel, 149).is_empty());
        assert_eq!(due(&mut wheel, 150), [1, 2]);
        assert_eq!(wheel.timeout(Duration::from_millis(150)), Some(Duration::from_millis(100)));
        assert_eq!(due(&mut wheel, 10_000), [3]);
        assert_eq!(wheel.timeout(Duration::from_millis(10_000)), None);
    }

    #[test]
    fn what_is_far_off_comes_early_to_be_armed_again() {
        let mut wheel = Wheel::new();
        let tick = arm(&mut wheel, 1, 3_600_000);
        assert_eq!(tick, 1023);
        assert_eq!(due(&mut wheel, 60_000), [1]);
        // And a past deadline is due at the next tick.
        assert_eq!(arm(&mut wheel, 2, 0), 1201);
        assert_eq!(due(&mut wheel, 60_050), [2]);
        let late = super::tick(Duration::from_nanos(60_100_000_001));
        assert_eq!(late, 1203, "not a nanosecond before");
        assert_eq!(wheel.within_reach(super::tick(Duration::MAX)), 1201 + 1023);
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let mut wheel = Wheel::new();
        for key in 0..100 {
            arm(&mut wheel, key, u64::from(key) * 500);
        }
        assert_eq!(due(&mut wheel, 10_000_000).len(), 100);
    }
    #[test]
    fn what_is_over_is_swept_out() {
        let mut wheel = Wheel::new();
        let mut armed = [0; 3];
        // A connection after the other has the same key, and is gone before it is due.
        for number in 0..10_000 {
            armed[number % 3] = arm(&mut wheel, number as u32 % 3, 10_000 + number as u64 / 100);
        }
        assert_eq!(wheel.len(), 10_000);
        wheel.sweep(|key| armed.get(key as usize).copied());
        assert_eq!(wheel.len(), 3);
        assert_eq!(due(&mut wheel, 20_000), [0, 1, 2]);
        assert_eq!(wheel.len(), 0);
    }
}
