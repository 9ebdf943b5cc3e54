//! The least work that gives the same result: no rule is checked, and nothing is done twice.

use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ};
use crate::wide;
use bytes::Bytes;
use std::io::IoSlice;

/// Room for the largest message and a read behind it.
const ROOM: usize = (1 << 20) + 2 * READ;

/// What stays in the first-level cache: text is unmasked and checked in blocks of it.
const BLOCK: usize = 16 << 10;

/// What a read cuts off is moved to the front of the buffer when so many times as much lies before it.
const MOVED: usize = 16;

/// From this size on, what is sent as it is goes by reference, of which a write takes so many slices.
const LEAST_SHARED: usize = 512;
const VECTOR: usize = 16;

pub(crate) struct Limit {
    pipe: Pipe,
    masks: bool,
    keys: u32,
    /// What was read and not taken is at `start..end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    progress: Progress,
    /// What is put together from fragments.
    message: Vec<u8>,
    output: Output,
}

/// How many bytes of the message under way are unmasked, and of text checked.
#[derive(Default)]
struct Progress {
    unmasked: usize,
    checked: usize,
}

struct Header {
    is_alone: bool,
    is_last: bool,
    is_text: bool,
    key: [u8; 4],
    len: usize,
    payload: usize,
}

#[inline]
fn header(bytes: &[u8]) -> Option<Header> {
    let [first, second, rest @ ..] = bytes else { return None };
    let (payload, extended) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?) as usize, 8),
        short => (usize::from(short), 0),
    };
    let key = *rest.get(extended..)?.first_chunk()?;
    let is_last = first & 0x80 != 0;
    let is_alone = is_last && first & 0x0f != 0;
    Some(Header { is_alone, is_last, is_text: first & 0x0f == 1, key, len: 6 + extended, payload })
}

impl Progress {
    /// Unmasks what has come of a message.
    #[inline]
    fn unmask(&mut self, payload: &mut [u8], header: &Header) {
        let is_whole = payload.len() == header.payload;
        if !header.is_text {
            let end = if is_whole { payload.len() } else { payload.len() & !3 };
            wide::apply(&mut payload[self.unmasked..end], header.key);
            self.unmasked = end;
            return;
        }
        while payload.len() - self.unmasked > BLOCK {
            wide::apply(&mut payload[self.unmasked..self.unmasked + BLOCK], header.key);
            self.unmasked += BLOCK;
            self.check(&payload[..self.unmasked], false);
        }
        if is_whole {
            wide::apply(&mut payload[self.unmasked..], header.key);
            self.check(payload, true);
        }
    }

    /// Checks what has come of a text, up to the end of a character.
    #[inline]
    fn check(&mut self, text: &[u8], is_whole: bool) {
        let mut end = text.len();
        if !is_whole {
            let back = text.iter().rev().take(3).position(|byte| byte & 0xc0 != 0x80).unwrap_or(0);
            if text[end - 1 - back] >= 0xc0 {
                end -= back + 1;
            }
        }
        assert!(simdutf8::basic::from_utf8(&text[self.checked..end]).is_ok());
        self.checked = end;
    }
}

impl Limit {
    /// Handles messages until there were `count`, and writes what they made behind each read.
    #[inline]
    fn run(&mut self, count: usize, mut each: impl FnMut(&[u8], &mut Output)) {
        let mut messages = 0;
        let mut is_text = false;
        // Where a frame ends that is not looked at before it is whole.
        let mut awaited = 0;
        while messages < count {
            self.end += self.pipe.fill(&mut self.buffer[self.end..self.end + READ]);
            if self.end < awaited {
                continue;
            }
            awaited = 0;
            while let Some(header) = header(&self.buffer[self.start..self.end]) {
                let from = self.start + header.len;
                let to = (from + header.payload).min(self.end);
                let is_whole = to - from == header.payload;
                if !is_whole && header.payload <= BLOCK {
                    awaited = from + header.payload;
                    break;
                }
                let payload = &mut self.buffer[from..to];
                if header.is_alone && is_whole && header.payload <= BLOCK {
                    wide::apply(payload, header.key);
                    if header.is_text {
                        assert!(simdutf8::basic::from_utf8(payload).is_ok());
                    }
                    each(payload, &mut self.output);
                    messages += 1;
                } else if header.is_alone {
                    self.progress.unmask(payload, &header);
                    if !is_whole {
                        break;
                    }
                    each(payload, &mut self.output);
                    messages += 1;
                    self.progress = Progress::default();
                } else {
                    is_text |= header.is_text;
                    let filled = self.progress.unmasked + header.payload;
                    wide::copy(payload, &mut self.message[self.progress.unmasked..filled], header.key);
                    self.progress.unmasked = filled;
                    if is_text {
                        self.progress.check(&self.message[..filled], header.is_last);
                    }
                    if header.is_last {
                        each(&self.message[..filled], &mut self.output);
                        messages += 1;
                        self.progress = Progress::default();
                    }
                }
                self.start = to;
            }
            if self.start == self.end {
                (self.start, self.end) = (0, 0);
            } else if MOVED * (self.end - self.start) <= self.start || self.buffer.len() - self.end < READ {
                self.buffer.copy_within(self.start..self.end, 0);
                awaited -= self.start.min(awaited);
                (self.start, self.end) = (0, self.end - self.start);
            }
            self.output.flush(&mut self.pipe);
        }
    }
}

impl Limit {
    /// Sends by reference.
    #[inline]
    fn refer(&mut self, payload: &[u8], mut count: usize) {
        while count > 0 {
            let mut heads = [[0; 10]; VECTOR / 2];
            let mut slices = [IoSlice::new(&[]); VECTOR];
            let now = count.min(heads.len());
            for (head, slices) in heads[..now].iter_mut().zip(slices.as_chunks_mut().0) {
                let len = write_header(head, 0x82, payload.len(), false);
                *slices = [IoSlice::new(&head[..len]), IoSlice::new(payload)];
            }
            self.pipe.put_vectored(&slices[..2 * now]);
            count -= now;
        }
    }
}

/// Writes a header up to its length; where that ends.
#[inline]
fn write_header(room: &mut [u8], first: u8, payload: usize, is_masked: bool) -> usize {
    let masked = if is_masked { 0x80 } else { 0 };
    room[0] = first;
    match payload {
        short @ 0..126 => {
            room[1] = masked | short as u8;
            2
        }
        long @ 126..=0xffff => {
            room[1] = masked | 126;
            room[2..4].copy_from_slice(&(long as u16).to_be_bytes());
            4
        }
        long => {
            room[1] = masked | 127;
            room[2..10].copy_from_slice(&(long as u64).to_be_bytes());
            10
        }
    }
}

/// Frames that wait to be written.
pub(crate) struct Output {
    bytes: Vec<u8>,
    len: usize,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; 2 * ROOM], len: 0 }
    }

    /// A frame with this `first` byte.
    #[inline]
    pub(crate) fn append(&mut self, first: u8, payload: &[u8], key: Option<[u8; 4]>) {
        let room = &mut self.bytes[self.len..];
        let mut len = write_header(room, first, payload.len(), key.is_some());
        if let Some(key) = key {
            room[len..len + 4].copy_from_slice(&key);
            len += 4;
        }
        let room = &mut room[len..len + payload.len()];
        wide::copy(payload, room, key.unwrap_or_default());
        self.len += len + payload.len();
    }

    #[inline]
    pub(crate) fn flush(&mut self, pipe: &mut Pipe) {
        if self.len > 0 {
            pipe.put(&self.bytes[..self.len]);
            self.len = 0;
        }
    }
}

impl Peer for Limit {
    const NAME: &'static str = "limit";
    const SIZE: usize = 0;

    fn open(pipe: Pipe, role: Role, _: Settings) -> Self {
        Self {
            pipe,
            masks: role == Role::Client,
            keys: 1,
            buffer: vec![0; ROOM],
            start: 0,
            end: 0,
            progress: Progress::default(),
            message: vec![0; ROOM],
            output: Output::new(),
        }
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        self.run(count, |message, _| each(message));
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        if !self.masks && payload.len() >= LEAST_SHARED {
            return self.refer(payload, count);
        }
        for _ in 0..count {
            self.keys = self.keys.wrapping_mul(0x915f_77f5).wrapping_add(1);
            self.output.append(0x82, payload, self.masks.then(|| self.keys.to_ne_bytes()));
        }
        self.output.flush(&mut self.pipe);
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        self.run(count, |message, output| output.append(0x82, message, None));
    }
}
