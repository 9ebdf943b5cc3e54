//! The task of a connection: what opens it, and then what is left to do.

use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A task lives as long as its connection, and has room for all that it ever is: so what opens a connection, which takes
    /// much and is soon over, lies elsewhere.
    #[project = Staged]
    pub(super) enum Stage<O, R> {
        Opening { opening: Pin<Box<O>> },
        Open { #[pin] rest: R },
    }
}

impl<O: Future<Output = Option<R>>, R: Future<Output = ()>> Future for Stage<O, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.as_mut().project() {
                Staged::Opening { opening } => match ready!(opening.as_mut().poll(cx)) {
                    Some(rest) => self.set(Self::Open { rest }),
                    None => return Poll::Ready(()),
                },
                Staged::Open { rest } => return rest.poll(cx),
            }
        }
    }
}
