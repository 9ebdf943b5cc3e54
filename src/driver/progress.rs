//! What a driver knows besides its connection: small while all goes well.

use super::Answers;
use super::limiter::Limiter;
use crate::changes::{Change, Changes};
use crate::noted::Notes;
use crate::rates::Rates;
use crate::send::sender::Sender;
use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

/// What is known of a connection between the turns of its loop. Each half of a connection has its own, and uses its part.
#[derive(Default)]
pub(crate) struct Progress {
    /// When something was last read, in milliseconds of the caller's clock, which wrap.
    heard: u32,
    flags: u32,
    rare: Option<Box<Rare>>,
}

/// What few connections have.
#[derive(Default)]
pub(super) struct Rare {
    /// Input that was read and is not decoded, from the index on.
    pub(super) kept: Vec<u8>,
    pub(super) at: usize,
    /// Bytes that were read straight to where they belong, which the connection has not been told.
    pub(super) tail: usize,
    /// What a server's handler has answered and the peer has not taken.
    pub(super) answers: Answers,
    /// When the end of the transport, or the end of a pause, is not waited for any longer.
    pub(super) linger: Option<Duration>,
    /// What the peer may still send, if that is limited.
    pub(super) limiter: Option<Limiter>,
    /// Where what passes is kept.
    pub(super) notes: Notes,
}

/// Facts, a bit each.
impl Progress {
    /// The outbox is the loop's.
    pub(super) const LENT: u32 = 1;
    /// The connection was open when it was told the time, and nothing but messages has come since.
    pub(super) const TIMED: u32 = 2;
    /// The transport's write side was shut down.
    pub(super) const SHUT: u32 = 4;
    /// The application has stopped reading.
    pub(super) const PAUSED: u32 = 8;
    /// Reading waits for answers to go out.
    pub(super) const WAITS: u32 = 16;
    /// The transport has ended, which the connection has not been told.
    pub(super) const EOF: u32 = 32;
    /// Something was read that the connection has not been told the time of.
    pub(super) const HEARD: u32 = 64;
    /// What is left of the input has been waited for once.
    pub(super) const WAITED: u32 = 128;
    /// The transport holds bytes back that it was given.
    pub(super) const HELD_BACK: u32 = 256;
    /// Nothing can be written any more.
    pub(super) const BROKEN: u32 = 512;
    /// The connection may have events though all input is taken.
    pub(super) const OWED: u32 = 1024;
    /// The peer is not there any more.
    pub(super) const DEAD: u32 = 2048;
    /// The storage is this connection's, until it leaves.
    pub(super) const HERE: u32 = 4096;
    /// Who has taken its events has to catch up before there are more.
    pub(super) const HELD: u32 = 8192;
    /// The peer has hung up.
    pub(super) const HUNG_UP: u32 = 16384;
    /// The deadline has been told since the time was.
    pub(super) const ARMED: u32 = 32768;

    /// What the peer may send is limited, so that every event is looked at.
    pub(super) const RATED: u32 = 1 << 16;
    /// The peer has sent more than it may, and is not read for a while.
    pub(super) const LIMITED: u32 = 1 << 17;
    /// What passes is kept.
    pub(super) const NOTED: u32 = 1 << 18;

    /// While there is any of these, no event of the input comes.
    pub(super) const STOPPED: u32 = Self::PAUSED | Self::WAITS | Self::HELD | Self::LIMITED;

    #[inline]
    pub(super) fn flags(&self) -> u32 {
        self.flags
    }

    #[inline]
    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether it has any of these.
    #[inline]
    pub(super) fn has_any(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    #[inline]
    pub(super) fn set(&mut self, flag: u32, value: bool) {
        if value { self.flags |= flag } else { self.flags &= !flag }
    }

    /// What the peer may send from now on.
    pub(super) fn set_rates(&mut self, rates: Rates) {
        self.set(Self::RATED, !rates.is_off());
        self.set(Self::LIMITED, false);
        if rates.is_off() {
            if let Some(rare) = &mut self.rare {
                rare.limiter = None;
            }
            return;
        }
        match &mut self.rare_mut().limiter {
            Some(limiter) => limiter.set(rates),
            limiter => *limiter = Some(Limiter::new(rates)),
        }
    }

    /// What follows from a change of settings.
    pub(super) fn changed(&mut self, changes: &Changes) {
        self.set(Self::ARMED, false);
        if let Change::Rates(rates) = changes.change() {
            self.set_rates(rates);
        }
    }

    /// The limit of what the peer may send, if there is one.
    #[inline]
    pub(super) fn limiter(&mut self) -> Option<&mut Limiter> {
        match self.has(Self::RATED) {
            true => self.rare.as_mut()?.limiter.as_mut(),
            false => None,
        }
    }

    /// Tells the time to the limit of what the peer may send, which may end a wait.
    #[inline]
    pub(super) fn tell_limiter(&mut self, now: Duration) {
        let Some(limiter) = self.limiter() else { return };
        if limiter.tell(now) {
            self.set(Self::LIMITED, false);
        }
    }

    /// When a peer that has sent too much is read again.
    pub(super) fn limited_until(&self) -> Option<Duration> {
        let limiter = self.rare().and_then(|rare| rare.limiter.as_ref());
        limiter.filter(|_| self.has(Self::LIMITED)).map(Limiter::ready_at)
    }

    pub(super) fn resume(&mut self) {
        let paused = self.has(Self::PAUSED);
        self.set(Self::PAUSED, false);
        if let Some(rare) = self.rare.as_mut().filter(|_| paused) {
            rare.linger = None;
        }
    }

    #[inline]
    pub(super) fn hear(&mut self, now: Duration) {
        self.heard = now.as_millis() as u32;
        self.set(Self::HEARD, true);
    }

    /// When something was last read, if the connection has not been told; never later than `now`.
    pub(super) fn take_heard(&mut self, now: Duration) -> Option<Duration> {
        let heard = self.has(Self::HEARD);
        self.set(Self::HEARD, false);
        let ago = (now.as_millis() as u32).wrapping_sub(self.heard);
        heard.then(|| now.saturating_sub(Duration::from_millis(ago.into())))
    }

    #[inline]
    pub(super) fn rare(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }

    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Whether input is kept that the connection has not been told.
    #[inline]
    pub(super) fn has_kept(&self) -> bool {
        self.rare().is_some_and(|rare| rare.at < rare.kept.len() || rare.tail > 0)
    }

    pub(super) fn take_kept(&mut self) -> Option<(Vec<u8>, usize)> {
        let rare = self.rare.as_mut()?;
        let kept = core::mem::take(&mut rare.kept);
        let at = core::mem::take(&mut rare.at);
        (!kept.is_empty()).then_some((kept, at))
    }

    pub(super) fn take_tail(&mut self) -> usize {
        self.rare.as_mut().map_or(0, |rare| core::mem::take(&mut rare.tail))
    }

    /// What each half of an open connection knows on: what is of reading, and what is of writing.
    pub(super) fn split(self) -> (Self, Self) {
        const WRITING: u32 = Progress::LENT | Progress::SHUT | Progress::HELD_BACK | Progress::BROKEN | Progress::DEAD;
        const READING: u32 = Progress::EOF
            | Progress::WAITED
            | Progress::OWED
            | Progress::HERE
            | Progress::RATED
            | Progress::LIMITED
            | Progress::NOTED;
        let writing = Self { flags: self.flags & WRITING, ..Self::default() };
        (Self { flags: self.flags & READING, ..self }, writing)
    }

    /// What a connection knows on whose halves have known this. Deadlines are told anew.
    pub(super) fn join(self, writing: Self) -> Self {
        Self { flags: (self.flags | writing.flags) & !(Self::TIMED | Self::ARMED), ..self }
    }

    /// Lets go of what is no longer needed.
    #[cold]
    pub(super) fn tidy(&mut self, sender: &Sender) {
        let waits = self.has(Self::WAITS);
        let Some(rare) = &mut self.rare else { return };
        rare.answers.add(sender, 0);
        if !waits
            && rare.limiter.is_none()
            && !rare.notes.is_on()
            && rare.answers.is_empty()
            && rare.kept.is_empty()
            && rare.tail == 0
            && rare.linger.is_none()
        {
            self.rare = None;
        }
    }
}
