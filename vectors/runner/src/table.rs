//! A section of `deviations.md`: what an implementation makes otherwise, a row for each group of cases.

use crate::run::Report;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The section of an implementation of this name, of its reports for all ways to cut.
pub fn section(name: &str, total: usize, reports: &[Report]) -> String {
    let mut rows: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    let mut untold = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for report in reports {
        untold.extend(report.untold.iter());
        for deviation in &report.deviations {
            ids.insert(&deviation.id);
            let row = (&deviation.group, &deviation.section, &deviation.expected, &deviation.got);
            rows.entry(row).or_default().insert(&deviation.id);
        }
    }
    let left_out = reports.first().map_or(0, |report| report.left_out);
    let mut text = format!(
        "## {name}\n\n{} of {total} cases were run, {} were left out; {} deviate. {} more fail the connection as they should,\n\
         and do not tell the peer why.\n\n",
        total - left_out,
        left_out,
        ids.len(),
        untold.len()
    );
    if !rows.is_empty() {
        text.push_str("| cases | how many | the first | section | expected | got |\n|---|---|---|---|---|---|\n");
    }
    for ((group, section, expected, got), cases) in rows {
        let first = cases.first().copied().unwrap_or_default();
        let first = first.strip_prefix(group.as_str()).unwrap_or(first).trim_start_matches('/');
        let expected = cell(expected);
        let _ =
            writeln!(text, "| {group} | {} | {} | {section} | {expected} | {} |", cases.len(), cell(first), cell(got));
    }
    text.push('\n');
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The section of this name in a whole table, up to the next one.
pub fn find<'t>(table: &'t str, name: &str) -> Option<&'t str> {
    let start = table.find(&format!("## {name}\n"))?;
    let rest = &table[start..];
    let end = rest[3..].find("\n## ").map_or(rest.len(), |at| at + 4);
    Some(&rest[..end])
}

/// The table with this section in the place of the one of the same name, or at the end.
pub fn replace(table: &str, name: &str, section: &str) -> String {
    match find(table, name) {
        Some(old) => table.replace(old, section),
        None => format!("{table}{section}"),
    }
}
