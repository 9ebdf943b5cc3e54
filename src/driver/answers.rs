//! Back-pressure, by who caused it.

use crate::message::Role;
use crate::send::sender::Sender;

/// What a server's handler has answered from within reading, and whether reading waits until that has gone out.
///
/// What an application sends of its own accord never stops its reading: two ends that each wait for the other to read are
/// dead. So only a server pauses, and only for answers: a peer that asks and does not take what it asked for is not asked
/// on. A client never does, so one of the two always reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    /// Bytes of answers that waited when the last of them was made.
    bytes: usize,
    /// That has gone out when so many bytes have.
    until: u64,
}

impl Answers {
    /// A handler has returned, before whose call `queued` bytes waited to go out.
    #[inline]
    pub fn note(&mut self, sender: &Sender, queued: usize) {
        if sender.role() == Role::Server {
            self.add(sender, sender.queued().saturating_sub(queued));
        }
    }

    #[inline(never)]
    pub(super) fn add(&mut self, sender: &Sender, added: usize) {
        self.bytes = self.waiting(sender) + added;
        if added > 0 {
            self.until = sender.traffic().bytes + sender.queued() as u64;
        }
    }

    /// Whether none waited when the last was added.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether reading should wait: more than [`Outbound::soft`](crate::Outbound::soft) bytes of answers wait to go out.
    #[inline]
    pub fn pause(&self, sender: &Sender) -> bool {
        self.waiting(sender) > sender.outbound_limits().soft
    }

    /// Bytes of answers that have not gone out: no more than there were, nor than are to go out up to the last of them.
    fn waiting(&self, sender: &Sender) -> usize {
        let left = self.until.saturating_sub(sender.traffic().bytes);
        self.bytes.min(usize::try_from(left).unwrap_or(usize::MAX)).min(sender.queued())
    }
}
