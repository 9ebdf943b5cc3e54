#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod alarm;
#[cfg(feature = "axum")]
mod axum;
mod byte_stream;
mod client;
mod dial;
mod drive;
mod failure;
#[cfg(feature = "codec")]
mod framed;
mod gather;
mod halves;
mod handling;
mod handshakes;
mod home;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "http2")]
mod http2_stream;
mod hub;
#[cfg(feature = "hyper")]
mod hyper;
mod kept;
mod listen;
mod listener;
mod message;
#[cfg(feature = "native-tls")]
mod native_stream;
#[cfg(feature = "nats")]
mod nats;
mod open;
mod opening;
mod proxy;
mod reading;
mod reconnect;
mod relay;
mod replies;
mod round_trip;
mod route;
mod serve;
mod server;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod trace;
#[cfg(feature = "hyper")]
mod upgrades;
mod websocket;
mod writer;
mod writing;

pub use alarm::Closer;
pub use byte_stream::ByteStream;
pub use bytestring::ByteString;
pub use client::{Client, connect};
pub use failure::Failure;
#[cfg(feature = "codec")]
pub use framed::Framed;
pub use halves::{Halves, Receiver, Sender, Sent};
pub use handling::Outcome;
#[cfg(feature = "http2")]
pub use http2_stream::Http2Stream;
pub use hub::{Bounds, Delivery, Hub, HubCounts, Member, Slow};
#[cfg(feature = "hyper")]
pub use hyper::{Refusal, Upgraded, Upgrading, WebSocketUpgrade};
pub use listen::listen;
pub use listener::{Listener, Listeners};
pub use message::{Event, Message, Piece};
#[cfg(feature = "native-tls")]
pub use native_stream::NativeTlsStream;
/// The crate of the settings that [`Client::native_tls`] and [`Server::native_tls`] take.
#[cfg(feature = "native-tls")]
pub use native_tls;
#[cfg(feature = "nats")]
pub use nats::NatsError;
pub use open::{Open, Peer, Report, Tracked};
pub use reconnect::{Change, Reconnecting, Stopped, Unsent};
pub use relay::relay;
pub use replies::Replies;
pub use route::Route;
pub use serve::Server;
pub use server::{Incoming, accept, accept_with};
/// The core, whose settings and values are part of this crate's interface.
pub use sockless;
#[cfg(feature = "testing")]
pub use sockless::Tapes;
pub use sockless::addresses::{Trusted, TrustedError};
pub use sockless::client::{Proxies, Proxy};
pub use sockless::driver::{Backoff, ConnectError, Error, GivenBack, InUse, Keep, ProxyError, SocksError};
pub use sockless::handshake::RouteError;
pub use sockless::{
    Accept, Answer, ClientRequest, Close, Code, Config, Drain, Kind, Limits, Prepared, ProtocolError, Reject, Request,
    Response, SendError, State,
};
#[cfg(feature = "tls")]
pub use sockless_tls::{Identity, Roots, Tls, TlsError, rustls};
pub use stream::{NetStream, OtherStream};
/// Tokio-util's, whose traits are those of [`Framed`]'s codecs.
#[cfg(feature = "codec")]
pub use tokio_util::codec;
#[cfg(feature = "hyper")]
pub use upgrades::{Upgrades, WithUpgrades};
pub use websocket::{Closing, Flush, WebSocket};
pub use writer::Writer;

/// The pages on moving here from other crates, whose examples are tested with these features.
#[cfg(all(doctest, feature = "axum"))]
mod moving {
    #[doc = include_str!("../../../docs/moving/axum.md")]
    struct Axum;

    #[doc = include_str!("../../../docs/moving/fastwebsockets.md")]
    struct Fastwebsockets;

    #[doc = include_str!("../../../docs/moving/tokio-tungstenite.md")]
    struct TokioTungstenite;
}
