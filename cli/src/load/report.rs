//! What the counts come to: servers side by side, or a JSON object each.

use super::tally::{Counts, Tally};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::sync::Arc;

/// What is told of a distribution.
const QUANTILES: [(&str, f64); 6] =
    [("min", 0.0), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// A row for each figure, and a column for each server.
pub(super) fn table(tallies: &[Arc<Tally>], seconds: f64) -> String {
    let counts: Vec<_> = tallies.iter().map(|tally| tally.counts()).collect();
    let mut rows = vec![row("", tallies.iter().map(|tally| tally.url.clone()))];
    rows.push(row("connections", counts.iter().map(|counts| counts.connecting.len().to_string())));
    rows.push(row("messages sent", counts.iter().map(|counts| counts.sent.to_string())));
    rows.push(row("answered", counts.iter().map(|counts| counts.latencies.len().to_string())));
    rows.push(row("answered a second", counts.iter().map(|counts| format!("{:.0}", a_second(counts, seconds)))));
    for (title, of) in [("latency", latencies as fn(&Counts) -> &Histogram<u64>), ("connecting", connecting)] {
        for (name, quantile) in QUANTILES {
            let value = |counts: &Counts| match of(counts).is_empty() {
                true => "-".into(),
                false => format!("{:.3} ms", millis(of(counts), quantile)),
            };
            rows.push(row(&format!("{title}, {name}"), counts.iter().map(value)));
        }
    }
    let mut reasons: Vec<_> = counts.iter().flat_map(|counts| counts.failures.keys()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        rows.push(row(reason, counts.iter().map(|counts| counts.failures.get(reason).unwrap_or(&0).to_string())));
    }
    aligned(&rows)
}

/// An object for each server, a line each.
pub(super) fn json(tallies: &[Arc<Tally>], seconds: f64) -> String {
    tallies.iter().fold(String::new(), |mut lines, tally| {
        let counts = tally.counts();
        let object = json!({
            "url": tally.url,
            "seconds": seconds,
            "connections": counts.connecting.len(),
            "sent": counts.sent,
            "answered": counts.latencies.len(),
            "answered_per_second": a_second(&counts, seconds),
            "latency_ms": quantiles(&counts.latencies),
            "connecting_ms": quantiles(&counts.connecting),
            "histogram": histogram(&counts.latencies),
            "failures": counts.failures,
        });
        _ = writeln!(lines, "{object}");
        lines
    })
}

fn latencies(counts: &Counts) -> &Histogram<u64> {
    &counts.latencies
}

fn connecting(counts: &Counts) -> &Histogram<u64> {
    &counts.connecting
}

fn quantiles(times: &Histogram<u64>) -> Value {
    let values = QUANTILES.iter().map(|(name, quantile)| ((*name).to_owned(), Value::from(millis(times, *quantile))));
    if times.is_empty() { Value::Null } else { Value::Object(values.collect::<Map<_, _>>()) }
}

/// How many latencies are at most so long, and longer than the one before: twice as long each.
fn histogram(times: &Histogram<u64>) -> Value {
    let steps = times.iter_log(64, 2.0).map(
        |step| json!({ "up_to_ms": step.value_iterated_to() as f64 / 1e3, "count": step.count_since_last_iteration() }),
    );
    steps.collect()
}

fn millis(times: &Histogram<u64>, quantile: f64) -> f64 {
    let micros = if quantile == 0.0 { times.min() } else { times.value_at_quantile(quantile) };
    micros as f64 / 1e3
}

fn a_second(counts: &Counts, seconds: f64) -> f64 {
    if seconds > 0.0 { counts.latencies.len() as f64 / seconds } else { 0.0 }
}

fn row(title: &str, cells: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once(title.to_owned()).chain(cells).collect()
}

/// The first column to the left, the others to the right, each as wide as its widest cell.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
    rows.iter().fold(String::new(), |mut text, row| {
        _ = write!(text, "{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::tally::Notes;
    use super::*;
    use std::time::Duration;

    #[test]
    fn servers_stand_side_by_side() {
        let tallies = ["ws://a/", "ws://b/"].map(|url| Arc::new(Tally::new(url)));
        let mut notes = Notes::new(&tallies[0]);
        for n in 0..100 {
            notes.sent();
            notes.answered(Duration::from_millis(if n % 5 == 0 { 3 } else { 2 }), Duration::ZERO);
        }
        drop(notes);
        tallies[1].failed("not connected".into());
        let table = table(&tallies, 2.0);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let line = |title: &str| words(table.lines().find(|line| line.starts_with(title)).unwrap());
        assert_eq!(words(table.lines().next().unwrap()), ["ws://a/", "ws://b/"]);
        assert_eq!(line("answered a second")[3..], ["50", "0"]);
        assert_eq!(line("latency, p50")[2..], ["2.000", "ms", "-"]);
        assert_eq!(line("not connected")[2..], ["0", "1"]);
        let objects: Vec<Value> = json(&tallies, 2.0).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(json!([objects[0]["answered"], objects[0]["latency_ms"]["p50"]]), json!([100, 2.0]));
        let counted: u64 =
            objects[0]["histogram"].as_array().unwrap().iter().map(|step| step["count"].as_u64().unwrap()).sum();
        assert_eq!(json!([counted, objects[1]["failures"]]), json!([100, { "not connected": 1 }]));
    }
}
