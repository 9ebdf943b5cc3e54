//! A connection that was dropped, and is closed by who gave it away.

use super::WebSocket;
use crate::alarm::Closer;
use crate::halves::{Inner, Receiver};
use crate::home::{Home, Homing};
use crate::reading::Reading;
use crate::writing::Side;
use sockless::Code;
use sockless::driver::Driver;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};

impl<S> WebSocket<S> {
    /// Has it come back when it is dropped.
    pub(crate) fn set_home(&mut self) -> Left<S> {
        let home = Home::new();
        self.side.set_home(home.clone());
        Left(home)
    }
}

/// A connection that was dropped: whole, or the half that receives, which may come later.
pub(crate) enum Dropped<S> {
    Whole(Box<Side<Driver, S>>),
    Parted(Home<Box<Inner<ReadHalf<S>, WriteHalf<S>>>>),
}

impl<S> From<Side<Driver, S>> for Dropped<S> {
    fn from(side: Side<Driver, S>) -> Self {
        Self::Whole(side.into())
    }
}

/// Where a connection comes that is dropped, to be closed.
pub(crate) struct Left<S>(Home<Dropped<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> Left<S> {
    /// Closes the connection with this code, if it has come; else asks whoever has it. What was received and not told is lost.
    pub(crate) async fn close(self, closer: &Closer, code: Code) {
        let asked = closer.close(code, "");
        debug_assert!(asked.is_ok());
        // How it ends is nobody's concern any more.
        match self.0.take() {
            Some(Dropped::Whole(side)) => {
                let (reading, side) = (Reading::default(), Homing::new(*side));
                let mut socket = WebSocket { reading, side, subprotocol: None, gathered: None };
                _ = socket.close(code, "").await;
            }
            Some(Dropped::Parted(half)) => {
                if let Some(inner) = half.take() {
                    let mut receiver = Receiver::from(*inner);
                    while let Ok(Some(_)) = receiver.recv_event().await {}
                }
            }
            None => {}
        }
    }
}
