//! Tapes, with what crossed the wire on them.

use crate::dialogue::{Dialogue, Reading, Side};
use crate::reel;
use crate::report::{At, Report};
use crate::status::{Failure, Status};
use sockless::Role;
use sockless::testing::tape::{Call, Start, Tape};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::time::Duration;

/// Whether a file that begins so is a tape.
pub(super) fn is_tape(start: &[u8]) -> bool {
    Tape::HEAD.starts_with(start) && !start.is_empty()
}

/// Tells what was said on a tape that begins with `start`. Its times count from a moment that nobody knows, so that JSON has none.
pub(super) fn read<W: Write>(
    start: Vec<u8>,
    mut input: impl Read,
    (name, max_message, json): (&str, usize, bool),
    report: &mut Report<W>,
) -> Result<(), Failure> {
    let mut bytes = start;
    input.read_to_end(&mut bytes).map_err(|error| Failure::new(Status::NotConnected, format!("{name}: {error}")))?;
    let tape = reel::tape(name, &bytes)?;
    for (connection, tape) in (1..).zip(connections(tape)) {
        let at = |time: Duration| At { connection, time: (!json).then_some(time) };
        // Nobody is left to be told.
        if tell(&tape, max_message, at, report).is_err() {
            break;
        }
    }
    Ok(())
}

/// A tape for each connection. That of a relay has both ends of one.
fn connections(tape: Tape) -> Vec<Tape> {
    let has = |is: fn(&Call) -> bool| tape.steps.iter().any(|step| is(&step.call));
    if has(|call| matches!(call, Call::Passed(..))) && !has(|call| matches!(call, Call::Take(_))) {
        return vec![tape];
    }
    let mut tapes: BTreeMap<_, Tape> = BTreeMap::new();
    for step in tape.steps {
        tapes.entry(step.connection).or_default().steps.push(step);
    }
    tapes.into_values().collect()
}

fn tell<W: Write>(
    tape: &Tape,
    max_message: usize,
    at: impl Fn(Duration) -> At,
    report: &mut Report<W>,
) -> io::Result<()> {
    let head = tape.steps.iter().find(|step| !matches!(step.call, Call::Unseen));
    let mut reading = Reading { max_message, is_open: false, compressed: false };
    if let Some(Call::Start(start)) = head.map(|step| &step.call)
        && let Start::Open { negotiated, .. } = &**start
    {
        (reading.is_open, reading.compressed) = (true, negotiated.is_compressed());
    }
    let mut dialogue = Dialogue::new(reading);
    let mut told = Ok(());
    let mut last = Duration::ZERO;
    for (time, from, bytes) in tape.wire() {
        let side = if from == Role::Client { Side::Client } else { Side::Server };
        last = time;
        dialogue.receive(side, &mut bytes.to_vec(), &mut |seen| {
            if told.is_ok() {
                told = report.tell(at(time), &seen);
            }
        });
    }
    for side in Side::BOTH {
        dialogue.flush(side, &mut |seen| {
            if told.is_ok() {
                told = report.tell(at(last), &seen);
            }
        });
    }
    told
}
