//! Who a client truly is, where proxies are in front: what they say of it, which of them to believe, and limits by address.

mod admission;
mod clients;
mod forwarded;
mod proxied;
mod trusted;

pub use admission::{Admission, network};
pub use clients::{Clients, Entry};
pub use forwarded::Client;
pub use proxied::{Proxied, ProxyHeader, ProxyHeaderError};
pub use trusted::{Trusted, TrustedError};
