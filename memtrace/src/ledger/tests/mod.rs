//! The rules of the ledger, one test each, and all of them together against a naive model.

mod blocks;
mod events;
mod property;
mod ranges;
mod stacks;
mod world;

use memtrace_common::event::Header;

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

/// A ledger that knows the stacks 1 to 3; the only location of each is its number.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(Limits::default());
    for stack in 1..4 {
        ledger.add_stack(
            u64::from(stack),
            u64::from(stack),
            CallStack {
                locations: [Location {
                    module: stack,
                    address: 0,
                }]
                .into(),
                whole: true,
            },
        );
    }
    ledger
}
