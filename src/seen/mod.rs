//! What is seen from outside, in one vocabulary for all adapters: events of `tracing`, and numbers for `metrics`.
//!
//! With the feature `tracing`, what happens to a connection is an event of the target `sockless`: `open` and `closed` (with its
//! code and cause), `refused` (with its reason) at DEBUG, mistakes of the application at INFO, and at TRACE each frame with its
//! opcode, FIN and length. Adapters have them within a span for each connection of a server: `connection`, with `id`, `peer` and,
//! once it has asked, `path`. Of what a peer sends nothing is in any of them but that path, without its query; no header,
//! cookie, payload or reason.
//!
//! With the feature `metrics`, the same is counted for whatever recorder is installed, by the names in [`names`]. Install it
//! before the first connection; what is counted before is lost.
//!
//! An adapter of your own tells of its connections by [`Life`], [`Span`], [`Since`] and [`refused`]; frames are told by the core.
//! Without the features all of it is nothing.

mod life;
mod meters;
pub mod names;
mod since;
mod span;

use crate::wire::error::ProtocolError;
use crate::wire::frame::OpCode;

pub use life::{Ended, Life};
pub use since::Since;
pub use span::{Entered, Span};

/// Whether anything is seen.
pub(crate) const IS_SEEN: bool = cfg!(any(feature = "tracing", feature = "metrics"));

/// Which way a frame went.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Received,
    Sent,
}

/// A frame came, or was made to go out; of its payload nothing is told but the length.
#[inline(always)]
pub(crate) fn frame(way: Way, fin: bool, opcode: OpCode, len: u64) {
    #[cfg(feature = "tracing")]
    if tracing::enabled!(target: "sockless", tracing::Level::TRACE) {
        trace_frame(way, fin, opcode, len);
    }
    #[cfg(feature = "metrics")]
    meters::frame(way, opcode, len);
    _ = (way, fin, opcode, len);
}

#[cfg(feature = "tracing")]
#[cold]
#[inline(never)]
fn trace_frame(way: Way, fin: bool, opcode: OpCode, len: u64) {
    match way {
        Way::Received => tracing::trace!(target: "sockless", ?opcode, fin, len, "frame received"),
        Way::Sent => tracing::trace!(target: "sockless", ?opcode, fin, len, "frame sent"),
    }
}

/// Why a server did not open a connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Refused<'a> {
    /// It has as many connections as it may.
    Full,
    /// Too many come from that address.
    Address,
    /// The application does not want it, by its address.
    Unwanted,
    /// The system has no more descriptors.
    Descriptors,
    /// Its handshake was let go, for others waited.
    Slow,
    /// The application has answered with this status, of 400 or more.
    Status(u16),
    /// Its request was not a good one, or did not come in time.
    Handshake(&'a ProtocolError),
    /// The transport failed, or TLS.
    Transport,
}

impl Refused<'_> {
    /// A word for it: the label of [`names::REFUSED`], and the field of the event.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::Unwanted => "unwanted",
            Self::Descriptors => "descriptors",
            Self::Slow => "slow",
            Self::Status(_) => "status",
            Self::Handshake(_) => "handshake",
            Self::Transport => "transport",
        }
    }
}

/// A server has not opened a connection. An answer below 400, which is plain HTTP, is none.
#[inline]
pub fn refused(why: Refused<'_>) {
    #[cfg(feature = "tracing")]
    match why {
        Refused::Status(..400) => {}
        Refused::Status(status) => tracing::debug!(target: "sockless", reason = why.reason(), status, "refused"),
        Refused::Handshake(error) => tracing::debug!(target: "sockless", reason = why.reason(), %error, "refused"),
        _ => tracing::debug!(target: "sockless", reason = why.reason(), "refused"),
    }
    #[cfg(feature = "metrics")]
    if !matches!(why, Refused::Status(..400)) {
        meters::refused(why.reason());
    }
    _ = why;
}

/// A listener has failed, for want of descriptors perhaps, and is tried again.
#[inline]
pub fn not_accepted(error: &dyn core::fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "sockless", %error, "not accepted");
    _ = error;
}

/// Messages were not taken for a peer that is too slow, or closing.
#[inline]
pub fn dropped(messages: u64) {
    #[cfg(feature = "metrics")]
    if messages > 0 {
        meters::dropped(messages);
    }
    _ = messages;
}

/// The application's handler has failed; a panic has no error to show.
#[inline]
pub fn handler_failed(error: Option<&dyn core::fmt::Display>) {
    #[cfg(feature = "tracing")]
    match error {
        Some(error) => tracing::info!(target: "sockless", %error, "handler failed"),
        None => tracing::info!(target: "sockless", "handler panicked"),
    }
    #[cfg(feature = "metrics")]
    meters::handler_failed();
    _ = error;
}
