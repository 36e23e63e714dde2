//! `memtrace dump`: the call stacks of all threads of a process, once.
//!
//! Threads are taken one after the other (`thread`): copied in kernel-known rest or in a moment's stop, then walked from the copy by the
//! rules of each file's unwind table (`rules`), and named when all are there. Frames of Python (`python`) and of JavaScript (`javascript`) are
//! read at the same moment, and take their place in [`Names::of`].

mod budget;
mod javascript;
mod pieces;
mod placed;
mod python;
mod rules;
mod thread;

use std::{io, path::PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};

use self::{
    javascript::JavaScript,
    placed::Placed,
    python::At,
    rules::Rules,
    thread::{Look, Process, Stack},
};
use super::{javascript::EngineFiles, naming, python::Interpreters};
use crate::{
    message,
    process::{Location, Modules, descriptors, threads},
    profile::{
        Frame,
        dump::{Dump, DumpedProcess, DumpedPython, DumpedStack, DumpedThread},
    },
    symbolize::Symbolizer,
    target::{self, TargetError, TargetInfo},
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
    let mut files = Files {
        modules: modules.clone(),
        rules: Rules::new(&modules),
        interpreters: Interpreters::default(),
        engines: EngineFiles::default(),
        symbolizer: Symbolizer::default(),
    };
    files.symbolizer.look_below(debug_directories.iter().cloned());
    let mut dump = Dump::default();
    let mut failed = Vec::new();
    for &pid in pids {
        match process(pid, may_stop, &mut files) {
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

/// What is known of files, for all processes.
struct Files {
    modules: Modules,
    rules: Rules,
    interpreters: Interpreters,
    engines: EngineFiles,
    symbolizer: Symbolizer,
}

fn process(pid: u32, may_stop: bool, files: &mut Files) -> Result<DumpedProcess, TargetError> {
    let started = threads::started(pid, pid);
    let info = target::check(pid)?;
    let failed = |source: io::Error| target::refused(pid, source);
    let mut process = Process::open(pid, may_stop, &files.modules).map_err(failed)?;
    let mut notes = Vec::new();
    process.python = python::of(&mut files.interpreters, &process.space, &mut notes);
    process.javascript = javascript::of(&mut files.engines, &process.space, pid, &mut notes);
    let (mut stacks, mut later) = (Vec::new(), Vec::new());
    let mut seen = FxHashSet::default();
    for _ in 0..LOOKS {
        let found = threads::threads(pid).unwrap_or_default();
        let new: Vec<u32> = found.into_iter().filter(|&tid| seen.insert(tid)).collect();
        if new.is_empty() {
            break;
        }
        for tid in new {
            match process.look(tid, &mut files.rules) {
                Look::Gone => {}
                Look::Done(stack) => stacks.push(stack),
                Look::Later(stack) => later.push(stack),
            }
        }
    }
    if !later.is_empty() {
        stacks.extend(process.together(later, &mut files.rules));
    }
    notes.append(&mut files.rules.notes());
    notes.extend(process.javascript.as_ref().map(JavaScript::notes).unwrap_or_default());
    // Its number may have been given anew by now, and what was read be another's.
    if stacks.is_empty() || started.is_some_and(|started| is_another(pid, started)) {
        return Err(TargetError::NoSuchProcess(pid));
    }
    notes.extend(became(&info));
    stacks.sort_by_key(|stack| stack.thread.tid);
    let mut names = Names::new(files, &stacks);
    Ok(names.join(info, stacks, notes))
}

/// Whether a number is that of a process which was started at another time.
fn is_another(pid: u32, started: u64) -> bool {
    threads::started(pid, pid).is_some_and(|now| now != started)
}

/// Says that a process executes another program than it did before it was looked at.
fn became(info: &TargetInfo) -> Option<String> {
    let now = target::check(info.pid).ok()?;
    (now.executable != info.executable).then(|| {
        format!(
            "it has become another program meanwhile, {}: stacks may be of either",
            now.executable
        )
    })
}

/// Makes frames of addresses.
struct Names<'n> {
    symbolizer: &'n Symbolizer,
    interpreters: &'n Interpreters,
    stacks: Vec<DumpedStack>,
    numbers: FxHashMap<DumpedStack, usize>,
}

impl<'n> Names<'n> {
    fn new(files: &'n mut Files, stacks: &[Stack]) -> Self {
        let walks = stacks.iter().filter_map(|stack| stack.walk.as_ref());
        let locations: FxHashSet<Location> = walks
            .flat_map(|placed| placed.places.iter().flatten().copied())
            .collect();
        naming::resolve(&mut files.symbolizer, &files.modules.all(), locations);
        Self {
            symbolizer: &files.symbolizer,
            interpreters: &files.interpreters,
            stacks: Vec::new(),
            numbers: FxHashMap::default(),
        }
    }

    fn join(&mut self, info: TargetInfo, stacks: Vec<Stack>, notes: Vec<String>) -> DumpedProcess {
        let threads = stacks
            .into_iter()
            .map(|stack| DumpedThread {
                stack: stack.walk.as_ref().map(|walk| self.number(walk, &stack)),
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
    fn number(&mut self, placed: &Placed, stack: &Stack) -> usize {
        let walk = &placed.walk;
        let (frames, python) = self.of(placed, stack);
        let engine = stack.javascript.as_ref();
        let by_frame_pointer = walk.frames.iter().enumerate().filter(|(number, frame)| {
            frame.frame_pointer.is_some() && !engine.is_some_and(|engine| engine.kept.contains(number))
        });
        let stack = DumpedStack {
            frames,
            end: thread::end(walk.end),
            by_frame_pointer: u32::try_from(by_frame_pointer.count()).unwrap_or(u32::MAX),
            python,
            javascript: engine.and_then(|engine| engine.known),
        };
        let next = self.stacks.len();
        *self.numbers.entry(stack).or_insert_with_key(|stack| {
            self.stacks.push(stack.clone());
            next
        })
    }

    /// The frames of a walk, with those that were inlined into them, those of Python where they are executed, and those of JavaScript in the
    /// place of theirs.
    fn of(&self, placed: &Placed, stack: &Stack) -> (Vec<Frame>, Option<DumpedPython>) {
        let native = |number: usize| {
            if let Some(frames) = stack.javascript.as_ref().and_then(|engine| engine.of(number)) {
                return frames.to_vec();
            }
            let place = placed.places.get(number).copied().flatten();
            let known = place.and_then(|at| self.symbolizer.frames(at));
            known.map_or_else(|| vec![nowhere(placed.walk.frames[number].pc)], <[Frame]>::to_vec)
        };
        let all = 0..placed.walk.frames.len();
        let Some(python) = &stack.python else {
            return (all.flat_map(native).collect(), None);
        };
        let (merged, known) = python::merged(placed, python, self.interpreters);
        let frame = |at| match at {
            At::Native(number) => native(number),
            At::Python(number) => python.frames.get(number).map(python::frame).into_iter().collect(),
        };
        (merged.into_iter().flat_map(frame).collect(), Some(known))
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
