//! What waits in the kernel: blocks that may die young, and sums of those that did.

use super::collector::Collector;
use crate::probe::ProbeError;

/// The age in nanoseconds at which a block is no longer young: live bytes are that far behind at most, and one sample.
pub(super) const YOUNG_NS: u64 = 50_000_000;

/// How often what waits in the kernel is asked for, when the ring does not hold it at once. The smallest holds it in a fraction of that.
const SWEEPS: u32 = 1000;

/// Batches that are taken at once at most: two million records, more than the largest ring holds of most kinds.
const BATCHES: u32 = 64;

impl Collector {
    /// Has what waits in the kernel put into the ring: all pairs, and the blocks that were allocated before a time, in nanoseconds
    /// of kernel time. `false` when the ring was full.
    pub(super) fn sweep(&self, before_ns: u64) -> Result<bool, ProbeError> {
        self.sweeper
            .as_ref()
            .map_or(Ok(true), |sweeper| sweeper.sweep(before_ns))
    }

    /// Takes all there is, in the ring and of what waits. `false` when there is no end to it.
    pub(super) fn take_all(&mut self) -> Result<bool, ProbeError> {
        let mut done = false;
        for _ in 0..SWEEPS {
            done = done || self.sweep(u64::MAX)?;
            let mut more = true;
            for _ in 0..BATCHES {
                more = self.drain();
                if !more {
                    break;
                }
            }
            if done || more {
                return Ok(done && !more);
            }
        }
        Ok(false)
    }
}
