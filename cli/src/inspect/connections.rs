//! The connections of a capture: segments of TCP to what the two ends of each say.

use super::flow::{Flow, Lost};
use super::packets::Segment;
use crate::dialogue::{Dialogue, Reading, Seen, Side, What};
use crate::report::{At, Report};
use std::collections::HashMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) struct Connections {
    reading: Reading,
    /// How many are known at a time.
    most: usize,
    /// By their addresses, the lower one first.
    open: HashMap<(SocketAddr, SocketAddr), Connection>,
    numbers: u64,
    /// Segments so far.
    clock: u64,
    latest: Option<Duration>,
    /// How many were given up for others.
    given_up: u64,
}

struct Connection {
    number: u64,
    client: SocketAddr,
    server: SocketAddr,
    dialogue: Dialogue,
    flows: [Flow; 2],
    /// Whose direction is not read any more.
    ended: [bool; 2],
    /// Whether it has been told of.
    is_told: bool,
    used: u64,
}

impl Connections {
    pub(super) fn new(reading: Reading, most: usize) -> Self {
        let open = HashMap::new();
        Self { reading, most, open, numbers: 0, clock: 0, latest: None, given_up: 0 }
    }

    /// Takes a segment, and tells what is said by it.
    pub(super) fn segment<W: Write>(&mut self, segment: &Segment<'_>, report: &mut Report<W>) -> io::Result<()> {
        self.clock += 1;
        self.latest = segment.time.or(self.latest);
        let key = (segment.from.min(segment.to), segment.from.max(segment.to));
        if let Some(known) = self.open.get(&key)
            && segment.syn
            && known.flows[known.side(segment.from) as usize].is_other(segment.sequence)
            && let Some(known) = self.open.remove(&key)
        {
            // Its ports are used again.
            known.finish(segment.time, report)?;
        }
        if !self.open.contains_key(&key) {
            if !segment.syn && segment.data.is_empty() {
                return Ok(());
            }
            if self.open.len() >= self.most {
                self.give_up(report)?;
            }
            self.numbers += 1;
            self.open.insert(key, Connection::new(self.numbers, segment, self.reading));
        }
        let Some(connection) = self.open.get_mut(&key) else { return Ok(()) };
        connection.used = self.clock;
        connection.segment(segment, report)
    }

    /// The capture ends.
    pub(super) fn end<W: Write>(self, report: &mut Report<W>) -> io::Result<u64> {
        let mut left: Vec<_> = self.open.into_values().collect();
        left.sort_unstable_by_key(|connection| connection.number);
        left.into_iter().try_for_each(|connection| connection.finish(self.latest, report))?;
        Ok(self.given_up)
    }

    /// Makes room: those that are over go first, then an eighth of the others, which have said nothing for the longest time.
    fn give_up<W: Write>(&mut self, report: &mut Report<W>) -> io::Result<()> {
        self.open.retain(|_, connection| !connection.is_over());
        if self.open.len() < self.most - self.most / 8 {
            return Ok(());
        }
        let mut used: Vec<_> = self.open.iter().map(|(key, connection)| (connection.used, *key)).collect();
        used.sort_unstable();
        for (_, key) in used.into_iter().take(self.most / 8 + 1) {
            let Some(connection) = self.open.remove(&key) else { continue };
            self.given_up += 1;
            if connection.is_told {
                let at = At { connection: connection.number, time: self.latest };
                report.mark(at, None, "unread", "given up, as there are too many connections")?;
            }
        }
        Ok(())
    }
}

impl Connection {
    fn new(number: u64, segment: &Segment<'_>, reading: Reading) -> Self {
        // Without its first segments, by who answers.
        let is_from_server = if segment.syn { segment.ack } else { segment.data.starts_with(b"HTTP/") };
        let (client, server) = if is_from_server { (segment.to, segment.from) } else { (segment.from, segment.to) };
        let (dialogue, flows, ended) = (Dialogue::new(reading), Default::default(), [false; 2]);
        Self { number, client, server, dialogue, flows, ended, is_told: false, used: 0 }
    }

    fn side(&self, from: SocketAddr) -> Side {
        if from == self.client { Side::Client } else { Side::Server }
    }

    fn is_over(&self) -> bool {
        self.ended == [true; 2]
    }

    fn segment<W: Write>(&mut self, segment: &Segment<'_>, report: &mut Report<W>) -> io::Result<()> {
        let side = self.side(segment.from);
        let at = At { connection: self.number, time: segment.time };
        if self.ended[side as usize] {
            return if segment.rst { self.reset(at, side, report) } else { Ok(()) };
        }
        let Self { dialogue, flows, .. } = self;
        let flow = &mut flows[side as usize];
        let (mut seen, mut sequence) = (Vec::new(), segment.sequence);
        if segment.syn {
            flow.begin(sequence);
            sequence = sequence.wrapping_add(1);
        }
        let taken = flow.segment(sequence, segment.data, segment.fin, |bytes| {
            dialogue.receive(side, bytes, &mut |what| seen.push(what));
        });
        let is_ended = flow.is_ended();
        if is_ended {
            dialogue.end(side, &mut |what| seen.push(what));
        }
        self.tell(at, &seen, report)?;
        if taken == Err(Lost) {
            self.lose(at, side, report)?;
        }
        if is_ended {
            self.ended[side as usize] = true;
            self.mark(at, side, "end", "FIN", report)?;
        }
        if segment.rst { self.reset(at, side, report) } else { Ok(()) }
    }

    fn mark<W: Write>(&self, at: At, side: Side, event: &str, what: &str, report: &mut Report<W>) -> io::Result<()> {
        if self.is_told { report.mark(at, Some(side), event, what) } else { Ok(()) }
    }

    fn reset<W: Write>(&mut self, at: At, side: Side, report: &mut Report<W>) -> io::Result<()> {
        if self.is_over() {
            return Ok(());
        }
        self.ended = [true; 2];
        self.mark(at, side, "end", "RST", report)
    }

    /// Tells what was seen, and before the first of it, of the connection.
    fn tell<W: Write>(&mut self, at: At, seen: &[Seen], report: &mut Report<W>) -> io::Result<()> {
        for seen in seen {
            if !self.is_told {
                self.is_told = true;
                report.begin(at, &self.client.to_string(), &self.server.to_string())?;
            }
            report.tell(at, seen)?;
            if let What::Unread(_) = seen.what {
                self.ended = [true; 2];
            }
        }
        Ok(())
    }

    /// Bytes of one direction are missing, so that what is behind them cannot be read.
    fn lose<W: Write>(&mut self, at: At, side: Side, report: &mut Report<W>) -> io::Result<()> {
        let flow = &mut self.flows[side as usize];
        let what = format!("bytes are missing in the capture, from byte {} on", flow.gap().unwrap_or_default());
        flow.clear();
        self.ended[side as usize] = true;
        self.mark(at, side, "unread", &what, report)
    }

    /// Nothing more comes.
    fn finish<W: Write>(mut self, time: Option<Duration>, report: &mut Report<W>) -> io::Result<()> {
        let at = At { connection: self.number, time };
        for side in Side::BOTH {
            let mut seen = Vec::new();
            self.dialogue.flush(side, &mut |what| seen.push(what));
            self.tell(at, &seen, report)?;
            if !self.ended[side as usize] && self.flows[side as usize].gap().is_some() {
                self.lose(at, side, report)?;
            }
        }
        Ok(())
    }
}
