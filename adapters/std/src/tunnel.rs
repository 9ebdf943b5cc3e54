//! Connections through a proxy.

use crate::dial::left;
use crate::net_stream::NetStream;
use crate::stream::Stream;
use sockless::client::Tunnel;
use sockless::driver::{ConnectError, ProxyError};
use sockless::handshake::BODY_TIME;
use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

/// No answer of a proxy that has more is likely.
const READ: usize = 4096;

/// The stream, once all that is read and written goes through to the host.
///
/// # Errors
/// [`ConnectError::Proxy`] or [`ConnectError::Timeout`].
pub(crate) fn ask(
    mut tunnel: Tunnel,
    mut stream: NetStream,
    deadline: Option<Instant>,
) -> Result<NetStream, ConnectError> {
    let mut buffer = [0; READ];
    loop {
        let patience = left(deadline)?;
        let (outbound, is_refused) = (tunnel.outbound(), tunnel.is_refused());
        let patience = if is_refused { Some(patience.map_or(BODY_TIME, |left| left.min(BODY_TIME))) } else { patience };
        stream.set_read_timeout(patience).map_err(ProxyError::Io)?;
        stream.set_write_timeout(patience).map_err(ProxyError::Io)?;
        let told = match outbound.is_empty() {
            true => stream.read(&mut buffer),
            false => stream.write(outbound).and_then(|written| stream.flush().map(|()| written)),
        };
        match told {
            Ok(0) => return Err(tunnel.receive_eof().into()),
            Ok(written) if !outbound.is_empty() => tunnel.advance(written),
            Ok(read) => {
                if tunnel.receive(&mut buffer[..read])? {
                    return Ok(stream);
                }
            }
            Err(_) if is_refused => return Err(tunnel.receive_eof().into()),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => return Err(ProxyError::Io(error).into()),
            },
        }
    }
}
