//! Answers to a message, left while it lies in the read buffer.

use crate::writing::{Side, Writing};
use sockless::driver::Driver;
use sockless::driver::Error;
use sockless::{Message, Prepared};
use std::fmt;
use tokio::io::AsyncWrite;

/// Where answers to a message are left; see [`WebSocket::recv_with`](crate::WebSocket::recv_with).
pub struct Replies<'a> {
    writing: &'a mut Writing<Driver>,
    io: &'a mut (dyn AsyncWrite + Unpin + 'a),
}

impl<'a> Replies<'a> {
    #[inline(always)]
    pub(crate) fn new<W: AsyncWrite + Unpin>(side: &'a mut Side<Driver, W>) -> Self {
        Self { writing: &mut side.writing, io: &mut side.io }
    }

    /// Sends a message, as [`WebSocket::feed`](crate::WebSocket::feed), but never waits. A long one that is borrowed goes out
    /// at once, from where it lies, as far as the stream takes it and nothing waits ahead of it; the rest is copied.
    ///
    /// # Errors
    /// As [`WebSocket::send`](crate::WebSocket::send).
    #[inline]
    pub fn feed(&mut self, message: Message<'_>) -> Result<(), Error> {
        self.writing.push_borrowed(message, self.io)
    }

    /// Sends a message that was framed before, by reference.
    ///
    /// # Errors
    /// As [`WebSocket::send`](crate::WebSocket::send).
    pub fn feed_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.writing.with(|sender| sender.send_prepared(message))
    }
}

impl fmt::Debug for Replies<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").finish_non_exhaustive()
    }
}
