//! A message sent in parts.

use crate::websocket::{Flush, WebSocket};
use sockless::Kind;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// A message that is sent in parts as they are known, in fragments (RFC 6455 §5.4), so that it may have any size.
///
/// The first part is a fragment of its own; of the others, small ones are gathered until they are 64 KiB, or are
/// [flushed](WebSocket::flush), or something is received. Flushed as an `AsyncWrite`, as whatever copies does whenever its source
/// has nothing more, they are sent too, up to 2,048 times for a message: receivers take no end of fragments.
///
/// Each part looks for what has come. What came is kept for who receives next, and a peer that has closed is told.
///
/// It ends with [`finish`](Self::finish), or when this is shut down as an `AsyncWrite`. Dropped before, the message is
/// still under way, and the next [`WebSocket::writer`] of the same kind goes on with it; other messages have to wait.
#[derive(Debug)]
pub struct Writer<'a, S> {
    socket: &'a mut WebSocket<S>,
    kind: Kind,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// A message to be sent in parts, each as it is known. It is an `AsyncWrite` too.
    pub fn writer(&mut self, kind: Kind) -> Writer<'_, S> {
        Writer::new(self, kind)
    }
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Writer<'a, S> {
    pub(crate) fn new(socket: &'a mut WebSocket<S>, kind: Kind) -> Self {
        Self { socket, kind, ended: false }
    }

    /// Sends the next part; text may be cut anywhere. Waits only while very much is not yet written.
    ///
    /// # Errors
    /// As [`WebSocket::send`], [`Error::Closed`](sockless::driver::Error::Closed) as soon as that is known, and [`InvalidUtf8`](sockless::SendError::InvalidUtf8).
    ///
    /// # Cancel safety
    /// The part is taken by the call; dropping the future loses nothing.
    pub fn write(&mut self, part: &[u8]) -> Flush<'_, S> {
        let kind = self.kind;
        let taken = self.socket.push_part(kind, part, false);
        Flush::new(self.socket, taken, false)
    }

    /// Ends the message, and waits until all of it is written.
    ///
    /// # Errors
    /// As [`write`](Self::write), for text that ends inside a character.
    ///
    /// # Cancel safety
    /// The end is taken by the call; dropping the future loses nothing.
    pub fn finish(self) -> Flush<'a, S> {
        let taken = self.socket.push_part(self.kind, b"", true);
        Flush::new(self.socket, taken, true)
    }
}

/// Writes go into the message as by [`Writer::write`]; shutting down ends the message, and the connection goes on.
impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Writer<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, part: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.socket.poll_drained(cx, false))?;
        let kind = self.kind;
        self.socket.push_part(kind, part, false)?;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush_parts(cx).map_err(io::Error::from)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let kind = self.kind;
        // Called again until it is done, it must not begin another message.
        if !self.ended {
            self.socket.push_part(kind, b"", true)?;
            self.ended = true;
        }
        self.socket.poll_drained(cx, true).map_err(io::Error::from)
    }
}
