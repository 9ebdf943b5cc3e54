//! Decodes a captured stream of bytes, one direction of a connection, to lines of JSON.
//!
//! ```text
//! cargo run --release --example inspect -- --role server capture.bin
//! ```
//!
//! It shows the core without any transport. The bytes go in one at a time, which costs no more than any other cutting
//! and makes it known to the byte where each event ends. What the connection wants to send stays where it is.
//!
//! A server's stream begins with a response whose `Sec-WebSocket-Accept` answers a key that is in the other direction.
//! So there is nothing to hold it against: its head is read here, unchecked, and the connection is opened behind it, as
//! it is after any handshake done elsewhere.

use serde_json::{Value, json};
use sockless::{Config, Connection, Event, HandshakeError, Limits, Negotiated, Origins, ProtocolError, Role, Seed};
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::process::ExitCode;
use std::slice;
use std::sync::Arc;

const HELP: &str = "\
Decodes the bytes that one end of a WebSocket connection received, and prints each event as a line of JSON.

Usage: inspect [OPTIONS] --role server|client [FILE]

Without FILE, or with -, standard input is read.

Options:
  --role ROLE         whose input it is: server for what a client sent, client for what a server sent
  --after-handshake   the bytes begin with frames, not with an HTTP request or response
  --max-message BYTES take messages up to this length [default: 1048576]
  --max-fragments N   take messages in up to this many fragments [default: 4096]
  --help              print this

Every line has a \"type\" and an \"offset\": how many bytes had come when the event was complete. A text message has its
text as \"payload\", binary messages, pings and pongs theirs as hex, and a \"length\" in bytes. A client's request is
taken from any origin; no extension is. A server's response is not checked against the request, which is not in these
bytes.

What breaks the protocol is a line of the type \"error\", with the \"close_code\" that answers it, if one does. So is an
end before the closing handshake, as in a capture that was cut. Bytes behind a close frame are not looked at.

Exit status: 0 if the stream is whole and well, 1 after an error, 2 for wrong usage or a file that cannot be read.
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("inspect: {message}");
            ExitCode::from(2)
        }
    }
}

/// Whether the stream is well.
fn run() -> Result<bool, String> {
    let Some((decoder, file)) = options().map_err(|error| format!("{error}; see --help"))? else {
        return or_unread(write!(io::stdout(), "{HELP}").map(|()| true));
    };
    let input: Box<dyn Read> = match file.as_str() {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(File::open(path).map_err(|error| format!("{path}: {error}"))?),
    };
    or_unread(inspect(input, decoder, BufWriter::new(io::stdout().lock())))
}

/// It is no failure if nobody wants to read the rest of what is printed.
fn or_unread(result: io::Result<bool>) -> Result<bool, String> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        result => result.map_err(|error| error.to_string()),
    }
}

/// The decoder and the file that the arguments ask for; `None` if they ask for help.
fn options() -> Result<Option<(Decoder, String)>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut role = None;
    let mut after_handshake = false;
    let mut file = None;
    let mut config = Config::default();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("role") => role = Some(arguments.value()?.parse_with(parse_role)?),
            Long("after-handshake") => after_handshake = true,
            Long("max-message") => config.limits.message = arguments.value()?.parse()?,
            Long("max-fragments") => config.limits.fragments = arguments.value()?.parse()?,
            Long("help") | Short('h') => return Ok(None),
            Value(value) if file.is_none() => file = Some(value.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    config.origins = Origins::Any;
    let config = Arc::new(config);
    let decoder = match role.ok_or("--role is missing")? {
        role if after_handshake => Decoder::open(role, config),
        Role::Server => Decoder::Connection(Box::new(Connection::server(config))),
        Role::Client => Decoder::Response { head: Vec::new(), config },
    };
    Ok(Some((decoder, file.unwrap_or_else(|| "-".into()))))
}

fn parse_role(argument: &str) -> Result<Role, &'static str> {
    match argument {
        "server" => Ok(Role::Server),
        "client" => Ok(Role::Client),
        _ => Err("a role is server or client"),
    }
}

/// Prints what is in the input; whether it is well.
fn inspect(mut input: impl Read, mut decoder: Decoder, mut output: impl Write) -> io::Result<bool> {
    let mut buffer = vec![0; 64 << 10];
    let mut offset = 0;
    let mut result = Ok(());
    while result.is_ok() {
        let n = input.read(&mut buffer)?;
        if n == 0 {
            result = decoder.receive_eof();
            break;
        }
        for byte in &mut buffer[..n] {
            offset += 1;
            result = decode(byte, &mut decoder, |event| print(event, offset, &mut output))?;
            if result.is_err() {
                break;
            }
        }
    }
    if let Err(error) = result {
        let code = error.close_code().map(u16::from);
        print(json!({"type": "error", "message": error.to_string(), "close_code": code}), offset, &mut output)?;
    }
    output.flush()?;
    Ok(result.is_ok())
}

/// Decodes one byte more, and prints the events that it completes.
fn decode(
    byte: &mut u8,
    decoder: &mut Decoder,
    mut print: impl FnMut(Value) -> io::Result<()>,
) -> io::Result<Result<(), ProtocolError>> {
    let mut input = slice::from_mut(byte);
    loop {
        match decoder.receive(&mut input) {
            Ok(Some(event)) => print(event)?,
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
    }
}

fn print(mut event: Value, offset: u64, output: &mut impl Write) -> io::Result<()> {
    event["offset"] = offset.into();
    writeln!(output, "{event}")
}

enum Decoder {
    /// In the head of a server's response.
    Response {
        head: Vec<u8>,
        config: Arc<Config>,
    },
    Connection(Box<Connection>),
    /// In the body of a response that refuses.
    Refused,
}

impl Decoder {
    fn open(role: Role, config: Arc<Config>) -> Self {
        // A seed masks what is sent, and nothing is.
        let seed = Seed::new([0; 16]);
        Self::Connection(Box::new(Connection::open(role, Negotiated::default(), config, seed)))
    }

    fn receive(&mut self, input: &mut &mut [u8]) -> Result<Option<Value>, ProtocolError> {
        match self {
            Self::Response { .. } => Ok(self.receive_response(input)?),
            Self::Connection(connection) => receive_event(connection, input),
            Self::Refused => Ok(None),
        }
    }

    /// Takes the one byte there is, and the head if it ends there.
    fn receive_response(&mut self, input: &mut &mut [u8]) -> Result<Option<Value>, HandshakeError> {
        let Self::Response { head, config } = self else { return Ok(None) };
        head.extend_from_slice(input);
        *input = &mut [];
        if head.len() > config.limits.head {
            return Err(HandshakeError::HeadTooLong { limit: Limits::HEAD as u32 });
        }
        if !head.ends_with(b"\r\n\r\n") {
            return Ok(None);
        }
        let (status, response) = parse_response(head)?;
        match status {
            101 => *self = Self::open(Role::Client, config.clone()),
            // An interim response, which another one follows.
            100..=199 => head.clear(),
            _ => *self = Self::Refused,
        }
        Ok(Some(response))
    }

    fn receive_eof(&mut self) -> Result<(), ProtocolError> {
        match self {
            Self::Response { .. } => Err(HandshakeError::UnexpectedEof.into()),
            Self::Connection(connection) => connection.receive_eof().map(|_| ()),
            Self::Refused => Ok(()),
        }
    }
}

fn receive_event(connection: &mut Connection, input: &mut &mut [u8]) -> Result<Option<Value>, ProtocolError> {
    let Some(event) = connection.receive(input)? else { return Ok(None) };
    if let Event::Request(request) = &event {
        // Frames follow only what was accepted. A request that cannot be is the error of the next call.
        let accepted = connection.accept(request.accept());
        debug_assert_eq!(accepted, Ok(()), "nothing was added that could be wrong");
    }
    Ok(Some(describe(&event)))
}

fn describe(event: &Event<'_>) -> Value {
    match event {
        Event::Text(text) => json!({"type": "text", "length": text.len(), "payload": text}),
        Event::Binary(bytes) => json!({"type": "binary", "length": bytes.len(), "payload": hex(bytes)}),
        Event::Ping(bytes) => json!({"type": "ping", "length": bytes.len(), "payload": hex(bytes)}),
        Event::Pong(bytes) => json!({"type": "pong", "length": bytes.len(), "payload": hex(bytes)}),
        Event::Close(close) => {
            json!({"type": "close", "code": u16::from(close.code), "name": close.code.name(), "reason": close.reason})
        }
        Event::Request(request) => json!({
            "type": "request",
            "method": request.method(),
            "target": request.target(),
            "headers": headers(request.headers()),
        }),
        // No other comes here: pieces were not asked for, and responses are read by `parse_response`.
        event => json!({"type": format!("{event:?}")}),
    }
}

/// Names and values in order, which an object would lose, and with it what was sent twice.
fn headers<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Vec<(&'h str, String)> {
    headers.map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned())).collect()
}

/// The status of a response, and the line about it.
fn parse_response(head: &[u8]) -> Result<(u16, Value), HandshakeError> {
    let mut slots = [httparse::EMPTY_HEADER; 100];
    let mut response = httparse::Response::new(&mut slots);
    response.parse(head).map_err(|error| match error {
        httparse::Error::TooManyHeaders => HandshakeError::TooManyFields { limit: Limits::MOST_FIELDS as u32 },
        _ => HandshakeError::Malformed,
    })?;
    let status = response.code.ok_or(HandshakeError::Malformed)?;
    let headers = headers(response.headers.iter().map(|header| (header.name, header.value)));
    Ok((status, json!({"type": "response", "status": status, "headers": headers})))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
