//! Who a server's clients are, from the first byte on, and how many of one address there may be.

use super::{Admission, Client, Proxied, Trusted};
use crate::wire::error::HandshakeError;
use core::net::SocketAddr;
use core::time::Duration;

/// The rules of a server for who its clients are: shared by all of its threads.
///
/// A peer that is trusted is a proxy, and not counted; who comes by it is, as soon as that is known.
#[derive(Debug)]
pub struct Clients {
    trusted: Trusted,
    proxy_protocol: bool,
    admission: Admission,
}

/// What becomes of somebody who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It is counted, until it [leaves](Clients::leave).
    Counted,
    /// It is a proxy: who comes by it is to be counted.
    Proxy,
    /// There are too many of its address.
    Refused,
}

impl Clients {
    /// `trusted` are proxies, of which each connection begins with a header of the PROXY protocol if that is what they speak.
    pub fn new(trusted: Trusted, proxy_protocol: bool, admission: Admission) -> Self {
        Self { trusted, proxy_protocol, admission }
    }

    /// Whether a connection of this peer's begins with a header of the PROXY protocol. That of a stranger never does: what looks
    /// like one is a bad request.
    pub fn expects_header(&self, peer: Option<SocketAddr>) -> bool {
        self.proxy_protocol && self.trusted.contains(peer)
    }

    /// Somebody comes at the time `now`, or becomes known.
    pub fn enter(&self, address: Option<SocketAddr>, now: Duration) -> Entry {
        match self.trusted.contains(address) {
            true => Entry::Proxy,
            false if self.admission.enter(address, now) => Entry::Counted,
            false => Entry::Refused,
        }
    }

    /// Somebody who was [counted](Entry::Counted) has gone.
    pub fn leave(&self, address: Option<SocketAddr>) {
        self.admission.leave(address);
    }

    /// Who has sent a request with these fields over a connection of this peer's, of which a header of the PROXY protocol said
    /// `proxied`.
    ///
    /// # Errors
    /// As [`Trusted::client`].
    pub fn identify<'h>(
        &self,
        fields: impl Iterator<Item = (&'h str, &'h [u8])>,
        peer: Option<SocketAddr>,
        proxied: Proxied,
    ) -> Result<Client, HandshakeError> {
        let mut client = self.trusted.client(fields, proxied.source.or(peer))?;
        client.secure = client.secure.or(proxied.secure);
        Ok(client)
    }
}
