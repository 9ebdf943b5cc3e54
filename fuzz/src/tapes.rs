//! Tapes of what a run tells its connections, for `sockless replay`.

use sockless::testing::tape::{Call, Recorder};
use std::env;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Where each run leaves the tapes of its connections, in place of those of the run before.
static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| env::var_os("SOCKLESS_TAPES").map(PathBuf::from));

/// The folder for tapes, if they are wanted.
pub fn folder() -> Option<&'static Path> {
    FOLDER.as_deref()
}

/// Runs it, and leaves the tapes of what `recorders` names in the folder, if there is one, also where it panics.
pub fn leave<G>(
    folder: Option<&Path>,
    game: &mut G,
    run: impl FnOnce(&mut G),
    recorders: impl FnOnce(&G) -> Vec<(&str, &Recorder)>,
) {
    let Some(folder) = folder else { return run(game) };
    // The fuzzer's own ends the process.
    let hook = panic::take_hook();
    let ran = panic::catch_unwind(AssertUnwindSafe(|| run(game)));
    for (name, recorder) in recorders(game) {
        let mut tape = recorder.tape().cloned().unwrap_or_default();
        // What a game does beside a recorder's calls is but to look.
        tape.steps.retain(|step| step.call != Call::Unseen);
        fs::write(folder.join(name).with_extension("tape"), tape.to_bytes()).expect("the folder can be written to");
    }
    panic::set_hook(hook);
    ran.unwrap_or_else(|panic| panic::resume_unwind(panic));
}

/// Leaves the tape of a connection that receives these parts and the end, and sends what waits behind each: of a run that makes
/// other calls too, which no tape holds, what came.
pub fn leave_received<'b>(recorder: impl FnOnce() -> Recorder, parts: impl Iterator<Item = &'b [u8]>) {
    if folder().is_none() {
        return;
    }
    let receive = |recorder: &mut Recorder| {
        for part in parts {
            let mut part = part.to_vec();
            let mut input = &mut part[..];
            while !matches!(recorder.receive(&mut input), Ok(None)) {}
            while !recorder.take_outbound(usize::MAX).is_empty() {}
        }
        _ = recorder.receive_eof();
    };
    leave(folder(), &mut recorder(), receive, |recorder| vec![("connection", recorder)]);
}
