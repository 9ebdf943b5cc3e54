//! A message that a handler writes piecemeal.

use super::Conn;
use crate::command::Sent;
use crate::scratch::Scratch;
use sockless::{Kind, Message, SendError};
use std::{fmt, io};

/// A message that is written piecemeal, by `write!` or by [`std::io::Write`], and sent by [`finish`](Self::finish): of
/// [`Conn::writer`]. What is written lies in memory that the thread lends.
///
/// Dropped before, nothing of it is sent.
///
/// ```
/// use sockless_mio::{Conn, Error, Kind, Message};
/// use std::fmt::Write;
///
/// fn count(conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
///     let mut answer = conn.writer(Kind::Text);
///     write!(answer, "{} bytes", message.len())?;
///     answer.finish()?;
///     Ok(())
/// }
/// # #[cfg(feature = "testing")]
/// # {
/// # use sockless_mio::testing::Peer;
/// # let mut peer = Peer::connect(count);
/// # peer.send("hello")?;
/// # assert_eq!(peer.receive(), Some("5 bytes".into()));
/// # }
/// # Ok::<(), Error>(())
/// ```
pub struct Writer<'c, 'a, S> {
    conn: &'c mut Conn<'a, S>,
    kind: Kind,
    buffer: Scratch,
}

impl<'a, S> Conn<'a, S> {
    /// A message to be written piecemeal.
    pub fn writer(&mut self, kind: Kind) -> Writer<'_, 'a, S> {
        Writer { conn: self, kind, buffer: Scratch::lend() }
    }

    /// A buffer to put something together in, lent by the thread: it costs no allocation where the last had room enough.
    pub fn scratch(&self) -> Scratch {
        Scratch::lend()
    }
}

impl<S> Writer<'_, '_, S> {
    /// Sends what was written as one message; the writer is empty then, ready for another.
    ///
    /// # Errors
    /// As [`Conn::send_text`], and [`InvalidUtf8`](SendError::InvalidUtf8); what was written is kept.
    pub fn finish(&mut self) -> Result<Sent, SendError> {
        let message = match self.kind {
            Kind::Binary => Message::from(&self.buffer[..]),
            Kind::Text => Message::from(std::str::from_utf8(&self.buffer).map_err(|_| SendError::InvalidUtf8)?),
        };
        let sent = self.conn.send(message)?;
        self.buffer.clear();
        Ok(sent)
    }
}

impl<S> fmt::Write for Writer<'_, '_, S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.buffer.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl<S> io::Write for Writer<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S> fmt::Debug for Writer<'_, '_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("kind", &self.kind).field("len", &self.buffer.len()).finish_non_exhaustive()
    }
}
