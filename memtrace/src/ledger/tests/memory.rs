//! Many processes in bounded memory.

use memtrace_common::{
    Op,
    event::{Alloc, Header},
};

use super::{
    events::snapshot,
    fork::{facts, fork, of},
    header, program, stack,
};
use crate::{
    decode::Event,
    ledger::{
        Ledger, Limits,
        process::{Process, State},
    },
};

const PROCESSES: u32 = 100_000;
const STACKS: u64 = 20;
const BLOCKS: u64 = 50;

/// A shell that starts commands: each is forked, replaces its program, allocates and ends.
fn command(ledger: &mut Ledger, number: u32) {
    let (pid, forked) = (2 + number % 30_000, 2 + 2 * number);
    let incarnation = forked + 1;
    let time_ns = u64::from(number);
    let mut start = fork(1, pid, time_ns);
    if let Event::Fork(fork) = &mut start {
        fork.child_incarnation = forked;
    }
    ledger.apply(&start);
    let at = header(pid, pid, incarnation, time_ns);
    ledger.apply(&Event::Exec(program(at)));
    for number in 0..STACKS {
        let id = u64::from(incarnation) << 8 | number;
        ledger.add_stack(pid, incarnation, id, id, stack(number));
    }
    for block in 0..BLOCKS {
        ledger.apply(&Event::Alloc(Alloc {
            header: Header {
                op: Op::Malloc as u8,
                ..at
            },
            address: 0x5000 + 32 * block,
            size: 32,
            stack: u64::from(incarnation) << 8 | (block % STACKS),
        }));
    }
    ledger.apply(&Event::Exit(at));
}

#[test]
fn short_processes_leave_little() {
    for sampled in [true, false] {
        let mut ledger = Ledger::new(Limits::default());
        ledger.apply(&Event::Join(program(of(1, 1, Op::Malloc, 0))));
        for number in 0..PROCESSES {
            command(&mut ledger, number);
            if sampled && number % 100 == 0 {
                ledger.sample(number.into());
            }
        }
        let most = if sampled { 500 } else { 4100 };
        assert!(ledger.processes.places() < most, "{}", ledger.processes.places());
        assert!(ledger.kept_blocks <= most * 50 && ledger.kept.len() < most);
        assert_eq!((ledger.processes(), ledger.identities, ledger.copied), (1, 0, 0));
        assert_eq!((ledger.stacks.len(), ledger.sites.len()), (20, 20));
        let snapshot = snapshot(&ledger);
        assert!(snapshot.processes.len() < most + Limits::default().ended);
        // Those that left nothing went first.
        let known = snapshot
            .processes
            .iter()
            .filter(|process| process.at_exit.count == BLOCKS)
            .count() as u64;
        let dropped = snapshot.processes_dropped;
        let all = u64::from(PROCESSES);
        assert_eq!(snapshot.processes.len() as u64 + dropped.count, 1 + 2 * all);
        assert_eq!(known * BLOCKS + dropped.at_exit.count, all * BLOCKS);
        let left: u64 = snapshot.sites.iter().map(|site| site.at_exit.count).sum();
        assert_eq!((left, snapshot.totals.live.count), (all * BLOCKS, 0));
        assert_eq!(snapshot.totals.peak_live_bytes, 32 * BLOCKS);
        assert_eq!(facts(&snapshot, 1).live.count, 0);
    }
}

#[test]
fn a_process_at_rest_is_small() {
    // Its place in the list of all, an entry in two maps, and nothing on the heap until it allocates.
    assert!(size_of::<Process>() <= 400, "{}", size_of::<Process>());
    let process = Process::default();
    assert_eq!((process.live.len(), process.state), (0, State::Vacant));
}

#[test]
fn many_may_be_alive() {
    let mut ledger = Ledger::new(Limits::default());
    for pid in 1..50_000 {
        ledger.apply(&Event::Join(program(of(pid, 1, Op::Malloc, 0))));
    }
    assert_eq!((ledger.processes(), ledger.processes.places()), (49_999, 49_999));
    // They use each other's places.
    for pid in 1..50_000 {
        ledger.apply(&Event::Exit(of(pid, 2, Op::Malloc, 0)));
        ledger.apply(&Event::Join(program(header(pid + 50_000, 1, pid + 50_000, 2))));
    }
    assert!(
        ledger.processes.places() <= 49_999 + 4097,
        "{}",
        ledger.processes.places()
    );
}
