//! A chat to begin with: users by their cookie, a room at each path, a rate, slow peers sent away, a goodbye at the end, and numbers for
//! Prometheus at `/metrics`, on the same port.
//!
//! ```text
//! cargo run --release -p sockless-mio --features metrics --example mio_rooms -- 127.0.0.1:9001
//! ```

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sockless_mio::sockless::{Code, Drain, Excess, Prepared, Rate, Reject, seen::names};
use sockless_mio::{Answer, Closed, Config, Conn, Error, Handler, Message, Request, Server};
use std::time::Duration;

struct Rooms(PrometheusHandle);

/// A user and a room.
type Guest = (String, String);

impl Handler for Rooms {
    type State = Guest;

    fn on_request(&self, conn: &mut Conn<'_, Guest>, request: &Request<'_>) -> Answer {
        if request.path() == "/metrics" {
            return Reject::page("text/plain; version=0.0.4", self.0.render()).into();
        }
        let is_word = |word: &&str| (1..=20).contains(&word.len()) && word.bytes().all(|it| it.is_ascii_alphanumeric());
        let Some(room) = request.path().strip_prefix('/').filter(is_word) else { return Reject::new(404).into() };
        let Some(user) = request.cookie("user").filter(is_word) else { return Reject::new(401).into() };
        *conn.state_mut() = (user.into(), room.into());
        request.accept().into()
    }

    fn on_open(&self, conn: &mut Conn<'_, Guest>) {
        let room = conn.state().1.clone();
        conn.subscribe(&room);
        say(conn, "is here");
    }

    fn on_message(&self, conn: &mut Conn<'_, Guest>, message: Message<'_>) -> Result<(), Error> {
        match message.as_text() {
            Some(text) => say(conn, text),
            None => conn.close(Code::UNSUPPORTED, "text only")?,
        }
        Ok(())
    }

    fn on_backpressure(&self, conn: &mut Conn<'_, Guest>) {
        _ = conn.close(Code::TRY_LATER, "too slow");
    }

    fn on_close(&self, conn: &mut Conn<'_, Guest>, _: Closed) {
        say(conn, "has gone");
    }
}

/// To all in the room: framed once.
fn say(conn: &mut Conn<'_, Guest>, text: &str) {
    let line = Prepared::text(&format!("{}: {text}", conn.state().0));
    let room = conn.state().1.clone();
    conn.publish(&room, &line);
    _ = conn.send_prepared(&line); // which fails if it has gone itself
}

fn main() -> Result<(), Error> {
    let mut config = Config::default();
    (config.limits.message, config.outbound.soft) = (1 << 10, 64 << 10);
    (config.rates.messages, config.rates.excess) = (Some(Rate::per_second(5).burst(50)), Excess::Close);
    let buckets = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(names::HANDLER_SECONDS.into()), names::BUCKETS)?;
    let rooms = Rooms(buckets.install_recorder()?);
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9001".into());
    let server = Server::builder().listen(address).config(config).bind(rooms)?;
    println!("listening on {}", server.addresses()[0]);
    let handle = server.handle();
    let drain = Drain { span: Duration::from_secs(5), code: Code::RESTART, ..Drain::default() };
    ctrlc::set_handler(move || _ = handle.shutdown(drain.clone()))?;
    println!("{:?}", server.run()?);
    Ok(())
}
