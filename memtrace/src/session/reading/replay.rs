//! The events of a recording, told to a ledger again.

use std::io::{Read, Seek};

use memtrace_common::event::{Header, flag};
use rustc_hash::FxHashMap;

use crate::{
    decode::{self, Event},
    ledger::{Ledger, Limits},
    store::{
        ReadError, Session,
        frames::{Frame, frames},
    },
};

/// Until when, and of whom, events are told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// Kernel time in nanoseconds after which no event is told.
    pub(super) until_ns: Option<u64>,
    /// Events after which none is told.
    pub(super) events: Option<u64>,
    /// Only allocations of this thread.
    pub(super) thread: Option<u32>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) ledger: Ledger,
    /// Records that were told.
    pub(super) events: u64,
    /// Records that were not understood.
    pub(super) malformed: u64,
    /// Kernel time of the last of them, nanoseconds.
    pub(super) last_ns: u64,
    /// After how many records live bytes were at their peak first.
    pub(super) peak_after: u64,
    /// How many records each thread has.
    pub(super) threads: FxHashMap<u32, u64>,
}

/// Tells the events.
pub(super) fn replay<R: Read + Seek>(session: &mut Session<R>, told: Told) -> Result<Replayed, ReadError> {
    let mut replayed = Replayed {
        ledger: Ledger::new(Limits::default()),
        events: 0,
        malformed: 0,
        last_ns: 0,
        peak_after: 0,
        threads: FxHashMap::default(),
    };
    let mut damaged = false;
    session.events(|block| {
        for frame in frames(block) {
            let Some(frame) = frame else {
                damaged = true;
                return false;
            };
            if !tell(frame, told, &mut replayed) {
                return false;
            }
        }
        true
    })?;
    if damaged {
        // The block's sum was right, so it was written so.
        replayed.malformed += 1;
    }
    Ok(replayed)
}

/// `false` when no more is to be told.
fn tell(frame: Frame<'_>, told: Told, replayed: &mut Replayed) -> bool {
    let ledger = &mut replayed.ledger;
    match frame {
        Frame::Event(record) => {
            if told.events == Some(replayed.events) {
                return false;
            }
            match decode::decode(record) {
                // Its placed frames follow.
                Ok(Event::Stack(_)) => {}
                Ok(event) => {
                    let time_ns = event.header().time_ns;
                    if told.until_ns.is_some_and(|until_ns| time_ns > until_ns) {
                        return false;
                    }
                    *replayed.threads.entry(event.header().tid).or_default() += 1;
                    replayed.last_ns = replayed.last_ns.max(time_ns);
                    let peak = ledger.peak_live_bytes();
                    match told.thread {
                        Some(thread) => tell_of(event, thread, ledger),
                        None => ledger.apply(&event),
                    }
                    if ledger.peak_live_bytes() > peak {
                        replayed.peak_after = replayed.events + 1;
                    }
                }
                Err(_) => replayed.malformed += 1,
            }
            replayed.events += 1;
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
        Frame::Lost(lost) => ledger.set_lost(lost),
        Frame::Sample(now_ns) => {
            if told.until_ns.is_some_and(|until_ns| now_ns > until_ns) {
                return false;
            }
            ledger.sample(now_ns);
        }
        Frame::Forget { after_look, .. } => ledger.forget_blocks(after_look),
        Frame::Break {
            pid,
            incarnation,
            address,
        } => ledger.seed(pid, incarnation, (address != 0).then_some(address)),
    }
    true
}

/// Tells an event so that only what this thread has allocated is live: others free it, or take it over by `realloc`.
fn tell_of(mut event: Event<'_>, thread: u32, ledger: &mut Ledger) {
    let other = |header: &Header| header.tid != thread;
    match &mut event {
        Event::Alloc(alloc) if other(&alloc.header) => return,
        Event::Weighted(weighted) if other(&weighted.alloc.header) => return,
        Event::Pairs(pairs) if other(&pairs.header) => return,
        Event::Map(map) if other(&map.header) => return,
        Event::JsAllocated(taken) if other(&taken.header) => return,
        Event::JsCollected(collected) if other(&collected.header) => return,
        Event::JsSampled(sampled) if other(&sampled.header) => return,
        Event::JsSurvived(survived) if other(&survived.header) => return,
        Event::JsShortage(shortage) if other(&shortage.header) => return,
        Event::RemapEnd(remap) if other(&remap.header) => return,
        Event::ReallocEnd(realloc) if other(&realloc.header) && realloc.header.flags & flag::FAILED == 0 => {
            realloc.header.flags |= flag::FREED;
        }
        _ => {}
    }
    ledger.apply(&event);
}
