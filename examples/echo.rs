//! An echo server with a thread for each connection, and nothing but `std` around the core.
//!
//! ```text
//! cargo run --release --example echo
//! ```
//!
//! It shows the whole loop of a blocking server, in `serve_one`: what comes next, reading, the answers to events, writing.
//! Deadlines are the core's, so a silent peer is pinged, and one that neither answers nor reads is dropped. It also shows how
//! plain HTTP requests are answered, and how a spent buffer serves again (`recycle`).

use sockless::driver::{Driver, Storage};
use sockless::{Config, Connection, Event, Origins, Request, SendError, SharedConfig};
use std::borrow::Cow;
use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const HELP: &str = "\
Sends each WebSocket message back to where it came from.

Usage: echo [OPTIONS]

Options:
  --listen ADDR       where to listen, port 0 for any free port [default: 127.0.0.1:9001]
  --max-message BYTES refuse longer messages with 1009 [default: 1048576]
  --max-fragments N   refuse messages in more fragments with 1008 [default: 4096]
  --deflate           take compressed messages, and send such
  --deflate-takeover  the same, each message compressed by help of those before it
  --help              print this

Requests of any origin are taken, and the first subprotocol that a client offers is chosen.
";

/// What a browser sees: a page that opens a WebSocket to where it came from.
const PAGE: &str = include_str!("echo.html");

fn main() -> ExitCode {
    let (listen, config) = match options() {
        Ok(Some(options)) => options,
        Ok(None) => return print(HELP),
        Err(error) => {
            eprintln!("echo: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    match serve(&listen, &Arc::new(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The address and the settings that the arguments ask for; `None` if they ask for help.
fn options() -> Result<Option<(String, Config)>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut listen = "127.0.0.1:9001".to_owned();
    let mut config = Config::default();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => listen = arguments.value()?.string()?,
            Long("max-message") => config.limits.message = arguments.value()?.parse()?,
            Long("max-fragments") => config.limits.fragments = arguments.value()?.parse()?,
            Long("deflate") => deflate(&mut config, false)?,
            Long("deflate-takeover") => deflate(&mut config, true)?,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    config.origins = Origins::Any;
    Ok(Some((listen, config)))
}

/// Turns compression on, with or without context takeover.
#[cfg(feature = "deflate")]
fn deflate(config: &mut Config, takeover: bool) -> Result<(), lexopt::Error> {
    config.deflate = Some(sockless::Deflate { takeover, peer_takeover: takeover, ..sockless::Deflate::default() });
    Ok(())
}

#[cfg(not(feature = "deflate"))]
fn deflate(_: &mut Config, _: bool) -> Result<(), lexopt::Error> {
    Err("built without compression; it needs `--features deflate`".into())
}

/// Prints to standard output, whoever has closed it meanwhile.
fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(listen: &str, config: &Arc<Config>) -> io::Result<()> {
    let listeners = bind(listen)?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let told: String = addresses.iter().map(|address| format!("listening on {address}\n")).collect();
    print(&format!(
        "{told}any origin is taken, and the first subprotocol offered; http://{}/ is a page to try it\n",
        addresses[0]
    ));
    thread::scope(|scope| {
        for listener in listeners {
            scope.spawn(move || accept(&listener, config));
        }
    });
    Ok(())
}

/// Listens at all addresses of a name that can be used, with the port of the first.
fn bind(listen: &str) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut result = Err(ErrorKind::NotFound.into());
    for mut address in listen.to_socket_addrs()? {
        if let Some(first) = listeners.first() {
            address.set_port(first.local_addr()?.port());
        }
        result = TcpListener::bind(address).map(|listener| listeners.push(listener));
    }
    if listeners.is_empty() { result.map(|()| listeners) } else { Ok(listeners) }
}

fn accept(listener: &TcpListener, config: &Arc<Config>) {
    loop {
        let spawned = listener.accept().and_then(|(stream, peer)| {
            let config = config.clone();
            let name = peer.to_string();
            thread::Builder::new().spawn(move || {
                if let Err(error) = serve_one(&stream, config) {
                    eprintln!("{name}: {error}");
                }
            })
        });
        if let Err(error) = spawned {
            // Too many open files or threads, most likely; both get fewer with time.
            eprintln!("echo: {error}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Serves a connection to its end.
fn serve_one(stream: &TcpStream, config: impl Into<SharedConfig>) -> Result<(), Box<dyn Error>> {
    // Each write is all that there is to say, so nothing is won by holding it back.
    stream.set_nodelay(true)?;
    let (mut driver, mut storage) = (Driver::new(Connection::server(config)), Storage::new(64 << 10));
    let (clock, mut result) = (Instant::now(), Ok(()));
    loop {
        let next = driver.next(&mut storage, clock.elapsed());
        if next.shutdown {
            // If it fails, the peer is gone already, which reading will tell.
            _ = stream.shutdown(Shutdown::Write);
        }
        if next.close {
            return result;
        }
        let wait = next.wait(clock.elapsed());
        stream.set_read_timeout(wait)?;
        stream.set_write_timeout(wait)?;
        driver.read(&mut storage, stream, || clock.elapsed())?;
        let mut answered = Ok(());
        let told = driver.each(&mut storage, clock.elapsed(), |connection, event| {
            if answered.is_ok() {
                answered = answer(connection, event);
            }
        });
        // The end has begun, not come: a close frame is to be written, and the peer may have one on its way.
        result = result.and(told.map_err(Into::into));
        answered?;
        driver.write(&mut storage, stream)?;
    }
}

fn answer(connection: &mut Connection, event: Event<'_>) -> Result<(), SendError> {
    match event {
        // A bad request for a WebSocket is refused here too, with the status that fits.
        Event::Request(request) if request.is_upgrade() => connection.accept(request.accept_first_subprotocol())?,
        Event::Request(request) => answer_http(connection, &request)?,
        Event::Text(text) => {
            connection.send_text(&text)?;
            if let Cow::Owned(text) = text {
                connection.recycle(text.into_bytes());
            }
        }
        Event::Binary(bytes) => {
            connection.send_binary(&bytes)?;
            if let Cow::Owned(bytes) = bytes {
                connection.recycle(bytes);
            }
        }
        // The answers to pings and closes are outbound already.
        _ => {}
    }
    Ok(())
}

/// Answers a request that asks for no WebSocket.
fn answer_http(connection: &mut Connection, request: &Request<'_>) -> Result<(), SendError> {
    let (status, kind, body) = match (request.method(), request.path()) {
        ("GET" | "HEAD", "/") => (200, "text/html; charset=utf-8", PAGE),
        ("GET" | "HEAD", _) => (404, "text/plain; charset=utf-8", "Nothing here.\n"),
        _ => return connection.reject(405, &[("Allow", "GET, HEAD")], b""),
    };
    // The answer to HEAD has the length that the answer to GET has, and no body.
    let length = body.len().to_string();
    let body = if request.method() == "HEAD" { "" } else { body };
    connection.reject(status, &[("Content-Type", kind), ("Content-Length", &length)], body.as_bytes())
}
