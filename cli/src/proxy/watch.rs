//! What passes a proxy: shown, and counted for its faults.

use super::faults::Mark;
use crate::dialogue::{Dialogue, Reading, Seen, Side, What};
use crate::report::{At, Form, Report};
use crate::stdout::Outlet;
use std::io::{self, BufWriter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Where all connections are shown.
pub(super) struct Shown {
    report: Mutex<Report<BufWriter<Outlet>>>,
    pub(super) outlet: Outlet,
}

impl Shown {
    pub(super) fn new(form: Form) -> Self {
        let outlet = Outlet::new();
        Self { report: Mutex::new(Report::new(BufWriter::new(outlet.clone()), form)), outlet }
    }

    fn say(&self, say: impl FnOnce(&mut Report<BufWriter<Outlet>>) -> io::Result<()>) {
        let mut report = locked(&self.report);
        // If nobody reads on, the outlet tells that.
        _ = say(&mut report).and_then(|()| report.flush());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection as it is watched.
pub(super) struct Watch {
    connection: u64,
    shown: Arc<Shown>,
    dialogue: Mutex<(Dialogue, [u64; 2])>,
}

impl Watch {
    pub(super) fn new(connection: u64, shown: Arc<Shown>, client: &str, server: &str, reading: Reading) -> Self {
        let watch = Self { connection, shown, dialogue: Mutex::new((Dialogue::new(reading), [0; 2])) };
        watch.shown.say(|report| report.begin(watch.at(), client, server));
        watch
    }

    fn at(&self) -> At {
        At { connection: self.connection, time: SystemTime::UNIX_EPOCH.elapsed().ok() }
    }

    /// Waits until there is room to show more.
    pub(super) async fn room(&self) {
        self.shown.outlet.room().await;
    }

    /// Shows what bytes of one side say, and gives where in them the handshake or a message ends.
    pub(super) fn receive(&self, side: Side, bytes: &[u8]) -> Vec<Mark> {
        let mut dialogue = locked(&self.dialogue);
        let (dialogue, messages) = &mut *dialogue;
        let (before, mut marks) = (dialogue.offset(side), Vec::new());
        dialogue.receive(side, &mut bytes.to_vec(), &mut |seen| {
            let is_mark = match seen.what {
                What::Request(_) | What::Open(..) => true,
                What::Message(..) => {
                    messages[seen.from as usize] += 1;
                    true
                }
                _ => false,
            };
            // What a client said before its answer is told with that, and was passed on long ago.
            if is_mark && seen.from == side && seen.end > before {
                marks.push(Mark { at: (seen.end - before) as usize, messages: messages[side as usize] });
            }
            self.tell(&seen);
        });
        marks
    }

    /// One side says nothing more.
    pub(super) fn end(&self, side: Side) {
        locked(&self.dialogue).0.end(side, &mut |seen| self.tell(&seen));
        self.mark(Some(side), "end", "EOF");
    }

    /// A fault was put in.
    pub(super) fn injected(&self, side: Side, what: &str) {
        self.mark(Some(side), "injected", what);
    }

    pub(super) fn mark(&self, side: Option<Side>, event: &str, what: &str) {
        self.shown.say(|report| report.mark(self.at(), side, event, what));
    }

    fn tell(&self, seen: &Seen) {
        self.shown.say(|report| report.tell(self.at(), seen));
    }
}
