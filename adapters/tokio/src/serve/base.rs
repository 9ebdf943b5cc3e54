//! The settings of a server that do not depend on types of its user's.

use crate::failure::OnError;
use crate::open::Open;
use crate::route::Service;
use crate::tls::ServerTls;
use sockless::addresses::Trusted;
use sockless::handshake::Routes;
use sockless::{Drain, SharedConfig};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::Semaphore;

pub(super) struct Base {
    pub(super) config: SharedConfig,
    pub(super) routes: Routes<Service>,
    pub(super) nodelay: bool,
    pub(super) tls: Option<ServerTls>,
    pub(super) open: Open,
    pub(super) most: usize,
    pub(super) most_handshakes: usize,
    pub(super) admit: Option<Box<Admit>>,
    pub(super) trusted: Trusted,
    pub(super) proxy_protocol: bool,
    pub(super) per_address: Option<u32>,
    pub(super) rate: Option<(u32, Duration)>,
    pub(super) on_error: Option<Box<OnError>>,
    pub(super) drain: Drain,
}

pub(super) type Admit = dyn FnMut(SocketAddr) -> bool + Send;

impl Base {
    pub(super) fn new(most_handshakes: usize) -> Self {
        Self {
            config: SharedConfig::default(),
            routes: Routes::default(),
            nodelay: true,
            tls: None,
            open: Open::new(),
            most: Semaphore::MAX_PERMITS,
            most_handshakes,
            admit: None,
            trusted: Trusted::default(),
            proxy_protocol: false,
            per_address: None,
            rate: None,
            on_error: None,
            drain: Drain::DEFAULT,
        }
    }
}
