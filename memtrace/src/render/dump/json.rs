//! The same as JSON.
//!
//! `docs/dump.schema.json` says what the fields are; a test validates fixtures by it. `format_version` grows when a field changes its
//! meaning or goes away; new fields do not change it. Strings are exact: what must not reach a terminal is written as `\uXXXX`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;

use super::super::json_lines::Lines;
use crate::profile::dump::{Dump, DumpedProcess};

/// Version of the schema.
pub const FORMAT_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    memtrace_version: &'static str,
    format_version: u32,
    processes: &'a [DumpedProcess],
}

/// Writes a dump as JSON.
///
/// # Errors
/// Only those of `out`.
pub fn write(dump: &Dump, out: &mut dyn Write) -> io::Result<()> {
    let document = Document {
        memtrace_version: env!("CARGO_PKG_VERSION"),
        format_version: FORMAT_VERSION,
        processes: &dump.processes,
    };
    document.serialize(&mut Serializer::with_formatter(&mut *out, Lines::default()))?;
    writeln!(out)
}
