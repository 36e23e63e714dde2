//! `CPython`'s own allocator, pymalloc: what it has handed out, read from the memory of a process that runs.
//!
//! Everything that is read may be anything and may change meanwhile: every loop has an end, every number a check.

mod arena;
pub mod census;
mod interpreter;
mod memory;
mod names;
mod object;
mod pool;
mod pools;
pub mod report;
mod rows;
mod types;
mod walk;

pub use self::{
    interpreter::FindError,
    memory::{Memory, ProcessMemory},
    pool::is_empty,
    rows::Mode,
};

#[cfg(test)]
mod tests;
