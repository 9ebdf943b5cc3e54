//! What every loop around a [`Connection`](crate::Connection) does, without the loop.

mod answers;
mod attempts;

pub use answers::Answers;
pub use attempts::{Attempt, Attempts};
