//! By threads.

use super::{Arguments, Result};
use sockless_std::{Reject, Server};
use sockless_tls::rustls::ServerConfig;
use std::net::TcpListener;
use std::sync::Arc;

pub(super) fn serve(arguments: &Arguments, tls: Option<Arc<ServerConfig>>) -> Result {
    let listener = TcpListener::bind(&arguments.listen)?;
    println!("listening on {}", listener.local_addr()?);
    let mut server = Server::new().config(arguments.settings.server()).connections(10_000);
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    let server = server.answer(|request, _| match request.is_upgrade() {
        true => Ok(request.accept_first_subprotocol()),
        false => Err(Reject::new(426).header("Upgrade", "websocket").body("This is for WebSockets.\n")),
    });
    let server = server.on_error(|peer, error| eprintln!("{peer}: {error}"));
    server.serve(listener, |mut socket, _| socket.recv_each(|message, replies| replies.feed(message)))?;
    Ok(())
}
