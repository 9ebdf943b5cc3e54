//! Messages as they are: received, sent and sent back.

use super::{bytes, everybody};
use crate::measure::{Entry, Workload};
use crate::peer::{Peer, Role, Settings};
use crate::peers::Shared;
use crate::pipe::{Kept, Pipe, READ};
use crate::stream::{self, Content};
use bytes::Bytes;
use std::hint::black_box;

const SIZES: [usize; 6] = [16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

/// The bytes of a message of 16 in its frame.
const FRAMED: usize = 22;

/// What is received: `count` messages of `payload`.
#[derive(Clone)]
struct Inbound {
    content: Content,
    payload: Bytes,
    stream: Bytes,
    count: usize,
    read: usize,
    /// Whether reads cut at least one frame in ten.
    is_cut: bool,
}

impl Inbound {
    fn whole(content: Content, size: usize, read: usize) -> Self {
        let payload = content.payload(size);
        // Where each message is a read of its own, fewer do.
        let count = (stream::count(size) / if read < READ { 8 } else { 1 }).max(1);
        let stream = stream::frame(true, 0, content.opcode(), &payload).repeat(count).into();
        Self { content, payload, stream, count, read, is_cut: 10 * size >= read }
    }

    fn fragmented(content: Content, size: usize, fragment: usize) -> Self {
        let payload = content.payload(size);
        let stream = stream::fragments(content.opcode(), &payload, fragment).into();
        Self { content, payload, stream, count: 1, read: READ, is_cut: false }
    }

    fn pipe<P: Peer>(&self) -> Pipe {
        let lead = stream::frame(true, 0, Content::Binary.opcode(), &[0; READ]);
        Pipe::new(if P::GROWS { &lead } else { &[] }, &self.stream, self.read)
    }

    fn open<P: Peer>(&self, pipe: Pipe) -> P {
        let mut peer = P::open(pipe, Role::Server, Settings::Fast);
        if P::GROWS {
            peer.receive(1, |_| ());
        }
        peer
    }

    fn workload(self, group: String, case: String, entries: fn(&Self) -> Vec<Entry>) -> Workload {
        let (messages, size) = (self.count, self.payload.len());
        Workload { group, case, messages, size, entries: Box::new(move || entries(&self)) }
    }
}

fn receive_entry<P: Peer + 'static>(inbound: &Inbound) -> Entry {
    let Inbound { content, payload, count, is_cut, .. } = inbound.clone();
    let mut peer: P = inbound.open(inbound.pipe::<P>());
    let mut received = 0;
    peer.receive(2 * count, |message| {
        assert!(message == payload, "{} does not deliver what was sent", P::NAME);
        received += 1;
    });
    assert_eq!(received, 2 * count, "{}", P::NAME);
    let entry = Entry::new(P::NAME, move || {
        peer.receive(count, |message| {
            black_box(message);
        });
    });
    entry.noting(match content {
        Content::Binary => "",
        _ if !P::CHECKS_TEXT => "does not check text",
        _ if is_cut && !P::CHECKS_CUT_TEXT => "does not check text that a read cuts",
        _ => "",
    })
}

pub(super) fn receive() -> Vec<Workload> {
    let entries = |inbound: &Inbound| everybody!(receive_entry(inbound));
    let mut workloads = Vec::new();
    for content in Content::ALL {
        let group = format!("receive {}", content.name());
        let mut add = |inbound: Inbound, case: String| workloads.push(inbound.workload(group.clone(), case, entries));
        for size in SIZES {
            add(Inbound::whole(content, size, READ), bytes(size));
        }
        for size in SIZES {
            add(Inbound::whole(content, size, 1500), format!("{}, reads of 1500 B", bytes(size)));
        }
        for size in [16, 125, 1 << 10, 16 << 10] {
            add(Inbound::whole(content, size, FRAMED), format!("{}, reads of {FRAMED} B", bytes(size)));
        }
        add(Inbound::fragmented(content, 1 << 20, 4 << 10), "1 MiB in 4 KiB fragments".into());
    }
    workloads
}

fn send_entry<P: Peer + 'static>(role: Role, payload: &Bytes, count: usize) -> Entry {
    let kept = Kept::default();
    P::open(Pipe::new(&[], &[], READ).keeping(&kept), role, Settings::Fast).send(payload, count);
    check(P::NAME, &kept, role, payload, count);
    let mut peer = P::open(Pipe::new(&[], &[], READ), role, Settings::Fast);
    let payload = payload.clone();
    Entry::new(P::NAME, move || peer.send(black_box(&payload), count)).noting(note_of_writes::<P>())
}

fn note_of_writes<P: Peer>() -> &'static str {
    if P::WRITES_EACH { "writes each message apart" } else { "" }
}

fn check(name: &str, kept: &Kept, role: Role, payload: &Bytes, count: usize) {
    let messages = stream::messages(&kept.lock().unwrap(), role == Role::Client);
    assert_eq!(messages.len(), count, "{name}");
    assert!(messages.iter().all(|message| message == payload), "{name} does not send what it was given");
}

pub(super) fn send() -> Vec<Workload> {
    let mut workloads = Vec::new();
    for (role, name) in [(Role::Server, "a server"), (Role::Client, "a client")] {
        for size in SIZES {
            let payload = Content::Binary.payload(size);
            let messages = (READ / (size + 8)).max(1);
            let entries = move || {
                let mut entries = everybody!(send_entry(role, &payload, messages));
                entries.insert(2, send_entry::<Shared>(role, &payload, messages));
                entries
            };
            let (group, case) = (format!("send as {name}"), bytes(size));
            workloads.push(Workload { group, case, messages, size, entries: Box::new(entries) });
        }
    }
    workloads
}

fn echo_entry<P: Peer + 'static>(inbound: &Inbound) -> Entry {
    let Inbound { payload, count, .. } = inbound;
    let kept = Kept::default();
    inbound.open::<P>(inbound.pipe::<P>().keeping(&kept)).echo(*count);
    check(P::NAME, &kept, Role::Server, payload, *count);
    let mut peer: P = inbound.open(inbound.pipe::<P>());
    let count = *count;
    Entry::new(P::NAME, move || peer.echo(count)).noting(note_of_writes::<P>())
}

pub(super) fn echo() -> Vec<Workload> {
    let entries = |inbound: &Inbound| everybody!(echo_entry(inbound));
    let workload = |size| Inbound::whole(Content::Binary, size, READ).workload("echo".into(), bytes(size), entries);
    SIZES.map(workload).into()
}
