//! The tape of a connection that failed, from what was kept of it.

use super::call::Call;
use super::format::{Step, Tape};
use super::recorder::Recorder;
use super::said::received;
use crate::config::{Config, Failed, Negotiated, Tapes};
use crate::message::Role;
use crate::noted::{Kept, Part};
use crate::wire::error::ProtocolError;
use crate::wire::mask::Seed;
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::mem;

impl Tapes {
    /// Keeps the heads of the opening handshake, and in so many `bytes` of memory the last of what follows, both ways; `tell` is given the tape of each
    /// connection that fails, and why it has: the peer's fault, its early end, or a deadline. It is called where the connection is
    /// driven, before that tells the error.
    ///
    /// The tape has one connection, which was open already and is given what the peer sent; what this end sent, and the heads,
    /// [passed](Call::Passed). Of a server whose opening handshake failed it has that. If more was said than is kept, it says so by a
    /// [`Call::Unseen`], and goes on where a message begins. Compression with context takeover cannot be taken up there: what came
    /// passed then, too. The last step is what failed; where that was no byte of the peer's, an [`Unseen`](Call::Unseen) that gave
    /// the error.
    ///
    /// Its order is right, and its times are those that the loop last looked at the clock. `sockless-tokio` does not look for each
    /// message: there a time may be as old as the last deadline, or the last that passed besides messages.
    ///
    /// ```
    /// use sockless::driver::{Driver, Storage};
    /// use sockless::testing::tape::Call;
    /// use sockless::{Config, Connection, Negotiated, ProtocolError, Role, Seed, Tapes};
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    ///
    /// let (tell, told) = mpsc::channel();
    /// let tapes = Tapes::new(64 << 10, move |tape, error| _ = tell.send((tape, error)));
    /// let config = Config { tapes: Some(tapes), ..Config::default() };
    /// let server = Connection::open(Role::Server, Negotiated::default(), config, Seed::new([0; 16]));
    /// let (mut driver, mut storage) = (Driver::new(server), Storage::default());
    ///
    /// let input = b"\x81\x82\0\0\0\0hi\x83\x80\0\0\0\0"; // a text, and an opcode that is reserved
    /// driver.space(&mut storage)[..input.len()].copy_from_slice(input);
    /// driver.received(&mut storage, input.len(), Duration::ZERO);
    /// while let Ok(Some(_)) = driver.event(&mut storage, Duration::ZERO) {}
    ///
    /// let (tape, error) = told.try_recv()?;
    /// assert_eq!(error, ProtocolError::ReservedOpcode(3));
    /// assert_eq!(tape.replay(), Ok(()));
    /// assert_eq!(tape.steps.last().unwrap().gave, "error ReservedOpcode(3)");
    /// # Ok::<(), mpsc::TryRecvError>(())
    /// ```
    pub fn new(bytes: usize, tell: impl Fn(Tape, ProtocolError) + Send + Sync + 'static) -> Self {
        let tell = move |failed: Failed<'_>| {
            let error = failed.error;
            tell(tape(failed), error);
        };
        Self { most: bytes, tell: Arc::new(tell) }
    }
}

fn tape(failed: Failed<'_>) -> Tape {
    let Failed { role, config, negotiated, mut kept, error } = failed;
    let config = Config { tapes: None, ..config.clone() };
    let unfinished = kept.unfinished(role.peer()).to_vec();
    let mut tape = Tape::default();
    let opened = !matches!(error, ProtocolError::Handshake(_));
    let mut recorder = match (opened, role) {
        (true, _) => Some(Recorder::open(role, negotiated, config, Seed::new([0; 16]))),
        (false, Role::Server) => Some(Recorder::server(config)),
        // What it asked for cannot be told from the bytes.
        (false, Role::Client) => None,
    };
    let play = |recorder: &mut Option<Recorder>, part: Part| match recorder {
        Some(recorder) if part.from != role => receive(recorder, part),
        _ => alloc::vec![passed(part)],
    };
    let heads = mem::take(&mut kept.heads).into_iter().flat_map(|head| match opened {
        true => alloc::vec![passed(head)],
        false => play(&mut recorder, head),
    });
    tape.steps.extend(heads);
    let parts = following(&mut kept);
    let at = parts.last().map(|part| part.at).unwrap_or_default();
    let mut before = None;
    if kept.lost > 0 {
        let gave = format!("{} bytes were not kept", kept.lost);
        let at = parts.first().map_or(at, |part| part.at);
        tape.steps.push(Step { connection: 0, at, call: Call::Unseen, gave });
        // Here it begins in the middle of what was said.
        before = recorder.take().filter(|_| !takes_over(negotiated));
    }
    for part in parts {
        if part.between && part.from != role && before.is_some() {
            recorder = before.take();
        }
        tape.steps.extend(play(&mut recorder, part));
    }
    if !unfinished.is_empty() {
        let part = Part { at, from: role.peer(), bytes: unfinished, between: true };
        tape.steps.extend(play(&mut recorder, part));
    }
    let gave = received(&Err(error));
    // What was answered before the bad frame went out when that had been read, with what was before it.
    let failing = tape.steps.iter().rposition(|step| step.gave == gave).map(|index| tape.steps.remove(index));
    let mut failed = failing.is_some();
    tape.steps.extend(failing.map(|step| Step { at: at.max(step.at), ..step }));
    if let Some(mut recorder) = recorder.filter(|_| !failed) {
        recorder.set_time(at);
        failed = received(&recorder.receive_eof()) == gave;
        if failed {
            tape.steps.extend(recorder.take_tape().steps);
        }
    }
    if !failed {
        tape.steps.push(Step { connection: 0, at, call: Call::Unseen, gave });
    }
    tape
}

/// What followed the heads; where it is cut off, of each end from where a message begins, if one does.
fn following(kept: &mut Kept) -> Vec<Part> {
    let mut parts: Vec<_> = mem::take(&mut kept.parts).into();
    for from in [Role::Client, Role::Server] {
        let begins = parts.iter().position(|part| part.from == from && part.between);
        if let Some(begins) = begins.filter(|_| kept.lost > 0) {
            let mut behind = parts.split_off(begins);
            kept.lost += parts.iter().filter(|part| part.from == from).map(|part| part.bytes.len() as u64).sum::<u64>();
            parts.retain(|part| part.from != from);
            parts.append(&mut behind);
        }
    }
    parts
}

fn passed(Part { at, from, bytes, .. }: Part) -> Step {
    Step { connection: 0, at, call: Call::Passed(from, bytes), gave: String::new() }
}

/// What bytes of the peer's make.
fn receive(recorder: &mut Recorder, Part { at, mut bytes, .. }: Part) -> Vec<Step> {
    recorder.set_time(at);
    let mut input = &mut bytes[..];
    while let Ok(Some(_)) = recorder.receive(&mut input) {}
    // It is made with its first bytes.
    recorder.take_tape().steps.into_iter().map(|step| Step { at, ..step }).collect()
}

/// Whether what the peer compresses refers to what it said before.
fn takes_over(negotiated: Negotiated) -> bool {
    #[cfg(feature = "deflate")]
    return negotiated.deflate().is_some_and(|params| params.peer_takeover);
    #[cfg(not(feature = "deflate"))]
    negotiated.is_compressed()
}
