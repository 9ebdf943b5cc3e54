//! What an idle connection holds: one that has sent a message back, as it comes.

use super::everybody;
use crate::heap;
use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ};
use crate::stream::{self, Content};

pub(crate) struct Idle {
    pub(crate) name: &'static str,
    /// Bytes of the connection itself, its transport left out.
    pub(crate) size: usize,
    /// Bytes on the heap, the buffers left out that a loop lends to all its connections.
    pub(crate) heap: usize,
}

fn idle<P: Peer>() -> Idle {
    let payload = Content::Binary.payload(1 << 10);
    let pipe = Pipe::new(&[], &stream::frame(true, 0, Content::Binary.opcode(), &payload), READ);
    let (peer, _, held) = heap::counted(|| {
        let mut peer = P::open(pipe, Role::Server, Settings::Default);
        peer.echo(1);
        peer
    });
    Idle { name: P::NAME, size: P::SIZE, heap: held as usize - peer.lent() }
}

pub(crate) fn all() -> Vec<Idle> {
    let mut all = everybody!(idle());
    all.retain(|idle| idle.size > 0);
    all
}
