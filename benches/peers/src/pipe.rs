//! The transport in memory: an endless stream to read, and a sink that takes all at once.

use crate::wide;
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::hint::black_box;
use std::io::{self, IoSlice, Read, Write};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::io::ReadBuf;

/// What a loop reads at once.
pub(crate) const READ: usize = 64 << 10;

/// What was written to a pipe that keeps it.
pub(crate) type Kept = Arc<Mutex<Vec<u8>>>;

/// Reads begin again where the stream ends; what is written is dropped, or kept for a check.
pub(crate) struct Pipe {
    bytes: Bytes,
    at: usize,
    /// Where reading begins again: behind what comes once.
    again: usize,
    /// The most that one read gives.
    read: usize,
    kept: Option<Kept>,
}

impl Pipe {
    /// What is read is `lead` once, and then `stream` over and over, `read` bytes at a time.
    pub(crate) fn new(lead: &[u8], stream: &[u8], read: usize) -> Self {
        Self { bytes: [lead, stream].concat().into(), at: 0, again: lead.len(), read, kept: None }
    }

    pub(crate) fn keeping(self, kept: &Kept) -> Self {
        Self { kept: Some(kept.clone()), ..self }
    }

    /// The copy that stands in for a socket's, the same for everybody: the C library's depends on where its buffers
    /// happen to lie, up to fourfold.
    ///
    /// # Safety
    /// `to` is valid for `room` bytes.
    #[inline]
    unsafe fn read_to(&mut self, to: *mut u8, room: usize) -> usize {
        if self.at == self.bytes.len() {
            self.at = self.again;
        }
        let len = room.min(self.read).min(self.bytes.len() - self.at);
        let from = &self.bytes[self.at..self.at + len];
        // SAFETY: it has room for `len` bytes.
        unsafe { wide::xor(from.as_ptr(), to, len, 0) };
        self.at += len;
        len
    }

    /// Reads into `buffer`.
    #[inline]
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> usize {
        // SAFETY: it is a slice.
        unsafe { self.read_to(buffer.as_mut_ptr(), buffer.len()) }
    }

    /// Reads at most `most` bytes to the end of `buffer`.
    #[inline]
    pub(crate) fn append(&mut self, buffer: &mut BytesMut, most: usize) {
        buffer.reserve(most);
        let room = buffer.spare_capacity_mut();
        // SAFETY: that room is reserved, and filled up to the new length.
        unsafe {
            let len = self.read_to(room.as_mut_ptr().cast(), most);
            buffer.set_len(buffer.len() + len);
        }
    }

    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> usize {
        match &self.kept {
            None => {
                black_box(bytes);
            }
            Some(kept) => kept.lock().unwrap().extend_from_slice(bytes),
        }
        bytes.len()
    }

    #[inline]
    pub(crate) fn put_vectored(&mut self, slices: &[IoSlice<'_>]) -> usize {
        match &self.kept {
            None => {
                black_box(slices);
                slices.iter().map(|slice| slice.len()).sum()
            }
            Some(_) => slices.iter().map(|slice| self.put(slice)).sum(),
        }
    }
}

impl Read for Pipe {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.fill(buffer))
    }
}

impl Write for Pipe {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.put(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tokio::io::AsyncRead for Pipe {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // SAFETY: what is filled is initialised.
        unsafe {
            let room = buffer.unfilled_mut();
            let len = self.read_to(room.as_mut_ptr().cast(), room.len());
            buffer.assume_init(len);
            buffer.advance(len);
        }
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Pipe {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.put(bytes)))
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.put_vectored(slices)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl futures_util::AsyncRead for Pipe {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.fill(buffer)))
    }
}

impl futures_util::AsyncWrite for Pipe {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.put(bytes)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a future without a runtime: over a pipe, nothing ever waits.
#[inline]
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a pipe never waits"),
    }
}
