//! Archives of a browser (HAR), with the messages that it has seen.

use crate::dialogue::{Fault, Seen, Side, What};
use crate::report::{At, Report};
use crate::status::{Failure, Status};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sockless_tokio::Message;
use sockless_tokio::sockless::close;
use sockless_tokio::sockless::frame::OpCode;
use std::io::{self, Read, Write};
use std::time::Duration;

/// How long a file may be; it is held as a whole.
const MOST: u64 = 256 << 20;

const BYTE_ORDER: &[u8] = b"\xEF\xBB\xBF";

/// Whether a file that begins so is an archive.
pub(super) fn is_archive(start: &[u8]) -> bool {
    start.strip_prefix(BYTE_ORDER).unwrap_or(start).trim_ascii_start().starts_with(b"{")
}

/// Tells the messages of an archive that begins with `start`.
pub(super) fn read<W: Write>(start: Vec<u8>, input: impl Read, report: &mut Report<W>) -> Result<(), Failure> {
    let unread = |error: &dyn std::fmt::Display| {
        Failure::new(Status::NotConnected, format!("the archive cannot be read: {error}"))
    };
    let mut text = start;
    input.take(MOST).read_to_end(&mut text).map_err(|error| unread(&error))?;
    if text.len() as u64 >= MOST {
        return Err(unread(&"more than 256 MiB"));
    }
    // Some write a mark of the byte order before it.
    let text = text.strip_prefix(BYTE_ORDER).unwrap_or(&text);
    let archive: Value = serde_json::from_slice(text).map_err(|error| unread(&error))?;
    let Some(entries) = archive["log"]["entries"].as_array() else { return Err(unread(&"it has no entries")) };
    let mut connection = 0;
    for entry in entries {
        let Some(messages) = entry["_webSocketMessages"].as_array() else { continue };
        connection += 1;
        // Nobody is left to be told.
        if tell(connection, entry, messages, report).is_err() {
            break;
        }
    }
    Ok(())
}

fn tell<W: Write>(connection: u64, entry: &Value, messages: &[Value], report: &mut Report<W>) -> io::Result<()> {
    let first = messages.first().and_then(time);
    let url = entry["request"]["url"].as_str().unwrap_or("a URL that is not said");
    report.begin(At { connection, time: first }, "the browser", url)?;
    for message in messages {
        let from = match message["type"].as_str() {
            Some("send") => Side::Client,
            Some("receive") => Side::Server,
            _ => continue,
        };
        let at = At { connection, time: time(message) };
        let what = what(message).unwrap_or_else(|error| What::Fault(Fault { error, section: None }));
        // Where it lay in the stream, the browser has not kept.
        report.tell(at, &Seen { from, start: 0, end: 0, what })?;
    }
    Ok(())
}

/// When a message passed: seconds since 1970.
fn time(message: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(message["time"].as_f64()?).ok()
}

fn what(message: &Value) -> Result<What, String> {
    let data = message["data"].as_str().unwrap_or_default();
    let bytes = || STANDARD.decode(data).map_err(|error| format!("the archive's data is no base64: {error}"));
    let opcode = message["opcode"].as_u64().and_then(|bits| u8::try_from(bits).ok());
    Ok(match opcode.map(OpCode::from_bits) {
        Some(Ok(OpCode::Text)) => What::Message(data.into(), 1),
        Some(Ok(OpCode::Binary)) => What::Message(Message::from(bytes()?), 1),
        Some(Ok(OpCode::Ping)) => What::Ping(bytes()?),
        Some(Ok(OpCode::Pong)) => What::Pong(bytes()?),
        Some(Ok(OpCode::Close)) => match close::parse(&bytes()?) {
            Ok(close) => What::Close(close.into_owned()),
            Err(error) => What::Fault(error.into()),
        },
        // Where the browser tells of an error, it has no opcode.
        _ => return Err(format!("of the browser: {data}")),
    })
}
