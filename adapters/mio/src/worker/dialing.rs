//! A worker's connections to servers.

use super::{ATTEMPTS, Entry, Worker};
use crate::call::Call;
use crate::conn::Task;
use crate::dial::{Dialing, Target};
use crate::handler::Handler;
use crate::stream::{Socket, Stream};
use mio::Token;
use sockless::{Connection, Seed};

impl<H: Handler> Worker<H> {
    /// Goes on with a connection to a server.
    pub(super) fn connect(&mut self, target: Target, prepare: Task<H::State>) {
        let Target { request, tls, addresses } = target;
        let connection = Connection::client(&request, self.config.clone(), Seed::random());
        let peer = addresses.first().copied();
        let stream = Stream::new(Socket::Dialing(Box::new(Dialing::new(addresses))), tls);
        let state = self.local.shared.caught(H::State::default);
        // The request was checked, so nothing of ours fails.
        let key =
            connection.ok().zip(state).and_then(|(connection, state)| self.insert(connection, stream, state, peer));
        let Some(key) = key else {
            self.local.stats.refused += 1;
            return;
        };
        if let Some(mut active) = self.at(key) {
            active.call(Call::Task(prepare));
        }
        self.dial(key);
    }

    /// Goes on with connecting, if that is what a connection does.
    pub(super) fn dial(&mut self, key: usize) {
        let Some(Entry { session, stream, .. }) = self.entries.get_mut(key) else { return };
        match stream.dial(self.local.now, self.poll.registry(), Token(ATTEMPTS + key), Token(key)) {
            Ok(None) => {}
            Ok(peer) => {
                session.seat.peer = peer;
                session.seat.blocked = false;
                if self.nodelay {
                    stream.set_nodelay();
                }
            }
            Err(error) => _ = self.at(key).map(|mut active| active.fail(error)),
        }
    }
}
