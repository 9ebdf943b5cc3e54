//! Connections through a proxy.

use crate::client::Client;
use crate::stream::NetStream;
use crate::tls;
use sockless::ClientRequest;
use sockless::client::{Proxy, Tunnel};
use sockless::driver::{ConnectError, ProxyError};
use sockless::handshake::BODY_TIME;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// No answer of a proxy that has more is likely.
const READ: usize = 4096;

impl Client {
    /// A connection through `proxy` to the server that a request is for.
    pub(crate) async fn dial_through(&self, proxy: &Proxy, request: &ClientRequest) -> Result<NetStream, ConnectError> {
        let tunnel = match proxy.looks_names_up() {
            true => proxy.tunnel(request.server_name(), request.port())?,
            false => proxy.tunnel_to_any(self.dialer.resolve(request.host(), request.port()).await?)?,
        };
        let stream = self.dialer.dial(proxy.host(), proxy.port()).await.map_err(|error| match error {
            ConnectError::Resolve(error) | ConnectError::Tcp(error) => ProxyError::Io(error).into(),
            error => error,
        })?;
        stream.set_nodelay(self.settings.nodelay).map_err(ProxyError::Io)?;
        let mut stream = NetStream::Tcp(stream);
        if proxy.is_secure() {
            let tls = self.proxy_tls.clone().or_else(|| self.tls.clone());
            stream = tls::handshake(tls, proxy.host(), stream, false).await.map_err(|error| match error {
                ConnectError::Tls(error) => ProxyError::Tls(error).into(),
                error => error,
            })?;
        }
        Ok(ask(tunnel, stream).await?)
    }
}

/// The stream, once all that is read and written goes through to the host.
async fn ask(mut tunnel: Tunnel, mut stream: NetStream) -> Result<NetStream, ProxyError> {
    let mut buffer = [0; READ];
    loop {
        if !tunnel.outbound().is_empty() {
            stream.write_all(tunnel.outbound()).await?;
            stream.flush().await?;
            tunnel.advance(tunnel.outbound().len());
        }
        let read = match tunnel.is_refused() {
            true => timeout(BODY_TIME, stream.read(&mut buffer)).await.unwrap_or(Ok(0)),
            false => stream.read(&mut buffer).await,
        };
        match read {
            Err(error) if !tunnel.is_refused() => return Err(error.into()),
            Ok(0) | Err(_) => return Err(tunnel.receive_eof()),
            Ok(read) if tunnel.receive(&mut buffer[..read])? => return Ok(stream),
            Ok(_) => {}
        }
    }
}
