//! `leaks.json` and `profile.json`: one schema, the first with suspected sites only.
//!
//! Sizes are bytes, times seconds. `format_version` grows when a field changes its meaning or goes away;
//! new fields do not change it.
//!
//! ```text
//! memtrace_version   version of memtrace
//! format_version     version of this schema
//! target             selection (in words), pid, command, executable, build_id (hexadecimal, or null),
//!                    allocators[{name, path, hooks[]}],
//!                    end: null | {reason: "duration" | "interrupted" | "moment" (of a recording) | "exited", status}
//! observed_seconds   length of the observation
//! settings           top, min_age_seconds, min_size
//! filter[]           what sites were chosen by, a clause each; empty when all are there
//! check              null, or of --fail-over: limit and found (bytes), sites (how many they are in), failed
//! suppressions[]     those that are about a suspected site, and the user's others: pattern, place (file:line; null for the C
//!                    library's, which come with memtrace), sites, amount{bytes, count}
//! totals             live{bytes, count}, allocated{bytes, count}, peak_live_bytes, live_by_class{class: {bytes, count}}
//! timeline[]         sums at moments: at_seconds, live_bytes, allocated_bytes (up to then; null behind a filter),
//!                    resident_bytes (of the targets, null where it was not looked at), lost (records up to then)
//! groups[]           names of what sites are kept apart by; empty when they are not
//! processes[]        pid, command, executable, container, allocators[], unhooked[],
//!                    parent                   pid, when it was forked while that was observed, else null
//!                    live, allocated, at_exit {bytes, count}: not yet freed, ever, live as it ended
//!                    peak_live_bytes, not_kept
//!                    inherited                {bytes, count} of its parent's, not freed; inherited_unknown: not known
//!                    began_seconds, ended_seconds  since the start of the observation, or null
//!                    late_seconds             how long it ran before its probes were on, or null
//! processes_dropped  processes that ended and are not in the list
//! resident           null, or resident memory of all processes together; processes[] have one each, null for small ones:
//!                    read_times, read_seconds, read_longest_seconds  what reading took; 0 in processes[]
//!                    readings[]               first to last: at_seconds, rss and what it is made of, which sums to it:
//!                                             live, held (by allocators, free), js_heap, js_code (of V8), mapped, before
//!                                             (attach), stacks, files, unknown; pss; of rss: huge (pages), lazy_free (MADV_FREE), coarse (its parts are
//!                                             less certain); besides: swap, absent (live, not resident), processes it is of,
//!                                             others (processes only whose total was read), others_rss;
//!                                             heaps (of V8, found) and their spaces[]: space (V8's name, or "pooled"), pages,
//!                                             bytes, resident
//! censuses[]         a Python program's objects at the beginning and at the end, with --census: pid, command, python;
//!                    before, after            arenas, blocks, untyped, unowned: {count, bytes}; complete
//!                    types[]                  name, before, after: {count, bytes}, what grew most first
//! javascript_shortages[] when V8 ran short of memory (docs/javascript-heap.md), in their order: at_seconds, pid, tid,
//!                    kind ("out_of_heap", "out_of_memory", "worker_out_of_heap" or "near_limit"), limit_bytes (of old objects, or
//!                    null), used_bytes (of objects, or null), words (V8's own, or null), stack (or null)
//! javascript_shortages_dropped  earlier ones that are not in the list
//! javascript_heaps[] of each thread that runs JavaScript (docs/javascript-heap.md): pid, tid (0 for all that there was no room
//!                    for), allocated_bytes, used_bytes (null before the first collection), step_seconds,
//!                    steps[[seconds, bytes]] (what was taken when), pauses[{kind, count, seconds, longest_seconds}],
//!                    collected (how many), collections[] (the last of them: at_seconds, kind, reason (or null), reason_number,
//!                    pause_seconds (or null), before_bytes, after_bytes, before_memory_bytes, after_memory_bytes),
//!                    after_full[[seconds, bytes]], trend (null, or bytes_per_minute, points, over_seconds);
//!                    with --javascript-sites: samples (how many), sampled_bytes (what they stand for),
//!                    functions[{function (null: none of JavaScript), file, samples, share, share_low, share_high, estimated_bytes}],
//!                    sites[{samples, share, share_low, share_high, estimated_bytes, stack (or null)}]
//! sites[]            op                       the call: "malloc", "mmap" ...
//!                    class                    "heap", "mapped", "file", "reserved", "pages" or "pools"
//!                    group                    name of the group, or null
//!                    verdict                  null, "leaked", "growing" or "still_live"
//!                    score                    from 0 to 100: how strongly the evidence speaks for a leak; null without a verdict
//!                    suspected                {bytes, count}: what is suspected; null without a verdict
//!                    evidence                 null, or what the score is made of (docs/leaks.md): growth, survival, lateness, size,
//!                                             confidence (0 to 1), trend_tau, trend_z, bytes_per_second, bytes_per_day,
//!                                             stopped_seconds, reach_seconds (the last three may be null)
//!                    suppressed_by[]          patterns of the suppressions that are about it; it counts as a leak when there is none
//!                    reasons[]                why it is suspected, strongest first
//!                    live, allocated, aged    {bytes, count}: not yet freed, ever, live and at least min_age old
//!                    at_peak                  {bytes, count}: live at the moment of the most live bytes; null where it was not kept
//!                    temporary                {bytes, count}: allocated and freed while observed; null for mappings
//!                    sizes[[bytes, count]]    allocations by size: from so many bytes on, up to the next class (four to each
//!                                             power of two; sizes below 8 by themselves)
//!                    lifetimes[[seconds, count]]  freed blocks by the time they lived: from so long on, up to four times that; the
//!                                             first class begins at 0, the last has no end
//!                    at_exit                  {bytes, count}: live as their process ended while others went on
//!                    unknown                  {bytes, count}: live when frees stopped being seen, at page level; not in live
//!                    live_error_bytes, allocated_error_bytes  half the error bars of estimates: the true value lies within 19
//!                                             times of 20; null where it is exact
//!                    oldest_seconds           age of the oldest live block, or null
//!                    ages[[seconds, bytes, count]]  what is live by age: from so long on, up to twice that; the first class is from
//!                                             0 to 1 s
//!                    growth_bytes_per_second  slope of the history
//!                    history[[seconds, bytes]]
//!                    stack[]                  leaf first {function, module, offset, file, line, inlined, kind};
//!                                             null when it was lost; function, file and line may be null
//! health             exact, summary, windows (null, or those of --python-exact: count, seconds, of_seconds), sampling (null, or how
//!                    allocations were chosen), budget (null, or what was done to
//!                    keep within it), and every counter of `profile::Health`
//! ```
//!
//! `docs/profile.schema.json` is the same for programs; a test validates every fixture by it.
//!
//! Strings are exact: what must not reach a terminal is written as `\uXXXX` and read back as it was.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;
use serde_json::Serializer;

use crate::profile::{Amount, Check, Health, Moment, Profile, Target, accuracy::Accuracy};

use super::{
    json_census::{CensusFields, census_fields},
    json_js_heap::{JsHeapFields, js_heap_fields},
    json_js_shortage::{JsShortageFields, js_shortage_fields},
    json_lines::Lines,
    json_process::{ProcessFields, process_fields},
    json_resident::{ResidentFields, resident_fields},
    json_site::{SiteFields, site_fields},
};

/// Version of the schema.
pub const FORMAT_VERSION: u32 = 1;

/// Which sites are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sites {
    /// All, in the profile's order.
    All,
    /// The suspected ones, strongest verdict first.
    Suspected,
}

/// Writes a profile as JSON.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, sites: Sites, out: &mut dyn Write) -> io::Result<()> {
    document(profile, sites).serialize(&mut Serializer::with_formatter(&mut *out, Lines::default()))?;
    writeln!(out)
}

#[derive(Serialize)]
struct Document<'a> {
    memtrace_version: &'static str,
    format_version: u32,
    target: &'a Target,
    observed_seconds: f64,
    settings: SettingsFields,
    filter: &'a [String],
    check: Option<Check>,
    suppressions: Vec<SuppressionFields>,
    totals: TotalsFields,
    timeline: Vec<MomentFields>,
    groups: &'a [String],
    processes: Vec<ProcessFields<'a>>,
    processes_dropped: u64,
    resident: Option<ResidentFields>,
    censuses: Vec<CensusFields<'a>>,
    javascript_shortages: Vec<JsShortageFields<'a>>,
    javascript_shortages_dropped: u64,
    javascript_heaps: Vec<JsHeapFields<'a>>,
    sites: Vec<SiteFields<'a>>,
    health: HealthFields<'a>,
}

#[derive(Serialize)]
struct SettingsFields {
    top: usize,
    min_age_seconds: f64,
    min_size: u64,
}

#[derive(Serialize)]
struct SuppressionFields {
    pattern: String,
    place: Option<String>,
    sites: u64,
    amount: Amount,
}

#[derive(Serialize)]
struct TotalsFields {
    live: Amount,
    allocated: Amount,
    peak_live_bytes: u64,
    live_by_class: BTreeMap<&'static str, Amount>,
}

#[derive(Serialize)]
struct MomentFields {
    at_seconds: f64,
    live_bytes: u64,
    allocated_bytes: Option<u64>,
    resident_bytes: Option<u64>,
    lost: u64,
}

#[derive(Serialize)]
struct HealthFields<'a> {
    #[serde(flatten)]
    accuracy: Accuracy,
    #[serde(flatten)]
    health: &'a Health,
}

fn document(profile: &Profile, sites: Sites) -> Document<'_> {
    let Profile {
        target,
        observed,
        settings,
        filter,
        totals,
        timeline,
        frames: _,
        modules: _,
        stacks: _,
        groups,
        sites: all,
        processes,
        processes_dropped,
        resident,
        censuses,
        js_heaps,
        js_shortages,
        js_shortages_dropped,
        health,
    } = profile;
    Document {
        memtrace_version: env!("CARGO_PKG_VERSION"),
        format_version: FORMAT_VERSION,
        target,
        observed_seconds: observed.as_secs_f64(),
        settings: SettingsFields {
            top: settings.top,
            min_age_seconds: settings.min_age.as_secs_f64(),
            min_size: settings.min_size,
        },
        filter,
        check: profile.check(),
        suppressions: suppressions(profile),
        totals: TotalsFields {
            live: totals.live,
            allocated: totals.allocated,
            peak_live_bytes: totals.peak_live_bytes,
            live_by_class: totals
                .live_by_class
                .iter()
                .map(|(class, live)| (class.name(), *live))
                .collect(),
        },
        timeline: timeline.iter().map(moment_fields).collect(),
        groups,
        processes: processes.iter().map(process_fields).collect(),
        processes_dropped: *processes_dropped,
        resident: resident.as_ref().map(resident_fields),
        censuses: censuses.iter().map(census_fields).collect(),
        javascript_shortages: (js_shortages.iter())
            .map(|shortage| js_shortage_fields(profile, shortage))
            .collect(),
        javascript_shortages_dropped: *js_shortages_dropped,
        javascript_heaps: (js_heaps.iter()).map(|heap| js_heap_fields(profile, heap)).collect(),
        sites: match sites {
            Sites::All => all.iter().map(|site| site_fields(profile, site)).collect(),
            Sites::Suspected => profile.suspects().map(|(site, _)| site_fields(profile, site)).collect(),
        },
        health: HealthFields {
            accuracy: health.accuracy(),
            health,
        },
    }
}

const fn moment_fields(moment: &Moment) -> MomentFields {
    MomentFields {
        at_seconds: moment.at.as_secs_f64(),
        live_bytes: moment.live_bytes,
        allocated_bytes: moment.allocated_bytes,
        resident_bytes: moment.resident_bytes,
        lost: moment.lost,
    }
}

fn suppressions(profile: &Profile) -> Vec<SuppressionFields> {
    let found = profile.suppressed();
    let unused = found.unused.into_iter().map(|pattern| (pattern, 0, Amount::default()));
    let all = found.by_pattern.into_iter().chain(unused);
    all.map(|(pattern, sites, amount)| SuppressionFields {
        pattern: pattern.text,
        place: pattern.place,
        sites,
        amount,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{profile::fixture, render::tests::rendered};

    #[test]
    fn documents() {
        for (name, profile) in fixture::all() {
            insta::assert_snapshot!(
                format!("json_{name}"),
                rendered(|out| write(&profile, Sites::Suspected, out))
            );
        }
        let all = rendered(|out| write(&fixture::exited(), Sites::All, out));
        insta::assert_snapshot!("json_all", all);
    }

    #[test]
    fn every_document_is_json_and_names_are_exact() {
        for (_, profile) in fixture::all() {
            let text = rendered(|out| write(&profile, Sites::All, out));
            let document: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(document["sites"].as_array().unwrap().len(), profile.sites.len());
            for (fields, process) in document["processes"].as_array().unwrap().iter().zip(&profile.processes) {
                assert_eq!(fields["command"], process.command);
                assert_eq!(fields["inherited"]["count"], process.inherited.count);
            }
            assert_eq!(document["target"]["command"], profile.target.command);
            for (fields, site) in document["sites"].as_array().unwrap().iter().zip(&profile.sites) {
                assert_eq!(fields["live"]["bytes"], site.live.bytes);
                let group = site.group.map(|group| &*profile.groups[group]);
                assert_eq!(fields["group"].as_str(), group);
                for (fields, frame) in fields["stack"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .zip(profile.stack(site))
                {
                    assert_eq!(fields["function"].as_str(), frame.function.as_deref());
                    assert_eq!(fields["module"], frame.module);
                }
            }
        }
    }
}
