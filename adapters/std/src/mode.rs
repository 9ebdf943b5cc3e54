//! How messages are asked for.

/// As a whole, or in the parts that come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Message,
    Piece,
}
