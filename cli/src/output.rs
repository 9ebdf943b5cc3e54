//! What the command says: messages on standard output, all else on standard error, or all as JSON lines.

use crate::stdout::Outlet;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sockless_tokio::sockless::{DeflateParams, Negotiated};
use sockless_tokio::{Close, Message, Response};
use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant, SystemTime};

/// Says something on standard error, whether or not there is anybody to hear it.
macro_rules! note {
    ($($what:tt)*) => {
        _ = ::std::io::Write::write_fmt(&mut ::std::io::stderr(), format_args!("{}\n", format_args!($($what)*)))
    };
}
pub(crate) use note;

/// How messages stand on standard input and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// A line each.
    Text,
    /// Bytes as they are, without a mark where one message ends.
    Bytes,
    /// Binary ones as a line of hex each.
    Hex,
    /// The same in base64.
    Base64,
}

/// What happens on a connection.
pub(crate) enum Told<'a> {
    /// The request, which is about to be sent.
    Request(&'a str),
    Open(&'a str, &'a Response<'static>, Negotiated),
    Message(&'a Message),
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    RoundTrip(Duration),
    /// By the peer.
    Closed(&'a Close<'static>),
    /// There is no connection, for this reason; another is tried after this time.
    Lost(&'a str, Option<Duration>),
}

impl Told<'_> {
    /// The same for programs, but for its time; `None` if it is not to be said.
    pub(crate) fn object(&self, verbose: bool) -> Option<Value> {
        Some(match self {
            Told::Request(head) => return verbose.then(|| json!({ "event": "request", "head": head })),
            Told::Open(url, response, negotiated) => {
                let object = json!({
                    "event": "open",
                    "url": url,
                    "status": response.status(),
                    "subprotocol": response.subprotocol(),
                    "compression": negotiated.deflate().map(|params| described(&params, OF_AN_END)),
                });
                with_head(object, response.as_bytes(), verbose)
            }
            Told::Message(message) => match message.as_text() {
                Some(text) => json!({ "event": "message", "type": "text", "text": text }),
                None => json!({ "event": "message", "type": "binary", "base64": STANDARD.encode(message.as_bytes()) }),
            },
            Told::Ping(payload) => json!({ "event": "ping", "base64": STANDARD.encode(payload) }),
            Told::Pong(payload) => json!({ "event": "pong", "base64": STANDARD.encode(payload) }),
            Told::RoundTrip(time) => json!({ "event": "round_trip", "ms": millis(*time) }),
            Told::Closed(close) => {
                json!({ "event": "close", "code": u16::from(close.code), "reason": close.reason })
            }
            Told::Lost(reason, wait) => {
                json!({ "event": "lost", "error": reason, "again_in_ms": wait.map(millis) })
            }
        })
    }
}

/// An object, with a head where all is to be said.
pub(crate) fn with_head(mut object: Value, head: &[u8], verbose: bool) -> Value {
    if verbose {
        object["head"] = String::from_utf8_lossy(head).into();
    }
    object
}

/// Says what happens, for people or for programs.
pub(crate) struct Printer {
    pub(crate) coding: Coding,
    pub(crate) json: bool,
    pub(crate) verbose: bool,
    /// JSON among the messages is set out, for people.
    pub(crate) pretty: bool,
    /// Where lines go while another is typed, in place of both outputs.
    pub(crate) above: Option<Above>,
    pub(crate) outlet: Outlet,
    started: (SystemTime, Instant),
}

/// Takes lines, each with its end.
pub(crate) type Above = Box<dyn Fn(String) -> io::Result<()>>;

impl Printer {
    pub(crate) fn new(coding: Coding, json: bool, verbose: bool) -> Self {
        let started = (SystemTime::now(), Instant::now());
        Self { coding, json, verbose, pretty: false, above: None, outlet: Outlet::new(), started }
    }

    /// Says it.
    ///
    /// # Errors
    /// Nobody reads standard output any more.
    pub(crate) fn tell(&self, told: &Told<'_>) -> io::Result<()> {
        match (self.json, told) {
            (true, told) => self.object(told),
            (false, Told::Message(message)) => self.message(message),
            (false, told) => {
                self.say(told);
                Ok(())
            }
        }
    }

    fn message(&self, message: &Message) -> io::Result<()> {
        let bytes = message.as_bytes();
        let line = match self.coding {
            Coding::Bytes => return self.outlet.print(bytes.to_vec()),
            Coding::Hex => hex::encode(bytes).into(),
            Coding::Base64 => STANDARD.encode(bytes).into(),
            Coding::Text => match message.as_text() {
                Some(text) => {
                    let text = self.pretty.then(|| pretty(text)).flatten().map_or(Cow::Borrowed(text), Cow::Owned);
                    if io::stdout().is_terminal() { harmless(&text).into_owned().into() } else { text }
                }
                None => format!("hex:{}", hex::encode(bytes)).into(),
            },
        };
        match &self.above {
            Some(above) => above(format!("{line}\n")),
            None => self.outlet.print(format!("{line}\n").into_bytes()),
        }
    }

    fn note(&self, line: &str) {
        match &self.above {
            Some(above) => _ = above(format!("{line}\n")),
            None => self.outlet.note(line),
        }
    }

    fn say(&self, told: &Told<'_>) {
        match told {
            Told::Request(head) if self.verbose => {
                head.lines().for_each(|line| self.note(&format!("> {}", harmless(line))))
            }
            Told::Open(url, response, negotiated) if self.verbose => {
                let head = String::from_utf8_lossy(response.as_bytes());
                head.lines().for_each(|line| self.note(&format!("< {}", harmless(line))));
                self.note(&format!("* subprotocol: {}", response.subprotocol().unwrap_or("none")));
                self.note(&format!(
                    "* compression: {}",
                    negotiated.deflate().map_or("none".into(), |params| described(&params, OF_AN_END))
                ));
                self.note(&format!("* connected to {url}"));
            }
            Told::Open(url, ..) if io::stdin().is_terminal() && io::stderr().is_terminal() => {
                self.note(&format!("connected to {url}; a line is a message, Ctrl-D ends"));
            }
            Told::Ping(payload) if self.verbose => self.note(&format!("* ping {}", payload.escape_ascii())),
            Told::Pong(payload) if self.verbose => self.note(&format!("* pong {}", payload.escape_ascii())),
            Told::RoundTrip(time) => self.note(&format!("* round trip {:.3} ms", millis(*time))),
            Told::Closed(close) if self.verbose => self.note(&format!("* {}", said(close))),
            Told::Lost(reason, Some(wait)) => self.note(&format!("* {reason}; again in {:.1} s", wait.as_secs_f64())),
            _ => {}
        }
    }

    fn object(&self, told: &Told<'_>) -> io::Result<()> {
        let Some(mut object) = told.object(self.verbose) else { return Ok(()) };
        object["time"] = self.now();
        self.outlet.print(format!("{object}\n").into_bytes())
    }

    /// Milliseconds since 1970, that never go back.
    fn now(&self) -> Value {
        let (started, clock) = self.started;
        let since = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + clock.elapsed();
        // To a microsecond, which is what a number has room for.
        json!(since.as_micros() as f64 / 1e3)
    }
}

/// How a peer closed.
pub(crate) fn said(close: &Close<'_>) -> String {
    match &*close.reason {
        "" => format!("closed with {}", close.code),
        reason => format!("closed with {}: {}", close.code, harmless(reason)),
    }
}

/// How one end calls the two directions.
const OF_AN_END: [&str; 2] = ["sent", "received"];

/// What compression agreed on, in words of RFC 7692, for what an end sends and what it receives, by these names.
pub(crate) fn described(params: &DeflateParams, [sent, received]: [&str; 2]) -> String {
    let one =
        |bits: u8, takeover: bool| format!("window {bits}, {}", if takeover { "takeover" } else { "no takeover" });
    let out = one(params.window_bits, params.takeover);
    format!("permessage-deflate; {sent}: {out}; {received}: {}", one(params.peer_window_bits, params.peer_takeover))
}

/// JSON set out over lines, its names in their order and its numbers as they were written; `None` for what is no object or
/// list.
fn pretty(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    if !value.is_object() && !value.is_array() {
        return None;
    }
    let (mut shown, mut depth, mut before, mut in_string, mut escaped) = (String::new(), 0_usize, ' ', false, false);
    for letter in text.chars() {
        if in_string {
            shown.push(letter);
            in_string = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        if letter.is_ascii_whitespace() {
            continue;
        }
        let (closes, opened) = (matches!(letter, '}' | ']'), matches!(before, '{' | '['));
        depth -= usize::from(closes);
        // What is empty stays in one piece.
        if if closes { !opened } else { opened || before == ',' } {
            shown.push('\n');
            shown.extend(std::iter::repeat_n("  ", depth));
        }
        shown.push(letter);
        if letter == ':' {
            shown.push(' ');
        }
        depth += usize::from(matches!(letter, '{' | '['));
        in_string = letter == '"';
        before = letter;
    }
    Some(shown)
}

/// Text whose control characters cannot move a terminal's cursor, or worse.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if !text.contains(is_harmful) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_harmful(letter) { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    shown.into()
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_set_out_as_it_was_written() {
        let text = r#"{"b":[1,2.50,{}],"a" : {"x":"{,\"[ \\"},"c":[ ] ,"d":12345678901234567890123}"#;
        let shown = r#"{
  "b": [
    1,
    2.50,
    {}
  ],
  "a": {
    "x": "{,\"[ \\"
  },
  "c": [],
  "d": 12345678901234567890123
}"#;
        assert_eq!(pretty(text).as_deref(), Some(shown));
        assert_eq!([pretty("1"), pretty("no"), pretty("{} {}"), pretty("")], [None, None, None, None]);
    }

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        assert_eq!(harmless("a\tb\u{1b}[2J\u{9b}é"), "a\tb\\u{1b}[2J\\u{9b}é");
        assert!(matches!(harmless("plain\n"), Cow::Borrowed(_)));
    }
}
