//! The same as JSON.
//!
//! Sizes are bytes. `format_version` grows when a field changes its meaning or goes away; new fields do not change it.
//!
//! ```text
//! memtrace_version   version of memtrace
//! format_version     version of this schema
//! heap               of `heap show`: nodes, edges, total, kinds{code, strings, arrays, typed_arrays, system, native},
//!                    classes[]{name, place, count, shallow, retained, distance, detached}, objects[], detached_count, detached[]
//! path               of `heap path`: object, steps[]{reference{kind, name, shown}, object}, dominators[]
//! comparison         of `heap compare`: before, after{objects, bytes},
//!                    classes[]{name, place, added_count, added_bytes, removed_count, removed_bytes}
//! sample             of `heap sample`: pid, duration_ns, interval, allocated, bytes, functions[]{name, url, line, column, own, total}:
//!                    line and column from 1, 0 where they are not known
//! place              null, or {script_id, line, column}: line and column from 0
//! object             {id, kind, class, name, shallow, retained, distance, detached}
//! distance           steps from what is global; from 100000000 on only the engine refers to it; null: weak references only
//! ```

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;

use super::super::json_lines::Lines;
use crate::profile::{
    heap::{HeapComparison, HeapPath, HeapSummary},
    heap_sample::HeapSample,
};

/// Version of the schema.
pub const FORMAT_VERSION: u32 = 1;

/// What a document is about.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content<'a> {
    /// A snapshot.
    Heap(&'a HeapSummary),
    /// An object of one.
    Path(&'a HeapPath),
    /// Two of them.
    Comparison(&'a HeapComparison),
    /// What was sampled.
    Sample(&'a HeapSample),
}

#[derive(Serialize)]
struct Document<'a> {
    memtrace_version: &'static str,
    format_version: u32,
    #[serde(flatten)]
    content: Content<'a>,
}

/// Writes a document.
///
/// # Errors
/// Only those of `out`.
pub fn write(content: Content<'_>, out: &mut dyn Write) -> io::Result<()> {
    let document = Document {
        memtrace_version: env!("CARGO_PKG_VERSION"),
        format_version: FORMAT_VERSION,
        content,
    };
    document.serialize(&mut Serializer::with_formatter(&mut *out, Lines::default()))?;
    writeln!(out)
}
