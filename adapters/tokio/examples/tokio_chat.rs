//! A chat with rooms, and its page in the browser on the same port; on several nodes over a NATS broker.
//!
//! ```text
//! cargo run --release -p sockless-tokio --features axum,nats --example tokio_chat -- 127.0.0.1:9001 nats://127.0.0.1:4222
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
use tokio::net::TcpListener;

/// What waits for the broker while it is away.
const WAITING: Bounds = Bounds { messages: 10_000, bytes: 16 << 20 };

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let listener = TcpListener::bind(words.next().as_deref().unwrap_or("127.0.0.1:9001")).await?;
    let hub = match words.next() {
        Some(broker) => {
            let client = async_nats::ConnectOptions::new().no_echo().connect(broker).await?;
            Hub::over_nats(client, "tokio_chat", WAITING).await?
        }
        None => Hub::new(),
    };
    let page = get(async || Html(include_str!("tokio_chat.html")));
    let app = Router::new().route("/", page).route("/rooms/{room}", any(join)).with_state(hub);
    println!("listening on {}", listener.local_addr()?);
    // Each write is all that there is to say, so nothing is won by holding it back.
    axum::serve(listener.tap_io(|stream| _ = stream.set_nodelay(true)), app).await?;
    Ok(())
}

async fn join(upgrade: WebSocketUpgrade, Path(room): Path<String>, State(hub): State<Hub>) -> Response {
    let mut config = Config::default();
    config.limits.message = 4 << 10;
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
