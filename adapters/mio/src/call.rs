//! What an application is called for.

use crate::closed::Closed;
use crate::command::Cause;
use sockless::{Drain, Message, Piece, Request, Response};
use std::borrow::Cow;
use std::sync::Arc;

/// Any error of an application's.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// One call of a handler; `T` is a task of the application's.
pub(crate) enum Call<'a, T> {
    Request(Request<'a>),
    Response(Response<'a>),
    Open,
    Message(Message<'a>),
    Piece(Piece<'a>),
    Ping(Cow<'a, [u8]>),
    Pong(Cow<'a, [u8]>),
    Backpressure,
    Drain,
    Close(Closed),
    Shutdown(Arc<Drain>),
    Error(Error),
    Timer(u32),
    Task(T),
}

impl<T> Call<'_, T> {
    /// What that is sent for which the handler sends within this call.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Message(_) | Self::Piece(_) | Self::Ping(_) | Self::Pong(_) | Self::Open => Cause::Heard,
            _ => Cause::Own,
        }
    }

    /// Bytes that it brings from the peer.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Message(message) => message.as_bytes().len(),
            Self::Piece(piece) => piece.data.len(),
            Self::Ping(payload) | Self::Pong(payload) => payload.len(),
            Self::Request(request) => request.as_bytes().len(),
            Self::Response(response) => response.as_bytes().len() + response.body().len(),
            Self::Close(closed) => closed.reason.len(),
            _ => 0,
        }
    }

    pub(crate) fn into_owned(self) -> Call<'static, T> {
        match self {
            Self::Request(request) => Call::Request(request.into_owned()),
            Self::Response(response) => Call::Response(response.into_owned()),
            Self::Open => Call::Open,
            Self::Message(message) => Call::Message(message.into_owned()),
            Self::Piece(piece) => Call::Piece(piece.into_owned()),
            Self::Ping(payload) => Call::Ping(Cow::Owned(payload.into_owned())),
            Self::Pong(payload) => Call::Pong(Cow::Owned(payload.into_owned())),
            Self::Backpressure => Call::Backpressure,
            Self::Drain => Call::Drain,
            Self::Close(closed) => Call::Close(closed),
            Self::Shutdown(drain) => Call::Shutdown(drain),
            Self::Error(error) => Call::Error(error),
            Self::Timer(number) => Call::Timer(number),
            Self::Task(task) => Call::Task(task),
        }
    }
}
