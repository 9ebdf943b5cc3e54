//! The read buffer: one for each thread, so that a connection that waits holds none.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes read at once: a socket's usual receive buffer gives no more, and a message of 16 KiB comes whole.
const SIZE: usize = 64 << 10;

thread_local! {
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// The thread's buffer; given back when dropped.
struct Lent(Option<Box<[u8]>>);

impl Lent {
    fn take() -> Self {
        // A stream that is itself made of WebSockets takes another while this one is out.
        let buffer = BUFFER.try_with(Cell::take).ok().flatten();
        Self(Some(buffer.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice())))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = self.0.take();
        _ = BUFFER.try_with(|slot| slot.set(buffer));
    }
}

/// Reads once, and gives what came, nothing at the end of the stream, to `take`.
pub(crate) fn poll_read<R, T>(
    cx: &mut Context<'_>,
    io: &mut R,
    take: impl FnOnce(&mut [u8]) -> T,
) -> Poll<io::Result<T>>
where
    R: AsyncRead + Unpin,
{
    let mut lent = Lent::take();
    let mut read = ReadBuf::new(lent.0.as_deref_mut().unwrap_or_default());
    ready!(Pin::new(io).poll_read(cx, &mut read))?;
    Poll::Ready(Ok(take(read.filled_mut())))
}
