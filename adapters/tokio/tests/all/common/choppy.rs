//! A stream that reads and writes as little as it likes.

use super::random::Random;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// The most bytes that a stream holds.
pub(crate) const LARGEST: usize = 400;

/// A stream that is often not ready, and then takes or gives a part.
pub(crate) struct Choppy {
    stream: DuplexStream,
    random: Random,
    vectored: bool,
}

impl Choppy {
    pub(crate) fn new(stream: DuplexStream, random: &mut Random) -> Self {
        Self { stream, random: Random(random.next()), vectored: random.percent(50) }
    }

    /// How much to take or give now, of so much.
    fn now(&mut self, cx: &Context<'_>, len: usize) -> Option<usize> {
        if self.random.percent(30) {
            cx.waker().wake_by_ref();
            return None;
        }
        Some(1 + self.random.below(len.max(1)))
    }
}

impl AsyncRead for Choppy {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let most = if self.random.percent(50) { 40 } else { LARGEST };
        let Some(len) = self.now(cx, buf.remaining().min(most)) else { return Poll::Pending };
        let mut part = vec![0; len.min(buf.remaining())];
        let mut read = ReadBuf::new(&mut part);
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Choppy {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(len) = self.now(cx, buf.len()) else { return Poll::Pending };
        Pin::new(&mut self.stream).poll_write(cx, &buf[..len.min(buf.len())])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let front: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).take(LARGEST).collect();
        self.poll_write(cx, &front)
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.now(cx, 1).is_none() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.now(cx, 1).is_none() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
