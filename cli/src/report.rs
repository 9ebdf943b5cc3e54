//! What is seen of connections between others, for people or as JSON lines.

use crate::dialogue::{Seen, Side, What};
use crate::output::{Told, described, harmless, with_head};
use clap::Args;
use serde_json::{Value, json};
use sockless_tokio::Message;
use std::io::{self, Write};
use std::time::Duration;

/// How what is seen is written.
#[derive(Args, Clone, Copy)]
pub(crate) struct Form {
    /// Prints a JSON object for all that happens, a line each
    #[arg(long)]
    pub(crate) json: bool,
    /// Shows heads, and where in the stream all lies
    #[arg(short, long)]
    verbose: bool,
}

/// Writes what is seen, a line each.
pub(crate) struct Report<W> {
    output: W,
    form: Form,
    /// The time of the first thing that was seen, which people's times count from.
    first: Option<Duration>,
    /// Whether a rule was seen to be broken.
    pub(crate) is_faulty: bool,
}

/// Which connection it is, and when: since 1970, if that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) connection: u64,
    pub(crate) time: Option<Duration>,
}

impl<W: Write> Report<W> {
    pub(crate) fn new(output: W, form: Form) -> Self {
        Self { output, form, first: None, is_faulty: false }
    }

    /// A connection begins.
    ///
    /// # Errors
    /// Nobody reads the output.
    pub(crate) fn begin(&mut self, at: At, client: &str, server: &str) -> io::Result<()> {
        let object = json!({ "event": "connection", "client": client, "server": server });
        self.say(at, None, object, || format!("{client} to {server}"))
    }

    /// Something happens to a connection as a whole, or to one direction of it.
    ///
    /// # Errors
    /// Nobody reads the output.
    pub(crate) fn mark(&mut self, at: At, from: Option<Side>, event: &str, what: &str) -> io::Result<()> {
        self.say(at, from, json!({ "event": event, "what": what }), || format!("{event}: {what}"))
    }

    /// One end says something.
    ///
    /// # Errors
    /// Nobody reads the output.
    pub(crate) fn tell(&mut self, at: At, seen: &Seen) -> io::Result<()> {
        self.is_faulty |= matches!(seen.what, What::Fault(_));
        let verbose = self.form.verbose;
        let mut object = object(&seen.what, verbose);
        match seen.what {
            // Of an archive it is not known.
            _ if seen.end == 0 => {}
            What::Fault(_) => {
                object["offset"] = (seen.end - 1).into();
                object["begins"] = seen.start.into();
            }
            _ => {
                object["offset"] = seen.start.into();
                object["bytes"] = (seen.end - seen.start).into();
            }
        }
        let from = seen.from;
        self.say(at, Some(from), object, || line(seen, verbose))?;
        if self.form.json || !verbose {
            return Ok(());
        }
        match &seen.what {
            What::Request(request) => self.head(request.as_bytes(), from),
            What::Open(response, ..) | What::Rejected(response) => self.head(response.as_bytes(), from),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// Nobody reads the output.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn head(&mut self, head: &[u8], from: Side) -> io::Result<()> {
        let head = String::from_utf8_lossy(head);
        head.lines().try_for_each(|line| writeln!(self.output, "    {} {}", arrow(from), harmless(line)))
    }

    fn say(&mut self, at: At, from: Option<Side>, mut object: Value, line: impl FnOnce() -> String) -> io::Result<()> {
        if self.form.json {
            object["connection"] = at.connection.into();
            object["from"] = from.map(Side::name).into();
            object["time"] = at.time.map(|time| time.as_micros() as f64 / 1e3).into();
            return writeln!(self.output, "{object}");
        }
        if let Some(time) = at.time {
            let since = time.saturating_sub(*self.first.get_or_insert(time));
            write!(self.output, "{:12.6} ", since.as_secs_f64())?;
        }
        writeln!(self.output, "#{} {} {}", at.connection, from.map_or('*', arrow), line())
    }
}

/// To the server, or from it, as in the heads of `connect -v`.
const fn arrow(from: Side) -> char {
    match from {
        Side::Client => '>',
        Side::Server => '<',
    }
}

fn object(what: &What, verbose: bool) -> Value {
    let told = match what {
        What::Message(message, frames) => {
            let mut object = Told::Message(message).object(verbose).unwrap_or_default();
            object["frames"] = (*frames).into();
            return object;
        }
        What::Ping(payload) => Told::Ping(payload),
        What::Pong(payload) => Told::Pong(payload),
        What::Close(close) => {
            let mut object = Told::Closed(close).object(verbose).unwrap_or_default();
            object["name"] = close.code.name().into();
            return object;
        }
        What::Request(request) => {
            let object = json!({ "event": "request", "method": request.method(), "target": request.target() });
            return with_head(object, request.as_bytes(), verbose);
        }
        What::Open(response, negotiated, url) => {
            let object = json!({
                "event": "open",
                "url": url,
                "status": response.status(),
                "subprotocol": response.subprotocol(),
                "compression": negotiated.deflate().map(|params| described(&params, ENDS)),
            });
            return with_head(object, response.as_bytes(), verbose);
        }
        What::Rejected(response) => {
            let object = json!({ "event": "rejected", "status": response.status() });
            return with_head(object, response.as_bytes(), verbose);
        }
        What::Fault(fault) => return json!({ "event": "fault", "error": fault.error, "section": fault.section }),
        What::Unread(why) => return json!({ "event": "unread", "what": why }),
    };
    told.object(verbose).unwrap_or_default()
}

/// How many letters of a message are shown to people who have not asked for all.
const MOST_SHOWN: usize = 1000;

const ENDS: [&str; 2] = ["client", "server"];

fn line(seen: &Seen, verbose: bool) -> String {
    let line = match &seen.what {
        What::Request(request) => format!("{} {}", request.method(), one_line(request.target())),
        What::Open(response, negotiated, _) => {
            let subprotocol = response.subprotocol().map_or("none".into(), one_line);
            let compression = negotiated.deflate().map_or("none".into(), |params| described(&params, ENDS));
            format!("open; subprotocol: {subprotocol}; compression: {compression}")
        }
        What::Rejected(response) => format!("rejected: {} {}", response.status(), one_line(response.reason())),
        What::Message(message, frames) => {
            let shown = shown(message, if verbose { usize::MAX } else { MOST_SHOWN });
            if *frames == 1 { shown } else { format!("{shown}, in {frames} frames") }
        }
        What::Ping(payload) => format!("ping {}", payload.escape_ascii()),
        What::Pong(payload) => format!("pong {}", payload.escape_ascii()),
        What::Close(close) => match &*close.reason {
            "" => format!("close {}", close.code),
            reason => format!("close {}: {}", close.code, one_line(reason)),
        },
        What::Fault(fault) => {
            let section = fault.section.map_or_else(String::new, |section| format!(" ({section})"));
            let place = match seen.end.checked_sub(1) {
                Some(at) => format!(" at byte {at}, in what begins at {}", seen.start),
                None => String::new(),
            };
            return format!("FAULT{place}: {}{section}", fault.error);
        }
        What::Unread(why) => return format!("not read: {why}"),
    };
    match verbose {
        true if seen.end > 0 => format!("{line}  [{} bytes at {}]", seen.end - seen.start, seen.start),
        _ => line,
    }
}

/// A message, or no more than so many letters of it, and how long it is.
fn shown(message: &Message, most: usize) -> String {
    let mut shown = match message.as_text() {
        Some(text) => format!("text {}", one_line(text)),
        None => format!("binary {}", hex::encode(message.as_bytes())),
    };
    if let Some((cut, _)) = shown.char_indices().nth(most) {
        shown.truncate(cut);
        shown.push_str(&format!("… of {} bytes", message.len()));
    }
    shown
}

/// Text that stays on its line, and tells a terminal nothing.
fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    shown
}
