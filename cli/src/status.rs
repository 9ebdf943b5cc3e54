//! How the command ends.

use sockless_tokio::{ConnectError, TlsError};
use std::fmt::Display;
use std::process::ExitCode;

/// An exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Good = 0,
    /// Not connected, or not listening; or something cannot be read or written.
    NotConnected = 1,
    Usage = 2,
    /// Closed in another way than a normal one.
    Abnormal = 3,
    /// No message came where one was asked for.
    NoMessage = 4,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// Why it ends so, for people.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: Status, message: impl Display) -> Self {
        Self { status, message: message.to_string() }
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self::new(Status::Usage, message)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Request(_) => Self::usage(error),
            ConnectError::Rejected(response) => {
                let body = String::from_utf8_lossy(response.body());
                let text = format!("the server refused: {} {}\n{body}", response.status(), response.reason());
                Self::new(Status::NotConnected, text.trim_end())
            }
            error => Self::new(Status::NotConnected, error),
        }
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::usage(error)
    }
}
