#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod accept;
mod byte_stream;
mod client;
mod client_tls;
mod closer;
#[cfg(unix)]
mod descriptors;
mod dial;
mod drive;
mod lent;
mod mode;
mod net_stream;
mod parting;
mod reconnect;
mod replies;
mod server;
mod split;
mod stream;
#[cfg(feature = "tls")]
mod tls_stream;
mod transport;
mod tunnel;
mod waits;
mod websocket;
mod writer;

pub use accept::{Incoming, accept, accept_with};
pub use byte_stream::ByteStream;
pub use client::{Client, connect};
pub use closer::Closer;
pub use net_stream::NetStream;
pub use reconnect::{Change, Reconnecting, Stopped, Unsent};
pub use replies::Replies;
pub use server::{Running, Server};
/// The crate of [`Socket`](socket2::Socket), which [`Client::socket`] prepares.
pub use socket2;
/// The core, whose settings and values are part of this crate's interface.
pub use sockless;
pub use sockless::client::{Proxies, Proxy};
pub use sockless::driver::{Backoff, ConnectError, Error, GivenBack, InUse, Keep, ProxyError, SocksError};
pub use sockless::{
    Accept, Answer, ClientRequest, Close, Code, Config, Event, Kind, Limits, Message, Piece, Prepared, ProtocolError,
    Reject, Request, Response, SendError, State,
};
#[cfg(feature = "tls")]
pub use sockless_tls::{Identity, Roots, Tls, TlsError, rustls};
pub use split::{Receiver, Sender};
pub use stream::{NoTimeouts, Stream};
#[cfg(feature = "tls")]
pub use tls_stream::TlsStream;
pub use websocket::WebSocket;
