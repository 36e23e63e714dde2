//! Blocks that stand for several, and blocks of which nothing is known any more.

use std::time::Duration;

use memtrace_common::{
    Op,
    event::{Alloc, Weighted},
};

use super::{
    SECOND,
    events::{at, free, malloc, realloc_begin, realloc_end},
    header, ledger,
};
use crate::{decode::Event, ledger::Ledger, profile::Amount};

fn weighted(time: u64, address: u64, size: u64, weight: u32) -> Event<'static> {
    let alloc = Alloc {
        header: at(time, Op::Malloc, 0),
        address,
        size,
        stack: 1,
    };
    Event::Weighted(Weighted {
        alloc,
        weight,
        reserved: 0,
    })
}

const fn amount(bytes: u64, count: u64) -> Amount {
    Amount { bytes, count }
}

/// The only site.
fn site(ledger: &Ledger) -> crate::ledger::SiteFacts {
    let snapshot = ledger.snapshot(0, 9 * SECOND, Duration::ZERO);
    assert_eq!(snapshot.totals.live, snapshot.sites[0].live);
    snapshot.sites[0].clone()
}

#[test]
fn a_block_counts_for_its_weight_and_takes_back_what_it_added() {
    let mut ledger = ledger();
    ledger.apply(&weighted(1, 16, 100, 40));
    ledger.apply(&weighted(2, 32, 70_000, 1));
    let both = site(&ledger);
    assert_eq!(both.live, amount(74_000, 41));
    assert_eq!(both.aged, amount(74_000, 41));
    assert_eq!(both.spread.sizes, [(96, 40), (65_536, 1)]);
    ledger.apply(&free(3, 16));
    let one = site(&ledger);
    assert_eq!((one.live, one.allocated), (amount(70_000, 1), amount(74_000, 41)));
    assert_eq!(one.spread.temporary, Some(amount(4000, 40)));
    assert_eq!(one.spread.lifetimes, [(Duration::ZERO, 40)]);
}

#[test]
fn a_failed_realloc_puts_the_weight_back() {
    let mut ledger = ledger();
    ledger.apply(&weighted(1, 16, 100, 40));
    ledger.apply(&realloc_begin(1, 2, 16));
    ledger.apply(&realloc_end(1, 3, memtrace_common::event::flag::FAILED, 16, 0, 200));
    assert_eq!(site(&ledger).live, amount(4000, 40));
}

#[test]
fn what_may_have_been_freed_unseen_is_neither_live_nor_temporary() {
    let mut ledger = ledger();
    ledger.apply(&weighted(1, 16, 100, 40));
    ledger.apply(&malloc(1, 2, 32, 50));
    ledger.apply(&realloc_begin(1, 3, 32));
    assert_eq!(ledger.addresses().count(), 2, "also what is aside");
    ledger.forget_blocks(false);
    assert_eq!(ledger.addresses().count(), 0);
    let found = site(&ledger);
    assert_eq!(found.live, amount(0, 0));
    assert_eq!(found.unknown, amount(4000, 40), "what is aside belongs to its call");
    assert_eq!(found.spread.temporary, Some(amount(50, 1)));
    // A look: what it shows is no peak.
    let peak = ledger.snapshot(0, SECOND, Duration::ZERO).totals.peak_live_bytes;
    ledger.apply(&weighted(3, 64, 100, 1000));
    ledger.forget_blocks(true);
    assert_eq!(ledger.snapshot(0, SECOND, Duration::ZERO).totals.peak_live_bytes, peak);
    // Its address is given out again: that is no missed free.
    ledger.apply(&malloc(1, 4, 16, 7));
    let snapshot = ledger.snapshot(0, SECOND, Duration::ZERO);
    assert_eq!((snapshot.totals.live, snapshot.tally.conflicts), (amount(7, 1), 0));
}

#[test]
fn allocations_of_nobody_are_lost_with_their_weight() {
    let mut ledger = ledger();
    ledger.end(1, 1);
    let Event::Weighted(mut event) = weighted(2, 16, 100, 40) else {
        unreachable!()
    };
    event.alloc.header = header(1, 1, 1, 2);
    ledger.apply(&Event::Weighted(event));
    let tally = ledger.snapshot(0, SECOND, Duration::ZERO).tally;
    assert_eq!(tally.stray_allocations, amount(4000, 40));
}
