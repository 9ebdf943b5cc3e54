#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod clock;
mod opening;
mod waiting;
mod websocket;

pub use opening::{Settings, accept, connect_over};
/// The core, whose settings and values are part of this crate's interface.
pub use sockless;
#[cfg(feature = "testing")]
pub use sockless::Tapes;
pub use sockless::driver::{ConnectError, Error, GivenBack, InUse};
pub use sockless::{Accept, ClientRequest, Close, Code, Config, Event, Message, Reject, Request, Response, State};
pub use websocket::WebSocket;
