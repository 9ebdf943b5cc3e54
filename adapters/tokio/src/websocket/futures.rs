//! A connection as the traits of `futures`, and the futures of its own.

use super::WebSocket;
use crate::message::Message;
use futures_core::Stream;
use futures_sink::Sink;
use sockless::Code;
use sockless::driver::Error;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        WebSocket::poll_recv(&mut self, cx).map(Result::transpose)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, M: Into<Message>> Sink<M> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_drained(cx, false)
    }

    fn start_send(mut self: Pin<&mut Self>, message: M) -> Result<(), Error> {
        let taken = self.side.writing.push(message.into());
        taken.map_err(|error| self.refusal(error))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_drained(cx, true)
    }

    /// Sends a close frame with 1000, and waits for the end. What comes before that is lost to nobody: whoever has the
    /// `Stream`, in another task or later, gets it, and then `None`. So that it does not depend on that, the wait is over too
    /// when the frame is written and more than [`Outbound::soft`](sockless::Outbound::soft) bytes are there to be received.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.side.writing.close(Code::NORMAL, "")?;
        self.poll_ended(cx)
    }
}

/// The wait for what was sent to be written; see the method that gave it.
#[must_use = "what was sent is written when this is awaited, or by a later call"]
#[derive(Debug)]
pub struct Flush<'a, S> {
    socket: &'a mut WebSocket<S>,
    taken: Result<(), Error>,
    all: bool,
}

impl<'a, S> Flush<'a, S> {
    pub(crate) fn new(socket: &'a mut WebSocket<S>, taken: Result<(), Error>, all: bool) -> Self {
        Self { socket, taken, all }
    }

    /// Why what was to be sent was not taken, if it was not; the future does not tell it then.
    pub(crate) fn refusal(&mut self) -> Option<Error> {
        mem::replace(&mut self.taken, Ok(())).err()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Flush<'_, S> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.taken.is_err() {
            return Poll::Ready(mem::replace(&mut self.taken, Ok(())));
        }
        let all = self.all;
        self.socket.poll_drained(cx, all)
    }
}

/// The wait for the end of the connection; see [`WebSocket::close`].
#[must_use = "the closing handshake goes on when this is awaited, or by a later call"]
#[derive(Debug)]
pub struct Closing<'a, S> {
    pub(super) socket: &'a mut WebSocket<S>,
    pub(super) started: Result<(), Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Closing<'_, S> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        mem::replace(&mut self.started, Ok(()))?;
        self.socket.poll_close(cx)
    }
}
