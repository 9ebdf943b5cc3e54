//! Listening at all addresses of a name.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use tokio::net::{TcpListener, lookup_host};

/// How often a port is asked for that is free at all addresses of a name.
const FREE_PORTS: usize = 16;

/// Listens at all addresses of a name that are this machine's, such as both of `localhost:9001`, for
/// [`Server::serve`](crate::Server::serve). Of port 0, all have the one that is found free.
///
/// # Errors
/// A name that is not found, or of which no address can be used; an address that is in use, or may not be used.
///
/// # Cancel safety
/// Dropped, the future listens nowhere.
pub async fn listen(address: &str) -> io::Result<Vec<TcpListener>> {
    listen_at(&lookup_host(address).await?.collect::<Vec<_>>()).await
}

async fn listen_at(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    // The system gives the first a port that is free, which may be another's at the next address.
    let mut tries = if addresses.iter().all(|address| address.port() == 0) { FREE_PORTS } else { 1 };
    loop {
        tries -= 1;
        match bind(addresses).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tries > 0 => {}
            bound => return bound,
        }
    }
}

async fn bind(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut left_out = io::Error::new(ErrorKind::NotFound, "name without an address");
    for (index, address) in addresses.iter().enumerate() {
        if addresses[..index].contains(address) {
            continue;
        }
        let port = listeners.first().map(TcpListener::local_addr).transpose()?.map_or(address.port(), |it| it.port());
        match TcpListener::bind(SocketAddr::new(address.ip(), port)).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
                return Err(error);
            }
            // A name stands for both families, of which there may be one.
            Err(error) => left_out = error,
        }
    }
    if listeners.is_empty() { Err(left_out) } else { Ok(listeners) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_of_a_name_have_one_port() {
        // The first twice, and one that is kept for examples (RFC 5737), which is nobody's.
        let name = ["127.0.0.1:0", "127.0.0.1:0", "192.0.2.1:0", "127.0.0.2:0"].map(|it| it.parse().unwrap());
        let bound = listen_at(&name).await.unwrap();
        let addresses: Vec<_> = bound.iter().map(|listener| listener.local_addr().unwrap()).collect();
        assert_eq!(addresses, [name[0], name[3]].map(|address| SocketAddr::new(address.ip(), addresses[0].port())));
        let kind = async |addresses: &[SocketAddr]| listen_at(addresses).await.unwrap_err().kind();
        assert_eq!(kind(&name[2..3]).await, ErrorKind::AddrNotAvailable);
        assert_eq!(kind(&[]).await, ErrorKind::NotFound);
        assert_eq!(
            kind(&["127.0.0.3".parse().unwrap(), addresses[1].ip()].map(|ip| SocketAddr::new(ip, addresses[1].port())))
                .await,
            ErrorKind::AddrInUse
        );
    }
}
