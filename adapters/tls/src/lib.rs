#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod identity;
mod parts;
mod settings;

pub use error::TlsError;
pub use identity::Identity;
pub use rustls;
pub use settings::{Roots, Tls};
