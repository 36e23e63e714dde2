//! How many events a second go the whole way, from the probes to the sums, without a loss: as many threads as there are processors
//! do nothing but `malloc` and `free`, and know how often.

use std::{process::Stdio, thread::available_parallelism};

use anyhow::{Result, bail};

use super::{
    pair_cost::measure,
    process,
    profile::Profile,
    statistics::{Spread, median},
};
use crate::{
    privilege::Root,
    workload::{Binary, Tracer},
};

/// Length of a run, which is the program's own: it stops by its clock.
const SECONDS: f64 = 4.0;
const RUN: &str = "run 4000";

/// Whether blocks that die young are summed up in the kernel, or each event goes through the ring.
const MODES: [(&str, &[&str]); 2] = [("default", &[]), ("--every-event", &["--every-event"])];

/// One run.
struct Sample {
    /// Allocations and frees, a second.
    events: f64,
    /// Records through the ring, a second.
    records: f64,
    /// Probe hits, a second.
    hits: f64,
    /// Of one processor, memtrace's part.
    processor: f64,
    /// Of one processor, the BPF programs' part, as memtrace estimates it.
    programs: f64,
    /// Allocations that the program made and the profile has not.
    missing: u64,
    /// What memtrace said of its numbers.
    summary: String,
}

/// Measures and prints the table.
pub(super) fn run(root: Root, rounds: u32) -> Result<()> {
    let threads = available_parallelism()?.get();
    let churn = Binary::compile("churn", &["-O2", "-fomit-frame-pointer"])?;
    let mut rows = MODES.map(|mode| (mode, Vec::new()));
    for _ in 0..rounds {
        for ((_, arguments), samples) in &mut rows {
            samples.push(sample(root, &churn, threads, arguments)?);
        }
    }
    println!(
        "\nevents a second of {threads} threads that do nothing but malloc and free: medians over {rounds} rounds, least and greatest.\n\
         memtrace and the BPF programs in parts of one processor; missing: what the program allocated and the profile has not"
    );
    println!(
        "{:<14} {:>10} {:>22} {:>10} {:>12} {:>9} {:>9} {:>9}",
        "", "events", "least to greatest", "hits", "ring records", "memtrace", "programs", "missing"
    );
    for ((name, _), samples) in &rows {
        let events = Spread::of(samples.iter().map(|sample| sample.events));
        println!(
            "{name:<14} {:>10.0} {:>22} {:>10.0} {:>12.0} {:>9.2} {:>9.2} {:>9}",
            events.median,
            format!("{:.0} to {:.0}", events.least, events.most),
            median(samples.iter().map(|sample| sample.hits)),
            median(samples.iter().map(|sample| sample.records)),
            median(samples.iter().map(|sample| sample.processor)),
            median(samples.iter().map(|sample| sample.programs)),
            samples.iter().map(|sample| sample.missing).sum::<u64>(),
        );
        for sample in samples {
            println!("{:<14} {}", "", sample.summary);
        }
    }
    Ok(())
}

fn sample(root: Root, churn: &Binary, threads: usize, arguments: &[&str]) -> Result<Sample> {
    let folder = tempfile::tempdir()?;
    let output = folder.path().display().to_string();
    let mut program = churn.start(&[&threads.to_string()])?;
    let always = ["--duration", "60s", "-o", &output];
    let arguments: Vec<_> = always.iter().chain(arguments).copied().collect();
    let tracer = Tracer::attach(root, program.pid(), &arguments, Stdio::null())?;
    let Some(pid) = process::named(tracer.pid(), "memtrace") else {
        bail!("memtrace is not among the processes that {} started", tracer.pid());
    };
    let before = process::processor_seconds(pid)?;
    let truth = measure(&mut program, RUN)?;
    let after = process::processor_seconds(pid)?;
    program.finish()?;
    tracer.finish()?;
    let Profile { totals, health } = Profile::read(folder.path())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of blocks, printed with two zeros behind the point"
    )]
    let truth = truth as u64;
    Ok(Sample {
        events: 2.0 * truth as f64 / SECONDS,
        records: health.events as f64 / SECONDS,
        hits: health.cost.hits as f64 / SECONDS,
        processor: (after - before) / SECONDS,
        programs: health.cost.bpf_seconds / SECONDS,
        missing: truth.abs_diff(totals.allocated.count),
        summary: health.summary,
    })
}
