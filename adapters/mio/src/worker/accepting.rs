//! New connections: who is taken in, and how many may be on their way to a WebSocket.

use super::handshakes::{Stage, spare};
use super::{Entry, Worker};
use crate::command::Id;
use crate::handler::Handler;
use crate::listeners::Accepted;
use crate::pool::Queue;
use crate::session::{Phase, Place, Seat, Session};
use crate::stream::{Socket, Stream};
use mio::Token;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use slab::Slab;
use sockless::Connection;
use sockless::addresses;
use sockless::seen::{self, Refused, refused};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

/// Connections accepted in one turn from one listener, so that those there are have theirs.
const ACCEPTS: usize = 64;

/// How long accepting pauses when the system has no more descriptors to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a handshake has its place to itself when others wait for one. Then the oldest goes, so that peers which say nothing
/// hold nobody up for longer, and a rush of those that are quick takes no place from each other.
const LEAST_TIME: Duration = Duration::from_secs(1);

impl<H: Handler> Worker<H> {
    /// When connections may be accepted; `None` if that is for something else to tell.
    pub(super) fn accepts_at(&mut self) -> Option<Duration> {
        let paused = self.accept_at.unwrap_or(Duration::ZERO);
        self.has_room_at().map(|at| at.max(paused))
    }

    /// When there is a place for one more handshake.
    fn has_room_at(&mut self) -> Option<Duration> {
        if self.local.handshakes < self.max_handshakes {
            return Some(Duration::ZERO);
        }
        let entries = &self.entries;
        let (_, since) = self.handshakes.oldest(|id| stage(entries, id))?;
        Some(since + LEAST_TIME)
    }

    /// Lets the oldest handshake go.
    fn make_room(&mut self) {
        let entries = &self.entries;
        if let Some((id, _)) = self.handshakes.oldest(|id| stage(entries, id)) {
            self.local.stats.refused += 1;
            refused(Refused::Slow);
            self.close(id.key as usize);
        }
    }

    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS {
            if self.accepts_at().is_none_or(|at| at > self.local.now) {
                return;
            }
            match self.listeners[index].accept() {
                Ok((socket, peer)) => {
                    self.local.stats.accepted += 1;
                    self.admit(self.listeners[index].tls, socket, peer);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return self.listeners[index].ready = false,
                    // Of that one connection.
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
                    // Too many open files, most likely. Some systems say so even if there is nobody to accept.
                    _ => {
                        self.local.shared.caught(|| self.handler.on_accept_error(&error));
                        match self.shed(index) {
                            Ok(()) => {}
                            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                                return self.listeners[index].ready = false;
                            }
                            Err(error) => {
                                seen::not_accepted(&error);
                                return self.accept_at = Some(self.local.now + ACCEPT_PAUSE);
                            }
                        }
                    }
                },
            }
        }
    }

    /// Takes in a connection that was accepted elsewhere, which has nowhere to wait.
    pub(super) fn adopt(&mut self, accepted: Accepted, over_tls: bool) {
        let has_room = self.has_room_at().is_some_and(|at| at <= self.local.now);
        let can_speak = self.tls.is_some() || !over_tls;
        if !has_room || !can_speak || self.stop_at.is_some() {
            self.local.stats.refused += 1;
            return refused(Refused::Slow);
        }
        let (socket, peer) = match accepted {
            Accepted::Tcp(stream) => {
                let peer = stream.peer_addr().ok();
                (Socket::Tcp(TcpStream::from_std(stream)), peer)
            }
            #[cfg(unix)]
            Accepted::Unix(stream) => (Socket::Unix(UnixStream::from_std(stream)), None),
        };
        self.local.stats.accepted += 1;
        self.admit(over_tls, socket, peer);
        self.settle_answers();
    }

    /// Turns one connection away by help of the spare descriptor.
    fn shed(&mut self, index: usize) -> io::Result<()> {
        match self.spare.take() {
            Some(spare_one) => drop(spare_one),
            None => {
                self.spare = spare();
                return Err(ErrorKind::Other.into());
            }
        }
        let turned_away = self.listeners[index].accept().map(drop);
        if turned_away.is_ok() {
            self.local.stats.refused += 1;
            refused(Refused::Descriptors);
        }
        self.spare = spare();
        turned_away
    }

    fn admit(&mut self, over_tls: bool, socket: Socket, peer: Option<SocketAddr>) {
        let (shared, mut entry) = (&self.local.shared, addresses::Entry::Proxy);
        let why = if self.local.websockets >= self.local.max_websockets {
            Some(Refused::Full)
        } else if !shared.caught(|| self.handler.on_accept(peer)).unwrap_or(false) {
            Some(Refused::Unwanted)
        } else {
            entry = self.local.clients.enter(peer, self.local.now);
            (entry == addresses::Entry::Refused).then_some(Refused::Address)
        };
        if let Some(why) = why {
            self.local.stats.refused += 1;
            return refused(why);
        }
        let counted = entry == addresses::Entry::Counted;
        if self.take_in(over_tls, socket, peer, counted).is_none() && counted {
            self.local.clients.leave(peer);
        }
    }

    /// The same for one that may come, and is counted; `None` if it cannot be taken in.
    fn take_in(&mut self, over_tls: bool, socket: Socket, peer: Option<SocketAddr>, counted: bool) -> Option<()> {
        let (tls, config) = match self.tls.as_ref().filter(|_| over_tls) {
            None => (None, &self.config),
            Some((tls, config)) => match tls.session() {
                Some(session) => (Some(session), config),
                None => return None,
            },
        };
        let Some(state) = self.local.shared.caught(H::State::default) else {
            self.local.stats.refused += 1;
            return None;
        };
        let connection = Connection::server(config.clone());
        let mut stream = Stream::new(socket, tls);
        if self.nodelay {
            stream.set_nodelay();
        }
        if self.local.clients.expects_header(peer) {
            stream.expect_header();
        }
        if self.local.handshakes >= self.max_handshakes {
            self.make_room();
        }
        let key = self.insert(connection, stream, state, peer)?;
        self.entries[key].session.seat.counted = counted;
        let (id, entries) = (self.entries[key].session.seat.id, &self.entries);
        self.handshakes.begin(id, self.local.now, self.local.handshakes, |id| stage(entries, id));
        self.local.handshakes += 1;
        // Most have sent their request by now.
        self.serve(key, true);
        Some(())
    }

    /// Takes a connection into the table; `None` if its socket cannot be watched.
    pub(super) fn insert(
        &mut self,
        connection: Connection,
        mut stream: Stream,
        state: H::State,
        peer: Option<SocketAddr>,
    ) -> Option<usize> {
        let slot = self.entries.vacant_entry();
        let key = slot.key();
        if stream.register(self.poll.registry(), Token(key)).is_err() {
            self.local.shared.caught(|| drop(state));
            return None;
        }
        let mailbox = &self.local.shared.mailboxes[usize::from(self.local.worker)];
        let id = Id { worker: self.local.worker, key: key as u32, generation: mailbox.open(key as u32) };
        let place = match &self.pool {
            None => Place::Here(state),
            Some(pool) => Place::Pool(Queue::new(id, state, pool.clone())),
        };
        let session = Session::new(connection, Seat::new(id, place, peer));
        slot.insert(Entry { session, stream, armed: 0, again: false });
        self.local.stats.connections += 1;
        Some(key)
    }
}

fn stage<S: Send + 'static>(entries: &Slab<Entry<S>>, id: Id) -> Stage {
    let seat = entries.get(id.key as usize).map(|entry| &entry.session.seat).filter(|seat| seat.id == id);
    match seat.map(|seat| seat.phase) {
        None | Some(Phase::Open | Phase::Closed) => Stage::Over,
        Some(Phase::Asked) => Stage::Asked,
        Some(Phase::Opening | Phase::Failed) => Stage::Idle,
    }
}
