//! Heaps of JavaScript in the summary: how much was taken, what collecting cost, and whether what stays grows.

use std::{
    io::{self, Write},
    time::Duration,
};

use crate::{
    profile::{
        JsHeap, Profile,
        js_heap::{Collection, Pauses, Trend, reason},
        js_space::Space,
    },
    units::{bytes, count, duration, percent, plural, precise, rate, whole},
};

use super::{js_sites, layout::say};

/// A thread that took a smaller part of all, and collected nothing, only helps another or has hardly begun.
const LEAST_SHARE: u64 = 100;

/// Writes the part, or nothing where no thread runs JavaScript.
pub(super) fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let Told { heaps, rest } = told(profile);
    for (number, heap) in heaps.into_iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        of_thread(profile, heap, out)?;
    }
    if let Some(rest) = rest {
        writeln!(out)?;
        writeln!(out, "{rest}")?;
    }
    Ok(())
}

/// What is told of all threads.
pub(super) struct Told<'a> {
    /// Those that are told of one by one.
    pub(super) heaps: Vec<&'a JsHeap>,
    /// A sentence on the others, where there are any.
    pub(super) rest: Option<String>,
}

/// Which threads are told of.
pub(super) fn told(profile: &Profile) -> Told<'_> {
    let sum = |heaps: &[&JsHeap]| heaps.iter().fold(0_u64, |sum, heap| sum.saturating_add(heap.allocated));
    let all: Vec<_> = profile.js_heaps.iter().collect();
    let least = sum(&all) / LEAST_SHARE;
    let is_of_note = |heap: &&JsHeap| heap.allocated > least || heap.collected() > 0;
    let (mut heaps, mut rest): (Vec<_>, Vec<_>) = all.into_iter().partition(is_of_note);
    rest.extend(heaps.split_off(heaps.len().min(profile.settings.top)));
    let threads = plural(rest.len() as u64, "more thread");
    let rest = (!rest.is_empty()).then(|| format!("{} were allocated by {threads}.", bytes(sum(&rest))));
    Told { heaps, rest }
}

fn of_thread(profile: &Profile, heap: &JsHeap, out: &mut dyn Write) -> io::Result<()> {
    say(&heading(profile, heap), out)?;
    if let Some(spaces) = of_spaces(heap) {
        say(&spaces, out)?;
    }
    js_sites::write(profile, heap, out)?;
    if heap.sums.is_empty() {
        if !heap.sites.is_empty() {
            writeln!(out)?;
        }
    } else {
        writeln!(out)?;
        writeln!(out, "{:>14}  {:>14}  {:>14}  collections", "count", "paused", "longest")?;
        for (kind, pauses) in &heap.sums {
            let Pauses {
                count: many,
                all,
                longest,
            } = *pauses;
            let (many, all, longest) = (count(many), precise(all), precise(longest));
            writeln!(out, "{many:>14}  {all:>14}  {longest:>14}  {}", kind.name())?;
        }
        writeln!(out)?;
    }
    for sentence in of_collections(profile, heap) {
        say(&sentence, out)?;
    }
    Ok(())
}

/// `JavaScript heap of thread 7: 1.2 GiB allocated, 24.1 MiB/s; 8.9 MiB in objects at last`
pub(super) fn heading(profile: &Profile, heap: &JsHeap) -> String {
    let used = heap.used();
    let used = used.map_or_else(String::new, |used| format!("; {} in objects at last", bytes(used)));
    let whose = thread(profile, heap).map_or_else(String::new, |thread| format!(" of {thread}"));
    format!("JavaScript heap{whose}: {}{used}", taken(heap, profile.observed))
}

/// What its collections say, in sentences.
pub(super) fn of_collections(profile: &Profile, heap: &JsHeap) -> Vec<String> {
    if heap.sums.is_empty() {
        return vec!["There was no collection.".to_owned()];
    }
    let last = heap.collections.last().map(|last| of_last(last, profile.observed));
    last.into_iter().chain([stays(heap)]).collect()
}

/// `1.2 GiB allocated, 24.1 MiB/s`
fn taken(heap: &JsHeap, observed: Duration) -> String {
    // Probes are on for a shorter time than it is observed.
    let first = heap.steps.first().map_or(Duration::ZERO, |&(at, _)| at);
    let seconds = observed.saturating_sub(first).as_secs_f64().max(1.0);
    let speed = rate(heap.allocated as f64 / seconds);
    format!("{} allocated, {}", bytes(heap.allocated), speed.trim_start_matches('+'))
}

/// What was not taken among young objects, where there is any.
pub(super) fn of_spaces(heap: &JsHeap) -> Option<String> {
    let part = |space: Space, rest: &str| {
        let taken = heap.spaces.of(space);
        (taken > 0).then(|| format!("{} {rest}", bytes(taken)))
    };
    let parts = [
        part(
            Space::Old,
            "in old space directly: V8 puts there what it expects to stay.",
        ),
        part(Space::Large, "in large objects."),
        part(Space::Unknown, "in a space that is not known."),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("Of it {}", parts.join(" ")))
}

/// The thread that has a heap, unless it is the first one of the only process.
pub(super) fn thread(profile: &Profile, heap: &JsHeap) -> Option<String> {
    match (heap.pid, heap.tid) {
        (0, 0) => Some("all other threads".to_owned()),
        (pid, tid) if pid == tid && !profile.is_of_many() => None,
        (_, tid) if !profile.is_of_many() => Some(format!("thread {tid}")),
        (pid, tid) if pid == tid => Some(format!("process {pid}")),
        (pid, tid) => Some(format!("process {pid}, thread {tid}")),
    }
}

/// What the last collection did.
fn of_last(last: &Collection, observed: Duration) -> String {
    let ago = duration(observed.saturating_sub(last.at));
    let why = reason(last.reason).map_or_else(|| format!("reason {}", last.reason), str::to_owned);
    format!(
        "The last, {ago} before the end: {} ({why}), {} of objects before, {} after, in {} of memory.",
        last.kind.name(),
        bytes(last.before_bytes),
        bytes(last.after_bytes),
        bytes(last.after_memory)
    )
}

/// What full collections leave, and whether that grows.
fn stays(heap: &JsHeap) -> String {
    let Some(Trend {
        bytes_per_minute,
        points,
        over,
    }) = heap.trend()
    else {
        let known = plural(heap.after_full.len() as u64, "full collection");
        return format!("Whether it grows cannot be told: {known} in this time, and it takes three.");
    };
    let change = bytes(whole(bytes_per_minute.abs()));
    let how = if bytes_per_minute < 0.0 { "shrinks" } else { "grows" };
    format!(
        "After full collections the JavaScript heap {how} by {change} per minute ({} in {}).",
        plural(points as u64, "collection"),
        duration(over)
    )
}

/// `JavaScript: 1.2 GiB allocated, 24.1 MiB/s, 120 collections, paused 1.2 % of the time`; `None` where there is none.
pub(super) fn status(profile: &Profile) -> Option<String> {
    let heaps = &profile.js_heaps;
    let mut all = JsHeap::default();
    let mut paused = Duration::ZERO;
    for heap in heaps {
        all.allocated = all.allocated.saturating_add(heap.allocated);
        all.steps.extend(heap.steps.first());
        paused += heap.sums.iter().map(|(_, pauses)| pauses.all).sum::<Duration>();
    }
    all.steps.sort_unstable();
    let collected = heaps.iter().map(JsHeap::collected).sum();
    let share = paused.as_secs_f64() / profile.observed.as_secs_f64().max(f64::MIN_POSITIVE);
    (!heaps.is_empty()).then(|| {
        format!(
            "JavaScript: {}, {}, paused {} of the time",
            taken(&all, profile.observed),
            plural(collected, "collection"),
            percent(share)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{profile::fixture, render::tests::rendered};

    #[test]
    fn a_heap_is_told_in_a_few_lines() {
        let mut profile = fixture::profile([]);
        profile.js_heaps = vec![fixture::js_heap()];
        insta::assert_snapshot!("js_heap", rendered(|out| write(&profile, out)));
        assert_eq!(
            status(&profile).unwrap(),
            "JavaScript: 3.0 GiB allocated, 51.2 MiB/s, 1,203 collections, paused 1.6% of the time"
        );
    }

    #[test]
    fn workers_and_what_there_is_no_row_for_are_told() {
        let mut profile = fixture::profile([]);
        profile.settings.top = 2;
        let quiet = JsHeap {
            tid: 4250,
            allocated: 5000,
            ..JsHeap {
                pid: 4242,
                ..JsHeap::default()
            }
        };
        let shrinks = JsHeap {
            tid: 4251,
            after_full: fixture::js_heap()
                .after_full
                .into_iter()
                .map(|(at, bytes)| (at, (20 << 20) - bytes))
                .collect(),
            ..fixture::js_heap()
        };
        let busy = JsHeap {
            tid: 4252,
            allocated: 2 << 30,
            ..quiet.clone()
        };
        profile.js_heaps = vec![shrinks, busy, quiet.clone(), quiet];
        insta::assert_snapshot!("js_heap_workers", rendered(|out| write(&profile, out)));
    }

    #[test]
    fn nothing_is_said_where_there_is_no_javascript() {
        let profile = fixture::profile([]);
        assert_eq!(rendered(|out| write(&profile, out)), "");
        assert_eq!(status(&profile), None);
    }
}
