//! The echo server that the benchmarks and the conformance suite run against.
//!
//! ```text
//! cargo run --release -p sockless-mio --example mio_echo
//! ```
//!
//! A signal ends it at once: to handle one gracefully, as `mio_chat` does, takes a thread, and a process that has only one
//! (`--workers 1`) pays less for each system call.

use sockless_mio::{Answer, Builder, Config, Conn, Error, Handler, Message, Request, Server, Tls};
use std::io::Write;
use std::process::ExitCode;

const HELP: &str = "\
Sends each WebSocket message back to where it came from.

Usage: mio_echo [OPTIONS]

Options:
  --listen ADDR         where to listen, port 0 for any free port, unix:PATH for a Unix socket; may be repeated
                        [default: 127.0.0.1:9001]
  --listen-tls ADDR     the same with TLS
  --certificate FILE    the certificate chain for TLS, in PEM
  --key FILE            its key, in PEM
  --workers N           threads [default: one for each core]
  --pool N              call the handler in N threads more
  --max-message BYTES   refuse longer messages with 1009 [default: 1048576]
  --max-fragments N     refuse messages in more fragments with 1008 [default: 4096]
  --read-buffer BYTES   the read buffer of a worker [default: 1114112]
  --deflate             take compressed messages, and send such
  --deflate-takeover    the same, each message compressed by help of those before it
  --help                print this

Requests of any origin are taken, and the first subprotocol that a client offers is chosen.
";

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

fn main() -> ExitCode {
    let builder = match options() {
        Ok(Some(builder)) => builder,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("mio_echo: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    match serve(builder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mio_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(builder: Builder) -> Result<(), Error> {
    let server = builder.bind(Echo)?;
    for address in server.addresses() {
        println!("listening on {address}");
    }
    std::io::stdout().flush()?;
    server.run()?;
    Ok(())
}

/// What the arguments ask for; `None` if they ask for help.
fn options() -> Result<Option<Builder>, Error> {
    use lexopt::prelude::*;
    let mut builder = Server::builder();
    let mut config = Config::default();
    config.origins = sockless_mio::sockless::Origins::Any;
    let (mut certificate, mut key, mut listens) = (None, None, false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        builder = match argument {
            Long("listen") => {
                listens = true;
                builder.listen(arguments.value()?.string()?)
            }
            Long("listen-tls") => {
                listens = true;
                builder.listen_tls(arguments.value()?.string()?)
            }
            Long("workers") => builder.workers(arguments.value()?.parse()?),
            Long("pool") => builder.pool(arguments.value()?.parse()?, 1024),
            Long("read-buffer") => builder.read_buffer(arguments.value()?.parse()?),
            Long("certificate") => {
                certificate = Some(arguments.value()?);
                builder
            }
            Long("key") => {
                key = Some(arguments.value()?);
                builder
            }
            Long("max-message") => {
                config.limits.message = arguments.value()?.parse()?;
                builder
            }
            Long("max-fragments") => {
                config.limits.fragments = arguments.value()?.parse()?;
                builder
            }
            Long("deflate") => {
                deflate(&mut config, false)?;
                builder
            }
            Long("deflate-takeover") => {
                deflate(&mut config, true)?;
                builder
            }
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    // One read may bring more messages behind the longest: their echoes have to wait, not to be refused.
    config.outbound.hard = config.outbound.hard.max(config.limits.message);
    if let (Some(certificate), Some(key)) = (certificate, key) {
        builder = builder.tls(Tls::server(certificate, key)?);
    }
    if !listens {
        builder = builder.listen("127.0.0.1:9001");
    }
    Ok(Some(builder.config(config)))
}

/// Turns compression on, with or without context takeover.
#[cfg(feature = "deflate")]
fn deflate(config: &mut Config, takeover: bool) -> Result<(), Error> {
    use sockless_mio::sockless::Deflate;
    config.deflate = Some(Deflate { takeover, peer_takeover: takeover, ..Deflate::default() });
    Ok(())
}

#[cfg(not(feature = "deflate"))]
fn deflate(_: &mut Config, _: bool) -> Result<(), Error> {
    Err("built without compression; it needs `--features deflate`".into())
}
