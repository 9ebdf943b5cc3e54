//! `sockless proxy`: between clients and a server, to see what passes, and to put in faults.

mod faults;
mod head;
mod pipe;
mod watch;

use crate::dialogue::{Reading, Side};
use crate::output::note;
use crate::report::Form;
use crate::status::{Failure, Status};
use crate::stdout::print;
use crate::tls;
use clap::{Args, ValueEnum};
use faults::{Amount, BadFrame, Faults, Plan, amount};
use pipe::{Means, Pace, pass};
use serde_json::json;
use sockless_tokio::rustls::pki_types::ServerName;
use sockless_tokio::sockless::handshake::write_reject;
use sockless_tokio::{ClientRequest, Tls, listen};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use watch::{Shown, Watch};

/// How long the server has to answer a connection.
const DIAL: Duration = Duration::from_secs(30);

/// Stands between clients and a server, shows what passes, and puts in faults
///
/// Bytes pass as they are, but for the request's Host, and its target where the URL has another than /. In what is shown, > goes
/// to the server and < to the client. AMOUNT is a number of bytes of a direction, heads included, such as 500b, or of its messages,
/// such as 3m; 0m is where the handshake ends, which toward the server is behind the request.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where it listens: HOST:PORT; of port 0, at a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9002")]
    listen: String,
    /// The server: a ws:// or wss:// URL
    #[arg(long, value_name = "URL")]
    to: String,
    /// Trusts whatever certificate the server shows
    #[arg(long, conflicts_with = "cacert")]
    insecure: bool,
    /// Trusts the certificates of this PEM file, and no others
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
    /// Shows no longer messages; they pass all the same, but what follows them in their direction is not shown, and its messages
    /// are not counted
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    max_message: usize,
    #[command(flatten)]
    spoiling: Spoiling,
}

/// What is done to what passes.
#[derive(Args)]
#[command(next_help_heading = "Limits and faults")]
struct Spoiling {
    /// In which direction all that follows is done
    #[arg(long, value_name = "SIDE", default_value = "both")]
    toward: Toward,
    /// Passes on no more a second
    #[arg(long, value_name = "AMOUNT", value_parser = rate)]
    rate: Option<Amount>,
    /// Passes all on so much later
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
    /// Writes no more than so many bytes at a time
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    cut: Option<u32>,
    /// Hangs up on both ends behind so much
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    drop_after: Option<Amount>,
    /// Ends the direction behind so much, and passes on nothing more of it; the other goes on
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    half_close_after: Option<Amount>,
    /// Turns a bit in some bytes behind the handshake: in so many of them, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    corrupt: f64,
    /// Puts in a frame that breaks a rule, once in each connection, between two messages
    #[arg(long, value_name = "KIND")]
    bad_frame: Option<BadFrame>,
    /// Where that is: behind the first message, or the handshake, with which so much has passed
    #[arg(long, value_name = "AMOUNT", default_value = "0m", value_parser = amount, requires = "bad_frame")]
    bad_frame_after: Amount,
    /// What chance follows from: each connection's from this and its number
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Toward {
    Client,
    Server,
    Both,
}

fn rate(text: &str) -> Result<Amount, String> {
    match amount(text)? {
        Amount::Bytes(0) | Amount::Messages(0) => Err("nothing would pass".into()),
        amount => Ok(amount),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it is a number from 0 to 1".into())
}

/// Runs the subcommand, until Ctrl-C.
///
/// # Errors
/// It cannot listen.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = Runtime::new().map_err(|error| Failure::new(Status::NotConnected, error))?;
    let ended = runtime.block_on(serve(arguments));
    runtime.shutdown_background();
    ended
}

async fn serve(arguments: Arguments) -> Result<(), Failure> {
    let unusable = |error: io::Error| Failure::new(Status::NotConnected, format!("{}: {error}", arguments.listen));
    let listeners = listen(&arguments.listen).await.map_err(unusable)?;
    let shown = Arc::new(Shown::new(arguments.form));
    let proxy = Arc::new(Proxy {
        request: ClientRequest::new(&arguments.to).map_err(Failure::usage)?,
        tls: tls_settings(&arguments)?,
        shown: shown.clone(),
        arguments,
        connections: AtomicU64::new(0),
    });
    for listener in listeners {
        let url =
            format!("ws://{}/", listener.local_addr().map_err(|error| Failure::new(Status::NotConnected, error))?);
        // Whether or not anybody reads it.
        _ = match proxy.arguments.form.json {
            true => print(format!("{}\n", json!({ "event": "listening", "url": url })).as_bytes()),
            false => print(format!("listening on {url}\n").as_bytes()),
        };
        tokio::spawn(accept(listener, proxy.clone()));
    }
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        // That is how others end a pipe, and no fault.
        () = shown.outlet.unread() => {}
    }
    shown.outlet.end().await;
    Ok(())
}

async fn accept(listener: TcpListener, proxy: Arc<Proxy>) {
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                let proxy = proxy.clone();
                tokio::spawn(async move { proxy.relay(client, peer).await });
            }
            // Too many files are open, say, which may not last.
            Err(error) => {
                note!("sockless: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn tls_settings(arguments: &Arguments) -> Result<Option<Tls>, Failure> {
    Ok(match &arguments.cacert {
        Some(file) => Some(Tls::trusting(file)?),
        None if arguments.insecure => Some(tls::trusting_anybody()?),
        None => Tls::usual(),
    })
}

struct Proxy {
    request: ClientRequest,
    tls: Option<Tls>,
    shown: Arc<Shown>,
    arguments: Arguments,
    connections: AtomicU64,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Proxy {
    async fn relay(&self, mut client: TcpStream, peer: SocketAddr) {
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let reading = Reading { max_message: self.arguments.max_message, is_open: false, compressed: false };
        let watch = Watch::new(number, self.shown.clone(), &peer.to_string(), &self.arguments.to, reading);
        // Where this end hangs up, that is told already.
        if let Err(error) = self.relayed(number, &mut client, &watch).await
            && error.kind() != io::ErrorKind::ConnectionAborted
        {
            watch.mark(None, "lost", &error.to_string());
        }
    }

    async fn relayed(&self, number: u64, client: &mut TcpStream, watch: &Watch) -> io::Result<()> {
        client.set_nodelay(true)?;
        let head = head::read(client).await?;
        let server = match timeout(DIAL, self.dial()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(server) => server,
            Err(error) => {
                let mut answer = Vec::new();
                _ = write_reject(502, &[], error.to_string().as_bytes(), &mut answer);
                client.write_all(&answer).await?;
                client.shutdown().await?;
                return Err(error);
            }
        };
        let replaced = head::rewritten(&head, &self.request);
        let means = |side| {
            let (plan, pace) = self.arguments.spoiling.of(side);
            let seed = self.arguments.spoiling.seed.wrapping_add(number << 1 | side as u64);
            Means { side, watch, faults: Faults::new(plan, side, seed), pace }
        };
        let (client, server) = (client.split(), tokio::io::split(server));
        let there = pass(means(Side::Client), client.0, server.1, Some((head, replaced)));
        let back = pass(means(Side::Server), server.0, client.1, None);
        tokio::try_join!(there, back).map(|_| ())
    }

    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.request.host(), self.request.port())).await?;
        stream.set_nodelay(true)?;
        if !self.request.is_secure() {
            return Ok(Box::new(stream));
        }
        let tls = self.tls.clone().ok_or_else(|| io::Error::other("nobody is trusted here; see --cacert"))?;
        let name = ServerName::try_from(self.request.server_name().to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(Arc::from(tls)).connect(name, stream).await?))
    }
}

impl Spoiling {
    /// What is done to what this side sends.
    fn of(&self, side: Side) -> (Plan, Pace) {
        let spared = match side {
            Side::Client => Toward::Client,
            Side::Server => Toward::Server,
        };
        if self.toward == spared {
            return Default::default();
        }
        let plan = Plan {
            drop_after: self.drop_after,
            half_close_after: self.half_close_after,
            bad_frame: self.bad_frame.map(|kind| (kind, self.bad_frame_after)),
            corrupt: self.corrupt,
        };
        let cut = self.cut.map(|cut| cut as usize);
        (plan, Pace { delay: Duration::from_millis(self.delay), cut, rate: self.rate })
    }
}
