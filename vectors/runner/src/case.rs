//! The cases as they stand in the files; `vectors/README.md` says what they mean.

use crate::offer::Offer;
use serde::Deserialize;
use std::path::Path;
use std::{error, fmt, fs, io};

/// The version of the format that is read here.
const FORMAT: u32 = 1;

/// Bytes of a case, put together from their parts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Packed")]
pub struct Bytes(pub Vec<u8>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Packed {
    Hex(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Hex(String),
    Repeated { hex: String, times: usize },
    Latin1 { latin1: String },
}

impl TryFrom<Packed> for Bytes {
    type Error = &'static str;

    fn try_from(packed: Packed) -> Result<Self, &'static str> {
        let parts = match packed {
            Packed::Hex(hex) => return Ok(Self(from_hex(&hex)?)),
            Packed::Parts(parts) => parts,
        };
        let mut bytes = Vec::new();
        for part in parts {
            match part {
                Part::Hex(hex) => bytes.extend(from_hex(&hex)?),
                Part::Repeated { hex, times } => bytes.extend(from_hex(&hex)?.repeat(times)),
                Part::Latin1 { latin1 } => {
                    for letter in latin1.chars() {
                        bytes.push(u8::try_from(letter).map_err(|_| "a character that is no byte")?);
                    }
                }
            }
        }
        Ok(Self(bytes))
    }
}

fn from_hex(hex: &str) -> Result<Vec<u8>, &'static str> {
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or("no hexadecimal digit");
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err("half a byte");
    }
    pairs.iter().map(|[high, low]| Ok((digit(*high)? << 4 | digit(*low)?) as u8)).collect()
}

/// Who receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A server, to which clients send masked frames.
    Server,
    /// A client.
    Client,
}

/// Something that an endpoint tells its user of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A whole text message.
    Text(Bytes),
    /// A whole binary message.
    Binary(Bytes),
    /// A ping.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The peer's close frame.
    Close {
        /// `None` where there was none.
        code: Option<u16>,
        /// Empty where there was none.
        reason: String,
    },
    /// A client's handshake is done.
    #[serde(skip)]
    Open(Open),
    /// A client's handshake was answered by another status than 101.
    #[serde(skip)]
    Rejected(u16),
}

/// How a case ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The connection is open, and more is waited for.
    Open,
    /// The closing handshake was done, or answered.
    Closed,
    /// The endpoint has failed the connection with this code (RFC 6455 §7.1.7), or with any.
    Fail(Option<u16>),
}

/// What was agreed on for compression (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A server's messages do not refer to those before them.
    pub server_no_context_takeover: bool,
    /// Nor do a client's.
    pub client_no_context_takeover: bool,
    /// The server's window, 8 to 15.
    pub server_max_window_bits: u8,
    /// The client's.
    pub client_max_window_bits: u8,
}

/// The bounds that a case wants, in bytes; none where it wants none below 1 MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// For a message.
    pub message: Option<usize>,
    /// For the payload of a frame.
    pub frame: Option<usize>,
}

/// What the endpoint does before anything comes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sends {
    /// It starts the closing handshake.
    Close {
        /// With this code,
        code: u16,
        /// and this reason.
        reason: String,
    },
}

/// An endpoint behind its opening handshake.
#[derive(Clone, Debug)]
pub struct Frames {
    /// Who it is.
    pub role: Role,
    /// What was agreed on; `None`: no compression.
    pub deflate: Option<Params>,
    /// The bounds on what may come.
    pub limits: Limits,
}

/// A server that waits for a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// What it supports; it takes the first of them, or the first of the client's, that the other has too.
    pub subprotocols: Vec<String>,
    /// Whether it does permessage-deflate, with any window.
    pub deflate: bool,
    /// The origins that it takes; `None`: any.
    pub origins: Option<Vec<String>>,
}

/// A client that has sent its request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// What it asked for.
    pub subprotocols: Vec<String>,
    /// Its offer of permessage-deflate.
    pub deflate: Option<Offer>,
    /// Its `Sec-WebSocket-Key`; see [`Endpoint::accept`](crate::Endpoint::accept) where it cannot be told which.
    #[serde(default)]
    pub key: String,
}

/// What a server's answer has to say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// The `Sec-WebSocket-Accept`.
    pub key: String,
    /// One of these, or none where `None` is among them.
    pub subprotocol: Vec<Option<String>>,
    /// The offers of which it takes one or none.
    pub deflate: Vec<Offer>,
}

/// What a client's handshake agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// The subprotocol.
    pub subprotocol: Option<String>,
    /// Whether messages may be compressed.
    pub deflate: bool,
}

/// An outcome that is right.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The messages and control frames, in order.
    pub events: Vec<Event>,
    /// How it ends.
    pub end: Option<End>,
    /// A server accepts.
    pub accept: Option<Accept>,
    /// A server refuses, with one of these statuses.
    pub refuse: Option<Vec<u16>>,
    /// What the refusal has to say in `Sec-WebSocket-Version`, if anything.
    pub version: Option<String>,
    /// A client opens.
    pub open: Option<Open>,
    /// A client is told of another status than 101.
    pub reject: Option<u16>,
    /// Whether a header list is taken.
    pub taken: Option<bool>,
    /// Why it is allowed, where it is not the first choice.
    pub why: Option<String>,
}

/// A case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name: file, group, and what tells it from the others.
    pub id: String,
    /// The RFC and its section.
    pub section: String,
    /// What it is about.
    pub note: String,
    /// Who receives, where the opening handshake is done.
    pub role: Option<Role>,
    /// What was agreed on for compression.
    pub deflate: Option<Params>,
    /// The bounds on what may come.
    #[serde(default)]
    pub limits: Limits,
    /// What the endpoint does before anything comes.
    pub sends: Option<Sends>,
    /// The server that gets the request.
    pub server: Option<Server>,
    /// The client that gets the response.
    pub client: Option<Client>,
    /// What comes.
    pub input: Option<Bytes>,
    /// The header list that comes, in place of bytes.
    pub headers: Option<Vec<(String, String)>>,
    /// What has to become of it.
    pub expect: Expect,
    /// What may become of it too.
    #[serde(default)]
    pub also_allowed: Vec<Expect>,
}

impl Case {
    /// The file and the group of its name.
    pub fn group(&self) -> &str {
        let end = self.id.match_indices('/').nth(1).map_or(self.id.len(), |(at, _)| at);
        &self.id[..end]
    }
}

/// Why the vectors cannot be read.
#[derive(Debug)]
pub enum Load {
    /// The folder or a file of it.
    Io(io::Error),
    /// A file that is not what it should be.
    Json(String, serde_json::Error),
    /// A file of another version.
    Format(String, u32),
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "vectors: {error}"),
            Self::Json(file, error) => write!(f, "{file}: {error}"),
            Self::Format(file, format) => write!(f, "{file} has format {format}, and {FORMAT} is read"),
        }
    }
}

impl error::Error for Load {}

impl From<io::Error> for Load {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Deserialize)]
struct File {
    format: u32,
    cases: Vec<Case>,
}

/// All cases of a folder's JSON files, file by file in the order of their names.
///
/// # Errors
/// [`Load`] for what cannot be read.
pub fn load(folder: impl AsRef<Path>) -> Result<Vec<Case>, Load> {
    let mut files: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let read: File =
            serde_json::from_str(&fs::read_to_string(&file)?).map_err(|error| Load::Json(name.clone(), error))?;
        if read.format != FORMAT {
            return Err(Load::Format(name, read.format));
        }
        cases.extend(read.cases);
    }
    Ok(cases)
}
