//! Feeding a connection in any cuts and by any of its methods, and what it says.

use crate::heap::{self, Used};
use arbitrary::Arbitrary;
use bytes::Buf;
use sockless::{Connection, Event, Message, Piece, ProtocolError};
use std::borrow::Cow;
use std::mem;

/// The lengths that bytes come in, over and over; 255 is all that is left.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cuts([u8; 4]);

impl Cuts {
    pub const WHOLE: Self = Self([u8::MAX; 4]);

    /// `len` in parts. Long input comes in longer ones, so that no run takes long.
    pub fn lengths(self, len: usize) -> impl Iterator<Item = usize> {
        let unit = if len > 4096 { 61 } else { 1 };
        // Nothing but empty parts would never end.
        let cuts = if self.0 == [0; 4] { Self::WHOLE.0 } else { self.0 };
        let mut left = len;
        cuts.into_iter().cycle().map_while(move |cut| {
            if left == 0 {
                return None;
            }
            let part = if cut == u8::MAX { left } else { (usize::from(cut) * unit).min(left) };
            left -= part;
            Some(part)
        })
    }

    /// `bytes` in parts.
    pub fn parts(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut rest = bytes;
        self.lengths(bytes.len()).map(move |len| {
            let part;
            (part, rest) = rest.split_at(len);
            part
        })
    }
}

/// By which of its methods a connection is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Receive,
    /// In pieces, which are joined again.
    Piece,
    /// Straight into a message wherever it lends its tail.
    Tail,
    /// Whole, if what has come of a frame is worth keeping.
    Keep,
}

/// A driver's buffer, where frames are kept.
const MOST_KEPT: usize = 4096;

/// All that a connection said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub events: Vec<Event<'static>>,
    pub error: Option<ProtocolError>,
    /// The bytes that went out, and those that wait.
    pub sent: Vec<u8>,
}

impl Said {
    /// Whether the event or error came that ends a connection.
    pub fn has_ended(&self) -> bool {
        self.error.is_some() || matches!(self.events.last(), Some(Event::Close(_) | Event::Rejected(_)))
    }
}

/// How much heap a connection may take, beyond what it holds at the start.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// [`Limits::message`](sockless::Limits::message).
    pub message: usize,
    pub compressed: bool,
}

impl Budget {
    /// Control frames both ways, and the tables that they wait in.
    const SLACK: usize = 2048;
    /// What it takes to inflate: a codec with its window, and pieces of up to 82 KiB while they grow.
    const INFLATER: usize = 64 << 10;
    /// RFC 1951 makes no more than this of a byte.
    const RATIO: usize = 1032;

    /// The most bytes of heap once so many bytes came.
    fn most(self, came: usize) -> usize {
        let (codec, inflated) = if self.compressed { (Self::INFLATER, came * Self::RATIO) } else { (0, came) };
        Self::SLACK + codec + self.message.min(inflated).saturating_mul(4)
    }
}

/// A connection under test, and what it said so far.
pub struct Feeder<'c> {
    pub connection: &'c mut Connection,
    pub said: Said,
    /// What goes out does so after each event.
    pub flushes: bool,
    /// A buffer is given back for each binary message.
    pub recycles: bool,
    pub budget: Option<Budget>,
    by: By,
    /// The message whose pieces come.
    joined: Option<Message<'static>>,
    /// The front of a frame that has not come whole.
    kept: Vec<u8>,
    /// Bytes received.
    came: usize,
    /// Bytes of heap that the connection took and did not give back.
    held: isize,
}

impl<'c> Feeder<'c> {
    pub fn new(connection: &'c mut Connection, by: By) -> Self {
        Self {
            connection,
            said: Said::default(),
            flushes: false,
            recycles: false,
            budget: None,
            by,
            joined: None,
            kept: Vec::new(),
            came: 0,
            held: 0,
        }
    }

    /// Receives all of `bytes` in parts; `answer` is told of each event.
    pub fn feed(&mut self, bytes: &[u8], cuts: Cuts, mut answer: impl FnMut(&mut Connection, &Event<'static>)) {
        let mut rest = bytes;
        for len in cuts.lengths(bytes.len()) {
            if self.by == By::Tail {
                rest = self.feed_tail(rest);
            }
            let part;
            (part, rest) = rest.split_at(len.min(rest.len()));
            self.receive(part, &mut answer);
        }
        self.give(&mut answer);
    }

    /// Receives one part.
    pub fn receive(&mut self, part: &[u8], answer: &mut impl FnMut(&mut Connection, &Event<'static>)) {
        self.came += part.len();
        let mut part = [mem::take(&mut self.kept), part.to_vec()].concat();
        let mut input = &mut part[..];
        loop {
            let missing = if self.by == By::Keep { self.connection.missing(input) } else { 0 };
            if missing > 0 && input.len() + missing <= MOST_KEPT {
                self.kept = input.to_vec();
                return;
            }
            let (result, used) = heap::used(|| match self.by {
                By::Piece => self.connection.receive_piece(&mut input),
                _ => self.connection.receive(&mut input),
            });
            self.count(used);
            if let Ok(Some(event)) = &result {
                self.held -= owned(event) as isize;
            }
            if !self.hear(result.map(|event| event.map(Event::into_owned)), answer) {
                break;
            }
        }
        assert!(input.is_empty(), "all input is taken");
    }

    /// What was kept is received after all, for no more comes.
    fn give(&mut self, answer: &mut impl FnMut(&mut Connection, &Event<'static>)) {
        if !self.kept.is_empty() {
            let by = mem::replace(&mut self.by, By::Receive);
            self.receive(&[], answer);
            self.by = by;
        }
    }

    /// Moves bytes straight into messages while their tails are lent; the bytes that are left.
    fn feed_tail<'b>(&mut self, mut bytes: &'b [u8]) -> &'b [u8] {
        while !bytes.is_empty() {
            let (len, used) = heap::used(|| {
                let tail = self.connection.tail()?;
                let len = tail.len().min(bytes.len());
                tail[..len].copy_from_slice(&bytes[..len]);
                Some(len)
            });
            self.came += len.unwrap_or_default();
            self.count(used);
            let Some(len) = len else { break };
            assert!(len > 0, "a tail has room");
            bytes = &bytes[len..];
            let (result, used) = heap::used(|| self.connection.receive_tail(len));
            self.count(used);
            if let Ok(Some(event)) = &result {
                self.held -= owned(event) as isize;
            }
            self.hear(result, &mut |_, _| {});
        }
        bytes
    }

    /// The transport ends: once more, one event or error may come, and never two.
    pub fn eof(&mut self) {
        let result = self.connection.receive_eof();
        self.hear(result, &mut |_, _| {});
        assert!(matches!(self.connection.receive_eof(), Ok(None)), "the end is told once");
    }

    /// Takes notice of a result; whether more may follow.
    fn hear(
        &mut self,
        result: Result<Option<Event<'static>>, ProtocolError>,
        answer: &mut impl FnMut(&mut Connection, &Event<'static>),
    ) -> bool {
        if !matches!(result, Ok(None)) {
            assert!(!self.said.has_ended(), "{result:?} behind the end: {:?}", self.said);
        }
        match result {
            Ok(None) => return false,
            Ok(Some(event)) => {
                answer(self.connection, &event);
                self.recycle(&event);
                let event = join(&mut self.joined, event);
                self.said.events.extend(event);
            }
            Err(error) => self.said.error = Some(error),
        }
        if self.flushes {
            self.flush();
        }
        true
    }

    /// What waits goes out.
    pub fn flush(&mut self) {
        let mut outbound = self.connection.outbound();
        while outbound.has_remaining() {
            let len = outbound.chunk().len();
            self.said.sent.extend_from_slice(outbound.chunk());
            let ((), used) = heap::used(|| outbound.advance(len));
            self.held += used.held;
        }
    }

    /// Gives a buffer back for a message, full of bytes that must be seen no more.
    fn recycle(&mut self, event: &Event<'_>) {
        if let Event::Binary(bytes) = event
            && self.recycles
        {
            let spent = vec![0xEE; bytes.len()];
            self.held += bytes.len() as isize;
            let ((), used) = heap::used(|| self.connection.recycle(spent));
            self.held += used.held;
        }
    }

    /// Takes notice of what a call did to the heap.
    fn count(&mut self, used: Used) {
        if let Some(budget) = self.budget {
            let peak = self.held + used.peak;
            assert!(peak <= budget.most(self.came) as isize, "{peak} bytes of heap for {}: {budget:?}", self.came);
        }
        self.held += used.held;
    }

    /// Bytes of the message whose pieces come.
    pub fn joined(&self) -> usize {
        self.joined.as_ref().map_or(0, |message| message.as_bytes().len())
    }
}

/// The event, or the message that a piece completes; `joined` is what has come of one.
pub fn join(joined: &mut Option<Message<'static>>, event: Event<'static>) -> Option<Event<'static>> {
    let Event::Piece(piece) = event else { return Some(event) };
    assert_eq!(piece.first, joined.is_none(), "{piece:?} after {joined:?}");
    assert!(piece.frame_end || !piece.data.as_bytes().is_empty(), "a piece says something");
    assert!(piece.frame_end || !piece.last);
    let Piece { data, last, .. } = piece;
    let message = match joined.take() {
        None => data,
        Some(before) => append(before, &data),
    };
    if last {
        return Some(message.into());
    }
    *joined = Some(message);
    None
}

fn append(before: Message<'static>, more: &Message<'_>) -> Message<'static> {
    match (before, more) {
        (Message::Text(text), Message::Text(more)) => Message::Text(Cow::Owned(text.into_owned() + more)),
        (Message::Binary(bytes), Message::Binary(more)) => Message::Binary(concat(bytes, more)),
        (Message::Unchecked(bytes), Message::Unchecked(more)) => Message::Unchecked(concat(bytes, more)),
        (before, more) => panic!("{more:?} is of another kind than {before:?}"),
    }
}

fn concat(bytes: Cow<'static, [u8]>, more: &[u8]) -> Cow<'static, [u8]> {
    let mut bytes = bytes.into_owned();
    bytes.extend_from_slice(more);
    Cow::Owned(bytes)
}

/// Bytes of heap that an event owns.
fn owned(event: &Event<'_>) -> usize {
    let bytes = |bytes: &Cow<'_, [u8]>| if let Cow::Owned(bytes) = bytes { bytes.capacity() } else { 0 };
    let text = |text: &Cow<'_, str>| if let Cow::Owned(text) = text { text.capacity() } else { 0 };
    match event {
        Event::Text(data) | Event::Piece(Piece { data: Message::Text(data), .. }) => text(data),
        Event::Piece(Piece { data: Message::Binary(data) | Message::Unchecked(data), .. }) => bytes(data),
        Event::Binary(data) | Event::Unchecked(data) | Event::Ping(data) | Event::Pong(data) => bytes(data),
        Event::Close(close) => text(&close.reason),
        _ => 0,
    }
}
