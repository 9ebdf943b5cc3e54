//! What a server is made with.

use crate::listeners::Listeners;
use crate::tls::{ClientTls, ServerTls};
use sockless::addresses::Trusted;
use sockless::{Config, SharedConfig};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[derive(Clone)]
pub(crate) struct Settings {
    /// Where to listen, and whether with TLS.
    pub(crate) listen: Vec<(String, bool)>,
    /// What listens already, and whether with TLS.
    pub(crate) adopted: Vec<(Arc<Listeners>, bool)>,
    pub(crate) workers: usize,
    pub(crate) config: SharedConfig,
    pub(crate) max_connections: usize,
    pub(crate) max_handshakes: usize,
    pub(crate) per_address: Option<u32>,
    pub(crate) rate: Option<(u32, Duration)>,
    pub(crate) trusted: Trusted,
    pub(crate) proxy_protocol: bool,
    pub(crate) backlog: i32,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) client_tls: Option<ClientTls>,
    pub(crate) pool: Option<(usize, usize)>,
    pub(crate) nodelay: bool,
    pub(crate) read_buffer: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            adopted: Vec::new(),
            workers: thread::available_parallelism().map_or(1, usize::from),
            config: Config::default().into(),
            max_connections: usize::MAX,
            max_handshakes: 1024,
            per_address: None,
            rate: None,
            trusted: Trusted::default(),
            proxy_protocol: false,
            backlog: 1024,
            tls: None,
            client_tls: None,
            pool: None,
            nodelay: true,
            read_buffer: (1 << 20) + (64 << 10),
        }
    }
}
