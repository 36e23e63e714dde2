//! What it costs a process that has next to nothing to do when every process of the machine is traced.

use std::{
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{
    process,
    statistics::{Spread, median},
};
use crate::{
    privilege::Root,
    workload::{Binary, Tracer},
};

/// Processes.
const COUNT: usize = 100;

/// How often each wakes in a second (programs/idle.c).
const WAKES: f64 = 10.0;

/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(4);

/// memtrace ends by itself, whatever becomes of this program: a probe in every process is not to be left behind.
const LIFE: Duration = Duration::from_secs(10);

/// Measures and prints one line.
pub(super) fn run(root: Root, rounds: u32) -> Result<()> {
    let mut program = Binary::compile("idle", &["-O2"])?.start(&[&COUNT.to_string()])?;
    let idle = process::children(program.pid());
    if idle.len() != COUNT {
        bail!("{} idle processes are there instead of {COUNT}", idle.len());
    }
    let (mut bare, mut traced) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(wake_us(&idle)?);
        let life = format!("{}s", LIFE.as_secs());
        let tracer = Tracer::attach_to(root, &["--all", "--duration", &life], Stdio::null())?;
        let attached = Instant::now();
        // The first look of each at its code takes a page that nobody else shares.
        sleep(Duration::from_secs(1));
        traced.push(wake_us(&idle)?);
        if attached.elapsed() >= LIFE {
            bail!("this machine is too slow or too busy: memtrace has ended before the processes were watched");
        }
        tracer.finish()?;
    }
    program.finish()?;
    let added = Spread::of(traced.iter().zip(&bare).map(|(traced, bare)| traced - bare));
    println!(
        "\n{COUNT} processes that wake ten times a second and do nothing, microseconds of processor time for each time, medians over\n\
         {rounds} rounds: bare {:.2}, under --all {:.2}, added {added:.2}",
        median(bare.iter().copied()),
        median(traced.iter().copied()),
    );
    Ok(())
}

/// Microseconds that one of them runs when it wakes.
fn wake_us(idle: &[u32]) -> Result<f64> {
    let before = run_time_ns(idle)?;
    sleep(WATCHED);
    let ns = run_time_ns(idle)?.saturating_sub(before);
    Ok(ns as f64 / 1e3 / (COUNT as f64 * WAKES * WATCHED.as_secs_f64()))
}

fn run_time_ns(idle: &[u32]) -> Result<u64> {
    idle.iter().map(|&pid| process::run_time_ns(pid)).sum()
}
