//! What was measured, as lines for a terminal, as JSON, and as tables for a page.

use crate::measure::{Figures, LIMIT, Row, US};
use crate::workloads::memory::Idle;
use crate::workloads::refusals::{self, Refusals};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::{fs, process::Command};

/// The rows of one workload.
pub(crate) struct Result {
    pub(crate) group: String,
    pub(crate) case: String,
    pub(crate) size: usize,
    pub(crate) rows: Vec<Row>,
}

impl Result {
    pub(crate) fn figures(&self, name: &str) -> Option<&Figures> {
        self.rows.iter().find(|row| row.name == name)?.figures.as_ref()
    }

    /// Whether it leaves a part of the work out.
    pub(crate) fn is_noted(&self, name: &str) -> bool {
        self.rows.iter().any(|row| row.name == name && !row.note.is_empty())
    }

    /// The peer that takes the least time, among those that do all of the work.
    fn fastest_peer(&self) -> Option<(&'static str, &Figures)> {
        let peers = self.rows.iter().filter(|row| is_peer(row.name) && row.note.is_empty());
        let peers = peers.filter_map(|row| Some((row.name, row.figures.as_ref()?)));
        peers.min_by(|(_, a), (_, b)| a.to_us.total_cmp(&b.to_us))
    }

    /// Our figures, by the fastest way.
    fn ours(&self) -> Option<&Figures> {
        let ours = self.rows.iter().filter(|row| row.name.starts_with(US)).filter_map(|row| row.figures.as_ref());
        ours.min_by(|a, b| a.ns[1].total_cmp(&b.ns[1]))
    }
}

pub(crate) fn is_peer(name: &str) -> bool {
    name != LIMIT && !name.starts_with(US)
}

/// Three digits that count.
fn short(number: f64) -> String {
    match number {
        ..9.95 => format!("{number:.2}"),
        ..99.5 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

fn speed(size: usize, figures: &Figures) -> Option<f64> {
    (size > 0).then(|| size as f64 / figures.ns[1])
}

pub(crate) fn print(result: &Result) {
    let Result { group, case, size, rows } = result;
    println!("\n{group}, {case}");
    println!("  {:18} {:>10} {:>7} {:>8} {:>12}", "", "ns", "GB/s", "x limit", "allocations");
    for Row { name, note, figures } in rows {
        let Some(figures) = figures else {
            println!("  {name:18} {:>10}  {note}", "-");
            continue;
        };
        let speed = speed(*size, figures).map_or(String::new(), short);
        let (ns, limit) = (short(figures.ns[1]), short(figures.to_limit));
        let ahead = if is_peer(name) && figures.to_us < 1.0 {
            format!("AHEAD: {} of sockless's time ", short(figures.to_us))
        } else {
            String::new()
        };
        println!("  {name:18} {ns:>10} {speed:>7} {limit:>8} {:>12}  {ahead}{note}", short(figures.allocations));
    }
}

pub(crate) fn print_idle(idle: &[Idle]) {
    println!("\nidle connection, bytes");
    println!("  {:38} {:>10} {:>10}", "", "itself", "heap");
    for Idle { name, size, heap } in idle {
        println!("  {name:38} {size:>10} {heap:>10}");
    }
}

/// The machine and the compiler.
fn machine() -> [String; 2] {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("unknown");
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    [cpu.into(), String::from_utf8_lossy(&rustc).trim().into()]
}

pub(crate) fn print_refusals(refusals: &[Refusals]) {
    println!("\nwhat is not refused");
    let names = refusals::names();
    for Refusals { name, refuses, .. } in refusals {
        let taken = names.iter().zip(refuses).filter_map(|(name, refuses)| (!refuses).then_some(*name));
        println!("  {name:18} {}", taken.collect::<Vec<_>>().join("; "));
    }
}

pub(crate) fn json(results: &[Result], idles: &[Idle], refusals: &[Refusals]) -> Value {
    let [cpu, rustc] = machine();
    let row = |size: usize, row: &Row| {
        let figures = row.figures.as_ref().map(|figures| {
            json!({
                "ns": figures.ns[1],
                "quartiles": [figures.ns[0], figures.ns[2]],
                "gb_per_s": speed(size, figures),
                "to_limit": figures.to_limit,
                "to_sockless": figures.to_us,
                "allocations": figures.allocations,
            })
        });
        json!({ "name": row.name, "note": row.note, "figures": figures })
    };
    let workload = |result: &Result| {
        let rows: Vec<Value> = result.rows.iter().map(|r| row(result.size, r)).collect();
        json!({ "group": result.group, "case": result.case, "size": result.size, "contestants": rows })
    };
    let idle = |idle: &Idle| json!({ "name": idle.name, "size": idle.size, "heap": idle.heap });
    let refused = |one: &Refusals| {
        let cases: Map<String, Value> = refusals::names()
            .into_iter()
            .map(String::from)
            .zip(one.refuses.iter().map(|refuses| json!(refuses)))
            .collect();
        json!({ "name": one.name, "refuses": cases, "lacks": one.lacks })
    };
    json!({
        "cpu": cpu,
        "rustc": rustc,
        "workloads": results.iter().map(workload).collect::<Vec<_>>(),
        "idle": idles.iter().map(idle).collect::<Vec<_>>(),
        "refused": refusals.iter().map(refused).collect::<Vec<_>>(),
    })
}

/// A table for each group: nanoseconds a message, and what they say.
pub(crate) fn markdown(results: &[Result], idle: &[Idle], refusals: &[Refusals]) -> String {
    let [cpu, rustc] = machine();
    let mut page = format!("{cpu}, {rustc}.\n");
    for group in results.chunk_by(|a, b| a.group == b.group) {
        table(&mut page, group);
    }
    if !idle.is_empty() {
        page += "\n### idle connection\n\n| | bytes of its own | bytes of heap |\n|---|---:|---:|\n";
        for Idle { name, size, heap } in idle {
            let _ = writeln!(page, "| {name} | {size} | {heap} |");
        }
    }
    if !refusals.is_empty() {
        refused(&mut page, refusals);
    }
    page
}

fn table(page: &mut String, group: &[Result]) {
    let rows = &group[0].rows;
    let contestants: Vec<&Row> = rows.iter().filter(|row| row.figures.is_some()).collect();
    let _ = write!(page, "\n### {}\n\n|", group[0].group);
    for row in &contestants {
        let _ = write!(page, " | {}{}", row.name, mark(group.iter().all(|result| result.is_noted(row.name))));
    }
    *page += " | of the limit | of the fastest peer |\n|---";
    *page += &"|---:".repeat(contestants.len() + 2);
    *page += "|\n";
    for result in group {
        let _ = write!(page, "| {}", result.case);
        for row in &contestants {
            let Some(figures) = result.figures(row.name) else { continue };
            let ns = short(figures.ns[1]);
            let is_ahead = is_peer(row.name) && figures.to_us < 1.0;
            let _ = if is_ahead { write!(page, " | **{ns}**") } else { write!(page, " | {ns}") };
            // Where all of them are, the head is.
            let in_some = !group.iter().all(|result| result.is_noted(row.name));
            *page += mark(in_some && result.is_noted(row.name));
        }
        if let (Some(ours), Some((_, peer))) = (result.ours(), result.fastest_peer()) {
            let _ = write!(page, " | {} | {}", short(ours.to_limit), short(1.0 / peer.to_us));
        }
        *page += " |\n";
    }
    let notes: BTreeSet<_> = group.iter().flat_map(|result| &result.rows).map(|row| (row.name, row.note)).collect();
    for (name, note) in notes.iter().filter(|(_, note)| !note.is_empty()) {
        let _ = write!(page, "\n\u{2020} {name}: {note}.");
    }
    *page += "\n";
}

/// What marks a name or a time.
pub(crate) fn mark(is_noted: bool) -> &'static str {
    if is_noted { " \u{2020}" } else { "" }
}

/// What each refuses, and what else it leaves out.
fn refused(page: &mut String, refusals: &[Refusals]) {
    *page += "\n### what is refused\n\n|";
    for one in refusals {
        let _ = write!(page, " | {}", one.name);
    }
    let _ = writeln!(page, " |\n|---{}|", "|:---:".repeat(refusals.len()));
    for (case, what) in refusals::names().iter().enumerate() {
        let _ = write!(page, "| {what}");
        for one in refusals {
            *page += if one.refuses[case] { " | yes" } else { " | **no**" };
        }
        *page += " |\n";
    }
    *page += "\n### what else is left out\n\n";
    for one in refusals.iter().filter(|one| !one.lacks.is_empty()) {
        let _ = writeln!(page, "* {}: {}.", one.name, one.lacks);
    }
}
