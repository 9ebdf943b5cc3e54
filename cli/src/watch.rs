//! What two ends say to each other, by the bytes that pass between them.

use crate::client::deflate;
use crate::dialogue::mirrored;
use sockless::handshake::{Request, Response, deflate as extension};
use sockless::testing::tape::{Call, Recorder, Step};
use sockless::{Config, Limits, Negotiated, Role, Seed};
use std::mem;
use std::time::Duration;

/// More than any head that a server or a client of ours takes.
const LONGEST_HEAD: usize = 64 << 10;

/// Looks on: it puts the bytes of each end together to messages, as the other end does, and sends nothing.
///
/// What it sees becomes steps of a tape. The heads pass; behind them connection 0 is given what the client sends, and 1 what the
/// server sends.
pub(crate) struct Watch {
    config: Config,
    request: Option<Request<'static>>,
    /// What the client and the server have sent of their heads, or behind them while the other's is waited for.
    held: [Held; 2],
    stage: Stage,
}

#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// Before here no head ends.
    sought: usize,
}

enum Stage {
    Opening,
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
        let limits =
            Limits { message: max_message, head: LONGEST_HEAD, fields: Limits::MOST_FIELDS, ..Limits::default() };
        // Nothing is answered, for nothing is sent.
        let config = Config { limits, answer_pings: false, answer_close: false, ..Config::default() };
        Self { config, request: None, held: Default::default(), stage: Stage::Opening }
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
            Stage::Opening => {
                self.held[index(from)].bytes.extend_from_slice(bytes);
                let mut steps = self.heads(at);
                if bytes.is_empty() || self.held.iter().any(|held| held.bytes.len() > LONGEST_HEAD) {
                    steps.extend(self.give_up(at));
                }
                steps
            }
        }
    }

    /// The heads that have come whole.
    fn heads(&mut self, at: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.request.is_none() {
            let Some(head) = self.held[0].head() else { return steps };
            steps.extend(step(Role::Client, head.clone(), at));
            match Request::parse(head, &self.config) {
                Ok(request) => self.request = Some(request),
                Err(_) => steps.extend(self.give_up(at)),
            }
        }
        while let Some(head) = self.request.as_ref().and_then(|_| self.held[1].head()) {
            steps.extend(step(Role::Server, head.clone(), at));
            match Response::parse(head, &self.config.limits).ok().map(|response| (response.status(), agreed(&response)))
            {
                Some((101, Some(negotiated))) => {
                    steps.extend(self.open(negotiated, at));
                    break;
                }
                // Another follows (RFC 9110 §15.2).
                Some((100 | 102..200, _)) => {}
                _ => {
                    steps.extend(self.give_up(at));
                    break;
                }
            }
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
        for (end, held) in ends.iter_mut().zip(&mut self.held) {
            if !held.bytes.is_empty() {
                steps.extend(receive(end, &mem::take(&mut held.bytes), at));
            }
        }
        self.stage = Stage::Open(Box::new(ends), negotiated);
        steps
    }

    fn give_up(&mut self, at: Duration) -> Vec<Step> {
        self.stage = Stage::Other;
        BOTH.into_iter()
            .zip(&mut self.held)
            .filter_map(|(from, held)| step(from, mem::take(&mut held.bytes), at))
            .collect()
    }
}

impl Held {
    /// A head that has come whole, taken off the front.
    fn head(&mut self) -> Option<Vec<u8>> {
        let end = self.bytes[self.sought..].windows(4).position(|end| end == b"\r\n\r\n");
        let Some(end) = end else {
            self.sought = self.bytes.len().saturating_sub(3);
            return None;
        };
        let rest = self.bytes.split_off(self.sought + end + 4);
        self.sought = 0;
        Some(mem::replace(&mut self.bytes, rest))
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

/// What a response agrees on, with a client that can all there is; `None` if nobody could have asked for it.
fn agreed(response: &Response<'_>) -> Option<Negotiated> {
    match extension::agreed(response.extensions(), &deflate()).ok()? {
        Some(params) => Negotiated::try_from(params).ok(),
        None => Some(Negotiated::default()),
    }
}
