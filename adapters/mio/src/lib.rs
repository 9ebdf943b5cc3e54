#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod builder;
mod call;
mod client;
mod closed;
mod command;
mod conn;
mod dial;
mod handle;
mod handler;
mod inbox;
mod listener;
mod listeners;
mod mailbox;
#[cfg(feature = "nats")]
mod nats;
mod outgoing;
mod outlet;
mod pool;
mod report;
mod routed;
mod routes;
mod scratch;
mod server;
mod session;
mod settings;
mod stats;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod topics;
mod transport;
mod wheel;
mod worker;

#[cfg(feature = "nats")]
pub use async_nats;
pub use builder::Builder;
pub use call::Error;
pub use client::{Client, ClientBuilder, ClientError};
pub use closed::{CloseError, Closed};
pub use command::{Id, Sent};
pub use conn::{Conn, Writer};
pub use handle::Handle;
pub use handler::{Handler, Panicked};
pub use listener::Address;
pub use listeners::{Accepted, Listener, Listeners};
#[cfg(feature = "nats")]
pub use nats::{Bounds, NatsError};
pub use report::Report;
pub use routes::{Route, Routes};
pub use scratch::Scratch;
pub use server::{Running, Server};
pub use sockless;
pub use sockless::Subjects;
#[cfg(feature = "testing")]
pub use sockless::Tapes;
pub use sockless::addresses::{Trusted, TrustedError};
pub use sockless::handshake::RouteError;
pub use sockless::{
    Accept, Answer, ClientRequest, Close, Code, Config, Drain, Kind, Limits, Message, Piece, Prepared, ProtocolError,
    Reject, Request, Response, SendError, State,
};
/// The crate of the settings that [`Builder::native_tls`] takes.
#[cfg(feature = "native-tls")]
pub use sockless_tls::native_tls;
#[cfg(feature = "tls")]
pub use sockless_tls::{Identity, Roots, Tls, TlsError, rustls};
pub use stats::Stats;
pub use topics::FilterError;
pub use transport::TlsInfo;
