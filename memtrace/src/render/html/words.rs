//! What a page says in words: as the text reports do, from the same functions.

use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::{
    profile::{
        Amount, Profile, Resident, Site,
        resident::{Part, Reading},
        spaces::{Space, SpaceUse},
    },
    render::{
        Measure, escape, header, health, js_shortage, label, leaks, nothing, processes, resident, suppressions, text,
    },
    units::duration,
};

use super::history::nanoseconds;

/// Name and value, as lines of a report.
type Facts = Vec<(&'static str, String)>;

/// Sentences and facts on the whole.
#[derive(Debug, Serialize)]
pub(super) struct Words {
    /// What was observed.
    subject: String,
    title: String,
    exact: bool,
    accuracy: String,
    /// The program, and what sites were chosen by.
    program: Facts,
    sums: Facts,
    verdicts: Facts,
    /// Why nothing is suspected, or nothing.
    nothing: Option<String>,
    outcomes: Facts,
    /// On suppressions: lines of text.
    suppressions: String,
    rule: String,
    health: Facts,
    /// What is said below the table of processes.
    processes: Vec<String>,
}

impl Words {
    /// Those of a profile.
    pub(super) fn new(profile: &Profile) -> Self {
        let accuracy = profile.health.accuracy();
        let mut program = header::program(profile, |path| escape::text(path).into_owned());
        if !profile.filter.is_empty() {
            let clauses: Vec<_> = profile.filter.iter().map(|clause| escape::text(clause)).collect();
            program.insert(0, ("only sites", clauses.join(", ")));
        }
        program.splice(0..0, js_shortage::facts(profile));
        let hooks = profile.is_of_many().then(|| processes::hooks(profile));
        let observed = ("observed", duration(profile.observed));
        let mut foot = Vec::new();
        // Memory takes all that is written.
        let _infallible = suppressions::foot(profile, &mut foot);
        Self {
            subject: header::subject(profile),
            title: label::subject(profile),
            exact: accuracy.exact,
            accuracy: accuracy.summary,
            program,
            sums: text::sums(profile),
            verdicts: text::verdicts(profile),
            nothing: (profile.suspects().next().is_none()).then(|| nothing::suspected(profile)),
            outcomes: suppressions::outcomes(profile),
            suppressions: String::from_utf8_lossy(&foot).trim().to_owned(),
            rule: leaks::rule(profile),
            health: std::iter::once(observed)
                .chain(hooks.into_iter().flatten())
                .chain(health::facts(profile))
                .collect(),
            processes: process_remarks(profile),
        }
    }
}

fn process_remarks(profile: &Profile) -> Vec<String> {
    let mut remarks: Vec<String> = processes::dropped(profile).into_iter().collect();
    if !profile.filter.is_empty() {
        remarks.push(processes::OF_ALL_SITES.to_owned());
    }
    remarks
}

/// What the flame graph can measure, in bytes and in blocks.
#[derive(Debug, Serialize)]
pub(super) struct Measures {
    /// Name of the column.
    key: &'static str,
    /// Its words in bytes and in blocks.
    bytes: &'static str,
    count: &'static str,
    /// Why it cannot be shown.
    unknown: Option<&'static str>,
    cumulative: bool,
}

/// All of them; `unknown` says why one cannot be shown.
pub(super) fn measures(unknown: impl Fn(Measure) -> Option<&'static str>) -> Vec<Measures> {
    let of = |bytes: Measure, count: Measure| Measures {
        key: key(bytes),
        bytes: bytes.name(),
        count: count.name(),
        unknown: unknown(bytes),
        cumulative: bytes.is_cumulative(),
    };
    vec![
        of(Measure::Live, Measure::LiveBlocks),
        of(Measure::Allocated, Measure::Allocations),
        of(Measure::Temporary, Measure::TemporaryBlocks),
        of(Measure::Peak, Measure::PeakBlocks),
    ]
}

/// The name of a measure's column.
pub(super) const fn key(measure: Measure) -> &'static str {
    match measure {
        Measure::Live | Measure::LiveBlocks => "live",
        Measure::Allocated | Measure::Allocations => "allocated",
        Measure::Temporary | Measure::TemporaryBlocks => "temporary",
        Measure::Peak | Measure::PeakBlocks => "peak",
    }
}

/// Whether the page begins with bytes or with blocks.
pub(super) const fn unit(measure: Measure) -> &'static str {
    if measure.is_count() { "count" } else { "bytes" }
}

/// A suspected site.
#[derive(Debug, Serialize)]
pub(super) struct Leak {
    /// Which.
    site: usize,
    verdict: &'static str,
    score: u8,
    /// What the score is made of.
    evidence: String,
    headline: String,
    reasons: Vec<String>,
    bytes: u64,
}

/// The suspected sites, as the leak report has them; `ordered` are all sites as the page has them.
pub(super) fn leaks(profile: &Profile, ordered: &[&Site]) -> Vec<Leak> {
    let address = |site: &Site| std::ptr::from_ref(site).addr();
    let places: FxHashMap<usize, usize> = ordered.iter().map(|site| address(site)).zip(0..).collect();
    let of = |(site, suspicion): (&Site, &crate::profile::Suspicion)| {
        Some(Leak {
            site: *places.get(&address(site))?,
            verdict: label::verdict(suspicion.verdict),
            score: suspicion.score,
            evidence: leaks::score(suspicion),
            headline: leaks::headline(profile, site),
            reasons: (suspicion.reasons.iter())
                .map(|reason| escape::text(reason).into_owned())
                .collect(),
            bytes: profile.suspected(site).bytes,
        })
    };
    profile.suspects().filter_map(of).collect()
}

/// A process.
#[derive(Debug, Serialize)]
pub(super) struct ProcessRow {
    name: String,
    pid: u32,
    executable: String,
    live: Amount,
    allocated: Amount,
    peak: u64,
    inherited: String,
    details: String,
}

/// The processes, in the profile's order.
pub(super) fn processes(profile: &Profile) -> Vec<ProcessRow> {
    let with_container = processes::have_containers(profile);
    let row = |process: &crate::profile::Process| ProcessRow {
        name: label::command(&process.command).into_owned(),
        pid: process.pid,
        executable: escape::text(&process.executable).into_owned(),
        live: process.live,
        allocated: process.allocated,
        peak: process.peak_live_bytes,
        inherited: processes::inherited(process),
        details: processes::details(process, with_container),
    };
    profile.processes.iter().map(row).collect()
}

/// Resident memory over time.
#[derive(Debug, Serialize)]
pub(super) struct ResidentFields<'a> {
    heading: String,
    sentences: Vec<String>,
    /// Nanoseconds since the start.
    at: Vec<u64>,
    rss: Vec<u64>,
    parts: Vec<PartFields<'a>>,
    /// Heaps of V8 by space; nothing where no page of one was found.
    spaces: Option<SpacesFields>,
}

/// Heaps of V8 by space.
#[derive(Debug, Serialize)]
struct SpacesFields {
    heading: String,
    rows: Vec<SpaceFields>,
}

/// One space, at the first and the last reading.
#[derive(Debug, Serialize)]
struct SpaceFields {
    name: &'static str,
    pages: [u64; 2],
    resident: [u64; 2],
    size: u64,
}

/// One part of it.
#[derive(Debug, Serialize)]
struct PartFields<'a> {
    name: &'a str,
    bytes: Vec<u64>,
}

/// That of a profile; `None` without a reading.
pub(super) fn resident<'a>(profile: &Profile, found: &Resident) -> Option<ResidentFields<'a>> {
    let (first, last) = (found.first()?, found.last()?);
    let part = |part: Part| PartFields {
        name: part.name(),
        bytes: found.readings.iter().map(|reading| reading.parts.of(part)).collect(),
    };
    Some(ResidentFields {
        heading: resident::heading(last),
        sentences: resident::sentences(profile, found, last),
        at: found.readings.iter().map(|reading| nanoseconds(reading.at)).collect(),
        rss: found.readings.iter().map(|reading| reading.rss).collect(),
        parts: Part::ALL.map(part).into(),
        spaces: spaces(first, last),
    })
}

fn spaces(first: &Reading, last: &Reading) -> Option<SpacesFields> {
    let row = |(space, [was, is]): (Space, [SpaceUse; 2])| SpaceFields {
        name: space.name(),
        pages: [was.pages, is.pages],
        resident: [was.resident, is.resident],
        size: is.bytes,
    };
    let rows = resident::spaces::rows(&first.spaces, &last.spaces);
    (!rows.is_empty()).then(|| SpacesFields {
        heading: resident::spaces::heading(last),
        rows: rows.into_iter().map(row).collect(),
    })
}
