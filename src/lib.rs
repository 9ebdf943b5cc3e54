#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod assemble;
pub mod close;
mod config;
mod connection;
mod decode;
#[cfg(feature = "deflate")]
mod deflate;
pub mod driver;
mod error;
mod event;
pub mod frame;
pub mod handshake;
#[cfg(doc)]
#[doc = include_str!("../docs/limits.md")]
pub mod limits {}
pub mod mask;
mod outbox;
mod prepared;
mod receiver;
mod sender;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod through;
mod timer;
pub mod utf8;
mod writer;
mod xor;

/// The crate of [`Buf`](bytes::Buf) and [`Bytes`](bytes::Bytes), which are part of this one's interface.
pub use bytes;
pub use close::{Close, Code};
pub use config::{Config, Keepalive, Limits, Negotiated, Origins, Outbound, SharedConfig};
pub use connection::Connection;
pub use decode::Role;
#[cfg(feature = "deflate")]
pub use deflate::{Compress, Compressed, Deflate, DeflateParams, Pool};
pub use driver::Driver;
pub use error::{HandshakeError, ProtocolError, RelayError, SendError};
pub use event::{Event, Fact, Kind, Message, Piece};
pub use handshake::{Accept, ClientRequest, Request, Response};
pub use mask::Seed;
pub use outbox::Outgoing;
pub use prepared::Prepared;
pub use receiver::{Receiver, Traffic};
pub use sender::{Counters, Sender};
pub use state::{State, Transport, Wants};
pub use through::Through;
pub use writer::Writer;
