//! The probes of one target: planned from its mappings, attached once each.

use std::{
    collections::HashSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use memtrace_common::Counter;
use tokio::task::JoinHandle;

use super::{collector::Collector, unwinding::Follower};
use crate::{
    clock::now_ns,
    message,
    options::{Options, Unwinding},
    plan::{self, AttachPlan, AttachPoint, Candidate, Kind, PlanError},
    probe::{self, Counters, Point, ProbeError, Probes, Role},
    process::{AddressSpace, FileBytes},
    profile::Allocator,
    store::Writer,
    target::TargetInfo,
};

/// The target's incarnation at the start; the BPF side adds one for each `exec`.
const FIRST_INCARNATION: u32 = 1;

/// Holds the loaded programs and what they are attached to.
pub(super) struct Tracer {
    pid: u32,
    /// The thread that the probes were attached through: the kernel gives them up with it.
    thread: u32,
    /// Whether the process is listened to.
    listening: bool,
    /// Times at which the probes had to be put on anew.
    gaps: u64,
    probes: Probes,
    counters: Counters,
    /// The target's mappings, until the collector takes them over.
    space: Option<AddressSpace>,
    follower: Follower,
    /// Modules and offsets that have their probes.
    attached: HashSet<(u32, u64)>,
    allocators: Vec<Allocator>,
    /// What the reader of a report must know.
    notes: Vec<String>,
    started: Instant,
    started_ns: u64,
}

impl Tracer {
    /// Loads the programs for a process. Nothing is attached, and nothing listened to.
    pub(super) fn load(target: &TargetInfo, space: AddressSpace, options: &Options) -> anyhow::Result<Self> {
        let started = Instant::now();
        let started_ns = now_ns();
        // Tables are made while the kernel verifies the programs.
        let by_tables = options.unwinding == Unwinding::Auto;
        let mut follower = Follower::start(by_tables, &space, FIRST_INCARNATION).context("failed to start a thread")?;
        let mut probes = Probes::load(probe::Options {
            ring_bytes: options.ring_bytes,
            pid_namespace: target.pid_namespace,
            diagnostics: options.diagnostics,
            old_loop: options.old_loop,
            by_tables,
        })?;
        let counters = probes.counters()?;
        follower.connect(&mut probes)?;
        Ok(Self {
            pid: target.pid,
            thread: target.pid,
            listening: false,
            gaps: 0,
            probes,
            counters,
            follower,
            space: Some(space),
            attached: HashSet::new(),
            allocators: Vec::new(),
            notes: Vec::new(),
            started,
            started_ns,
        })
    }

    /// Plans with the mappings as they were read last, and attaches what is not attached yet.
    ///
    /// What frees comes first, then what allocates: the plan is in that order. The mapping calls come last: as long as
    /// allocator calls are not seen, an allocator's own mappings would be taken for the program's.
    pub(super) fn attach_all(&mut self) -> anyhow::Result<()> {
        let Some(space) = self.space.take() else { return Ok(()) };
        let result = self.attach_to(&space);
        self.space = Some(space);
        result
    }

    fn attach_to(&mut self, space: &AddressSpace) -> anyhow::Result<()> {
        let plan = plan::plan(&candidates(space))?;
        let first = !self.listening;
        if first {
            self.probes.trace(self.pid, FIRST_INCARNATION)?;
        }
        for point in &plan.points {
            // With tables, the caller of a wrapper is found from inside the system call.
            if point.kind == Kind::Wrapper && self.follower.is_on() {
                continue;
            }
            if self.attached.insert((point.module, point.offset)) {
                self.probes
                    .attach(self.thread, &probe_point(space, point)?)
                    .map_err(|error| self.explain(error))?;
            }
        }
        if first {
            self.probes.attach_tracepoints(self.follower.is_on())?;
            self.listening = true;
        }
        self.remember(plan);
        Ok(())
    }

    /// A target that has ended meanwhile explains any failure better than the kernel's answer.
    fn explain(&self, error: ProbeError) -> anyhow::Error {
        match crate::target::check(self.pid) {
            Err(gone) => anyhow::Error::new(gone).context("the target ended while memtrace was attaching to it"),
            Ok(_) => error.into(),
        }
    }

    fn remember(&mut self, plan: AttachPlan) {
        for found in plan.allocators {
            if !self.allocators.iter().any(|known| known.path == found.path) {
                self.allocators.push(Allocator {
                    name: found.name.to_owned(),
                    path: found.path,
                    hooks: found.hooks,
                });
            }
        }
        for note in plan.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// After `exec`: attaches to the new program; `false` when its allocator is not mapped yet.
    pub(super) fn attach_again(&mut self, space: &AddressSpace) -> anyhow::Result<bool> {
        match self.attach_to(space) {
            Ok(()) => Ok(true),
            Err(error) if error.is::<PlanError>() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A thread to attach the probes through anew, when the one they were attached through has ended and the process has not.
    pub(super) fn successor(&self) -> Option<u32> {
        crate::target::living_thread(self.pid, self.thread).filter(|&thread| thread != self.thread)
    }

    /// Forgets the probes on functions: what they were attached through is gone, for what has happened. They are to be attached
    /// anew, through `thread`.
    pub(super) fn forget_probes(&mut self, thread: u32, happened: &str) {
        self.notes.push(format!(
            "{happened}: probes had to be put on anew, and what was allocated and freed meanwhile was not seen"
        ));
        self.probes.abandon_functions();
        self.attached.clear();
        self.thread = thread;
        self.gaps += 1;
    }

    /// Times without probes.
    pub(super) const fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Notes that the probes could not be attached again, after what has happened.
    pub(super) fn note_failure(&mut self, happened: &str, error: Option<anyhow::Error>) {
        let why = error.map_or_else(
            || "no allocator was found in it".to_owned(),
            |error| format!("{error:#}"),
        );
        self.notes
            .push(format!("{happened}, and what came then could not be hooked: {why}"));
    }

    /// Puts a return probe on the allocator of memtrace's own child.
    pub(super) fn attach_canary(&mut self, pid: u32) -> anyhow::Result<()> {
        let space = AddressSpace::read(pid).context("failed to read the mappings of the child")?;
        let plan = plan::plan(&candidates(&space))?;
        let point = plan
            .points
            .iter()
            .find(|point| point.symbol == "malloc")
            .context("the child has no malloc")?;
        self.probes.attach(pid, &probe_point(&space, point)?)?;
        Ok(())
    }

    /// The mappings, while the target is starting.
    pub(super) const fn space(&mut self) -> Option<&mut AddressSpace> {
        self.space.as_mut()
    }

    /// Hands the ring and the mappings over to a collector.
    pub(super) fn collector(&mut self, options: &Options) -> anyhow::Result<Collector> {
        let mut space = self.space.take().context("the mappings were handed over before")?;
        // Files that were mapped since the plan was made must be held as well.
        let _gone = space.refresh();
        self.follower.tell(&space, FIRST_INCARNATION);
        let recording = options
            .record_ring
            .as_ref()
            .map(|path| {
                Writer::create(path).with_context(|| format!("failed to make the recording {}", path.display()))
            })
            .transpose()?;
        let heap_end = space.heap_end();
        let mut collector = Collector::new(
            self.probes.ring()?,
            options.ring_bytes,
            self.probes.lost_frees()?,
            space,
            recording,
        );
        collector.incarnation = FIRST_INCARNATION;
        if let Some(heap_end) = heap_end {
            collector.seed_break(self.pid, FIRST_INCARNATION, heap_end);
        }
        Ok(collector)
    }

    /// Who follows the target's code.
    pub(super) const fn follower(&mut self) -> &mut Follower {
        &mut self.follower
    }

    /// Ends the making of unwind tables, and keeps what a report must say of them.
    pub(super) fn end_unwinding(&mut self) {
        let loaded = self.follower.finish();
        log::info!(
            "unwind tables took {} of kernel memory",
            crate::units::bytes(loaded.bytes)
        );
        self.notes.extend(loaded.notes);
    }

    /// Shows the BPF side's diagnostics as they come, when asked for.
    pub(super) fn diagnostics(&mut self, options: &Options) -> anyhow::Result<Option<JoinHandle<()>>> {
        if !options.diagnostics {
            return Ok(None);
        }
        let mut logger = self.probes.diagnostics()?;
        Ok(Some(tokio::spawn(async move {
            loop {
                logger.flush();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })))
    }

    /// Says that observation has begun.
    pub(super) fn announce(&self, command: &str) {
        let names: Vec<_> = self
            .allocators
            .iter()
            .map(|found| format!("{} ({})", found.name, found.path))
            .collect();
        message::say(&format!(
            "attached to {} ({}): {} probes on {} in {} ms; Ctrl-C ends and reports",
            self.pid,
            command,
            self.probes.attached(),
            names.join(", "),
            self.started.elapsed().as_millis()
        ));
    }

    /// When loading began.
    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// The same in kernel time, nanoseconds.
    pub(super) const fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// Allocators that are hooked.
    pub(super) fn allocators(&self) -> &[Allocator] {
        &self.allocators
    }

    /// What the reader of a report must know.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
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
        self.probes.ignore(self.pid);
    }

    /// Takes all probes off.
    pub(super) fn detach(mut self) {
        let begun = Instant::now();
        self.probes.detach();
        log::info!("probes were taken off in {} ms", begun.elapsed().as_millis());
    }
}

/// What planning needs of the files that are mapped now.
fn candidates(space: &AddressSpace) -> Vec<Candidate> {
    space
        .mapped()
        .filter_map(|index| {
            let module = space.modules().get(index as usize)?;
            if !module.name.starts_with('/') {
                return None;
            }
            let exports = match module.file() {
                Some(file) => plan::exports(&FileBytes::new(file), plan::wanted).map_err(|error| error.to_string()),
                None => Err("it could not be opened".to_owned()),
            };
            Some(Candidate {
                module: index,
                path: module.name.clone(),
                exports,
            })
        })
        .collect()
}

/// A planned point, with the path through which the kernel finds its file.
fn probe_point(space: &AddressSpace, point: &AttachPoint) -> anyhow::Result<Point> {
    let module = space.modules().get(point.module as usize);
    let file: PathBuf = module
        .and_then(|module| module.path())
        .context("the file of an attach point is not open")?;
    Ok(Point {
        name: point.symbol.clone(),
        file,
        offset: point.offset,
        role: match point.kind {
            Kind::Free => Role::Free,
            Kind::Allocate => Role::Allocate,
            Kind::Wrapper => Role::Wrapper,
        },
        cookie: point.cookie,
    })
}
