//! What a worker has besides its sessions, for those who hold one of them.

use crate::command::Audience;
use crate::mailbox::Shared;
use crate::stats::Stats;
use crate::topics::Topics;
use sockless::addresses::Clients;
use sockless::{Changes, Prepared, SendError, SharedConfig};
use std::sync::Arc;
use std::time::Duration;

/// What a worker has besides its sessions; `T` is a task of the application's.
pub(crate) struct Local<T> {
    pub(crate) worker: u16,
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) topics: Topics,
    pub(crate) deliveries: Deliveries,
    /// Those to look after at the end of the turn.
    pub(crate) dirty: Vec<u32>,
    pub(crate) stats: Stats,
    pub(crate) now: Duration,
    /// Connections of clients that are not open WebSockets yet, or never will be, and those that are, or were.
    pub(crate) handshakes: usize,
    pub(crate) websockets: usize,
    pub(crate) max_websockets: usize,
    /// Bytes that the pool was given in this turn of a session.
    pub(crate) pooled: usize,
    /// An answer of the application's that could not be written.
    pub(crate) mistake: Option<SendError>,
    pub(crate) clients: Arc<Clients>,
    /// The settings of connections whose clients have not come over TLS, and of those that have.
    pub(crate) configs: [SharedConfig; 2],
    /// What has changed while the server runs, the latest of each kind.
    pub(crate) changes: Vec<Changes>,
}

impl<T> Local<T> {
    pub(crate) fn new(
        worker: u16,
        shared: Arc<Shared<T>>,
        max_websockets: usize,
        clients: Arc<Clients>,
        configs: [SharedConfig; 2],
    ) -> Self {
        Self {
            worker,
            shared,
            topics: Topics::default(),
            deliveries: Deliveries::default(),
            dirty: Vec::new(),
            stats: Stats::default(),
            now: Duration::ZERO,
            handshakes: 0,
            websockets: 0,
            max_websockets,
            pooled: 0,
            mistake: None,
            clients,
            configs,
            changes: Vec::new(),
        }
    }

    /// How many a message would go to.
    pub(crate) fn receivers(&self, audience: &Audience) -> usize {
        match &audience.topic {
            Some(topic) => self.topics.count(topic),
            None => self.stats.open as usize,
        }
    }
}

/// Messages for others, to be delivered when the handler has returned.
#[derive(Default)]
pub(crate) struct Deliveries {
    list: Vec<(Audience, Prepared)>,
    /// What they take, in bytes.
    bytes: usize,
}

impl Deliveries {
    /// Bytes beyond which no more are taken, as in a mailbox.
    const MOST: usize = 64 << 20;

    /// Takes one, unless too many wait.
    pub(crate) fn push(&mut self, audience: Audience, message: &Prepared) -> bool {
        let has_room = self.bytes <= Self::MOST;
        if has_room {
            self.bytes += audience.cost(message);
            self.list.push((audience, message.clone()));
        }
        has_room
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them.
    pub(crate) fn take(&mut self) -> Vec<(Audience, Prepared)> {
        self.bytes = 0;
        std::mem::take(&mut self.list)
    }

    /// Takes their list back for its room, unless it was much.
    pub(crate) fn give_back(&mut self, list: Vec<(Audience, Prepared)>) {
        if list.capacity() <= 1024 {
            self.list = list;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ENTRY;

    #[test]
    fn deliveries_of_nothing_are_bounded() {
        let mut deliveries = Deliveries::default();
        let empty = Prepared::binary(b"");
        while deliveries.push(Audience { topic: None, except: None }, &empty) {}
        assert_eq!(deliveries.list.len(), Deliveries::MOST / ENTRY + 1);
        assert_eq!(deliveries.take().len(), Deliveries::MOST / ENTRY + 1);
        assert!(deliveries.push(Audience { topic: None, except: None }, &empty));
    }
}
