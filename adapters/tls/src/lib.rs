#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod error;
#[cfg(feature = "rustls")]
mod identity;
#[cfg(feature = "native-tls")]
mod native;
#[cfg(feature = "rustls")]
mod parts;
mod session;
#[cfg(feature = "rustls")]
mod settings;

pub use error::TlsError;
#[cfg(feature = "rustls")]
pub use identity::Identity;
#[cfg(feature = "native-tls")]
pub use native::{NativeSession, usual_native};
#[cfg(feature = "native-tls")]
pub use native_tls;
#[cfg(feature = "rustls")]
pub use rustls;
pub use session::Session;
#[cfg(feature = "rustls")]
pub use settings::{Roots, Tls};
