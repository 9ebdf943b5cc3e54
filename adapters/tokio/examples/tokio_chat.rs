//! A chat with rooms, and its page in the browser on the same port; on several nodes over a NATS broker.
//!
//! ```text
//! cargo run --release -p sockless-tokio --features axum,nats --example tokio_chat
//! ```
//!
//! `chat` is all that there is to it: a room is a topic of the hub, and every future that loses in `select!` has lost
//! nothing.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{Html, Response};
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use sockless_tokio::sockless::{Code, Config, Prepared};
use sockless_tokio::{Bounds, Delivery, Error, Hub, Slow, Upgraded, WebSocket, WebSocketUpgrade};
use std::process::ExitCode;
use tokio::net::TcpListener;

const HELP: &str = "\
A chat with rooms: open the address that it prints in a browser.

Usage: tokio_chat [OPTIONS]

Options:
  --listen ADDR  where to listen, port 0 for any free port [default: 127.0.0.1:9001]
  --nats URL     share the rooms with all nodes that use this NATS broker, such as nats://127.0.0.1:4222
  --help         print this
";

/// The longest message, in bytes.
const LONGEST: usize = 4 << 10;

/// What waits for the broker while it is away.
const WAITING: Bounds = Bounds { messages: 10_000, bytes: 16 << 20 };

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokio_chat: {error}; see --help");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), AnyError> {
    use lexopt::prelude::*;
    let (mut listen, mut nats) = ("127.0.0.1:9001".to_string(), None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => listen = arguments.value()?.string()?,
            Long("nats") => nats = Some(arguments.value()?.string()?),
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let hub = match nats {
        Some(url) => {
            let client = async_nats::ConnectOptions::new().no_echo().connect(url).await?;
            Hub::over_nats(client, "tokio_chat", WAITING).await?
        }
        None => Hub::new(),
    };
    let app = Router::new()
        .route("/", get(async || Html(include_str!("tokio_chat.html"))))
        .route("/rooms/{room}", any(join))
        .with_state(hub);
    let listener = TcpListener::bind(&listen).await?;
    println!("listening on {}", listener.local_addr()?);
    // Each write is all that there is to say, so nothing is won by holding it back.
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    axum::serve(listener, app).await?;
    Ok(())
}

async fn join(upgrade: WebSocketUpgrade, Path(room): Path<String>, State(hub): State<Hub>) -> Response {
    let mut config = Config::default();
    config.limits.message = LONGEST;
    upgrade.config(config).on_upgrade(async move |socket| {
        if let Err(error) = chat(socket, &room, &hub).await {
            eprintln!("{room}: {error}");
        }
    })
}

async fn chat(mut socket: WebSocket<Upgraded>, room: &str, hub: &Hub) -> Result<(), Error> {
    let mut member = hub.member(Bounds::default(), Slow::Drop);
    member.join(room);
    loop {
        tokio::select! {
            message = socket.recv() => match message? {
                Some(message) => match message.as_text() {
                    Some(text) => _ = hub.publish(room, &Prepared::text(text)),
                    None => return socket.close(Code::UNSUPPORTED, "text only").await,
                },
                None => return Ok(()),
            },
            delivery = member.recv() => match delivery {
                Some(Delivery::Message { message, .. }) => socket.send_prepared(&message).await?,
                Some(Delivery::Missed(_)) => {}
                None => return socket.close(Code::TRY_LATER, "too slow").await,
            },
        }
    }
}
