//! memtrace's own memory, by how many blocks of the target are live: to its very end, the reports included.

use std::{process::Stdio, thread::sleep, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{process, profile::Profile};
use crate::{
    privilege::Root,
    workload::{Binary, Tracer},
};

/// Live blocks.
const LIVE: [u32; 3] = [0, 100_000, 1_000_000];

/// Measures and prints the table.
pub(super) fn run(root: Root) -> Result<()> {
    let hoard = Binary::compile("hoard", &["-O1", "-fno-omit-frame-pointer"])?;
    let mut rows = Vec::new();
    for live in LIVE {
        rows.push((live, sample(root, &hoard, live)?));
    }
    println!("\nmemtrace's largest resident memory, by live blocks of the target (from 64 call stacks)");
    println!(
        "{:>12} {:>14} {:>14} {:>9}",
        "live blocks", "observing MiB", "at the end MiB", "maps MiB"
    );
    for (live, sample) in rows {
        let maps = sample
            .maps
            .map_or_else(|| "-".to_owned(), |bytes| (bytes >> 20).to_string());
        println!(
            "{live:>12} {:>14} {:>14} {maps:>9}",
            sample.observing >> 20,
            sample.end >> 20
        );
    }
    Ok(())
}

/// Bytes.
struct Sample {
    /// Resident at most until all blocks are live.
    observing: u64,
    /// Resident at most until all reports are written.
    end: u64,
    /// BPF maps in the kernel; `None` where this user may not know.
    maps: Option<u64>,
}

fn sample(root: Root, hoard: &Binary, live: u32) -> Result<Sample> {
    let folder = tempfile::tempdir()?;
    let output = folder.path().display().to_string();
    let mut program = hoard.start(&[])?;
    let arguments = ["--duration", "120s", "-o", &output];
    let tracer = Tracer::attach(root, program.pid(), &arguments, Stdio::null())?;
    program.ask(&format!("run {live}"))?;
    // So long that the collector has taken what is on its way, and sampled.
    sleep(Duration::from_secs(2));
    let gone = || format!("memtrace has ended before {live} blocks were live");
    let observing = process::peak_memory(tracer.pid()).with_context(gone)?;
    let maps = process::map_memory(tracer.pid());
    tracer.interrupt()?;
    let mut end = observing;
    // It is there as long as memtrace is; a sudo that outlives it has less.
    while let Some(peak) = process::peak_memory(tracer.pid()) {
        end = end.max(peak);
        sleep(Duration::from_millis(1));
    }
    tracer.finish()?;
    program.finish()?;
    let profile = Profile::read(folder.path())?;
    if profile.totals.live.count != u64::from(live) {
        bail!(
            "{live} blocks were live, of which memtrace reports {}: {}",
            profile.totals.live.count,
            profile.health.summary
        );
    }
    Ok(Sample { observing, end, maps })
}
