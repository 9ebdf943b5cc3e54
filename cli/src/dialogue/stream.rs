//! One end's stream of bytes: a head, then frames. Each byte is taken by itself, so that it is known where all ends.

use super::seen::{Fault, Seen, Side, What};
use sockless_tokio::sockless::{
    Connection, Event, HandshakeError, Kind, Negotiated, ProtocolError, Receiver, Seed, SharedConfig,
};
use sockless_tokio::{Config, Message, Request, Response};
use std::mem;
use std::slice;
use std::sync::Arc;

/// How much of a client's frames is kept while its request has no answer.
const MOST_HELD: usize = 64 << 10;

pub(super) struct Stream {
    side: Side,
    config: Arc<Config>,
    stage: Stage,
    offset: u64,
    /// Where the head or the frame under way begins.
    start: u64,
}

enum Stage {
    Request(Box<Connection>),
    Response(Vec<u8>),
    /// Frames of a client whose request has no answer yet.
    Held(Vec<u8>),
    /// The same, which may be read now.
    Released(Vec<u8>, Box<Frames>),
    Frames(Box<Frames>),
    /// Behind a close frame.
    Closed,
    /// Not read any more.
    Done,
}

struct Frames {
    receiver: Receiver,
    /// The message under way: where its first frame begins, what kind it is, and what came of it.
    message: Option<(u64, Kind)>,
    payload: Vec<u8>,
    count: u32,
}

/// Where something begins, and where it ends.
pub(super) type Span = (u64, u64);

/// What more than this stream has to know.
pub(super) enum Found {
    Request(Span, Request<'static>),
    Response(Span, Response<'static>),
    /// This is no WebSocket.
    Foreign(Seen),
    /// More of a client's frames came than is kept.
    Overdue,
}

impl Stream {
    pub(super) fn new(side: Side, config: &Arc<Config>) -> Self {
        let stage = match side {
            Side::Client => Stage::Request(Box::new(Connection::server(config.clone()))),
            Side::Server => Stage::Response(Vec::new()),
        };
        Self { side, config: config.clone(), stage, offset: 0, start: 0 }
    }

    /// Frames follow.
    pub(super) fn open(&mut self, agreed: Negotiated, config: &Arc<Config>) {
        let frames = Box::new(Frames::new(self.side, agreed, config.clone().into()));
        self.stage = match mem::replace(&mut self.stage, Stage::Done) {
            Stage::Held(held) => Stage::Released(held, frames),
            Stage::Done => Stage::Done,
            _ => Stage::Frames(frames),
        };
    }

    pub(super) fn give_up(&mut self) {
        self.stage = Stage::Done;
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held(_))
    }

    /// Takes from the front of `input`, to its end or to something that is found.
    pub(super) fn receive(&mut self, input: &mut &mut [u8], tell: &mut impl FnMut(Seen)) -> Option<Found> {
        while let Some((byte, rest)) = mem::take(input).split_first_mut() {
            *input = rest;
            let at = self.offset;
            self.offset += 1;
            let found = match &mut self.stage {
                Stage::Request(connection) => {
                    if b"GET ".get((at - self.start) as usize).is_some_and(|wanted| wanted != byte) {
                        return Some(self.foreign(*byte));
                    }
                    match connection.receive(&mut slice::from_mut(byte)) {
                        Ok(Some(Event::Request(request))) => {
                            let request = request.into_owned();
                            self.stage = Stage::Held(Vec::new());
                            Some(Found::Request(self.span(), request))
                        }
                        Ok(_) => None,
                        Err(error) => Some(self.bad_head(error)),
                    }
                }
                Stage::Response(head) => {
                    head.push(*byte);
                    let begun = head.len().min(5);
                    if head[..begun] != b"HTTP/"[..begun] {
                        return Some(self.foreign(*byte));
                    }
                    if head.len() > self.config.limits.head {
                        let limit = self.config.limits.head as u32;
                        Some(self.bad_head(HandshakeError::HeadTooLong { limit }.into()))
                    } else if head.ends_with(b"\r\n\r\n") {
                        let head = mem::take(head);
                        self.responded(head)
                    } else {
                        None
                    }
                }
                Stage::Held(held) | Stage::Released(held, _) => {
                    held.push(*byte);
                    (held.len() >= MOST_HELD).then_some(Found::Overdue)
                }
                Stage::Frames(_) | Stage::Closed => {
                    self.framed(byte, at + 1, tell);
                    None
                }
                Stage::Done => {
                    self.offset += input.len() as u64;
                    *input = &mut [];
                    None
                }
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Reads what was kept, if it may be read.
    pub(super) fn receive_held(&mut self, tell: &mut impl FnMut(Seen)) {
        let Stage::Released(..) = &self.stage else { return };
        let Stage::Released(mut held, frames) = mem::replace(&mut self.stage, Stage::Done) else { return };
        self.stage = Stage::Frames(frames);
        let mut at = self.offset - held.len() as u64;
        for byte in &mut held {
            at += 1;
            self.framed(byte, at, tell);
        }
    }

    /// Takes a byte of frames, which ends at `end`.
    fn framed(&mut self, byte: &mut u8, end: u64, tell: &mut impl FnMut(Seen)) {
        if let Stage::Closed = self.stage {
            let error = "bytes behind the close frame".into();
            return self.fault(Fault { error, section: Some("RFC 6455 §5.5.1") }, tell);
        }
        let Stage::Frames(frames) = &mut self.stage else { return };
        let (from, start, mut input) = (self.side, self.start, slice::from_mut(byte));
        loop {
            match frames.receive(&mut input, start) {
                Ok(None) => return,
                Ok(Some(told)) => {
                    self.start = end;
                    let Some((start, what)) = told else { continue };
                    let is_close = matches!(what, What::Close(_));
                    tell(Seen { from, start, end, what });
                    if is_close {
                        self.stage = Stage::Closed;
                        return;
                    }
                }
                Err(error) => {
                    tell(Seen { from, start, end, what: What::Fault(error.into()) });
                    self.stage = Stage::Done;
                    return;
                }
            }
        }
    }

    pub(super) fn end(&mut self, tell: &mut impl FnMut(Seen)) {
        let error = match &mut self.stage {
            Stage::Request(_) | Stage::Response(_) if self.offset > self.start => HandshakeError::UnexpectedEof.into(),
            Stage::Frames(frames) => match frames.receiver.receive_eof() {
                Err(error) => error,
                Ok(()) => return,
            },
            _ => return,
        };
        self.fault(Fault::from(error), tell);
    }

    fn fault(&mut self, fault: Fault, tell: &mut impl FnMut(Seen)) {
        tell(self.seen(What::Fault(fault)));
        self.stage = Stage::Done;
    }

    /// Where the head lies that has just ended. What follows begins behind it.
    fn span(&mut self) -> Span {
        (mem::replace(&mut self.start, self.offset), self.offset)
    }

    fn seen(&self, what: What) -> Seen {
        Seen { from: self.side, start: self.start, end: self.offset, what }
    }

    fn responded(&mut self, head: Vec<u8>) -> Option<Found> {
        match Response::parse(head, &self.config.limits) {
            // Another one follows.
            Ok(response) if response.status() < 200 && response.status() != 101 => {
                self.start = self.offset;
                None
            }
            Ok(response) => Some(Found::Response(self.span(), response)),
            Err(error) => Some(self.bad_head(error.into())),
        }
    }

    fn foreign(&mut self, first: u8) -> Found {
        // The type of a record with a handshake (RFC 8446 §5.1).
        Found::Foreign(self.seen(What::Unread(match first {
            0x16 => "TLS, which cannot be read",
            _ => "neither a WebSocket nor TLS",
        })))
    }

    fn bad_head(&mut self, error: ProtocolError) -> Found {
        Found::Foreign(self.seen(What::Fault(error.into())))
    }
}

impl Frames {
    fn new(side: Side, agreed: Negotiated, config: SharedConfig) -> Self {
        // A seed masks what is sent, and nothing is.
        let connection = Connection::open(side.receiver(), agreed, config, Seed::new([0; 16]));
        let Ok((_, receiver)) = connection.split() else { unreachable!("it is open") };
        Self { receiver, message: None, payload: Vec::new(), count: 0 }
    }

    /// Takes from the front of `input`: `Some` at the end of a frame that begins at `start`, with what it says and where that
    /// begins, unless it is a fragment that others follow.
    fn receive(&mut self, input: &mut &mut [u8], start: u64) -> Result<Option<Option<(u64, What)>>, ProtocolError> {
        let Some(event) = self.receiver.receive_frame(input)? else { return Ok(None) };
        let what = match event {
            Event::Piece(piece) => {
                let first =
                    self.message.get_or_insert((start, if piece.data.is_text() { Kind::Text } else { Kind::Binary }));
                let (first, kind) = *first;
                self.count += 1;
                if !piece.last {
                    self.payload.extend_from_slice(piece.data.as_bytes());
                    return Ok(Some(None));
                }
                let message = if self.payload.is_empty() {
                    piece.data.into()
                } else {
                    self.payload.extend_from_slice(piece.data.as_bytes());
                    joined(kind, mem::take(&mut self.payload))?
                };
                self.message = None;
                return Ok(Some(Some((first, What::Message(message, mem::take(&mut self.count))))));
            }
            Event::Ping(payload) => What::Ping(payload.into_owned()),
            Event::Pong(payload) => What::Pong(payload.into_owned()),
            Event::Close(close) => What::Close(close.into_owned()),
            // Frames are no other.
            _ => return Ok(Some(None)),
        };
        Ok(Some(Some((start, what))))
    }
}

fn joined(kind: Kind, payload: Vec<u8>) -> Result<Message, ProtocolError> {
    match kind {
        Kind::Binary => Ok(payload.into()),
        Kind::Text => Ok(String::from_utf8(payload).map_err(|_| ProtocolError::InvalidUtf8)?.into()),
    }
}
