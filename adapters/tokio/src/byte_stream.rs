//! A stream of bytes over binary messages.

use crate::alarm::Closer;
use crate::drive::Drive;
use crate::halves::{Receiver, Sender};
use crate::message::{Message, Piece};
use crate::reading::Parts;
use crate::websocket::WebSocket;
use futures_sink::Sink;
use sockless::bytes::{Buf, Bytes};
use sockless::driver::{Error, byte_stream};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};

/// A stream of bytes over the binary messages of a connection `C`: what is written goes as messages of at most
/// [64 KiB](byte_stream::MOST), and what messages carry is read, wherever they begin and end.
///
/// Over a [`WebSocket`] it is read from and written to, over a [`Receiver`] read from, and over a [`Sender`] written to; the
/// halves are for two tasks, and [`split`](Self::split) makes them of the whole.
///
/// **The end**: shutting down sends a close frame with 1000 behind what was written. Over a [`WebSocket`] it waits for the peer's
/// answer, as `SinkExt::close` does; what the peer has sent by then can still be read. A peer's close with 1000, or without a
/// code, is the end of what is read; it ends what is written too, since a WebSocket closes both ways at once (RFC 6455
/// §5.5.1). All else is an error: another code is `BrokenPipe` with [`Error::Closed`] in it, an end without a close frame
/// `UnexpectedEof`, and a deadline `TimedOut`. Text is `InvalidData` with [`Error::Text`] in it, and the connection closes
/// with 1003.
///
/// **Each write goes out at once**, as with TCP; a `BufWriter` gathers small ones. Writing waits while much is not taken, and
/// reading goes on meanwhile. Two ends that only write wait for each other as over TCP: somebody has to read.
///
/// **Cancel safety**: what is read, is read by the caller or waits here; what a write has taken is sent.
///
/// ```
/// use sockless_tokio::ByteStream;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (client, server) = tokio::io::duplex(1024);
/// # let open = |stream, role| {
/// #     let (negotiated, config, seed) = (Default::default(), sockless::Config::default(), sockless::Seed::random());
/// #     sockless_tokio::WebSocket::open(stream, role, negotiated, config, seed, b"")
/// # };
/// # let (socket, peer) = (open(client, sockless::Role::Client), open(server, sockless::Role::Server));
/// # tokio::spawn(async move {
/// let (mut reader, mut writer) = tokio::io::split(ByteStream::new(peer));
/// tokio::io::copy(&mut reader, &mut writer).await
/// # });
/// let mut stream = ByteStream::new(socket);
/// stream.write_all(b"Hello ").await?;
/// stream.write_all(b"world").await?;
/// let mut echo = [0; 11];
/// stream.read_exact(&mut echo).await?;
/// assert_eq!(&echo, b"Hello world");
/// stream.shutdown().await?;
/// assert_eq!(stream.read(&mut echo).await?, 0);
/// # Ok(())
/// # }
/// ```
pub struct ByteStream<C> {
    inner: C,
    /// Of what has come, what was not read yet.
    rest: Bytes,
}

impl<C> ByteStream<C> {
    /// The bytes of the messages that are still to come and to go.
    pub fn new(connection: C) -> Self {
        Self { inner: connection, rest: Bytes::new() }
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

impl<S: AsyncRead + AsyncWrite + Unpin> ByteStream<WebSocket<S>> {
    /// The stream in two halves for two tasks, which share no lock while they wait, as [`WebSocket::split`] makes them: one to
    /// read from, and one to write to.
    #[allow(clippy::type_complexity)] // It is what it is made of.
    pub fn split(self) -> (ByteStream<Receiver<ReadHalf<S>, WriteHalf<S>>>, ByteStream<Sender<WriteHalf<S>>>) {
        let (sender, receiver) = self.inner.split();
        (ByteStream { inner: receiver, rest: self.rest }, ByteStream::new(sender))
    }
}

/// What bytes can be read from: a connection, or the half of it that receives.
pub trait Source: Unpin {
    #[doc(hidden)]
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, Error>>;

    /// Whether the connection, which is over, has ended as the stream should.
    #[doc(hidden)]
    fn check_end(&self) -> Result<(), Error>;

    #[doc(hidden)]
    fn closer(&self) -> Closer;
}

macro_rules! source {
    ([$($generics:tt)*] $connection:ty) => {
        impl<$($generics)*> Source for $connection {
            fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, Error>> {
                self.poll_part(cx, Parts::Pieces)
            }

            fn check_end(&self) -> Result<(), Error> {
                byte_stream::end(self.peer_close())
            }

            fn closer(&self) -> Closer {
                Closer(self.alarm().clone())
            }
        }
    };
}

source!([S: AsyncRead + AsyncWrite + Unpin] WebSocket<S>);
source!([R: AsyncRead + Unpin, W: AsyncWrite + Unpin] Receiver<R, W>);

impl<C: Source> ByteStream<C> {
    /// Waits until there is something to be read; nothing at the end.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while self.rest.is_empty() {
            let Some(piece) = ready!(self.inner.poll_piece(cx))? else {
                return Poll::Ready(self.inner.check_end());
            };
            if let Err(error) = byte_stream::check(piece.data.kind()) {
                // It is sendable.
                _ = self.inner.closer().close(byte_stream::REFUSAL, "");
                // So that the close frame goes out, whether or not anybody reads on.
                _ = self.inner.poll_piece(cx);
                return Poll::Ready(Err(error));
            }
            self.rest = piece.data.into_bytes();
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: Source> AsyncBufRead for ByteStream<C> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_rest(cx))?;
        Poll::Ready(Ok(&this.rest))
    }

    fn consume(mut self: Pin<&mut Self>, len: usize) {
        self.rest.advance(len);
    }
}

impl<C: Source> AsyncRead for ByteStream<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() > 0 {
            ready!(self.poll_rest(cx))?;
            let len = self.rest.len().min(buf.remaining());
            buf.put_slice(&self.rest.split_to(len));
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: Sink<Message, Error = Error> + Unpin> AsyncWrite for ByteStream<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut inner = Pin::new(&mut self.inner);
        ready!(inner.as_mut().poll_ready(cx))?;
        let len = bytes.len().min(byte_stream::MOST);
        inner.as_mut().start_send(bytes[..len].into())?;
        // As much as the transport takes at once: few flush what they have written to a stream. Failure is for the next.
        _ = inner.poll_flush(cx);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx).map_err(io::Error::from)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.inner).poll_close(cx)) {
            Err(error) if !error.is_closing() => Poll::Ready(Err(error.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<C: fmt::Debug> fmt::Debug for ByteStream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByteStream").field(&self.inner).finish()
    }
}
