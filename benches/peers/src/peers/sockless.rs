//! The core that this repository holds, driven as its README shows.

use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ};
use bytes::{Buf, Bytes};
use sockless::{Config, Connection, Event, Kind, Message, Negotiated, Outbound, Seed};
use std::borrow::Cow;
use std::io::IoSlice;
use std::ops::Range;

/// Room for the largest message and a read behind it.
const ROOM: usize = (1 << 20) + 2 * READ;

/// A frame is kept up to this length.
const MOST_KEPT: usize = 1 << 20 | 14;

/// What is kept is moved to the front of the buffer when so many times as much lies before it, which is little to move then.
const MOVED: usize = 16;

pub(crate) struct Sockless {
    connection: Connection,
    pipe: Pipe,
    buffer: Vec<u8>,
    /// Where what was read and not taken lies.
    kept: Range<usize>,
    /// What the frame at its front lacks.
    missing: usize,
}

/// The same, sending what its caller shares by reference.
pub(crate) struct Shared(Sockless);

impl Sockless {
    /// Handles events until there were `count` messages, and writes what they made behind each read.
    #[inline]
    fn run(&mut self, count: usize, mut each: impl FnMut(&mut Connection, &mut Pipe, &[u8])) {
        let Self { connection, pipe, buffer, kept, missing } = self;
        let mut messages = 0;
        while messages < count {
            if let Some(tail) = connection.tail() {
                let most = tail.len().min(READ);
                let len = pipe.fill(&mut tail[..most]);
                if let Some(event) = connection.receive_tail(len).unwrap() {
                    deliver(connection, event, |connection, message| each(connection, pipe, message));
                    messages += 1;
                    flush(connection, pipe);
                }
                continue;
            }
            let len = pipe.fill(&mut buffer[kept.end..]);
            kept.end += len;
            if len < *missing {
                *missing -= len;
                continue;
            }
            let mut input = &mut buffer[kept.clone()];
            while !input.is_empty() {
                *missing = connection.missing(input);
                if *missing > 0 && input.len() + *missing <= MOST_KEPT {
                    break;
                }
                *missing = 0;
                let Some(event) = connection.receive(&mut input).unwrap() else { break };
                deliver(connection, event, |connection, message| each(connection, pipe, message));
                messages += 1;
            }
            kept.start = kept.end - input.len();
            if kept.start == kept.end {
                *kept = 0..0;
            } else if MOVED * kept.len() <= kept.start || buffer.len() - kept.end < *missing + READ {
                buffer.copy_within(kept.clone(), 0);
                *kept = 0..kept.len();
            }
            flush(connection, pipe);
        }
    }
}

/// Hands over a message, and gives its buffer back if it had one of its own.
#[inline(always)]
fn deliver(connection: &mut Connection, event: Event<'_>, each: impl FnOnce(&mut Connection, &[u8])) {
    match event {
        Event::Text(Cow::Borrowed(text)) => each(connection, text.as_bytes()),
        Event::Binary(Cow::Borrowed(bytes)) => each(connection, bytes),
        Event::Text(Cow::Owned(text)) => {
            each(connection, text.as_bytes());
            connection.recycle(text.into_bytes());
        }
        Event::Binary(Cow::Owned(bytes)) => {
            each(connection, &bytes);
            connection.recycle(bytes);
        }
        other => panic!("{other:?}"),
    }
}

#[inline]
fn flush(connection: &mut Connection, pipe: &mut Pipe) {
    let mut outbound = connection.outbound();
    while outbound.has_remaining() {
        let len = pipe.put(outbound.chunk());
        outbound.advance(len);
    }
}

/// Queues a message, or writes one at once that is as large as a write.
#[inline]
fn send(connection: &mut Connection, pipe: &mut Pipe, message: &[u8]) {
    if message.len() < READ {
        connection.send_binary(message).unwrap();
    } else {
        // No read brings two of them, so that a write each is what there is anyway.
        send_through(connection, pipe, message);
    }
}

#[inline(never)]
fn send_through(connection: &mut Connection, pipe: &mut Pipe, message: &[u8]) {
    // A header and a payload, and what little may wait before them.
    write_vectored::<4>(connection.send_through(&Message::from(message)).unwrap(), pipe);
}

#[inline]
fn write_vectored<const SLICES: usize>(mut outbound: impl Buf, pipe: &mut Pipe) {
    while outbound.has_remaining() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = outbound.chunks_vectored(&mut slices);
        let len = pipe.put_vectored(&slices[..filled]);
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
        Self { connection, pipe, buffer: vec![0; ROOM], kept: 0..0, missing: 0 }
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        self.run(count, |_, _, message| each(message));
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        for _ in 0..count {
            send(&mut self.connection, &mut self.pipe, payload);
        }
        flush(&mut self.connection, &mut self.pipe);
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        self.run(count, send);
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
        write_vectored::<16>(connection.outbound(), pipe);
    }

    fn echo(&mut self, count: usize) {
        self.0.echo(count);
    }
}
