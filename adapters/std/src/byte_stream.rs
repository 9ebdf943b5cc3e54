//! A stream of bytes over binary messages.

use crate::split::{Receiver, Sender};
use crate::stream::Stream;
use crate::websocket::WebSocket;
use sockless::driver::{Error, byte_stream};
use sockless::{Code, Message, Piece};
use std::fmt;
use std::io::{self, Read, Write};

/// A stream of bytes over the binary messages of a connection `C`: what is written goes as messages of at most
/// [64 KiB](byte_stream::MOST), and what messages carry is read, wherever they begin and end.
///
/// Over a [`WebSocket`] it is read from and written to, over a [`Receiver`] read from, and over a [`Sender`] written to.
///
/// What the connection answers goes out while it is read. A peer's close with 1000, or without a code, is the end of what is read; it
/// ends what is written too, since a WebSocket closes both ways at once (RFC 6455 §5.5.1). All else is an error: another code
/// is `BrokenPipe` with [`Error::Closed`] in it, an end without a close frame `UnexpectedEof`, and a deadline `TimedOut`.
/// Text is `InvalidData` with [`Error::Text`] in it, and the connection closes with 1003. `WouldBlock` says that the time given has
/// passed.
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
pub struct ByteStream<C> {
    inner: C,
    /// What came last, and how far it is read.
    piece: Message<'static>,
    at: usize,
}

impl<C> ByteStream<C> {
    /// The bytes of the messages that are still to come and to go.
    pub fn new(connection: C) -> Self {
        Self { inner: connection, piece: Message::from(&[][..]), at: 0 }
    }

    /// The connection.
    pub fn get_ref(&self) -> &C {
        &self.inner
    }

    /// The connection. Messages that are received from it are not read here.
    pub fn get_mut(&mut self) -> &mut C {
        &mut self.inner
    }

    /// The connection, without what is left of a message that was read in part.
    pub fn into_inner(self) -> C {
        self.inner
    }
}

impl<C: Sink> ByteStream<C> {
    /// Says that nothing more is written, by starting the closing handshake; what the peer had sent by the time it answers
    /// that can still be read.
    ///
    /// # Errors
    /// As [`WebSocket::start_close`] and [`WebSocket::flush`].
    pub fn close(&mut self) -> Result<(), Error> {
        match self.inner.end() {
            Err(error) if !error.is_closing() => Err(error),
            _ => Ok(()),
        }
    }
}

/// What bytes can be read from: a connection, or the half of it that receives.
pub trait Source {
    #[doc(hidden)]
    fn piece(&mut self) -> Result<Option<Piece<'static>>, Error>;

    /// Whether the connection, which is over, has ended as the stream should.
    #[doc(hidden)]
    fn check_end(&self) -> Result<(), Error>;

    /// Closes for what has no place in the stream.
    #[doc(hidden)]
    fn refuse(&mut self);
}

/// What bytes can be written to: a connection, or the half of it that sends.
pub trait Sink {
    #[doc(hidden)]
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error>;

    #[doc(hidden)]
    fn flush(&mut self) -> Result<(), Error>;

    #[doc(hidden)]
    fn end(&mut self) -> Result<(), Error>;
}

impl<S: Stream> Source for WebSocket<S> {
    fn piece(&mut self) -> Result<Option<Piece<'static>>, Error> {
        self.recv_piece()
    }

    fn check_end(&self) -> Result<(), Error> {
        byte_stream::end(self.peer_close())
    }

    fn refuse(&mut self) {
        _ = self.start_close(byte_stream::REFUSAL, "");
    }
}

impl<S: Stream> Source for Receiver<S> {
    fn piece(&mut self) -> Result<Option<Piece<'static>>, Error> {
        self.recv_piece()
    }

    fn check_end(&self) -> Result<(), Error> {
        byte_stream::end(self.peer_close().as_ref())
    }

    fn refuse(&mut self) {
        self.start_close(byte_stream::REFUSAL);
    }
}

impl<S: Stream> Sink for WebSocket<S> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        WebSocket::send(self, bytes)
    }

    fn flush(&mut self) -> Result<(), Error> {
        WebSocket::flush(self)
    }

    fn end(&mut self) -> Result<(), Error> {
        self.start_close(Code::NORMAL, "")?;
        WebSocket::flush(self)
    }
}

impl<S: Stream> Sink for Sender<S> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Sender::send(self, bytes)
    }

    fn flush(&mut self) -> Result<(), Error> {
        // Each message has been written when it was sent.
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        self.close(Code::NORMAL, "")
    }
}

impl<C: Source> Read for ByteStream<C> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() && !buf.is_empty() {
            let Some(piece) = self.inner.piece()? else {
                self.inner.check_end()?;
                return Ok(0);
            };
            if let Err(error) = byte_stream::check(piece.data.kind()) {
                self.inner.refuse();
                return Err(error.into());
            }
            (self.piece, self.at) = (piece.data, 0);
        }
        let rest = &self.piece.as_bytes()[self.at..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

/// Each write is a message of its own, and waits until it is written.
impl<C: Sink> Write for ByteStream<C> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let part = &buf[..buf.len().min(byte_stream::MOST)];
        if !part.is_empty() {
            match self.inner.send(part) {
                // It is sent all the same.
                Ok(()) | Err(Error::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.inner.flush()?)
    }
}

impl<C: fmt::Debug> fmt::Debug for ByteStream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByteStream").field(&self.inner).finish()
    }
}
