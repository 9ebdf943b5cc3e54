//! Messages whose last byte is not written yet, so that it is known of each connection what it has certainly not sent.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// In the order in which they go out: the first of them have been handed to the connection there is now.
#[derive(Debug)]
pub(super) struct Unwritten<M> {
    entries: VecDeque<Entry<M>>,
    /// So many have been handed to the connection.
    handed: usize,
    /// All their bytes on the wire.
    on_wire: usize,
    /// Messages of the caller's, and bytes of their payload.
    messages: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<M> {
    message: M,
    /// Bytes of its payload.
    len: usize,
    /// Bytes on the wire, once it is handed over.
    on_wire: usize,
    /// It is of one connection only, and made anew for the next.
    greeting: bool,
}

impl<M> Unwritten<M> {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), handed: 0, on_wire: 0, messages: 0, bytes: 0 }
    }

    /// Messages of the caller's.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// Bytes of their payload.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What they take, entries included, for the list doubles.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.messages * 2 * size_of::<Entry<M>>()
    }

    /// Whether any waits to be handed over.
    pub(super) fn waits(&self) -> bool {
        self.handed < self.entries.len()
    }

    pub(super) fn push(&mut self, message: M, len: usize) {
        self.messages += 1;
        self.bytes += len;
        self.entries.push_back(Entry { message, len, on_wire: 0, greeting: false });
    }

    /// Takes back the last, which waits.
    pub(super) fn pop(&mut self) -> Option<M> {
        let entry = if self.waits() { self.entries.pop_back()? } else { return None };
        self.forget(&entry);
        Some(entry.message)
    }

    /// Puts messages ahead of all that wait, for the connection there is now.
    pub(super) fn greet(&mut self, messages: impl IntoIterator<Item = M>) {
        for (at, message) in (self.handed..).zip(messages) {
            self.entries.insert(at, Entry { message, len: 0, on_wire: 0, greeting: true });
        }
    }

    /// Gives `give` what waits, or only what greets, until it takes no more, where it says how many bytes each is on the wire;
    /// whether it took any.
    pub(super) fn hand_over(&mut self, greetings: bool, mut give: impl FnMut(&M) -> Option<usize>) -> bool {
        let before = self.handed;
        while let Some(entry) = self.entries.get_mut(self.handed)
            && (entry.greeting || !greetings)
            && let Some(on_wire) = give(&entry.message)
        {
            entry.on_wire = on_wire;
            self.on_wire += on_wire;
            self.handed += 1;
        }
        self.handed > before
    }

    /// Forgets what has been written, now that so many bytes of messages have not been.
    pub(super) fn note(&mut self, unwritten: usize) {
        while self.handed > 0
            && let Some(entry) = self.entries.front()
            && self.on_wire - entry.on_wire >= unwritten
            && let Some(entry) = self.entries.pop_front()
        {
            self.on_wire -= entry.on_wire;
            self.handed -= 1;
            self.forget(&entry);
        }
    }

    fn forget(&mut self, entry: &Entry<M>) {
        if !entry.greeting {
            self.messages -= 1;
            self.bytes -= entry.len;
        }
    }

    /// The connection is lost: all wait for the next, but what greeted this one.
    pub(super) fn lost(&mut self) {
        (self.handed, self.on_wire) = (0, 0);
        self.entries.retain(|entry| !entry.greeting);
    }

    /// Gives back all of the caller's, the oldest first.
    pub(super) fn take(&mut self) -> Vec<M> {
        self.lost();
        (self.messages, self.bytes) = (0, 0);
        core::mem::take(&mut self.entries).into_iter().map(|entry| entry.message).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(messages: &[&'static str]) -> Unwritten<&'static str> {
        let mut list = Unwritten::new();
        messages.iter().for_each(|message| list.push(*message, message.len()));
        list
    }

    /// The wire adds six bytes to each.
    fn give(message: &&'static str) -> Option<usize> {
        Some(message.len() + 6)
    }

    #[test]
    fn a_message_leaves_the_list_when_its_last_byte_is_written() {
        let mut sent = list(&["one", "two", "three"]);
        assert!(sent.hand_over(false, give) && !sent.waits());
        for (unwritten, left) in [(1000, 3), (29, 3), (21, 3), (20, 2), (12, 2), (11, 1), (1, 1)] {
            sent.note(unwritten);
            assert_eq!(sent.messages(), left, "{unwritten}");
        }
        assert_eq!(sent.bytes(), 5);
        sent.note(0);
        assert_eq!((sent.messages(), sent.bytes(), sent.held(), sent.take()), (0, 0, 0, Vec::new()));
    }

    #[test]
    fn what_was_not_written_goes_again_in_its_order_behind_a_greeting_of_the_next() {
        let mut sent = list(&["a", "b", "c"]);
        sent.greet(["hello"]);
        let mut taken = Vec::new();
        // The greeting alone at first, then as much as is taken.
        assert!(sent.hand_over(true, |message| {
            taken.push(*message);
            give(message)
        }));
        assert!(!sent.hand_over(true, give));
        sent.hand_over(false, |message| {
            (*message != "c").then(|| {
                taken.push(*message);
                7
            })
        });
        assert_eq!((&taken[..], sent.waits(), sent.messages()), (&["hello", "a", "b"][..], true, 3));
        // The greeting and the first are written; of the second, a part.
        sent.note(6);
        assert_eq!((sent.messages(), sent.bytes()), (2, 2));
        sent.lost();
        sent.greet(["hello", "again"]);
        sent.push("d", 1);
        taken.clear();
        assert!(sent.hand_over(false, |message| {
            taken.push(*message);
            give(message)
        }));
        assert_eq!(taken, ["hello", "again", "b", "c", "d"]);
        // None of the connection's own is given back.
        assert_eq!(sent.take(), ["b", "c", "d"]);
        assert_eq!((sent.messages(), sent.bytes(), sent.waits()), (0, 0, false));
    }

    #[test]
    fn what_was_not_handed_over_stays_and_waits() {
        let mut sent = list(&["", "b", "c"]);
        sent.note(0);
        assert_eq!((sent.messages(), sent.held()), (3, 2 + 3 * 2 * size_of::<Entry<&str>>()));
        sent.hand_over(false, give);
        sent.note(13);
        assert_eq!((sent.messages(), sent.waits()), (2, false));
        sent.push("d", 1);
        let mut taken = Vec::new();
        assert!(sent.waits() && sent.hand_over(false, |message| (taken.push(*message), give(message)).1));
        assert_eq!(taken, ["d"]);
    }

    #[test]
    fn only_what_waits_is_taken_back() {
        let mut sent = list(&["a", "b"]);
        assert_eq!((sent.pop(), sent.messages(), sent.bytes()), (Some("b"), 1, 1));
        sent.hand_over(false, give);
        assert_eq!((sent.pop(), sent.messages()), (None, 1));
    }
}
