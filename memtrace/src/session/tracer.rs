//! Everything between the kernel and the loop: loaded programs, who is traced, who attaches, who makes tables.

mod said;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use memtrace_common::{
    Counter,
    config::{Join, PidNamespace},
    limits::COMMAND_BYTES,
    pymalloc::Heap,
};

use super::{
    budget::Budget,
    collector::{Collector, Notice},
    default_mode::Sparing,
    hooks::{Hooker, Hooks, Mapped, Policy, State, Switched, Told},
    javascript::{JavaScriptStacks, Watching},
    processes::Processes,
    python::PythonStacks,
    unwinding::Unwinding,
};
use crate::{
    clock::now_ns,
    options::{Options, Unwinding as How},
    plan,
    probe::{self, Counters, Links, Members, Modes, ProbeError, Probes},
    process::{AddressSpace, Modules},
    target::select::Selection,
};

/// How long a program that memtrace starts is held for its unwind tables. The largest take a second.
const TABLES_PATIENCE: Duration = Duration::from_secs(3);

/// Who is to be traced, as far as loading needs it.
pub(super) struct Wanted<'a> {
    pub(super) selection: &'a Selection,
    /// Where processes are numbered.
    pub(super) pid_namespace: PidNamespace,
    /// Interpreters whose objects are followed.
    pub(super) python: Vec<plan::pymalloc::Followed>,
    /// Where processes have the heaps of those, where a probe must know that.
    pub(super) heaps: Vec<(u32, Heap)>,
    /// Interpreters whose pools are told of.
    pub(super) pools: Vec<plan::pymalloc::Pools>,
    /// What is taken by default, where that is not every call.
    pub(super) sparing: Option<Sparing>,
}

/// See the module's description.
pub(super) struct Tracer {
    members: Members,
    pub(super) modes: Modes,
    /// Blocks that were drawn before the filter of addresses was made.
    pub(super) drawn: u64,
    counters: Counters,
    /// Until the loop begins.
    hooks: Option<Hooks>,
    /// From then on.
    pub(super) hooker: Option<Hooker>,
    state: State,
    /// Whether two probes have taken the place of one.
    switched: Switched,
    unwinding: Unwinding,
    /// Heaps of interpreters, by process, that the BPF side must know as soon as the process is traced.
    heaps: Vec<(u32, Heap)>,
    told_heaps: probe::Heaps,
    /// The sampling interval in bytes, if allocations are sampled without a budget.
    pub(super) interval: Option<u64>,
    /// What sets watchpoints where JavaScript allocates, if that is wanted.
    watching: Option<Watching>,
    /// What the reader of a report must know.
    notes: Vec<String>,
    started: Instant,
    started_ns: u64,
    /// What holds the targets' slowdown within a budget, if that was asked for.
    pub(super) budget: Option<Budget>,
}

impl Tracer {
    /// Loads the programs. Nothing is attached, and nothing listened to. Meanwhile tables are made for `spaces`, of which the first
    /// will be the first process that is traced, and so on.
    pub(super) fn load(wanted: &Wanted<'_>, spaces: &[AddressSpace], options: &Options) -> anyhow::Result<Self> {
        let started = Instant::now();
        let started_ns = now_ns();
        let pairs = options.pairs.iter().map(|text| {
            plan::Pair::parse(text).map_err(|why| anyhow::anyhow!("--pair {text} is no pair of functions: {why}"))
        });
        let pairs = pairs.collect::<Result<_, _>>()?;
        let by_tables = options.unwinding == How::Auto;
        // Tables are made while the kernel verifies the programs.
        let unwinding = Unwinding::start(by_tables, &wanted.python).context("failed to start a thread")?;
        for (incarnation, space) in (1..).zip(spaces) {
            unwinding.laid_out(space, incarnation);
        }
        let command = wanted.selection.command();
        let join = match wanted.selection {
            Selection::All => Join::All,
            Selection::Command(_) => Join::Command,
            Selection::Processes(_) | Selection::Cgroup(_) => Join::Nobody,
        };
        let follow = options.follow || join == Join::All;
        let everywhere = options.machine_wide || join == Join::All;
        // The kernel takes single probes of a process off its child when that first meets them, and shared ones never: a child that
        // is not observed would pay for them, and could be killed by its seccomp filter for a return probe.
        let may_pause = options.budget.is_some() || options.windows.is_some() || wanted.sparing.is_some();
        let mut probes = Probes::load(probe::Options {
            ring_bytes: options.ring_bytes,
            pid_namespace: wanted.pid_namespace,
            diagnostics: options.diagnostics,
            old_loop: options.old_loop,
            single_links: options.single_links || !(everywhere || follow && wanted.pid_namespace.inode == 0),
            by_tables,
            join,
            everywhere,
            command: filled(command.unwrap_or_default()),
            follow,
            every_event: options.every_event,
            javascript_sites: options.javascript_sites,
            may_sample: options.sample.is_some() || may_pause,
            may_pause,
        })?;
        let mut notes = Vec::new();
        let completed = wanted
            .sparing
            .map(|sparing| sparing.complete(options, probes.shares_links()));
        let options = match &completed {
            Some((options, note)) => {
                notes.push(note.clone());
                options
            }
            None => options,
        };
        notes.extend(said::first_notes(follow && wanted.pid_namespace.inode != 0, options));
        let counters = probes.counters()?;
        let members = probes.members()?;
        let mut modes = probes.modes()?;
        if let (Some(interval), None, None) = (options.sample, options.budget, options.windows) {
            modes.prepare()?;
            modes.ask()?;
            modes.open(interval, 1)?;
        }
        unwinding.connect(&mut probes)?;
        let watching = said::watching(&mut probes, options, &mut notes);
        let told_heaps = probes.heaps()?;
        let policy = Policy::of(options, everywhere, follow);
        let hooks = Hooks::new(
            probes,
            policy,
            plan::Request {
                pairs,
                python: wanted.python.clone(),
                pools: wanted.pools.clone(),
                two_traps: options.two_traps,
            },
            Told(options.once_mutant),
        )?;
        let mut tracer = Self {
            members,
            modes,
            drawn: 0,
            counters,
            state: hooks.state(),
            switched: hooks.switched(),
            hooks: Some(hooks),
            hooker: None,
            unwinding,
            heaps: wanted.heaps.clone(),
            told_heaps,
            watching,
            notes,
            interval: options.sample,
            started,
            started_ns,
            budget: None,
        };
        tracer.budget = match (options.windows, options.budget) {
            (Some(windows), _) => Some(Budget::in_windows(windows, options, &mut tracer)?),
            (None, Some(limit)) => Some(Budget::begin(limit, options, &mut tracer)?),
            (None, None) => None,
        };
        Ok(tracer)
    }

    fn hooks(&mut self) -> anyhow::Result<&mut Hooks> {
        self.hooks.as_mut().context("the loop has begun already")
    }

    /// Starts to listen to a process, and attaches to what it has mapped by now; its incarnation.
    pub(super) fn trace(&mut self, pid: u32) -> anyhow::Result<u32> {
        let incarnation = self.members.trace(pid)?;
        if let Some((_, heap)) = self.heaps.iter().find(|(of, _)| *of == pid) {
            self.told_heaps.publish(incarnation, heap)?;
        }
        Ok(incarnation)
    }

    /// Attaches to what a process has mapped by now, as far as that is not done.
    ///
    /// # Errors
    /// A [`plan::PlanError`] when there is nothing to attach to, or what the kernel says.
    pub(super) fn attach(&mut self, space: &AddressSpace, pid: u32, incarnation: u32) -> anyhow::Result<()> {
        let mapped = Mapped::of(space, pid, incarnation, None);
        self.hooks()?.mapped(mapped).map_err(|error| said::explain(pid, error))
    }

    /// Attaches to the files that a process has mapped, which is not traced itself before it calls one of them.
    pub(super) fn attach_for_all(&mut self, space: &AddressSpace) -> anyhow::Result<()> {
        const NOBODY: u32 = 0;
        let hooks = self.hooks()?;
        let mapped = Mapped::of(space, NOBODY, NOBODY, None);
        if hooks.knows(&mapped) {
            return Ok(());
        }
        self.unwinding.make_ahead(space);
        let hooks = self.hooks()?;
        let result = hooks.mapped(mapped);
        hooks.ended(NOBODY);
        result
    }

    /// Never traces this process itself, nor its children.
    pub(super) fn leave_out_itself(&mut self) -> Result<(), ProbeError> {
        self.members.never(std::process::id())
    }

    /// Attaches what is not on functions: from then on processes join.
    pub(super) fn attach_tracepoints(&mut self) -> anyhow::Result<()> {
        self.hooks()?.attach_tracepoints()?;
        self.members.begin();
        Ok(())
    }

    /// Puts a return probe on the allocator of memtrace's own child.
    pub(super) fn attach_canary(&mut self, pid: u32) -> anyhow::Result<Links> {
        self.hooks()?.attach_canary(pid)
    }

    /// Puts probes on `malloc` and `free` of memtrace's own child, and on a function that the kernel has to step through.
    pub(super) fn attach_trial(&mut self, pid: u32) -> anyhow::Result<Links> {
        self.members.never(pid)?;
        self.hooks()?.attach_trial(pid)
    }

    /// That child has ended: its number may be another process's.
    pub(super) fn forget_trial(&mut self, pid: u32) {
        self.members.forget(pid);
    }

    /// Why probes cannot be taken off and put on again many times a minute, if they cannot.
    pub(super) fn cannot_pause(&mut self) -> anyhow::Result<Option<String>> {
        Ok(self.hooks()?.probes().shares_links().err().map(str::to_owned))
    }

    /// Takes the ring, and has attaching go on aside.
    pub(super) fn collector(&mut self, modules: Modules, options: &Options) -> anyhow::Result<Collector> {
        let probes = self.hooks()?.probes();
        Ok(Collector::new(
            probes.ring()?,
            options.ring_bytes,
            probes.lost_frees()?,
            (!options.every_event).then(|| probes.sweeper()).transpose()?,
            Processes::new(modules, options.split),
            (
                PythonStacks::new(probes.pythons()?),
                JavaScriptStacks::new(probes.engines()?),
            ),
            options,
        ))
    }

    /// From now on attaching goes on aside.
    pub(super) fn begin(&mut self) -> anyhow::Result<()> {
        let hooks = self.hooks.take().context("the loop has begun already")?;
        self.hooker = Some(Hooker::start(hooks).context("failed to start a thread")?);
        Ok(())
    }

    /// Starts to listen to a process that is found while observing; `None` when it is known.
    pub(super) fn trace_later(&mut self, pid: u32) -> Result<Option<u32>, ProbeError> {
        if self.members.knows(pid) {
            return Ok(None);
        }
        self.members.trace(pid).map(Some)
    }

    /// Passes on what has happened.
    pub(super) fn notice(&self, notice: Notice) {
        let Some(hooker) = &self.hooker else { return };
        match notice {
            Notice::Forked { parent, child, .. } => self.unwinding.forked(parent, child),
            Notice::Executed { old: Some(gone), .. } | Notice::Ended(gone) => self.unwinding.ended(gone),
            Notice::Wanted(module) => self.unwinding.wanted(module),
            Notice::Executed { old: None, .. } | Notice::MainThreadEnded(_) => {}
        }
        hooker.notice(notice);
    }

    /// The mappings of a process were read.
    pub(super) fn laid_out(&self, space: &AddressSpace, pid: u32, incarnation: u32, began_ns: Option<u64>) {
        self.unwinding.laid_out(space, incarnation);
        if let Some(hooker) = &self.hooker {
            hooker.mapped(Mapped::of(space, pid, incarnation, began_ns));
        }
    }

    /// What a process had mapped that is gone: reports tell what was hooked in it, and its files get their probes for those that come.
    pub(super) fn had(&self, space: &AddressSpace, pid: u32, incarnation: u32, began_ns: Option<u64>) {
        if let Some(hooker) = &self.hooker {
            hooker.mapped(Mapped {
                gone: true,
                ..Mapped::of(space, pid, incarnation, began_ns)
            });
        }
    }

    /// Waits until the tables of all code that was told of are there.
    pub(super) fn settle(&self) {
        self.unwinding.settle(TABLES_PATIENCE);
    }

    /// Ends the making of unwind tables, and keeps what a report must say of them.
    pub(super) fn end_unwinding(&mut self) {
        let loaded = self.unwinding.finish();
        log::info!(
            "unwind tables took {} of kernel memory",
            crate::units::bytes(loaded.bytes)
        );
        self.notes.extend(loaded.notes);
    }

    /// When loading began.
    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// The same in kernel time, nanoseconds.
    pub(super) const fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// What is hooked in which program.
    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// The BPF side's counters. When the kernel does not give them the report says so by lacking them.
    pub(super) fn counters(&self) -> [u64; Counter::COUNT] {
        self.counters.read().unwrap_or_else(|error| {
            log::warn!("the counters of this report are missing: {error}");
            [0; Counter::COUNT]
        })
    }

    /// Stops listening, at once and for all programs.
    pub(super) fn ignore(&mut self) {
        self.modes.end();
    }

    /// Takes all probes off.
    pub(super) fn detach(self) {
        let begun = Instant::now();
        drop(self.watching);
        let hooks = self.hooker.and_then(Hooker::finish).or(self.hooks);
        if let Some(hooks) = hooks {
            hooks.detach();
        }
        log::info!("probes were taken off in {} ms", begun.elapsed().as_millis());
    }
}

/// A program's name as the kernel has it: filled up with zeros.
fn filled(name: &[u8]) -> [u8; COMMAND_BYTES] {
    let mut bytes = [0; COMMAND_BYTES];
    for (byte, &of_name) in bytes.iter_mut().zip(name) {
        *byte = of_name;
    }
    bytes
}
