//! What a connection writes, and the outbox that its worker lends it.

use super::{Entry, Flags, Local, MOST_GATHERED};
use crate::command::Sent;
use crate::stats::Stats;
use crate::stream::Stream;
use crate::work;
use sockless::bytes::Buf;
use sockless::{Message, SendError};
use std::io::{self, ErrorKind, IoSlice};

/// Capacity in bytes that the lent outbox keeps: what was gathered, and the room to grow by doubling.
const MOST_LENT: usize = 4 * MOST_GATHERED;

/// Outboxes of at most as many bytes as are moved that a worker keeps: as many as it reads before it writes.
const MOST_SPARES: usize = 8;

/// Bytes; a longer queue takes the lent outbox along instead of being copied out of it.
const MOST_MOVED: usize = 64 << 10;

/// Bytes; a shorter message is copied for less than a vectored write costs.
const LEAST_THROUGH: usize = 32 << 10;

impl<S> Entry<S> {
    /// Lends the worker's outbox to a connection that holds none.
    pub(super) fn lend(&mut self, local: &mut Local<S>) {
        if !self.flags.lent && self.queued() == 0 {
            self.connection.swap_outbox(&mut local.outbox);
            self.flags.lent = true;
        }
    }

    /// Writes what is outbound, as far as the socket takes it.
    #[inline]
    pub(crate) fn flush(&mut self, local: &mut Local<S>) {
        if self.may_write() {
            let written = write(&mut self.stream, self.connection.outbound(), &mut local.stats);
            self.wrote(written);
        }
    }

    /// Sends a message; a long one goes out at once, from where it lies, unless others will follow it.
    #[inline]
    pub(crate) fn send(&mut self, local: &mut Local<S>, message: &Message<'_>) -> Result<Sent, SendError> {
        let sent = match message.as_bytes().len() {
            LEAST_THROUGH.. if local.last && self.stream.tls().is_none() && self.may_write() => {
                self.send_through(local, message)
            }
            _ => self.connection.send(message),
        };
        self.charge(local, message.as_bytes().len());
        self.outcome(local, sent)
    }

    /// Charges for a message that is sent and perhaps deflated.
    #[inline]
    pub(crate) fn charge(&self, local: &mut Local<S>, len: usize) {
        if self.flags.compressed {
            local.work += work::CODEC * len;
        }
    }

    #[inline(never)]
    fn send_through(&mut self, local: &mut Local<S>, message: &Message<'_>) -> Result<(), SendError> {
        let through = self.connection.send_through(message)?;
        let written = write(&mut self.stream, through, &mut local.stats);
        self.wrote(written);
        // What waited before has gone out first.
        local.queued = local.queued.min(self.queued());
        Ok(())
    }

    fn may_write(&self) -> bool {
        let Flags { blocked, dead, .. } = self.flags;
        !(blocked | dead) && self.dialing.is_none() && self.broken.is_none()
    }

    /// Notes whether all has left.
    #[inline]
    fn wrote(&mut self, written: io::Result<bool>) {
        match written {
            Ok(all) => self.flags.blocked = !all,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.flags.blocked = true,
            Err(error) => {
                // What the peer said before it went may still be read.
                self.flags.readable = true;
                self.broken = Some(Box::new(error));
            }
        }
    }

    /// Takes the worker's outbox back, or what is left of an own one that has served.
    #[inline]
    pub(crate) fn take_back(&mut self, local: &mut Local<S>) {
        match (std::mem::take(&mut self.flags.lent), self.queued()) {
            (true, 0) => {
                self.connection.swap_outbox(&mut local.outbox);
                if local.outbox.capacity() > MOST_LENT {
                    local.outbox = Vec::new();
                }
            }
            (lent, queued) => self.keep_outbox(local, lent, queued),
        }
    }

    fn keep_outbox(&mut self, local: &mut Local<S>, lent: bool, queued: usize) {
        match (lent, queued) {
            (false, 0) => {
                let mut spent = Vec::new();
                self.connection.swap_outbox(&mut spent);
                if (1..=MOST_MOVED).contains(&spent.capacity()) && local.spares.len() < MOST_SPARES {
                    local.spares.push(spent);
                }
            }
            (true, ..=MOST_MOVED) => {
                let mut own = local.spares.pop().unwrap_or_default();
                own.reserve(queued);
                self.connection.swap_outbox(&mut own);
                local.outbox = own;
            }
            // A large one it keeps, or has kept.
            (_, _) => {}
        }
    }
}

/// Writes; whether all has left.
#[inline]
fn write(stream: &mut Stream, mut outbound: impl Buf, stats: &mut Stats) -> io::Result<bool> {
    loop {
        let remaining = outbound.remaining();
        if remaining == 0 {
            return stream.flush();
        }
        let chunk = outbound.chunk();
        let (written, offered) = match chunk.len() == remaining {
            true => (stream.write(chunk)?, remaining),
            false => write_vectored(stream, &outbound)?,
        };
        outbound.advance(written);
        stats.bytes_sent += written as u64;
        if written < offered && stream.tls().is_none() {
            return Ok(false);
        }
    }
}

/// Writes of several slices; how many bytes, and of how many.
#[inline(never)]
fn write_vectored(stream: &mut Stream, outbound: &impl Buf) -> io::Result<(usize, usize)> {
    let mut slices = [IoSlice::new(&[]); 64];
    let count = outbound.chunks_vectored(&mut slices);
    let offered = slices[..count].iter().map(|slice| slice.len()).sum();
    Ok((stream.write_vectored(&slices[..count])?, offered))
}
