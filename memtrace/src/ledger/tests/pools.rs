//! Pools of interpreters.

use memtrace_common::{Op, op::Class};

use super::{
    events::{BASE, live, map, of_op, run, snapshot, unmap},
    header, ledger, program,
    world::PAGE,
};
use crate::{decode::Event, ledger::Ledger, profile::Amount};

const POOL: u64 = 4 * PAGE;

/// An arena, and pools that are taken in it.
fn with_pools(pools: &[u64]) -> Ledger {
    let taken = (2..)
        .zip(pools)
        .map(|(time, number)| map(time, Op::Pool, 0, BASE + number * POOL, POOL));
    run([map(1, Op::Mmap, 0, BASE, 64 * POOL)].into_iter().chain(taken))
}

/// Pools that there are, and pools that were ever taken.
fn pools(ledger: &Ledger) -> (u64, u64) {
    let snapshot = snapshot(ledger);
    let site = of_op(&snapshot, Op::Pool)[0];
    assert_eq!(site.live.bytes, site.live.count * POOL);
    assert!(snapshot.totals.live_by_class.contains(&(Class::Pools, site.live)));
    (site.live.count, site.allocated.count)
}

#[test]
fn pools_take_nothing_from_their_arena_and_are_no_memory() {
    let ledger = with_pools(&[0, 1, 2]);
    assert_eq!(pools(&ledger), (3, 3));
    assert_eq!(live(&ledger), (64 * POOL, 1));
    assert_eq!(ledger.memory(1).unwrap().ranges.len(), 1);
    assert_eq!(snapshot(&ledger).tally.conflicts, 0);
}

#[test]
fn a_pool_that_is_taken_again_was_given_back() {
    assert_eq!(pools(&with_pools(&[0, 1, 0, 0])), (2, 4));
}

#[test]
fn pools_go_with_their_arena() {
    let mut ledger = with_pools(&[0, 1, 63]);
    ledger.apply(&unmap(9, BASE, 64 * POOL));
    assert_eq!(pools(&ledger), (0, 3));
    assert_eq!(live(&ledger), (0, 0));
}

#[test]
fn pools_that_somebody_found_empty_are_gone() {
    let mut ledger = with_pools(&[0, 1, 2]);
    let all: Vec<_> = ledger.pools().collect();
    assert_eq!(all, [(1, 1, vec![BASE, BASE + POOL, BASE + 2 * POOL])]);
    ledger.end_pools(1, &[BASE + POOL, BASE + 5 * POOL, BASE + 7]);
    assert_eq!(pools(&ledger), (2, 3));
    ledger.end_pools(2, &[BASE]);
    assert_eq!(pools(&ledger), (2, 3));
}

#[test]
fn pools_are_kept_when_blocks_are_not_known_any_more_and_go_with_their_program() {
    let mut ledger = with_pools(&[0, 1]);
    ledger.forget_blocks(false);
    assert_eq!(pools(&ledger), (2, 2));
    ledger.apply(&Event::Exec(program(header(1, 1, 2, 9))));
    assert_eq!(pools(&ledger), (0, 2));
    let gone = snapshot(&ledger).tally.gone_with_exec;
    assert_eq!(
        gone,
        Amount {
            bytes: 64 * POOL,
            count: 1
        }
    );
    assert_eq!(ledger.pools().count(), 0);
}

#[test]
fn pools_without_room_are_counted() {
    let mut ledger = ledger();
    ledger.limits.blocks_per_process = 1;
    for number in 0..3 {
        ledger.apply(&map(number + 1, Op::Pool, 0, BASE + number * POOL, POOL));
    }
    assert_eq!((pools(&ledger), snapshot(&ledger).tally.not_kept), ((1, 1), 2));
}
