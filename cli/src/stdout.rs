//! Standard output: written at once, or by a thread of its own for those who must not wait for its reader.

use crate::status::{Failure, Status};
use std::io::{self, Write};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use tokio::sync::watch;

/// Writes to standard output.
///
/// # Errors
/// Nobody reads it any more, or it cannot be written, of which [`failure`] tells.
pub(crate) fn print(bytes: &[u8]) -> io::Result<()> {
    Stdout.write_all(bytes).and_then(|()| Stdout.flush())
}

/// Why standard output could not be written. That nobody reads it is none: so others end a pipe.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// What standard output lacks, and why.
pub(crate) fn failure() -> Option<Failure> {
    FAILED.get().map(|error| Failure::new(Status::NotConnected, format_args!("standard output: {error}")))
}

/// Standard output, of which is kept how writing it failed.
pub(crate) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        kept(io::stdout().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        kept(io::stdout().flush())
    }
}

fn kept<T>(result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| {
        let kind = error.kind();
        if !matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted) {
            _ = FAILED.set(error);
        }
        kind.into()
    })
}

/// How many bytes wait to be written before more has to wait.
const WAITING: usize = 1 << 20;

/// Both outputs, written by a thread in the order in which it is told, while others go on.
#[derive(Clone)]
pub(crate) struct Outlet {
    lines: Sender<Line>,
    backlog: Arc<watch::Sender<Backlog>>,
}

enum Line {
    Output(Vec<u8>),
    Note(Vec<u8>),
}

#[derive(Default)]
struct Backlog {
    bytes: usize,
    is_unread: bool,
    /// Nothing more is taken.
    is_over: bool,
}

impl Outlet {
    pub(crate) fn new() -> Self {
        let (lines, taken) = channel();
        let backlog = Arc::new(watch::Sender::new(Backlog::default()));
        let left = backlog.clone();
        thread::spawn(move || {
            let mut is_unread = false;
            for line in taken {
                let len = match line {
                    Line::Output(bytes) => {
                        is_unread = is_unread || print(&bytes).is_err();
                        bytes.len()
                    }
                    Line::Note(bytes) => {
                        // Whether or not there is anybody to hear it.
                        _ = io::stderr().write_all(&bytes);
                        bytes.len()
                    }
                };
                left.send_modify(|backlog| {
                    backlog.bytes -= len;
                    backlog.is_unread = is_unread;
                });
            }
        });
        Self { lines, backlog }
    }

    /// Has this written to standard output.
    ///
    /// # Errors
    /// That of what was written before.
    pub(crate) fn print(&self, bytes: Vec<u8>) -> io::Result<()> {
        let len = bytes.len();
        self.put(Line::Output(bytes), len);
        if self.backlog.borrow().is_unread { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Has this written to standard error.
    pub(crate) fn note(&self, line: &str) {
        self.put(Line::Note(format!("{line}\n").into_bytes()), line.len() + 1);
    }

    fn put(&self, line: Line, len: usize) {
        let is_taken = self.backlog.send_if_modified(|backlog| {
            backlog.bytes += if backlog.is_over { 0 } else { len };
            !backlog.is_over
        });
        if is_taken {
            _ = self.lines.send(line);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.backlog.borrow().bytes >= WAITING
    }

    /// Waits until there is room for more.
    pub(crate) async fn room(&self) {
        self.until(|backlog| backlog.bytes < WAITING).await;
    }

    /// Waits until nobody reads standard output.
    pub(crate) async fn unread(&self) {
        self.until(|backlog| backlog.is_unread).await;
    }

    /// Takes nothing more, and waits until all that was taken is written, or for Ctrl-C.
    pub(crate) async fn end(&self) {
        self.backlog.send_modify(|backlog| backlog.is_over = true);
        tokio::select! {
            () = self.until(|backlog| backlog.bytes == 0) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }

    async fn until(&self, is_so: impl FnMut(&Backlog) -> bool) {
        _ = self.backlog.subscribe().wait_for(is_so).await;
    }
}

/// What is written in pieces goes through a buffer.
impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.print(bytes.to_vec()).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
