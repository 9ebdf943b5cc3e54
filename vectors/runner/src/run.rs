//! Gives the cases to an implementation, cut as it is asked to.

use crate::case::{Case, End, Frames, Role, Sends};
use crate::compare::{Verdict, expected, judge};
use crate::endpoint::{Endpoint, Implementation};
use crate::outcome::{Handshake, Outcome, read_response};
use std::fmt;

/// How the input of a case is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cutting {
    /// Not at all.
    Whole,
    /// A byte at a time; of what is longer than 4 KiB, the first and the last 2 KiB.
    Bytes,
    /// In pieces whose lengths follow from the case's name and this number.
    Random(u64),
}

/// An outcome that a case does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The case.
    pub id: String,
    /// Its file and group.
    pub group: String,
    /// The RFC and its section.
    pub section: String,
    /// What the case expects.
    pub expected: String,
    /// What became of it.
    pub got: String,
}

/// What became of all cases.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many came out as the case has it first, or as it may be too.
    pub passed: usize,
    /// Those that came out as it may be too.
    pub otherwise: Vec<String>,
    /// How many the implementation left out.
    pub left_out: usize,
    /// Those that failed the connection as they should, but without a close frame that says why: it should be there
    /// (RFC 6455 §7.1.7).
    pub untold: Vec<String>,
    /// The others.
    pub deviations: Vec<Deviation>,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): expected: {}; got: {}", self.id, self.section, self.expected, self.got)
    }
}

impl fmt::Display for Report {
    /// A line for each deviation, and one with the counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for deviation in &self.deviations {
            writeln!(f, "{deviation}")?;
        }
        let Self { passed, left_out, untold, deviations, .. } = self;
        let (untold, deviations) = (untold.len(), deviations.len());
        write!(f, "{passed} passed, {deviations} deviate, {untold} fail without saying why, {left_out} left out")
    }
}

/// Gives each case to the implementation.
pub fn run(cases: &[Case], implementation: &dyn Implementation, cutting: Cutting) -> Report {
    let mut report = Report::default();
    for case in cases {
        let Some(outcome) = outcome(case, implementation, cutting) else {
            report.left_out += 1;
            continue;
        };
        match judge(case, &outcome) {
            Verdict::Right => report.passed += 1,
            Verdict::Allowed => {
                report.passed += 1;
                report.otherwise.push(case.id.clone());
            }
            Verdict::Untold => report.untold.push(case.id.clone()),
            Verdict::Wrong => report.deviations.push(deviation(case, &outcome)),
        }
    }
    report
}

fn deviation(case: &Case, outcome: &Outcome) -> Deviation {
    let (expected, mut got) = (expected(&case.expect), outcome.to_string());
    if got == expected {
        got.push_str(", with other contents");
    }
    Deviation { id: case.id.clone(), group: case.group().to_owned(), section: case.section.clone(), expected, got }
}

/// What an implementation makes of a case; `None` where it leaves it out.
fn outcome(case: &Case, implementation: &dyn Implementation, cutting: Cutting) -> Option<Outcome> {
    if let Some(headers) = &case.headers {
        let handshake = match &case.client {
            Some(client) => Handshake::Taken(implementation.extended_response(client, headers)?),
            None => match implementation.extended_request(headers)? {
                Ok(()) => Handshake::Taken(true),
                Err(status) => Handshake::Refused { status, version: None },
            },
        };
        return Some(Outcome { handshake: Some(handshake), events: Vec::new(), end: End::Open, fault: None });
    }
    let mut input = case.input.clone()?.0;
    if let Some(server) = &case.server {
        let mut endpoint = implementation.server(server)?;
        let told = feed(&mut *endpoint, &input, &case.id, cutting);
        let sent = endpoint.sent();
        let (handshake, behind) = read_response(&sent);
        let outcome = Outcome::new(Role::Server, told, endpoint.has_failed(), behind);
        return Some(Outcome { handshake: Some(handshake), ..outcome });
    }
    if let Some(client) = &case.client {
        let mut endpoint = implementation.client(client)?;
        // Its request.
        endpoint.sent();
        if let Some(own) = endpoint.accept() {
            replace(&mut input, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", own.as_bytes());
        }
        let told = feed(&mut *endpoint, &input, &case.id, cutting);
        let outcome = Outcome::new(Role::Client, told, endpoint.has_failed(), &endpoint.sent());
        return Some(Outcome { handshake: Some(outcome.handshake.clone().unwrap_or(Handshake::Waiting)), ..outcome });
    }
    let frames = Frames { role: case.role?, deflate: case.deflate, limits: case.limits };
    let mut endpoint = implementation.frames(&frames)?;
    if let Some(Sends::Close { code, reason }) = &case.sends {
        endpoint.close(*code, reason);
    }
    let told = feed(&mut *endpoint, &input, &case.id, cutting);
    Some(Outcome::new(frames.role, told, endpoint.has_failed(), &endpoint.sent()))
}

/// Gives an endpoint its input, until it has failed.
fn feed(endpoint: &mut dyn Endpoint, input: &[u8], id: &str, cutting: Cutting) -> Vec<crate::Event> {
    const ENDS: usize = 2048;
    let mut seed = match cutting {
        Cutting::Random(seed) => {
            id.bytes().fold(seed, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
        }
        _ => 0,
    };
    let (mut events, mut at) = (Vec::new(), 0);
    while at < input.len() && !endpoint.has_failed() {
        let left = input.len() - at;
        let size = match cutting {
            Cutting::Whole => left,
            Cutting::Bytes if at >= ENDS && left > ENDS => left - ENDS,
            Cutting::Bytes => 1,
            Cutting::Random(_) => {
                seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                let bound = 1 << (seed >> 60);
                1 + (seed >> 32) as usize % bound
            }
        };
        let end = at + size.min(left);
        events.extend(endpoint.receive(&input[at..end]));
        at = end;
    }
    events
}

/// Puts one text of the same length in the place of another, wherever it is.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    for at in 0..(bytes.len() + 1).saturating_sub(from.len()) {
        if bytes[at..].starts_with(from) {
            bytes[at..at + from.len()].copy_from_slice(to);
        }
    }
}
