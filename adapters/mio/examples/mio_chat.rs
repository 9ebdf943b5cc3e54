//! A chat: rooms are topics, who comes and goes is told, and a page served over the same port speaks it in a browser.
//!
//! ```text
//! cargo run --release -p sockless-mio --example mio_chat
//! ```
//!
//! A client connects to `/chat?name=NAME`, and sends lines: `/join ROOM`, `/leave ROOM`, `/who`, `/count`, or what it has
//! to say in its rooms.

use sockless_mio::sockless::Origins;
use sockless_mio::{
    Answer, Builder, Closed, Code, Config, Conn, Error, Handler, Message, Prepared, Reject, Request, Server, Tls,
};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const HELP: &str = "\
A chat with rooms, and a page to use it from at the same address.

Usage: mio_chat [OPTIONS]

Options:
  --listen ADDR        where to listen, port 0 for any free port, unix:PATH for a Unix socket; may be repeated
                       [default: 127.0.0.1:9001]
  --listen-tls ADDR    the same with TLS
  --certificate FILE   the certificate chain for TLS, in PEM
  --key FILE           its key, in PEM
  --make-certificate FOLDER
                       write a self-signed certificate for localhost there, certificate.pem and key.pem, and exit
  --workers N          threads [default: one for each core]
  --any-origin         take pages of other origins too
  --help               print this
";

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

    fn on_shutdown(&self, conn: &mut Conn<'_, Guest>) {
        _ = conn.send_text("* the chat closes");
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

fn main() -> ExitCode {
    let builder = match options() {
        Ok(Some(builder)) => builder,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mio_chat: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    match serve(builder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mio_chat: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(builder: Builder) -> Result<(), Error> {
    let server = builder.bind(Chat::default())?;
    for address in server.addresses() {
        println!("listening on {address}");
    }
    std::io::stdout().flush()?;
    let handle = server.handle();
    ctrlc::set_handler(move || _ = handle.shutdown(Duration::from_secs(5)))?;
    let report = server.run()?;
    println!("{} closed, {} not in time", report.closed, report.cut_off.len());
    Ok(())
}

/// What the arguments ask for; `None` if that is done already.
fn options() -> Result<Option<Builder>, Error> {
    use lexopt::prelude::*;
    let mut builder = Server::builder();
    let mut config = Config::default();
    let (mut certificate, mut key, mut listens) = (None, None, false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => {
                listens = true;
                builder = builder.listen(arguments.value()?.string()?);
            }
            Long("listen-tls") => {
                listens = true;
                builder = builder.listen_tls(arguments.value()?.string()?);
            }
            Long("certificate") => certificate = Some(arguments.value()?),
            Long("key") => key = Some(arguments.value()?),
            Long("make-certificate") => {
                make_certificate(arguments.value()?.as_ref())?;
                return Ok(None);
            }
            Long("workers") => builder = builder.workers(arguments.value()?.parse()?),
            Long("any-origin") => config.origins = Origins::Any,
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(None);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    if let (Some(certificate), Some(key)) = (certificate, key) {
        builder = builder.tls(Tls::server(certificate, key)?);
    }
    if !listens {
        builder = builder.listen("127.0.0.1:9001");
    }
    // What is said in a chat is short.
    config.limits.message = 4096;
    Ok(Some(builder.config(config)))
}

/// For trying TLS out; a real server has a certificate that browsers trust.
fn make_certificate(folder: &std::path::Path) -> Result<(), Error> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("certificate.pem"), made.cert.pem())?;
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(())
}
