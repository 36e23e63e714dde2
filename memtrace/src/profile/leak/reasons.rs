//! The evidence in words, one clause each.

use std::time::Duration;

use super::{
    evidence::{FULL_SPAN, Findings},
    growing,
};
use crate::{
    profile::{Amount, Settings, Site, Verdict, growth},
    units,
};

/// Confidence below which it is said that a longer observation would tell more.
const SURE: f64 = 0.9;

/// All reasons of a suspected site, strongest first for its verdict. `old` is what is old enough, or was live at exit.
pub(super) fn reasons(
    verdict: Verdict,
    site: &Site,
    settings: &Settings,
    exited: bool,
    found: &Findings,
) -> Vec<String> {
    let old = if exited { site.live } else { site.aged };
    let left = if exited { Amount::default() } else { site.at_exit };
    let age = (old.count > 0).then(|| age(old, site.oldest, settings.min_age, exited));
    let left = (left.count > 0).then(|| left_clause(left));
    let freed = freed(site, exited);
    let growing = found.growth.strength >= 0.5;
    let grows = growing.then(|| growth_clause(site, found));
    let daily = (found.evidence.bytes_per_day.filter(|&bytes| bytes > 0))
        .map(|bytes| format!("at this rate it is {} more in a day", units::bytes(bytes)));
    let stays = stays(site, found, growing);
    let rests = if growing { None } else { rests(site, found) };
    let short = (growing && found.evidence.confidence < SURE).then(|| short(found, settings.min_age));
    let reasons = match verdict {
        Verdict::Growing => [grows, daily, stays, freed, age, left, short, None],
        Verdict::Leaked => [left, age, freed, grows, daily, stays, None, None],
        Verdict::StillLive => [age, rests, freed, left, grows, stays, short, None],
    };
    reasons.into_iter().flatten().collect()
}

/// "3 blocks (12.0 KiB) were still live when their process ended"
fn left_clause(left: Amount) -> String {
    let what = format!("{} ({})", units::blocks(left.count), units::bytes(left.bytes));
    let verb = if left.count == 1 {
        "was still live when its"
    } else {
        "were still live when their"
    };
    format!("{what} {verb} process ended")
}

/// "live bytes grew in 9 of 10 samples, +12.4 KiB/s"
fn growth_clause(site: &Site, found: &Findings) -> String {
    let steps = growth::steps(growing::since_first_use(&site.history.points()));
    let rate = units::rate(found.growth.bytes_per_second);
    format!("live bytes grew in {} of {} samples, {rate}", steps.rises, steps.all)
}

/// What becomes of blocks that get old, where that says something beside [`freed`].
fn stays(site: &Site, found: &Findings, growing: bool) -> Option<String> {
    if found.enlarged && growing {
        let count = if site.live.count == 1 {
            "a block is"
        } else {
            "blocks are"
        };
        let mean = site.allocated.bytes.checked_div(site.allocated.count).unwrap_or(0);
        let now = site.live.bytes.checked_div(site.live.count).unwrap_or(0);
        return Some(format!(
            "{count} replaced by larger ones: {} on average now, {} over all its allocations",
            units::bytes(now),
            units::bytes(mean)
        ));
    }
    if site.spread.lifetimes.is_empty() {
        return None;
    }
    match found.survival.reach {
        None if site.aged.count > 0 => {
            Some("blocks that get as old are freed as well, later: more load or a cache looks the same".into())
        }
        // Of a millisecond and less nobody would say that it had got old.
        Some(reach) if growing && found.survival.bytes > 0 && reach > Duration::from_millis(1) => Some(format!(
            "hardly any block was freed that had got older than {}",
            units::duration(reach)
        )),
        _ => None,
    }
}

/// Why it is not called growing.
fn rests(site: &Site, found: &Findings) -> Option<String> {
    let growth = &found.growth;
    if growth.samples < 2 {
        return None;
    }
    if growth.fall > growth.rise / 2 && growth.fall > 0 {
        return Some(format!(
            "live bytes come and go: they fell by as much as {}",
            units::bytes(growth.fall)
        ));
    }
    let stopped = growth.stopped?;
    let since = if site.spread.lifetimes.is_empty() {
        ""
    } else {
        "; since then about as much was freed as allocated"
    };
    Some(format!(
        "live bytes stopped growing {} after the start{since}",
        units::duration(stopped)
    ))
}

/// "this was seen over 7 s only; 40 s would be surer"
fn short(found: &Findings, min_age: Duration) -> String {
    let needed = min_age * FULL_SPAN;
    let span = found.growth.span;
    if span < needed {
        let (span, needed) = (units::duration(span), units::duration(needed));
        format!("this was seen over {span} only; {needed} would be surer")
    } else {
        format!("this was seen in {} samples only", found.growth.samples)
    }
}

/// "none of its 1,204 allocations was freed", or `None` where most were: then it says nothing.
fn freed(site: &Site, exited: bool) -> Option<String> {
    let all = site.allocated.count;
    let left = if exited { 0 } else { site.at_exit.count };
    let freed = all.saturating_sub(site.live.count).saturating_sub(left);
    match (all, freed) {
        (0, _) => None,
        (1, 0) => Some("its only allocation was not freed".into()),
        (_, 0) => Some(format!("none of its {} allocations was freed", units::count(all))),
        _ if freed <= all / 2 => Some(format!(
            "only {} of its {} allocations were freed",
            units::count(freed),
            units::count(all)
        )),
        _ => None,
    }
}

/// "1,010 blocks (1.2 MiB) are older than 10 s, the oldest 58 s", or what was live at exit.
fn age(suspected: Amount, oldest: Option<Duration>, min_age: Duration, exited: bool) -> String {
    let one = suspected.count == 1;
    let what = format!("{} ({})", units::blocks(suspected.count), units::bytes(suspected.bytes));
    let oldest = oldest.map(units::duration);
    if exited {
        let verb = if one { "was" } else { "were" };
        let oldest = oldest.map_or_else(String::new, |age| {
            if one {
                format!(", {age} old")
            } else {
                format!(", the oldest {age} old")
            }
        });
        return format!("{what} {verb} still live at exit{oldest}");
    }
    let verb = if one { "is" } else { "are" };
    let oldest = oldest.map_or_else(String::new, |age| {
        if one {
            format!(": {age}")
        } else {
            format!(", the oldest {age}")
        }
    });
    format!("{what} {verb} at least {} old{oldest}", units::duration(min_age))
}
