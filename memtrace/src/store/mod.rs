//! A recording of what came from the kernel, so that everything behind the ring can be run again without it.
//!
//! A file starts with [`MAGIC`]; then come frames of one tag byte, a length (`u32`, little endian) and that many bytes:
//!
//! | tag | content |
//! |---|---|
//! | `E` | a record of the ring, as it was |
//! | `S` | the stack just sent: pid, incarnation (`u32`), id, check (`u64`), 1 if it is whole (`u8`), then module (`u32`) and address (`u64`) of each frame |
//! | `G` | from here on events of a program count in a group: incarnation and group (`u32`) |
//! | `X` | a process was found to have ended: incarnation (`u32`) and kernel time (`u64`, nanoseconds) |
//! | `L` | a lost free that was applied: key and value as in the map |
//! | `B` | a program that was there at the start: pid, incarnation (`u32`), and its program break (`u64`), 0 for none |
//! | `P` | a moment at which live bytes were noted: kernel time (`u64`, nanoseconds) |
//! | `U` | blocks that were known are not any more, because they may be freed unseen: kernel time (`u64`, nanoseconds), 1 after a look at the allocator (`u32`) |
//! | `F` | [`Final`] as JSON, the last frame |
//!
//! Addresses are placed when a stack arrives, from mappings that only the live process has; hence `S`.

mod reader;
mod writer;

use serde::{Deserialize, Serialize};

pub use self::{
    reader::{Frame, ReadError, frames},
    writer::Writer,
};
use crate::profile;

/// First bytes of a recording; the digit is the version.
pub const MAGIC: &[u8] = b"memtrace-ring 3\n";

/// The end of a recording: what is not in the ring's records.
#[derive(Debug, Deserialize, Serialize)]
pub struct Final {
    /// Kernel time of the last moment, in nanoseconds.
    pub now_ns: u64,
    /// Kernel time of the first, in nanoseconds.
    pub started_ns: u64,
    /// The target.
    pub target: profile::Target,
    /// The BPF side's counters by name.
    pub counters: Vec<(String, u64)>,
    /// Whether stacks were unwound by tables.
    pub by_tables: bool,
    /// The sampling interval in bytes, and of how much time a part was looked at, if allocations were sampled.
    #[serde(default)]
    pub sampling: Option<(u64, u32)>,
    /// What was done to keep within a budget.
    #[serde(default)]
    pub budget: Option<profile::Budget>,
    /// What the reader of a report must know.
    pub notes: Vec<String>,
    /// Resident memory of all processes together.
    #[serde(default)]
    pub resident: Option<profile::Resident>,
    /// Names of the groups.
    pub groups: Vec<String>,
    /// How many processes were seen.
    pub seen: u64,
    /// Times at which probes had to be put on anew.
    pub gaps: u64,
    /// Who the programs are, by incarnation; without sums.
    pub processes: Vec<(u32, profile::Process)>,
    /// Names of the locations: module, address, and the frames there, innermost first.
    pub names: Vec<(u32, u64, Vec<profile::Frame>)>,
}
