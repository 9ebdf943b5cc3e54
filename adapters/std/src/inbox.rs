//! What has come while something else was waited for, until it is asked for.

use sockless::Event;
use std::collections::VecDeque;

/// Bytes; what an event takes besides its payload.
const EVENT: usize = 64;

/// Events in their order. One that is never used takes no heap.
#[derive(Default)]
pub(crate) struct Inbox {
    events: VecDeque<Event<'static>>,
    bytes: usize,
}

impl Inbox {
    pub(crate) fn push(&mut self, event: Event<'static>) {
        self.bytes += cost(&event);
        self.events.push_back(event);
    }

    pub(crate) fn pop(&mut self) -> Option<Event<'static>> {
        let event = self.events.pop_front()?;
        self.bytes -= cost(&event);
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// What all of it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost(event: &Event<'_>) -> usize {
    EVENT
        + match event {
            Event::Text(text) => text.len(),
            Event::Binary(bytes) | Event::Unchecked(bytes) | Event::Ping(bytes) | Event::Pong(bytes) => bytes.len(),
            Event::Piece(piece) => piece.data.as_bytes().len(),
            _ => 0,
        }
}
