//! What `sockless` and its peers take for the same work, in memory and in turn.

mod chart;
mod heap;
mod measure;
mod peer;
mod peers;
mod pipe;
mod report;
mod stream;
mod wide;
mod workloads;

use lexopt::prelude::*;
use measure::{Effort, Workload};
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const HELP: &str = "\
Measures sockless, its peers and the least work that gives the same result.

usage: sockless-peers [--quick | --smoke] [--only NAME] [--out DIR] [FILTER]...

  --quick      a tenth of the time
  --smoke      check that everybody does the work right, and measure nothing
  --runs N     run everybody so many times, and measure nothing: for a profiler that counts instructions
  --only NAME  one contestant alone, for a profiler
  --out DIR    write every figure to figures.json, tables to figures.md, and a chart for each group of sizes
  FILTER       only workloads whose name contains it, such as 'echo' or 'binary, 16 B'; 'idle connection', 'what is refused';
               the whole name of one, such as 'receive binary, 16 B', is that one alone
";

#[derive(Default)]
struct Arguments {
    quick: bool,
    runs: Option<usize>,
    only: Option<String>,
    out: Option<PathBuf>,
    filters: Vec<String>,
}

fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => arguments.quick = true,
            Long("smoke") => arguments.runs = Some(1),
            Long("runs") => arguments.runs = Some(parser.value()?.parse()?),
            Long("only") => arguments.only = Some(parser.value()?.string()?),
            Long("out") => arguments.out = Some(parser.value()?.into()),
            Long("help") | Short('h') => return Ok(None),
            Value(filter) => arguments.filters.push(filter.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(arguments))
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(arguments) = arguments()? else {
        print!("{HELP}");
        return Ok(());
    };
    let workloads = workloads::all();
    let names: Vec<_> = workloads.iter().map(Workload::name).collect();
    let is_wanted = |name: &str| {
        let takes = |filter: &String| name == filter || !names.contains(filter) && name.contains(filter.as_str());
        arguments.filters.is_empty() || arguments.filters.iter().any(takes)
    };
    let turn = Duration::from_micros(200);
    let effort = Effort { rounds: if arguments.quick { 20 } else { 200 }, turn };
    let mut results = Vec::new();
    for (workload, name) in workloads.into_iter().zip(&names) {
        if is_wanted(name) {
            let Workload { group, case, messages, size, entries } = workload;
            // Making them checks what they do.
            let mut entries = entries();
            entries.retain(|entry| arguments.only.as_ref().is_none_or(|only| entry.name == only));
            if let Some(times) = arguments.runs {
                let runs = entries.into_iter().filter_map(|entry| entry.run);
                let contestants = runs.map(|mut run| (0..times).for_each(|_| run())).count();
                println!("{name}: {contestants} contestants of {messages} messages");
                continue;
            }
            let rows = measure::measure(entries, messages, effort);
            results.push(report::Result { group, case, size, rows });
            results.last().into_iter().for_each(report::print);
        }
    }
    let idle = if is_wanted("idle connection") { workloads::memory::all() } else { Vec::new() };
    if !idle.is_empty() {
        report::print_idle(&idle);
    }
    let refusals = if is_wanted("what is refused") { workloads::refusals::all() } else { Vec::new() };
    if !refusals.is_empty() {
        report::print_refusals(&refusals);
    }
    if let Some(folder) = arguments.out {
        chart::draw(&results, &folder)?;
        fs::write(folder.join("figures.json"), format!("{}\n", report::json(&results, &idle, &refusals)))?;
        fs::write(folder.join("figures.md"), report::markdown(&results, &idle, &refusals))?;
    }
    Ok(())
}
