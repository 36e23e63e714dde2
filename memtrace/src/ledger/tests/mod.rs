//! The rules of the ledger, one test each, and all of them together against a naive model.

mod blocks;
mod events;
mod fork;
mod lifetimes;
mod memory;
mod pools;
mod property;
mod ranges;
mod stacks;
mod verdicts;
mod weights;
mod world;
mod young;

use memtrace_common::{
    event::{Header, Program},
    limits::COMMAND_BYTES,
};

use super::{CallStack, Ledger, Limits};
use crate::process::Location;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

const fn header(pid: u32, tid: u32, incarnation: u32, time_ns: u64) -> Header {
    Header {
        kind: 0,
        op: 0,
        flags: 0,
        pid,
        tid,
        incarnation,
        time_ns,
    }
}

/// A ledger without processes.
fn empty() -> Ledger {
    Ledger::new(Limits::default())
}

/// A ledger in which process 1 has the stacks 1 to 3.
fn ledger() -> Ledger {
    let mut ledger = empty();
    add_stacks(&mut ledger, 1, 1);
    ledger
}

/// Tells the stacks 1 to 3 of a program; the only location of each is its number.
fn add_stacks(ledger: &mut Ledger, pid: u32, incarnation: u32) {
    for number in 1..4 {
        ledger.add_stack(pid, incarnation, number, number, stack(number));
    }
}

fn stack(number: u64) -> CallStack {
    CallStack {
        locations: [Location {
            module: u32::try_from(number).unwrap(),
            address: 0,
        }]
        .into(),
        whole: true,
    }
}

/// The record of a program that begins.
const fn program(header: Header) -> Program {
    Program {
        header,
        command: [0; COMMAND_BYTES],
    }
}
