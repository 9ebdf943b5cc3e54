//! What has come while something else was waited for, until it is asked for.

use crate::event::Event;
use alloc::collections::VecDeque;

/// Bytes; what an event takes besides its payload.
const EVENT: usize = 64;

/// Events in their order, which came while their application waited for something else, such as for a peer to take what it is
/// sent. One that is never used takes no heap.
///
/// ```
/// use sockless::{Event, driver::Inbox};
///
/// let mut inbox = Inbox::default();
/// inbox.push(Event::Text("Hello".into()));
/// assert_eq!(inbox.bytes(), 64 + 5);
/// assert_eq!(inbox.pop(), Some(Event::Text("Hello".into())));
/// assert_eq!((inbox.pop(), inbox.bytes()), (None, 0));
/// ```
#[derive(Debug, Default)]
pub struct Inbox {
    events: VecDeque<Event<'static>>,
    bytes: usize,
}

impl Inbox {
    /// Keeps an event behind the others.
    pub fn push(&mut self, event: Event<'static>) {
        self.bytes += cost(&event);
        self.events.push_back(event);
    }

    /// Gives the event that has waited longest.
    pub fn pop(&mut self) -> Option<Event<'static>> {
        let event = self.events.pop_front()?;
        self.bytes -= cost(&event);
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// Bytes that all of it takes, about: the payloads, and 64 more for each event.
    pub fn bytes(&self) -> usize {
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
