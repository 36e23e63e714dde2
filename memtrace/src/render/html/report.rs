//! What is packed into the page of a profile.

use serde::Serialize;

use memtrace_common::op::Class;

use crate::{
    profile::{Frame, Moment, Profile, Site, calltree::Amounts},
    render::{Measure, flamegraph::colour, label},
    units::whole,
};

use super::{
    head::Head,
    history::{Histories, histories, nanoseconds},
    javascript::{self, HeapsFields},
    places::{Path, Places},
    rows::Columns,
    words::{self, Words},
};

/// The document.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    #[serde(flatten)]
    head: Head,
    words: Words,
    classes: Vec<ClassFields>,
    sites: Sites,
    histories: Histories,
    timeline: Timeline,
    sampled: bool,
    leaks: Vec<words::Leak>,
    processes: Vec<words::ProcessRow>,
    resident: Option<words::ResidentFields<'a>>,
    javascript: Option<HeapsFields>,
}

/// A class of operations.
#[derive(Debug, Serialize)]
struct ClassFields {
    name: &'static str,
    /// Whether its sites are memory, and so part of the sums.
    memory: bool,
}

/// Every site, those that are memory first, in the profile's order.
#[derive(Debug, Default, Serialize)]
struct Sites {
    /// How many are memory.
    memory: usize,
    /// The last node of its stack.
    node: Vec<u32>,
    /// How many nodes further up the calling function is, or what is said where there is none.
    below: Vec<usize>,
    /// Name of the operation, as a string.
    op: Vec<u32>,
    class: Vec<usize>,
    /// Name of the group as a string, or -1.
    group: Vec<i64>,
    amounts: Columns,
    /// Age of the oldest live block in milliseconds, or -1.
    oldest: Vec<i64>,
    /// Change of live bytes per second, rounded; `None` where it is not known.
    growth: Vec<Option<i64>>,
    /// Half the error bars of live and allocated bytes; `None` where they are exact. Empty where nothing was sampled.
    live_error: Vec<Option<u64>>,
    allocated_error: Vec<Option<u64>>,
}

/// Sums over time, a column each.
#[derive(Debug, Default, Serialize)]
struct Timeline {
    /// Nanoseconds since the start.
    at: Vec<u64>,
    live: Vec<u64>,
    allocated: Vec<Option<u64>>,
    resident: Vec<Option<u64>>,
    lost: Vec<u64>,
}

/// The document of a profile.
pub(super) fn document(profile: &Profile, measure: Measure) -> Document<'_> {
    let mut places = Places::default();
    let others = profile.sites.iter().filter(|site| !site.op.class().is_memory());
    let ordered: Vec<&Site> = profile.memory_sites().chain(others).collect();
    let sites = sites(profile, &ordered, &mut places);
    Document {
        head: Head::new(
            "profile",
            measure,
            |measure| measure.unknown(profile),
            places,
            profile.settings.top,
        ),
        words: Words::new(profile),
        classes: (Class::ALL.iter())
            .map(|class| ClassFields {
                name: class.name(),
                memory: class.is_memory(),
            })
            .collect(),
        sites,
        histories: histories(ordered.iter().copied()),
        timeline: timeline(&profile.timeline),
        sampled: profile.health.sampling.is_some(),
        leaks: words::leaks(profile, &ordered),
        processes: words::processes(profile),
        resident: profile
            .resident
            .as_ref()
            .and_then(|resident| words::resident(profile, resident)),
        javascript: javascript::heaps(profile),
    }
}

fn sites(profile: &Profile, ordered: &[&Site], places: &mut Places) -> Sites {
    let paths: Vec<Path> = ordered.iter().map(|site| path(profile, site, places)).collect();
    let sampled = profile.health.sampling.is_some();
    let mut sites = Sites {
        memory: profile.memory_sites().count(),
        node: places.stacks(&paths),
        below: paths.iter().map(|path| path.below).collect(),
        amounts: ordered.iter().map(|site| Amounts::of(site)).collect(),
        ..Sites::default()
    };
    for site in ordered {
        sites.op.push(places.string(site.op.name()));
        let class = Class::ALL.iter().position(|class| *class == site.op.class());
        sites.class.push(class.unwrap_or_default());
        let group = profile.group(site).map(|group| places.string(&label::command(group)));
        sites.group.push(group.map_or(-1, i64::from));
        let oldest = site.oldest.and_then(|oldest| i64::try_from(oldest.as_millis()).ok());
        sites.oldest.push(oldest.unwrap_or(-1));
        sites
            .growth
            .push((site.history.len() >= 2).then(|| signed(site.growth_bytes_per_second)));
        if sampled {
            sites.live_error.push(profile.live_error(site, site.live));
            sites.allocated_error.push(profile.error(site, site.allocated));
        }
    }
    sites
}

/// A rate, rounded as it is shown.
fn signed(rate: f64) -> i64 {
    let size = i64::try_from(whole(rate.abs())).unwrap_or(i64::MAX);
    if rate < 0.0 { -size } else { size }
}

/// The frames of a site, root first: its group before all, and why there are none where there are none.
fn path(profile: &Profile, site: &Site, places: &mut Places) -> Path {
    let frames: Vec<&Frame> = profile.stack(site).collect();
    let missing = || (label::no_stack(profile, site), site.op.name());
    places.path(profile.group(site), &frames, missing, colour::executable(profile))
}

fn timeline(moments: &[Moment]) -> Timeline {
    let mut columns = Timeline::default();
    for moment in moments {
        columns.at.push(nanoseconds(moment.at));
        columns.live.push(moment.live_bytes);
        columns.allocated.push(moment.allocated_bytes);
        columns.resident.push(moment.resident_bytes);
        columns.lost.push(moment.lost);
    }
    columns
}
