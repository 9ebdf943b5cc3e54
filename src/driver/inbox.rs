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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, Piece};
    use alloc::borrow::Cow;

    #[test]
    fn each_event_counts_by_its_payload_until_it_is_asked_for() {
        let payload = || Cow::Borrowed(&b"four"[..]);
        let events = [
            Event::Text("grüße".into()),
            Event::Binary(payload()),
            Event::Unchecked(payload()),
            Event::Ping(payload()),
            Event::Pong(payload()),
            Event::Piece(Piece { data: Message::Binary(payload()), first: true, frame_end: true, last: true }),
        ];
        let mut inbox = Inbox::default();
        events.iter().for_each(|event| inbox.push(event.clone()));
        assert_eq!(inbox.bytes(), 64 + 7 + 5 * 68);
        for (event, left) in events.into_iter().zip([5 * 68, 4 * 68, 3 * 68, 2 * 68, 68, 0]) {
            assert_eq!((inbox.pop(), inbox.bytes()), (Some(event), left));
        }
        assert_eq!((inbox.pop(), inbox.events.capacity()), (None, 0));
    }
}
