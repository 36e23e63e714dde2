//! The fields of a process in JSON.

use std::time::Duration;

use serde::Serialize;

use super::json_resident::{ResidentFields, resident_fields};
use crate::profile::{Allocator, Amount, Process};

/// A process as [`super::json`] describes it.
#[derive(Serialize)]
pub(super) struct ProcessFields<'a> {
    pid: u32,
    command: &'a str,
    executable: &'a str,
    container: Option<&'a str>,
    parent: Option<u32>,
    allocators: &'a [Allocator],
    unhooked: &'a [String],
    live: Amount,
    allocated: Amount,
    at_exit: Amount,
    peak_live_bytes: u64,
    inherited: Amount,
    inherited_unknown: bool,
    began_seconds: Option<f64>,
    ended_seconds: Option<f64>,
    late_seconds: Option<f64>,
    not_kept: u64,
    resident: Option<ResidentFields>,
}

/// The fields of a process.
pub(super) fn process_fields(process: &Process) -> ProcessFields<'_> {
    let Process {
        pid,
        command,
        executable,
        container,
        parent,
        allocators,
        unhooked,
        live,
        allocated,
        at_exit,
        peak_live_bytes,
        inherited,
        inherited_unknown,
        began,
        ended,
        late,
        not_kept,
        resident,
    } = process;
    ProcessFields {
        pid: *pid,
        command,
        executable,
        container: container.as_deref(),
        parent: *parent,
        allocators,
        unhooked,
        live: *live,
        allocated: *allocated,
        at_exit: *at_exit,
        peak_live_bytes: *peak_live_bytes,
        inherited: *inherited,
        inherited_unknown: *inherited_unknown,
        began_seconds: began.as_ref().map(Duration::as_secs_f64),
        ended_seconds: ended.as_ref().map(Duration::as_secs_f64),
        late_seconds: late.as_ref().map(Duration::as_secs_f64),
        not_kept: *not_kept,
        resident: resident.as_ref().map(resident_fields),
    }
}
