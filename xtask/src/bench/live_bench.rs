//! The measurements that need root and a running program, one after the other.

use anyhow::Result;

use super::{attach_time, pair_cost, stack_cost};
use crate::{privilege::Root, workload::build_release};

/// Runs them all.
pub(crate) fn run(rounds: u32) -> Result<()> {
    build_release()?;
    let root = Root::find("trace a running program")?;
    if std::env::var_os("ONLY_STACK").is_none() {
        attach_time::run(root, rounds)?;
        pair_cost::run(root, rounds)?;
    }
    stack_cost::run(root, rounds)
}
