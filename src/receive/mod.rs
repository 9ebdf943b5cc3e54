//! Receiving: input to frames, to messages, to events.

pub(crate) mod decode;
pub(crate) mod receiver;
