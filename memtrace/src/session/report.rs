//! From the sums to a [`Profile`].

use std::{
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use memtrace_common::Counter;
use nix::sys::resource::{UsageWho, getrusage};

use super::{
    budget::Budget,
    collector::Collector,
    frames::Interner,
    health::health,
    listed::{Listed, listed, without_mark},
    mapped, naming,
    recorder::Recorder,
    residency::Residency,
    runtime,
    tracer::Tracer,
};
use crate::{
    clock::now_ns,
    ledger::{ProcessFacts, Snapshot},
    options::{Options, Unwinding},
    process::Module,
    profile::{
        self, Allocator, Cost, End, FrameIndex, Moment, Profile, Resident, Settings, Site, Target, census::Growth,
    },
    progress, render,
    store::ModuleFacts,
    symbolize::Symbolizer,
    target::TargetInfo,
    terminal,
};

/// Everything a profile is made of, taken at one moment, so that it can be made elsewhere.
pub(super) struct Raw {
    pub(super) snapshot: Snapshot,
    pub(super) modules: Vec<Arc<Module>>,
    /// What Python frames are called.
    pub(super) runtimes: Vec<runtime::Names>,
    /// The modules as a recording has them, where it is one.
    pub(super) recorded: Vec<ModuleFacts>,
    /// Who the processes of the snapshot are and what is hooked in them, in its order; their sums are not in it yet.
    pub(super) processes: Vec<profile::Process>,
    /// Times at which probes had to be put on anew.
    pub(super) gaps: u64,
    /// How many processes were seen.
    pub(super) seen: u64,
    /// Programs whose process goes on with another one.
    pub(super) replaced: Vec<u32>,
    pub(super) groups: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) counters: [u64; Counter::COUNT],
    pub(super) events: u64,
    pub(super) malformed: u64,
    pub(super) started_ns: u64,
    pub(super) now_ns: u64,
    pub(super) end: Option<End>,
    pub(super) cost: Cost,
    /// Resident memory of all processes together.
    pub(super) resident: Option<Resident>,
    /// Censuses of Python programs.
    pub(super) censuses: Vec<Growth>,
    /// Whether stacks were unwound by tables: then their ends are known, and not judged by the names of functions.
    pub(super) by_tables: bool,
    /// The sampling interval in bytes, and of how much time a part was looked at, if allocations were sampled.
    pub(super) sampling: Option<(u64, u32)>,
    /// What was done to keep within a budget.
    pub(super) budget: Option<profile::Budget>,
    /// The windows in which every object was followed.
    pub(super) windows: Option<profile::Windows>,
}

impl Raw {
    /// Takes what the stages have now.
    pub(super) fn take(
        collector: &mut Collector,
        tracer: &Tracer,
        residency: &Residency,
        options: &Options,
        end: Option<End>,
    ) -> Self {
        let now_ns = now_ns();
        let counters = tracer.counters();
        collector.look_at_pools();
        collector.sample(now_ns, lost(&counters));
        let mut snapshot = collector
            .ledger
            .snapshot(tracer.started_ns(), now_ns, options.settings.min_age);
        let facts = std::mem::take(&mut snapshot.processes);
        let Listed {
            facts,
            who: mut processes,
            replaced,
            gaps,
        } = listed(facts, collector, tracer);
        snapshot.processes = facts;
        let mut residents = residency.residents();
        for (process, facts) in processes.iter_mut().zip(&snapshot.processes) {
            process.resident = residents.each.remove(&facts.incarnation);
        }
        let mut notes = tracer.notes().to_vec();
        notes.extend(residents.notes);
        notes.extend(collector.refused.note());
        notes.extend(collector.python.notes());
        notes.extend(collector.javascript.notes());
        notes.extend(tracer.unwatched(!snapshot.js_sites.is_empty()));
        let seen = collector.processes.seen();
        if seen <= 1 {
            // Of several, it is said of each.
            let said = processes.iter().flat_map(|process| &process.unhooked);
            notes.extend(said.filter(|&note| !tracer.notes().contains(note)).cloned());
        }
        Self {
            processes,
            replaced,
            gaps,
            seen,
            groups: collector.processes.groups().to_vec(),
            snapshot,
            modules: collector.processes.modules().all(),
            runtimes: vec![collector.python.names().clone(), collector.javascript.names().clone()],
            recorded: Vec::new(),
            notes,
            cost: cost(&counters),
            resident: residents.sum,
            censuses: Vec::new(),
            counters,
            events: collector.events,
            malformed: collector.refused.count,
            started_ns: tracer.started_ns(),
            now_ns,
            end,
            by_tables: options.unwinding == Unwinding::Auto,
            sampling: tracer.sampling(),
            budget: tracer.budget.as_ref().and_then(Budget::facts),
            windows: tracer.budget.as_ref().and_then(Budget::windows),
        }
    }
}

/// Records that never came, by the BPF side's count.
pub(super) fn lost(counters: &[u64; Counter::COUNT]) -> u64 {
    let all = [
        Counter::LostAllocations,
        Counter::LostPairs,
        Counter::ForgottenFrees,
        Counter::LostOther,
    ];
    all.iter().map(|&counter| counters[counter as usize]).sum()
}

/// What this process has used so far, and what the programs have, as far as they timed themselves.
pub(super) fn cost(counters: &[u64; Counter::COUNT]) -> Cost {
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
    target: Target,
    settings: Settings,
    /// Whether the files that frames are in are told also while the observation goes on.
    with_modules: bool,
}

impl Reporter {
    /// `selection` says in words what is observed, `first` is the process that was meant, when it is one.
    pub(super) fn new(
        selection: String,
        first: Option<&TargetInfo>,
        settings: Settings,
        symbolizer: Symbolizer,
    ) -> Self {
        let target = Target {
            selection,
            pid: first.map_or(0, |first| first.pid),
            command: first.map(|first| first.command.clone()).unwrap_or_default(),
            executable: first.map(|first| without_mark(&first.executable)).unwrap_or_default(),
            build_id: first.and_then(|first| first.build_id.clone()),
            allocators: Vec::new(),
            end: None,
        };
        Self::of(target, settings, symbolizer)
    }

    /// For a target that is known already, as a recording has it.
    pub(super) fn of(target: Target, settings: Settings, symbolizer: Symbolizer) -> Self {
        Self {
            symbolizer: Arc::new(Mutex::new(symbolizer)),
            target,
            settings,
            with_modules: false,
        }
    }

    /// The same, with profiles that are whole while the observation goes on.
    pub(super) fn with_modules(self, with_modules: bool) -> Self {
        Self { with_modules, ..self }
    }

    /// The profile, and the recording's end when there is one.
    pub(super) fn finish(&self, raw: Raw, recording: Option<Recorder>) -> anyhow::Result<Profile> {
        let mut symbolizer = self.symbolizer.lock().unwrap_or_else(PoisonError::into_inner);
        for names in &raw.runtimes {
            symbolizer.add_names(names.frames(raw.snapshot.locations()));
        }
        naming::resolve(&mut symbolizer, &raw.modules, raw.snapshot.locations());
        let recorded = recording.map(|recording| recording.finish(&raw, &symbolizer));
        let profile = self.profile(raw, &symbolizer);
        recorded.transpose()?;
        Ok(profile)
    }

    fn target(&self, raw: &Raw) -> Target {
        let mut allocators: Vec<Allocator> = Vec::new();
        for process in &raw.processes {
            for found in &process.allocators {
                let same = |known: &Allocator| known.path == found.path && known.name == found.name;
                if !allocators.iter().any(same) {
                    allocators.push(found.clone());
                }
            }
        }
        Target {
            allocators,
            end: raw.end.clone(),
            ..self.target.clone()
        }
    }

    /// What is observed.
    pub(super) const fn observed(&self) -> &Target {
        &self.target
    }

    /// Prints the live table.
    pub(super) fn show_live(&self, raw: Raw) {
        let Ok(profile) = self.finish(raw, None) else { return };
        let mut out = std::io::stdout().lock();
        let columns = terminal::columns();
        let shown = progress::aside(|| render::live::write(&profile, columns, &mut out).and_then(|()| writeln!(out)));
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
        let (js_shortages, js_shortages_dropped) = raw.snapshot.js_shortages.shortages(raw.started_ns);
        // A live table has no use for them, and they cost reading.
        let modules = if raw.end.is_some() || self.with_modules {
            mapped::modules(&raw)
        } else {
            Vec::new()
        };
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
                at_peak: site.at_peak,
                spread: site.spread,
                aged: site.aged,
                live_variance: site.live_variance,
                oldest: site.oldest,
                ages: site.ages,
                growth_bytes_per_second: 0.0,
                history: site.history,
                suspicion: None,
                group: Some(site.group as usize).filter(|&group| group < raw.groups.len()),
                at_exit: site.at_exit,
                unknown: site.unknown,
            })
            .collect();
        let processes = raw
            .snapshot
            .processes
            .iter()
            .zip(raw.processes)
            .map(|(facts, process)| with_sums(process, facts, raw.started_ns))
            .collect();
        Profile {
            target,
            groups: raw.groups,
            processes,
            processes_dropped: raw.snapshot.processes_dropped.count,
            resident: raw.resident.clone(),
            censuses: raw.censuses,
            js_shortages,
            js_shortages_dropped,
            js_heaps: raw.snapshot.js_heaps.heaps(raw.started_ns, &raw.snapshot.js_sites),
            observed: Duration::from_nanos(raw.now_ns.saturating_sub(raw.started_ns)),
            settings: self.settings.clone(),
            filter: Vec::new(),
            totals: raw.snapshot.totals,
            timeline: with_resident(raw.snapshot.timeline, raw.resident.as_ref()),
            frames: frames.all,
            modules,
            stacks,
            sites,
            health,
        }
        .viewed(self.settings.view)
        .finished()
    }
}

/// Moments with what was resident at the last reading before each.
fn with_resident(mut timeline: Vec<Moment>, resident: Option<&Resident>) -> Vec<Moment> {
    let mut readings = resident
        .map_or(&[][..], |resident| &resident.readings)
        .iter()
        .peekable();
    let mut last = None;
    for moment in &mut timeline {
        while let Some(reading) = readings.next_if(|reading| reading.at <= moment.at) {
            last = Some(reading.rss);
        }
        moment.resident_bytes = last;
    }
    timeline
}

/// A process with its sums.
fn with_sums(process: profile::Process, facts: &ProcessFacts, started_ns: u64) -> profile::Process {
    profile::Process {
        live: facts.live,
        allocated: facts.allocated,
        at_exit: facts.at_exit,
        peak_live_bytes: facts.peak_live_bytes,
        inherited: facts.inherited,
        inherited_unknown: facts.inherited_unknown,
        ended: facts.ended_ns.map(|ended_ns| since(started_ns, ended_ns)),
        not_kept: facts.not_kept,
        ..process
    }
}

/// Time since the start of an observation.
pub(super) fn since(started_ns: u64, time_ns: u64) -> Duration {
    Duration::from_nanos(time_ns.saturating_sub(started_ns))
}

/// The counters that are not zero, by name.
pub(super) fn named(counters: &[u64; Counter::COUNT]) -> Vec<(String, u64)> {
    let all = Counter::ALL.iter().zip(counters);
    all.filter(|(_, value)| **value != 0)
        .map(|(counter, &value)| (counter.name().to_owned(), value))
        .collect()
}
