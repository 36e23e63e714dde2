//! memtrace: where a running program's live bytes were allocated.

pub mod cli;
pub mod clock;
pub mod decode;
pub mod doctor;
pub mod exit;
pub mod heap_snapshot;
pub mod ledger;
pub mod message;
pub mod options;
pub mod plan;
pub mod probe;
pub mod process;
pub mod profile;
pub mod progress;
pub mod pymalloc;
pub mod python;
pub mod render;
pub mod resident;
pub mod session;
pub mod store;
pub mod symbolize;
pub mod target;
pub mod terminal;
pub mod tui;
pub mod units;
pub mod unwind;
