//! The fields of a moment at which V8 ran short of memory, in JSON.

use serde::Serialize;

use crate::profile::{
    Frame, Profile,
    js_shortage::{JsShortage, Shortage},
};

/// Such a moment as [`super::json`] describes it.
#[derive(Serialize)]
pub(super) struct JsShortageFields<'a> {
    at_seconds: f64,
    pid: u32,
    tid: u32,
    kind: &'static str,
    limit_bytes: Option<u64>,
    used_bytes: Option<u64>,
    words: Option<&'a str>,
    stack: Option<Vec<&'a Frame>>,
}

/// The fields of such a moment.
pub(super) fn js_shortage_fields<'a>(profile: &'a Profile, shortage: &'a JsShortage) -> JsShortageFields<'a> {
    JsShortageFields {
        at_seconds: shortage.at.as_secs_f64(),
        pid: shortage.pid,
        tid: shortage.tid,
        kind: kind(shortage.what),
        limit_bytes: shortage.limit,
        used_bytes: shortage.used,
        words: (!shortage.words.is_empty()).then_some(&shortage.words),
        stack: shortage.stack.map(|_| profile.shortage_stack(shortage).collect()),
    }
}

const fn kind(what: Shortage) -> &'static str {
    match what {
        Shortage::Heap => "out_of_heap",
        Shortage::Process => "out_of_memory",
        Shortage::Worker => "worker_out_of_heap",
        Shortage::Snapshot => "near_limit",
    }
}
