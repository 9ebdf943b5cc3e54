#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod accept;
mod byte_stream;
mod client;
mod closer;
#[cfg(unix)]
mod descriptors;
mod dial;
mod drive;
mod lent;
mod mode;
#[cfg(feature = "native-tls")]
mod native_stream;
mod net_stream;
mod parting;
mod reconnect;
mod replies;
#[cfg(feature = "tls")]
mod rustls_stream;
#[cfg(any(feature = "tls", feature = "native-tls"))]
mod secure_stream;
mod server;
mod split;
mod stream;
mod tls;
mod transport;
mod tunnel;
mod waits;
mod websocket;
mod writer;

pub use accept::{Incoming, accept, accept_with};
pub use byte_stream::ByteStream;
pub use client::{Client, connect};
pub use closer::Closer;
#[cfg(feature = "native-tls")]
pub use native_stream::NativeTlsStream;
pub use net_stream::NetStream;
pub use reconnect::{Change, Reconnecting, Stopped, Unsent};
pub use replies::Replies;
#[cfg(feature = "tls")]
pub use rustls_stream::TlsStream;
#[cfg(any(feature = "tls", feature = "native-tls"))]
pub use secure_stream::SecureStream;
pub use server::{Running, Server};
/// The crate of [`Socket`](socket2::Socket), which [`Client::socket`] prepares.
pub use socket2;
/// The core, whose settings and values are part of this crate's interface.
pub use sockless;
#[cfg(feature = "testing")]
pub use sockless::Tapes;
pub use sockless::client::{Proxies, Proxy};
pub use sockless::driver::{Backoff, ConnectError, Error, GivenBack, InUse, Keep, ProxyError, SocksError};
pub use sockless::{
    Accept, Answer, ClientRequest, Close, Code, Config, Event, Kind, Limits, Message, Piece, Prepared, ProtocolError,
    Reject, Request, Response, SendError, State,
};
/// The crate of the settings that [`Client::native_tls`] and [`Server::native_tls`] take.
#[cfg(feature = "native-tls")]
pub use sockless_tls::native_tls;
#[cfg(feature = "tls")]
pub use sockless_tls::{Identity, Roots, Tls, TlsError, rustls};
pub use split::{Receiver, Sender};
pub use stream::{NoTimeouts, Stream};
pub use websocket::WebSocket;
