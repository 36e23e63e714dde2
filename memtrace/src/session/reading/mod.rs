//! Reads session files: profiles of any moment or part of a recording, on any machine, without privileges.

mod exact;
mod open;
mod part;
mod replay;
mod resolve;
mod since;
mod snapshot;
mod when;

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use anyhow::{Context as _, bail};
use memtrace_common::Counter;

use self::{
    exact::Found,
    open::reading,
    since::since,
    snapshot::{Histories, MOMENTS, snapshot},
};
pub use self::{
    part::{Moment, Part},
    resolve::Lookup,
    when::{Span, When},
};
use super::{
    report::{Raw, Reporter, lost},
    runtime,
};
use crate::{
    ledger::Snapshot,
    profile::{self, Cost, Process, Profile, Resident, Settings, Target},
    progress::{self, Total, Watched},
    store::{Known, Outline, Session, State, content::Sums},
    symbolize::Symbolizer,
    units,
};

/// A recording that is read.
pub struct Reading<R = BufReader<Watched<File>>> {
    session: Session<R>,
    path: PathBuf,
    span: Span,
    /// Names that were found as it was recorded, and what was found since.
    symbolizer: Symbolizer,
    /// How far into the file the reader is, of how many bytes; both stay 0 where that is not known.
    at: Arc<AtomicU64>,
    bytes: u64,
}

impl<R: Read + Seek> Reading<R> {
    /// Reads a recording that is at `path`, as messages say.
    ///
    /// # Errors
    /// What is no recording.
    pub fn new(file: R, path: &Path) -> anyhow::Result<Self> {
        let mut session = Session::open(file).with_context(|| failed(path))?;
        let names = session.names().with_context(|| failed(path))?;
        let runtime = session.runtime_names().with_context(|| failed(path))?;
        let length = since_start(&session.outline, last_ns(&session.outline));
        Ok(Self {
            span: Span::new(&session.outline.start, length),
            path: path.to_owned(),
            symbolizer: Symbolizer::with_names(
                names
                    .iter()
                    .flat_map(resolve::named)
                    .chain(runtime.iter().flat_map(runtime::recorded)),
            ),
            session,
            at: Arc::default(),
            bytes: 0,
        })
    }

    /// What it has.
    pub const fn outline(&self) -> &Outline {
        &self.session.outline
    }

    /// When it began and ended.
    pub const fn span(&self) -> &Span {
        &self.span
    }

    /// The profile of a part.
    ///
    /// # Errors
    /// A moment that is not in the recording, or that it cannot tell about; or a file that is damaged.
    pub fn profile(&mut self, part: &Part, settings: Settings, lookup: &Lookup) -> anyhow::Result<Profile> {
        let (whole, path) = (self.path.clone(), self.path.display().to_string());
        let total = match self.bytes {
            0 => Total::Unknown,
            bytes => Total::Bytes(bytes),
        };
        let _stage = progress::stage_at(reading(&whole), total, Arc::clone(&self.at));
        let failed = || failed(&whole);
        let start_ns = self.session.outline.start.started_ns;
        let to_ns = self.moment(part.to)?;
        let from_ns = part.from.map(|from| self.time_ns(from)).transpose()?;
        if from_ns.is_some_and(|from_ns| from_ns > to_ns) {
            bail!("the part ends before it begins");
        }
        let settings = Settings {
            min_age: part.min_age.unwrap_or(self.session.outline.start.min_age),
            ..settings
        };
        if part.thread.is_some() && !self.session.outline.has_events {
            bail!("{path} has sums, and not what each thread allocated: record with --events to ask for one");
        }
        let base = match from_ns {
            Some(from_ns) => self.session.state_at(from_ns, |_| ()).with_context(failed)?,
            None => None,
        };
        let chosen = chosen(&self.session.outline, from_ns.unwrap_or(0), to_ns);
        let peak_ns = highest(&self.session.outline, from_ns.unwrap_or(0), to_ns);
        let mut histories = Histories::default();
        let mut next = chosen.iter().peekable();
        let state = self.session.state_at(to_ns, |state| {
            if next.next_if(|&&time_ns| time_ns == state.time_ns).is_some() {
                histories.note(state);
            }
            if state.time_ns == peak_ns {
                histories.note_peak(state);
            }
        });
        let Some(state) = state.with_context(failed)? else {
            match self.session.outline.moments.first() {
                Some(first) => bail!(
                    "nothing was known yet at that moment: the first in {path} is {} after the start",
                    units::duration(since_start(&self.session.outline, first.time_ns))
                ),
                None => bail!("{path} was cut off before anything was known"),
            }
        };
        let mut notes = self.notes(part, &state);
        let exact = self.session.outline.has_events
            && (part.to != Moment::End || from_ns.is_some() || part.thread.is_some() || part.min_age.is_some());
        let other_age = part.min_age.filter(|&age| age != self.session.outline.start.min_age);
        let Found {
            now,
            before,
            events,
            malformed,
        } = if exact {
            self.exactly(part, to_ns, from_ns, settings.min_age)?
        } else {
            if let Some(age) = other_age {
                notes.push(format!(
                    "blocks are known to be at least {} old by classes of age, which double: some that are not much older are left out",
                    units::duration(age)
                ));
            }
            Found {
                now: snapshot(&state, other_age, &histories, start_ns),
                before: base.map(|base| snapshot(&base, other_age, &Histories::default(), start_ns)),
                events: state.totals.events,
                malformed: state.totals.malformed,
            }
        };
        let snapshot = match from_ns {
            Some(from_ns) => since(
                now,
                before.unwrap_or_default(),
                from_ns,
                Duration::from_nanos(from_ns.saturating_sub(start_ns)),
            ),
            None => now,
        };
        drop(histories);
        self.symbolizer.look_up(&state.modules, snapshot.locations(), lookup);
        let mut raw = self.raw(&state, snapshot, notes, from_ns);
        raw.events = events;
        raw.malformed = raw.malformed.max(malformed);
        if exact && part.to != Moment::Peak {
            // To the event, and not to the moment before.
            raw.now_ns = to_ns;
        }
        drop(state);
        let reporter = Reporter::of(self.target(&raw), settings, Symbolizer::default());
        Ok(reporter.profile(raw, &self.symbolizer))
    }

    /// Kernel time of a moment.
    fn moment(&self, moment: Moment) -> anyhow::Result<u64> {
        let outline = &self.session.outline;
        Ok(match moment {
            Moment::End => last_ns(outline),
            Moment::At(when) => self.time_ns(when)?,
            Moment::Peak => highest(outline, 0, u64::MAX),
        })
    }

    fn time_ns(&self, when: When) -> anyhow::Result<u64> {
        let after = self.span.resolve(when)?;
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        Ok(self.session.outline.start.started_ns.saturating_add(after))
    }

    /// What the reader of a report must know of the recording itself.
    fn notes(&self, part: &Part, state: &State) -> Vec<String> {
        let outline = &self.session.outline;
        let mut notes = Vec::new();
        if let Some(end) = &outline.end {
            notes.extend(end.notes.iter().cloned());
        }
        if let Some(cut) = &outline.cut {
            notes.push(format!("{cut}: what was recorded up to then is shown"));
        } else if outline.end.is_none() {
            notes.push("the recording has no end: memtrace was stopped, or the disk was full; what was recorded up to then is shown".to_owned());
        }
        if outline.start.architecture != std::env::consts::ARCH {
            notes.push(format!(
                "recorded on {}: what has no name in the recording is looked up in files for that architecture only",
                outline.start.architecture
            ));
        }
        if let Some(thread) = part.thread {
            notes.push(format!(
                "only what thread {thread} allocated is shown, whoever freed it"
            ));
        }
        if part.to == Moment::Peak && !outline.has_events && state.totals.live.bytes < state.totals.peak_live_bytes {
            notes.push(format!(
                "shown is the recorded moment with the most live memory, {}; between two moments it was {} once",
                units::bytes(state.totals.live.bytes),
                units::bytes(state.totals.peak_live_bytes)
            ));
        }
        notes
    }

    fn target(&self, raw: &Raw) -> Target {
        Target {
            end: raw.end.clone(),
            ..self.session.outline.start.target.clone()
        }
    }

    fn raw(&self, state: &State, snapshot: Snapshot, notes: Vec<String>, from_ns: Option<u64>) -> Raw {
        let outline = &self.session.outline;
        let at_end = outline.moments.last().is_some_and(|last| last.time_ns == state.time_ns);
        let end = outline.end.as_ref().filter(|_| at_end);
        let sums = &state.totals;
        let counters = counters(outline, sums);
        let since = from_ns.map_or(Duration::ZERO, |from_ns| since_start(outline, from_ns));
        let resident = |incarnation: u32| Some(later(state.resident.get(&incarnation)?.resident()?, since));
        let who = snapshot.processes.iter().map(|facts| Process {
            pid: facts.pid,
            resident: resident(facts.incarnation),
            ..state.who.get(&facts.incarnation).cloned().unwrap_or_default()
        });
        Raw {
            runtimes: Vec::new(),
            by_tables: outline.start.by_tables,
            sampling: end.map_or(outline.start.sampling, |end| end.sampling),
            budget: end.and_then(|end| end.budget.clone()),
            processes: who.collect(),
            replaced: Vec::new(),
            resident: resident(0).map(|all| Resident {
                effort: end.map(|end| end.resident_effort).unwrap_or_default(),
                ..all
            }),
            censuses: Vec::new(),
            windows: None,
            groups: state.groups.clone(),
            seen: sums.seen,
            gaps: sums.gaps,
            modules: Vec::new(),
            recorded: state.modules.clone(),
            notes,
            counters,
            events: sums.events,
            malformed: sums.malformed,
            started_ns: from_ns.unwrap_or(outline.start.started_ns),
            now_ns: end.map_or(state.time_ns, |end| end.now_ns),
            end: end.map_or(Some(profile::End::Moment), |end| end.end.clone()),
            cost: Cost {
                cpu_seconds: sums.cpu_seconds,
                peak_memory_bytes: sums.peak_memory_bytes,
                bpf_seconds: end.map_or(0.0, |end| end.bpf_seconds),
                hits: counters[Counter::Hits as usize],
            },
            snapshot: Snapshot {
                timeline: timeline(outline, from_ns.unwrap_or(outline.start.started_ns), state.time_ns),
                ..snapshot
            },
        }
    }
}

/// What has failed when a recording cannot be read.
fn failed(path: &Path) -> String {
    format!("failed to read the recording {}", path.display())
}

/// Readings from a moment on.
fn later(mut resident: Resident, since: Duration) -> Resident {
    resident.readings.retain(|reading| reading.at >= since);
    for reading in &mut resident.readings {
        reading.at = reading.at.saturating_sub(since);
    }
    resident
}

/// Kernel time of the last moment.
fn last_ns(outline: &Outline) -> u64 {
    let end = outline.end.as_ref().map(|end| end.now_ns);
    let last = outline.moments.last().map(|moment| moment.time_ns);
    end.or(last).unwrap_or(outline.start.started_ns)
}

fn since_start(outline: &Outline, time_ns: u64) -> Duration {
    Duration::from_nanos(time_ns.saturating_sub(outline.start.started_ns))
}

/// The first of the moments at which the most memory was live.
fn highest(outline: &Outline, from_ns: u64, to_ns: u64) -> u64 {
    let inside = outline
        .moments
        .iter()
        .filter(|moment| (from_ns..=to_ns).contains(&moment.time_ns));
    let highest = inside.rev().max_by_key(|moment| moment.sums.live.bytes);
    highest.map_or(outline.start.started_ns, |moment| moment.time_ns)
}

/// The sums over all sites at the moments of a part, since `start_ns`.
fn timeline(outline: &Outline, start_ns: u64, to_ns: u64) -> Vec<profile::Moment> {
    let inside = outline
        .moments
        .iter()
        .filter(|moment| (start_ns..=to_ns).contains(&moment.time_ns));
    let moment = |moment: &Known| profile::Moment {
        at: Duration::from_nanos(moment.time_ns.saturating_sub(start_ns)),
        live_bytes: moment.sums.live.bytes,
        allocated_bytes: Some(moment.sums.allocated.bytes),
        resident_bytes: None,
        lost: lost(&counters(outline, &moment.sums)),
    };
    inside.map(moment).collect()
}

/// The counters by this memtrace's own numbers.
fn counters(outline: &Outline, sums: &Sums) -> [u64; Counter::COUNT] {
    let mut counters = [0; Counter::COUNT];
    for &(number, value) in &sums.counters {
        let name = outline.start.counters.get(usize::from(number));
        if let Some(&counter) = name.and_then(|name| Counter::ALL.iter().find(|counter| counter.name() == name)) {
            counters[counter as usize] = value;
        }
    }
    counters
}

/// The moments of which histories are made: evenly chosen, the last among them.
fn chosen(outline: &Outline, from_ns: u64, to_ns: u64) -> Vec<u64> {
    let times = outline.moments.iter().map(|moment| moment.time_ns);
    let inside: Vec<u64> = times
        .filter(|&time_ns| time_ns >= from_ns && time_ns <= to_ns)
        .collect();
    let Some(last) = inside.len().checked_sub(1) else {
        return Vec::new();
    };
    let count = inside.len().min(MOMENTS);
    let mut chosen: Vec<u64> = (0..count)
        .map(|number| inside[number * last / (count - 1).max(1)])
        .collect();
    chosen.dedup();
    chosen
}
