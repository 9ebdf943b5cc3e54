//! Lines that are typed at a terminal: edited, with a history, below what is printed meanwhile.

use crate::input::message;
use crate::output::{Coding, note};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Editor, ExternalPrinter, Helper};
use sockless_tokio::Message;
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

/// Whether somebody types who can see what is typed.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Prints above the line that is edited. Only the thread that edits takes what is to be printed, and one is waited for by the next.
type Printer = Mutex<Box<dyn ExternalPrinter + Send>>;

fn print(printer: &Printer, lines: String) -> io::Result<()> {
    printer.lock().unwrap_or_else(PoisonError::into_inner).print(lines).map_err(io::Error::other)
}

/// Lines that wait to be sent. A thread that waited for them to be would take nothing that is to be printed, which is waited for where
/// they are sent.
const LINES: usize = 1024;

/// The terminal, until this is dropped, which leaves it as it was.
pub(crate) struct Terminal {
    printer: Arc<Printer>,
    pub(crate) status: Arc<Status>,
    /// Ctrl-C was typed, of which no signal is made while a line is edited.
    pub(crate) interrupted: Arc<Notify>,
    before: Termios,
    /// Told when nothing more is drawn.
    quiet: Receiver<()>,
}

/// How long that is waited for: it takes no time, unless nothing is edited just now.
const QUIET: Duration = Duration::from_millis(200);

impl Terminal {
    /// Begins to read lines, whose history is read from this file and added to it.
    ///
    /// # Errors
    /// It is no terminal that lines can be edited at, or the history cannot be read.
    pub(crate) fn open(coding: Coding, history: Option<&Path>) -> io::Result<(mpsc::Receiver<Message>, Self)> {
        let before = tcgetattr(io::stdin())?;
        let config = Config::builder().auto_add_history(true).max_history_size(1000).map_err(io::Error::other)?.build();
        let mut editor: Editor<Line, FileHistory> = Editor::with_config(config).map_err(io::Error::other)?;
        if let Some(file) = history.filter(|file| file.exists()) {
            editor.load_history(file).map_err(io::Error::other)?;
        }
        let status = Arc::new(Status::new());
        let (last, quiet) = channel();
        editor.set_helper(Some(Line { status: status.clone(), last }));
        let printer = Mutex::new(Box::new(editor.create_external_printer().map_err(io::Error::other)?) as Box<_>);
        let printer = Arc::new(printer);
        let (sender, receiver) = mpsc::channel(LINES);
        let interrupted = Arc::new(Notify::new());
        let (history, told) = (history.map(PathBuf::from), interrupted.clone());
        thread::spawn(move || match edited(editor, coding, history.as_deref(), &sender) {
            Ok(()) => {}
            Err(ReadlineError::Interrupted) => told.notify_one(),
            Err(error) => note!("sockless: standard input: {error}"),
        });
        Ok((receiver, Self { printer, status, interrupted, before, quiet }))
    }

    /// Prints lines above the one that is edited.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn print(&self, lines: String) -> io::Result<()> {
        print(&self.printer, lines)
    }
}

/// To go up a line and down again shows nothing, but the line that is edited is drawn again behind it.
const NOTHING: &str = "\x1b[A\n";

impl Drop for Terminal {
    fn drop(&mut self) {
        // The thread that edits has taken all that was printed before when it has room for this.
        _ = self.print(NOTHING.into());
        // When it draws its line again, it finds that this is the end, and takes nothing more. It may do so right now, so nobody waits
        // for what has it draw.
        self.status.change(|counts| counts.is_over = true);
        let printer = self.printer.clone();
        thread::spawn(move || print(&printer, NOTHING.into()));
        _ = self.quiet.recv_timeout(QUIET);
        _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.before);
        // The line that is edited no more goes, and so do the two modes that editing sets: to draw at once what comes together, and
        // to mark what is pasted.
        _ = io::stdout().write_all(b"\r\x1b[K\x1b[?2026l\x1b[?2004l").and_then(|()| io::stdout().flush());
    }
}

/// Gives the lines that are typed, until the end.
fn edited(
    mut editor: Editor<Line, FileHistory>,
    coding: Coding,
    history: Option<&Path>,
    sender: &mpsc::Sender<Message>,
) -> Result<(), ReadlineError> {
    loop {
        let prompt = editor.helper().map(|line| line.status.shown()).unwrap_or_default();
        let line = match editor.readline(&prompt) {
            Err(ReadlineError::Eof) => return Ok(()),
            line => line?,
        };
        if let Some(file) = history {
            editor.append_history(file)?;
        }
        match message(line.as_bytes(), coding) {
            Ok(message) => {
                if sender.blocking_send(message).is_err() {
                    return Ok(());
                }
            }
            Err(reason) => note!("sockless: not sent, as {reason}"),
        }
    }
}

/// What is shown before the line: the state, and how much was sent and received.
pub(crate) struct Status(Mutex<Counts>);

struct Counts {
    is_over: bool,
    state: &'static str,
    sent: u64,
    received: u64,
    /// When a second of counting began, with how many bytes, and how many a second there were before.
    since: (Instant, u64),
    rate: u64,
}

impl Status {
    fn new() -> Self {
        Self(Mutex::new(Counts {
            is_over: false,
            state: "dial",
            sent: 0,
            received: 0,
            since: (Instant::now(), 0),
            rate: 0,
        }))
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn is_over(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_over
    }

    /// One word of at most five letters.
    pub(crate) fn state(&self, state: &'static str) {
        self.change(|counts| counts.state = state);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.change(|counts| counts.sent += bytes as u64);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.change(|counts| counts.received += bytes as u64);
    }

    /// As wide whatever it shows, so that the line stays where it is.
    fn shown(&self) -> String {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, before) = counts.since;
        let (seconds, all) = (begun.elapsed().as_secs_f64(), counts.sent + counts.received);
        if seconds >= 1.0 {
            counts.rate = ((all - before) as f64 / seconds) as u64;
            counts.since = (Instant::now(), all);
        }
        let [sent, received, rate] = [counts.sent, counts.received, counts.rate].map(sized);
        format!("{:5} >{sent} <{received} {rate}/s | ", counts.state)
    }
}

/// So many bytes, in eight letters.
fn sized(bytes: u64) -> String {
    let mut amount = bytes as f64;
    for unit in ["B ", "kB", "MB", "GB", "TB"] {
        if amount < 999.5 {
            let digits = usize::from(unit != "B " && amount < 99.95);
            return format!("{amount:5.digits$} {unit}");
        }
        amount /= 1000.0;
    }
    "    much".into()
}

/// What rustyline asks of a line: only what stands before it.
struct Line {
    status: Arc<Status>,
    /// Told when it is drawn no more.
    last: Sender<()>,
}

impl Highlighter for Line {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, is_default: bool) -> Cow<'b, str> {
        if self.status.is_over() && self.last.send(()).is_ok() {
            loop {
                thread::park();
            }
        }
        // Where the history is searched, another one stands there.
        if is_default { self.status.shown().into() } else { prompt.into() }
    }
}

impl Helper for Line {}
impl Validator for Line {}

impl Hinter for Line {
    type Hint = String;
}

impl Completer for Line {
    type Candidate = String;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_wide_as_each_other() {
        for (bytes, shown) in [
            (0, "    0 B "),
            (999, "  999 B "),
            (1000, "  1.0 kB"),
            (99_949, " 99.9 kB"),
            (99_950, "  100 kB"),
            (999_499, "  999 kB"),
            (999_500, "  1.0 MB"),
            (u64::MAX, "    much"),
        ] {
            assert_eq!(sized(bytes), shown, "{bytes}");
        }
    }
}
