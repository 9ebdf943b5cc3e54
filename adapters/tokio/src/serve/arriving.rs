//! Who comes: behind which proxy, and how many of one address.

use crate::listener::Arrival;
use sockless::addresses::{Admission, Client, Clients, Entry, Proxied, ProxyHeader, ProxyHeaderError, Trusted};
use sockless::driver::Error;
use sockless::seen::{Refused, refused};
use sockless::{Reject, Request};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// The rules for who comes, and the clock that they go by.
pub(super) struct Arrivals {
    clients: Clients,
    started: Instant,
}

impl Arrivals {
    pub(super) fn new(
        trusted: Trusted,
        proxy_protocol: bool,
        per_address: Option<u32>,
        rate: Option<(u32, Duration)>,
    ) -> Arc<Self> {
        let clients = Clients::new(trusted, proxy_protocol, Admission::new(per_address, rate));
        Arc::new(Self { clients, started: Instant::now() })
    }

    /// Somebody comes; `None` for one of too many.
    pub(super) fn enter(self: &Arc<Self>, peer: Option<SocketAddr>) -> Option<Visit> {
        let mut stay = Stay { arrivals: self.clone(), counted: None };
        if stay.enter(peer).is_err() {
            refused(Refused::Address);
            return None;
        }
        Some(Visit { stay, peer, proxied: Proxied::default() })
    }
}

/// Somebody who has come, and is to say who it is.
pub(super) struct Visit {
    stay: Stay,
    /// Who has connected: the client, or a proxy.
    peer: Option<SocketAddr>,
    /// What that said first.
    proxied: Proxied,
}

/// A client that is counted, if it is one that is, until this is dropped.
pub(super) struct Stay {
    arrivals: Arc<Arrivals>,
    /// Without its port, for every connection has room for this.
    counted: Option<IpAddr>,
}

/// Too many come from one address.
struct Crowd;

impl Stay {
    /// Counts the client, once it is known.
    fn enter(&mut self, client: Option<SocketAddr>) -> Result<(), Crowd> {
        if self.counted.is_some() {
            return Ok(());
        }
        match self.arrivals.clients.enter(client, self.arrivals.started.elapsed()) {
            Entry::Counted => self.counted = client.map(|client| client.ip()),
            Entry::Proxy => {}
            Entry::Refused => return Err(Crowd),
        }
        Ok(())
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(address) = self.counted {
            self.arrivals.clients.leave(Some(SocketAddr::new(address, 0)));
        }
    }
}

impl Visit {
    /// Reads the header of the PROXY protocol, if there is to be one, in this time. What is none is told so, if it `is_plain` HTTP
    /// that is spoken.
    pub(super) async fn read_header(
        &mut self,
        arrival: &mut Arrival,
        time: Option<Duration>,
        is_plain: bool,
    ) -> Result<(), Error> {
        if !self.stay.arrivals.clients.expects_header(self.peer) {
            return Ok(());
        }
        let read = async {
            match arrival {
                Arrival::Tcp(stream, _) => header(stream, is_plain).await,
                #[cfg(unix)]
                Arrival::Unix(stream) => header(stream, true).await,
            }
        };
        self.proxied = match time {
            Some(time) => timeout(time, read).await.map_err(io::Error::from)??,
            None => read.await?,
        };
        match self.proxied.source {
            // It is as if it had hung up before it came.
            Some(source) => {
                self.stay.enter(Some(source)).map_err(|Crowd| io::Error::from(ErrorKind::ConnectionRefused).into())
            }
            None => Ok(()),
        }
    }

    /// Who has sent a request, by all that was said, and how it is counted.
    pub(super) fn identify(mut self, request: &Request<'_>) -> Result<(Client, Stay), Reject> {
        let client = self.stay.arrivals.clients.identify(request.headers(), self.peer, self.proxied);
        let client = client.map_err(|error| Reject::new(error.status().unwrap_or(400)))?;
        self.stay.enter(client.address).map_err(|Crowd| Reject::new(429))?;
        Ok((client, self.stay))
    }
}

/// Reads a header, and nothing behind it.
async fn header(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), is_plain: bool) -> io::Result<Proxied> {
    let mut header = ProxyHeader::default();
    loop {
        let mut bytes = [0; 256];
        let room = header.wants().min(bytes.len());
        let len = stream.read(&mut bytes[..room]).await?;
        let told = match len {
            0 => Err(ProxyHeaderError::Malformed),
            len => header.receive(&mut &bytes[..len]),
        };
        match told {
            Ok(None) => {}
            Ok(Some(proxied)) => return Ok(proxied),
            Err(error) => {
                if is_plain {
                    stream.write_all(ProxyHeaderError::ANSWER).await?;
                }
                stream.shutdown().await?;
                let mut rest = (&mut *stream).take(ProxyHeader::MOST_LEFT as u64);
                while rest.read(&mut bytes).await? > 0 {}
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }
}
