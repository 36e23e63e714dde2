//! Programs bare and under tracers in turn: what is left of their speed.
//!
//! Each run is a fresh process, and each traced one is compared with the bare one beside it, which comes before it in one round
//! and after it in the next: so that a machine that gets slower or faster does so for both.

mod foreign;
mod redis;
mod tracers;
mod work;

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum as _;

pub(crate) use self::work::Work;
use self::{
    tracers::{Sample, Tracer, Way},
    work::Prepared,
};
use super::{
    Options,
    statistics::{Spread, median},
};
use crate::privilege::Root;

/// A tracer with what was measured.
struct Row<'a> {
    tracer: Tracer<'a>,
    /// Whether it failed: then it is not tried again.
    left_out: bool,
    /// Of each round.
    pairs: Vec<Pair>,
}

/// Two runs beside each other.
struct Pair {
    bare: f64,
    traced: Sample,
}

impl Pair {
    /// What is left of the speed.
    fn ratio(&self) -> f64 {
        self.traced.rate / self.bare
    }
}

/// Measures and prints a table for each piece of work: those given, or all.
pub(super) fn run(root: Root, options: &Options) -> Result<()> {
    let memleak = options.memleak.as_deref();
    let all = Work::value_variants();
    for &work in if options.work.is_empty() { all } else { &options.work } {
        let name = work.to_possible_value();
        let name = name.as_ref().map_or("", |name| name.get_name());
        match work.prepare(&options.python, &options.node) {
            Ok(prepared) => {
                let rows = measure(root, options.rounds, &prepared, memleak)?;
                print_table(name, prepared.unit(), &rows);
            }
            Err(error) => println!("left out: {name}: {error:#}"),
        }
    }
    Ok(())
}

fn measure<'a>(root: Root, rounds: u32, work: &Prepared, memleak: Option<&'a Path>) -> Result<Vec<Row<'a>>> {
    let mut rows: Vec<_> = tracers::all(work, memleak)
        .into_iter()
        .map(|tracer| Row {
            tracer,
            left_out: false,
            pairs: Vec::new(),
        })
        .collect();
    for round in 1..=rounds {
        println!("\nround {round} of {rounds}");
        for row in rows.iter_mut().filter(|row| !row.left_out) {
            let way = row.tracer.way;
            let (bare, traced) = if round % 2 == 1 {
                (bare(work)?, way.measure(root, work))
            } else {
                let traced = way.measure(root, work);
                (bare(work)?, traced)
            };
            match traced {
                Ok(traced) => row.pairs.push(Pair { bare, traced }),
                Err(error) if matches!(way, Way::Memtrace(_)) => return Err(error),
                // Another's tracer that does not run here is no reason to know nothing of memtrace.
                Err(error) => {
                    println!("left out: {} does not run here: {error:#}", row.tracer.name);
                    row.left_out = true;
                }
            }
        }
    }
    rows.retain(|row| !row.pairs.is_empty());
    Ok(rows)
}

fn bare(work: &Prepared) -> Result<f64> {
    let mut load = work.start(None)?;
    let done = load.work()?;
    load.finish()?;
    Ok(done.rate)
}

fn print_table(work: &str, unit: &str, rows: &[Row<'_>]) {
    let bare = Spread::of(rows.iter().flat_map(|row| &row.pairs).map(|pair| pair.bare));
    println!("\n{work}: {unit} a second, bare {bare:.0}; medians, least and greatest of the pairs' ratios");
    println!(
        "{:<24} {:>8} {:>18} {:>7} {:>12} {:>11} {:>9}",
        "", "of bare", "least to greatest", "rounds", "of memleak's", "tracer MiB", "maps MiB"
    );
    let of_memleak = rows
        .iter()
        .find(|row| matches!(row.tracer.way, Way::Memleak(_)))
        .map_or(f64::NAN, |row| median(row.pairs.iter().map(Pair::ratio)));
    for row in rows {
        let ratio = Spread::of(row.pairs.iter().map(Pair::ratio));
        let memory = || row.pairs.iter().filter_map(|pair| pair.traced.memory);
        println!(
            "{:<24} {:>8.4} {:>18} {:>7} {:>12} {:>11} {:>9}",
            row.tracer.name,
            ratio.median,
            format!("{:.4} to {:.4}", ratio.least, ratio.most),
            row.pairs.len(),
            times(ratio.median / of_memleak),
            mebibytes(memory().map(|memory| memory.resident).max()),
            mebibytes(memory().filter_map(|memory| memory.maps).max()),
        );
        let hits = || row.pairs.iter().filter_map(|pair| pair.traced.hits);
        if hits().next().is_some() {
            println!(
                "{:<24} {:.1} hits of a probe for each of the {unit}, {:.0} ns in its program",
                "",
                median(hits().map(|hits| hits.per_work)),
                median(hits().map(|hits| hits.program_ns)),
            );
        }
        for inexact in row.pairs.iter().filter_map(|pair| pair.traced.inexact.as_deref()) {
            println!("{:<24} {inexact}", "");
        }
    }
}

/// What could not be compared is a dash.
fn times(value: f64) -> String {
    if value.is_nan() {
        "-".to_owned()
    } else {
        format!("{value:.1}x")
    }
}

/// What a tracer inside the target takes is not told apart, nor what this user may not see.
fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| (bytes >> 20).to_string())
}
