#![doc = include_str!("../docs/terminal/terminal.uri")]
// The README with its picture, above. Its programs are tests of a package that has the adapters.
#![cfg_attr(not(doctest), doc = include_str!("../README.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "addresses")]
pub mod addresses;
mod arc;
mod changes;
#[cfg(feature = "client")]
pub mod client;
mod config;
mod connection;
mod counters;
#[cfg(feature = "deflate")]
mod deflate;
mod drain;
pub mod driver;
mod event;
pub mod extensions;
#[cfg(all(doc, not(doctest)))]
pub mod guide;
pub mod handshake;
#[cfg(doc)]
#[doc = include_str!("../docs/limits.md")]
pub mod limits {}
mod message;
mod noted;
mod rates;
mod receive;
pub mod seen;
mod send;
mod state;
mod subjects;
#[cfg(feature = "testing")]
pub mod testing;
mod timer;
mod wire;

/// The crate of [`Buf`](bytes::Buf) and [`Bytes`](bytes::Bytes), which are part of this one's interface.
pub use bytes;
pub use changes::{Change, Changes};
#[cfg(all(feature = "std", feature = "testing"))]
pub use config::Tapes;
pub use config::{Config, Keepalive, Limits, Negotiated, Origins, Outbound, SharedConfig};
pub use connection::Connection;
pub use counters::{Counters, Traffic};
#[cfg(feature = "deflate")]
pub use deflate::{Compress, Compressed, Deflate, DeflateParams, Pool};
pub use drain::Drain;
pub use driver::Driver;
pub use event::{Event, Fact};
pub use handshake::{Accept, Answer, ClientRequest, Reject, Request, Response};
pub use message::{Kind, Message, Piece, Role};
pub use rates::{Bucket, Excess, Rate, Rates};
pub use receive::receiver::Receiver;
pub use send::outgoing::Outgoing;
pub use send::prepared::Prepared;
pub use send::sender::Sender;
pub use send::through::Through;
pub use send::writer::Writer;
pub use state::{State, Transport, Wants};
pub use subjects::Subjects;
pub use wire::close::{Close, Code};
pub use wire::error::{DeflateParameter, HandshakeError, ProtocolError, RelayError, SendError, UrlError};
pub use wire::mask::Seed;
pub use wire::{close, frame, mask, utf8};
