//! The writing side of a stream, for whoever's turn it is to write.

use crate::stream::Stream;
use crate::transport::{SLICE, is_for_now};
use crate::waits::{SHORTEST, Waits};
use sockless::bytes::Buf;
use std::io::{self, ErrorKind};
use std::thread;
use std::time::Instant;

/// A stream, and bytes on their way to it: taken out of the connection, so that nobody else waits for that while they go.
pub(crate) struct Writer<S> {
    stream: S,
    waits: Waits,
    bytes: Vec<u8>,
    at: usize,
    /// The stream holds bytes back that it was given.
    held_back: bool,
}

impl<S: Stream> Writer<S> {
    /// Bytes that are taken at once.
    pub(crate) const ROOM: usize = 64 << 10;

    pub(crate) fn new(stream: S) -> Self {
        // What the stream was given before may still be in it.
        Self { stream, waits: Waits::default(), bytes: Vec::new(), at: 0, held_back: true }
    }

    /// Takes what is to be written next, once all of the last has gone.
    pub(crate) fn fill(&mut self, mut outbound: impl Buf) {
        if !self.is_empty() {
            return;
        }
        self.clear();
        while outbound.has_remaining() && self.bytes.len() < Self::ROOM {
            let chunk = outbound.chunk();
            let len = chunk.len().min(Self::ROOM - self.bytes.len());
            self.bytes.extend_from_slice(&chunk[..len]);
            outbound.advance(len);
        }
    }

    /// Writes what was taken, for a short while; whether all has left.
    pub(crate) fn write(&mut self) -> io::Result<bool> {
        self.waits.set_write(&self.stream, SLICE)?;
        let began = Instant::now();
        match self.write_all() {
            Err(error) if is_for_now(&error) => {
                if error.kind() == ErrorKind::WouldBlock && began.elapsed() < SLICE / 2 {
                    // A stream that does not wait.
                    thread::sleep(SHORTEST);
                }
                Ok(false)
            }
            written => written.map(|()| true),
        }
    }

    fn write_all(&mut self) -> io::Result<()> {
        self.held_back = true;
        while self.at < self.bytes.len() {
            match self.stream.write(&self.bytes[self.at..])? {
                0 => return Err(ErrorKind::WriteZero.into()),
                len => self.at += len,
            }
        }
        self.stream.flush()?;
        self.held_back = false;
        Ok(())
    }

    /// The stream.
    pub(crate) fn into_stream(self) -> S {
        self.waits.reset(&self.stream);
        self.stream
    }

    /// Says that nothing more is written.
    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown()
    }
}

impl<S> Writer<S> {
    /// Whether all that was taken has left.
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.bytes.len() && !self.held_back
    }

    /// Forgets what was taken.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        (self.at, self.held_back) = (0, false);
    }
}
