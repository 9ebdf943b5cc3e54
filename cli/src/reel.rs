//! Tapes in files.

use crate::output::note;
use crate::status::{Failure, Status};
use sockless::testing::tape::{Call, Tape, TapeError};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A tape that is being written: each step as soon as it has happened.
pub(crate) struct Reel {
    path: PathBuf,
    file: File,
}

impl Reel {
    /// Makes the file, in place of another.
    ///
    /// # Errors
    /// It cannot be made, or not be written.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        let mut reel = Self { path: path.into(), file };
        reel.write(&Tape::HEAD)?;
        Ok(reel)
    }

    /// Writes steps behind those before.
    ///
    /// # Errors
    /// That of the file.
    pub(crate) fn append(&mut self, steps: &Tape) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        steps.steps.iter().for_each(|step| step.write(&mut bytes));
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| Failure::new(Status::NotConnected, format!("{}: {error}", self.path.display())))
    }
}

/// Reads a tape. Of one that is cut off, what there is.
///
/// # Errors
/// It cannot be read, or is none.
pub(crate) fn read(path: &Path) -> Result<Tape, Failure> {
    let name = path.display();
    let bytes = fs::read(path).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    tape(name, &bytes)
}

/// The tape that these bytes are. Of one that is cut off, what there is; and what it lacks is told.
///
/// # Errors
/// They are none.
pub(crate) fn tape(name: impl Display, bytes: &[u8]) -> Result<Tape, Failure> {
    let (tape, wrong) = Tape::recover(bytes);
    for (index, step) in tape.steps.iter().enumerate().filter(|(_, step)| step.call == Call::Unseen) {
        let what = if step.gave.is_empty() { "a call that no tape holds" } else { &step.gave };
        note!("sockless: {name}: step {index} is not on the tape: {what}");
    }
    match wrong {
        Some(error @ TapeError::Cut { .. }) => note!("sockless: {name}: {error}; what is before that is taken"),
        Some(error) => return Err(Failure::usage(format!("{name}: {error}"))),
        None => {}
    }
    Ok(tape)
}
