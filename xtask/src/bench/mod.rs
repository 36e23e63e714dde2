//! `cargo xtask bench`: what collecting costs, and what being traced costs.

mod attach_time;
mod live_bench;
mod pair_cost;
mod stack_cost;
mod statistics;

use anyhow::Result;

use crate::{command::Cmd, packages};

/// Measure: events per second in the collector, and nanoseconds per malloc/free pair in a traced program
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Install bcc's tools when they are missing (needs root), to compare with their memleak
    #[arg(long)]
    with_memleak: bool,
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
        if options.with_memleak {
            packages::ensure(packages::MEMLEAK)?;
        }
        live_bench::run(options.only, options.rounds)?;
    }
    Ok(())
}
