//! From the ring to the ledger: the stage that runs all the time.

mod stacks;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use memtrace_common::{
    event::{Program, flag},
    state::{LostFree, LostKey},
};

use super::{
    description::Description, javascript::JavaScriptStacks, pools::Looks, processes::Processes, python::PythonStacks,
    recorder::EventLog, refused::Refused,
};
use crate::{
    decode::{self, Event, StackFrame},
    ledger::{Ledger, Limits},
    options::Options,
    probe::{LostFrees, ProbeError, Ring, Sweeper},
    process::{AddressSpace, program_name},
};

/// Records taken before others get a turn: about 10 ms of work.
const BATCH: usize = 32_768;

/// Bytes that the kernel puts before each record of the ring (`BPF_RINGBUF_HDR_SZ`, include/uapi/linux/bpf.h).
const RECORD_BYTES: u64 = 8;

/// Events applied at once.
const APPLIED_TOGETHER: usize = 256;

/// Least time between two readings of a target's mappings that unknown addresses ask for.
const REFRESH_PAUSE: Duration = Duration::from_millis(100);

/// What has happened to a target, for whoever attaches probes and makes tables. Programs by incarnation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice {
    /// A process was forked.
    Forked {
        parent: u32,
        child: u32,
        pid: u32,
        time_ns: u64,
    },
    /// A process replaced its program, or a program begins in one that was not traced.
    Executed {
        old: Option<u32>,
        new: u32,
        pid: u32,
        time_ns: u64,
        by_other_thread: bool,
    },
    /// A process has ended.
    Ended(u32),
    /// Only its main thread has.
    MainThreadEnded(u32),
    /// A stack went through this module before its unwind table was there.
    Wanted(u32),
}

/// Owns the ring, the ledger, and what is needed to place addresses.
pub(super) struct Collector {
    ring: Ring,
    /// Size of the ring in bytes.
    ring_bytes: u64,
    /// Bytes taken from the ring since the lost frees were taken, or everything it held then and more.
    caught_up: u64,
    lost: LostFrees,
    /// What asks for blocks that wait in the kernel, if any do.
    pub(super) sweeper: Option<Sweeper>,
    /// What the records amount to.
    pub(super) ledger: Ledger,
    /// The targets.
    pub(super) processes: Processes,
    /// Python in the targets.
    pub(super) python: PythonStacks,
    /// When pools are looked at.
    pools: Looks,
    /// JavaScript in the targets.
    pub(super) javascript: JavaScriptStacks,
    /// Every event, when that is kept.
    pub(super) recording: Option<EventLog>,
    min_age: Duration,
    refreshed: Instant,
    /// Records taken from the ring.
    pub(super) events: u64,
    /// Records that were not understood.
    pub(super) refused: Refused,
    /// What has happened since it was asked for last.
    pub(super) notices: Vec<Notice>,
    /// Scratch for the frames of one stack.
    frames: Vec<StackFrame>,
    /// And for its Python frames.
    python_frames: Vec<(u64, u64)>,
    /// Events that are decoded and not yet applied: together they wait less for memory.
    batch: Vec<Event<'static>>,
}

impl Collector {
    pub(super) fn new(
        ring: Ring,
        ring_bytes: u32,
        lost: LostFrees,
        sweeper: Option<Sweeper>,
        processes: Processes,
        (python, javascript): (PythonStacks, JavaScriptStacks),
        options: &Options,
    ) -> Self {
        Self {
            ring,
            ring_bytes: ring_bytes.into(),
            caught_up: 0,
            lost,
            sweeper,
            ledger: Ledger::new(Limits::default()),
            processes,
            python,
            pools: Looks::default(),
            javascript,
            recording: options.keeps_events().then(EventLog::default),
            min_age: options.settings.min_age,
            refreshed: Instant::now(),
            events: 0,
            refused: Refused::default(),
            notices: Vec::new(),
            frames: Vec::new(),
            python_frames: Vec::new(),
            batch: Vec::with_capacity(APPLIED_TOGETHER),
        }
    }

    /// The ring, for whoever waits until it is readable.
    pub(super) const fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Adds a process that is there already.
    pub(super) fn add(&mut self, incarnation: u32, description: Description, space: AddressSpace) {
        let pid = description.pid;
        let heap_end = space.heap_end();
        self.python.laid_out(&space, incarnation);
        self.javascript.laid_out(&space, incarnation);
        let group = self.processes.add(incarnation, description, space);
        if let Some(recording) = &mut self.recording {
            recording.frames.program_break(pid, incarnation, heap_end.unwrap_or(0));
        }
        self.ledger.seed(pid, incarnation, heap_end);
        self.set_group(incarnation, group);
    }

    fn set_group(&mut self, incarnation: u32, group: u32) {
        if let Some(recording) = &mut self.recording {
            recording.frames.group(incarnation, group);
        }
        self.ledger.set_group(incarnation, group);
    }

    /// Takes a batch of records; `true` when there may be more.
    pub(super) fn drain(&mut self) -> bool {
        let more = self.take_batch();
        self.apply();
        if let Some(recording) = &mut self.recording {
            recording.write(false);
        }
        more
    }

    fn apply(&mut self) {
        self.ledger.apply_all(&self.batch);
        self.batch.clear();
    }

    fn take_batch(&mut self) -> bool {
        for _ in 0..BATCH {
            let Some(record) = self.ring.next_record() else {
                self.caught_up = u64::MAX;
                return false;
            };
            self.events += 1;
            self.caught_up = self.caught_up.saturating_add(RECORD_BYTES + record.len() as u64);
            if let Some(recording) = &mut self.recording {
                recording.frames.event(&record);
            }
            match decode::decode(&record) {
                Ok(Event::Stack(stack)) => {
                    let head = stack.head;
                    self.frames.clear();
                    self.frames.extend(stack.frames());
                    self.python_frames.clear();
                    self.python_frames.extend(stack.python());
                    drop(record);
                    self.stack(&head);
                }
                Ok(Event::Python(code)) => self.python.define(&code),
                Ok(Event::JavaScript(function)) => self.javascript.define(&function),
                Ok(Event::JavaScriptCode(piece)) => self.javascript.compiled(&piece),
                Ok(event) => {
                    self.batch.extend(event.detached());
                    drop(record);
                    match self.batch.last() {
                        Some(&event) if is_lifecycle(&event) => {
                            // What comes after it may be about another program.
                            self.apply();
                            self.lifecycle(&event);
                        }
                        _ if self.batch.len() == APPLIED_TOGETHER => self.apply(),
                        _ => {}
                    }
                }
                Err(error) => self.refused.add(record.len(), error),
            }
        }
        true
    }

    /// Takes note of a process that comes, changes or goes; the ledger knows of it already.
    fn lifecycle(&mut self, event: &Event<'_>) {
        match event {
            Event::Exec(program) => {
                let header = program.header;
                let old = self.processes.incarnation(header.pid);
                if let Some(old) = old {
                    self.python.ended(old);
                    self.javascript.ended(old);
                }
                self.begin(program, Some(header.time_ns));
                self.notices.push(Notice::Executed {
                    old,
                    new: header.incarnation,
                    pid: header.pid,
                    time_ns: header.time_ns,
                    by_other_thread: header.flags & flag::OTHER_THREAD != 0,
                });
            }
            Event::Join(program) => self.begin(program, None),
            Event::Fork(fork) => {
                let header = fork.header;
                let (parent, child, pid) = (header.incarnation, fork.child_incarnation, fork.child);
                let group = self.processes.fork(parent, child, pid, header.time_ns);
                self.python.forked(parent, child);
                self.javascript.forked(parent, child);
                self.set_group(child, group);
                self.notices.push(Notice::Forked {
                    parent,
                    child,
                    pid,
                    time_ns: header.time_ns,
                });
            }
            Event::Exit(header) if header.flags & flag::MAIN_THREAD != 0 => {
                self.notices.push(Notice::MainThreadEnded(header.incarnation));
            }
            Event::Exit(header) => self.ended(header.incarnation),
            Event::Map(map) => self.processes.outdate(map.header.incarnation),
            Event::Code(header) => self.processes.outdate(header.incarnation),
            Event::Image(image) => self.processes.note(image),
            _ => {}
        }
    }

    fn begin(&mut self, program: &Program, began_ns: Option<u64>) {
        let header = program.header;
        let name = program.command.split(|&byte| byte == 0).next().unwrap_or_default();
        let command = String::from_utf8_lossy(name).into_owned();
        let group = self.processes.begin(header.pid, header.incarnation, command, began_ns);
        self.set_group(header.incarnation, group);
    }

    /// A process whose beginning was lost.
    fn adopt(&mut self, pid: u32, incarnation: u32) {
        let command = program_name(Path::new("/proc"), pid).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        let group = self.processes.begin(pid, incarnation, command, None);
        self.apply();
        if let Some(recording) = &mut self.recording {
            recording.frames.program_break(pid, incarnation, 0);
        }
        self.ledger.seed(pid, incarnation, None);
        self.set_group(incarnation, group);
    }

    fn ended(&mut self, incarnation: u32) {
        if self.processes.end(incarnation) {
            self.python.ended(incarnation);
            self.javascript.ended(incarnation);
            self.notices.push(Notice::Ended(incarnation));
        }
        if self.processes.has_many_ended() {
            let listed = self.ledger.listed();
            self.processes.forget(|incarnation| listed.contains(&incarnation));
        }
    }

    /// A process is gone, whether the record of its end has come or was lost.
    pub(super) fn gone(&mut self, incarnation: u32, now_ns: u64) {
        if let Some(recording) = &mut self.recording {
            recording.frames.end(incarnation, now_ns);
        }
        self.ledger.end(incarnation, now_ns);
        self.ended(incarnation);
    }

    /// Applies frees that found the ring full before the last call, once all records that lay in the ring then were taken: the
    /// blocks' allocations are among them. Until then it does nothing.
    pub(super) fn apply_lost_frees(&mut self) -> Result<(), ProbeError> {
        if self.caught_up < self.ring_bytes {
            return Ok(());
        }
        self.caught_up = 0;
        for (key, free) in self.lost.take()? {
            self.lost_free(key, free);
        }
        Ok(())
    }

    fn lost_free(&mut self, key: LostKey, free: LostFree) {
        if let Some(recording) = &mut self.recording {
            recording.frames.lost_free(key, free);
        }
        self.ledger.apply_lost_free(key, free);
    }

    /// Blocks may be freed unseen from now on.
    pub(super) fn forget_blocks(&mut self, now_ns: u64, after_look: bool) -> Result<(), ProbeError> {
        let _all = self.take_all()?;
        if let Some(recording) = &mut self.recording {
            recording.frames.forget_blocks(now_ns, after_look);
        }
        self.ledger.forget_blocks(after_look);
        Ok(())
    }

    /// From which age on a block can be suspected.
    pub(super) const fn min_age(&self) -> Duration {
        self.min_age
    }

    /// Notes the live bytes of every site, for its history; `lost` records have not come since the start.
    pub(super) fn sample(&mut self, now_ns: u64, lost: u64) {
        if let Some(recording) = &mut self.recording {
            recording.moment(now_ns, lost);
        }
        self.pools.tick(&mut self.ledger);
        self.ledger.set_lost(lost);
        self.ledger.sample(now_ns);
    }

    /// Takes pools of interpreters out that are empty by now.
    pub(super) fn look_at_pools(&mut self) {
        self.pools.look(&mut self.ledger);
    }

    /// Drains what is there and applies what was lost, after the target is no longer listened to.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        // Twice, once for each map; the pause lets programs that were running finish their writes.
        for _ in 0..2 {
            let _all = self.take_all().context("failed to collect the last blocks")?;
            self.apply_lost_frees().context("failed to collect the last frees")?;
            std::thread::sleep(Duration::from_millis(2));
        }
        let _all = self.take_all().context("failed to collect the last blocks")?;
        if let Some(mut recording) = self.recording.take() {
            recording.write(true);
        }
        Ok(())
    }
}

/// Whether an event tells of a process rather than of its memory.
const fn is_lifecycle(event: &Event<'_>) -> bool {
    match event {
        Event::Exec(_) | Event::Join(_) | Event::Fork(_) | Event::Exit(_) | Event::Code(_) | Event::Image(_) => true,
        Event::Map(map) => map.header.flags & flag::EXECUTABLE != 0,
        _ => false,
    }
}
