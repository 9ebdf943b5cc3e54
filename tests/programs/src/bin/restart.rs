//! A server of axum is restarted under its clients, which is how to do it, and the proof that it works.
//!
//! ```text
//! cargo run --release -p sockless-test-programs --bin restart -- --clients 2000 --span 5
//! ```
//!
//! The listening socket belongs to whoever starts the servers, as with a `.socket` unit of systemd, so that nobody is refused. The
//! old server takes leave of its clients over a span of time with 1012, and they come to the new one as they are told. Each has a
//! message under way all the time, and says it again until it is acknowledged; a server acknowledges what it has stored, which is
//! a line to whoever started it. It fails if a message is lost that was acknowledged, if anybody is refused or cut off, or if
//! half of them come back at once.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use clap::Parser;
use sockless_tokio::sockless::Drain;
use sockless_tokio::{
    Backoff, Change, Client, Code, Error, Listener, Listeners, Open, Upgraded, WebSocket, WebSocketUpgrade,
};
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Arguments {
    /// How many have a message under way
    #[arg(long, default_value_t = 2000)]
    clients: usize,
    /// Over how many seconds they are sent to the next server
    #[arg(long, default_value_t = 5)]
    span: u64,
    /// Be a server on the socket that was handed over
    #[arg(long, hide = true)]
    serve: bool,
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let Arguments { clients, span, serve: serves } = Arguments::parse();
    if serves { serve(Duration::from_secs(span)).await } else { prove(clients, span).await }
}

// ---- the server

async fn serve(span: Duration) -> Result<(), AnyError> {
    let tcp = |listener| if let Listener::Tcp(listener) = listener { Some(listener) } else { None };
    let listener = Listeners::handed_over()?.into_iter().find_map(tcp).ok_or("no socket was handed over")?;
    let open = Open::new();
    let app = Router::new().route("/", any(join)).with_state(open.clone());
    let mut term = signal(SignalKind::terminate())?;
    // From then on nothing is accepted: who comes waits for the next server.
    axum::serve(listener, app).with_graceful_shutdown(async move { _ = term.recv().await }).await?;
    let report =
        open.shutdown(Drain { span, code: Code::RESTART, reason: "restart".into(), ..Drain::default() }).await?;
    println!("{} closed, {} cut off", report.closed, report.cut_off.len());
    Ok(())
}

async fn join(upgrade: WebSocketUpgrade, State(open): State<Open>) -> Response {
    upgrade.on_upgrade(async move |socket| {
        let _tracked = open.track(&socket);
        _ = store(socket).await;
    })
}

async fn store(mut socket: WebSocket<Upgraded>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        println!("{}", message.as_text().unwrap_or_default());
        socket.send(message).await?;
    }
    Ok(())
}

// ---- the proof

/// What all clients have seen.
#[derive(Default)]
struct Seen {
    acknowledged: HashSet<String>,
    /// When each was back again.
    back: Vec<Instant>,
    failed: usize,
    /// Other ends than by 1012.
    lost: usize,
}

/// A server's process, and what it has stored.
struct Process {
    child: Child,
    stored: tokio::task::JoinHandle<std::io::Result<(HashSet<String>, String)>>,
}

impl Process {
    /// With the listening socket as its descriptor 3, as systemd does it.
    fn start(listener: &std::net::TcpListener, span: u64) -> Result<Self, AnyError> {
        let socket = OwnedFd::from(listener.try_clone()?);
        let mut child = Command::new("sh")
            .args(["-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" --serve --span \"$1\" 3<&0 </dev/null"])
            .arg(std::env::current_exe()?)
            .arg(span.to_string())
            .stdin(Stdio::from(socket))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let stored = tokio::spawn(async move {
            let (mut stored, mut last) = (HashSet::new(), String::new());
            while let Some(line) = lines.next_line().await? {
                stored.insert(std::mem::replace(&mut last, line));
            }
            Ok((stored, last))
        });
        Ok(Self { child, stored })
    }

    /// Has it end; what it has stored, and its last words.
    async fn end(mut self) -> Result<(HashSet<String>, String), AnyError> {
        let id = self.child.id().ok_or("it has ended already")?.to_string();
        Command::new("kill").args(["-TERM", &id]).status().await?;
        timeout(PATIENCE, self.child.wait()).await??;
        Ok(self.stored.await??)
    }
}

async fn prove(clients: usize, span: u64) -> Result<(), AnyError> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let listener = socket.listen(4096)?.into_std()?;
    let url = format!("ws://{}/", listener.local_addr()?);
    let first = Process::start(&listener, span)?;
    let seen = Arc::<Mutex<Seen>>::default();
    let mut guests = JoinSet::new();
    for number in 0..clients {
        guests.spawn(guest(number, url.clone(), seen.clone()));
    }
    let connected = async {
        while look(&seen).acknowledged.len() < 2 * clients {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, connected).await?;
    let began = Instant::now();
    let second = Process::start(&listener, 0)?;
    let (mut stored, words) = first.end().await?;
    println!("the first server: {words}, after {:.1} s", began.elapsed().as_secs_f64());
    timeout(PATIENCE, guests.join_all()).await?;
    let (more, _) = second.end().await?;
    stored.extend(more);

    let Seen { acknowledged, back, failed, lost } = &*look(&seen);
    let missing = acknowledged.difference(&stored).count();
    println!(
        "{} messages acknowledged, {missing} of them lost; {failed} refused, {lost} lost otherwise",
        acknowledged.len()
    );
    let mut tenths = [0; 12];
    for at in back {
        let tenth = at.duration_since(began).as_secs_f64() / (span as f64 / 10.0).max(f64::MIN_POSITIVE);
        tenths[(tenth as usize).min(11)] += 1;
    }
    println!("back in each tenth of {span} s, and later: {tenths:?}");
    let herd = span > 0 && tenths.iter().any(|back| *back > clients / 2);
    match (missing + failed + lost, back.len() == clients, words == format!("{clients} closed, 0 cut off"), herd) {
        (0, true, true, false) => Ok(()),
        _ => Err("that is not how it should be".into()),
    }
}

fn look(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Says one message after the other, each until it is acknowledged, until it has been back for some.
async fn guest(number: usize, url: String, seen: Arc<Mutex<Seen>>) {
    let mut client = Client::new(&url).reconnecting(Backoff::default());
    let (mut count, mut before) = (0, None);
    let mut message = format!("{number}: {count}");
    loop {
        match client.next().await {
            Ok(Change::Connected | Change::Resumed { .. }) => {
                if before.is_some() {
                    look(&seen).back.push(Instant::now());
                }
                _ = client.send(message.clone()).await;
            }
            Ok(Change::Message(acknowledged)) => {
                look(&seen).acknowledged.insert(acknowledged.as_text().unwrap_or_default().to_owned());
                count += 1;
                if before.is_some_and(|before| count > before + 3) {
                    return;
                }
                message = format!("{number}: {count}");
                sleep(Duration::from_millis(50)).await;
                // What is not sent now is when it is back.
                _ = client.send(message.clone()).await;
            }
            Ok(Change::Lost { close, .. }) => {
                before = Some(count);
                look(&seen).lost += usize::from(close.is_none_or(|close| close.code != Code::RESTART));
            }
            Ok(_) | Err(_) => look(&seen).failed += 1,
        }
    }
}
