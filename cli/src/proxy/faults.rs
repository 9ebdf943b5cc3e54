//! What a proxy does wrong on purpose, in one direction: bytes in, and what becomes of them. It has no socket and no clock.

use crate::dialogue::Side;
use clap::ValueEnum;
use sockless_tokio::sockless::frame::{Header, OpCode};

/// How far a direction has come: so many bytes of its stream, heads included, or so many of its messages. No message is where the
/// handshake ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    Bytes(u64),
    Messages(u64),
}

/// Reads `500b` or `3m`.
pub(super) fn amount(text: &str) -> Result<Amount, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..digits].parse().map_err(|_| "it is a number of bytes or of messages, such as 500b or 3m")?;
    match &text[digits..] {
        "b" | "bytes" => Ok(Amount::Bytes(number)),
        "m" | "messages" => Ok(Amount::Messages(number)),
        _ => Err("behind the number stands b for bytes or m for messages".into()),
    }
}

/// A frame that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum BadFrame {
    /// A text message with the reserved bit RSV2 (RFC 6455 §5.2)
    ReservedBit,
    /// A frame to a server without a mask, or to a client with one (§5.1)
    Mask,
    /// A text message that is not UTF-8 (§8.1)
    Utf8,
    /// A ping of 126 bytes (§5.5)
    LongControl,
    /// A frame of the opcode 3 (§5.2)
    Opcode,
    /// A close frame with the code 1005 (§7.4.1)
    CloseCode,
}

impl BadFrame {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ReservedBit => "reserved bit",
            Self::Mask => "mask",
            Self::Utf8 => "UTF-8",
            Self::LongControl => "long control frame",
            Self::Opcode => "opcode",
            Self::CloseCode => "close code",
        }
    }

    /// Its bytes, as this side sends them.
    fn bytes(self, side: Side) -> Vec<u8> {
        let (opcode, payload): (_, &[u8]) = match self {
            Self::ReservedBit | Self::Mask | Self::Opcode => (OpCode::Text, b"bad"),
            Self::Utf8 => (OpCode::Text, b"\xFF"),
            Self::LongControl => (OpCode::Ping, &[b'x'; 126]),
            Self::CloseCode => (OpCode::Close, &1005_u16.to_be_bytes()),
        };
        // Masked with nothing but zeros, which is a mask all the same.
        let mask = ((side == Side::Client) != (self == Self::Mask)).then_some([0; 4]);
        let rsv = if self == Self::ReservedBit { 0b010 } else { 0 };
        let header = Header { fin: true, rsv, opcode, mask, length: payload.len() as u64 };
        let mut bytes = header.encode().to_vec();
        if self == Self::Opcode {
            bytes[0] = bytes[0] & 0xF0 | 3;
        }
        bytes.extend_from_slice(payload);
        bytes
    }
}

/// What is done wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    pub(super) drop_after: Option<Amount>,
    pub(super) half_close_after: Option<Amount>,
    pub(super) bad_frame: Option<(BadFrame, Amount)>,
    /// Of bytes behind the handshake, how many have a bit turned: from 0 to 1.
    pub(super) corrupt: f64,
}

/// A place in bytes where a message ends, or the handshake: how many bytes there are to it, and how many messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) at: usize,
    pub(super) messages: u64,
}

/// What becomes of bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// They are passed on.
    Pass(Vec<u8>),
    /// The same, in place of nothing.
    Inject(BadFrame, Vec<u8>),
    /// Nothing more is passed on.
    HalfClose,
    /// Both ends are hung up on.
    Drop,
}

/// The faults of one direction.
pub(super) struct Faults {
    plan: Plan,
    side: Side,
    passed: u64,
    is_open: bool,
    random: Random,
}

impl Faults {
    pub(super) fn new(plan: Plan, side: Side, seed: u64) -> Self {
        Self { plan, side, passed: 0, is_open: false, random: Random(seed) }
    }

    /// What becomes of the next bytes, in which there are these marks.
    pub(super) fn steps(&mut self, mut bytes: Vec<u8>, marks: &[Mark]) -> Vec<Step> {
        let mut due = Vec::new();
        if let Some((kind, amount)) = self.plan.bad_frame
            && let Some(at) = self.mark_at(amount, marks)
        {
            self.plan.bad_frame = None;
            due.push((at, Step::Inject(kind, kind.bytes(self.side))));
        }
        for (amount, step) in [(self.plan.half_close_after, Step::HalfClose), (self.plan.drop_after, Step::Drop)] {
            if let Some(at) = amount.and_then(|amount| self.reached(amount, bytes.len(), marks)) {
                due.push((at, step));
            }
        }
        self.corrupt(&mut bytes, marks);
        self.passed += bytes.len() as u64;
        due.sort_by_key(|(at, _)| *at);
        let (mut steps, mut from) = (Vec::new(), 0);
        for (at, step) in due {
            if at > from {
                steps.push(Step::Pass(bytes[from..at].to_vec()));
                from = at;
            }
            let is_last = matches!(step, Step::HalfClose | Step::Drop);
            steps.push(step);
            if is_last {
                return steps;
            }
        }
        if from < bytes.len() {
            steps.push(Step::Pass(bytes.split_off(from)));
        }
        steps
    }

    /// Where in the next `len` bytes this is reached, if it is.
    fn reached(&self, amount: Amount, len: usize, marks: &[Mark]) -> Option<usize> {
        match amount {
            Amount::Bytes(bytes) => {
                let at = usize::try_from(bytes.checked_sub(self.passed)?).ok()?;
                (at <= len).then_some(at)
            }
            Amount::Messages(messages) => marks.iter().find(|mark| mark.messages >= messages).map(|mark| mark.at),
        }
    }

    /// The first mark where this is reached, if there is one.
    fn mark_at(&self, amount: Amount, marks: &[Mark]) -> Option<usize> {
        let is_reached = |mark: &&Mark| match amount {
            Amount::Bytes(bytes) => self.passed + mark.at as u64 >= bytes,
            Amount::Messages(messages) => mark.messages >= messages,
        };
        marks.iter().find(is_reached).map(|mark| mark.at)
    }

    /// Turns a bit in some bytes behind the handshake.
    fn corrupt(&mut self, bytes: &mut [u8], marks: &[Mark]) {
        let start = if self.is_open { Some(0) } else { marks.first().map(|mark| mark.at) };
        let Some(start) = start else { return };
        self.is_open = true;
        if self.plan.corrupt <= 0.0 {
            return;
        }
        for byte in &mut bytes[start..] {
            let drawn = self.random.next();
            if ((drawn >> 11) as f64) < self.plan.corrupt * (1_u64 << 53) as f64 {
                *byte ^= 1 << (drawn & 7);
            }
        }
    }
}

/// Numbers that follow from a seed, the same in every version: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: [Mark; 2] = [Mark { at: 4, messages: 0 }, Mark { at: 7, messages: 1 }];

    fn steps(plan: Plan) -> Vec<Step> {
        let mut faults = Faults::new(plan, Side::Server, 1);
        let mut steps = faults.steps(b"headone".to_vec(), &MARKS);
        steps.extend(faults.steps(b"two".to_vec(), &[Mark { at: 3, messages: 2 }]));
        steps
    }

    fn pass(bytes: &str) -> Step {
        Step::Pass(bytes.into())
    }

    #[test]
    fn ends_come_where_they_are_asked_for() {
        for (amount, before) in [
            (Amount::Bytes(0), vec![]),
            (Amount::Bytes(2), vec![pass("he")]),
            (Amount::Bytes(7), vec![pass("headone")]),
            (Amount::Bytes(9), vec![pass("headone"), pass("tw")]),
            (Amount::Messages(0), vec![pass("head")]),
            (Amount::Messages(2), vec![pass("headone"), pass("two")]),
        ] {
            let dropped = steps(Plan { drop_after: Some(amount), ..Plan::default() });
            let end = dropped.iter().position(|step| *step == Step::Drop).unwrap();
            assert_eq!(dropped[..end], before, "{amount:?}");
            let closed = steps(Plan { half_close_after: Some(amount), ..Plan::default() });
            assert_eq!((&closed[..end], &closed[end]), (&before[..], &Step::HalfClose));
        }
        let plan = Plan { drop_after: Some(Amount::Bytes(11)), ..Plan::default() };
        assert_eq!(steps(plan), [pass("headone"), pass("two")]);
    }

    #[test]
    fn bad_frames_stand_between_messages() {
        let bad = || Step::Inject(BadFrame::Utf8, b"\x81\x01\xFF".to_vec());
        for (amount, steps_of) in [
            (Amount::Messages(0), vec![pass("head"), bad(), pass("one"), pass("two")]),
            (Amount::Bytes(5), vec![pass("headone"), bad(), pass("two")]),
            (Amount::Messages(2), vec![pass("headone"), pass("two"), bad()]),
        ] {
            assert_eq!(steps(Plan { bad_frame: Some((BadFrame::Utf8, amount)), ..Plan::default() }), steps_of);
        }
    }

    #[test]
    fn the_same_seed_turns_the_same_bits_and_none_of_a_head() {
        let corrupted = |seed, cut: usize| {
            let mut faults = Faults::new(Plan { corrupt: 0.01, ..Plan::default() }, Side::Client, seed);
            let mark = [Mark { at: 1000, messages: 0 }];
            let mut out = Vec::new();
            for (part, marks) in [(vec![0; cut], &mark[..]), (vec![0; 100_000 - cut], &[])] {
                for step in faults.steps(part, marks) {
                    let Step::Pass(bytes) = step else { panic!("{step:?}") };
                    out.extend(bytes);
                }
            }
            out
        };
        let once = corrupted(7, 2000);
        assert!(once == corrupted(7, 50_000) && once != corrupted(8, 2000));
        assert!(once[..1000].iter().all(|byte| *byte == 0));
        let turned: Vec<_> = once.iter().filter(|byte| **byte != 0).collect();
        assert!((800..1200).contains(&turned.len()) && turned.iter().all(|byte| byte.count_ones() == 1));
    }

    #[test]
    fn amounts_say_of_what() {
        assert_eq!((amount("5b"), amount("5bytes")), (Ok(Amount::Bytes(5)), Ok(Amount::Bytes(5))));
        assert_eq!((amount("0m"), amount("12messages")), (Ok(Amount::Messages(0)), Ok(Amount::Messages(12))));
        for wrong in ["", "5", "b", "5k", "-1b", "99999999999999999999b", "5 b"] {
            assert!(amount(wrong).is_err(), "{wrong}");
        }
    }
}
