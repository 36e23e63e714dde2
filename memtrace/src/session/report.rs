//! From the sums to a [`Profile`].

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use memtrace_common::Counter;
use nix::sys::resource::{UsageWho, getrusage};
use rustc_hash::FxHashMap;
use rustix::termios::tcgetwinsize;

use super::{collector::Collector, hooks::Tracer};
use crate::{
    clock::now_ns,
    ledger::Snapshot,
    options::{Options, Unwinding},
    process::{Location, Module},
    profile::{Allocator, Cost, End, Frame, FrameIndex, Health, Profile, Settings, Site, StackHealth, Target},
    render,
    store::{Final, Writer},
    symbolize::Symbolizer,
};

/// Columns of a terminal that does not tell.
const COLUMNS: usize = 80;

/// Everything a profile is made of, taken at one moment, so that it can be made elsewhere.
pub(super) struct Raw {
    pub(super) snapshot: Snapshot,
    pub(super) modules: Vec<Arc<Module>>,
    pub(super) allocators: Vec<Allocator>,
    pub(super) notes: Vec<String>,
    pub(super) counters: [u64; Counter::COUNT],
    pub(super) events: u64,
    pub(super) malformed: u64,
    pub(super) gaps: u64,
    pub(super) started_ns: u64,
    pub(super) now_ns: u64,
    pub(super) end: Option<End>,
    pub(super) cost: Cost,
    /// Whether stacks were unwound by tables: then their ends are known, and not judged by the names of functions.
    pub(super) by_tables: bool,
}

impl Raw {
    /// Takes what the stages have now.
    pub(super) fn take(collector: &mut Collector, tracer: &Tracer, options: &Options, end: Option<End>) -> Self {
        let now_ns = now_ns();
        let counters = tracer.counters();
        collector.sample(now_ns);
        Self {
            snapshot: collector
                .ledger
                .snapshot(tracer.started_ns(), now_ns, options.settings.min_age),
            modules: collector.space.modules().to_vec(),
            allocators: tracer.allocators().to_vec(),
            notes: tracer.notes().to_vec(),
            cost: cost(&counters),
            counters,
            events: collector.events,
            malformed: collector.malformed,
            gaps: tracer.gaps(),
            started_ns: tracer.started_ns(),
            now_ns,
            end,
            by_tables: options.unwinding == Unwinding::Auto,
        }
    }
}

/// What this process has used so far, and what the programs have, as far as they timed themselves.
fn cost(counters: &[u64; Counter::COUNT]) -> Cost {
    let of = |counter: Counter| counters[counter as usize];
    let (hits, timed) = (of(Counter::Hits), of(Counter::TimedHits));
    let bpf_ns = if timed == 0 {
        0.0
    } else {
        of(Counter::TimedNs) as f64 * hits as f64 / timed as f64
    };
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Cost {
        cpu_seconds: usage.map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time())),
        // In KiB: getrusage(2).
        peak_memory_bytes: usage.map_or(0, |usage| u64::try_from(usage.max_rss()).unwrap_or(0) * 1024),
        bpf_seconds: bpf_ns / 1e9,
        hits,
    }
}

/// Makes profiles; shares the names it has found between live tables and the final report.
#[derive(Clone)]
pub(super) struct Reporter {
    symbolizer: Arc<Mutex<Symbolizer>>,
    pid: u32,
    command: String,
    executable: String,
    settings: Settings,
}

impl Reporter {
    pub(super) fn new(
        pid: u32,
        command: String,
        executable: String,
        settings: Settings,
        symbolizer: Symbolizer,
    ) -> Self {
        // The kernel's mark for an unlinked file is not part of its name.
        let executable = match executable.strip_suffix(" (deleted)") {
            Some(name) => name.to_owned(),
            None => executable,
        };
        Self {
            symbolizer: Arc::new(Mutex::new(symbolizer)),
            pid,
            command,
            executable,
            settings,
        }
    }

    /// The profile, and the recording's end when there is one.
    pub(super) fn finish(&self, raw: Raw, recording: Option<Writer>) -> anyhow::Result<Profile> {
        let mut symbolizer = self.symbolizer.lock().unwrap_or_else(PoisonError::into_inner);
        let locations = raw.snapshot.locations();
        symbolizer.resolve(&raw.modules, locations);
        let end = recording.is_some().then(|| self.recording_end(&raw, &symbolizer));
        let profile = self.profile(raw, &symbolizer);
        if let (Some(recording), Some(end)) = (recording, end) {
            recording.finish(&end).context("failed to write the recording")?;
        }
        Ok(profile)
    }

    fn recording_end(&self, raw: &Raw, symbolizer: &Symbolizer) -> Final {
        let mut locations: Vec<Location> = raw.snapshot.locations().collect();
        locations.sort_unstable();
        locations.dedup();
        Final {
            now_ns: raw.now_ns,
            started_ns: raw.started_ns,
            target: self.target(raw),
            counters: named(&raw.counters),
            by_tables: raw.by_tables,
            notes: raw.notes.clone(),
            names: locations
                .into_iter()
                .filter_map(|at| Some((at.module, at.address, symbolizer.frames(at)?.to_vec())))
                .collect(),
        }
    }

    fn target(&self, raw: &Raw) -> Target {
        Target {
            pid: self.pid,
            command: self.command.clone(),
            executable: self.executable.clone(),
            allocators: raw.allocators.clone(),
            end: raw.end.clone(),
        }
    }

    /// Prints the live table.
    pub(super) fn show_live(&self, raw: Raw) {
        let Ok(profile) = self.finish(raw, None) else { return };
        let mut out = std::io::stdout().lock();
        let columns = tcgetwinsize(&out).map_or(COLUMNS, |size| usize::from(size.ws_col));
        let columns = if columns == 0 || !out.is_terminal() {
            COLUMNS
        } else {
            columns
        };
        let shown = render::live::write(&profile, columns, &mut out).and_then(|()| writeln!(out));
        if let Err(error) = shown {
            log::debug!("the live table could not be shown: {error}");
        }
    }

    /// Joins sums, names and health.
    pub(super) fn profile(&self, raw: Raw, symbolizer: &Symbolizer) -> Profile {
        let mut frames = Interner::default();
        let stacks: Vec<Vec<FrameIndex>> = raw
            .snapshot
            .stacks
            .iter()
            .map(|stack| {
                let named = stack
                    .locations
                    .iter()
                    .flat_map(|&at| symbolizer.frames(at).unwrap_or_default());
                named.map(|frame| frames.index(frame)).collect()
            })
            .collect();
        let target = self.target(&raw);
        let whole: Vec<bool> = raw
            .snapshot
            .stacks
            .iter()
            .zip(&stacks)
            .map(|(stack, frames_of)| stack.whole && (raw.by_tables || frames.reaches_start(frames_of)))
            .collect();
        let health = health(&raw, &frames.all, |stack| whole.get(stack).copied().unwrap_or(false));
        let sites = raw
            .snapshot
            .sites
            .into_iter()
            .map(|site| Site {
                op: site.op,
                stack: site.stack,
                live: site.live,
                allocated: site.allocated,
                aged: site.aged,
                oldest: site.oldest,
                growth_bytes_per_second: 0.0,
                history: site.history,
                suspicion: None,
            })
            .collect();
        Profile {
            target,
            observed: Duration::from_nanos(raw.now_ns.saturating_sub(raw.started_ns)),
            settings: self.settings.clone(),
            totals: raw.snapshot.totals,
            frames: frames.all,
            stacks,
            sites,
            health,
        }
        .finished()
    }
}

/// The counters that are not zero, by name.
pub(super) fn named(counters: &[u64; Counter::COUNT]) -> Vec<(String, u64)> {
    let all = Counter::ALL.iter().zip(counters);
    all.filter(|(_, value)| **value != 0)
        .map(|(counter, &value)| (counter.name().to_owned(), value))
        .collect()
}

fn health(raw: &Raw, frames: &[Frame], whole: impl Fn(usize) -> bool) -> Health {
    let of = |counter: Counter| raw.counters[counter as usize];
    let tally = raw.snapshot.tally;
    let mut notes = raw.notes.clone();
    if tally.gone_with_exec.count > 0 {
        notes.push(format!(
            "the target replaced its program: {} blocks with {} were gone with the old one",
            tally.gone_with_exec.count,
            crate::units::bytes(tally.gone_with_exec.bytes)
        ));
    }
    let deep = of(Counter::StacksDeep);
    // Allocations whose stack is not whole, those that were cut for depth apart.
    let cut: u64 = raw
        .snapshot
        .sites
        .iter()
        .filter(|site| site.stack.is_some_and(|stack| !whole(stack)))
        .map(|site| site.allocated.count)
        .sum();
    Health {
        events: raw.events,
        lost_allocations: of(Counter::LostAllocations),
        lost_bytes: of(Counter::LostBytes),
        recovered_frees: tally.recovered_frees,
        forgotten_frees: of(Counter::ForgottenFrees),
        lost_other: of(Counter::LostOther),
        unmatched_frees: tally.unmatched_frees,
        conflicts: tally.conflicts,
        malformed: raw.malformed,
        gaps: raw.gaps,
        stacks: StackHealth {
            distinct: raw.snapshot.kept_stacks,
            complete: of(Counter::StacksWhole),
            deep,
            broken: cut.saturating_sub(deep),
            no_table: of(Counter::StacksNoTable),
            unreadable: of(Counter::StacksUnreadable),
            unsupported: of(Counter::StacksUnsupported),
            early: of(Counter::StacksEarly),
            signal: of(Counter::StacksSignal),
            lost: of(Counter::StacksLost),
            scratch_taken: of(Counter::ScratchTaken),
            overflow: raw.snapshot.stack_overflow,
            collisions: raw.snapshot.stack_collisions,
        },
        frames_symbolized: frames.iter().filter(|frame| frame.function.is_some()).count() as u64,
        frames_total: frames.len() as u64,
        notes,
        counters: named(&raw.counters),
        cost: raw.cost.clone(),
    }
}

/// Functions at which a thread or a program begins: what calls them is not code of the program.
const STARTS: [&str; 8] = [
    "_start",
    "main",
    "__libc_start_call_main",
    "__libc_start_main",
    "start_thread",
    "clone",
    "clone3",
    "__clone",
];

/// Gives equal frames one index.
#[derive(Default)]
struct Interner {
    index: FxHashMap<Frame, FrameIndex>,
    all: Vec<Frame>,
}

impl Interner {
    fn index(&mut self, frame: &Frame) -> FrameIndex {
        if let Some(&index) = self.index.get(frame) {
            return index;
        }
        let index = FrameIndex::try_from(self.all.len()).unwrap_or(FrameIndex::MAX);
        self.all.push(frame.clone());
        self.index.insert(frame.clone(), index);
        index
    }

    /// Whether one of the outermost frames is a start. The C library's own start routine has no name in stripped
    /// libraries, so the frame before the last counts as well.
    fn reaches_start(&self, stack: &[FrameIndex]) -> bool {
        stack.iter().rev().take(3).any(|&frame| {
            let function = self.all.get(frame as usize).and_then(|frame| frame.function.as_deref());
            function.is_some_and(|name| {
                let name = name.split('@').next().unwrap_or(name);
                STARTS
                    .iter()
                    .any(|start| name == *start || name.strip_prefix("__GI_") == Some(*start))
            })
        })
    }
}
