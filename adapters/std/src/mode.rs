//! How messages are asked for.

/// As a whole, in the parts that come, or in whole frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Message,
    Piece,
    Frame,
}
