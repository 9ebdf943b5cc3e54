//! A worker's connections to servers.

use super::{ATTEMPTS, Worker};
use crate::command::Task;
use crate::dial::{Dialing, Target};
use crate::entry::Flags;
use crate::handler::{Call, Handler};
use crate::stream::{Socket, Stream};
use mio::Token;
use sockless::{Connection, Seed};

impl<H: Handler> Worker<H> {
    /// Goes on with a connection to a server.
    pub(super) fn connect(&mut self, target: Target, prepare: Task<H::State>) {
        let Target { request, tls, addresses } = target;
        let connection = Connection::client(&request, self.config.clone(), Seed::random());
        let (stream, peer) = (Stream::new(Socket::Unconnected, tls.map(Into::into)), addresses.first().copied());
        let dialing = Some(Box::new(Dialing::new(addresses)));
        let state = self.local.shared.caught(H::State::default);
        // The request was checked, so nothing of ours fails.
        let key = connection
            .ok()
            .zip(state)
            .and_then(|(connection, state)| self.insert(connection, stream, state, peer, dialing, Flags::default()));
        let Some(key) = key else {
            self.local.stats.refused += 1;
            return;
        };
        self.entries[key].call(&*self.handler, &mut self.local, Call::Task(prepare));
        self.dial(key);
        self.entries[key].touch(&mut self.local);
    }

    /// Goes on with connecting, if that is what a connection does.
    pub(super) fn dial(&mut self, key: usize) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Some(dialing) = &mut entry.dialing else { return };
        let registry = self.poll.registry();
        let connected = dialing.poll(self.local.now, registry, Token(ATTEMPTS + key)).and_then(|connected| {
            let Some((peer, socket)) = connected else { return Ok(false) };
            entry.peer = Some(peer);
            entry.stream.connect(socket, registry, Token(key)).map(|()| true)
        });
        match connected {
            Ok(false) => {}
            Ok(true) => {
                entry.dialing = None;
                if self.nodelay {
                    entry.stream.set_nodelay();
                }
            }
            Err(error) => entry.fail(&*self.handler, &mut self.local, error),
        }
    }
}
