//! `memtrace dump`: the call stacks of all threads of a process, once.
//!
//! Threads are taken one after the other (`thread`): copied in kernel-known rest or in a moment's stop, then walked from the copy by the
//! rules of each file's unwind table (`rules`), and named when all are there. A walk keeps the stack pointer of every frame, so that
//! frames of a runtime can take the place of those of its interpreter in [`Names::of`].

mod rules;
mod thread;

use std::{io, path::PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};

use self::{
    rules::Rules,
    thread::{Process, Stack},
};
use super::naming;
use crate::{
    message,
    process::{AddressSpace, Location, Memory, Modules, descriptors, threads::threads},
    profile::{
        Frame,
        dump::{Dump, DumpedProcess, DumpedStack, DumpedThread},
    },
    symbolize::Symbolizer,
    target::{self, TargetError, TargetInfo},
    unwind::walk::Walk,
};

/// How often threads are looked for that were started meanwhile.
const LOOKS: usize = 3;

/// Dumps processes; threads are stopped for it only if they may be. Addresses are named from files below these directories too. What keeps one from being looked at is said, and
/// the others are dumped; the second result is whether there was such a one.
///
/// # Errors
/// What keeps all of them from being looked at.
pub fn dump(pids: &[u32], may_stop: bool, debug_directories: &[PathBuf]) -> anyhow::Result<(Dump, bool)> {
    // Every file that the processes have mapped is kept open.
    descriptors::raise_limit();
    let modules = Modules::default();
    let mut rules = Rules::new(&modules);
    let mut symbolizer = Symbolizer::default();
    symbolizer.look_below(debug_directories.iter().cloned());
    let mut dump = Dump::default();
    let mut failed = Vec::new();
    for &pid in pids {
        match process(pid, may_stop, &modules, &mut rules, &mut symbolizer) {
            Ok(process) => dump.processes.push(process),
            Err(error) => failed.push(error),
        }
    }
    if dump.processes.is_empty()
        && let Some(error) = failed.pop()
    {
        for error in failed {
            message::say(&format!("memtrace: {error}"));
        }
        return Err(error.into());
    }
    for error in &failed {
        message::say(&format!("memtrace: {error}"));
    }
    Ok((dump, !failed.is_empty()))
}

fn process(
    pid: u32,
    may_stop: bool,
    modules: &Modules,
    rules: &mut Rules,
    symbolizer: &mut Symbolizer,
) -> Result<DumpedProcess, TargetError> {
    let info = target::check(pid)?;
    let failed = |source: io::Error| target::refused(pid, source);
    let space = AddressSpace::read_into(pid, modules).map_err(failed)?;
    let memory = Memory::open(pid).map_err(failed)?;
    let mut process = Process::new(pid, may_stop, space, memory);
    let mut stacks = Vec::new();
    let mut seen = FxHashSet::default();
    for _ in 0..LOOKS {
        let found = threads(pid).unwrap_or_default();
        let new: Vec<u32> = found.into_iter().filter(|&tid| seen.insert(tid)).collect();
        if new.is_empty() {
            break;
        }
        stacks.extend(new.into_iter().filter_map(|tid| process.stack(tid, rules)));
    }
    if stacks.is_empty() {
        return Err(TargetError::NoSuchProcess(pid));
    }
    stacks.sort_by_key(|stack| stack.thread.tid);
    let mut names = Names::new(&mut process.space, symbolizer, &stacks);
    Ok(names.join(info, stacks, rules.notes()))
}

/// Makes frames of addresses.
struct Names<'n> {
    symbolizer: &'n Symbolizer,
    locations: FxHashMap<u64, Location>,
    stacks: Vec<DumpedStack>,
    numbers: FxHashMap<DumpedStack, usize>,
}

impl<'n> Names<'n> {
    fn new(space: &mut AddressSpace, symbolizer: &'n mut Symbolizer, stacks: &[Stack]) -> Self {
        let walks = stacks.iter().filter_map(|stack| stack.walk.as_ref());
        let pcs = walks.flat_map(|walk| &walk.frames).map(|frame| frame.pc);
        let locations: FxHashMap<u64, Location> = pcs.filter_map(|pc| Some((pc, space.locate(pc)?))).collect();
        naming::resolve(symbolizer, &space.modules(), locations.values().copied());
        Self {
            symbolizer,
            locations,
            stacks: Vec::new(),
            numbers: FxHashMap::default(),
        }
    }

    fn join(&mut self, info: TargetInfo, stacks: Vec<Stack>, notes: Vec<String>) -> DumpedProcess {
        let threads = stacks
            .into_iter()
            .map(|stack| DumpedThread {
                stack: stack.walk.as_ref().map(|walk| self.number(walk)),
                taken: stack.taken.filter(|_| stack.walk.is_some()),
                waits: stack.waits(),
                tid: stack.thread.tid,
                name: stack.thread.name,
                problem: stack.problem,
            })
            .collect();
        DumpedProcess {
            pid: info.pid,
            command: info.command,
            executable: info.executable,
            threads,
            stacks: std::mem::take(&mut self.stacks),
            notes,
        }
    }

    /// The number of a stack; the same for equal ones.
    fn number(&mut self, walk: &Walk) -> usize {
        let stack = DumpedStack {
            frames: self.of(walk),
            end: thread::end(walk.end),
            by_frame_pointer: u32::try_from(walk.frames.iter().filter(|frame| frame.by_frame_pointer).count())
                .unwrap_or(u32::MAX),
        };
        let next = self.stacks.len();
        *self.numbers.entry(stack).or_insert_with_key(|stack| {
            self.stacks.push(stack.clone());
            next
        })
    }

    /// The frames of a walk, with those that were inlined into them.
    fn of(&self, walk: &Walk) -> Vec<Frame> {
        let named = walk.frames.iter().flat_map(|frame| {
            let known = self.locations.get(&frame.pc).and_then(|&at| self.symbolizer.frames(at));
            known.map_or_else(|| vec![nowhere(frame.pc)], <[Frame]>::to_vec)
        });
        named.collect()
    }
}

/// A frame at an address where no code is known.
fn nowhere(pc: u64) -> Frame {
    Frame {
        function: None,
        module: "[unknown]".into(),
        offset: pc,
        file: None,
        line: None,
        inlined: false,
        kind: crate::profile::FrameKind::Native,
    }
}
