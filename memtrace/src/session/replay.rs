//! A recording, run through the same stages as the live ring.

use anyhow::{Context as _, bail};
use memtrace_common::{Counter, limits::MAX_PROCESSES};

use super::report::{Raw, Reporter};
use crate::{
    decode::{self, Event},
    ledger::{Ledger, Limits},
    process::Location,
    profile::{Cost, Profile, Settings},
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
            Frame::Stack(identity, stack) => ledger.add_stack(identity.id, identity.check, stack),
            Frame::LostFree(key, free) => ledger.apply_lost_free(key, free),
            Frame::Sample(now_ns) => ledger.sample(now_ns),
            Frame::Break {
                pid,
                incarnation,
                address,
            } => ledger.seed_break(pid, incarnation, address),
            Frame::Final(last) => end = Some(*last),
        }
        if ledger.processes() > MAX_PROCESSES as usize {
            bail!(
                "the recording is damaged: it is of more than {MAX_PROCESSES} processes, which is more than are traced at once"
            )
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
    let raw = Raw {
        by_tables: end.by_tables,
        snapshot: ledger.snapshot(end.started_ns, end.now_ns, settings.min_age),
        modules: Vec::new(),
        allocators: end.target.allocators,
        notes: end.notes,
        counters,
        events,
        malformed,
        // The recording's notes tell of them.
        gaps: 0,
        started_ns: end.started_ns,
        now_ns: end.now_ns,
        end: end.target.end,
        cost: Cost::default(),
    };
    let target = (end.target.pid, end.target.command, end.target.executable);
    let reporter = Reporter::new(target.0, target.1, target.2, settings, Symbolizer::default());
    Ok(reporter.profile(raw, &symbolizer))
}
