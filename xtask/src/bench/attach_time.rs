//! How long it takes from memtrace's start of loading to the first event of a busy target.

use std::process::Stdio;

use anyhow::{Context as _, Result};

use crate::{
    privilege::Root,
    workload::{Program, Tracer},
};

/// The words of memtrace's log line around the number of milliseconds.
const BEFORE: &str = "first event ";

/// Measures and prints one line.
pub(crate) fn run(root: Root, rounds: u32) -> Result<()> {
    let mut all = Vec::new();
    for _ in 0..rounds {
        let mut program = Program::start("leaky")?;
        let mut tracer = Tracer::attach(root, program.pid(), &["-v", "--duration", "2s"], Stdio::null())?;
        let line = tracer.line_with(BEFORE)?;
        tracer.finish()?;
        program.finish()?;
        let number = line.split(BEFORE).nth(1).and_then(|rest| rest.split(' ').next());
        let number: u32 = number
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("no time in {line:?}"))?;
        all.push(number);
    }
    all.sort_unstable();
    let (least, most) = (all.first().copied().unwrap_or(0), all.last().copied().unwrap_or(0));
    let median = all.get(all.len() / 2).copied().unwrap_or(0);
    println!(
        "\nattach to first event: median {median} ms ({least} to {most}, {} rounds)",
        all.len()
    );
    Ok(())
}
