//! One thread's stack: without touching the thread where it rests, else in a moment's stop.

mod copying;

use std::{fs, io, time::Duration};

use nix::errno::Errno;

use super::{
    javascript::{JavaScript, JavaScriptStack},
    pieces::{MOST, More, Pieces, Writable},
    placed::{Moment, Placed},
    python::{Known, Python},
    rules::Rules,
};
use crate::{
    process::{
        AddressSpace, Memory, Modules, syscalls,
        threads::{self, Place, Thread},
    },
    profile::dump::{StackEnd, Taken, Waits},
    python::read::PythonStack,
    target::{
        hold::{self, Held, HoldError},
        pointer::thread_pointer,
    },
    unwind::walk::{End, Registers, walk},
};

/// How often a stack is taken anew that has moved on, or lies in several pieces of memory.
const TRIES: usize = 4;

/// How long a thread is waited for to stop, and all that are asked together. One that runs stops within microseconds, or when it
/// gets a processor; one in uninterruptible sleep not before that ends.
const PATIENCE: Duration = Duration::from_millis(200);

/// What is known of a thread.
pub(super) struct Stack {
    pub(super) thread: Thread,
    pub(super) walk: Option<Placed>,
    pub(super) python: Option<PythonStack>,
    pub(super) javascript: Option<JavaScriptStack>,
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

/// What came of looking at a thread.
pub(super) enum Look {
    /// It has ended.
    Gone,
    /// All that there is to know.
    Done(Stack),
    /// It has to be stopped, and is not likely to come to it soon: [`Process::together`].
    Later(Stack),
}

/// A process whose threads are looked at.
pub(super) struct Process {
    pid: u32,
    may_stop: bool,
    pub(super) space: AddressSpace,
    memory: Memory,
    /// Its interpreter, if it has one.
    pub(super) python: Option<Python>,
    /// Its engine of JavaScript, likewise.
    pub(super) javascript: Option<JavaScript>,
    writable: Writable,
    /// Whether a thread has been waited for in vain: no other is waited for alone.
    is_slow: bool,
}

impl Process {
    /// Opens a process.
    ///
    /// # Errors
    /// When it is gone or may not be looked at.
    pub(super) fn open(pid: u32, may_stop: bool, modules: &Modules) -> io::Result<Self> {
        let mut process = Self {
            pid,
            may_stop,
            space: AddressSpace::read_into(pid, modules)?,
            memory: Memory::open(pid)?,
            python: None,
            javascript: None,
            writable: Writable::default(),
            is_slow: false,
        };
        process.read_mappings();
        Ok(process)
    }

    /// Looks at a thread.
    pub(super) fn look(&mut self, tid: u32, rules: &mut Rules) -> Look {
        let Some((resting, mut stack)) = self.resting(tid, rules) else {
            return Look::Gone;
        };
        if resting {
            return Look::Done(stack);
        }
        if !self.may_stop {
            stack.problem = Some("it would have to be stopped for more, and --no-stop was given".into());
            return Look::Done(stack);
        }
        if self.is_slow || stack.thread.state == 'D' {
            return Look::Later(stack);
        }
        match self.stopped(&mut stack, rules) {
            Err(HoldError::Gone) => return Look::Gone,
            Err(error) => {
                self.is_slow = matches!(error, HoldError::Unstoppable(_) | HoldError::Slow(_));
                stack.problem = Some(problem(self.pid, &stack.thread, &error));
            }
            Ok(()) => {}
        }
        Look::Done(stack)
    }

    /// Stops threads that may be long in coming to it, all at once: each is let go when its stack is copied, and what has not stopped after
    /// [`PATIENCE`] is given up. Those that have ended are left out.
    pub(super) fn together(&mut self, stacks: Vec<Stack>, rules: &mut Rules) -> Vec<Stack> {
        let tids: Vec<u32> = stacks.iter().map(|stack| stack.thread.tid).collect();
        let started = |tid: u32| {
            stacks
                .iter()
                .find(|stack| stack.thread.tid == tid)
                .map(|stack| stack.thread.started)
        };
        let (pid, process, known) = (self.pid, &*self, &*rules);
        let all = hold::hold_all(
            &tids,
            PATIENCE,
            |tid| threads::started(pid, tid) == started(tid),
            |tid, registers| process.copy_held(tid, &registers, &Pieces::default(), known),
        );
        let taken = stacks.into_iter().zip(all).filter_map(|(mut stack, held)| {
            let taken = match held {
                Ok(held) => (self.take(&mut stack, held, &mut Pieces::default(), false, rules)).map_or_else(
                    // It stops now: it has just done so.
                    || self.stopped(&mut stack, rules),
                    Ok,
                ),
                Err(error) => Err(error),
            };
            match taken {
                Err(HoldError::Gone) => return None,
                Err(error) => stack.problem = Some(problem(self.pid, &stack.thread, &error)),
                Ok(()) => {}
            }
            Some(stack)
        });
        taken.collect()
    }

    /// Takes the stack of a thread that does not run meanwhile; `false` beside it when that was not enough.
    fn resting(&mut self, tid: u32, rules: &mut Rules) -> Option<(bool, Stack)> {
        let mut pieces = Pieces::default();
        let mut last = None;
        for attempt in 1..=TRIES {
            let before = Thread::read(self.pid, tid).ok().filter(|thread| !thread.has_ended())?;
            let Place::Blocked { sp, ip, .. } = before.place else {
                return Some((false, untaken(before, last)));
            };
            let from = Registers { ip, sp, bp: None };
            let moment = self.copy(tid, from, &pieces, rules, |python| {
                python.stack_at(&self.memory, thread_pointer(tid))
            });
            if moment.stack.is_empty() {
                self.renew();
                continue;
            }
            let after = Thread::read(self.pid, tid).ok()?;
            if !after.has_rested_since(&before) {
                last = None;
                continue;
            }
            let placed = self.walk(from, &moment, rules);
            let more = self.more(sp, &placed, &mut pieces);
            if (more == Some(More::Copied) || !self.has_seen(&placed, &moment)) && attempt < TRIES {
                last = Some(placed);
                continue;
            }
            let (false, Known::Stack(python)) = (
                matches!(more, Some(More::Missing | More::Copied)) || placed.walk.end == End::NoFramePointer,
                moment.python,
            ) else {
                // When it is stopped, its registers tell where it has its frame and its data.
                return Some((false, untaken(after, Some(placed))));
            };
            let stack = Stack {
                thread: after,
                problem: more.map(|_| too_deep()),
                javascript: self.javascript_of(&placed, moment.javascript),
                walk: Some(placed),
                python,
                taken: Some(Taken::Waiting),
            };
            return Some((true, stack));
        }
        let thread = Thread::read(self.pid, tid).ok()?;
        Some((false, untaken(thread, None)))
    }

    /// Takes the stack of a thread that is stopped for it.
    fn stopped(&mut self, stack: &mut Stack, rules: &mut Rules) -> Result<(), HoldError> {
        let (pid, tid, started) = (self.pid, stack.thread.tid, stack.thread.started);
        let mut pieces = Pieces::default();
        for attempt in 1..=TRIES {
            let (process, wanted, known) = (&*self, &pieces, &*rules);
            let held = hold::hold(
                tid,
                PATIENCE,
                |tid| threads::started(pid, tid) == Some(started),
                |registers| process.copy_held(tid, &registers, wanted, known),
            )?;
            if self.take(stack, held, &mut pieces, attempt == TRIES, rules).is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Takes what was copied of a thread that was stopped; `None` when more should be copied, which `pieces` then say, unless it is the `last` time.
    fn take(
        &mut self,
        stack: &mut Stack,
        held: Held<Moment>,
        pieces: &mut Pieces,
        last: bool,
        rules: &mut Rules,
    ) -> Option<()> {
        let Held { registers, value, time } = held;
        let from = copying::held(&registers);
        let placed = self.walk(from, &value, rules);
        let more = self.more(from.sp, &placed, pieces);
        let is_enough = more != Some(More::Copied) && !value.stack.is_empty() && self.has_seen(&placed, &value);
        stack.problem = (more == Some(More::TooDeep)).then(too_deep);
        stack.javascript = self.javascript_of(&placed, value.javascript);
        stack.walk = Some(placed);
        stack.taken = Some(Taken::Stopped {
            nanoseconds: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        });
        if value.stack.is_empty() {
            self.renew();
        }
        stack.python = value.python.stack();
        (is_enough || last).then_some(())
    }

    /// Whether a walk that ended for want of memory can go on with more of it; `None` when it ended otherwise.
    fn more(&self, sp: u64, placed: &Placed, pieces: &mut Pieces) -> Option<More> {
        match placed.walk.end {
            End::Missing(address) => Some(pieces.grow(sp, address, &self.writable)),
            _ => None,
        }
    }

    /// Walks a copied stack by the mappings that were read with it.
    fn walk(&mut self, from: Registers, moment: &Moment, rules: &mut Rules) -> Placed {
        if !moment.stack.is_empty() && self.space.read_again(&moment.maps) {
            self.writable = Writable::parse(&moment.maps);
        }
        let found = |pc| rules.found(&self.space, pc);
        let walk = walk(from, found, |address| moment.stack.word(address));
        Placed::new(walk, &mut self.space)
    }
}

fn too_deep() -> String {
    format!("its stack is deeper than the {} MiB that are read of one", MOST >> 20)
}

/// A thread that could not be taken in rest, with what of its stack was.
fn untaken(thread: Thread, walk: Option<Placed>) -> Stack {
    Stack {
        thread,
        taken: walk.as_ref().map(|_| Taken::Waiting),
        walk,
        python: None,
        javascript: None,
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
