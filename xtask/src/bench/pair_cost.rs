//! What being traced adds to one malloc and its free: a tight loop, bare and under memtrace in turn.
//!
//! Each run is a fresh process, and each traced one is compared with the bare one just before it, so that a machine that
//! gets slower or faster does so for both.

use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::statistics::{Spread, median};
use crate::{
    privilege::Root,
    workload::{Binary, Program, Tracer},
};

/// Length of one measurement.
pub(super) const RUN: &str = "run 1000";

/// Measures and prints one line.
pub(super) fn run(root: Root, rounds: u32) -> Result<()> {
    let tight = Binary::compile("tight", &["-O1", "-fno-omit-frame-pointer"])?;
    let (mut bare, mut traced) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(measure(&mut tight.start(&[])?, RUN)?);
        traced.push(under_memtrace(root, tight.start(&[])?)?);
    }
    let added = Spread::of(traced.iter().zip(&bare).map(|(traced, bare)| traced - bare));
    println!(
        "\nnanoseconds per malloc/free pair, medians over {rounds} rounds: bare {:.1}, traced {:.1}, added {added:.1}",
        median(bare.iter().copied()),
        median(traced.iter().copied()),
    );
    Ok(())
}

/// The number that the program answers.
pub(super) fn measure(program: &mut Program, line: &str) -> Result<f64> {
    let answer = program.ask(line)?;
    answer
        .parse()
        .with_context(|| format!("the program said {answer:?} instead of a number"))
}

fn under_memtrace(root: Root, mut program: Program) -> Result<f64> {
    let tracer = Tracer::attach(root, program.pid(), &["--duration", "60s"], Stdio::null())?;
    let pair_ns = measure(&mut program, RUN)?;
    // memtrace ends with its target.
    program.finish()?;
    tracer.finish()?;
    Ok(pair_ns)
}
