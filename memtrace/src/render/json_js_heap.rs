//! The fields of a heap of JavaScript in JSON.

use std::time::Duration;

use serde::Serialize;

use crate::{
    profile::{
        Frame, JsHeap, Profile,
        js_heap::{Collection, Kind, Pauses, Trend, reason},
        js_sites::{Allocator, JsFunction, JsSamples, JsSite, Share, Writer},
        js_space::{self, Space},
        js_survival::Fates,
    },
    units::whole,
};

/// A thread's heap as [`super::json`] describes it.
#[derive(Serialize)]
pub(super) struct JsHeapFields<'a> {
    pid: u32,
    tid: u32,
    allocated_bytes: u64,
    spaces: Vec<SpaceFields>,
    used_bytes: Option<u64>,
    step_seconds: f64,
    steps: Vec<(f64, u64)>,
    pauses: Vec<PauseFields>,
    collected: u64,
    collections: Vec<CollectionFields>,
    after_full: Vec<(f64, u64)>,
    trend: Option<TrendFields>,
    samples: u64,
    sampled_bytes: u64,
    functions: Vec<FunctionFields>,
    sites: Vec<SiteFields<'a>>,
}

#[derive(Serialize)]
struct SpaceFields {
    space: &'static str,
    allocated_bytes: u64,
}

#[derive(Serialize)]
struct PauseFields {
    kind: &'static str,
    count: u64,
    seconds: f64,
    longest_seconds: f64,
}

#[derive(Serialize)]
struct CollectionFields {
    at_seconds: f64,
    kind: &'static str,
    reason: Option<&'static str>,
    reason_number: u32,
    pause_seconds: Option<f64>,
    before_bytes: u64,
    after_bytes: u64,
    before_memory_bytes: u64,
    after_memory_bytes: u64,
}

#[derive(Serialize)]
struct TrendFields {
    bytes_per_minute: f64,
    points: usize,
    over_seconds: f64,
}

#[derive(Serialize)]
struct FunctionFields {
    function: Option<String>,
    file: Option<String>,
    is_written: bool,
    samples: u64,
    share: f64,
    share_low: f64,
    share_high: f64,
    estimated_bytes: u64,
    old_share: f64,
    large_share: f64,
    followed: u64,
    survived: u64,
    promoted: u64,
    promoted_share: Option<f64>,
    promoted_share_low: Option<f64>,
    promoted_share_high: Option<f64>,
    estimated_promoted_bytes: Option<u64>,
}

#[derive(Serialize)]
struct SiteFields<'a> {
    is_written: bool,
    samples: u64,
    share: f64,
    share_low: f64,
    share_high: f64,
    estimated_bytes: u64,
    followed: u64,
    survived: u64,
    promoted: u64,
    stack: Option<Vec<&'a Frame>>,
}

/// The fields of a heap.
pub(super) fn js_heap_fields<'a>(profile: &'a Profile, heap: &JsHeap) -> JsHeapFields<'a> {
    let samples = JsSamples::of(&heap.sites);
    let in_seconds = |points: &[(Duration, u64)]| {
        let points = points.iter().map(|(at, bytes)| (at.as_secs_f64(), *bytes));
        points.collect()
    };
    JsHeapFields {
        pid: heap.pid,
        tid: heap.tid,
        allocated_bytes: heap.allocated,
        spaces: (heap.spaces.some())
            .map(|(space, bytes)| SpaceFields {
                space: js_space::name(space),
                allocated_bytes: bytes,
            })
            .collect(),
        used_bytes: heap.used(),
        step_seconds: heap.step.as_secs_f64(),
        steps: in_seconds(&heap.steps),
        pauses: heap.sums.iter().map(pause_fields).collect(),
        collected: heap.collected(),
        collections: heap.collections.iter().map(collection_fields).collect(),
        after_full: in_seconds(&heap.after_full),
        trend: heap.trend().map(trend_fields),
        samples: samples.samples,
        sampled_bytes: samples.bytes,
        functions: (profile.js_functions(&heap.sites).into_iter())
            .map(|function| function_fields(heap, function))
            .collect(),
        sites: (heap.sites.iter())
            .map(|site| site_fields(profile, heap, site, samples.share(site.bytes)))
            .collect(),
    }
}

fn function_fields(heap: &JsHeap, function: JsFunction) -> FunctionFields {
    let [old_share, large_share] = [Space::Old, Space::Large].map(|space| function.part_in(space));
    let promoted = function.fates.promoted_share();
    let estimated_promoted_bytes = function.promoted_bytes(heap.allocated).map(whole);
    let Fates {
        followed,
        survived,
        promoted: promoted_count,
    } = function.fates;
    let JsFunction {
        allocator,
        samples,
        share: Share { value, low, high },
        ..
    } = function;
    let is_written = allocator != Allocator::Nobody;
    let (function, file) = match allocator {
        Allocator::Function(frame) => (frame.function, frame.file),
        Allocator::Other | Allocator::Nobody => (None, None),
    };
    FunctionFields {
        function,
        file,
        is_written,
        samples,
        share: value,
        share_low: low,
        share_high: high,
        estimated_bytes: estimated(heap, value),
        old_share,
        large_share,
        followed,
        survived,
        promoted: promoted_count,
        promoted_share: promoted.map(|share| share.value),
        promoted_share_low: promoted.map(|share| share.low),
        promoted_share_high: promoted.map(|share| share.high),
        estimated_promoted_bytes,
    }
}

fn site_fields<'a>(profile: &'a Profile, heap: &JsHeap, site: &JsSite, share: Share) -> SiteFields<'a> {
    let frames = |stack: &'a Vec<u32>| {
        let frames = stack.iter();
        frames.filter_map(|&index| profile.frames.get(index as usize)).collect()
    };
    let stack = match site.writer {
        Writer::Stack(stack) => profile.stacks.get(stack).map(frames),
        Writer::Unknown | Writer::Nobody => None,
    };
    SiteFields {
        is_written: site.writer != Writer::Nobody,
        samples: site.samples,
        share: share.value,
        share_low: share.low,
        share_high: share.high,
        estimated_bytes: estimated(heap, share.value),
        followed: site.fates.followed,
        survived: site.fates.survived,
        promoted: site.fates.promoted,
        stack,
    }
}

/// So much of what the heap's thread has allocated.
fn estimated(heap: &JsHeap, share: f64) -> u64 {
    whole(share * heap.allocated as f64)
}

const fn pause_fields((kind, pauses): &(Kind, Pauses)) -> PauseFields {
    PauseFields {
        kind: kind.name(),
        count: pauses.count,
        seconds: pauses.all.as_secs_f64(),
        longest_seconds: pauses.longest.as_secs_f64(),
    }
}

fn collection_fields(collection: &Collection) -> CollectionFields {
    CollectionFields {
        at_seconds: collection.at.as_secs_f64(),
        kind: collection.kind.name(),
        reason: reason(collection.reason),
        reason_number: collection.reason,
        pause_seconds: collection.pause.as_ref().map(Duration::as_secs_f64),
        before_bytes: collection.before_bytes,
        after_bytes: collection.after_bytes,
        before_memory_bytes: collection.before_memory,
        after_memory_bytes: collection.after_memory,
    }
}

const fn trend_fields(trend: Trend) -> TrendFields {
    TrendFields {
        bytes_per_minute: trend.bytes_per_minute,
        points: trend.points,
        over_seconds: trend.over.as_secs_f64(),
    }
}
