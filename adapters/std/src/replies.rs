//! Answers to a message, left while it lies in the read buffer.

use sockless::driver::Error;
use sockless::{Connection, Message, Prepared};
use std::fmt;

/// Where answers to a message are left; see [`WebSocket::recv_each`](crate::WebSocket::recv_each).
pub struct Replies<'a>(pub(crate) &'a mut Connection);

impl Replies<'_> {
    /// Sends a message, as [`WebSocket::feed`](crate::WebSocket::feed), but never waits.
    ///
    /// # Errors
    /// [`Error::Send`]: [`Full`](sockless::SendError::Full) while more than
    /// [`Outbound::hard`](sockless::Outbound::hard) bytes wait, [`Closing`](sockless::SendError::Closing).
    #[inline]
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        Ok(self.0.send(message)?)
    }

    /// Sends a message that was framed before, by reference.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub fn feed_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        Ok(self.0.send_prepared(message)?)
    }
}

impl fmt::Debug for Replies<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").finish_non_exhaustive()
    }
}
