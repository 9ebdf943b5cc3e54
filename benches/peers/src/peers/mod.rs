//! The contestants.

mod fastwebsockets;
mod limit;
mod nexus;
mod sans_io;
mod sockless;
mod sockudo;
mod soketto;
mod tokio_websockets;
mod tungstenite;
mod web_socket;
mod yawc;

pub(crate) use self::fastwebsockets::FastWebSockets;
pub(crate) use self::limit::{Limit, Output};
pub(crate) use self::nexus::Nexus;
pub(crate) use self::sans_io::SansIo;
pub(crate) use self::sockless::{Shared, Sockless};
pub(crate) use self::sockudo::Sockudo;
pub(crate) use self::soketto::Soketto;
pub(crate) use self::tokio_websockets::TokioWebSockets;
pub(crate) use self::tungstenite::Tungstenite;
pub(crate) use self::web_socket::WebSocketCrate;
pub(crate) use self::yawc::{Yawc, options as yawc_options};
