//! By workers of mio.

use super::{Place, Result, name};
use sockless_mio::{Conn, Error, Handler, Message, Server, Trusted};

struct Known;

impl Handler for Known {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        let known = name(conn.peer());
        _ = conn.send_text(&known);
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        conn.send(message)?;
        Ok(())
    }
}

pub(super) fn serve(places: [Place; 4], trust: &[String]) -> Result {
    let mut servers = Vec::new();
    for Place { tls, proxied } in places {
        let builder = Server::builder().workers(1).trusted(Trusted::new(trust)?).proxy_protocol(proxied);
        let builder = match tls {
            Some(tls) => builder.listen_tls("127.0.0.1:0").tls(tls),
            None => builder.listen("127.0.0.1:0"),
        };
        let server = builder.bind(Known)?.start()?;
        println!("listening on {}", server.addresses()[0]);
        servers.push(server);
    }
    for server in servers {
        server.join();
    }
    Ok(())
}
