//! `sockless serve`: a server for what there is to try.

use crate::client::{Taking, seconds};
use crate::output::note;
use crate::pages::Pages;
use crate::status::{Failure, Status};
use crate::stdout::print;
use crate::{command, tls};
use clap::Args;
use sockless_tokio::Failure as Failed;
use sockless_tokio::rustls::ServerConfig;
use sockless_tokio::sockless::Origins;
use sockless_tokio::{
    Accept, Bounds, Config, Delivery, Error, Hub, NetStream, Peer, Prepared, Reject, Request, Route, Server, Slow, Tls,
    WebSocket, listen,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Serves: sends each message back, unless it is told to do something else
///
/// At / there is a page to try it from a browser.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where it listens: HOST:PORT; of port 0, at a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9001")]
    listen: String,
    /// Sends each message to all other clients
    #[arg(long, group = "work")]
    broadcast: bool,
    /// Starts this command of the shell for each connection: messages are lines for it, its lines become messages
    #[arg(long, value_name = "COMMAND", group = "work")]
    command: Option<String>,
    /// Serves the files of a directory beside it
    #[arg(long = "static", value_name = "DIRECTORY")]
    files: Option<PathBuf>,
    /// Speaks TLS, with a certificate that is made on the spot unless there is one
    #[arg(long)]
    tls: bool,
    /// Speaks TLS with the certificate of this PEM file
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key, in a PEM file
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Takes connections from pages of any origin, and not from its own alone
    #[arg(long)]
    any_origin: bool,
    #[command(flatten)]
    taking: Taking,
    /// How long connections have to end once Ctrl-C has told them
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    grace: Duration,
    /// Says who comes and goes
    #[arg(short, long)]
    verbose: bool,
}

/// What is done with a connection.
#[derive(Clone)]
enum Work {
    Echo,
    Broadcast(Hub),
    Command(Arc<str>),
}

/// Runs the subcommand, until Ctrl-C.
///
/// # Errors
/// It cannot listen.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = Runtime::new().map_err(|error| Failure::new(Status::NotConnected, error))?;
    let served = runtime.block_on(serve(arguments));
    runtime.shutdown_background();
    served
}

async fn serve(arguments: Arguments) -> Result<(), Failure> {
    let unusable = |error: std::io::Error| Failure::new(Status::NotConnected, format!("{}: {error}", arguments.listen));
    let tls = arguments.tls()?;
    let listeners = listen(&arguments.listen).await.map_err(unusable)?;
    let pages = Arc::new(Pages::new(arguments.files.clone())?);
    let (config, work, verbose) = (arguments.config(), arguments.work(), arguments.verbose);
    let answer = move |request: Request<'static>, _: Peer| {
        let pages = pages.clone();
        async move { answered(request, &pages).await }
    };
    let handle = move |socket, peer, request| handled(work.clone(), socket, peer, request, verbose);
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    let mut server = Server::new().config(config).answer(answer.clone());
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    let server = server
        // By a route, for its parameter is the path without its percent-encoding.
        .route("/{*file}", Route::new().answer(answer), handle.clone())
        .map_err(Failure::usage)?
        .on_error(move |peer, failure| match peer {
            // A browser asks for icons that are not there.
            _ if !verbose && matches!(failure, Failed::Handshake(Error::Refused(404))) => {}
            Some(peer) => note!("{peer}: {failure}"),
            None => note!("{failure}"),
        })
        .grace(arguments.grace)
        .shutdown(tokio::signal::ctrl_c());
    for listener in &listeners {
        let address = listener.local_addr().map_err(unusable)?;
        // Whether or not anybody reads it.
        _ = print(format!("listening on {scheme}://{address}/\n").as_bytes());
    }
    server.serve(listeners, handle).await;
    Ok(())
}

impl Arguments {
    fn config(&self) -> Config {
        let mut config = self.taking.config();
        if self.any_origin {
            config.origins = Origins::Any;
        }
        config
    }

    fn work(&self) -> Work {
        match &self.command {
            Some(command) => Work::Command(command.as_str().into()),
            None if self.broadcast => Work::Broadcast(Hub::new()),
            None => Work::Echo,
        }
    }

    fn tls(&self) -> Result<Option<Arc<ServerConfig>>, Failure> {
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            return Ok(Some(Tls::server(cert, key)?));
        }
        let host = self.listen.rsplit_once(':').map_or(&*self.listen, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !host.is_empty() && !names.iter().any(|name| name == host) {
            names.push(host.to_owned());
        }
        self.tls.then(|| tls::made_for(names)).transpose()
    }
}

/// Takes what asks for a WebSocket, and answers the rest with pages.
async fn answered(request: Request<'static>, pages: &Pages) -> Result<(Accept, Request<'static>), Reject> {
    if request.is_upgrade() {
        return Ok((request.accept_first_subprotocol(), request));
    }
    Err(match request.method() {
        "GET" => pages.page(request.param("file").as_deref().unwrap_or_default()).await,
        _ => Reject::new(405).header("Allow", "GET"),
    })
}

async fn handled(
    work: Work,
    mut socket: WebSocket<NetStream>,
    peer: Peer,
    request: Request<'static>,
    verbose: bool,
) -> Result<(), Error> {
    if verbose {
        note!("{peer}: open, {}", request.target());
    }
    let ended = match work {
        Work::Echo => socket.recv_each(|message, replies| replies.feed(message)).await,
        Work::Broadcast(hub) => broadcast(socket, &hub).await,
        Work::Command(line) => command::run(&line, socket, peer, &request).await,
    };
    if verbose {
        note!("{peer}: closed");
    }
    ended
}

/// What one client says, all others hear.
async fn broadcast(mut socket: WebSocket<NetStream>, hub: &Hub) -> Result<(), Error> {
    const TOPIC: &str = "all";
    let mut member = hub.member(Bounds::default(), Slow::Drop);
    member.join(TOPIC);
    loop {
        tokio::select! {
            message = socket.recv() => {
                let Some(message) = message? else { return Ok(()) };
                member.publish(TOPIC, &match message.as_text() {
                    Some(text) => Prepared::text(text),
                    None => Prepared::binary(message.as_bytes()),
                });
            }
            delivery = member.recv() => match delivery {
                Some(Delivery::Message { message, .. }) => socket.send_prepared(&message).await?,
                Some(Delivery::Missed(_)) => {}
                None => return socket.close(1013, "too slow").await,
            },
        }
    }
}
