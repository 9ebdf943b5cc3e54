//! Two connections joined, for a proxy.

use crate::drive::Drive;
use crate::message::Event;
use crate::reading::Mode;
use crate::websocket::WebSocket;
use sockless::driver::Error;
use sockless::{Code, SendError, State};
use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// Passes all that comes on either connection on to the other, until both have ended: messages neither joined nor
/// inflated nor checked, each read's part of a frame as a fragment of its own (RFC 6455 §5.4). Pings are answered here, and a
/// close is passed on with its code and reason. Gives how each ended.
///
/// Where `one` takes nothing, `other` is not read meanwhile, and the other way round.
///
/// Compression is negotiated on each connection by itself. Where messages may come compressed, the connection that they
/// go to must have agreed on a window as large, and on context takeover where the peer has it; else both are closed with
/// 1011 (internal error), and [`SendError::Extension`](sockless::SendError::Extension) is how the first ended.
///
/// # Cancel safety
/// Dropped, the future drops both connections with it.
pub async fn relay<A, B>(mut one: WebSocket<A>, mut other: WebSocket<B>) -> (Result<(), Error>, Result<(), Error>)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut first, mut second, mut failed) = (None, None, None);
    poll_fn(|cx| {
        let stage = |one: &WebSocket<A>, other: &WebSocket<B>| (one.stage(), other.stage());
        loop {
            let before = stage(&one, &other);
            let mut moved = false;
            if first.is_none()
                && let Poll::Ready(end) = poll_way(&mut one, &mut other, &mut failed, cx)
            {
                (first, moved) = (Some(end), true);
            }
            if second.is_none()
                && let Poll::Ready(end) = poll_way(&mut other, &mut one, &mut failed, cx)
            {
                (second, moved) = (Some(end), true);
            }
            // What the second way brought is for the first to be written, and what an end left to be said.
            one.write_on();
            other.write_on();
            if first.is_some() && second.is_some() {
                return Poll::Ready(());
            }
            // Either way may have more to say of what has changed since it was polled; nothing changes without end.
            if !moved && before == stage(&one, &other) {
                return Poll::Pending;
            }
        }
    })
    .await;
    (failed.map_or(first.unwrap_or(Ok(())), Err), second.unwrap_or(Ok(())))
}

/// Passes on what comes `from` one connection, until that has ended. What cannot be passed on has `failed`, and both are
/// closed.
fn poll_way<A, B>(
    from: &mut WebSocket<A>,
    to: &mut WebSocket<B>,
    failed: &mut Option<Error>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let full = to.writing().is_high() && to.poll_out(cx).is_pending();
        let open = to.state() == State::Open;
        match open && full {
            true => from.writing().driver.pause(),
            false => from.writing().driver.resume(),
        }
        let mode = match (open, full) {
            (true, true) => Mode::Nothing,
            (true, false) => Mode::Relay(to.writing().driver.connection()),
            // What still comes has nowhere to go.
            (false, _) => Mode::Piece,
        };
        let event = match std::task::ready!(from.poll_event(cx, mode)) {
            // It came before, while something waited to be written.
            Ok(Some(Event::Message(message))) if open => match to.writing().push(message) {
                Err(error @ Error::Send(_)) => Err(error),
                _ => continue,
            },
            event => event,
        };
        let ended = match event {
            Ok(Some(Event::Close(close))) => {
                _ = to.writing().close_amid(close.code, &close.reason);
                continue;
            }
            // Nothing that came is lost by the latter: it is passed on when there is room for it.
            Ok(Some(_)) | Err(Error::Send(SendError::Full)) => continue,
            Err(error @ Error::Send(_)) => {
                failed.get_or_insert(error);
                _ = from.writing().close_amid(Code::INTERNAL_ERROR, "");
                _ = to.writing().close_amid(Code::INTERNAL_ERROR, "");
                continue;
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        // Where no close frame was passed on.
        _ = to.writing().close_amid(Code::AWAY, "");
        return Poll::Ready(ended);
    }
}
