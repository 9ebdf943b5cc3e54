//! A proxy between two connections, which passes frames on.

use crate::feed::{By, Cuts, Feeder};
use crate::messages::{data, length, message};
use crate::settings::{SEED, Settings};
use arbitrary::Unstructured;
use bytes::Buf;
use sockless::{Code, Config, Connection, Event, Kind, Limits, Message, Negotiated, RelayError, Role, SendError};
use std::io::IoSlice;
use std::mem;

/// The end that sends, the two of the proxy, and what the end that receives has said.
struct Chain<'c> {
    from: Connection,
    /// What went out of it while it was sent.
    out: Vec<u8>,
    near: Connection,
    far: Connection,
    to: Feeder<'c>,
    cuts: Cuts,
    /// Whole messages that were sent, as they should come.
    sent: Vec<Event<'static>>,
    /// The message in fragments that is under way.
    part: Option<(Kind, Vec<u8>)>,
    /// How many more bytes may be sent, so that no run takes long.
    room: usize,
    /// The near end failed, or was closed.
    ended: bool,
}

/// What passes a proxy comes out as it went in: all of it, unless the proxy's own limits refuse it.
pub fn check(settings: Settings, cuts: [u8; 3], ways: u8, script: &[u8]) {
    let (from, to) = if ways & 1 == 0 { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
    let [ours, theirs] = match settings.is_compressed() {
        true => {
            [settings.deflate.params(), settings.deflate.mirrored().params()].map(|params| params.try_into().unwrap())
        }
        false => [Negotiated::default(); 2],
    };
    // A frame may pass in many fragments, one for each read.
    let limits = Limits { fragments: u32::MAX, message: usize::MAX, ..Limits::default() };
    let mut receiver = Connection::open(to, theirs, Config { limits, ..Config::default() }, SEED);
    let mut chain = Chain {
        from: Connection::open(from, ours, Config { limits: Limits::default(), ..settings.config() }, SEED),
        out: vec![],
        near: Connection::open(to, theirs, settings.config(), SEED),
        far: Connection::open(from, ours, settings.config(), SEED),
        to: Feeder::new(&mut receiver, By::Receive),
        cuts: Unstructured::new(&[cuts[0], cuts[1], cuts[2], cuts[0]]).arbitrary().expect("four bytes are enough"),
        sent: vec![],
        part: None,
        // One run in four gets to lengths of 64 bits; what is compressed takes the most time.
        room: if ways & 6 == 6 { 70_000 } else { 8_000 },
        ended: false,
    };
    let mut script = script;
    for _ in 0..100 {
        let Some((operation, rest)) = script.split_first_chunk() else { break };
        script = rest;
        chain.play(*operation);
    }
    chain.finish();
}

impl Chain<'_> {
    fn play(&mut self, [what, a, b]: [u8; 3]) {
        let kind = if what & 1 == 0 { Kind::Binary } else { Kind::Text };
        let len = length(a).min(self.room);
        match what & 7 {
            0 | 1 => {
                self.room -= len;
                let data = data(kind, self.sent.len(), len);
                let sent = match b & 0x80 {
                    0 => self.from.send_shared(kind, data.clone().into()),
                    _ => self.send_through(&message(kind, &data), b & 0x7F),
                };
                if sent.is_ok() {
                    self.sent.push(event(kind, data));
                }
            }
            2 | 3 => {
                self.room -= len;
                self.fragment(kind, len, b & 3 == 0);
            }
            4 => {
                let _ = self.from.ping(&data(Kind::Binary, 0, usize::from(a) % 126));
            }
            5 if a > 0xE0 => {
                let _ = self.from.close(Code::NORMAL, "bye");
            }
            _ => self.pass(),
        }
    }

    /// Sends a message from where it lies; so many parts in 127 of all that waits go out at once.
    fn send_through(&mut self, message: &Message<'_>, parts: u8) -> Result<(), SendError> {
        let mut through = self.from.send_through(message)?;
        let mut slices = [IoSlice::new(&[]); 64];
        let count = through.chunks_vectored(&mut slices);
        let bytes = slices[..count].iter().flat_map(|slice| slice.iter().copied());
        let len = (through.remaining() * usize::from(parts) / 127).min(bytes.clone().count());
        self.out.extend(bytes.take(len));
        through.advance(len);
        Ok(())
    }

    fn fragment(&mut self, kind: Kind, len: usize, last: bool) {
        let kind = self.part.as_ref().map_or(kind, |(kind, _)| *kind);
        let bytes = data(kind, self.sent.len(), len);
        if self.from.send_fragment(kind, &bytes, last).is_ok() {
            let (_, part) = self.part.get_or_insert((kind, vec![]));
            part.extend_from_slice(&bytes);
            if last {
                let (kind, whole) = self.part.take().expect("it was just put there");
                self.sent.push(event(kind, whole));
            }
        }
    }

    /// All that waits at the sending end goes through the proxy, and its answers come back.
    fn pass(&mut self) {
        let bytes = [mem::take(&mut self.out), take(&mut self.from)].concat();
        for part in self.cuts.parts(&bytes) {
            self.relay(part);
        }
        let mut answers = take(&mut self.near);
        let mut input = &mut answers[..];
        while let Ok(Some(_)) | Err(_) = self.from.receive(&mut input) {}
    }

    fn relay(&mut self, part: &[u8]) {
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        loop {
            let before = input.len();
            match self.near.relay(&mut input, &mut self.far) {
                Ok(None) => break,
                Ok(Some(Event::Close(close))) => {
                    self.far.close(close.code, &close.reason).expect("the far end is open");
                    self.ended = true;
                }
                Ok(Some(event)) => assert!(matches!(event, Event::Ping(_)), "{event:?} instead of a relay"),
                Err(RelayError::Peer(_)) => {
                    self.far.abort(Code::AWAY);
                    self.ended = true;
                }
                Err(RelayError::Send(error)) => {
                    assert_eq!(error, SendError::Full, "nothing else keeps it");
                    assert!(self.far.counters().queued > 0 && input.len() <= before);
                    self.deliver();
                }
            }
        }
        assert!(input.is_empty());
        self.deliver();
    }

    /// What waits at the far end reaches the receiving one.
    fn deliver(&mut self) {
        let bytes = take(&mut self.far);
        self.to.feed(&bytes, self.cuts, |_, _| {});
    }

    fn finish(mut self) {
        self.pass();
        self.to.eof();
        let messages = self.to.said.events.iter().filter(|event| matches!(event, Event::Text(_) | Event::Binary(_)));
        let count = messages.clone().count();
        assert!(messages.eq(self.sent.iter().take(count)), "what came is what was sent");
        let failed = self.ended
            && !matches!(self.to.said.events.last(), Some(Event::Close(close)) if close.code == Code::NORMAL);
        assert!(failed || count == self.sent.len(), "all of it came");
    }
}

fn event(kind: Kind, data: Vec<u8>) -> Event<'static> {
    match kind {
        Kind::Text => Event::Text(String::from_utf8(data).expect("good text").into()),
        Kind::Binary => Event::Binary(data.into()),
    }
}

/// What waits to go out, which it has then.
fn take(connection: &mut Connection) -> Vec<u8> {
    let mut outbound = connection.outbound();
    outbound.copy_to_bytes(outbound.remaining()).to_vec()
}
