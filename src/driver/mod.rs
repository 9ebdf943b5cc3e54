//! What every loop around a [`Connection`](crate::Connection) does, without the loop.

mod answers;

pub use answers::Answers;
