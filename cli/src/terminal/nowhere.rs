//! Terminals where no line can be edited: lines are read as they come.

use crate::output::Coding;
use sockless_tokio::Message;
use std::io;
use std::path::Path;
use tokio::sync::{Notify, mpsc};

pub(crate) fn is_there() -> bool {
    false
}

pub(crate) struct Terminal {
    pub(crate) status: Status,
    pub(crate) interrupted: Notify,
}

impl Terminal {
    pub(crate) fn open(_: Coding, _: Option<&Path>) -> io::Result<(mpsc::Receiver<Message>, Self)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn print(&self, _: String) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) struct Status;

impl Status {
    pub(crate) fn state(&self, _: &'static str) {}

    pub(crate) fn sent(&self, _: usize) {}

    pub(crate) fn received(&self, _: usize) {}
}
