//! What came while something waited to be written, until it is received.

use crate::message::{self, Event, Piece, Told};
use sockless::Message;
use std::borrow::Cow;
use std::collections::VecDeque;

/// Bytes; about what an entry takes besides its payload.
const ENTRY: usize = 128;

/// Messages that own their bytes, and other events.
type Entry = Told<Message<'static>>;

/// The queue, in the order in which it came.
#[derive(Default)]
pub(crate) struct Kept {
    entries: VecDeque<Entry>,
    /// What they take.
    bytes: usize,
    /// The front of a message that came in pieces, for who wants it whole.
    front: Option<Message<'static>>,
}

impl Kept {
    /// Of pings and pongs behind the last message, each newest is enough (RFC 6455 §5.5.3): so they never fill it.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += cost(&entry);
        let older = self.entries.iter_mut().rev().take_while(|entry| is_ping(entry) || is_pong(entry));
        let same = |older: &&mut Entry| is_ping(older) && is_ping(&entry) || is_pong(older) && is_pong(&entry);
        match older.into_iter().find(same) {
            Some(older) => {
                self.bytes -= cost(older);
                *older = entry;
            }
            None => self.entries.push_back(entry),
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= cost(&entry);
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
        Some(entry)
    }

    /// The next for who wants messages whole: pieces are put together.
    pub(crate) fn next_message(&mut self) -> Option<Entry> {
        loop {
            let event = match self.pop()? {
                Told::Event(event) => event,
                message => return Some(message),
            };
            let piece = match *event {
                Event::Piece(piece) => piece,
                event => return Some(Told::Event(Box::new(event))),
            };
            match self.join(piece) {
                Ok(Some(message)) => return Some(Told::Message(message)),
                Ok(None) => {}
                Err(piece) => return Some(Told::Event(Box::new(Event::Piece(piece)))),
            }
        }
    }

    /// The next for who wants pieces: those that were put together come as one.
    pub(crate) fn next_piece(&mut self) -> Option<Entry> {
        let Some(front) = self.front.take() else { return self.pop() };
        let front = Piece { data: front.into(), first: true, frame_end: false, last: false };
        Some(Told::Event(Box::new(Event::Piece(front))))
    }

    /// What it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is the front of a message, whose pieces are put together.
    pub(crate) fn has_front(&self) -> bool {
        self.front.is_some()
    }

    /// Puts a piece to those before it; the message, if it is the last. One whose front was not kept is given back.
    fn join(&mut self, piece: Piece) -> Result<Option<Message<'static>>, Piece> {
        let last = piece.last;
        match (&mut self.front, piece.first) {
            (_, true) => self.front = Some(own(piece.data)),
            (None, false) => return Err(piece),
            (Some(front), false) => append(front, &piece.data),
        }
        Ok(if last { self.front.take() } else { None })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.front.is_none()
    }
}

fn is_ping(entry: &Entry) -> bool {
    matches!(entry, Told::Event(event) if matches!(**event, Event::Ping(_)))
}

fn is_pong(entry: &Entry) -> bool {
    matches!(entry, Told::Event(event) if matches!(**event, Event::Pong(_)))
}

fn cost(entry: &Entry) -> usize {
    ENTRY
        + match entry {
            Told::Message(message) => message.as_bytes().len(),
            Told::Event(event) => match &**event {
                Event::Message(message) => message.as_bytes().len(),
                Event::Piece(piece) => piece.data.as_bytes().len(),
                Event::Ping(payload) | Event::Pong(payload) => payload.len(),
                Event::Close(close) => close.reason.len(),
            },
        }
}

fn own(message: message::Message) -> Message<'static> {
    match message {
        message::Message::Text(text) => Message::Text(Cow::Owned(String::from(&*text))),
        message::Message::Binary(bytes) => Message::Binary(Cow::Owned(bytes.into())),
        message::Message::Unchecked(bytes) => Message::Unchecked(Cow::Owned(bytes.into())),
    }
}

/// A message's pieces are all of one kind, and text is cut between characters.
fn append(front: &mut Message<'static>, data: &message::Message) {
    match (front, data) {
        (Message::Text(front), message::Message::Text(text)) => front.to_mut().push_str(text),
        (Message::Binary(front) | Message::Unchecked(front), data) => front.to_mut().extend_from_slice(data.as_bytes()),
        (Message::Text(_), _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockless::{Close, Code};

    fn event(event: Event) -> Entry {
        Told::Event(Box::new(event))
    }

    fn message(text: &'static str) -> Entry {
        Told::Message(Message::Text(Cow::Owned(text.into())))
    }

    fn all(kept: &mut Kept) -> Vec<String> {
        std::iter::from_fn(|| kept.pop())
            .map(|entry| match entry {
                Told::Message(message) => format!("{:?}", message.as_bytes()),
                Told::Event(event) => format!("{event:?}"),
            })
            .collect()
    }

    #[test]
    fn what_is_kept_counts_and_comes_out_in_order() {
        let mut kept = Kept::default();
        let close = Close { code: Code::NORMAL, reason: "bye".into() };
        for entry in [message("a"), message(""), event(Event::Ping("p".into())), event(Event::Close(close))] {
            kept.push(entry);
        }
        assert_eq!(kept.bytes(), 4 * ENTRY + 1 + 1 + 3);
        let all = all(&mut kept);
        assert_eq!((all.len(), all[0].as_str(), kept.bytes()), (4, "[97]", 0));
        assert_eq!(kept.entries.capacity(), 0);
    }

    #[test]
    fn of_pings_and_pongs_behind_a_message_the_newest_are_kept() {
        let mut kept = Kept::default();
        for round in 0..1000 {
            let payload = format!("{round}");
            kept.push(event(Event::Ping(payload.clone().into())));
            kept.push(event(Event::Pong(payload.into())));
            if round == 500 {
                kept.push(message("m"));
            }
        }
        assert_eq!(kept.bytes(), 5 * ENTRY + 13);
        let expected = [r#"Ping(b"500")"#, r#"Pong(b"500")"#, "[109]", r#"Ping(b"999")"#, r#"Pong(b"999")"#];
        assert_eq!(all(&mut kept), expected);
    }

    #[test]
    fn pieces_are_put_together_for_who_wants_the_whole() {
        let piece = |text: &'static str, first, last| Piece { data: text.into(), first, frame_end: last, last };
        let mut kept = Kept::default();
        assert_eq!(kept.join(piece("b", false, true)), Err(piece("b", false, true)), "its front went elsewhere");
        assert_eq!(kept.join(piece("one", true, true)), Ok(Some("one".into())));
        assert_eq!(kept.join(piece("gr", true, false)), Ok(None));
        assert_eq!(kept.join(piece("ü", false, false)), Ok(None));
        assert_eq!(kept.join(piece("ße", false, true)), Ok(Some("grüße".into())));
        assert_eq!(kept.join(piece("an", true, false)), Ok(None));
        assert_eq!(kept.join(piece("other", false, false)), Ok(None));
        let front = kept
            .next_piece()
            .map(|entry| matches!(entry, Told::Event(event) if *event == Event::Piece(piece("another", true, false))));
        assert_eq!((front, kept.is_empty()), (Some(true), true));
    }
}
