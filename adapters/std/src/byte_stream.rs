//! A stream of bytes over binary messages.

use crate::stream::Stream;
use crate::websocket::WebSocket;
use sockless::driver::Error;
use sockless::{Code, Message, SendError};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

/// A stream of bytes over the binary messages of a WebSocket: what is written goes as a message, and what messages carry
/// is read, wherever they begin and end. Text is read as bytes too.
///
/// What the connection answers goes out while it is read. The peer's close is the end, and an end without it is an error.
///
/// ```
/// use sockless_std::{ByteStream, accept, connect};
/// use std::io::{Read, Write};
///
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", listener.local_addr()?);
/// # let server = std::thread::spawn(move || {
/// let mut bytes = ByteStream::new(accept(listener.accept()?.0)?);
/// let mut all = Vec::new();
/// bytes.read_to_end(&mut all)?; // until the client closes
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(all)
/// # });
/// let mut bytes = ByteStream::new(connect(&url)?);
/// bytes.write_all(b"Hello ")?;
/// bytes.write_all(b"world")?;
/// bytes.close()?;
/// # assert_eq!(server.join().unwrap().unwrap(), b"Hello world");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct ByteStream<S> {
    socket: WebSocket<S>,
    /// The message that is read, and how far.
    message: Message<'static>,
    at: usize,
}

impl<S: Stream> ByteStream<S> {
    /// The bytes of the messages that are still to come.
    pub fn new(socket: WebSocket<S>) -> Self {
        Self { socket, message: Message::from(&[][..]), at: 0 }
    }

    /// Says that nothing more is written, by starting the closing handshake; what the peer had sent by the time it answers
    /// that can still be read.
    ///
    /// # Errors
    /// As [`WebSocket::start_close`] and [`WebSocket::flush`].
    pub fn close(&mut self) -> Result<(), Error> {
        match self.socket.start_close(Code::NORMAL, "") {
            Ok(()) => self.socket.flush(),
            Err(Error::Closed(_) | Error::Send(SendError::Closing)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The WebSocket. Messages that are received from it are not read here.
    pub fn get_mut(&mut self) -> &mut WebSocket<S> {
        &mut self.socket
    }

    /// The WebSocket, without what is left of a message that was read in part.
    pub fn into_inner(self) -> WebSocket<S> {
        self.socket
    }
}

impl<S: Stream> Read for ByteStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.message.as_bytes().len() && !buf.is_empty() {
            match self.socket.recv().map_err(into_io)? {
                Some(message) => (self.message, self.at) = (message, 0),
                None => return Ok(0),
            }
        }
        let rest = &self.message.as_bytes()[self.at..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

/// Each write is a message of its own, and waits until it is written.
impl<S: Stream> Write for ByteStream<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if !buf.is_empty() {
            match self.socket.send(buf) {
                // It is sent all the same.
                Ok(()) | Err(Error::TimedOut) => {}
                Err(error) => return Err(into_io(error)),
            }
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(into_io)
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::TimedOut => ErrorKind::WouldBlock.into(),
        Error::Send(SendError::Full) => ErrorKind::WouldBlock.into(),
        Error::Closed(_) | Error::Send(SendError::Closing) => io::Error::new(ErrorKind::BrokenPipe, error),
        Error::Protocol(_) => io::Error::new(ErrorKind::InvalidData, error),
        error => io::Error::other(error),
    }
}

impl<S: Stream> fmt::Debug for ByteStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByteStream").field(&self.socket).finish()
    }
}
