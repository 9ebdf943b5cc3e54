//! A connection's turns taken apart, and taken up again.

use super::Drive;
use crate::lent::Lent;
use crate::mode::Mode;
use crate::split::Parts;
use crate::stream::Stream;
use crate::transport::Transport;
use sockless::driver::InUse;

impl<S: Stream> Drive<S> {
    /// Whether nothing is lost where it is taken apart.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_idle(&mut self) -> Result<(), InUse> {
        self.driver.leave(self.lent.storage());
        self.lent.give_back();
        self.driver.check_idle()?;
        match (self.transport.is_held_back(), self.inbox.bytes()) {
            (true, _) => Err(InUse::Unwritten),
            (false, 0) => Ok(()),
            (false, _) => Err(InUse::Unreceived),
        }
    }

    /// The stream, and what was read of it and not told.
    pub(crate) fn into_inner(mut self) -> (S, Vec<u8>) {
        let rest = self.driver.into_rest(self.lent.storage());
        (self.transport.into_stream(), rest)
    }

    /// Takes up the turns of what was in halves.
    pub(crate) fn of(parts: Parts<S>) -> Self {
        let Parts { driver, stream, started, closer, inbox, close, failure, over, .. } = parts;
        Self {
            driver,
            transport: Transport::new(stream),
            lent: Lent::default(),
            started,
            now: started.elapsed(),
            looked: 0,
            mode: Mode::Message,
            inbox,
            close,
            failure: failure.map(Box::new),
            over,
            opening: false,
            farewell: None,
            at_once: false,
            pings: None,
            closer,
        }
    }
}
