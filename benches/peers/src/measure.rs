//! Contestants in turn, many short rounds, and the medians of them.

use crate::heap;
use std::time::{Duration, Instant};

/// One contestant at one workload.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// What it does not do of the work.
    pub(crate) note: &'static str,
    /// Does the work once; `None` if it cannot.
    pub(crate) run: Option<Box<dyn FnMut()>>,
}

impl Entry {
    pub(crate) fn new(name: &'static str, run: impl FnMut() + 'static) -> Self {
        Self { name, note: "", run: Some(Box::new(run)) }
    }

    pub(crate) fn cannot(name: &'static str, note: &'static str) -> Self {
        Self { name, note, run: None }
    }

    pub(crate) fn noting(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// The same work for every contestant.
pub(crate) struct Workload {
    pub(crate) group: String,
    pub(crate) case: String,
    /// Messages that one run handles, and bytes in each; 0 where bytes are not the matter.
    pub(crate) messages: usize,
    pub(crate) size: usize,
    /// Made when it is their turn.
    pub(crate) entries: Box<dyn FnOnce() -> Vec<Entry>>,
}

impl Workload {
    pub(crate) fn name(&self) -> String {
        format!("{}, {}", self.group, self.case)
    }
}

/// How long to measure.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// What each contestant gets of a round, at least.
    pub(crate) turn: Duration,
}

/// What a contestant took at a workload.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) note: &'static str,
    pub(crate) figures: Option<Figures>,
}

#[derive(Clone, Copy)]
pub(crate) struct Figures {
    /// Nanoseconds a message: the median, and the quartiles around it.
    pub(crate) ns: [f64; 3],
    /// Of the time of the limit in the same round.
    pub(crate) to_limit: f64,
    /// Of the time of sockless in the same round, by its fastest way.
    pub(crate) to_us: f64,
    /// Allocations a message.
    pub(crate) allocations: f64,
}

pub(crate) const US: &str = "sockless";
pub(crate) const LIMIT: &str = "limit";

/// Behind a run that does not count, so that nobody's time depends on what the one before left in the caches.
fn timed(run: &mut impl FnMut(), times: usize) -> Duration {
    run();
    let start = Instant::now();
    for _ in 0..times {
        run();
    }
    start.elapsed()
}

/// The quartiles of what is left when no number is missing.
fn quartiles(mut samples: Vec<f64>) -> [f64; 3] {
    samples.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| samples[(samples.len() - 1) * quarter / 4])
}

pub(crate) fn measure(entries: Vec<Entry>, messages: usize, effort: Effort) -> Vec<Row> {
    let messages = messages as f64;
    let (mut rows, mut names, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for Entry { name, note, run } in entries {
        rows.push(Row { name, note, figures: None });
        if let Some(run) = run {
            names.push(name);
            runs.push(run);
        }
    }
    let times: Vec<usize> = runs
        .iter_mut()
        .map(|run| {
            timed(run, 2);
            let once = timed(run, 1).max(Duration::from_nanos(1));
            effort.turn.div_duration_f64(once).ceil() as usize
        })
        .collect();
    let mut samples = vec![Vec::with_capacity(effort.rounds); runs.len()];
    for round in 0..effort.rounds {
        for turn in 0..runs.len() {
            // Back and forth, so that nobody always follows the same one.
            let i = if round % 2 == 0 { turn } else { runs.len() - 1 - turn };
            samples[i].push(timed(&mut runs[i], times[i]).as_nanos() as f64 / (times[i] as f64 * messages));
        }
    }
    // The time in each round of the fastest whose name begins so.
    let fastest = |name| {
        let is_one = |(of, times): (&&str, _)| of.starts_with(name).then_some(times);
        let them: Vec<&Vec<f64>> = names.iter().zip(&samples).filter_map(is_one).collect();
        (0..effort.rounds).map(|round| them.iter().map(|times| times[round]).fold(f64::INFINITY, f64::min)).collect()
    };
    let (limit, ours): (Vec<f64>, Vec<f64>) = (fastest(LIMIT), fastest(US));
    let ratio =
        |i: usize, base: &[f64]| quartiles(samples[i].iter().zip(base).map(|(time, base)| time / base).collect())[1];
    let figures = runs.iter_mut().enumerate().map(|(i, run)| Figures {
        ns: quartiles(samples[i].clone()),
        to_limit: ratio(i, &limit),
        to_us: ratio(i, &ours),
        allocations: heap::counted(run).1 as f64 / messages,
    });
    for (figures, name) in figures.zip(&names) {
        if let Some(row) = rows.iter_mut().find(|row| row.name == *name) {
            row.figures = Some(figures);
        }
    }
    rows
}
