//! What reading a large heap snapshot takes, beside Chrome's `DevTools`: time and memory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{process, statistics::median};
use crate::{npm, workspace};

/// Objects of the program with four parts each: a snapshot of some 500 MB.
const OBJECTS: u32 = 1_000_000;

/// How often the peak of a process is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Measures and prints the table.
pub(super) fn run(rounds: u32) -> Result<()> {
    npm::ensure_readers()?;
    let packages = workspace::target().join("tools/readers/node_modules");
    let readers = workspace::root().join("tests/readers");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("large.heapsnapshot");
    let mut maker = Command::new(packages.join("node22/bin/node"));
    maker
        .arg("--max-old-space-size=8000")
        .arg(readers.join("heap.cjs"))
        .args([file.as_path(), Path::new("")])
        .arg(OBJECTS.to_string());
    measured(&mut maker).context("failed to make a snapshot")?;
    let bytes = fs::metadata(&file)?.len();
    let own = || {
        let mut command = Command::new(workspace::target().join("release/memtrace"));
        command.args(["heap", "show"]).arg(&file);
        command
    };
    let devtools = || {
        let mut command = Command::new(packages.join("node24/bin/node"));
        command
            .args(["--max-old-space-size=16000", "--disable-warning=ExperimentalWarning"])
            .args([
                readers.join("devtools.mjs"),
                packages.join("chrome-devtools-frontend"),
                PathBuf::from("time"),
            ])
            .arg(&file);
        command
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(measured(&mut own())?);
        theirs.push(measured(&mut devtools())?);
    }
    println!(
        "\nReading a heap snapshot of {} MB, medians of {rounds}",
        bytes / 1_000_000
    );
    println!("{:>10} {:>9} {:>9}", "", "seconds", "peak MiB");
    let middle = |runs: &[Run]| {
        let seconds = median(runs.iter().map(|run| run.time.as_secs_f64()));
        (seconds, median(runs.iter().map(|run| run.peak as f64)))
    };
    let (own, other) = (middle(&ours), middle(&theirs));
    for (name, (seconds, peak)) in [("memtrace", own), ("DevTools", other)] {
        println!("{name:>10} {seconds:>9.1} {:>9.0}", peak / 1_048_576.0);
    }
    println!("{:>10} {:>8.1}x {:>8.1}x", "", other.0 / own.0, other.1 / own.1);
    Ok(())
}

struct Run {
    time: Duration,
    /// Resident at most, in bytes.
    peak: u64,
}

/// Runs a program to its end. Its output is not looked at.
fn measured(command: &mut Command) -> Result<Run> {
    let started = Instant::now();
    let mut child = command
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("failed to start {}", command.get_program().display()))?;
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = peak.max(process::peak_memory(child.id()).unwrap_or(0));
        sleep(LOOK);
    };
    let time = started.elapsed();
    if !status.success() {
        bail!("{} failed: {status}", command.get_program().display());
    }
    Ok(Run { time, peak })
}
