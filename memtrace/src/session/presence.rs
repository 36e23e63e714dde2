//! Who comes and goes without a word: what the loop finds out by looking.

use memtrace_common::Counter;

use super::{observe::Loop, setup, watch::Waited};
use crate::{
    clock::now_ns,
    process::AddressSpace,
    target::{
        self, TargetInfo,
        select::{self, Selection},
    },
};

/// Samples at which it is looked for processes that are gone without a word, once a record was lost: some ten seconds.
const LOOKS: u32 = 40;

impl Loop<'_> {
    /// A process that was there at the beginning has ended. Its record is in the ring, or was lost.
    pub(super) fn ended(&mut self, process: Waited) {
        self.take_all();
        let Waited { pid, incarnation } = process;
        // Not another process that has its number by now.
        if let Some(incarnation) = self.collector.processes.incarnation_since(pid, incarnation) {
            self.collector.gone(incarnation, now_ns());
        }
    }

    /// Processes enter a control group without being born in it, as by `docker exec`. One of a name may have come after those that
    /// were there were looked for, and before programs that begin were listened to.
    pub(super) fn look_for_newcomers(&mut self) -> anyhow::Result<()> {
        let looked = std::mem::replace(&mut self.looked, true);
        match self.selection {
            Selection::Cgroup(_) => {}
            Selection::Command(_) if !looked => {}
            _ => return Ok(()),
        }
        for pid in select::members(&self.selection).unwrap_or_default() {
            if self.collector.processes.incarnation(pid).is_some() {
                continue;
            }
            let Ok(info) = target::check(pid) else { continue };
            if let Some(incarnation) = self.tracer.trace_later(pid)? {
                self.add(incarnation, &info);
            }
        }
        Ok(())
    }

    fn add(&mut self, incarnation: u32, info: &TargetInfo) {
        let modules = self.collector.processes.modules().clone();
        match AddressSpace::read_into(info.pid, &modules) {
            Ok(space) => {
                self.tracer.laid_out(&space, info.pid, incarnation, Some(now_ns()));
                self.collector
                    .add(incarnation, setup::description(info, incarnation), space);
            }
            Err(error) => log::debug!("process {} has ended already: {error}", info.pid),
        }
    }

    /// When records of processes were lost, some may be gone without a word.
    pub(super) fn look_for_the_lost(&mut self) {
        let lost = self.tracer.counters()[Counter::LostOther as usize];
        if lost != self.lost_records {
            self.lost_records = lost;
            // One whose end was not told may take its time to end.
            self.looks = LOOKS;
        }
        if self.looks == 0 {
            return;
        }
        self.looks -= 1;
        self.take_all();
        for incarnation in self.collector.processes.incarnations() {
            let who = self.collector.processes.description(incarnation);
            if who.is_some_and(|who| target::living_thread(who.pid, who.pid).is_none()) {
                self.collector.gone(incarnation, now_ns());
            }
        }
    }

    /// Takes all there is, also of what waits in the kernel.
    pub(super) fn take_all(&mut self) {
        if let Err(error) = self.collector.take_all() {
            log::warn!("some blocks are told of late: {error}");
        }
    }
}
