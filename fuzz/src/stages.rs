//! Connections whose messages go through stages of extensions: such as are honest, and one that makes what it likes.

use crate::feed::{By, Cuts, Feeder, Said};
use crate::frames;
use crate::heap;
use crate::settings::{SEED, Settings};
use arbitrary::Arbitrary;
use bytes::Buf;
use sockless::extensions::{Decode, Encode, Extension, Output, Params, Part, Refused, Stage, Stages};
use sockless::{Config, Connection, Event, Kind, Role};

/// What is sent, and how it comes.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    settings: Settings,
    cuts: Cuts,
    others: Cuts,
    /// Bits: the bytes come from a peer, and are a script of frames; the role; in pieces.
    ways: u8,
    bytes: &'a [u8],
}

/// Claims two bits, one of which may be on every frame.
#[derive(Debug)]
struct Claims(u8, bool);

impl Extension for Claims {
    fn name(&self) -> &str {
        "x-claims"
    }

    fn bits(&self) -> u8 {
        self.0
    }

    fn marks_fragments(&self) -> bool {
        self.1
    }

    fn accept(&self, _: &Params) -> Option<(Params, Stage)> {
        None
    }

    fn agree(&self, _: &Params) -> Option<Stage> {
        None
    }
}

/// Each message is a byte longer, which is what all others make together; the last two bytes are always held back.
#[derive(Default)]
struct Parity {
    sum: u8,
    held: Vec<u8>,
}

impl Encode for Parity {
    fn encode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<u8, Refused> {
        self.sum = part.bytes.iter().fold(if part.first { 0 } else { self.sum }, |sum, byte| sum ^ byte);
        out.push(part.bytes)?;
        if part.last {
            out.push(&[self.sum])?;
        }
        Ok(u8::from(part.bytes.len() % 2 == 1) * 0b010)
    }
}

impl Decode for Parity {
    fn decode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<(), Refused> {
        if part.first {
            *self = Self::default();
        }
        self.held.extend(part.bytes);
        let data: Vec<_> = self.held.drain(..self.held.len().saturating_sub(1)).collect();
        self.sum = data.iter().fold(self.sum, |sum, byte| sum ^ byte);
        out.push(&data)?;
        if part.last && self.held != [self.sum] { Err(Refused::new(1007)) } else { Ok(()) }
    }
}

/// Makes up to seven bytes of one, and nothing of what it says of refusals.
struct Wild;

impl Decode for Wild {
    fn decode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<(), Refused> {
        for byte in part.bytes {
            if *byte == 0xEE {
                return Err(Refused::new(3000));
            }
            let _ = out.extend(vec![*byte; usize::from(byte & 7)]);
        }
        Ok(())
    }
}

impl Encode for Wild {
    fn encode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<u8, Refused> {
        out.push(part.bytes).map(|()| 0)
    }
}

fn extended(role: Role, settings: Settings, stage: Stage) -> Connection {
    let config = Config { answer_pings: false, ..settings.config() };
    let mut connection = Connection::open(role, settings.negotiated(), config, SEED);
    let mut stages = Stages::new();
    let bits = if settings.is_compressed() { 0b010 } else { 0b110 };
    assert!(stages.push(&Claims(bits, true), stage).is_ok());
    connection.extend(stages);
    connection
}

/// Honest stages bring what was sent, however it comes; and whatever comes, a wild one is bounded, and cutting changes nothing.
pub fn check(input: &Input<'_>) {
    let role = if input.ways & 2 == 0 { Role::Server } else { Role::Client };
    match input.ways & 1 {
        0 => check_sent(role, input),
        _ => check_received(role, input),
    }
}

fn by(input: &Input<'_>) -> By {
    if input.ways & 4 == 0 { By::Receive } else { By::Piece }
}

fn check_sent(role: Role, input: &Input<'_>) {
    let honest = || Stage::new(Parity::default(), Parity::default());
    let mut peer = input.settings;
    peer.deflate = peer.deflate.mirrored();
    let (mut from, mut to) = (extended(role.peer(), input.settings, honest()), extended(role, peer, honest()));
    from.set_outbound(Default::default());
    to.set_limits(Default::default());
    let (mut expected, mut under_way) = (vec![], vec![]);
    for step in input.bytes.chunks(9).take(64) {
        let (what, payload) = (step[0], step.repeat(1 + usize::from(step[0] & 0x1F)));
        let sent = match what >> 5 {
            0 => from.send_fragment(Kind::Binary, &payload, false).map(|()| under_way.extend(&payload)),
            1 => from.send_fragment(Kind::Binary, &payload, true).map(|()| {
                under_way.extend(&payload);
                expected.push(Event::Binary(std::mem::take(&mut under_way).into()));
            }),
            2 => from.ping(step),
            3 => from
                .send_shared(Kind::Binary, payload.clone().into())
                .map(|()| expected.push(Event::Binary(payload.into()))),
            _ => from.send_binary(&payload).map(|()| expected.push(Event::Binary(payload.into()))),
        };
        // Only what is under way keeps others from being sent.
        assert!(sent.is_ok() || !under_way.is_empty() || from.queued() > 1 << 20, "{sent:?}");
    }
    let mut outbound = from.outbound();
    let len = outbound.remaining();
    let bytes = outbound.copy_to_bytes(len);
    let mut feeder = Feeder::new(&mut to, by(input));
    feeder.feed(&bytes, input.cuts, |_, _| {});
    let Said { events, error, .. } = feeder.said;
    let messages: Vec<_> = events.into_iter().filter(|event| !matches!(event, Event::Ping(_))).collect();
    assert_eq!((messages, error), (expected, None));
}

fn check_received(role: Role, input: &Input<'_>) {
    let stream = frames::script(input.bytes, role);
    let limit = input.settings.limits().message;
    let said = [input.cuts, input.others, Cuts::WHOLE].map(|cuts| {
        let mut connection = extended(role, input.settings, Stage::new(Wild, Wild));
        let mut feeder = Feeder::new(&mut connection, by(input));
        let ((), used) = heap::used(|| feeder.feed(&stream, cuts, |_, _| {}));
        assert!(feeder.joined() <= limit, "no piece goes past the limit");
        for event in &feeder.said.events {
            if let Event::Text(_) | Event::Binary(_) | Event::Unchecked(_) = event {
                let len = event.clone().into_message().map_or(0, |message| message.len());
                assert!(len <= limit, "{len} bytes of {limit}");
            }
        }
        // What is said is kept here too.
        let most = (64 << 10) + 64 * stream.len() + if input.settings.is_compressed() { 1 << 22 } else { 0 };
        assert!(used.peak <= most as isize * 4, "{} bytes of heap for {}", used.peak, stream.len());
        // Where a part breaks several rules at once, how it was cut says which is found first.
        (feeder.said.events, feeder.said.error.is_some())
    });
    assert!(said[0] == said[1] && said[0] == said[2], "{said:?}");
}
