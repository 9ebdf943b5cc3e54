//! TLS over a socket, by whichever library, or that there is none.

#[cfg(feature = "native-tls")]
mod native;
#[cfg(feature = "tls")]
mod rustls;

use crate::transport::TlsInfo;
use sockless::ClientRequest;
#[cfg(feature = "native-tls")]
use sockless_tls::native_tls;
use std::io::{self, ErrorKind, IoSlice, Read, Write};

/// The settings of servers.
#[derive(Clone)]
pub(crate) enum ServerTls {
    #[cfg(feature = "tls")]
    Rustls(std::sync::Arc<::rustls::ServerConfig>),
    #[cfg(feature = "native-tls")]
    Native(native_tls::TlsAcceptor),
}

/// The settings of clients.
#[derive(Clone)]
pub(crate) enum ClientTls {
    #[cfg(feature = "tls")]
    Rustls(std::sync::Arc<::rustls::ClientConfig>),
    #[cfg(feature = "native-tls")]
    Native(native_tls::TlsConnector),
}

/// A session over a socket.
#[allow(clippy::large_enum_variant)] // It lies in a box.
pub(crate) enum Layer {
    #[cfg(feature = "tls")]
    Rustls(rustls::Layer),
    #[cfg(feature = "native-tls")]
    Native(native::Layer),
}

impl ServerTls {
    /// A session with a client.
    pub(crate) fn session(&self) -> Option<Layer> {
        match *self {
            #[cfg(feature = "tls")]
            Self::Rustls(ref config) => rustls::Layer::server(config.clone()).map(Layer::Rustls),
            #[cfg(feature = "native-tls")]
            Self::Native(ref acceptor) => native::Layer::server(acceptor).map(Layer::Native),
        }
    }
}

impl ClientTls {
    /// What a client takes that is given none.
    pub(crate) fn usual() -> io::Result<Self> {
        #[cfg(feature = "tls")]
        if let Some(tls) = sockless_tls::Tls::usual() {
            return Ok(Self::Rustls(tls.into()));
        }
        #[cfg(feature = "native-tls")]
        if let Some(tls) = sockless_tls::usual_native() {
            return Ok(Self::Native(tls));
        }
        Err(io::Error::new(
            ErrorKind::Unsupported,
            "no feature of sockless-mio says whose TLS to use, and whom to trust",
        ))
    }

    /// A session with the server that a request is for.
    pub(crate) fn session(&self, request: &ClientRequest) -> io::Result<Layer> {
        _ = request;
        match *self {
            #[cfg(feature = "tls")]
            Self::Rustls(ref config) => rustls::Layer::client(config.clone(), request.server_name()).map(Layer::Rustls),
            #[cfg(feature = "native-tls")]
            Self::Native(ref connector) => native::Layer::client(connector, request.server_name()).map(Layer::Native),
        }
    }
}

/// Does the same to a session of either library.
macro_rules! either {
    ($layer:expr, $($name:ident)+ => $do:expr) => {
        match *$layer {
            #[cfg(feature = "tls")]
            Self::Rustls($($name)+) => $do,
            #[cfg(feature = "native-tls")]
            Self::Native($($name)+) => $do,
        }
    };
}

#[cfg_attr(not(any(feature = "tls", feature = "native-tls")), allow(unused_variables))]
impl Layer {
    /// Whether there may be more to read at once.
    pub(crate) fn has_more(&self) -> bool {
        either!(self, ref layer => layer.has_more())
    }

    pub(crate) fn describe(&self) -> TlsInfo {
        either!(self, ref layer => layer.describe())
    }

    /// Tells that this is the end on purpose (RFC 8446 §6.1).
    pub(crate) fn say_goodbye(&mut self, socket: &mut impl Write) {
        either!(self, ref mut layer => layer.say_goodbye(socket))
    }

    /// Reads as much as there is.
    pub(crate) fn read(&mut self, socket: &mut (impl Read + Write), into: &mut [u8]) -> io::Result<usize> {
        either!(self, ref mut layer => layer.read(socket, into))
    }

    pub(crate) fn write(&mut self, socket: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, ref mut layer => layer.write(socket, slices))
    }

    /// Writes what is sealed; whether all of it.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        either!(self, ref mut layer => layer.flush(socket))
    }
}
