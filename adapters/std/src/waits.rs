//! How long the calls of a stream wait: told to it seldom, for each telling is a call to the system.

use crate::stream::Stream;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// The shortest time that a socket can be told to wait: to it, no time at all is for ever.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);

/// What the stream was told last.
#[derive(Default)]
pub(crate) struct Waits {
    read: Option<Option<Duration>>,
    write: Option<Duration>,
    endless: bool,
    hasty: Hasty,
}

/// How many calls in a row had nothing, and came back at once.
#[derive(Default)]
struct Hasty(u8);

impl Hasty {
    /// So many show that a stream does not wait. One that does may come back at once too, seldom: where the machine stood still, the
    /// clock of the system is late, and what is to be over by it is so when it catches up.
    const PROOF: u8 = 3;

    fn note(&mut self, at_once: bool) -> bool {
        self.0 = if at_once { Self::PROOF.min(self.0 + 1) } else { 0 };
        self.0 == Self::PROOF
    }

    /// A call had something, and what is shown stays so.
    fn restart(&mut self) {
        if self.0 < Self::PROOF {
            self.0 = 0;
        }
    }
}

impl Waits {
    /// Has the next read wait for at most so long, and for at least half of it.
    pub(crate) fn set_read<S: Stream>(&mut self, stream: &S, patience: Option<Duration>) -> io::Result<()> {
        let wait = patience.map(rounded);
        if self.read == Some(wait) {
            return Ok(());
        }
        self.read = Some(wait);
        self.note(stream.set_read_timeout(wait))
    }

    /// Has writes wait for at most so long.
    pub(crate) fn set_write<S: Stream>(&mut self, stream: &S, wait: Duration) -> io::Result<()> {
        if self.write == Some(wait) {
            return Ok(());
        }
        self.write = Some(wait);
        self.note(stream.set_write_timeout(Some(wait)))
    }

    fn note(&mut self, told: io::Result<()>) -> io::Result<()> {
        match told {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.endless = true;
                Ok(())
            }
            told => told,
        }
    }

    /// Whether calls come back in time.
    pub(crate) fn end(&self) -> bool {
        !self.endless
    }

    /// Whether a stream that says so soon that it has nothing to read doesn't wait at all.
    pub(crate) fn is_early_read(&mut self, elapsed: Duration) -> bool {
        let early = self.endless || self.read.flatten().is_none_or(|wait| elapsed < wait / 2);
        self.hasty.note(early)
    }

    /// Something was read or written.
    pub(crate) fn note_progress(&mut self) {
        self.hasty.restart();
    }

    /// Whether one that has taken nothing doesn't, if that was `early`.
    pub(crate) fn is_early_write(&mut self, early: bool) -> bool {
        self.hasty.note(early)
    }

    /// Has the stream's calls wait for ever again.
    pub(crate) fn reset<S: Stream>(&self, stream: &S) {
        // A stream that is gone may refuse.
        if self.read.is_some() {
            _ = stream.set_read_timeout(None);
        }
        if self.write.is_some() {
            _ = stream.set_write_timeout(None);
        }
    }
}

/// The power of two, in milliseconds, that is no longer: so a deadline that moves with each message is not told each time.
fn rounded(patience: Duration) -> Duration {
    let millis = patience.as_millis().clamp(1, 1 << 30) as u32;
    Duration::from_millis(1 << millis.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_does_not_wait_if_it_comes_back_at_once_three_times_in_a_row() {
        let mut waits = Waits { read: Some(Some(Duration::from_millis(4))), ..Waits::default() };
        let [early, late] = [1, 2].map(Duration::from_millis);
        let told = [early, early, late, early, early, early, early, late, early].map(|time| waits.is_early_read(time));
        assert_eq!(told, [false, false, false, false, false, true, true, false, false]);
        assert_eq!([true, true, false].map(|early| waits.is_early_write(early)), [false, true, false]);
        assert_eq!([true, true].map(|early| waits.is_early_write(early)), [false, false]);
        waits.note_progress();
        assert_eq!([true, true, true].map(|early| waits.is_early_write(early)), [false, false, true]);
        waits.note_progress();
        assert!(waits.is_early_write(true));
    }

    #[test]
    fn a_wait_is_no_longer_than_it_may_be_and_at_least_half_of_it() {
        for (patience, wait) in [(0, 1), (1, 1), (2, 2), (3, 2), (20_000, 16_384), (u64::MAX, 1 << 30)] {
            assert_eq!(rounded(Duration::from_millis(patience)), Duration::from_millis(wait), "{patience} ms");
        }
        assert_eq!(rounded(Duration::from_nanos(1)), SHORTEST);
    }
}
