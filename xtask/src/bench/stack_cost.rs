//! What a call stack costs, by its depth: the run time of the program that takes it, and what a malloc with its free takes
//! longer. The target is built without frame pointers.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
    process::Stdio,
};

use anyhow::{Context as _, Result};
use aya::{
    programs::loaded_programs,
    sys::{Stats, enable_stats},
};

use super::{
    pair_cost::{RUN, measure},
    statistics::median,
};
use crate::{
    privilege::Root,
    workload::{Program, Tracer},
};

/// Depths in frames, from `malloc` to `_start`.
const DEPTHS: [&str; 3] = ["10", "34", "100"];

/// The program that takes the stack of an allocation.
const TAKER: &str = "alloc_enter";

/// How stacks are found.
const WAYS: [&str; 2] = ["auto", "fp"];

/// Measures and prints the table.
pub(super) fn run(root: Root, rounds: u32) -> Result<()> {
    println!(
        "\nwhat a stack costs, medians over {rounds} rounds: nanoseconds of {TAKER} in the kernel (with the kernel's statistics on),\n\
         and nanoseconds per malloc/free pair (without them)"
    );
    println!(
        "{:<8} {:>6} {:>12} {:>9} {:>9}",
        "--stack", "frames", TAKER, "bare", "traced"
    );
    for way in WAYS {
        for depth in DEPTHS {
            let (mut taker, mut bare, mut traced) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                bare.push(measure(&mut start(depth)?, RUN)?);
                traced.push(under_memtrace(root, depth, way)?);
                taker.extend(run_time(root, depth, way)?);
            }
            println!(
                "{way:<8} {depth:>6} {:>12.0} {:>9.1} {:>9.1}",
                median(taker.into_iter()),
                median(bare.into_iter()),
                median(traced.into_iter())
            );
        }
    }
    Ok(())
}

fn start(depth: &str) -> Result<Program> {
    Program::start_with("deep", &["-O2", "-fomit-frame-pointer"], &[depth])
}

fn under_memtrace(root: Root, depth: &str, way: &str) -> Result<f64> {
    let mut program = start(depth)?;
    let tracer = Tracer::attach(root, program.pid(), &["--stack", way], Stdio::null())?;
    let pair_ns = measure(&mut program, RUN)?;
    program.finish()?;
    tracer.finish()?;
    Ok(pair_ns)
}

/// Mean nanoseconds of the program that takes stacks; `None` where this process may not ask the kernel.
fn run_time(root: Root, depth: &str, way: &str) -> Result<Option<f64>> {
    let mut program = start(depth)?;
    let tracer = Tracer::attach(root, program.pid(), &["--stack", way], Stdio::null())?;
    // The kernel keeps statistics as long as this descriptor is open: they cost every program on the machine something.
    let Ok(statistics) = enable_stats(Stats::RunTime) else {
        println!("left out: the run time in the kernel, which only root may ask for");
        return Ok(None);
    };
    measure(&mut program, RUN)?;
    let mean = mean_run_time()?;
    drop(statistics);
    program.finish()?;
    tracer.finish()?;
    Ok(Some(mean))
}

/// Of the programs with the name, those of other tracers included, the one that ran most: the target does nothing else.
fn mean_run_time() -> Result<f64> {
    let programs = loaded_programs().filter_map(Result::ok);
    let mut most = (0.0, f64::NAN);
    for program in programs.filter(|program| program.name_as_str() == Some(TAKER)) {
        let descriptor = program.fd().context("failed to open the program")?;
        let (runs, total_ns) = run_statistics(descriptor.as_fd().as_raw_fd())?;
        if runs > most.0 {
            most = (runs, total_ns / runs);
        }
    }
    Ok(most.1)
}

/// How often a program ran and for how many nanoseconds (`bpf_prog_show_fdinfo`, kernel/bpf/syscall.c).
fn run_statistics(descriptor: RawFd) -> Result<(f64, f64)> {
    let path = format!("/proc/self/fdinfo/{descriptor}");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let field = |name: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.with_context(|| format!("{path} has no {name}"))?.trim();
        value.parse().with_context(|| format!("{path} has {value:?} as {name}"))
    };
    Ok((field("run_cnt:")?, field("run_time_ns:")?))
}
