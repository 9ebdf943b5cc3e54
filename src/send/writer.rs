//! A message built piecemeal.

use crate::message::Kind;
use crate::send::sender::Sender;
use crate::wire::error::SendError;
use alloc::vec::Vec;
use core::fmt;

/// A message that is written piecemeal, by `write!` or by [`std::io::Write`], and sent by [`finish`](Self::finish).
///
/// Dropped before, nothing of it is sent.
///
/// ```
/// use core::fmt::Write;
/// use sockless::{Config, Connection, Kind, Negotiated, Role, Seed};
/// # use bytes::Buf;
///
/// let mut connection = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
/// let mut writer = connection.writer(Kind::Text);
/// write!(writer, "{} + {} = {}", 1, 2, 1 + 2)?;
/// writer.finish()?;
/// assert_eq!(connection.outbound().chunk(), b"\x81\x091 + 2 = 3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer<'a> {
    sender: &'a mut Sender,
    kind: Kind,
    buffer: Vec<u8>,
}

impl Sender {
    /// As [`Connection::writer`](crate::Connection::writer).
    pub fn writer(&mut self, kind: Kind) -> Writer<'_> {
        Writer::new(self, kind)
    }
}

impl<'a> Writer<'a> {
    pub(crate) fn new(sender: &'a mut Sender, kind: Kind) -> Self {
        Self { sender, kind, buffer: Vec::new() }
    }

    /// What was written.
    #[cfg(feature = "testing")]
    pub(crate) fn written(&self) -> &[u8] {
        &self.buffer
    }

    /// Sends what was written as one message; the writer is empty then, ready for another.
    ///
    /// # Errors
    /// As [`Connection::send_shared`](crate::Connection::send_shared); what was written is kept.
    pub fn finish(&mut self) -> Result<(), SendError> {
        self.sender.send_vec(self.kind, &mut self.buffer)
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.buffer.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(feature = "std")]
impl std::io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
