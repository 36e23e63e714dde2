//! How processes come and go.

use memtrace_common::event::{Header, Program, flag};

use super::{
    Ledger,
    process::{Process, State},
    snapshot::facts,
};

/// Samples for which the tables of a process that has ended are kept: frees that found the ring full come late.
const KEPT_SAMPLES: u64 = 4;

/// Processes that are kept so at most, and blocks and ranges of all of them together.
const KEPT: usize = 4096;
const KEPT_BLOCKS: usize = 1 << 20;

/// How a program came to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// It replaced what its process ran before, if that is known.
    Exec,
    /// Its process is new: another that had its pid has ended.
    New,
}

/// A process that has ended, whose tables are kept for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    place: usize,
    /// Number of the sample before which it ended.
    sample: u64,
    blocks: usize,
}

impl Ledger {
    /// The place of the process that an event is about, made when it is new. `None` when the event can be of no process: its
    /// own has ended, or has another pid.
    #[inline]
    pub(super) fn index(&mut self, header: &Header) -> Option<usize> {
        match self.processes.current() {
            Some(process) if process.is_of(header) => Some(self.processes.current),
            _ => self.find(header.pid, header.incarnation, header.time_ns),
        }
    }

    #[inline(never)]
    pub(super) fn find(&mut self, pid: u32, incarnation: u32, now_ns: u64) -> Option<usize> {
        let place = match self.processes.find(incarnation) {
            Some(place) => {
                let process = &self.processes[place];
                (process.pid == pid && process.state == State::Alive).then_some(place)
            }
            None if self.processes.is_gone(incarnation) => None,
            // The record that tells where it comes from was lost. It is the process's next program, because the end of a
            // process is told more reliably than anything.
            None => Some(self.begin(pid, incarnation, now_ns, Origin::Exec)),
        };
        match place {
            Some(place) => self.processes.current = place,
            None => self.tally.strays += 1,
        }
        place
    }

    /// Makes an incarnation known that is not.
    pub(super) fn begin(&mut self, pid: u32, incarnation: u32, now_ns: u64, origin: Origin) -> usize {
        let before = self.processes.running(pid);
        let predecessor = before
            .filter(|_| origin == Origin::Exec)
            .map(|place| &self.processes[place]);
        let process = Process {
            pid,
            incarnation,
            group: predecessor.map_or(0, |process| process.group),
            parent: predecessor.and_then(|process| process.parent),
            state: State::Alive,
            started_ns: now_ns,
            ..Process::default()
        };
        let place = self.processes.add(process);
        match (before, origin) {
            (Some(before), Origin::Exec) => self.replace(before, now_ns),
            (Some(before), Origin::New) => self.end_at(before, now_ns),
            (None, _) => {}
        }
        // Now that another is alive.
        if let Some(last) = self.last.take() {
            self.leave(last);
        }
        place
    }

    /// A program begins, or a process is seen for the first time.
    pub(super) fn program(&mut self, program: &Program, is_exec: bool) {
        let header = &program.header;
        let place = match self.processes.find(header.incarnation) {
            None if !self.processes.is_gone(header.incarnation) => {
                let replaced = is_exec && header.flags & flag::JOINED == 0;
                let origin = if replaced { Origin::Exec } else { Origin::New };
                Some(self.begin(header.pid, header.incarnation, header.time_ns, origin))
            }
            // Something else came first.
            _ => self.index(header),
        };
        if let Some(place) = place {
            let started_ns = &mut self.processes[place].started_ns;
            if *started_ns == 0 {
                *started_ns = header.time_ns;
            }
        }
    }

    pub(super) fn exit(&mut self, header: &Header) {
        if header.flags & flag::MAIN_THREAD != 0 {
            // The others go on.
            return;
        }
        // Not `index`: a process that is heard of for the first time at its end has had nothing.
        match self.processes.find(header.incarnation) {
            Some(place) if self.processes[place].is_of(header) => self.end_at(place, header.time_ns),
            _ => self.tally.strays += 1,
        }
    }

    /// A process is found to have ended, though no record said so. Nothing happens if that is known, or the process is not.
    pub fn end(&mut self, incarnation: u32, now_ns: u64) {
        if let Some(place) = self.processes.find(incarnation) {
            self.end_at(place, now_ns);
        }
    }

    fn end_at(&mut self, place: usize, now_ns: u64) {
        let process = &mut self.processes[place];
        if process.state != State::Alive {
            return;
        }
        process.ended_ns = Some(now_ns);
        process.state = State::Last;
        self.processes.end(place);
        if self.processes.alive() > 0 {
            self.leave(place);
        } else {
            // There is no other: it would have been counted as left when this one began.
            self.last = Some(place);
        }
    }

    /// What a process that has ended left is no longer live, because others are.
    fn leave(&mut self, place: usize) {
        let process = &mut self.processes[place];
        process.state = State::Left;
        let mut own = process.own;
        for (site, amount, _) in process.things() {
            self.sites.leave(site, amount, &mut own);
        }
        process.own = own;
        self.identities -= std::mem::take(&mut process.identities).len();
        self.copied -= std::mem::take(&mut process.copied);
        process.blocks_aside = super::Aside::default();
        process.ranges_aside = super::Aside::default();
        let blocks = process.live.len() + process.regions.len();
        self.kept_blocks += blocks;
        self.kept.push_back(Kept {
            place,
            sample: self.samples,
            blocks,
        });
        while self.kept.len() > KEPT || self.kept_blocks > KEPT_BLOCKS {
            self.drop_oldest();
        }
    }

    /// Drops the tables of processes that have ended some samples ago.
    pub(super) fn drop_kept(&mut self) {
        self.samples += 1;
        let is_due = |kept: &Kept| kept.sample + KEPT_SAMPLES <= self.samples;
        let due = self.kept.iter().take_while(|kept| is_due(kept)).count();
        for _ in 0..due {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(kept) = self.kept.pop_front() {
            self.kept_blocks -= kept.blocks;
            let process = self.processes.remove(kept.place);
            for (site, _, time_ns) in process.things() {
                self.sites.leave_for_good(site, time_ns);
            }
            self.ended.add(facts(&process));
        }
    }

    /// The program that a process ran before is gone, with all it had. Found out by the first event of the new one, so that it
    /// does not matter whether the record of the `exec` itself was lost.
    fn replace(&mut self, place: usize, now_ns: u64) {
        self.processes.end(place);
        let mut process = self.processes.remove(place);
        process.ended_ns = Some(now_ns);
        let mut own = process.own;
        for (site, amount, _) in process.things() {
            self.sites.go(site, amount, &mut own);
            if self.sites.is_memory(site) {
                let gone = &mut self.tally.gone_with_exec;
                gone.bytes = gone.bytes.saturating_add(amount.bytes);
                gone.count += amount.count;
            }
        }
        process.own = own;
        self.identities -= process.identities.len();
        self.copied -= process.copied;
        self.ended.add(facts(&process));
    }
}
