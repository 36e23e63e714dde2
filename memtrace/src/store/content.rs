//! What the blocks of a session file hold.
//!
//! What is written often is [postcard](https://postcard.jamesmunns.com/wire-format): columns of small numbers, without names. What
//! is written seldom is JSON, so that fields can be added. Sites, stacks, groups and modules have the numbers in which they were
//! written, from 0 on.

use std::{io, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::block::Kind;
use crate::{
    ledger::{ProcessFacts, ProcessesDropped, Tally},
    profile::{self, Amount},
};

/// What was recorded, where, and with what: [`Start`] as JSON; the first block.
pub const START: Kind = Kind(1);
/// New modules: a list of [`ModuleFacts`] as JSON.
pub const MODULES: Kind = Kind(2);
/// New stacks: [`NewStacks`].
pub const STACKS: Kind = Kind(3);
/// New sites: [`NewSites`].
pub const SITES: Kind = Kind(4);
/// Processes and groups that are new or that more is known of: [`ProcessNews`] as JSON.
pub const PROCESSES: Kind = Kind(5);
/// What has changed of sites since the moment before: [`Changes`]; the moment itself follows.
pub const CHANGES: Kind = Kind(6);
/// What is known of sites besides their sums: [`Detail`].
pub const DETAIL: Kind = Kind(7);
/// Names of locations: [`Names`].
pub const NAMES: Kind = Kind(8);
/// The end: [`End`] as JSON; the last block.
pub const END: Kind = Kind(9);
/// Events: [`super::frames`], one after the other.
pub const EVENTS: Kind = Kind(10);
/// A moment: [`Moment`].
pub const MOMENT: Kind = Kind(11);

/// Readings of resident memory before heaps of V8 were parts of it: a list of incarnation and `EarlierReading`.
pub const EARLIER_RESIDENT: Kind = Kind(12);

/// Readings of resident memory: a list of incarnation (0 for all together) and [`profile::resident::Reading`].
pub const RESIDENT: Kind = Kind(24);

/// Names of places in a runtime's own code, which are known when stacks go through them: [`RuntimeNames`].
pub const RUNTIME_NAMES: Kind = Kind(13);

/// What is new of heaps of JavaScript: a list of [`crate::ledger::JsNews`]. The moment follows.
pub const JS_HEAPS: Kind = Kind(21);

/// When V8 ran short of memory: a list of [`crate::ledger::JsShortageFacts`], with stacks that have been told. The moment follows.
pub const JS_SHORTAGES: Kind = Kind(20);

/// What was recorded, where, and with what.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Start {
    /// Version of the memtrace that wrote it.
    pub memtrace: String,
    /// Name of the machine.
    pub host: String,
    /// Release of its kernel.
    pub kernel: String,
    /// Architecture of the machine, as Rust names it.
    pub architecture: String,
    /// How memtrace was called.
    pub command_line: Vec<String>,
    /// When it began, in nanoseconds since 1970 (UTC).
    pub began_unix_ns: i64,
    /// What the clocks of the machine showed then, in seconds east of UTC.
    pub utc_offset_seconds: i32,
    /// The same moment in kernel time, nanoseconds.
    pub started_ns: u64,
    /// What is observed; its allocators are told by the processes.
    pub target: profile::Target,
    /// From which age on a block can be suspected, unless the reader asks for another.
    pub min_age: Duration,
    /// Names of the counters in moments, by number.
    pub counters: Vec<String>,
    /// Whether stacks are unwound by tables.
    pub by_tables: bool,
    /// The sampling interval in bytes, and of how much time a part was looked at, if allocations are sampled from the start.
    #[serde(default)]
    pub sampling: Option<(u64, u32)>,
}

/// A file that code was mapped from.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ModuleFacts {
    /// Its path as the target saw it, or what it is instead.
    pub name: String,
    /// Its build id in hexadecimal digits, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Its size in bytes, if it is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Stacks as paths in a tree whose root is beyond all frames. Node 0 is the root; a new node has the next number.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct NewStacks {
    /// Of each new node, how many numbers before it its caller is.
    pub back: Vec<u32>,
    /// Its module.
    pub modules: Vec<u32>,
    /// Its address less that of the node before: file offset, or avma where there is no file.
    pub addresses: Vec<i64>,
    /// Of each new stack, its leaf.
    pub leaves: Vec<u32>,
    /// Whether it reaches the start of its thread and every frame lies in known code.
    pub whole: Vec<bool>,
}

/// New sites, a column each.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct NewSites {
    /// Operations by number.
    pub ops: Vec<u8>,
    /// Stacks by number and 1, or 0 for a stack that is not known.
    pub stacks: Vec<u32>,
    /// Groups by number.
    pub groups: Vec<u32>,
}

/// What is new of processes and groups.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ProcessNews {
    /// Names of new groups.
    pub groups: Vec<String>,
    /// Who the programs are, by incarnation; without sums. What comes later counts.
    pub processes: Vec<(u32, profile::Process)>,
}

/// What has changed of sites since the moment before; a moment may have several of these.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Changes {
    /// The sites that changed, each as its distance from the one before, the first from -1.
    pub sites: Vec<u32>,
    /// Which of a site's [numbers](super::SiteState) changed: bit 0 for the first.
    pub masks: Vec<u16>,
    /// By how much each.
    pub by: Vec<i64>,
}

/// A moment: what is known of the whole observation, and of the processes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Moment {
    /// Sums of the programs that changed, as they are now.
    pub processes: Vec<ProcessFacts>,
    /// Programs whose process goes on with another one: they are not listed.
    pub replaced: Vec<u32>,
    /// Everything that is one number, as it is now.
    pub sums: Sums,
}

/// The numbers of a whole observation at a moment.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Sums {
    /// Live memory.
    pub live: Amount,
    /// Memory ever allocated.
    pub allocated: Amount,
    /// The largest live bytes so far.
    pub peak_live_bytes: u64,
    /// How many processes are alive.
    pub alive: u64,
    /// How many were seen.
    pub seen: u64,
    /// Times at which probes had to be put on anew.
    pub gaps: u64,
    /// Records taken from the ring.
    pub events: u64,
    /// Records that were not understood.
    pub malformed: u64,
    /// What could not be paired.
    pub tally: Tally,
    /// Processes that are not listed.
    pub processes_dropped: ProcessesDropped,
    /// Distinct stacks kept.
    pub kept_stacks: u64,
    /// Stacks that were not.
    pub stack_overflow: u64,
    /// Stacks that met under one identity.
    pub stack_collisions: u64,
    /// The BPF side's counters, those that are not zero, by the numbers that [`Start::counters`] gives.
    pub counters: Vec<(u16, u64)>,
    /// Processor seconds of the tracer.
    pub cpu_seconds: f64,
    /// Largest resident memory of the tracer, in bytes.
    pub peak_memory_bytes: u64,
    /// Moments that were left out since the last because the file could not be written fast enough.
    pub left_out: u64,
}

/// What is known of sites besides their sums, of those of which it has changed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Detail {
    /// The sites, each as its distance from the one before, the first from -1.
    pub sites: Vec<u32>,
    /// The facts of each.
    pub facts: Vec<SiteDetail>,
}

/// What is known of a site besides its sums.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SiteDetail {
    /// Live and at least [`Start::min_age`] old.
    pub aged: Amount,
    /// Variance of the estimate of live bytes.
    pub live_variance: Option<f64>,
    /// Kernel time of the oldest live block's allocation, nanoseconds.
    pub oldest_ns: Option<u64>,
    /// The same of what ended processes left.
    pub left_oldest_ns: Option<u64>,
    /// What is live by the class of its age: least age in nanoseconds, how much.
    pub ages: Vec<(u64, Amount)>,
    /// By the class of their size: least size in bytes, how many.
    pub sizes: Vec<(u64, u64)>,
    /// By the class of their lifetime: least time in nanoseconds, how many.
    pub lifetimes: Vec<(u64, u64)>,
}

/// Names of locations. Each block stands for itself.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Names {
    /// The strings that frames refer to.
    pub strings: Vec<String>,
    /// The frames.
    pub frames: Vec<NamedFrame>,
    /// Module and address of each location, and its frames, innermost first.
    pub locations: Vec<(u32, u64, Vec<u32>)>,
}

/// A frame; strings are by number and 1, or 0 for none.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct NamedFrame {
    /// The function.
    pub function: u32,
    /// The module's file name.
    pub module: u32,
    /// Offset in the module's file.
    pub offset: u64,
    /// Source file.
    pub file: u32,
    /// Source line.
    pub line: Option<u32>,
    /// Whether the call was inlined into the next frame.
    pub inlined: bool,
}

/// Places in a runtime's own code, which is in no file of the machine's: their addresses are the numbers in which they were written.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RuntimeNames {
    /// The module that stands for the runtime's code.
    pub module: u32,
    /// Whose code it is.
    pub kind: profile::FrameKind,
    /// The first number.
    pub first: u32,
    /// The strings that the columns refer to.
    pub strings: Vec<String>,
    /// The function of each place, by number of string.
    pub functions: Vec<u32>,
    /// Its file, likewise.
    pub files: Vec<u32>,
    /// Its line, or 0 where it is not known; the highest bit is set where the function was compiled into the next one.
    pub lines: Vec<u32>,
}

/// The end of an observation.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct End {
    /// Kernel time of the last moment, in nanoseconds.
    pub now_ns: u64,
    /// Why it ended.
    pub end: Option<profile::End>,
    /// The sampling interval in bytes, and of how much time a part was looked at, if allocations were sampled.
    #[serde(default)]
    pub sampling: Option<(u64, u32)>,
    /// What was done to keep within a budget.
    #[serde(default)]
    pub budget: Option<profile::Budget>,
    /// What the reader of a report must know.
    pub notes: Vec<String>,
    /// Run time of the BPF programs, in seconds.
    pub bpf_seconds: f64,
    /// What reading resident memory took.
    #[serde(default)]
    pub resident_effort: profile::resident::Effort,
}

/// Content as it goes into a block.
///
/// # Errors
/// None that can be acted on: every type here can be written.
pub fn pack<T: Serialize + ?Sized>(value: &T) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

/// The same as JSON.
///
/// # Errors
/// As [`pack`].
pub fn pack_json<T: Serialize + ?Sized>(value: &T) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

/// A value of a block, if that is one.
pub(super) fn unpack<T: DeserializeOwned>(content: &[u8]) -> Option<T> {
    postcard::from_bytes(content).ok()
}

/// The same of JSON.
pub(super) fn unpack_json<T: DeserializeOwned>(content: &[u8]) -> Option<T> {
    serde_json::from_slice(content).ok()
}
