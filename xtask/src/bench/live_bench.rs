//! The measurements that need root and a running program, one after the other.

use std::path::Path;

use anyhow::Result;

use super::{
    attach_time,
    compare::{self, Work},
    detach_time, event_rate, idle_cost, memory_cost, pair_cost, stack_cost,
};
use crate::{privilege::Root, workload::build_release};

/// What there is to measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Measurement {
    /// From the start to the first event
    Attach,
    /// From the signal to the end: probes off, report written
    Detach,
    /// What a malloc and its free cost
    Pairs,
    /// What a call stack costs, by depth
    Stacks,
    /// What is left of the speed of programs, under memtrace and under other tracers
    Compare,
    /// How many events a second are taken without a loss
    Events,
    /// memtrace's own memory, by live blocks of the target
    Memory,
    /// What processes pay that have nothing to do, when every process is traced
    Idle,
}

/// Runs those asked for, or all.
pub(crate) fn run(only: Option<Measurement>, rounds: u32, works: &[Work], memleak: Option<&Path>) -> Result<()> {
    build_release()?;
    let root = Root::find("trace a running program")?;
    let wanted = |measurement| only.is_none_or(|only| only == measurement);
    if wanted(Measurement::Attach) {
        attach_time::run(root, rounds)?;
    }
    if wanted(Measurement::Detach) {
        detach_time::run(root, rounds)?;
    }
    if wanted(Measurement::Pairs) {
        pair_cost::run(root, rounds)?;
    }
    if wanted(Measurement::Stacks) {
        stack_cost::run(root, rounds)?;
    }
    if wanted(Measurement::Compare) {
        compare::run(root, rounds, works, memleak)?;
    }
    if wanted(Measurement::Events) {
        event_rate::run(root, rounds)?;
    }
    if wanted(Measurement::Memory) {
        memory_cost::run(root)?;
    }
    if wanted(Measurement::Idle) {
        idle_cost::run(root, rounds)?;
    }
    Ok(())
}
