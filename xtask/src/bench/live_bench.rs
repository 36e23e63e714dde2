//! The measurements that need root and a running program, one after the other.

use anyhow::Result;

use super::{attach_time, pair_cost, stack_cost};
use crate::{privilege::Root, workload::build_release};

/// What there is to measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Measurement {
    /// From the start to the first event
    Attach,
    /// What a malloc and its free cost, under memtrace and under other tracers
    Pairs,
    /// What a call stack costs, by depth
    Stacks,
}

/// Runs those asked for, or all.
pub(crate) fn run(only: Option<Measurement>, rounds: u32) -> Result<()> {
    build_release()?;
    let root = Root::find("trace a running program")?;
    let wanted = |measurement| only.is_none_or(|only| only == measurement);
    if wanted(Measurement::Attach) {
        attach_time::run(root, rounds)?;
    }
    if wanted(Measurement::Pairs) {
        pair_cost::run(root, rounds)?;
    }
    if wanted(Measurement::Stacks) {
        stack_cost::run(root, rounds)?;
    }
    Ok(())
}
