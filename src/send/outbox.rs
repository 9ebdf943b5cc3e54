//! Bytes that wait to go out: frames in order, shared payloads spliced in, control frames ahead of data.

use crate::wire::frame::{Header, MAX_CONTROL, MAX_HEADER, OpCode};
use crate::wire::xor::{self, put};
use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use bytes::{Buf, Bytes};
use core::mem;
use core::ops::Range;
#[cfg(feature = "std")]
use std::io::IoSlice;

/// What a copy moves at once. From 4 KiB on, C libraries leave it to an instruction of the processor's (`rep movsb`) that
/// takes some of them 25 times as long if what is copied lies a few bytes before its new place, pages apart.
const MOVED: usize = 2 << 10;

/// What an acceptance begins with, and no frame: a Close frame cannot be a fragment.
const ACCEPTED: &[u8] = b"HTTP/1.1 101 ";

/// The outbox of one connection: frames, one after the other, in one buffer that is empty when all has gone out.
#[derive(Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// What more there is to know while not all of `bytes` went out at once, or not all that waits is in them.
    backlog: Option<Box<Backlog>>,
}

/// Offsets move and bytes stay.
#[derive(Default)]
struct Backlog {
    /// How many of `bytes` have gone out.
    sent: usize,
    /// The end of the head, the start of some frame in `bytes`, or their end: from where the next boundary is found.
    boundary: usize,
    /// This is there for the head of the opening handshake, of which there is one.
    head: bool,
    /// What was not copied to `bytes`: shared payloads, prepared frames, and control frames that overtake.
    splices: VecDeque<Splice>,
    /// Bytes in all of `splices`.
    spliced: usize,
    /// Whether a part of the first splice has gone out.
    started: bool,
    /// Whether this was there when [`Outbox::watch`] was last called, and whether any of it has gone out since.
    watched: bool,
    moved: bool,
}

struct Splice {
    /// Comes before the byte at this index of `bytes`.
    at: usize,
    data: Bytes,
    part: Part,
}

impl Splice {
    fn is_control(&self) -> bool {
        !matches!(self.part, Part::Payload | Part::Frame)
    }
}

/// What a splice is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The payload of the frame whose header ends here.
    Payload,
    /// A whole data frame.
    Frame,
    /// A whole control frame.
    Control,
    /// The answer to a ping, of which only the newest matters (RFC 6455 §5.5.3).
    Pong,
    /// A ping of the keepalive's, which wants an answer to the newest.
    Ping,
}

impl Outbox {
    /// Whether some of what waited at the last call has gone out since, and not all: the peer takes it.
    ///
    /// What went out at once says nothing of the peer: it may all be in the transport's own buffers.
    pub(crate) fn watch(&mut self) -> bool {
        let waits = self.len() > 0;
        let Some(backlog) = self.backlog.as_mut().filter(|_| waits) else { return false };
        mem::replace(&mut backlog.watched, true) & mem::take(&mut backlog.moved)
    }

    /// Bytes that wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match &self.backlog {
            None => self.bytes.len(),
            Some(backlog) => self.bytes.len() - backlog.sent + backlog.spliced,
        }
    }

    /// Bytes that its buffer has room for.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes of control frames among them that overtake, or have begun to.
    pub(crate) fn overtaking(&self) -> usize {
        let Some(backlog) = &self.backlog else { return 0 };
        let controls = backlog.controls(&self.bytes);
        let begun = backlog.splices.range(..controls.start).filter(|splice| splice.is_control());
        begun.chain(backlog.splices.range(controls)).map(|splice| splice.data.len()).sum()
    }

    /// Bytes of the frame that was appended last, with its payload; found by going through those before it.
    pub(crate) fn last_frame(&self) -> usize {
        let (mut at, splices) = match &self.backlog {
            None => (accepted(&self.bytes), None),
            Some(backlog) => (backlog.boundary, Some(&backlog.splices)),
        };
        let payloads = splices.into_iter().flatten().filter(|splice| splice.part == Part::Payload);
        let mut payloads = payloads.map(|splice| splice.at).peekable();
        // These are our own headers; they parse.
        while let Ok(Some((header, len))) = Header::parse(&self.bytes[at..]) {
            let payload = header.length as usize;
            at += len;
            while payloads.next_if(|before| *before < at).is_some() {}
            if payloads.next_if_eq(&at).is_none() {
                at += payload;
            }
            if at >= self.bytes.len() {
                return len + payload;
            }
        }
        0
    }

    /// Where the caller appends whole frames; there is room for `more` bytes.
    #[inline]
    pub(crate) fn tail(&mut self, more: usize) -> &mut Vec<u8> {
        if self.bytes.capacity() - self.bytes.len() < more {
            self.make_room(more);
        }
        &mut self.bytes
    }

    /// Appends the head of the opening handshake, which is the first of all that waits and goes out whole.
    pub(crate) fn push_head<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let written = write(&mut self.bytes);
        // An acceptance is known when it matters, which it does where it does not go out at once.
        if !self.bytes.is_empty() && !self.bytes.starts_with(ACCEPTED) {
            self.backlog = Some(Box::new(Backlog { boundary: self.bytes.len(), head: true, ..Backlog::default() }));
        }
        written
    }

    /// Leaves behind what has gone out, if that is at least half, so that a byte moves a few times at most.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, more: usize) {
        if let Some(backlog) = &mut self.backlog
            && backlog.sent > self.bytes.len() / 2
        {
            backlog.leave_sent(&mut self.bytes);
        }
        self.bytes.reserve(more);
    }

    /// Appends a frame, its payload masked if the header has a key.
    #[inline(always)]
    pub(crate) fn append(&mut self, header: Header, payload: &[u8]) {
        match (header.mask, payload.len()) {
            // What is masked is moved by words, which costs less within room of a constant size.
            (Some(key), 0..=26) => append_short::<32>(self.tail(32), header, payload, key),
            (Some(key), 27..=58) => append_short::<64>(self.tail(64), header, payload, key),
            (Some(key), 59..=125) => append_short::<136>(self.tail(136), header, payload, key),
            (mask, len) => {
                let to = self.tail(MAX_HEADER + len);
                header.encode().append(to);
                match mask {
                    Some(key) => xor::append_wide(payload, to, key),
                    None if len <= MOVED => put(to, payload),
                    None => put_parts(to, payload),
                }
            }
        }
    }

    /// Appends a payload by reference; its header was just appended.
    pub(crate) fn push_payload(&mut self, data: Bytes) {
        self.push_splice(data, Part::Payload);
    }

    /// Appends a whole data frame by reference.
    pub(crate) fn push_frame(&mut self, data: Bytes) {
        self.push_splice(data, Part::Frame);
    }

    fn push_splice(&mut self, data: Bytes, part: Part) {
        if !data.is_empty() {
            let backlog = self.backlog.get_or_insert_with(|| Backlog::new(&self.bytes));
            backlog.spliced += data.len();
            backlog.splices.push_back(Splice { at: self.bytes.len(), data, part });
        }
    }

    /// Puts a control frame ahead of the data frames that have not begun to go out, behind other control frames. One of
    /// which only the newest matters takes the place of one that has not begun to go out.
    pub(crate) fn push_control(&mut self, frame: Bytes, part: Part) {
        let backlog = self.backlog.get_or_insert_with(|| Backlog::new(&self.bytes));
        let controls = backlog.controls(&self.bytes);
        let older = |splice: &&mut Splice| part != Part::Control && splice.part == part;
        match backlog.splices.range_mut(controls).find(older) {
            Some(splice) => {
                backlog.spliced = backlog.spliced - splice.data.len() + frame.len();
                splice.data = frame;
            }
            None => backlog.insert(&self.bytes, frame, part),
        }
    }

    /// Drops every frame that has not begun to go out; whether there was any.
    pub(crate) fn cut(&mut self) -> bool {
        let before = self.len();
        let Some(backlog) = &mut self.backlog else {
            self.bytes.truncate(accepted(&self.bytes));
            return self.len() < before;
        };
        let begun = backlog.begun(&self.bytes);
        backlog.boundary = backlog.next_boundary(&self.bytes);
        self.bytes.truncate(backlog.boundary);
        backlog.splices.truncate(begun);
        backlog.spliced = backlog.splices.iter().map(|splice| splice.data.len()).sum();
        self.len() < before
    }

    /// Gives `buffer` the storage of this outbox, and takes that of `buffer`, with what waits moved into it. Where nothing
    /// waits, nothing else is held either.
    #[inline]
    pub(crate) fn swap(&mut self, buffer: &mut Vec<u8>) {
        buffer.clear();
        if !self.bytes.is_empty() || self.backlog.is_some() {
            self.move_to(buffer);
        }
        mem::swap(&mut self.bytes, buffer);
    }

    #[inline(never)]
    fn move_to(&mut self, buffer: &mut Vec<u8>) {
        if self.len() > 0 {
            if let Some(backlog) = &mut self.backlog {
                backlog.leave_sent(&mut self.bytes);
            }
            buffer.extend_from_slice(&self.bytes);
        } else {
            self.backlog = None;
        }
        self.bytes.clear();
    }

    /// The bytes to send next.
    #[inline]
    pub(super) fn chunk(&self) -> &[u8] {
        match &self.backlog {
            None => &self.bytes,
            Some(backlog) => match backlog.splices.front() {
                Some(splice) if splice.at == backlog.sent => &splice.data,
                Some(splice) => &self.bytes[backlog.sent..splice.at],
                None => &self.bytes[backlog.sent..],
            },
        }
    }

    /// Fills `slices` with what waits, in order; how many of them.
    #[cfg(feature = "std")]
    #[inline]
    pub(super) fn fill<'b>(&'b self, slices: &mut [IoSlice<'b>]) -> usize {
        match &self.backlog {
            None => fill(slices, [&self.bytes]),
            Some(backlog) => backlog.fill(&self.bytes, slices),
        }
    }

    #[inline]
    pub(super) fn advance(&mut self, count: usize, retain: usize) {
        if count < self.len() {
            return self.step(count);
        }
        self.bytes.clear();
        if self.bytes.capacity() > retain {
            self.bytes = Vec::new();
        }
        if self.backlog.is_some() {
            self.clear_backlog(retain - self.bytes.capacity());
        }
    }

    /// Leaves of it what is to be used again, unless that holds more than `retain` bytes of heap.
    #[inline(never)]
    fn clear_backlog(&mut self, retain: usize) {
        if let Some(backlog) = &mut self.backlog
            && !backlog.clear(retain)
        {
            self.backlog = None;
        }
    }

    /// As `advance`, while more is to go out, here or behind.
    pub(super) fn step(&mut self, count: usize) {
        if count > 0 {
            self.backlog.get_or_insert_with(|| Backlog::new(&self.bytes)).advance(&self.bytes, count);
        }
    }

    /// Takes the rest of a frame that has begun to go out, behind all that waited.
    pub(super) fn push_rest(&mut self, rest: [&[u8]; 2]) {
        let backlog = self.backlog.get_or_insert_default();
        backlog.sent = 0;
        self.bytes.clear();
        extend(&mut self.bytes, rest);
        backlog.boundary = self.bytes.len();
    }
}

/// Appends `bytes`, for which there is room.
#[inline(never)]
fn put_parts(to: &mut Vec<u8>, bytes: &[u8]) {
    bytes.chunks(MOVED).for_each(|part| put(to, part));
}

pub(super) fn extend(bytes: &mut Vec<u8>, [header, payload]: [&[u8]; 2]) {
    bytes.reserve(header.len() + payload.len());
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(payload);
}

/// Appends a masked frame of at most `ROOM` bytes, for which there is room, whose header has no extended length.
#[inline(always)]
fn append_short<const ROOM: usize>(to: &mut Vec<u8>, header: Header, payload: &[u8], key: [u8; 4]) {
    let (at, header) = (to.len(), header.encode_short(payload.len(), key));
    let end = header.len() + payload.len();
    put(to, &[0; ROOM]);
    let room = &mut to[at..];
    room[..header.len()].copy_from_slice(&header);
    xor::copy_short(payload, &mut room[header.len()..end], key);
    to.truncate(at + end);
}

/// How many bytes the head of an acceptance has that they begin with.
fn accepted(bytes: &[u8]) -> usize {
    if !bytes.starts_with(ACCEPTED) {
        return 0;
    }
    bytes.windows(4).position(|end| end == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4)
}

impl Backlog {
    /// For what has not begun to go out.
    fn new(bytes: &[u8]) -> Box<Self> {
        Box::new(Self { boundary: accepted(bytes), ..Self::default() })
    }

    /// Makes this one as it was at first, to be used again; `false` if it holds more than `retain` bytes of heap, or was
    /// there for the head.
    fn clear(&mut self, retain: usize) -> bool {
        let held = size_of::<Self>() + self.splices.capacity() * size_of::<Splice>();
        if self.head || held > retain {
            return false;
        }
        let mut splices = mem::take(&mut self.splices);
        splices.clear();
        *self = Self { splices, ..Self::default() };
        true
    }

    fn leave_sent(&mut self, bytes: &mut Vec<u8>) {
        self.boundary = self.next_boundary(bytes) - self.sent;
        bytes.drain(..self.sent);
        for splice in &mut self.splices {
            splice.at -= self.sent;
        }
        self.sent = 0;
    }

    #[cfg(feature = "std")]
    fn fill<'b>(&'b self, bytes: &'b [u8], slices: &mut [IoSlice<'b>]) -> usize {
        let (mut from, mut count) = (self.sent, 0);
        for splice in &self.splices {
            if count == slices.len() {
                return count;
            }
            count += fill(&mut slices[count..], [&bytes[from..splice.at], &splice.data]);
            from = splice.at;
        }
        count + fill(&mut slices[count..], [&bytes[from..]])
    }

    fn insert(&mut self, bytes: &[u8], data: Bytes, part: Part) {
        let index = self.controls(bytes).end;
        let at = self.next_boundary(bytes);
        self.boundary = at;
        self.spliced += data.len();
        self.splices.insert(index, Splice { at, data, part });
    }

    /// The splices that are control frames and have not begun to go out: they are together, behind the frame that has.
    fn controls(&self, bytes: &[u8]) -> Range<usize> {
        let start = self.begun(bytes);
        start..start + self.splices.iter().skip(start).take_while(|splice| splice.is_control()).count()
    }

    /// How many splices, one or none, belong to a frame that has begun to go out.
    fn begun(&self, bytes: &[u8]) -> usize {
        let is_payload = |splice: &Splice| splice.part == Part::Payload && splice.at == self.next_boundary(bytes);
        usize::from(self.started || self.splices.front().is_some_and(is_payload))
    }

    /// The first index at or behind `sent` where the head or a frame ends and none has begun to go out.
    fn next_boundary(&self, bytes: &[u8]) -> usize {
        // Of a frame that has begun, the payload is the first splice.
        let payload = self.splices.front().filter(|splice| splice.part == Part::Payload).map(|splice| splice.at);
        let mut boundary = self.boundary;
        while boundary < self.sent {
            // These are our own headers; they parse.
            let Ok(Some((header, len))) = Header::parse(&bytes[boundary..]) else { return bytes.len() };
            boundary += len;
            if payload != Some(boundary) {
                boundary += header.length as usize;
            }
        }
        boundary
    }

    fn advance(&mut self, bytes: &[u8], mut count: usize) {
        self.moved |= count > 0;
        while count > 0 {
            let end = self.splices.front().map_or(bytes.len(), |splice| splice.at);
            let step = count.min(end - self.sent);
            self.sent += step;
            count -= step;
            if self.sent == end {
                count -= self.advance_splice(count);
            }
        }
    }

    /// Takes at most `count` bytes off the first splice; how many.
    fn advance_splice(&mut self, count: usize) -> usize {
        let Some(first) = self.splices.front_mut() else { return count };
        let step = count.min(first.data.len());
        self.spliced -= step;
        first.data.advance(step);
        self.started |= step > 0;
        if first.data.is_empty() {
            if first.part == Part::Payload {
                self.boundary = first.at;
            }
            self.started = false;
            self.splices.pop_front();
        }
        step
    }
}

/// Fills `slices` with the parts that are not empty, as far as there is room; how many of them.
#[cfg(feature = "std")]
#[inline]
pub(crate) fn fill<'b, const N: usize>(slices: &mut [IoSlice<'b>], parts: [&'b [u8]; N]) -> usize {
    let mut count = 0;
    for part in parts {
        if let Some(slice) = slices.get_mut(count)
            && !part.is_empty()
        {
            *slice = IoSlice::new(part);
            count += 1;
        }
    }
    count
}

/// A control frame of its own, masked if there is a `mask`.
pub(crate) fn control_frame(opcode: OpCode, payload: &[u8], mask: Option<[u8; 4]>) -> Bytes {
    let header = Header { fin: true, rsv: 0, opcode, mask, length: payload.len() as u64 }.encode();
    let len = header.len() + payload.len();
    let mut frame = [0; 6 + MAX_CONTROL];
    frame[..header.len()].copy_from_slice(&header);
    xor::copy(payload, &mut frame[header.len()..len], mask.unwrap_or_default());
    Bytes::copy_from_slice(&frame[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_retained_remembers_nothing() {
        let mut outbox = Outbox::default();
        outbox.tail(0).extend([0x82, 3, 1, 2, 3]);
        outbox.advance(1, usize::MAX);
        assert!(!outbox.watch(), "nothing was watched before");
        outbox.advance(1, usize::MAX);
        assert!(outbox.watch());
        outbox.push_frame(Bytes::from_static(&[0x82, 1, 1]));
        outbox.advance(6, usize::MAX);
        assert!(outbox.backlog.is_some(), "it is retained");
        assert_eq!((outbox.len(), outbox.watch()), (0, false));
        outbox.tail(0).extend([0x82, 3, 4, 5, 6]);
        outbox.advance(1, usize::MAX);
        assert!(!outbox.watch(), "none of this waited at the last call");
        assert_eq!(outbox.chunk(), [3, 4, 5, 6]);
        outbox.push_control(Bytes::from_static(&[0x89, 0]), Part::Control);
        outbox.advance(4, usize::MAX);
        assert_eq!(outbox.chunk(), [0x89, 0], "behind the frame that has begun");
    }
}
