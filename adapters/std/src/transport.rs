//! The calls of a blocking stream: each waits for a while, and says how that went.

use crate::stream::Stream;
use crate::waits::Waits;
use sockless::driver::{Driver, Storage};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::time::{Duration, Instant};

/// How long a write waits until what has come meanwhile is read: the peer may wait for just that.
pub(crate) const SLICE: Duration = Duration::from_millis(4);

/// What has become of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Something,
    Nothing,
    /// Nothing, from a stream that does not wait.
    NothingAtOnce,
}

/// What has become of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    All,
    /// As much as the peer took in a short while.
    Part,
    /// As much as a stream took that does not wait.
    PartAtOnce,
}

/// A stream, and what is known of it.
pub(crate) struct Transport<S> {
    pub(crate) stream: S,
    waits: Waits,
    /// It holds bytes back that it was given.
    held_back: bool,
    /// Why it cannot be used any more.
    pub(crate) broken: Option<io::Error>,
    /// Bytes of messages that were given up then.
    pub(crate) lost: usize,
}

impl<S: Stream> Transport<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, waits: Waits::default(), held_back: false, broken: None, lost: 0 }
    }

    /// Whether it still holds bytes that it was given.
    pub(crate) fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// Whether its calls come back in time.
    pub(crate) fn is_timed(&self) -> bool {
        self.waits.end()
    }

    /// Reads once, where reading is wanted; `now` is when it began, and then when it was done.
    pub(crate) fn read(
        &mut self,
        driver: &mut Driver,
        storage: &mut Storage,
        patience: Option<Duration>,
        now: &mut Duration,
        clock: impl Fn() -> Duration,
    ) -> Got {
        let began = *now;
        let mut noting = Noting { stream: &mut self.stream, got: Got::Nothing };
        let told = self.waits.set_read(noting.stream, patience);
        let read = told.and_then(|()| {
            driver.read(storage, &mut noting, || {
                *now = clock();
                *now
            })
        });
        let got = noting.got;
        if got != Got::Something {
            *now = clock();
        }
        if let Err(error) = read {
            self.broken.get_or_insert(error);
        }
        match got {
            Got::NothingAtOnce if !self.waits.is_early_read(*now - began) => Got::Nothing,
            Got::Something => {
                self.waits.note_progress();
                got
            }
            got => got,
        }
    }

    /// Writes what waits, as much as the stream takes in a short while.
    pub(crate) fn write(&mut self, driver: &mut Driver, storage: &mut Storage) -> Wrote {
        if driver.peek().queued() == 0 && !self.held_back {
            return Wrote::All;
        }
        // When the try before ended: a stream that does not wait says no at once, one that takes slices takes the next.
        let mut again: Option<Instant> = None;
        loop {
            let queued = driver.peek().queued();
            match self.write_once(driver, storage) {
                Ok(true) => {
                    self.waits.note_progress();
                    return Wrote::All;
                }
                Ok(false) => {}
                Err(error) => {
                    self.held_back = false;
                    driver.set_held_back(false);
                    self.lost += driver.peek().queued_messages();
                    driver.write_failed();
                    self.broken.get_or_insert(error);
                    return Wrote::All;
                }
            }
            match again {
                None => again = Some(Instant::now()),
                Some(began) if began.elapsed() >= SLICE / 2 => {
                    self.waits.is_early_write(false);
                    return Wrote::Part;
                }
                Some(_) if driver.peek().queued() != queued => self.waits.note_progress(),
                Some(_) if self.waits.is_early_write(true) => return Wrote::PartAtOnce,
                Some(_) => again = Some(Instant::now()),
            }
        }
    }

    /// Whether all has left.
    fn write_once(&mut self, driver: &mut Driver, storage: &mut Storage) -> io::Result<bool> {
        self.waits.set_write(&self.stream, SLICE)?;
        let mut holding = Holding { stream: &mut self.stream, failure: None };
        let wrote = driver.write(storage, &mut holding);
        if let Some(error) = holding.failure {
            return Err(error);
        }
        if !wrote? {
            return Ok(false);
        }
        self.held_back = match self.stream.flush() {
            Ok(()) => false,
            Err(error) if is_for_now(&error) => true,
            Err(error) => return Err(error),
        };
        driver.set_held_back(self.held_back);
        Ok(!self.held_back)
    }

    /// The stream as it was handed in, without time limits.
    pub(crate) fn into_stream(self) -> S {
        self.waits.reset(&self.stream);
        self.stream
    }
}

/// Whether a call is to be made again.
pub(crate) fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// A stream, and why it failed: the driver is told that it takes no more for now, so that what it has not taken can be counted.
struct Holding<'a, S> {
    stream: &'a mut S,
    failure: Option<io::Error>,
}

impl<S: Write> Holding<'_, S> {
    fn note(&mut self, wrote: io::Result<usize>) -> io::Result<usize> {
        let failure = match wrote {
            Ok(0) => ErrorKind::WriteZero.into(),
            Err(error) if error.kind() == ErrorKind::TimedOut => return Err(ErrorKind::WouldBlock.into()),
            Err(error) if !is_for_now(&error) => error,
            wrote => return wrote,
        };
        self.failure = Some(failure);
        Err(ErrorKind::WouldBlock.into())
    }
}

impl<S: Write> Write for Holding<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wrote = self.stream.write(bytes);
        self.note(wrote)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let wrote = self.stream.write_vectored(slices);
        self.note(wrote)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A stream, and what it gave.
struct Noting<'a, S> {
    stream: &'a mut S,
    got: Got,
}

impl<S: Read> Read for Noting<'_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.stream.read(buf);
        self.got = match &result {
            Ok(_) => Got::Something,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Got::NothingAtOnce,
            Err(_) => Got::Nothing,
        };
        result
    }
}
