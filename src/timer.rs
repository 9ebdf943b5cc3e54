//! Deadlines: handshake, ping, pong, idle, message, close; on the caller's clock.

use crate::config::Keepalive;
use core::time::Duration;

/// What a connection waits for; it decides which deadlines count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Opening,
    Open,
    Closing,
    Closed,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Handshake,
    Ping,
    Pong,
    Idle,
    Message,
    Close,
}

/// What became of the latest ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    /// It was answered, or there was none.
    Done,
    /// Nothing has come since.
    Sent,
    /// Something else has come, so the peer is there; the pong may tell the round trip yet.
    Alive,
    /// Its pong came, at a time that has not been told yet.
    Answered,
}

/// When what happened that a deadline counts from, on the caller's clock.
pub(crate) struct Timer {
    /// The start of the phase; while open, when the peer was last heard, or the ping that it has not answered. In
    /// microseconds.
    since: u64,
    /// When the peer last said anything but pongs. In seconds, rounded up.
    active: u32,
    /// When the latest ping went out. In microseconds, which wrap.
    pinged: u32,
    /// The bytes heard by the last call; they wrap, and only differences count.
    heard: u32,
    /// How many of those since were of pongs, up to 64 KiB: a peer that sends more of them is not idle.
    pongs: u16,
    /// When the message under way began, in seconds, rounded up; they wrap, and it was not long before the peer was last active.
    begun: u16,
    /// The latest round trip of a ping, in microseconds; 0 before there is one.
    round_trip: u32,
    /// Pings sent; they wrap.
    pings: u8,
    /// `None` before the first time is told.
    phase: Option<Phase>,
    ping: Ping,
    /// What else is known, a bit each.
    flags: u8,
}

/// The peer has taken some of what waits for it since the last call.
const TAKEN: u8 = 1;

/// A message is under way.
const MESSAGE: u8 = 2;

/// It began at a time that has not been told yet.
const UNTOLD: u8 = 4;

impl Timer {
    pub(crate) fn new() -> Self {
        Self {
            since: 0,
            active: 0,
            pinged: 0,
            heard: 0,
            pongs: 0,
            round_trip: 0,
            pings: 0,
            phase: None,
            ping: Ping::Done,
            begun: 0,
            flags: 0,
        }
    }

    /// `None` before there is one.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        (self.round_trip > 0).then(|| Duration::from_micros(self.round_trip.into()))
    }

    /// What the latest ping carries, and its pong.
    pub(crate) fn ping_payload(&self) -> [u8; 1] {
        [self.pings]
    }

    /// A pong of `len` bytes came; `answers` says whether to the latest ping of ours.
    pub(crate) fn handle_pong(&mut self, len: u16, answers: bool) {
        self.pongs = self.pongs.saturating_add(len);
        if answers && self.ping != Ping::Done {
            self.ping = Ping::Answered;
        }
    }

    /// The peer takes what waits for it, so it is there, although its pong, behind all that, is not.
    pub(crate) fn handle_taken(&mut self) {
        self.flags |= TAKEN;
    }

    /// A message has begun to come, and has not come whole; or none is under way.
    pub(crate) fn handle_message(&mut self, begun: bool) {
        self.flags = self.flags & TAKEN | if begun { MESSAGE | UNTOLD } else { 0 };
    }

    /// Whether that was at a time that has not been told yet.
    #[inline]
    pub(crate) fn is_untimed(&self) -> bool {
        self.flags & UNTOLD != 0
    }

    /// Tells the time, the phase and how many bytes have been heard; says what is due.
    pub(crate) fn handle(&mut self, now: Duration, phase: Phase, heard: u64, keepalive: &Keepalive) -> Option<Due> {
        let now = micros(now);
        let bytes = (heard as u32).wrapping_sub(self.heard);
        let taken = self.flags & TAKEN != 0;
        if self.phase != Some(phase) {
            (self.phase, self.since, self.active, self.ping) = (Some(phase), now, seconds(now), Ping::Done);
        } else if phase == Phase::Open {
            self.hear(now, bytes, taken);
        }
        if self.is_untimed() {
            // Its bytes are those of an active peer.
            self.active = self.active.max(seconds(now));
            self.begun = self.active as u16;
        }
        (self.heard, self.pongs, self.flags) = (heard as u32, 0, self.flags & MESSAGE);
        let (due, deadline) = self.next(keepalive)?;
        if deadline > now {
            return None;
        }
        // Not twice for one deadline: the phase ends, or counting starts again.
        match due {
            Due::Idle => self.active = seconds(now),
            Due::Ping => {
                (self.since, self.pinged, self.ping) = (now, now as u32, Ping::Sent);
                self.pings = self.pings.wrapping_add(1);
            }
            _ => self.since = now,
        }
        Some(due)
    }

    /// Counts anew if any of the `bytes` heard since the last call says so.
    fn hear(&mut self, now: u64, bytes: u32, taken: bool) {
        if self.ping == Ping::Answered {
            // A round trip that no clock has seen is still one.
            self.round_trip = (now as u32).wrapping_sub(self.pinged).max(1);
            self.ping = Ping::Done;
        }
        if bytes > 0 || taken {
            self.since = now;
            if self.ping == Ping::Sent {
                self.ping = Ping::Alive;
            }
        }
        if bytes > u32::from(self.pongs) || taken {
            self.active = seconds(now);
        }
    }

    /// When `handle` wants to be called next; at once where something happened that it has no time for.
    pub(crate) fn poll(&self, phase: Phase, keepalive: &Keepalive) -> Option<Duration> {
        if phase == Phase::Closed {
            return None;
        }
        if self.phase != Some(phase) || self.ping == Ping::Answered || self.is_untimed() && phase == Phase::Open {
            return Some(Duration::ZERO);
        }
        self.next(keepalive).map(|(_, deadline)| Duration::from_micros(deadline))
    }

    fn next(&self, keepalive: &Keepalive) -> Option<(Due, u64)> {
        let after = |due, since: u64, wait: Option<Duration>| Some((due, since.saturating_add(micros(wait?))));
        match self.phase? {
            Phase::Opening => after(Due::Handshake, self.since, keepalive.handshake),
            Phase::Open => {
                let peer = match self.ping {
                    Ping::Done | Ping::Alive => after(Due::Ping, self.since, keepalive.ping),
                    Ping::Sent | Ping::Answered => after(Due::Pong, self.since, keepalive.pong),
                };
                let idle = after(Due::Idle, u64::from(self.active) * SECOND, keepalive.idle);
                let begun = self.active.wrapping_sub((self.active as u16).wrapping_sub(self.begun).into());
                let message = keepalive.message.filter(|_| self.flags & MESSAGE != 0);
                let message = after(Due::Message, u64::from(begun) * SECOND, message);
                [idle, message, peer].into_iter().flatten().min_by_key(|(_, deadline)| *deadline)
            }
            Phase::Closing => after(Due::Close, self.since, keepalive.close),
            Phase::Closed => None,
        }
    }
}

const SECOND: u64 = 1_000_000;

fn seconds(micros: u64) -> u32 {
    u32::try_from(micros.div_ceil(SECOND)).unwrap_or(u32::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const KEEPALIVE: Keepalive = Keepalive {
        handshake: Some(s(10)),
        ping: Some(s(20)),
        pong: Some(s(5)),
        pong_code: Keepalive::PONG_CODE,
        message: Some(s(60)),
        idle: Some(s(100)),
        close: Some(s(3)),
    };

    /// The times (seconds) and deadlines that a driver sees which always obeys, from `start` on.
    fn run(timer: &mut Timer, phase: Phase, heard: u64, start: u64, until: u64) -> alloc::vec::Vec<(u64, Due)> {
        let mut now = start;
        let mut seen = alloc::vec![];
        while now <= until {
            seen.extend(timer.handle(s(now), phase, heard, &KEEPALIVE).map(|due| (now, due)));
            now = match timer.poll(phase, &KEEPALIVE) {
                Some(at) => at.as_secs().max(now),
                None => break,
            };
        }
        seen
    }

    #[test]
    fn before_the_first_time_it_is_wanted_at_once() {
        let timer = Timer::new();
        assert_eq!(timer.poll(Phase::Opening, &KEEPALIVE), Some(Duration::ZERO));
        assert_eq!(timer.poll(Phase::Closed, &KEEPALIVE), None);
    }

    #[test]
    fn opening_and_closing_have_their_time() {
        let mut timer = Timer::new();
        assert_eq!(timer.handle(s(50), Phase::Opening, 0, &KEEPALIVE), None);
        assert_eq!(timer.poll(Phase::Opening, &KEEPALIVE), Some(s(60)));
        assert_eq!(timer.handle(s(59), Phase::Opening, 0, &KEEPALIVE), None);
        assert_eq!(timer.poll(Phase::Closing, &KEEPALIVE), Some(Duration::ZERO));
        assert_eq!(timer.handle(s(59), Phase::Closing, 0, &KEEPALIVE), None);
        assert_eq!(timer.handle(s(62), Phase::Closing, 0, &KEEPALIVE), Some(Due::Close));
    }

    #[test]
    fn silence_is_pinged_and_then_ends() {
        let mut timer = Timer::new();
        assert_eq!(run(&mut timer, Phase::Open, 0, 0, 26), [(20, Due::Ping), (25, Due::Pong)]);
    }

    #[test]
    fn anything_heard_puts_the_ping_off() {
        let mut timer = Timer::new();
        timer.handle(s(0), Phase::Open, 0, &KEEPALIVE);
        assert_eq!(timer.handle(s(15), Phase::Open, 1, &KEEPALIVE), None);
        assert_eq!(timer.poll(Phase::Open, &KEEPALIVE), Some(s(35)));
        assert_eq!(timer.handle(s(35), Phase::Open, 1, &KEEPALIVE), Some(Due::Ping));
    }

    #[test]
    fn anything_heard_after_a_ping_will_do() {
        let mut timer = Timer::new();
        timer.handle(s(0), Phase::Open, 0, &KEEPALIVE);
        assert_eq!(timer.handle(s(20), Phase::Open, 0, &KEEPALIVE), Some(Due::Ping));
        assert_eq!(timer.handle(s(21), Phase::Open, 1, &KEEPALIVE), None);
        assert_eq!(timer.poll(Phase::Open, &KEEPALIVE), Some(s(41)));
        // A late pong still tells the round trip.
        timer.handle_pong(1, true);
        assert_eq!(timer.handle(s(23), Phase::Open, 2, &KEEPALIVE), None);
        assert_eq!(timer.round_trip(), Some(s(3)));
        assert_eq!(timer.handle(s(43), Phase::Open, 2, &KEEPALIVE), Some(Due::Ping));
    }

    #[test]
    fn a_peer_that_only_pongs_is_idle() {
        let mut timer = Timer::new();
        timer.handle(s(0), Phase::Open, 0, &KEEPALIVE);
        let mut heard = 0;
        for ping in [20, 41, 62, 83] {
            assert_eq!(timer.handle(s(ping), Phase::Open, heard, &KEEPALIVE), Some(Due::Ping));
            timer.handle_pong(1, true);
            heard += 1;
            assert_eq!(timer.poll(Phase::Open, &KEEPALIVE), Some(Duration::ZERO));
            assert_eq!(timer.handle(s(ping + 1), Phase::Open, heard, &KEEPALIVE), None);
            assert_eq!(timer.round_trip(), Some(s(1)));
        }
        assert_eq!(timer.poll(Phase::Open, &KEEPALIVE), Some(s(100)));
        assert_eq!(timer.handle(s(100), Phase::Open, heard, &KEEPALIVE), Some(Due::Idle));
        assert_eq!(timer.handle(s(100), Phase::Open, heard, &KEEPALIVE), None, "not twice");
    }

    #[test]
    fn a_message_has_its_time_from_when_that_is_told() {
        let mut timer = Timer::new();
        timer.handle(s(0), Phase::Open, 0, &KEEPALIVE);
        timer.handle_message(true);
        assert_eq!(timer.poll(Phase::Open, &KEEPALIVE), Some(Duration::ZERO));
        assert_eq!(timer.poll(Phase::Closing, &KEEPALIVE), Some(Duration::ZERO));
        // Bytes put off the ping, but not the end of the message.
        for (heard, now) in (1..=12).map(|step| (step, 5 * step)) {
            assert_eq!(timer.handle(s(now), Phase::Open, heard, &KEEPALIVE), None);
        }
        assert_eq!(timer.poll(Phase::Open, &KEEPALIVE), Some(s(65)));
        timer.handle_message(false);
        assert_eq!(timer.handle(s(65), Phase::Open, 13, &KEEPALIVE), None);
        timer.handle_message(true);
        assert_eq!(timer.handle(s(70), Phase::Open, 14, &KEEPALIVE), None);
        assert_eq!(timer.handle(s(130), Phase::Open, 15, &KEEPALIVE), Some(Due::Message));
        let never = Keepalive { message: None, ..KEEPALIVE };
        assert_eq!(timer.handle(s(149), Phase::Open, 15, &never), None);
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_is_harmless() {
        let mut timer = Timer::new();
        timer.handle(s(5), Phase::Open, 0, &KEEPALIVE);
        assert_eq!(timer.handle(s(5), Phase::Open, 0, &KEEPALIVE), None);
        assert_eq!(timer.handle(s(4), Phase::Open, 0, &KEEPALIVE), None);
        assert_eq!(timer.handle(Duration::MAX, Phase::Open, 0, &KEEPALIVE), Some(Due::Ping));
        assert_eq!(timer.handle(s(6), Phase::Open, 0, &KEEPALIVE), None);
    }
}
