//! Writes an observation into a session file as it goes on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use memtrace_common::Counter;
use rustix::system::uname;

use super::{
    collector::Collector,
    listed::{Listed, listed},
    mapped::facts,
    report::{Raw, cost},
    residency::Residency,
    runtime::{Names, to_record},
    tracer::Tracer,
};
use crate::{
    ledger::Ledger,
    message,
    options::{Options, Unwinding},
    process::Module,
    profile::{self, Cost, resident::Reading},
    store::{
        Contents, End, FileWriter, Pace, Series, Start,
        content::{self, Sums},
        frames::FrameWriter,
        names,
    },
    symbolize::Symbolizer,
};

/// Bytes of events that go into one block.
const EVENT_BYTES: usize = 1 << 20;

/// How often details are written at most; they grow apart like moments.
const DETAIL_PAUSE: Duration = Duration::from_secs(5);

/// Details come at least so many parts of the time since the start apart.
const DETAIL_SHARE: u32 = 50;

/// How many times as long as making details took they are not made again: they look at every live block.
const DETAIL_REST: u32 = 200;

/// Every event, on its way into the file.
#[derive(Default)]
pub(super) struct EventLog {
    pub(super) frames: FrameWriter,
    /// The file, once there is one.
    file: Option<Arc<FileWriter>>,
    time_ns: u64,
}

impl EventLog {
    /// Hands over what has come together, when it is enough or `all` must go.
    pub(super) fn write(&mut self, all: bool) {
        let enough = self.frames.len() >= EVENT_BYTES || (all && !self.frames.is_empty());
        if let Some(file) = self.file.as_ref().filter(|_| enough) {
            file.block(content::EVENTS, self.time_ns, self.frames.take());
        }
    }

    /// A moment has come, in nanoseconds of kernel time.
    pub(super) fn moment(&mut self, now_ns: u64, lost: u64) {
        self.time_ns = now_ns;
        self.frames.sample(now_ns, lost);
    }
}

/// See the module's description.
pub(super) struct Recorder {
    file: Arc<FileWriter>,
    series: Series,
    /// Names of frames of Python, and of JavaScript, that are written.
    names: [usize; 2],
    pace: Pace,
    began: Instant,
    next: Option<Instant>,
    detailed: Instant,
    detail_pause: Duration,
    left_out: u64,
    told: bool,
}

impl Recorder {
    /// Makes the file and writes how it begins, if the observation is recorded; the collector hands its events over from then on.
    pub(super) fn begin(
        target: &profile::Target,
        tracer: &Tracer,
        collector: &mut Collector,
        options: &Options,
    ) -> anyhow::Result<Option<Self>> {
        let Some(recording) = &options.recording else {
            return Ok(None);
        };
        let file = FileWriter::create(&recording.path)
            .with_context(|| format!("failed to make the recording {}", recording.path.display()))?;
        let file = Arc::new(file);
        let start = start(target, tracer, options);
        file.block(content::START, start.started_ns, content::pack_json(&start)?);
        if let Some(events) = &mut collector.recording {
            events.file = Some(Arc::clone(&file));
        }
        let now = Instant::now();
        Ok(Some(Self {
            file,
            series: Series::default(),
            names: [0; 2],
            pace: Pace::new(recording.limit),
            began: now,
            next: Some(now),
            detailed: now,
            detail_pause: DETAIL_PAUSE,
            left_out: 0,
            told: false,
        }))
    }

    /// Writes a moment when one is due.
    pub(super) fn tick(
        &mut self,
        collector: &Collector,
        tracer: &Tracer,
        residency: &mut Residency,
        now_ns: u64,
    ) -> anyhow::Result<()> {
        if let Some(why) = self.file.failure().filter(|_| !self.told) {
            self.told = true;
            let path = self.file.path().display();
            message::say(&format!(
                "memtrace: the recording {path} cannot be written any further: {why}; what is in it stays good, and the observation \
                 goes on"
            ));
        }
        if self.told || self.next.is_none_or(|next| Instant::now() < next) {
            return Ok(());
        }
        if self.file.is_behind() {
            self.left_out += 1;
            return Ok(());
        }
        self.names([collector.python.names(), collector.javascript.names()], now_ns)?;
        let counters = tracer.counters();
        let listed = listed(collector.ledger.process_facts(), collector, tracer);
        let modules = collector.processes.modules().all();
        let moment = Moment {
            now_ns,
            modules: &modules,
            groups: collector.processes.groups(),
            resident: &residency.fresh(),
            numbers: Sums {
                seen: collector.processes.seen(),
                gaps: listed.gaps,
                events: collector.events,
                malformed: collector.refused.count,
                ..sums(&collector.ledger, &counters, &cost(&counters))
            },
        };
        self.moment(&collector.ledger, listed, moment)?;
        if self.detailed.elapsed() >= self.detail_pause {
            let begun = Instant::now();
            let snapshot = collector
                .ledger
                .snapshot(tracer.started_ns(), now_ns, collector.min_age());
            let details = self.series.details(&snapshot, now_ns)?;
            self.write(details, now_ns);
            self.detailed = Instant::now();
            self.detail_pause = DETAIL_PAUSE
                .max(self.began.elapsed() / DETAIL_SHARE)
                .max(begun.elapsed().saturating_mul(DETAIL_REST));
        }
        let pause = self.pace.next(self.began.elapsed(), self.file.written());
        self.next = pause.and_then(|pause| Instant::now().checked_add(pause));
        Ok(())
    }

    /// Writes what frames of Python and of JavaScript are called, before stacks that have them.
    fn names(&mut self, names: [&Names; 2], now_ns: u64) -> anyhow::Result<()> {
        for (index, names) in names.into_iter().enumerate() {
            let contents = to_record(names, &mut self.names[index])?;
            self.write(contents, now_ns);
        }
        Ok(())
    }

    fn write(&self, contents: Contents, time_ns: u64) {
        for (kind, content) in contents {
            self.file.block(kind, time_ns, content);
        }
    }

    /// Writes what is new since the last moment, and what is known at this one.
    fn moment(&mut self, ledger: &Ledger, listed: Listed, moment: Moment<'_>) -> anyhow::Result<()> {
        let Moment {
            now_ns,
            modules,
            groups,
            resident,
            numbers,
        } = moment;
        let known = self.series.modules();
        let new: Vec<_> = modules.iter().skip(known).map(|module| facts(module)).collect();
        let incarnations = listed.facts.iter().map(|facts| facts.incarnation);
        let who: Vec<_> = incarnations.zip(listed.who.iter().cloned()).collect();
        let news = self.series.news(ledger, &new, groups, &who)?;
        self.write(news, now_ns);
        if !resident.is_empty() {
            self.file.block(content::RESIDENT, now_ns, content::pack(resident)?);
        }
        let numbers = Sums {
            left_out: std::mem::take(&mut self.left_out),
            ..numbers
        };
        let sums = (self.series).moment(ledger.site_sums(), &listed.facts, listed.replaced, &numbers)?;
        self.write(sums, now_ns);
        Ok(())
    }

    /// Writes the last moment, before the ledger goes.
    pub(super) fn last(&mut self, collector: &Collector, raw: &Raw, resident: &[(u32, Reading)]) -> anyhow::Result<()> {
        let listed = Listed {
            facts: raw.snapshot.processes.clone(),
            who: raw.processes.iter().map(without_resident).collect(),
            replaced: raw.replaced.clone(),
            gaps: raw.gaps,
        };
        self.names([collector.python.names(), collector.javascript.names()], raw.now_ns)?;
        let moment = Moment {
            now_ns: raw.now_ns,
            modules: &raw.modules,
            groups: &raw.groups,
            resident,
            numbers: Sums {
                seen: raw.seen,
                gaps: raw.gaps,
                events: raw.events,
                malformed: raw.malformed,
                ..sums(&collector.ledger, &raw.counters, &raw.cost)
            },
        };
        self.moment(&collector.ledger, listed, moment)?;
        let details = self.series.details(&raw.snapshot, raw.now_ns)?;
        self.write(details, raw.now_ns);
        Ok(())
    }

    /// Writes the names and the end, and waits for the disk.
    pub(super) fn finish(self, raw: &Raw, symbolizer: &Symbolizer) -> anyhow::Result<()> {
        // Names of frames of Python and of JavaScript are in blocks of their own.
        let runtimes: Vec<_> = raw.runtimes.iter().filter_map(Names::module).collect();
        let all = raw.snapshot.locations();
        let mut locations: Vec<_> = all.filter(|at| !runtimes.contains(&at.module)).collect();
        locations.sort_unstable();
        locations.dedup();
        let named = locations
            .into_iter()
            .filter_map(|at| Some((at, symbolizer.frames(at)?.to_vec())));
        self.write(names(named)?, raw.now_ns);
        let end = End {
            now_ns: raw.now_ns,
            end: raw.end.clone(),
            sampling: raw.sampling,
            budget: raw.budget.clone(),
            notes: raw.notes.clone(),
            bpf_seconds: raw.cost.bpf_seconds,
            resident_effort: raw
                .resident
                .as_ref()
                .map(|resident| resident.effort)
                .unwrap_or_default(),
        };
        self.file.block(content::END, raw.now_ns, content::pack_json(&end)?);
        let path = self.file.path().to_owned();
        let file = Arc::into_inner(self.file).context("the recording is still being written to")?;
        file.finish().with_context(|| {
            format!(
                "failed to write the recording {} to its end (what is in it can be read)",
                path.display()
            )
        })?;
        message::say(&format!("the recording is {}", path.display()));
        Ok(())
    }
}

/// What is known at a moment, besides the ledger.
struct Moment<'now> {
    now_ns: u64,
    /// All modules so far.
    modules: &'now [Arc<Module>],
    /// All groups so far.
    groups: &'now [String],
    /// Readings of resident memory since the moment before.
    resident: &'now [(u32, Reading)],
    numbers: Sums,
}

/// A process as it is noted: its resident memory comes by itself.
fn without_resident(process: &profile::Process) -> profile::Process {
    profile::Process {
        resident: None,
        ..process.clone()
    }
}

/// How a recording begins.
fn start(target: &profile::Target, tracer: &Tracer, options: &Options) -> Start {
    let system = uname();
    let now = jiff::Zoned::now();
    Start {
        memtrace: env!("CARGO_PKG_VERSION").to_owned(),
        host: system.nodename().to_string_lossy().into_owned(),
        kernel: system.release().to_string_lossy().into_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        command_line: std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        began_unix_ns: i64::try_from(now.timestamp().as_nanosecond()).unwrap_or(0)
            - i64::try_from(tracer.started().elapsed().as_nanos()).unwrap_or(0),
        utc_offset_seconds: now.offset().seconds(),
        started_ns: tracer.started_ns(),
        target: target.clone(),
        min_age: options.settings.min_age,
        counters: Counter::ALL.iter().map(|counter| counter.name().to_owned()).collect(),
        by_tables: options.unwinding == Unwinding::Auto,
        sampling: tracer.sampling(),
    }
}

/// The numbers of the ledger and of the counters.
fn sums(ledger: &Ledger, counters: &[u64; Counter::COUNT], cost: &Cost) -> Sums {
    let (live, allocated) = ledger.memory_sums();
    Sums {
        live,
        allocated,
        peak_live_bytes: ledger.peak_live_bytes(),
        alive: ledger.processes() as u64,
        tally: ledger.tally(),
        processes_dropped: ledger.processes_dropped(),
        kept_stacks: ledger.stacks.len() as u64,
        stack_overflow: ledger.stacks.overflow,
        stack_collisions: ledger.stacks.collisions,
        counters: (0..)
            .zip(counters.iter().copied())
            .filter(|&(_, value)| value != 0)
            .collect(),
        cpu_seconds: cost.cpu_seconds,
        peak_memory_bytes: cost.peak_memory_bytes,
        ..Sums::default()
    }
}
