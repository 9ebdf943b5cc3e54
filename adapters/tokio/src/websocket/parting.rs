//! A connection taken apart, and put together again from its halves.

use super::WebSocket;
use crate::halves::{Receiver, Sender};
use crate::home::Homing;
use crate::writing::{Side, Writing};
use sockless::driver::{Driver, GivenBack, InUse, lent};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The stream, and what was read of it that no message was made of: [`open`](Self::open) goes on with both, and so does whatever
    /// follows a closing handshake. Nothing is said to the peer. With compression, a connection that goes on has to be one
    /// without context takeover.
    ///
    /// # Errors
    /// The connection itself: [`Unwritten`](InUse::Unwritten) until it is [flushed](Self::flush),
    /// [`Unreceived`](InUse::Unreceived) while there is something that came meanwhile, and
    /// [`WithinMessage`](InUse::WithinMessage).
    #[allow(clippy::result_large_err)] // The error is the connection, given back.
    pub fn into_inner(mut self) -> Result<(S, Vec<u8>), GivenBack<Self>> {
        // What was gathered of a message, the sending side is told.
        let gathered = self.gathered.is_some();
        lent(|storage| self.side.writing.driver.leave(storage));
        let why = match self.side.writing.driver.check_idle() {
            Err(why) => Some(why),
            Ok(()) if gathered || self.side.writing.out.unflushed => Some(InUse::Unwritten),
            Ok(()) => self.reading.kept.as_ref().map(|_| InUse::Unreceived),
        };
        if let Some(why) = why {
            return Err(GivenBack { inner: self, why });
        }
        let Side { io, writing } = self.side.leave();
        Ok((io, lent(|storage| writing.driver.into_rest(storage))))
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Receiver<R, W> {
    /// The whole again, where `join` makes the stream, as [`split_with`](WebSocket::split_with) has parted it: what has come and
    /// what waits is kept. The subprotocol is not known to it any more.
    ///
    /// # Errors
    /// Both halves: [`Different`](InUse::Different) if they are not of one connection, and [`Cloned`](InUse::Cloned) while there is
    /// another sender.
    #[allow(clippy::type_complexity, clippy::result_large_err)] // The error is the halves, given back.
    pub fn reunite_with<S>(
        self,
        sender: Sender<W>,
        join: impl FnOnce(R, W) -> S,
    ) -> Result<WebSocket<S>, GivenBack<(Sender<W>, Self)>> {
        let parts =
            self.into_parts(sender).map_err(|(sender, receiver, why)| GivenBack { inner: (sender, receiver), why })?;
        let (read, half, reading, Side { io: write, writing }) = parts;
        let Writing { driver, out } = writing;
        let writing = Writing { driver: Driver::reunite(half, driver), out };
        // Deadlines are looked at anew.
        writing.alarm().mark();
        let side = Homing::new(Side { io: join(read, write), writing });
        Ok(WebSocket { reading, side, subprotocol: None, gathered: None })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Receiver<ReadHalf<S>, WriteHalf<S>> {
    /// The same of halves that [`split`](WebSocket::split) has made.
    ///
    /// # Errors
    /// As [`reunite_with`](Self::reunite_with).
    #[allow(clippy::type_complexity, clippy::result_large_err)] // As above.
    pub fn reunite(
        self,
        sender: Sender<WriteHalf<S>>,
    ) -> Result<WebSocket<S>, GivenBack<(Sender<WriteHalf<S>>, Self)>> {
        self.reunite_with(sender, ReadHalf::unsplit)
    }
}
