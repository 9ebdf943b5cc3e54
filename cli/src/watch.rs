//! What two ends say to each other, by the bytes that pass between them.

use crate::dialogue::{Dialogue, LONGEST_HEAD, Reading, Seen, Side, What, mirrored};
use sockless::handshake::Request;
use sockless::testing::tape::{Call, Recorder, Step};
use sockless::{Config, Limits, Negotiated, Role, Seed};
use std::mem;
use std::time::Duration;

/// Looks on: it puts the bytes of each end together to messages, as the other end does, and sends nothing.
///
/// What it sees becomes steps of a tape. The heads pass; behind them connection 0 is given what the client sends, and 1 what the
/// server sends.
pub(crate) struct Watch {
    config: Config,
    request: Option<Request<'static>>,
    stage: Stage,
}

enum Stage {
    /// What reads the heads, and what the client and the server have sent of them, or behind them.
    Opening(Box<Dialogue>, [Vec<u8>; 2]),
    Open(Box<[Recorder; 2]>, Negotiated),
    /// No WebSocket, so that nothing is known of what passes.
    Other,
}

const BOTH: [Role; 2] = [Role::Client, Role::Server];

pub(crate) const fn index(from: Role) -> usize {
    match from {
        Role::Client => 0,
        Role::Server => 1,
    }
}

impl Watch {
    /// Messages of more bytes than this are errors.
    pub(crate) fn new(max_message: usize) -> Self {
        let limits = Limits { message: max_message, ..Limits::default() };
        // Nothing is answered, for nothing is sent.
        let config = Config { limits, answer_pings: false, answer_close: false, ..Config::default() };
        let dialogue = Dialogue::new(Reading { max_message, is_open: false, compressed: false });
        Self { config, request: None, stage: Stage::Opening(Box::new(dialogue), Default::default()) }
    }

    /// The client's request, once it has passed.
    pub(crate) fn request(&self) -> Option<&Request<'static>> {
        self.request.as_ref()
    }

    /// What the handshake agreed on, as the client has it.
    pub(crate) fn negotiated(&self) -> Option<Negotiated> {
        if let Stage::Open(_, negotiated) = self.stage { Some(negotiated) } else { None }
    }

    /// What bytes of an end make; none: it has ended.
    pub(crate) fn passed(&mut self, from: Role, bytes: &[u8], at: Duration) -> Vec<Step> {
        match &mut self.stage {
            Stage::Open(ends, _) => receive(&mut ends[index(from)], bytes, at),
            Stage::Other => step(from, bytes.into(), at).into_iter().collect(),
            Stage::Opening(..) => self.opening(from, bytes, at),
        }
    }

    /// The heads that these bytes end, and what follows them.
    fn opening(&mut self, from: Role, bytes: &[u8], at: Duration) -> Vec<Step> {
        let Stage::Opening(dialogue, held) = &mut self.stage else { return Vec::new() };
        held[index(from)].extend_from_slice(bytes);
        let mut all = Vec::new();
        dialogue.receive(Side::BOTH[index(from)], &mut bytes.to_vec(), &mut |seen| all.push(seen));
        let goes_on = dialogue.reads() && !bytes.is_empty() && held.iter().all(|held| held.len() <= LONGEST_HEAD);
        let mut steps = Vec::new();
        for Seen { from, start, end, what } in all {
            if !matches!(what, What::Request(_) | What::Open(..) | What::Rejected(_)) {
                continue;
            }
            let held = &mut held[from as usize];
            let rest = held.split_off(end as usize);
            let head = held.split_off(start as usize);
            // Interim responses came before (RFC 9110 §15.2).
            let interim = mem::replace(held, rest);
            steps.extend([interim, head].into_iter().filter_map(|head| step(BOTH[from as usize], head, at)));
            match what {
                What::Request(request) => self.request = Some(request),
                What::Open(_, negotiated, _) => {
                    steps.extend(self.open(negotiated, at));
                    return steps;
                }
                _ => {}
            }
        }
        if !goes_on {
            steps.extend(self.give_up(at));
        }
        steps
    }

    fn open(&mut self, negotiated: Negotiated, at: Duration) -> Vec<Step> {
        let mut ends = BOTH.map(|from| {
            let negotiated = if from == Role::Client { mirrored(negotiated) } else { negotiated };
            let recorder = Recorder::open(from.peer(), negotiated, self.config.clone(), Seed::new([0; 16]));
            recorder.numbered(index(from) as u32)
        });
        let made = ends.iter_mut().flat_map(|end| end.take_tape().steps);
        let mut steps: Vec<_> = made.map(|step| Step { at, ..step }).collect();
        for (end, held) in ends.iter_mut().zip(self.held()) {
            if !held.is_empty() {
                steps.extend(receive(end, &held, at));
            }
        }
        self.stage = Stage::Open(Box::new(ends), negotiated);
        steps
    }

    fn give_up(&mut self, at: Duration) -> Vec<Step> {
        BOTH.into_iter().zip(self.held()).filter_map(|(from, held)| step(from, held, at)).collect()
    }

    /// What is held at the end of the opening handshake.
    fn held(&mut self) -> [Vec<u8>; 2] {
        match mem::replace(&mut self.stage, Stage::Other) {
            Stage::Opening(_, held) => held,
            _ => Default::default(),
        }
    }
}

fn step(from: Role, bytes: Vec<u8>, at: Duration) -> Option<Step> {
    let call = (!bytes.is_empty()).then_some(Call::Passed(from, bytes))?;
    Some(Step { connection: index(from) as u32, at, call, gave: String::new() })
}

fn receive(end: &mut Recorder, bytes: &[u8], at: Duration) -> Vec<Step> {
    end.set_time(at);
    if bytes.is_empty() {
        _ = end.receive_eof();
    } else {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        while let Ok(Some(_)) = end.receive(&mut input) {}
    }
    end.take_tape().steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockless::handshake::accept_key;

    /// However the bytes are cut.
    #[test]
    fn heads_pass_and_what_follows_them_is_received() {
        const KEY: &[u8; 24] = b"dGhlIHNhbXBsZSBub25jZQ==";
        let request = [
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            &b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "[..],
            KEY,
            b"\r\n\r\n",
        ];
        let open = b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
        let open = [&open[..], &accept_key(KEY), b"\r\n\r\n"].concat();
        let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec();
        // What the client says before it is answered is held.
        let client = [&request.concat()[..], b"\x81\x82\0\0\0\0hi"].concat();
        let server = [&interim[..], &open, b"\x81\x03you"].concat();
        for cut in [1, 7, 1000] {
            let mut watch = Watch::new(1000);
            let mut steps = Vec::new();
            for (from, bytes) in [(Role::Client, &client), (Role::Server, &server)] {
                steps.extend(bytes.chunks(cut).flat_map(|part| watch.passed(from, part, Duration::ZERO)));
            }
            let passed = |step: &Step| if let Call::Passed(_, bytes) = &step.call { Some(bytes.clone()) } else { None };
            assert_eq!(
                steps.iter().filter_map(passed).collect::<Vec<_>>(),
                [request.concat(), interim.clone(), open.clone()]
            );
            let said: Vec<_> =
                steps.iter().map(|step| (step.connection, &*step.gave)).filter(|said| !said.1.is_empty()).collect();
            assert_eq!(said, [(0, "text \"hi\""), (1, "text \"you\"")]);
        }
    }
}
