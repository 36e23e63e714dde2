//! Rules for stacks and histories.

use std::time::Duration;

use memtrace_common::{
    Op,
    event::{Alloc, Header},
};

use super::{
    SECOND,
    events::{at, malloc, snapshot},
    header, ledger, program, stack,
};
use crate::{
    decode::Event,
    ledger::{CallStack, Ledger, Limits},
    process::Location,
};

#[test]
fn stacks_are_bounded_and_what_has_none_is_one_site() {
    let limits = Limits {
        stacks: 2,
        ..Limits::default()
    };
    let mut ledger = Ledger::new(limits);
    for stack in 1..1000_u64 {
        let location = Location {
            module: 0,
            address: stack,
        };
        ledger.add_stack(
            1,
            1,
            stack,
            !stack,
            CallStack {
                locations: [location].into(),
                whole: true,
            },
        );
        ledger.apply(&Event::Alloc(Alloc {
            header: at(stack, Op::Malloc, 0),
            address: 16 * stack,
            size: 1,
            stack,
        }));
    }
    let snapshot = snapshot(&ledger);
    assert_eq!((snapshot.kept_stacks, snapshot.stack_overflow), (2, 997));
    let bare: Vec<_> = snapshot.sites.iter().filter(|site| site.stack.is_none()).collect();
    assert_eq!((snapshot.sites.len(), bare.len(), bare[0].live.count), (3, 1, 997));
    assert_eq!(snapshot.totals.live.count, 999);
    assert!(ledger.sites.len() <= 5, "memory is bounded: {}", ledger.sites.len());
}

#[test]
fn the_frames_of_all_stacks_are_bounded() {
    let mut ledger = Ledger::new(Limits {
        frames: 1000,
        ..Limits::default()
    });
    for stack in 1..1000_u64 {
        let location = Location {
            module: 0,
            address: stack,
        };
        let whole = CallStack {
            locations: [location; 127].into(),
            whole: true,
        };
        ledger.add_stack(1, 1, stack, !stack, whole);
    }
    let snapshot = snapshot(&ledger);
    assert_eq!((snapshot.kept_stacks, snapshot.stack_overflow), (8, 991));
}

#[test]
fn a_stack_that_comes_late_counts_from_then_on() {
    let mut ledger = ledger();
    let named = |address| {
        let mut event = malloc(1, 1, address, 5);
        if let Event::Alloc(alloc) = &mut event {
            alloc.stack = 77;
        }
        event
    };
    ledger.apply(&named(0x10));
    assert_eq!(snapshot(&ledger).sites[0].stack, None);
    ledger.add_stack(1, 1, 77, 1, CallStack::default());
    ledger.apply(&named(0x20));
    let stacks: Vec<_> = snapshot(&ledger).sites.iter().map(|site| site.stack).collect();
    assert_eq!(stacks, [None, Some(0)]);
}

#[test]
fn stacks_that_share_an_identity_are_counted() {
    let mut ledger = ledger();
    ledger.add_stack(1, 1, 1, 1, CallStack::default());
    assert_eq!(snapshot(&ledger).stack_collisions, 0);
    ledger.add_stack(1, 1, 1, 99, CallStack::default());
    // Another process may name another stack so.
    ledger.add_stack(2, 2, 1, 99, stack(2));
    let snapshot = snapshot(&ledger);
    assert_eq!((snapshot.stack_collisions, snapshot.kept_stacks), (1, 3));
}

#[test]
fn equal_stacks_of_several_processes_are_one_site() {
    let mut ledger = ledger();
    ledger.add_stack(2, 2, 1000, 5, stack(1));
    // Of the same frames, but cut.
    let cut = CallStack {
        whole: false,
        ..stack(1)
    };
    ledger.add_stack(2, 2, 1001, 6, cut);
    for (incarnation, stack) in [(1, 1), (2, 1000), (2, 1001)] {
        ledger.apply(&Event::Alloc(Alloc {
            header: Header {
                op: Op::Malloc as u8,
                ..header(incarnation, 1, incarnation, 1)
            },
            address: 0x10 * stack,
            size: 1,
            stack,
        }));
    }
    let counts: Vec<_> = snapshot(&ledger).sites.iter().map(|site| site.live.count).collect();
    assert_eq!(counts, [2, 1]);
    assert_eq!(snapshot(&ledger).kept_stacks, 4);
}

#[test]
fn identities_are_bounded_and_die_with_their_program() {
    let mut ledger = Ledger::new(Limits {
        identities: 2,
        ..Limits::default()
    });
    for id in 1..4 {
        ledger.add_stack(1, 1, id, 0, stack(1));
    }
    assert_eq!(snapshot(&ledger).stack_overflow, 1);
    ledger.apply(&Event::Exec(program(header(1, 1, 2, 2))));
    for id in 1..4 {
        ledger.add_stack(1, 2, id, 0, stack(1));
    }
    assert_eq!(snapshot(&ledger).stack_overflow, 2);
}

#[test]
fn histories_share_their_moments_and_sites_without_a_stack_add_up() {
    let mut ledger = ledger();
    for second in 0..200_u64 {
        for stack in [1, 50, 51] {
            ledger.apply(&Event::Alloc(Alloc {
                header: at(second * SECOND, Op::Malloc, 0),
                address: 0x10 * (3 * second + stack),
                size: 10,
                stack,
            }));
        }
        ledger.sample((second + 1) * SECOND);
    }
    let snapshot = ledger.snapshot(SECOND, 200 * SECOND, Duration::ZERO);
    let [first, second] = snapshot.sites.as_slice() else {
        panic!("{:?}", snapshot.sites)
    };
    assert!(first.history.len() > 32 && first.history.len() <= 64);
    for ((time, bytes), (other_time, other_bytes)) in first.history.iter().zip(second.history.iter()) {
        assert_eq!((time, 2 * bytes), (other_time, other_bytes));
        assert_eq!(bytes, 10 * (time.as_secs() + 1));
    }
}
