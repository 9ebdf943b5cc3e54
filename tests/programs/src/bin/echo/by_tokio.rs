//! By tasks of tokio.

use super::{Arguments, Result};
use sockless_tls::rustls::ServerConfig;
use sockless_tokio::{Error, Reject, Server, listen};
use std::sync::Arc;
use tokio::runtime::Builder;

pub(super) fn serve(arguments: &Arguments, tls: Option<Arc<ServerConfig>>) -> Result {
    let mut builder = match arguments.threads {
        Some(1) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if let Some(threads) = arguments.threads {
        builder.worker_threads(threads);
    }
    let mut server = Server::new().config(arguments.settings.server());
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    let server = server.answer(async |request, _| match request.is_upgrade() {
        true => Ok((request.accept_first_subprotocol(), ())),
        false => Err(Reject::new(200).header("Content-Type", "text/plain").body("An echo server for WebSockets.\n")),
    });
    builder.enable_all().build()?.block_on(async {
        let listeners = listen(&arguments.listen).await?;
        for listener in &listeners {
            println!("listening on {}", listener.local_addr()?);
        }
        // A function would hold the connection twice, as its argument and as what it works on.
        let echoing = server.serve(listeners, |mut socket, _, ()| async move {
            socket.recv_each::<Error>(|message, replies| replies.feed(message)).await
        });
        echoing.await;
        Ok(())
    })
}
