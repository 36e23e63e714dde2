//! What the programs share. Those that need no crates are in `tests/programs` and use the same two files.

pub mod truth;
pub mod workload;
