//! A chat on mio: rooms are topics, who comes and goes is told, and a page served over the same port speaks it in a browser.
//!
//! ```text
//! cargo run --release -p sockless-test-programs --bin chat -- --listen 127.0.0.1:9001
//! ```
//!
//! A client connects to `/chat?name=NAME`, and sends lines: `/join ROOM`, `/leave ROOM`, `/who`, `/count`, or what it has
//! to say in its rooms.

use clap::Parser;
use sockless_mio::sockless::Origins;
use sockless_mio::{
    Answer, Closed, Code, Config, Conn, Error, Handler, Message, Prepared, Reject, Request, Server, Tls,
};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// A chat with rooms, and a page to use it from at the same address; pages of other origins are taken too
#[derive(Parser)]
struct Arguments {
    /// Where to listen, port 0 for any free port
    #[arg(long)]
    listen: String,
    /// Where to listen by TLS
    #[arg(long, requires = "tls")]
    listen_tls: Option<String>,
    /// The chain of certificates and the key of TLS, in PEM
    #[arg(long, num_args = 2, value_names = ["CHAIN", "KEY"])]
    tls: Option<Vec<PathBuf>>,
}

/// What a browser sees.
const PAGE: &str = include_str!("chat.html");

#[derive(Default)]
struct Chat {
    /// The names in use, by all workers.
    names: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Guest {
    name: String,
    rooms: BTreeSet<String>,
}

impl Handler for Chat {
    type State = Guest;

    fn on_request(&self, conn: &mut Conn<'_, Guest>, request: &Request<'_>) -> Answer {
        match request.path() {
            "/" => return Reject::page("text/html; charset=utf-8", PAGE).into(),
            "/chat" => {}
            _ => return Reject::text(404, "Nothing here.\n").into(),
        }
        let name = request.query().and_then(|query| query.strip_prefix("name=")).unwrap_or_default();
        if name.is_empty() || name.len() > 20 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Reject::text(400, "a name of at most 20 letters and digits, please\n").into();
        }
        let accept = request.accept();
        if accept.check().is_err() {
            return accept.into();
        }
        if !self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned()) {
            return Reject::text(409, "that name is taken\n").into();
        }
        conn.state_mut().name = name.to_owned();
        accept.into()
    }

    fn on_open(&self, conn: &mut Conn<'_, Guest>) {
        let greeting = format!("* hello {}, /join a room", conn.state().name);
        _ = conn.send_text(&greeting);
    }

    fn on_message(&self, conn: &mut Conn<'_, Guest>, message: Message<'_>) -> Result<(), Error> {
        let Message::Text(line) = message else {
            conn.close(Code::UNSUPPORTED, "text only")?;
            return Ok(());
        };
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("/join", room) if !room.is_empty() => join(conn, room),
            ("/leave", room) => leave(conn, room),
            ("/who", _) => {
                let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
                let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
                conn.send_text(&format!("* here: {names}"))?;
            }
            ("/count", _) => {
                let count = conn.handle().count();
                conn.send_text(&format!("* {count} here"))?;
            }
            _ if line.starts_with('/') => _ = conn.send_text("* what?")?,
            _ => say(conn, &line)?,
        }
        Ok(())
    }

    fn on_close(&self, conn: &mut Conn<'_, Guest>, _: Closed) {
        let name = conn.state().name.clone();
        for room in std::mem::take(&mut conn.state_mut().rooms) {
            conn.publish(&room, &Prepared::text(&format!("* {name} left {room}")));
        }
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    }
}

fn join(conn: &mut Conn<'_, Guest>, room: &str) {
    if conn.state_mut().rooms.insert(room.to_owned()) {
        conn.subscribe(room);
        tell(conn, room, &format!("* {} joined {room}", conn.state().name));
    }
}

fn leave(conn: &mut Conn<'_, Guest>, room: &str) {
    if conn.state_mut().rooms.remove(room) {
        tell(conn, room, &format!("* {} left {room}", conn.state().name));
        conn.unsubscribe(room);
    }
}

fn say(conn: &mut Conn<'_, Guest>, line: &str) -> Result<(), Error> {
    let Guest { name, rooms } = conn.state();
    if rooms.is_empty() {
        conn.send_text("* /join a room first")?;
        return Ok(());
    }
    let said: Vec<_> = rooms.iter().map(|room| (room.clone(), format!("{room} {name}: {line}"))).collect();
    said.iter().for_each(|(room, line)| tell(conn, room, line));
    Ok(())
}

/// To all in a room, who speaks included: framed once.
fn tell(conn: &mut Conn<'_, Guest>, room: &str, line: &str) {
    let line = Prepared::text(line);
    conn.publish(room, &line);
    // It may be too slow to hear itself.
    _ = conn.send_prepared(&line);
}

fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    let mut config = Config::default();
    config.origins = Origins::Any;
    // What is said in a chat is short.
    config.limits.message = 4096;
    // One worker: who joins hears nothing that was said before, to another worker.
    let mut builder = Server::builder().config(config).workers(1).listen(arguments.listen);
    if let (Some(address), Some(files)) = (arguments.listen_tls, arguments.tls) {
        builder = builder.listen_tls(address).tls(Tls::server(&files[0], &files[1])?);
    }
    let server = builder.bind(Chat::default())?;
    for address in server.addresses() {
        println!("listening on {address}");
    }
    server.run()?;
    Ok(())
}
