//! The streams that a WebSocket goes over, and how long each of their calls may wait.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A stream of bytes that a WebSocket can go over: `Read` and `Write`, with the calls that a socket has besides.
///
/// Each of these has a default, so `impl Stream for MyStream {}` is enough; [`NoTimeouts`] does that for a stream of another
/// crate. Without time limits a call waits for as long as the peer likes: no deadline is kept meanwhile, and nothing is
/// read while a write waits.
pub trait Stream: Read + Write {
    /// How long a read may wait before it says `WouldBlock` or `TimedOut`; `None`: for ever.
    ///
    /// # Errors
    /// `Unsupported`, the default, where there is no such limit.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        _ = timeout;
        Err(ErrorKind::Unsupported.into())
    }

    /// The same for a write.
    ///
    /// # Errors
    /// As [`set_read_timeout`](Self::set_read_timeout).
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        _ = timeout;
        Err(ErrorKind::Unsupported.into())
    }

    /// Says to the peer that nothing more is written. By default, nothing is said.
    ///
    /// # Errors
    /// Those of the stream.
    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The stream in two, for [`WebSocket::split`](crate::WebSocket::split): one to read from, and one to write to.
    ///
    /// # Errors
    /// `Unsupported`, the default, where there is no such thing.
    fn split(self) -> io::Result<(Self, Self)>
    where
        Self: Sized,
    {
        Err(ErrorKind::Unsupported.into())
    }

    /// The stream again, of the two that [`split`](Self::split) made, of which this one was read from. By default it is this one.
    fn unsplit(self, writer: Self) -> Self
    where
        Self: Sized,
    {
        drop(writer);
        self
    }
}

macro_rules! socket {
    ($socket:ty) => {
        impl Stream for $socket {
            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$socket>::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$socket>::set_write_timeout(self, timeout)
            }

            fn shutdown(&mut self) -> io::Result<()> {
                <$socket>::shutdown(self, Shutdown::Write)
            }

            fn split(self) -> io::Result<(Self, Self)> {
                Ok((self.try_clone()?, self))
            }
        }
    };
}

socket!(TcpStream);
#[cfg(unix)]
socket!(UnixStream);

impl<S: Stream + ?Sized> Stream for Box<S> {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_write_timeout(timeout)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        (**self).shutdown()
    }
}

/// Any `Read + Write` as a [`Stream`] that has no time limits.
#[derive(Clone, Debug)]
pub struct NoTimeouts<S>(pub S);

impl<S: Read> Read for NoTimeouts<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<S: Write> Write for NoTimeouts<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S: Read + Write> Stream for NoTimeouts<S> {}
