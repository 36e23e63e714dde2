//! The measurements that need root and a running program, one after the other.

use anyhow::Result;

use super::{
    Options, attach_time, compare, detach_time, event_rate, idle_cost, memory_cost, pair_cost, python_lines,
    server_cost, snapshot_read, stack_cost,
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
    /// What a request costs a server of node's under memtrace, however unsteady the machine is
    Server,
    /// How many events a second are taken without a loss
    Events,
    /// memtrace's own memory, by live blocks of the target
    Memory,
    /// Live bytes of each line of a Python program, beside what tracemalloc and memray say
    PythonLines,
    /// What processes pay that have nothing to do, when every process is traced
    Idle,
    /// Reading a heap snapshot of 500 MB, beside Chrome's `DevTools`
    Snapshots,
}

/// Runs those asked for, or all.
pub(crate) fn run(options: &Options) -> Result<()> {
    let &Options { only, rounds, .. } = options;
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
        compare::run(root, options)?;
    }
    if wanted(Measurement::Server) {
        server_cost::run(root, rounds, &options.node)?;
    }
    if wanted(Measurement::Events) {
        event_rate::run(root, rounds)?;
    }
    if wanted(Measurement::Memory) {
        memory_cost::run(root)?;
    }
    if wanted(Measurement::PythonLines) {
        python_lines::run(root, &options.python)?;
    }
    if wanted(Measurement::Idle) {
        idle_cost::run(root, rounds)?;
    }
    if wanted(Measurement::Snapshots) {
        snapshot_read::run(rounds)?;
    }
    Ok(())
}
