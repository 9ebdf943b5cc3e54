//! The core that this repository holds, driven as its README shows.

use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ};
use bytes::{Buf, Bytes};
use sockless::{Config, Connection, Event, Kind, Negotiated, Outbound, Seed};
use std::borrow::Cow;
use std::io::IoSlice;
use std::ops::Range;

/// Room for the largest message and a read behind it.
const ROOM: usize = (1 << 20) + 2 * READ;

/// A frame is kept up to this length, and moved to the front of the buffer if what came of it is no longer than this.
const MOST_KEPT: usize = 1 << 20 | 14;
const MOST_MOVED: usize = 16 << 10;

pub(crate) struct Sockless {
    connection: Connection,
    pipe: Pipe,
    buffer: Vec<u8>,
    /// What was read and is kept.
    kept: Range<usize>,
}

/// The same, sending what its caller shares by reference.
pub(crate) struct Shared(Sockless);

impl Sockless {
    /// Handles events until there were `count` messages, and writes what they made behind each read.
    #[inline]
    fn run(&mut self, count: usize, mut each: impl FnMut(&mut Connection, &[u8])) {
        let Self { connection, pipe, buffer, kept } = self;
        let mut messages = 0;
        while messages < count {
            let mut input: &mut [u8] = &mut [];
            let mut event = None;
            if let Some(tail) = connection.tail() {
                let most = tail.len().min(READ);
                let len = pipe.fill(&mut tail[..most]);
                event = connection.receive_tail(len).unwrap();
            } else {
                kept.end += pipe.fill(&mut buffer[kept.end..]);
                input = &mut buffer[kept.clone()];
            }
            while let Some(message) = event.or_else(|| next(connection, &mut input)) {
                let spent = match message {
                    Event::Text(text) => {
                        each(connection, text.as_bytes());
                        if let Cow::Owned(text) = text { Some(text.into_bytes()) } else { None }
                    }
                    Event::Binary(bytes) => {
                        each(connection, &bytes);
                        if let Cow::Owned(bytes) = bytes { Some(bytes) } else { None }
                    }
                    other => panic!("{other:?}"),
                };
                if let Some(spent) = spent {
                    connection.recycle(spent);
                }
                messages += 1;
                event = None;
            }
            kept.start = kept.end - input.len();
            if kept.is_empty() {
                *kept = 0..0;
            } else if kept.len() <= MOST_MOVED || buffer.len() - kept.end < READ {
                buffer.copy_within(kept.clone(), 0);
                *kept = 0..kept.len();
            }
            flush(connection, pipe);
        }
    }
}

/// The next event, unless the rest of a frame is better waited for.
#[inline(always)]
fn next<'a>(connection: &mut Connection, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
    let missing = connection.missing(input);
    let is_kept = input.is_empty() || missing > 0 && input.len() + missing <= MOST_KEPT;
    if is_kept { None } else { connection.receive(input).unwrap() }
}

#[inline]
fn flush(connection: &mut Connection, pipe: &mut Pipe) {
    let mut outbound = connection.outbound();
    while outbound.has_remaining() {
        let len = pipe.put(outbound.chunk());
        outbound.advance(len);
    }
}

impl Peer for Sockless {
    const NAME: &'static str = "sockless";
    const SIZE: usize = size_of::<Connection>();

    fn open(pipe: Pipe, role: Role, settings: Settings) -> Self {
        let mut config = Config::default();
        if settings == Settings::Fast {
            config.limits.message = 64 << 20;
            config.outbound =
                Outbound { soft: usize::MAX, hard: usize::MAX, retain: usize::MAX, ..Outbound::default() };
        }
        let role = match role {
            Role::Server => sockless::Role::Server,
            Role::Client => sockless::Role::Client,
        };
        let connection = Connection::open(role, Negotiated::default(), config, Seed::new([7; 16]));
        Self { connection, pipe, buffer: vec![0; ROOM], kept: 0..0 }
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        self.run(count, |_, message| each(message));
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        for _ in 0..count {
            self.connection.send_binary(payload).unwrap();
        }
        flush(&mut self.connection, &mut self.pipe);
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        self.run(count, |connection, message| connection.send_binary(message).unwrap());
    }

    fn lent(&self) -> usize {
        self.buffer.capacity()
    }
}

impl Peer for Shared {
    const NAME: &'static str = "sockless, shared";
    const SIZE: usize = size_of::<Connection>();

    fn open(pipe: Pipe, role: Role, settings: Settings) -> Self {
        Self(Sockless::open(pipe, role, settings))
    }

    fn receive(&mut self, count: usize, each: impl FnMut(&[u8])) {
        self.0.receive(count, each);
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        let Sockless { connection, pipe, .. } = &mut self.0;
        for _ in 0..count {
            connection.send_shared(Kind::Binary, payload.clone()).unwrap();
        }
        let mut outbound = connection.outbound();
        while outbound.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = outbound.chunks_vectored(&mut slices);
            let len = pipe.put_vectored(&slices[..filled]);
            outbound.advance(len);
        }
    }

    fn echo(&mut self, count: usize) {
        self.0.echo(count);
    }
}
