//! Tapes: bytes that are read as one, and what a recorder made of a script.

use crate::frames;
use crate::heap;
use crate::messages::{data, length, message};
use crate::settings::Settings;
use crate::tapes;
use arbitrary::Arbitrary;
use sockless::testing::tape::{Recorder, Tape, TapeError};
use sockless::{Code, Compress, Kind, Role};
use std::time::Duration;

/// Bytes, and what they are.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    settings: Settings,
    /// Bits: the role; a script for a recorder, or else a tape; that without its head, its steps behind a byte of length each.
    ways: u8,
    bytes: &'a [u8],
}

/// What is read is bounded, written as it was read, and played without harm; what was recorded is read, and played the same.
pub fn check(input: &Input<'_>) {
    if input.ways & 2 != 0 {
        return recorded(input);
    }
    let bytes = if input.ways & 4 == 0 { input.bytes.to_vec() } else { framed(input.bytes) };
    let ((tape, wrong), used) = heap::used(|| Tape::recover(&bytes));
    assert!(used.peak <= 4096 + 64 * bytes.len() as isize, "{} bytes of heap for {}", used.peak, bytes.len());
    assert_eq!(Tape::from_bytes(&bytes), wrong.map_or_else(|| Ok(tape.clone()), Err));

    let written = tape.to_bytes();
    assert_eq!(Tape::from_bytes(&written).as_ref(), Ok(&tape));
    check_cut(&tape, &written);
    assert!(tape.wire().map(|(_, _, bytes)| bytes.len()).sum::<usize>() <= written.len());
    // It is the tape of no connection, mostly.
    _ = tape.replay();
}

/// The steps of a tape, each behind a byte of length, as a tape.
fn framed(mut bytes: &[u8]) -> Vec<u8> {
    let mut tape = Tape::HEAD.to_vec();
    while let [len, rest @ ..] = bytes {
        let (step, rest) = rest.split_at(rest.len().min(usize::from(len & 0x7F)));
        tape.push(step.len() as u8);
        tape.extend_from_slice(step);
        bytes = rest;
    }
    tape
}

/// A tape that was cut off has all of its steps but the last.
fn check_cut(tape: &Tape, written: &[u8]) {
    let Some((_, before)) = tape.steps.split_last() else { return };
    let (cut, wrong) = Tape::recover(&written[..written.len() - 1]);
    assert_eq!(cut.steps, before);
    assert!(matches!(wrong, Some(TapeError::Cut { .. })), "{wrong:?}");
}

/// A recorder's tape is read as it was written, and whatever was done, a connection does the same again.
fn recorded(input: &Input<'_>) {
    let role = if input.ways & 1 == 0 { Role::Server } else { Role::Client };
    let mut recorder = input.settings.record(role);
    let play_all = |recorder: &mut Recorder| {
        let mut script = input.bytes;
        for number in 0..100 {
            let [what, amount, rest @ ..] = script else { break };
            script = play(recorder, role, number, [*what, *amount], rest);
        }
    };
    tapes::leave(tapes::folder(), &mut recorder, play_all, |recorder| vec![("connection", recorder)]);
    let tape = recorder.take_tape();
    let bytes = tape.to_bytes();
    assert_eq!(Tape::from_bytes(&bytes).as_ref(), Ok(&tape));
    check_cut(&tape, &bytes);
    assert_eq!(tape.replay(), Ok(()));
}

/// Makes a call; what is left of the script.
fn play<'s>(recorder: &mut Recorder, role: Role, number: usize, [what, amount]: [u8; 2], script: &'s [u8]) -> &'s [u8] {
    let kind = if what & 0x80 == 0 { Kind::Text } else { Kind::Binary };
    let data = data(kind, number, length(amount).min(5000));
    match what & 0x0F {
        // What comes may be a part of a frame, and events may be left for later.
        0..=3 => {
            let (bytes, rest) = match what & 3 {
                0 => {
                    let (bytes, rest) = script.split_at(script.len().min(amount.into()));
                    (bytes.to_vec(), rest)
                }
                _ => {
                    let mut stream = Vec::new();
                    let (payload, rest) = frames::payload_of(amount & 0x7F, script);
                    let key = (role == Role::Server).then_some([number as u8, 1, 2, 3]);
                    frames::push(&mut stream, 0x81 + (what >> 4 & 1) + (what >> 2 & 8), key, &payload);
                    (stream, rest)
                }
            };
            receive(recorder, bytes);
            return rest;
        }
        4 => drop(recorder.send(message(kind, &data))),
        5 => drop(recorder.send_shared(kind, data.into())),
        6 => drop(
            recorder.send_with(message(kind, &data), if what & 0x40 == 0 { Compress::Always } else { Compress::Never }),
        ),
        7 => drop(recorder.send_fragment(kind, &data, what & 0x40 == 0)),
        8 => drop(recorder.ping(&data)),
        9 => drop(recorder.close(Code::from(1000 + u16::from(amount) * 16), "bye")),
        10 if amount > 0xE0 => recorder.abort(Code::AWAY),
        11 => drop(recorder.handle_timeout(Duration::from_millis((number as u64) << (amount & 15)))),
        12 if amount > 0xE0 => drop(recorder.receive_eof()),
        _ => drop(recorder.take_outbound(if amount == u8::MAX { usize::MAX } else { amount.into() })),
    }
    script
}

/// Receives all of it: what is left must come again.
fn receive(recorder: &mut Recorder, mut bytes: Vec<u8>) {
    let mut input = &mut bytes[..];
    loop {
        let told = recorder.receive(&mut input);
        if matches!(told, Ok(None)) {
            break;
        }
    }
    assert!(input.is_empty());
}
