//! `sockless inspect`: what the two ends of WebSocket connections said, from a capture.

mod connections;
mod flow;
mod har;
mod packets;
mod tape;

use crate::dialogue::{Dialogue, Reading, Side};
use crate::output::note;
use crate::report::{At, Form, Report};
use crate::status::{Failure, Status};
use crate::stdout::Stdout;
use clap::{Args, ValueEnum};
use connections::Connections;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Shows what passed on WebSocket connections: from a capture (pcap, pcapng), an archive of a browser (HAR), a tape, or one end's bytes
///
/// Frames, messages, handshakes and faults are read by the machinery that connections run on. Of a fault it says at which byte of
/// that end's stream it shows, and which section of which RFC it breaks; behind it, that end's stream is not read.
#[derive(Args)]
pub(crate) struct Arguments {
    /// A pcap, pcapng or HAR file, a tape, or with --role the bytes that one end sent; - for standard input
    file: String,
    /// Takes the file as what this end sent
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// There is no opening handshake before the frames
    #[arg(long, requires = "role")]
    open: bool,
    /// Takes compressed messages although no handshake says so
    #[arg(long, requires = "open")]
    compressed: bool,
    /// Reads on as the file grows, until Ctrl-C
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    form: Form,
    /// Takes no longer messages
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    max_message: usize,
    /// Follows so many connections at a time; beyond, those that have said nothing for the longest time are given up
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Client,
    Server,
}

/// Runs the subcommand.
///
/// # Errors
/// The file cannot be read, or there is a fault in it.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let unread = |error: io::Error| Failure::new(Status::NotConnected, format!("{}: {error}", arguments.file));
    let mut input: Box<dyn Read> = match &*arguments.file {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(File::open(path).map_err(unread)?),
    };
    if arguments.follow {
        input = Box::new(Growing { input, is_over: interrupted().map_err(unread)? });
    }
    let mut report = Report::new(BufWriter::new(Stdout), arguments.form);
    let reading =
        Reading { max_message: arguments.max_message, is_open: arguments.open, compressed: arguments.compressed };
    if let Some(role) = arguments.role {
        raw(input, role, reading, arguments.follow, &mut report).map_err(unread)?;
    } else {
        let mut start = Vec::new();
        input.by_ref().take(4).read_to_end(&mut start).map_err(unread)?;
        if packets::is_capture(&start) {
            captured(start, input, reading, arguments, &mut report)?;
        } else if har::is_archive(&start) {
            har::read(start, input, &mut report)?;
        } else if tape::is_tape(&start) {
            tape::read(start, input, (&arguments.file, arguments.max_message, arguments.form.json), &mut report)?;
        } else {
            return Err(Failure::usage(
                "neither pcap, pcapng, HAR nor a tape; of one end's bytes, --role says which end sent them",
            ));
        }
    }
    _ = report.flush();
    match report.is_faulty {
        true => Err(Failure::new(Status::Abnormal, "there are faults")),
        false => Ok(()),
    }
}

fn captured<W: Write>(
    start: Vec<u8>,
    input: impl Read,
    reading: Reading,
    arguments: &Arguments,
    report: &mut Report<W>,
) -> Result<(), Failure> {
    let mut connections = Connections::new(reading, arguments.max_connections.into());
    let mut is_heard = true;
    let is_live = arguments.follow || arguments.file == "-";
    let left_out = packets::read(start, input, |segment| {
        let told = connections.segment(segment, report).and_then(|()| if is_live { report.flush() } else { Ok(()) });
        is_heard = told.is_ok();
        told
    });
    // Nobody is left to be told.
    if !is_heard {
        return Ok(());
    }
    let left_out = left_out?;
    let Ok(given_up) = connections.end(report) else { return Ok(()) };
    _ = report.flush();
    for (count, what) in [
        (left_out.links, "packets of link types that are not known"),
        (left_out.fragments, "fragments of IP packets"),
        (given_up, "connections given up; see --max-connections"),
    ] {
        if count > 0 {
            note!("sockless: not read: {count} {what}");
        }
    }
    if left_out.is_cut {
        note!("sockless: the capture ends within a packet");
    }
    Ok(())
}

/// Tells what one end sent.
fn raw<W: Write>(
    mut input: impl Read,
    role: Role,
    reading: Reading,
    follow: bool,
    report: &mut Report<W>,
) -> io::Result<()> {
    let from = match role {
        Role::Client => Side::Client,
        Role::Server => Side::Server,
    };
    let at = At { connection: 1, time: None };
    let (mut dialogue, mut buffer) = (Dialogue::new(reading), vec![0; 64 << 10]);
    loop {
        let read = input.read(&mut buffer)?;
        let mut told = Ok(());
        let mut tell = |seen| {
            if told.is_ok() {
                told = report.tell(at, &seen);
            }
        };
        match read {
            0 => dialogue.end(from, &mut tell),
            read => dialogue.receive(from, &mut buffer[..read], &mut tell),
        }
        // The other end's answer is nowhere.
        dialogue.flush(from, &mut tell);
        if follow && told.is_ok() {
            told = report.flush();
        }
        if read == 0 || told.is_err() {
            return Ok(());
        }
    }
}

/// A file to whose end somebody still writes.
struct Growing {
    input: Box<dyn Read>,
    is_over: Arc<AtomicBool>,
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.input.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.is_over.load(Ordering::Relaxed) {
                return Ok(read);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What becomes true at Ctrl-C.
fn interrupted() -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let told = interrupted.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        _ = runtime.block_on(tokio::signal::ctrl_c());
        told.store(true, Ordering::Relaxed);
    });
    Ok(interrupted)
}
