//! A recording, run through the same stages as the live ring.

use anyhow::{Context as _, bail};
use memtrace_common::Counter;
use rustc_hash::FxHashMap;

use super::report::{Raw, Reporter};
use crate::{
    decode::{self, Event},
    ledger::{Ledger, Limits},
    process::Location,
    profile::{Cost, Process, Profile, Settings},
    store::{self, Frame},
    symbolize::Symbolizer,
};

/// The profile that a recording amounts to. What observing cost is not part of it.
///
/// # Errors
/// A recording that is damaged, cut off, or of another version.
pub fn replay(recording: &[u8], settings: Settings) -> anyhow::Result<Profile> {
    let mut ledger = Ledger::new(Limits::default());
    let (mut events, mut malformed) = (0, 0);
    let mut end = None;
    for frame in store::frames(recording) {
        match frame.context("failed to replay")? {
            Frame::Event(record) => {
                events += 1;
                match decode::decode(record) {
                    // Its placed frames follow.
                    Ok(Event::Stack(_)) => {}
                    Ok(event) => ledger.apply(&event),
                    Err(_) => malformed += 1,
                }
            }
            Frame::Stack {
                pid,
                incarnation,
                identity,
                stack,
            } => ledger.add_stack(pid, incarnation, identity.id, identity.check, stack),
            Frame::Group { incarnation, group } => {
                ledger.set_group(incarnation, group);
            }
            Frame::End { incarnation, now_ns } => ledger.end(incarnation, now_ns),
            Frame::LostFree(key, free) => ledger.apply_lost_free(key, free),
            Frame::Sample(now_ns) => ledger.sample(now_ns),
            Frame::Forget { after_look, .. } => ledger.forget_blocks(after_look),
            Frame::Break {
                pid,
                incarnation,
                address,
            } => ledger.seed(pid, incarnation, (address != 0).then_some(address)),
            Frame::Final(last) => end = Some(*last),
        }
    }
    let Some(end) = end else {
        bail!("the recording has no end: memtrace was stopped before it could write it")
    };
    let mut counters = [0; Counter::COUNT];
    for &counter in Counter::ALL {
        if let Some((_, value)) = end.counters.iter().find(|(name, _)| name == counter.name()) {
            counters[counter as usize] = *value;
        }
    }
    let names = end
        .names
        .into_iter()
        .map(|(module, address, frames)| (Location { module, address }, frames));
    let symbolizer = Symbolizer::with_names(names);
    let snapshot = ledger.snapshot(end.started_ns, end.now_ns, settings.min_age);
    let mut described: FxHashMap<u32, Process> = end.processes.into_iter().collect();
    let processes = snapshot.processes.iter().map(|facts| {
        described.remove(&facts.incarnation).unwrap_or_else(|| Process {
            pid: facts.pid,
            ..Process::default()
        })
    });
    let raw = Raw {
        by_tables: end.by_tables,
        sampling: end.sampling,
        budget: end.budget,
        processes: processes.collect(),
        snapshot,
        groups: end.groups,
        seen: end.seen,
        gaps: end.gaps,
        modules: Vec::new(),
        notes: end.notes,
        counters,
        events,
        malformed,
        started_ns: end.started_ns,
        now_ns: end.now_ns,
        end: end.target.end.clone(),
        cost: Cost::default(),
        resident: end.resident,
    };
    let reporter = Reporter::of(end.target, settings, Symbolizer::default());
    Ok(reporter.profile(raw, &symbolizer))
}
