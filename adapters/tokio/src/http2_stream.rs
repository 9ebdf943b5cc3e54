//! A stream of an HTTP/2 connection, as a stream of bytes (RFC 8441 §5).

use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use sockless::bytes::{Buf, Bytes, BytesMut};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// What is written at once: a frame of the length that everybody takes (RFC 9113 §4.2). Window that is granted to a stream and not
/// used yet is withheld from others.
const MOST: usize = 16 << 10;

/// One stream of an HTTP/2 connection, which carries a WebSocket.
///
/// Its end is the end of the peer's bytes, and a reset is an error of the kind [`ConnectionReset`](ErrorKind::ConnectionReset).
/// Dropped before both directions have ended, it is reset (CANCEL), and the connection and its other streams go on.
pub struct Http2Stream {
    send: SendStream<Bytes>,
    recv: RecvStream,
    /// What has come and is not read yet. It counts against the window until it is.
    rest: Bytes,
    ended: bool,
    link: Arc<Link>,
}

/// A connection as those see it that use it; it ends when nobody has it any more.
pub(crate) struct Link {
    pub(crate) send: SendRequest<Bytes>,
    pub(crate) is_tls: bool,
    /// Whether it is asked for nothing more: it has ended, or nobody can tell that it has not.
    pub(crate) given_up: AtomicBool,
    /// Dropped with it, which tells the task of the connection.
    pub(crate) _used: oneshot::Sender<()>,
}

impl Http2Stream {
    pub(crate) fn new(send: SendStream<Bytes>, recv: RecvStream, link: Arc<Link>) -> Self {
        Self { send, recv, rest: Bytes::new(), ended: false, link }
    }

    /// Whether the connection is over TLS.
    pub fn is_tls(&self) -> bool {
        self.link.is_tls
    }

    /// Why nothing can be written any more.
    fn broken(&mut self, cx: &mut Context<'_>) -> io::Error {
        match self.send.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => io::Error::new(ErrorKind::ConnectionReset, h2::Error::from(reason)),
            Poll::Ready(Err(error)) => io_error(error),
            Poll::Pending => ErrorKind::BrokenPipe.into(),
        }
    }
}

/// The same as an error of the transport.
pub(crate) fn io_error(error: h2::Error) -> io::Error {
    let kind = match &error {
        error if error.is_reset() => ErrorKind::ConnectionReset,
        error if error.is_go_away() => ErrorKind::ConnectionAborted,
        error => error.get_io().map_or(ErrorKind::Other, io::Error::kind),
    };
    io::Error::new(kind, error)
}

impl AsyncRead for Http2Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(this.recv.poll_data(cx)) {
                Some(Ok(data)) => this.rest = data,
                // The peer has ended, and asks for no more of what we have to say (RFC 9113 §8.1).
                Some(Err(error)) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => break,
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
                None => break,
            }
        }
        let len = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest[..len]);
        this.rest.advance(len);
        Poll::Ready(this.recv.flow_control().release_capacity(len).map_err(io_error))
    }
}

impl AsyncWrite for Http2Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wanted = bufs.iter().map(|buf| buf.len()).fold(0, usize::saturating_add).min(MOST);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        this.send.reserve_capacity(wanted);
        let room = loop {
            match this.send.capacity().min(wanted) {
                0 => match ready!(this.send.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Poll::Ready(Err(this.broken(cx))),
                },
                room => break room,
            }
        };
        let mut data = BytesMut::with_capacity(room);
        for buf in bufs {
            data.extend_from_slice(&buf[..buf.len().min(room - data.len())]);
        }
        Poll::Ready(match this.send.send_data(data.freeze(), false) {
            Ok(()) => Ok(room),
            Err(_) => Err(this.broken(cx)),
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The connection writes it soon, by a task of its own.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(Ok(()));
        }
        this.ended = true;
        this.send.reserve_capacity(0);
        Poll::Ready(this.send.send_data(Bytes::new(), true).map_err(|_| this.broken(cx)))
    }
}

impl fmt::Debug for Http2Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Stream").field("id", &self.send.stream_id()).field("is_tls", &self.is_tls()).finish()
    }
}
