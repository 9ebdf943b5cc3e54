//! What an endpoint has to refuse, and who does: each is given it, and then messages as they should be.

use super::everybody;
use crate::measure::LIMIT;
use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ};
use crate::stream::frame;
use sockless::frame::{Header, OpCode};
use std::panic;

/// What each contestant refuses, in the order of [`names`].
pub(crate) struct Refusals {
    pub(crate) name: &'static str,
    pub(crate) lacks: &'static str,
    pub(crate) refuses: Vec<bool>,
}

/// Bytes that come once, and how.
struct Case {
    what: &'static str,
    role: Role,
    bytes: Vec<u8>,
    read: usize,
}

/// What comes behind it, over and over.
const MESSAGE: &[u8] = b"as it should be";

/// A frame as a server sends it.
fn plain(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let header = Header { fin: true, rsv: 0, opcode, mask: None, length: payload.len() as u64 };
    [&header.encode()[..], payload].concat()
}

/// Five bytes in a masked frame whose length is written as `length`.
fn lengthy(length: &[u8]) -> Vec<u8> {
    [&[0x82, 0x80 | if length.len() == 2 { 126 } else { 127 }], length, &[0; 4], b"hello"].concat()
}

fn cases() -> Vec<Case> {
    let text = |fin, payload: &[u8]| frame(fin, 0, OpCode::Text, payload);
    let more = |fin, payload: &[u8]| frame(fin, 0, OpCode::Continuation, payload);
    let reserved = [&[0x83, 0x85][..], &[0; 4], b"hello"].concat();
    let case = |what, bytes| Case { what, role: Role::Server, bytes, read: READ };
    vec![
        case("a frame without a mask, as a server", plain(OpCode::Binary, b"hello")),
        Case {
            role: Role::Client,
            ..case("a frame with a mask, as a client", frame(true, 0, OpCode::Binary, b"hello"))
        },
        case("a reserved bit", frame(true, 4, OpCode::Binary, b"hello")),
        case("a reserved opcode", reserved),
        case("a length of 5 in two bytes", lengthy(&[0, 5])),
        case("a length of 5 in eight bytes", lengthy(&[0, 0, 0, 0, 0, 0, 0, 5])),
        case("a continuation of nothing", more(true, b"hello")),
        case("a message within another", [text(false, b"hel"), text(true, b"lo")].concat()),
        case("text that is not UTF-8", text(true, b"hello \xff hello hello hello")),
        Case { read: 22, ..case("the same, cut by a read", text(true, b"hello \xff hello hello hello")) },
        case("the same in fragments", [text(false, b"hello \xff hello"), more(true, b" hello hello")].concat()),
        case("text that ends within a character", text(true, b"hello \xe2\x82")),
    ]
}

/// What is tried.
pub(crate) fn names() -> Vec<&'static str> {
    cases().iter().map(|case| case.what).collect()
}

/// Whether it ends a connection with this, rather than to deliver it or to pass over it.
fn refuses<P: Peer>(case: &Case) -> bool {
    let stream = match case.role {
        Role::Server => frame(true, 0, OpCode::Binary, MESSAGE),
        Role::Client => plain(OpCode::Binary, MESSAGE),
    };
    let pipe = Pipe::new(&case.bytes, &stream, case.read);
    panic::catch_unwind(panic::AssertUnwindSafe(|| {
        P::open(pipe, case.role, Settings::Fast).receive(3, |_| ());
    }))
    .is_err()
}

fn refusals<P: Peer>() -> Refusals {
    if P::NAME == LIMIT {
        // It checks no rule.
        return Refusals { name: LIMIT, lacks: "", refuses: Vec::new() };
    }
    // What nobody refuses, so that a refusal is one of what is wrong.
    let fragments = [frame(false, 0, OpCode::Text, b"hel"), frame(true, 0, OpCode::Continuation, b"lo")].concat();
    let right = [(Role::Server, Vec::new()), (Role::Client, Vec::new()), (Role::Server, fragments)];
    for (role, bytes) in right {
        for read in [READ, 22] {
            let case = Case { what: "what is right", role, bytes: bytes.clone(), read };
            assert!(!refuses::<P>(&case), "{} refuses {}", P::NAME, case.what);
        }
    }
    Refusals { name: P::NAME, lacks: P::LACKS, refuses: cases().iter().map(refuses::<P>).collect() }
}

pub(crate) fn all() -> Vec<Refusals> {
    // Each refusal is a panic of who drives the contestant.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let all = panic::catch_unwind(|| everybody!(refusals()));
    panic::set_hook(hook);
    let mut all = all.unwrap_or_else(|cause| panic::resume_unwind(cause));
    all.retain(|one| one.name != LIMIT);
    all
}
