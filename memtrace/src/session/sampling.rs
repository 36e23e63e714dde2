//! Changes what is taken for the sample while programs run.

use std::{io, sync::mpsc::Receiver};

use anyhow::Context as _;
use memtrace_common::{Counter, sampling::KNOWN_BITS, state::CLOSED};

use super::{collector::Collector, tracer::Tracer};
use crate::probe::{On, wait_for_programs};

/// Blocks that were drawn since the filter of addresses was made, at which it is made anew: then one of eight other addresses is in it
/// too.
const DRAWN: u64 = KNOWN_BITS / 8;

impl Tracer {
    /// From now on allocations are sampled, with this interval in bytes, and each stands for `times` as many.
    pub(super) fn sample(&mut self, collector: &mut Collector, interval: u64, times: u32) -> anyhow::Result<()> {
        if self.modes.asks() {
            self.modes.open(interval, times)?;
            return Ok(());
        }
        self.renew(collector, interval, times)
    }

    /// Makes the filter of addresses anew, of what is known now.
    fn renew(&mut self, collector: &mut Collector, interval: u64, times: u32) -> anyhow::Result<()> {
        self.modes.prepare()?;
        // Until it is asked every free comes.
        self.modes.open(interval, times)?;
        let mut done = collector.take_all()?;
        // A record that was being written hides those behind it.
        wait_for_programs();
        done &= collector.take_all()?;
        if !done {
            log::info!("the filter of addresses is not asked yet: too much comes");
            return Ok(());
        }
        self.modes.know(collector.ledger.addresses())?;
        self.modes.ask()?;
        self.drawn = self.counters()[Counter::Drawn as usize];
        Ok(())
    }

    /// Makes the filter of addresses anew when too many are in it.
    pub(super) fn refresh_sample(&mut self, collector: &mut Collector) -> anyhow::Result<()> {
        let (interval, times) = self.modes.opening();
        let few = || self.counters()[Counter::Drawn as usize].saturating_sub(self.drawn) < DRAWN;
        if interval == 0 || interval == CLOSED || (self.modes.asks() && few()) {
            return Ok(());
        }
        log::info!("the filter of addresses is made anew");
        self.renew(collector, interval, times)
    }

    /// From now on every allocation is taken.
    pub(super) fn take_every_allocation(&mut self) -> anyhow::Result<()> {
        Ok(self.modes.take_all()?)
    }

    /// From now on no allocation is taken, and calls that are in flight are not seen to end; `all` if those are meant too that may
    /// give memory back.
    pub(super) fn close_window(&mut self, all: bool) -> anyhow::Result<()> {
        Ok(self.modes.close(all)?)
    }

    /// The sampling interval in bytes, and of how much time a part was looked at, if anything was sampled.
    pub(super) fn sampling(&self) -> Option<(u64, u32)> {
        match &self.budget {
            Some(budget) => Some(budget.sampling()),
            None => self.interval.map(|interval| (interval, 1)),
        }
    }

    /// Sets which probes on functions are on. What is received is how that went, once it is done.
    pub(super) fn set(&self, on: On) -> anyhow::Result<Receiver<io::Result<()>>> {
        let hooker = self.hooker.as_ref().context("the loop has not begun")?;
        Ok(hooker.set(on))
    }
}
