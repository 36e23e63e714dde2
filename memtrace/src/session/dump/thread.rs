//! One thread's stack: without touching the thread where it rests, else in a moment's stop.

use std::{fs, ops::Range, time::Duration};

use nix::errno::Errno;

use super::rules::Rules;
use crate::{
    process::{
        AddressSpace, Copied, Memory, maps, syscalls,
        threads::{Place, Thread},
    },
    profile::dump::{StackEnd, Taken, Waits},
    target::hold::{self, HoldError},
    unwind::walk::{End, Found, Registers, Walk, walk},
};

/// How often a stack is taken anew that has moved on, or lies in several pieces of memory.
const TRIES: usize = 4;

/// How long a thread is waited for to stop. One that runs stops within microseconds, or when it gets a processor; one in
/// uninterruptible sleep not before that ends.
const PATIENCE: Duration = Duration::from_millis(200);

/// Most bytes of one stack: the usual limit of a main thread's is 8 MiB.
const MAX_STACK: u64 = 16 << 20;

/// Bytes below the stack pointer that belong to the stack as well (System V AMD64 ABI, 3.2.2).
const RED_ZONE: u64 = 128;

/// What is known of a thread.
pub(super) struct Stack {
    pub(super) thread: Thread,
    pub(super) walk: Option<Walk>,
    pub(super) taken: Option<Taken>,
    pub(super) problem: Option<String>,
}

impl Stack {
    /// What it waits in.
    pub(super) fn waits(&self) -> Waits {
        let call = match self.thread.place {
            Place::Blocked { call: Some(call), .. } => {
                Some(syscalls::name(call).map_or_else(|| format!("system call {call}"), str::to_owned))
            }
            _ => None,
        };
        Waits {
            state: self.thread.state,
            call,
            wchan: self.thread.wchan.clone(),
        }
    }
}

/// A process whose threads are looked at.
pub(super) struct Process {
    pid: u32,
    may_stop: bool,
    pub(super) space: AddressSpace,
    memory: Memory,
    /// Mappings that can be read, by address.
    readable: Vec<Range<u64>>,
}

impl Process {
    pub(super) fn new(pid: u32, may_stop: bool, space: AddressSpace, memory: Memory) -> Self {
        let mut process = Self {
            pid,
            may_stop,
            space,
            memory,
            readable: Vec::new(),
        };
        process.read_mappings();
        process
    }

    /// The stack of a thread; `None` when it has ended.
    pub(super) fn stack(&mut self, tid: u32, rules: &mut Rules) -> Option<Stack> {
        let (resting, mut stack) = self.resting(tid, rules)?;
        if resting {
            return Some(stack);
        }
        if !self.may_stop {
            stack.problem = Some("it would have to be stopped for more, and --no-stop was given".into());
            return Some(stack);
        }
        if let Err(error) = self.stopped(&mut stack, rules) {
            if matches!(error, HoldError::Gone) {
                return None;
            }
            stack.problem = Some(problem(self.pid, &stack.thread, &error));
        }
        Some(stack)
    }

    /// Takes the stack of a thread that does not run meanwhile; `false` beside it when that was not enough.
    fn resting(&mut self, tid: u32, rules: &mut Rules) -> Option<(bool, Stack)> {
        let mut also = Vec::new();
        let mut last = None;
        for _ in 0..TRIES {
            let before = Thread::read(self.pid, tid).ok().filter(|thread| !thread.has_ended())?;
            let Place::Blocked { sp, ip, .. } = before.place else {
                return Some((false, untaken(before, last)));
            };
            let copied = self.copy(sp, &also);
            if copied.is_empty() {
                // Its stack was mapped after the mappings were read.
                self.read_mappings();
                continue;
            }
            let after = Thread::read(self.pid, tid).ok()?;
            if !after.has_rested_since(&before) {
                last = None;
                continue;
            }
            let walk = self.walk(Registers { ip, sp, bp: None }, &copied, rules);
            match walk.end {
                End::Missing(address) if !also.contains(&address) => also.push(address),
                End::NoFramePointer | End::Missing(_) => return Some((false, untaken(after, Some(walk)))),
                _ => {
                    let taken = Some(Taken::Waiting);
                    let walk = Some(walk);
                    return Some((
                        true,
                        Stack {
                            thread: after,
                            walk,
                            taken,
                            problem: None,
                        },
                    ));
                }
            }
            last = Some(walk);
        }
        let thread = Thread::read(self.pid, tid).ok()?;
        Some((false, untaken(thread, None)))
    }

    /// Takes the stack of a thread that is stopped for it.
    fn stopped(&mut self, stack: &mut Stack, rules: &mut Rules) -> Result<(), HoldError> {
        let tid = stack.thread.tid;
        let mut also = Vec::new();
        for attempt in 1..=TRIES {
            let (process, pieces) = (&*self, &also);
            let held = hold::hold(tid, PATIENCE, move |registers| process.copy(registers.sp, pieces))?;
            let from = Registers {
                ip: held.registers.ip,
                sp: held.registers.sp,
                bp: Some(held.registers.bp),
            };
            if held.value.is_empty() && attempt < TRIES {
                // Its stack was mapped after the mappings were read.
                self.read_mappings();
                continue;
            }
            let walk = self.walk(from, &held.value, rules);
            let missing = match walk.end {
                End::Missing(address) if !also.contains(&address) => Some(address),
                _ => None,
            };
            stack.walk = Some(walk);
            stack.taken = Some(Taken::Stopped {
                nanoseconds: u64::try_from(held.time.as_nanos()).unwrap_or(u64::MAX),
            });
            match missing {
                Some(address) => also.push(address),
                None => break,
            }
        }
        Ok(())
    }

    /// Walks a copied stack; once more, when it meets code that is newer than what is known.
    fn walk(&mut self, from: Registers, copied: &Copied, rules: &mut Rules) -> Walk {
        let mut unknown = false;
        let mut once = |space: &AddressSpace| {
            let found = |pc| {
                let found = rules.found(space, pc);
                unknown |= found == Found::Nothing;
                found
            };
            walk(from, found, |address| copied.word(address))
        };
        let walked = once(&self.space);
        if !unknown || !self.space.refresh().unwrap_or(false) {
            return walked;
        }
        self.read_mappings();
        let found = |pc| rules.found(&self.space, pc);
        walk(from, found, |address| copied.word(address))
    }

    /// Copies the stack from a stack pointer up to the end of its mapping, and likewise from other addresses.
    fn copy(&self, sp: u64, also: &[u64]) -> Copied {
        let from_sp = self.range(sp.saturating_sub(RED_ZONE)).or_else(|| self.range(sp));
        let others = also.iter().filter_map(|&address| self.range(address));
        let ranges: Vec<Range<u64>> = from_sp.into_iter().chain(others).collect();
        self.memory.copy(&ranges)
    }

    fn range(&self, from: u64) -> Option<Range<u64>> {
        let after = self.readable.partition_point(|range| range.start <= from);
        let range = after.checked_sub(1).and_then(|at| self.readable.get(at))?;
        (from < range.end).then(|| from..range.end.min(from.saturating_add(MAX_STACK)))
    }

    fn read_mappings(&mut self) {
        // Of a process that has ended, those that it had.
        let Ok(text) = maps::read(self.pid) else { return };
        self.readable = maps::parse(&text).map(|mapping| mapping.start..mapping.end).collect();
    }
}

/// A thread that could not be taken in rest, with what of its stack was.
fn untaken(thread: Thread, walk: Option<Walk>) -> Stack {
    Stack {
        thread,
        taken: walk.as_ref().map(|_| Taken::Waiting),
        walk,
        problem: None,
    }
}

/// Says why a thread could not be stopped.
fn problem(pid: u32, thread: &Thread, error: &HoldError) -> String {
    let is_refused = matches!(error, HoldError::Refused(Errno::EPERM));
    let now = Thread::read(pid, thread.tid).ok();
    if is_refused && now.as_ref().is_some_and(Thread::has_ended) {
        return HoldError::Gone.to_string();
    }
    // Any other time it may be memtrace's own thread, which is about to let it go.
    let tracer = now.map_or(thread.tracer, |now| now.tracer);
    if is_refused && tracer != 0 {
        let name = fs::read_to_string(format!("/proc/{tracer}/comm")).unwrap_or_default();
        return format!(
            "it is traced by {} (pid {tracer}), and a thread has one tracer only: end that, or read the stack there",
            match name.trim() {
                "" => "a process",
                name => name,
            }
        );
    }
    match error {
        HoldError::Unstoppable(_) => format!(
            "{error}: in uninterruptible sleep it waits in the kernel{} and stops for nobody",
            thread
                .wchan
                .as_ref()
                .map_or(String::new(), |wchan| format!(" ({wchan})"))
        ),
        HoldError::Refused(Errno::EPERM) => {
            format!("{error} (memtrace needs CAP_SYS_PTRACE for it; a security module may forbid it all the same)")
        }
        _ => error.to_string(),
    }
}

/// As the dump tells it.
pub(super) const fn end(end: End) -> StackEnd {
    match end {
        End::Start => StackEnd::Start,
        End::Deep => StackEnd::Deep,
        End::NoTable => StackEnd::NoTable,
        End::Missing(_) => StackEnd::Unreadable,
        End::NoFramePointer => StackEnd::NoFramePointer,
        End::Unsupported => StackEnd::Unsupported,
        End::NoCode => StackEnd::NoCode,
        End::Replaced => StackEnd::Replaced,
    }
}
