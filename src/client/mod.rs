//! What clients with sockets share, without any: their settings, and how they get through proxies.
//!
//! A [`Proxy`] is asked for a connection by a [`Tunnel`], which is told bytes and says bytes; [`Proxies`] say which of them a
//! request takes, by the environment for one.

mod proxies;
mod proxy;
mod settings;
mod socks;
mod tunnel;

pub use proxies::Proxies;
pub use proxy::Proxy;
#[doc(hidden)] // For the adapters.
pub use settings::ClientSettings;
pub use tunnel::Tunnel;
