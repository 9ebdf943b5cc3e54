//! Sending: messages and replies to outbound bytes.

pub(crate) mod outbox;
pub(crate) mod outgoing;
pub(crate) mod prepared;
pub(crate) mod sender;
pub(crate) mod through;
pub(crate) mod writer;
