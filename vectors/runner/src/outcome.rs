//! What an endpoint made of a case: what it told of, and what it sent.

use crate::case::{End, Event, Open, Role};
use std::fmt;

/// What became of an opening handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// A server accepted.
    Accepted {
        /// Its `Sec-WebSocket-Accept`.
        key: Option<String>,
        /// Its `Sec-WebSocket-Protocol`.
        subprotocol: Option<String>,
        /// Its `Sec-WebSocket-Extensions`.
        extensions: Option<String>,
    },
    /// A server answered with another status.
    Refused {
        /// The status.
        status: u16,
        /// Its `Sec-WebSocket-Version`.
        version: Option<String>,
    },
    /// A server sent nothing that is a response.
    Silent,
    /// A client opened.
    Open(Open),
    /// A client was told of another status than 101.
    Rejected(u16),
    /// A client neither opened nor was told of a status.
    Waiting,
    /// A header list was taken, or not.
    Taken(bool),
}

/// What an endpoint made of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What became of the opening handshake, if there was one.
    pub handshake: Option<Handshake>,
    /// The messages and control frames that it told of.
    pub events: Vec<Event>,
    /// How it ended; the code of a failure is that of its close frame.
    pub end: End,
    /// What is wrong with what it sent.
    pub fault: Option<&'static str>,
}

/// A frame that an endpoint sent: its opcode and its payload.
type Frame = (u8, Vec<u8>);

impl Outcome {
    /// What the frames say that an endpoint with this role sent.
    pub(crate) fn new(role: Role, told: Vec<Event>, has_failed: bool, sent: &[u8]) -> Self {
        let (mut handshake, mut events) = (None, Vec::new());
        for event in told {
            match event {
                Event::Open(open) => handshake = Some(Handshake::Open(open)),
                Event::Rejected(status) => handshake = Some(Handshake::Rejected(status)),
                event => events.push(event),
            }
        }
        let (frames, fault) = match unframe(role, sent) {
            Ok(frames) => {
                let fault = fault_in(&frames, &events, has_failed);
                (frames, fault)
            }
            Err(fault) => (Vec::new(), Some(fault)),
        };
        let close = frames.iter().find(|(opcode, _)| *opcode == 8);
        let end = if has_failed {
            End::Fail(close.and_then(|(_, payload)| payload.first_chunk()).map(|code| u16::from_be_bytes(*code)))
        } else if events.iter().any(|event| matches!(event, Event::Close { .. })) {
            End::Closed
        } else {
            End::Open
        };
        Self { handshake, events, end, fault }
    }
}

/// A server's answer, and what it sent behind it.
pub(crate) fn read_response(sent: &[u8]) -> (Handshake, &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(end)) = response.parse(sent) else { return (Handshake::Silent, &[]) };
    let field = |name: &str| {
        let found = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(found.value).into_owned())
    };
    match response.code {
        Some(101) => {
            let (key, subprotocol) = (field("sec-websocket-accept"), field("sec-websocket-protocol"));
            (Handshake::Accepted { key, subprotocol, extensions: field("sec-websocket-extensions") }, &sent[end..])
        }
        Some(status) => (Handshake::Refused { status, version: field("sec-websocket-version") }, &[]),
        None => (Handshake::Silent, &[]),
    }
}

/// The frames that an endpoint with this role sent.
fn unframe(role: Role, mut sent: &[u8]) -> Result<Vec<Frame>, &'static str> {
    const CUT: &str = "sends half a frame";
    let mut frames = Vec::new();
    while !sent.is_empty() {
        let mut take = |count: usize| {
            let (front, rest) = sent.split_at_checked(count).ok_or(CUT)?;
            sent = rest;
            Ok::<_, &'static str>(front)
        };
        let header = take(2)?;
        let (first, second) = (header[0], header[1]);
        let length = match second & 0x7F {
            126 => take(2)?,
            127 => take(8)?,
            _ => &[second & 0x7F],
        };
        let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        if (second & 0x80 != 0) != (role == Role::Client) {
            return Err("sends a frame with the mask of the other role");
        }
        let key = if role == Role::Client { take(4)? } else { &[0; 4] };
        let payload = take(length)?.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
        if first & 0x70 != 0 || !matches!(first, 0x88..=0x8A) {
            return Err("sends a frame that nobody asked for");
        }
        frames.push((first & 0x0F, payload.collect()));
    }
    Ok(frames)
}

/// What is wrong with what an endpoint sent, that does not depend on the case (RFC 6455 §5.5.1, §5.5.2, §5.5.3).
fn fault_in(frames: &[Frame], events: &[Event], has_failed: bool) -> Option<&'static str> {
    let pings: Vec<_> =
        events.iter().filter_map(|event| if let Event::Ping(ping) = event { Some(&ping.0) } else { None }).collect();
    let mut owed = pings.iter();
    let mut pongs = frames.iter().filter(|(opcode, _)| *opcode == 10).map(|(_, pong)| pong);
    for pong in pongs.clone() {
        if !owed.any(|ping| *ping == pong) {
            return Some("sends a pong that answers no ping");
        }
    }
    let closes = frames.iter().filter(|(opcode, _)| *opcode == 8).count();
    let is_closed = events.iter().any(|event| matches!(event, Event::Close { .. }));
    if closes > 1 {
        return Some("sends two close frames");
    }
    // A ping may be answered as long as the peer's close frame has not come.
    if frames.iter().skip_while(|(opcode, _)| *opcode != 8).skip(1).any(|(opcode, _)| *opcode != 10) {
        return Some("sends something behind its close frame");
    }
    if frames.iter().any(|(opcode, payload)| *opcode == 8 && !is_close_payload(payload)) {
        return Some("sends a close frame that nobody may send");
    }
    if is_closed && closes == 0 {
        return Some("does not answer a close frame");
    }
    // Of several pings the newest at least is answered, unless something ended the connection.
    if !is_closed && !has_failed && closes == 0 && pings.last().copied() != pongs.next_back() {
        return Some("does not answer a ping");
    }
    None
}

fn is_close_payload(payload: &[u8]) -> bool {
    match payload {
        [] => true,
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) && std::str::from_utf8(reason).is_ok()
        }
        _ => false,
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Closed => f.write_str("closed"),
            Self::Fail(None) => f.write_str("fails"),
            Self::Fail(Some(code)) => write!(f, "fails with {code}"),
        }
    }
}

/// The kinds of some events, and how it ended: short enough for a table.
pub(crate) fn describe(events: &[Event], end: &End) -> String {
    let mut words: Vec<(&str, usize)> = Vec::new();
    for event in events {
        let word = match event {
            Event::Text(_) => "text",
            Event::Binary(_) => "binary",
            Event::Ping(_) => "ping",
            Event::Pong(_) => "pong",
            Event::Close { .. } => "close",
            Event::Open(_) | Event::Rejected(_) => continue,
        };
        match words.last_mut() {
            Some((last, count)) if *last == word => *count += 1,
            _ => words.push((word, 1)),
        }
    }
    let words =
        words.iter().map(|(word, count)| if *count > 1 { format!("{word} × {count}") } else { (*word).to_owned() });
    words.chain([end.to_string()]).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fault) = self.fault {
            return f.write_str(fault);
        }
        let rest = match &self.handshake {
            None => return f.write_str(&describe(&self.events, &self.end)),
            Some(Handshake::Accepted { subprotocol, extensions, .. }) => {
                f.write_str("accepts")?;
                match (subprotocol, extensions) {
                    (Some(name), None) => write!(f, " with {name}")?,
                    (None, Some(name)) => write!(f, " with {name}")?,
                    (Some(name), Some(other)) => write!(f, " with {name} and {other}")?,
                    (None, None) => {}
                }
                true
            }
            Some(Handshake::Refused { status, version }) => {
                write!(f, "refuses with {status}")?;
                if let Some(version) = version {
                    write!(f, " for version {version}")?;
                }
                false
            }
            Some(Handshake::Silent) if matches!(self.end, End::Fail(_)) => {
                f.write_str("refuses without a response")?;
                false
            }
            Some(Handshake::Silent) => {
                f.write_str("waits for more")?;
                false
            }
            Some(Handshake::Open(open)) => {
                let deflate = if open.deflate { ", compressed" } else { "" };
                match &open.subprotocol {
                    Some(name) => write!(f, "opens with {name}{deflate}")?,
                    None => write!(f, "opens{deflate}")?,
                }
                true
            }
            Some(Handshake::Rejected(status)) => {
                write!(f, "tells of {status}")?;
                false
            }
            Some(Handshake::Waiting) if matches!(self.end, End::Fail(_)) => {
                f.write_str("fails")?;
                false
            }
            Some(Handshake::Waiting) => {
                f.write_str("waits for more")?;
                false
            }
            Some(Handshake::Taken(taken)) => {
                f.write_str(if *taken { "takes it" } else { "refuses it" })?;
                false
            }
        };
        if rest && (!self.events.is_empty() || self.end != End::Open) {
            write!(f, ", {}", describe(&self.events, &self.end))?;
        }
        Ok(())
    }
}
