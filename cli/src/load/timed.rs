//! A stream that knows when it was read: one look at the clock for all the answers that a read brings.

use sockless_tokio::NetStream;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// When a stream was read last, since the start.
#[derive(Clone, Default)]
pub(super) struct ReadAt(Arc<AtomicU64>);

impl ReadAt {
    #[inline]
    pub(super) fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

pub(super) struct Timed {
    stream: NetStream,
    start: Instant,
    read_at: ReadAt,
}

impl Timed {
    pub(super) fn new(stream: NetStream, start: Instant) -> (Self, ReadAt) {
        let read_at = ReadAt::default();
        let timed = Self { stream, start, read_at: read_at.clone() };
        timed.note();
        (timed, read_at)
    }

    fn note(&self) {
        self.read_at.0.store(self.start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }

    fn stream(&mut self) -> Pin<&mut NetStream> {
        Pin::new(&mut self.stream)
    }
}

impl AsyncRead for Timed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(self.stream().poll_read(cx, buffer));
        self.note();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
