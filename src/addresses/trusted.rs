//! The peers whose word is taken for who their clients are.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use ipnet::IpNet;
use thiserror::Error;

/// The proxies in front of a server, whose word on their clients' addresses is taken. By default there are none: everybody can
/// write such a header.
///
/// List only proxies that set it themselves. A header of a peer that is not in the list is ignored.
///
/// ```
/// use sockless::addresses::Trusted;
///
/// let trusted = Trusted::new(["10.0.0.0/8", "::1", "unix:"])?;
/// assert!(trusted.contains(Some("10.1.2.3:4000".parse()?)));
/// assert!(!trusted.contains(Some("192.0.2.1:4000".parse()?)));
/// assert!(trusted.contains(None)); // over a Unix socket
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    networks: Vec<IpNet>,
    unix: bool,
}

/// What is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is neither an address nor a network such as 10.0.0.0/8")]
pub struct TrustedError {
    /// What was given.
    pub text: String,
}

impl Trusted {
    /// These addresses and networks (`10.0.0.0/8`, `fd00::/8`, `127.0.0.1`), and `unix:` for whoever comes over a Unix socket.
    ///
    /// # Errors
    /// [`TrustedError`] for anything else.
    pub fn new<T: AsRef<str>>(peers: impl IntoIterator<Item = T>) -> Result<Self, TrustedError> {
        let mut trusted = Self::default();
        for peer in peers {
            let text = peer.as_ref();
            let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            match network {
                Ok(network) => trusted.networks.push(network),
                Err(_) if text == "unix:" => trusted.unix = true,
                Err(_) => return Err(TrustedError { text: text.to_string() }),
            }
        }
        Ok(trusted)
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether this peer is trusted; `None` stands for one that comes over a Unix socket.
    pub fn contains(&self, peer: Option<SocketAddr>) -> bool {
        peer.map_or(self.unix, |peer| self.has(peer.ip()))
    }

    pub(super) fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}
