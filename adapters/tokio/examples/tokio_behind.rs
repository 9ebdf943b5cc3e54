//! Behind proxies: tells each client the address that it is known by, then echoes. `tests/proxies/run` puts nginx and HAProxy before
//! it.
//!
//! ```text
//! cargo run --release -p sockless-tokio --features tls --example tokio_behind -- --trust 127.0.0.1 --listen 127.0.0.1:9001
//! ```

use sockless_tokio::{Error, Server, Tls, Trusted};
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const HELP: &str = "\
Usage: tokio_behind [OPTIONS]

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

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokio_behind: {error}; see --help");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), AnyError> {
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
    let mut servers = JoinSet::new();
    for (address, proxied, tls) in listen {
        let listener = TcpListener::bind(address).await?;
        println!("listening on {}", listener.local_addr()?);
        let mut server = Server::new().trusted(Trusted::new(&trust)?).proxy_protocol(proxied);
        if tls {
            let (certificate, key) = certificate.as_ref().zip(key.as_ref()).ok_or("TLS without a certificate")?;
            server = server.tls(Tls::server(certificate, key)?);
        }
        servers.spawn(server.serve(listener, |mut socket, peer, _| async move {
            socket.send(peer.address.map_or("nobody knows".into(), |address| address.to_string())).await?;
            socket.recv_each::<Error>(|message, replies| replies.feed(message)).await
        }));
    }
    servers.join_all().await;
    Ok(())
}
