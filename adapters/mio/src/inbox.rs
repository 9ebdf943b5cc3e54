//! What has come to a client that waited for something else.

use sockless::Message;
use std::borrow::Cow;
use std::collections::VecDeque;

/// What a message that is kept takes besides its payload: its place in the list, which doubles, and what the allocator adds.
const ENTRY: usize = 2 * size_of::<Message<'static>>() + 16;

/// Messages that have not been asked for, and how much of them is kept.
pub(crate) struct Inbox {
    messages: VecDeque<Message<'static>>,
    bytes: usize,
    most: usize,
}

impl Inbox {
    /// One that is full beyond so many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, most }
    }

    /// Takes a message; full or not, for it may just have become so.
    pub(crate) fn push(&mut self, message: Message<'static>) {
        self.bytes += cost(&message);
        self.messages.push_back(message);
    }

    pub(crate) fn pop(&mut self) -> Option<Message<'static>> {
        let message = self.messages.pop_front()?;
        self.bytes -= cost(&message);
        if self.messages.is_empty() {
            // What was once full takes no room for ever.
            self.messages.shrink_to(64);
        }
        Some(message)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes > self.most
    }
}

fn cost(message: &Message<'static>) -> usize {
    let payload = match message {
        Message::Text(Cow::Owned(text)) => text.capacity(),
        Message::Binary(Cow::Owned(bytes)) | Message::Unchecked(Cow::Owned(bytes)) => bytes.capacity(),
        _ => 0,
    };
    payload + ENTRY
}
