//! Behind proxies: tells each client the address that it is known by, then echoes. `tests/proxies/run` puts nginx and HAProxy before
//! it.
//!
//! ```text
//! cargo run --release -p sockless-mio --example mio_behind -- --trust 127.0.0.1 --listen 127.0.0.1:9001
//! ```

use sockless_mio::{Conn, Error, Handler, Message, Server, Tls, Trusted};
use std::process::ExitCode;

const HELP: &str = "\
Usage: mio_behind [OPTIONS]

Options:
  --trust PEER               proxies whose word is taken: an address or a network; may be repeated
  --listen ADDR              where to listen, port 0 for any free port
  --listen-tls ADDR          the same with TLS
  --listen-proxied ADDR      where proxies speak the PROXY protocol
  --listen-proxied-tls ADDR  the same with TLS behind it
  --certificate FILE         the certificate chain for TLS, in PEM
  --key FILE                 its key, in PEM
  --help                     print this
";

struct Known;

impl Handler for Known {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        let known = conn.peer().map_or("nobody knows".into(), |address| address.to_string());
        _ = conn.send_text(&known);
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        conn.send(message)?;
        Ok(())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mio_behind: {error}; see --help");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    use lexopt::prelude::*;
    let (mut trust, mut listen, mut certificate, mut key) = (Vec::new(), Vec::new(), None, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("trust") => trust.push(arguments.value()?.string()?),
            Long("certificate") => certificate = Some(arguments.value()?),
            Long("key") => key = Some(arguments.value()?),
            Long("listen") => listen.push((arguments.value()?.string()?, false, false)),
            Long("listen-tls") => listen.push((arguments.value()?.string()?, false, true)),
            Long("listen-proxied") => listen.push((arguments.value()?.string()?, true, false)),
            Long("listen-proxied-tls") => listen.push((arguments.value()?.string()?, true, true)),
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let mut servers = Vec::new();
    for (address, proxied, tls) in listen {
        let builder = Server::builder().workers(1).trusted(Trusted::new(&trust)?).proxy_protocol(proxied);
        let builder = if tls {
            let (certificate, key) = certificate.as_ref().zip(key.as_ref()).ok_or("TLS without a certificate")?;
            builder.listen_tls(address).tls(Tls::server(certificate, key)?)
        } else {
            builder.listen(address)
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
