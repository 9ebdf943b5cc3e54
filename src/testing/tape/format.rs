//! A tape and its steps, and the bytes that they are kept as.

use super::call::Call;
use super::field::{Bad, Field, bytes};
use crate::message::Role;
use alloc::collections::BTreeMap;
use alloc::{string::String, vec::Vec};
use core::time::Duration;
use thiserror::Error;

/// What connections were told, call by call, and what they gave.
///
/// A [`Recorder`](super::Recorder) makes it. A tape that a crash left is read by [`recover`](Self::recover).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tape {
    /// The calls, in the order in which they were made.
    pub steps: Vec<Step>,
}

/// A call, and what it gave. Two are the same that are written the same.
#[derive(Clone, Debug)]
pub struct Step {
    /// Whose call, if the tape is of several connections.
    pub connection: u32,
    /// When, on the clock of whoever drove the connection.
    pub at: Duration,
    /// What it was told.
    pub call: Call,
    /// What that gave: an event, an error or a refusal, as a line of text; mostly nothing. `panic` if it did not return.
    pub gave: String,
}

/// Why bytes are no tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TapeError {
    /// They don't begin as one does.
    #[error("not a tape")]
    Magic,
    /// It was written by another version of this format.
    #[error("tape of version {0}, which is unknown here")]
    Version(u8),
    /// It ends within the step at this byte, as after a crash.
    #[error("the tape is cut off: its last step, at byte {offset}, is not whole")]
    Cut {
        /// Where the step begins.
        offset: usize,
    },
    /// The step at this byte was never written so.
    #[error("the step at byte {offset} of the tape is broken")]
    Step {
        /// Where the step begins.
        offset: usize,
    },
    /// The step at this byte needs the feature `deflate`.
    #[error("the step at byte {offset} of the tape needs the feature `deflate`")]
    Feature {
        /// Where the step begins.
        offset: usize,
    },
}

impl Tape {
    /// What every tape begins with, its version included.
    pub const HEAD: [u8; 8] = *b"sl-tape\x01";

    /// The tape as bytes: [`HEAD`](Self::HEAD) and the steps.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Self::HEAD.to_vec();
        self.steps.iter().for_each(|step| step.write(&mut out));
        out
    }

    /// The tape that these bytes are.
    ///
    /// # Errors
    /// The first thing that is wrong. No more memory is taken than some twenty times the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TapeError> {
        match Self::recover(bytes) {
            (tape, None) => Ok(tape),
            (_, Some(error)) => Err(error),
        }
    }

    /// All steps before the first that is not whole, and what is wrong with that: of a tape that was cut off, or is still being
    /// written.
    pub fn recover(bytes: &[u8]) -> (Self, Option<TapeError>) {
        let mut tape = Self::default();
        let (magic, version) = (&Self::HEAD[..7], Self::HEAD[7]);
        let wrong = match bytes.strip_prefix(magic).map(<[u8]>::split_first) {
            None if !magic.starts_with(bytes) => Some(TapeError::Magic),
            None | Some(None) => Some(TapeError::Cut { offset: 0 }),
            Some(Some((other, _))) if *other != version => Some(TapeError::Version(*other)),
            Some(Some((_, mut rest))) => tape.read_steps(&mut rest).err().map(|bad| {
                let offset = bytes.len() - rest.len();
                match bad {
                    Bad::Cut => TapeError::Cut { offset },
                    Bad::Value => TapeError::Step { offset },
                    Bad::Feature => TapeError::Feature { offset },
                }
            }),
        };
        (tape, wrong)
    }

    /// Reads to the end; `rest` begins with the step that could not be read otherwise.
    fn read_steps(&mut self, rest: &mut &[u8]) -> Result<(), Bad> {
        while !rest.is_empty() {
            let mut input = *rest;
            let len = usize::get(&mut input)?;
            let mut body = bytes(&mut input, len)?;
            // All of a step is there, so that an end within it is no cut.
            let step = Step::get(&mut body).map_err(|bad| if bad == Bad::Cut { Bad::Value } else { bad })?;
            if !body.is_empty() {
                return Err(Bad::Value);
            }
            self.steps.push(step);
            *rest = input;
        }
        Ok(())
    }

    /// What crossed the wire, in order: when, which end it came from, and the bytes.
    pub fn wire(&self) -> impl Iterator<Item = (Duration, Role, &[u8])> {
        let mut roles = BTreeMap::new();
        self.steps.iter().filter_map(move |Step { connection, at, call, .. }| {
            let (from, bytes) = match call {
                Call::Start(start) => {
                    roles.insert(connection, start.role());
                    return None;
                }
                Call::Receive(bytes) => (roles.get(connection)?.peer(), bytes),
                Call::Take(bytes) => (*roles.get(connection)?, bytes),
                Call::Passed(from, bytes) => (*from, bytes),
                _ => return None,
            };
            (!bytes.is_empty()).then_some((*at, from, &bytes[..]))
        })
    }
}

impl Step {
    /// Writes the step to the end of a tape that begins with [`Tape::HEAD`].
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        self.put(&mut body);
        body.put(out);
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        let [mut one, mut two] = [Vec::new(), Vec::new()];
        self.put(&mut one);
        other.put(&mut two);
        one == two
    }
}

impl Eq for Step {}

impl Field for Step {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { connection, at, call, gave } = self;
        connection.put(out);
        at.put(out);
        call.put(out);
        gave.put(out);
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        Ok(Self {
            connection: Field::get(input)?,
            at: Field::get(input)?,
            call: Field::get(input)?,
            gave: Field::get(input)?,
        })
    }
}
