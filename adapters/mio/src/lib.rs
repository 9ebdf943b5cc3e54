#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod admission;
mod builder;
mod client;
mod command;
mod conn;
mod dial;
mod entry;
mod handle;
mod handler;
mod inbox;
mod listener;
mod mailbox;
mod outgoing;
mod pool;
mod report;
mod server;
mod settings;
mod stats;
mod stream;
pub mod tls;
mod topics;
mod wheel;
mod work;
mod worker;

pub use builder::Builder;
pub use client::{Client, ClientBuilder, ClientError};
pub use command::{Id, Sent};
pub use conn::{Conn, TlsInfo};
pub use handle::Handle;
pub use handler::{Answer, CloseError, Closed, Error, Handler};
pub use listener::Address;
pub use report::Report;
pub use rustls;
pub use server::{Running, Server};
pub use sockless;
pub use sockless::{ClientRequest, Code, Config, Kind, Message, Prepared, Request, Response, SendError, State};
pub use stats::Stats;
