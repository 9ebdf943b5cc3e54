//! An echo server, plain or with TLS.
//!
//! ```text
//! cargo run --release -p sockless-tokio --features tls --example tokio_echo
//! ```
//!
//! `echo` is all that there is to an echo: messages are answered where they lie, and receiving also writes what waits, so
//! the echoes of messages that came together go out together. `serve` is all that there is to a server: it keeps the
//! deadlines of the handshakes, that of TLS too, and outlives a want of descriptors.

use sockless_tokio::rustls::{ServerConfig, pki_types::PrivateKeyDer};
use sockless_tokio::sockless::{Config, Origins};
use sockless_tokio::{Error, NetStream, Peer, Reject, Server, Tls, WebSocket, listen};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::runtime::Builder;

const HELP: &str = "\
Sends each WebSocket message back to where it came from.

Usage: tokio_echo [OPTIONS]

Options:
  --listen ADDR        where to listen, port 0 for any free port [default: 127.0.0.1:9001]
  --max-message BYTES  refuse longer messages with 1009 [default: 1048576]
  --max-fragments N    refuse messages in more fragments with 1008 [default: 4096]
  --deflate            take compressed messages, and send such
  --deflate-takeover   the same, each message compressed by help of those before it
  --tls CERT KEY       speak TLS by this chain of certificates and this key, both PEM files
  --tls-made CERT      speak TLS by a certificate for 127.0.0.1 and localhost made now, and written to this file for
                       clients to trust; its key is forgotten with the program
  --threads N          threads to serve with [default: one for each core]
  --help               print this

Requests of any origin are taken, and the first subprotocol that a client offers is chosen.
";

type AnyError = Box<dyn std::error::Error + Send + Sync>;

struct Options {
    listen: String,
    config: Config,
    tls: Option<Arc<ServerConfig>>,
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("tokio_echo: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    let runtime = match options.threads {
        Some(1) => Builder::new_current_thread().enable_all().build(),
        Some(threads) => Builder::new_multi_thread().worker_threads(threads.max(1)).enable_all().build(),
        None => Builder::new_multi_thread().enable_all().build(),
    };
    match runtime.map_err(AnyError::from).and_then(|runtime| runtime.block_on(serve(options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokio_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    /// What the arguments say; `None` if they ask for help.
    fn parse() -> Result<Option<Self>, AnyError> {
        use lexopt::prelude::*;
        let mut options = Self { listen: "127.0.0.1:9001".into(), config: Config::default(), tls: None, threads: None };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("listen") => options.listen = arguments.value()?.string()?,
                Long("max-message") => options.config.limits.message = arguments.value()?.parse()?,
                Long("max-fragments") => options.config.limits.fragments = arguments.value()?.parse()?,
                Long("deflate") => deflate(&mut options.config, false)?,
                Long("deflate-takeover") => deflate(&mut options.config, true)?,
                Long("tls") => options.tls = Some(Tls::server(arguments.value()?, arguments.value()?)?),
                Long("tls-made") => options.tls = Some(tls_made(arguments.value()?.into())?),
                Long("threads") => options.threads = Some(arguments.value()?.parse()?),
                Long("help") | Short('h') => return Ok(None),
                _ => return Err(argument.unexpected().into()),
            }
        }
        options.config.origins = Origins::Any;
        Ok(Some(options))
    }
}

/// Turns compression on, with or without context takeover.
#[cfg(feature = "deflate")]
fn deflate(config: &mut Config, takeover: bool) -> Result<(), AnyError> {
    use sockless_tokio::sockless::Deflate;
    config.deflate = Some(Deflate { takeover, peer_takeover: takeover, ..Deflate::default() });
    Ok(())
}

#[cfg(not(feature = "deflate"))]
fn deflate(_: &mut Config, _: bool) -> Result<(), AnyError> {
    Err("built without compression; it needs `--features deflate`".into())
}

fn tls_made(file: PathBuf) -> Result<Arc<ServerConfig>, AnyError> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".into(), "localhost".into()])?;
    std::fs::write(file, made.cert.pem())?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    Ok(Tls::server_with(vec![made.cert.into()], key)?)
}

async fn serve(options: Options) -> Result<(), AnyError> {
    let listeners = listen(&options.listen).await?;
    for listener in &listeners {
        println!("listening on {}", listener.local_addr()?);
    }
    let mut server = Server::new().config(options.config).answer(async |request, _| {
        // A bad request for a WebSocket is accepted too, and then refused with the status that fits.
        if request.is_upgrade() {
            Ok((request.accept_first_subprotocol(), ()))
        } else {
            Err(Reject::new(200).header("Content-Type", "text/plain").body("An echo server for WebSockets.\n"))
        }
    });
    if let Some(tls) = options.tls {
        server = server.tls(tls);
    }
    server.serve(listeners, echo).await;
    Ok(())
}

async fn echo(mut socket: WebSocket<NetStream>, peer: Peer, (): ()) -> Result<(), Error> {
    let ended = socket.recv_each(|message, replies| replies.feed(message)).await;
    ended.inspect_err(|error| eprintln!("{peer}: {error}"))
}
