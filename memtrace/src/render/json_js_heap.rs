//! The fields of a heap of JavaScript in JSON.

use std::time::Duration;

use serde::Serialize;

use crate::profile::{
    JsHeap,
    js_heap::{Collection, Kind, Pauses, Trend, reason},
};

/// A thread's heap as [`super::json`] describes it.
#[derive(Serialize)]
pub(super) struct JsHeapFields {
    pid: u32,
    tid: u32,
    allocated_bytes: u64,
    used_bytes: Option<u64>,
    step_seconds: f64,
    steps: Vec<(f64, u64)>,
    pauses: Vec<PauseFields>,
    collected: u64,
    collections: Vec<CollectionFields>,
    after_full: Vec<(f64, u64)>,
    trend: Option<TrendFields>,
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

/// The fields of a heap.
pub(super) fn js_heap_fields(heap: &JsHeap) -> JsHeapFields {
    let in_seconds = |points: &[(Duration, u64)]| {
        let points = points.iter().map(|(at, bytes)| (at.as_secs_f64(), *bytes));
        points.collect()
    };
    JsHeapFields {
        pid: heap.pid,
        tid: heap.tid,
        allocated_bytes: heap.allocated,
        used_bytes: heap.used(),
        step_seconds: heap.step.as_secs_f64(),
        steps: in_seconds(&heap.steps),
        pauses: heap.sums.iter().map(pause_fields).collect(),
        collected: heap.collected(),
        collections: heap.collections.iter().map(collection_fields).collect(),
        after_full: in_seconds(&heap.after_full),
        trend: heap.trend().map(trend_fields),
    }
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
