//! Events in short, and what the rules look at.

use std::time::Duration;

use memtrace_common::{
    Op,
    event::{Alloc, Break, Free, Map, Realloc, Remap, Unmap},
    state::{LostFree, LostKey},
};

use super::{SECOND, header, ledger};
use crate::{
    decode::Event,
    ledger::{Ledger, SiteFacts, Snapshot},
    profile::Amount,
};

/// Where things are mapped.
pub(super) const BASE: u64 = 0x7f00_0000_0000;

pub(super) fn at(time: u64, op: Op, flags: u16) -> memtrace_common::event::Header {
    by(1, time, op, flags)
}

pub(super) fn by(tid: u32, time: u64, op: Op, flags: u16) -> memtrace_common::event::Header {
    memtrace_common::event::Header {
        op: op as u8,
        flags,
        ..header(1, tid, 1, time)
    }
}

pub(super) fn malloc(tid: u32, time: u64, address: u64, size: u64) -> Event<'static> {
    Event::Alloc(Alloc {
        header: by(tid, time, Op::Malloc, 0),
        address,
        size,
        stack: 1,
    })
}

pub(super) fn free(time: u64, address: u64) -> Event<'static> {
    let header = at(time, Op::Free, 0);
    Event::Free(Free { header, address })
}

pub(super) fn realloc_begin(tid: u32, time: u64, address: u64) -> Event<'static> {
    let header = by(tid, time, Op::Realloc, 0);
    Event::ReallocBegin(Free { header, address })
}

pub(super) fn realloc_end(tid: u32, time: u64, flags: u16, old: u64, address: u64, size: u64) -> Event<'static> {
    Event::ReallocEnd(Realloc {
        header: by(tid, time, Op::Realloc, flags),
        old,
        address,
        size,
        stack: 2,
    })
}

pub(super) fn map(time: u64, op: Op, flags: u16, address: u64, size: u64) -> Event<'static> {
    Event::Map(Map {
        header: at(time, op, flags),
        address,
        size,
        stack: 1,
    })
}

pub(super) fn unmap(time: u64, address: u64, size: u64) -> Event<'static> {
    let header = at(time, Op::Munmap, 0);
    Event::UnmapBegin(Unmap { header, address, size })
}

pub(super) fn unmap_failed(time: u64, address: u64, size: u64) -> Event<'static> {
    let header = at(time, Op::Munmap, 0);
    Event::UnmapFailed(Unmap { header, address, size })
}

pub(super) fn remap_begin(time: u64, address: u64, size: u64) -> Event<'static> {
    let header = at(time, Op::Mremap, 0);
    Event::RemapBegin(Unmap { header, address, size })
}

pub(super) fn remap_end(time: u64, flags: u16, old: (u64, u64), new: (u64, u64)) -> Event<'static> {
    Event::RemapEnd(Remap {
        header: at(time, Op::Mremap, flags),
        old: old.0,
        old_size: old.1,
        address: new.0,
        size: new.1,
        stack: 2,
    })
}

pub(super) fn brk(time: u64, flags: u16, address: u64) -> Event<'static> {
    let header = at(time, Op::Brk, flags);
    Event::Break(Break {
        header,
        address,
        stack: 1,
    })
}

pub(super) fn lost(ledger: &mut Ledger, time_ns: u64, address: u64, size: u64) {
    let key = LostKey {
        address,
        incarnation: 1,
        reserved: 0,
    };
    ledger.apply_lost_free(key, LostFree { time_ns, size });
}

pub(super) fn run(events: impl IntoIterator<Item = Event<'static>>) -> Ledger {
    let mut ledger = ledger();
    for event in events {
        ledger.apply(&event);
    }
    ledger
}

pub(super) fn snapshot(ledger: &Ledger) -> Snapshot {
    ledger.snapshot(0, 100 * SECOND, Duration::from_secs(10))
}

/// Bytes and count of all live memory.
pub(super) fn live(ledger: &Ledger) -> (u64, u64) {
    let Amount { bytes, count } = snapshot(ledger).totals.live;
    (bytes, count)
}

pub(super) fn of_op(snapshot: &Snapshot, op: Op) -> Vec<&SiteFacts> {
    snapshot.sites.iter().filter(|site| site.op == op).collect()
}
