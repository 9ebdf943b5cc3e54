//! A handler and its connection, whose end it tells to the peer.

use crate::alarm::Closer;
use crate::failure::Failure;
use crate::websocket::{Left, WebSocket};
use sealed::Sealed;
use sockless::Code;
use sockless::driver::Error;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// What a handler has failed by.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What a handler does.
pub(crate) type Handler = Pin<Box<dyn Future<Output = Result<(), Failed>> + Send>>;

/// One that is called when it is first polled, as it may panic.
pub(crate) fn handler<F>(call: impl FnOnce() -> F + Send + 'static) -> Handler
where
    F: Future + Send + 'static,
    F::Output: Outcome,
{
    // In boxes, for a place would be kept for what it is called with, and another for it.
    let mut call: Option<Box<dyn FnOnce() -> F + Send>> = Some(Box::new(call));
    let mut called = None;
    Box::pin(poll_fn(move |cx| {
        if let Some(call) = call.take() {
            called = Some(Box::pin(call()));
        }
        match &mut called {
            Some(called) => called.as_mut().poll(cx).map(Sealed::into_result),
            // It has panicked before there was anything to poll.
            None => Poll::Pending,
        }
    }))
}

/// How a handler may end: by nothing or `Ok`, which closes with 1000, or by an error, which closes with 1011.
pub trait Outcome: Sealed {}

impl Outcome for () {}
impl<E: Into<Failed>> Outcome for Result<(), E> {}

mod sealed {
    use super::Failed;

    pub trait Sealed {
        fn into_result(self) -> Result<(), Failed>;
    }

    impl Sealed for () {
        fn into_result(self) -> Result<(), Failed> {
            Ok(())
        }
    }

    impl<E: Into<Failed>> Sealed for Result<(), E> {
        fn into_result(self) -> Result<(), Failed> {
            self.map_err(Into::into)
        }
    }
}

/// A handler at work.
pub(crate) struct Handling<S> {
    work: Handler,
    /// Where the connection comes when the handler has dropped it.
    left: Left<S>,
    closer: Closer,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Handling<S> {
    pub(crate) fn new(mut socket: WebSocket<S>, work: impl FnOnce(WebSocket<S>) -> Handler) -> Self {
        let (left, closer) = (socket.set_home(), socket.closer());
        Self { work: work(socket), left, closer }
    }

    /// Has the handler do its work, and tells the peer of the end: 1000, or 1011 if it has failed; `note` is told of that before,
    /// and is kept until the end.
    pub(crate) fn run(self, note: impl Fn(Failure)) -> impl Future<Output = ()> {
        // Parted here, for a future has room for what it is called with besides what it makes of that.
        let Self { mut work, left, closer } = self;
        async move {
            let code = judged(poll_fn(|cx| poll_caught(work.as_mut(), cx)).await, &note);
            Box::pin(left.close(&closer, code)).await;
            drop(note);
        }
    }
}

/// The code for the end of a handler, of whose failure `note` is told; `None` is of one that has panicked.
fn judged(ended: Option<Result<(), Failed>>, note: impl Fn(Failure)) -> Code {
    match ended {
        Some(Ok(())) => return Code::NORMAL,
        Some(Err(error)) if Error::only_closing(&*error) => return Code::NORMAL,
        Some(Err(error)) => note(Failure::Handler(error)),
        None => note(Failure::Panic),
    }
    Code::INTERNAL_ERROR
}

/// What `work` gives, or `None` if it panics.
pub(crate) fn caught<T>(mut work: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> impl Future<Output = Option<T>> {
    poll_fn(move |cx| poll_caught(work.as_mut(), cx))
}

fn poll_caught<T>(work: Pin<&mut (impl Future<Output = T> + ?Sized)>, cx: &mut Context<'_>) -> Poll<Option<T>> {
    match catch_unwind(AssertUnwindSafe(|| work.poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    }
}
