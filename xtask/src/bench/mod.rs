//! `cargo xtask bench`: what collecting costs, and what being traced costs.

mod attach_time;
mod breakpoints;
mod compare;
mod detach_time;
mod event_rate;
mod idle_cost;
mod live_bench;
mod memory_cost;
mod pair_cost;
mod process;
mod profile;
mod python_lines;
mod server_cost;
mod snapshot_read;
mod stack_cost;
mod statistics;

use std::path::PathBuf;

use anyhow::Result;

use crate::{command::Cmd, packages};

/// Measure what collecting costs and what being traced costs, also beside other tracers
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Install the tracers and servers of the comparison that are packages of Debian, when they are missing (needs root)
    #[arg(long)]
    with_packages: bool,
    /// Compare with this memleak: that of libbpf-tools, which is no package, or bcc's memleak-bpfcc
    #[arg(long, value_name = "PROGRAM")]
    memleak: Option<PathBuf>,
    /// Compare on this work only; can be repeated
    #[arg(long, value_enum)]
    work: Vec<compare::Work>,
    /// The Python that programs run in: one that has memray and Flask can be that of a virtual environment
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
    /// The node that programs run in
    #[arg(long, value_name = "PROGRAM", default_value = "node")]
    node: PathBuf,
    /// Rounds of the measurements of a running program; medians over them are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Of the measurements that need root, only this
    #[arg(long, value_enum)]
    only: Option<live_bench::Measurement>,
    /// Leave out the measurements that need root
    #[arg(long)]
    no_live: bool,
    /// Leave out criterion's benchmarks
    #[arg(long)]
    no_criterion: bool,
}

/// Runs the verb.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.no_criterion {
        Cmd::cargo()
            .args(["bench", "--locked", "--package", "memtrace"])
            .run()?;
    }
    if !options.no_live {
        if options.with_packages {
            packages::ensure(packages::COMPARED)?;
        }
        live_bench::run(options)?;
    }
    Ok(())
}
