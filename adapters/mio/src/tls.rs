//! TLS between a socket and a session, or that there is none.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod present;

#[cfg(not(feature = "tls"))]
pub(crate) use absent::{ClientTls, Layer, ServerTls, Session};
#[cfg(feature = "tls")]
pub(crate) use present::{ClientTls, Layer, ServerTls, Session};
