//! What waits for the broker, within bounds.

use sockless::Prepared;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What may wait for a broker that is slow, or away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most messages; at least one may wait.
    pub messages: usize,
    /// The most bytes of payload and topics in all; one message may have more.
    pub bytes: usize,
}

impl Default for Bounds {
    /// 10,000 messages of 16 MiB.
    fn default() -> Self {
        Self { messages: 10_000, bytes: 16 << 20 }
    }
}

/// Messages on their way out.
pub(super) struct Queue {
    bounds: Bounds,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<(Arc<str>, Prepared)>,
    bytes: usize,
    unsent: u64,
    over: bool,
}

/// What there is to do.
pub(super) enum Next {
    Message(Arc<str>, Prepared),
    Nothing,
    /// Nothing, and nothing more will come.
    End,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, waiting: Mutex::default(), wake: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics while it is locked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message, and gives up the oldest for which there is no room.
    pub(super) fn push(&self, topic: &Arc<str>, message: &Prepared) {
        let waiting = &mut *self.lock();
        if waiting.over {
            return waiting.unsent += 1;
        }
        waiting.bytes += cost(topic, message);
        waiting.messages.push_back((topic.clone(), message.clone()));
        while waiting.messages.len() > 1
            && (waiting.messages.len() > self.bounds.messages || waiting.bytes > self.bounds.bytes)
        {
            waiting.take();
            waiting.unsent += 1;
        }
        self.wake.notify_one();
    }

    pub(super) fn next(&self) -> Next {
        let waiting = &mut *self.lock();
        match waiting.take() {
            Some((topic, message)) => Next::Message(topic, message),
            None if waiting.over => Next::End,
            None => Next::Nothing,
        }
    }

    /// Waits until there is something, perhaps.
    pub(super) async fn wait(&self) {
        self.wake.notified().await;
    }

    pub(super) fn lose(&self, messages: u64) {
        self.lock().unsent += messages;
    }

    pub(super) fn unsent(&self) -> u64 {
        self.lock().unsent
    }

    /// Takes nothing more.
    pub(super) fn end(&self) {
        self.lock().over = true;
        self.wake.notify_one();
    }
}

impl Waiting {
    fn take(&mut self) -> Option<(Arc<str>, Prepared)> {
        let (topic, message) = self.messages.pop_front()?;
        self.bytes -= cost(&topic, &message);
        Some((topic, message))
    }
}

fn cost(topic: &str, message: &Prepared) -> usize {
    topic.len() + message.payload().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(queue: &Queue) -> Vec<String> {
        let text = |message: Prepared| String::from_utf8(message.payload().to_vec()).unwrap();
        std::iter::from_fn(|| if let Next::Message(_, message) = queue.next() { Some(text(message)) } else { None })
            .collect()
    }

    #[test]
    fn the_oldest_goes_where_there_is_no_room() {
        let topic = "topic".into();
        let push =
            |queue: &Queue, words: &[&str]| words.iter().for_each(|word| queue.push(&topic, &Prepared::text(word)));
        let queue = Queue::new(Bounds { messages: 2, bytes: 1000 });
        push(&queue, &["one", "two", "three"]);
        assert_eq!((queue.unsent(), left(&queue)), (1, vec!["two".into(), "three".into()]));
        let queue = Queue::new(Bounds { messages: 10, bytes: 20 });
        push(&queue, &["one", "two", "three"]);
        assert_eq!((queue.unsent(), left(&queue)), (1, vec!["two".into(), "three".into()]));
        push(&queue, &[&"long".repeat(10)]);
        assert_eq!(left(&queue).len(), 1, "one may always wait");
        let queue = Queue::new(Bounds { messages: 0, bytes: 0 });
        push(&queue, &["one", "two"]);
        queue.end();
        push(&queue, &["late"]);
        assert_eq!((queue.unsent(), left(&queue)), (2, vec!["two".into()]));
        assert!(matches!(queue.next(), Next::End));
    }
}
