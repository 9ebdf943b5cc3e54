#![doc = include_str!("../../../docs/tape.md")]

mod call;
mod field;
mod format;
#[cfg(feature = "std")]
mod kept;
mod recorder;
mod replay;
mod said;

pub use call::{Call, Start, Way};
pub use format::{Step, Tape, TapeError};
pub use recorder::Recorder;
pub use replay::Difference;
