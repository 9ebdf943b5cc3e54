//! A chat to begin with: users by their cookie, a room at each path, a rate, slow peers sent away, a goodbye at the end, and
//! numbers for Prometheus at `/metrics`, on the same port.
//!
//! ```text
//! cargo run --release -p sockless-tokio --features metrics --example tokio_rooms -- 127.0.0.1:9001
//! ```

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use sockless_tokio::sockless::{Config, Drain, Excess, Prepared, Rate, seen::names};
use sockless_tokio::{Bounds, Code, Delivery, Error, Hub, Message, NetStream, Reject, Server, Slow, WebSocket, listen};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(names::HANDLER_SECONDS.into()), names::BUCKETS)?
        .install_recorder()?;
    let mut config = Config::default();
    config.limits.message = 1 << 10;
    (config.rates.messages, config.rates.excess) = (Some(Rate::per_second(5).burst(50)), Excess::Close);
    let drain = Drain { span: Duration::from_secs(5), code: Code::RESTART, ..Drain::default() };

    let listeners = listen(&std::env::args().nth(1).unwrap_or("127.0.0.1:9001".into())).await?;
    println!("listening on {}", listeners[0].local_addr()?);
    let rooms = Hub::new();
    let server = Server::new().config(config).drain(drain)?.answer(move |request, _| {
        let is_word = |word: &&str| (1..=20).contains(&word.len()) && word.bytes().all(|it| it.is_ascii_alphanumeric());
        let guest = (|| {
            if request.path() == "/metrics" {
                return Err(Reject::page("text/plain; version=0.0.4", numbers.render()));
            }
            let room = request.path().strip_prefix('/').filter(is_word).ok_or(Reject::new(404))?;
            let user = request.cookie("user").filter(is_word).ok_or(Reject::new(401))?;
            Ok((request.accept(), (user.to_owned(), room.to_owned())))
        })();
        async { guest }
    });
    let server = server.shutdown(async { _ = tokio::signal::ctrl_c().await });
    let chat = move |socket, _, (user, room)| chat(socket, user, room, rooms.clone());
    println!("{:?}", server.serve(listeners, chat).await);
    Ok(())
}

async fn chat(mut socket: WebSocket<NetStream>, user: String, room: String, rooms: Hub) -> Result<(), Error> {
    let mut member = rooms.member(Bounds { messages: 1000, bytes: 64 << 10 }, Slow::Drop);
    member.join(&room);
    let say = |text: &str| _ = rooms.publish(&room, &Prepared::text(&format!("{user}: {text}")));
    say("is here");
    let ended = loop {
        tokio::select! {
            message = socket.recv() => match message {
                Ok(Some(Message::Text(text))) => say(&text),
                Ok(Some(_)) => break socket.close(Code::UNSUPPORTED, "text only").await,
                ended => break ended.map(drop),
            },
            delivery = member.recv() => match delivery {
                Some(Delivery::Message { message, .. }) => match socket.send_prepared(&message).await {
                    Ok(()) => {}
                    gone => break gone,
                },
                Some(Delivery::Missed(_)) => {}
                None => break socket.close(Code::TRY_LATER, "too slow").await,
            },
        }
    };
    say("has gone");
    ended
}
