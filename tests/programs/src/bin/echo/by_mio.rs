//! By workers of mio. A signal ends it at once: to handle one gracefully takes a thread, and a process that has only one
//! (`--threads 1`) pays less for each system call.

use super::{Arguments, Result};
use sockless_mio::{Answer, Conn, Error, Handler, Message, Request, Server};
use sockless_tls::rustls::ServerConfig;
use std::sync::Arc;

struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_request(&self, _: &mut Conn<'_>, request: &Request<'_>) -> Answer {
        request.accept_first_subprotocol().into()
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        conn.send(message)?;
        Ok(())
    }
}

pub(super) fn serve(arguments: &Arguments, tls: Option<Arc<ServerConfig>>) -> Result {
    let builder = Server::builder().config(arguments.settings.server());
    let builder = match tls {
        Some(tls) => builder.tls(tls).listen_tls(&arguments.listen),
        None => builder.listen(&arguments.listen),
    };
    let server = match arguments.threads {
        Some(threads) => builder.workers(threads),
        None => builder,
    };
    let server = server.bind(Echo)?;
    for address in server.addresses() {
        println!("listening on {address}");
    }
    server.run()?;
    Ok(())
}
