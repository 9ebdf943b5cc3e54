//! Answers to a message, left while it lies in the read buffer.

use crate::writing::{AtOnce, Out};
use sockless::driver::{Error, Turn};
use sockless::{Message, Prepared};
use std::borrow::Cow;
use std::fmt;
use tokio::io::AsyncWrite;

/// Where answers to a message are left; see [`WebSocket::recv_with`](crate::WebSocket::recv_with).
pub struct Replies<'a> {
    pub(crate) turn: Turn<'a>,
    pub(crate) out: &'a mut Out,
    pub(crate) io: &'a mut (dyn AsyncWrite + Unpin + 'a),
}

impl Replies<'_> {
    /// Sends a message, as [`WebSocket::feed`](crate::WebSocket::feed), but never waits. A long one goes out at once, from where
    /// it lies, as far as the stream takes it, if it answers the last of what one read brought; else it is copied.
    ///
    /// # Errors
    /// As [`WebSocket::send`](crate::WebSocket::send).
    #[inline(always)]
    pub fn feed(&mut self, message: Message<'_>) -> Result<(), Error> {
        self.out.check()?;
        match message {
            // Most are so, and nothing of them is moved or dropped.
            Message::Binary(Cow::Borrowed(bytes)) if bytes.len() < Turn::LEAST_THROUGH => {
                Ok(self.turn.send_binary(bytes)?)
            }
            Message::Text(Cow::Borrowed(text)) if text.len() < Turn::LEAST_THROUGH => Ok(self.turn.send_text(text)?),
            message => self.feed_any(message),
        }
    }

    #[inline(never)]
    fn feed_any(&mut self, message: Message<'_>) -> Result<(), Error> {
        if !message.is_borrowed() || !self.io.is_write_vectored() {
            return Ok(self.turn.send(message)?);
        }
        self.out.unflushed = true;
        Ok(self.turn.send_through(&message, AtOnce::new(self.io, &self.out.waker))?)
    }

    /// Sends a message that was framed before, by reference.
    ///
    /// # Errors
    /// As [`WebSocket::send`](crate::WebSocket::send).
    pub fn feed_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.out.check()?;
        Ok(self.turn.send_prepared(message)?)
    }
}

impl fmt::Debug for Replies<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").finish_non_exhaustive()
    }
}
