//! A connection taken apart, and put together again from its halves.

use crate::drive::Drive;
use crate::split::{Receiver, Sender};
use crate::stream::Stream;
use crate::websocket::WebSocket;
use sockless::driver::GivenBack;

impl<S: Stream> WebSocket<S> {
    /// The stream, without its time limits, and what was read of it that no message was made of: [`open`](Self::open) goes on
    /// with both, and so does whatever follows a closing handshake. Nothing is said to the peer. With compression, a
    /// connection that goes on has to be one without context takeover.
    ///
    /// # Errors
    /// The connection itself: [`Unwritten`](crate::InUse::Unwritten) until it is [flushed](Self::flush),
    /// [`Unreceived`](crate::InUse::Unreceived) while there is something that came meanwhile, and
    /// [`WithinMessage`](crate::InUse::WithinMessage).
    #[allow(clippy::result_large_err)] // The error is the connection, given back.
    pub fn into_inner(mut self) -> Result<(S, Vec<u8>), GivenBack<Self>> {
        match self.drive.check_idle() {
            Ok(()) => Ok(self.drive.into_inner()),
            Err(why) => Err(GivenBack { inner: self, why }),
        }
    }
}

impl<S: Stream> Receiver<S> {
    /// The whole again, of halves that [`split`](WebSocket::split) has made: what has come is kept, and what waits is written. The
    /// subprotocol is not known to it any more.
    ///
    /// # Errors
    /// Both halves: [`Different`](crate::InUse::Different) if they are not of one connection, [`Cloned`](crate::InUse::Cloned) while there is
    /// another sender, and [`Unwritten`](crate::InUse::Unwritten) where the peer does not take what waits.
    #[allow(clippy::type_complexity, clippy::result_large_err)] // The error is the halves, given back.
    pub fn reunite(self, sender: Sender<S>) -> Result<WebSocket<S>, GivenBack<(Sender<S>, Self)>> {
        let parts = match self.into_parts(sender) {
            Ok(parts) => parts,
            Err((sender, receiver, why)) => return Err(GivenBack { inner: (sender, receiver), why }),
        };
        let timeout = parts.timeout;
        let mut socket = WebSocket::from_drive(Drive::of(parts), None);
        socket.set_recv_timeout(timeout);
        Ok(socket)
    }
}
