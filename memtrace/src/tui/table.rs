//! The rows of each table, as numbers: what they look like is the view's concern.

use std::{cmp::Ordering, time::Duration};

use rustc_hash::FxHashMap;

use super::state::identity;
use crate::profile::{
    FrameIndex, Process, Profile, Site, Suspicion,
    code::{CodeSums, Unit},
};

/// A table that can be looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Table {
    Sites,
    Functions,
    Modules,
    Processes,
    Leaks,
}

/// What a column tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Column {
    Live,
    Change,
    Own,
    Blocks,
    Age,
    Score,
    Verdict,
    History,
    Allocated,
    Peak,
    Resident,
}

impl Table {
    pub(super) const ALL: [Self; 5] = [
        Self::Sites,
        Self::Functions,
        Self::Modules,
        Self::Processes,
        Self::Leaks,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sites => "sites",
            Self::Functions => "functions",
            Self::Modules => "modules",
            Self::Processes => "processes",
            Self::Leaks => "leaks",
        }
    }

    /// What stands at the right of the numbers.
    pub(super) const fn subject(self) -> &'static str {
        match self {
            Self::Sites | Self::Leaks => "site",
            Self::Functions => "function",
            Self::Modules => "module",
            Self::Processes => "process",
        }
    }

    /// Its columns, from the left. Where there is no room the last goes first.
    pub(super) const fn columns(self) -> &'static [Column] {
        match self {
            Self::Sites => &[
                Column::Live,
                Column::Change,
                Column::History,
                Column::Blocks,
                Column::Score,
                Column::Age,
            ],
            Self::Functions | Self::Modules => &[Column::Live, Column::Change, Column::Own, Column::Blocks],
            Self::Processes => &[
                Column::Live,
                Column::Change,
                Column::Allocated,
                Column::Peak,
                Column::Resident,
            ],
            Self::Leaks => &[
                Column::Live,
                Column::Verdict,
                Column::Score,
                Column::Change,
                Column::Blocks,
                Column::Age,
            ],
        }
    }

    /// Those that rows can be sorted by; a digit chooses one.
    pub(super) fn sortable(self) -> impl Iterator<Item = Column> {
        let columns = self.columns().iter().copied();
        columns.filter(|column| !matches!(column, Column::History | Column::Verdict))
    }

    /// How it is sorted at first.
    pub(super) const fn first_sort(self) -> Column {
        match self {
            Self::Leaks => Column::Score,
            _ => Column::Live,
        }
    }
}

/// What a row is of: indices into the profile that it was made from.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    Site(usize),
    Code {
        frame: Option<FrameIndex>,
        sites: Vec<usize>,
    },
    Process(usize),
}

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The same in every profile of an observation.
    pub(super) key: u64,
    pub(super) subject: Subject,
    /// Bytes: live, or in the table of leaks those that are suspected.
    pub(super) live: u64,
    /// Live bytes, in the table of leaks too: what a change is of.
    held: u64,
    /// Bytes of [`CodeSums::own`].
    pub(super) own: u64,
    pub(super) blocks: u64,
    /// Bytes since the baseline, or bytes per second; `None` where it is not known.
    pub(super) change: Option<f64>,
    pub(super) age: Option<Duration>,
    pub(super) score: Option<u8>,
    pub(super) allocated: u64,
    pub(super) peak: u64,
    pub(super) resident: Option<u64>,
}

impl Row {
    const fn new(key: u64, subject: Subject) -> Self {
        Self {
            key,
            subject,
            live: 0,
            held: 0,
            own: 0,
            blocks: 0,
            change: None,
            age: None,
            score: None,
            allocated: 0,
            peak: 0,
            resident: None,
        }
    }

    fn value(&self, column: Column) -> Option<f64> {
        match column {
            Column::Live => Some(self.live as f64),
            Column::Own => Some(self.own as f64),
            Column::Blocks => Some(self.blocks as f64),
            Column::Change => self.change,
            Column::Age => self.age.map(|age| age.as_secs_f64()),
            Column::Score => self.score.map(f64::from),
            Column::Allocated => Some(self.allocated as f64),
            Column::Peak => Some(self.peak as f64),
            Column::Resident => self.resident.map(|bytes| bytes as f64),
            Column::History | Column::Verdict => None,
        }
    }
}

/// Makes the rows of a table, in the profile's order.
pub(super) fn rows(table: Table, profile: &Profile) -> Vec<Row> {
    match table {
        Table::Sites => {
            let keys = identity::sites(profile);
            let numbered = profile.sites.iter().enumerate().zip(keys);
            let shown = numbered.filter(|((_, site), _)| site.op.class().is_memory() && site.live.count > 0);
            shown.map(|((number, one), key)| site(number, one, key)).collect()
        }
        Table::Leaks => {
            let keys = identity::sites(profile);
            let suspected = |(number, one): (usize, _)| suspect(profile, number, one, keys[number]);
            profile.sites.iter().enumerate().filter_map(suspected).collect()
        }
        Table::Functions => of_code(profile, Unit::Function),
        Table::Modules => of_code(profile, Unit::Module),
        Table::Processes => profile.processes.iter().enumerate().map(process).collect(),
    }
}

fn site(number: usize, site: &Site, key: u64) -> Row {
    let told = site.suspicion.as_ref().filter(|found| !found.is_suppressed());
    Row {
        live: site.live.bytes,
        held: site.live.bytes,
        blocks: site.live.count,
        change: (site.history.len() > 1).then_some(site.growth_bytes_per_second),
        age: site.oldest,
        score: told.map(|found| found.score),
        ..Row::new(key, Subject::Site(number))
    }
}

/// What is suspected of a site, unless it is not to be told.
fn suspect(profile: &Profile, number: usize, one: &Site, key: u64) -> Option<Row> {
    one.suspicion
        .as_ref()
        .filter(|found: &&Suspicion| !found.is_suppressed())?;
    let suspected = profile.suspected(one);
    Some(Row {
        live: suspected.bytes,
        blocks: suspected.count,
        ..site(number, one, key)
    })
}

fn of_code(profile: &Profile, unit: Unit) -> Vec<Row> {
    let row = |sums: CodeSums| {
        let frame = sums
            .frame
            .and_then(|index| profile.frames.get(usize::try_from(index).ok()?));
        let key = identity::unit(unit, frame);
        let subject = Subject::Code {
            frame: sums.frame,
            sites: sums.sites,
        };
        Row {
            live: sums.total.live.bytes,
            held: sums.total.live.bytes,
            own: sums.own.live.bytes,
            blocks: sums.total.live.count,
            change: Some(sums.growth_bytes_per_second),
            ..Row::new(key, subject)
        }
    };
    let all = profile.by_code(unit).into_iter().map(row);
    all.filter(|row| row.blocks > 0).collect()
}

fn process((number, process): (usize, &Process)) -> Row {
    Row {
        live: process.live.bytes,
        held: process.live.bytes,
        blocks: process.live.count,
        allocated: process.allocated.bytes,
        peak: process.peak_live_bytes,
        resident: process.resident.as_ref().and_then(|all| Some(all.last()?.rss)),
        ..Row::new(identity::process(process), Subject::Process(number))
    }
}

/// Live bytes by key of all that may be a row of a table, whether it is one now or not: a site that is suspected today was there before.
pub(super) fn held(table: Table, profile: &Profile) -> FxHashMap<u64, u64> {
    match table {
        Table::Sites | Table::Leaks => {
            let live = profile.sites.iter().map(|site| site.live.bytes);
            identity::sites(profile).into_iter().zip(live).collect()
        }
        _ => rows(table, profile)
            .into_iter()
            .map(|row| (row.key, row.held))
            .collect(),
    }
}

/// Puts into the rows what has changed since a baseline, of which the live bytes are known by key.
pub(super) fn compare(rows: &mut [Row], baseline: &FxHashMap<u64, u64>) {
    for row in rows {
        let before = baseline.get(&row.key).copied().unwrap_or(0);
        row.change = Some(row.held as f64 - before as f64);
    }
}

/// Sorts, largest first; what is not known comes last either way. Among equals the profile's order stays.
pub(super) fn sort(rows: &mut [Row], column: Column, reversed: bool) {
    rows.sort_by(|a, b| match (a.value(column), b.value(column)) {
        (Some(a), Some(b)) if reversed => a.total_cmp(&b),
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()).then(Ordering::Equal),
    });
}
