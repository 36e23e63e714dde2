//! Where the objects of a heap were allocated, by V8's own sampling.
//!
//! Sizes are bytes, estimated by V8 from its samples.

use serde::Serialize;

/// What was sampled.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HeapSample {
    /// Process id of the program.
    pub pid: u32,
    /// How long it was sampled, in nanoseconds.
    pub duration_ns: u64,
    /// Mean bytes between two samples.
    pub interval: u64,
    /// Whether objects count that were collected meanwhile; otherwise only those that live at the end.
    pub allocated: bool,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Functions that allocated, those with the most bytes of their own first.
    pub functions: Vec<SampledFunction>,
}

/// A function of the program, or of the engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampledFunction {
    /// Its name; empty where it has none; V8's own are in round brackets.
    pub name: String,
    /// Where its code is from: a path or an URL; empty for what is V8's own.
    pub url: String,
    /// The line where it begins, from 1; 0 where that is not known.
    pub line: u64,
    /// The column where it begins, from 1; 0 where that is not known.
    pub column: u64,
    /// Bytes that it allocated itself.
    pub own: u64,
    /// Bytes that it and all that it called allocated.
    pub total: u64,
}
