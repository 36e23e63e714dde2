//! [`Profile`]: the waist between collection and every output.
//!
//! A profile is an immutable value. Whoever makes it has already attributed, symbolized and judged;
//! whoever renders it adds nothing but form, so a number shown in two outputs is the same number.
//! Sizes are bytes, times are as their names say.

pub mod accuracy;
pub mod annotate;
pub mod calltree;
pub mod census;
mod check;
pub mod code;
pub mod diff;
pub mod dump;
pub mod filter;
#[cfg(test)]
pub(crate) mod fixture;
mod frame_kind;
pub mod growth;
pub mod heap;
pub mod heap_sample;
pub mod histogram;
mod history;
pub mod javascript;
pub mod js_heap;
pub mod js_shortage;
pub mod js_sites;
pub mod js_space;
pub mod js_survival;
pub mod leak;
mod measure;
pub mod modules;
pub(crate) mod plumbing;
mod process;
mod query;
pub mod resident;
mod sampling;
pub mod spaces;
pub mod suppress;
mod timeline;
mod view;

use std::time::Duration;

use memtrace_common::op::{Class, Op};
use serde::{Deserialize, Serialize};

pub use self::{
    check::Check,
    frame_kind::FrameKind,
    history::History,
    js_heap::JsHeap,
    js_shortage::JsShortage,
    measure::Measure,
    modules::Module,
    process::{Process, SameHooks},
    resident::Resident,
    sampling::{Budget, Sampling, StepTime, Windows},
    timeline::Moment,
    view::View,
};

/// Where the live bytes of one or more processes were allocated, over one observation.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What was observed.
    pub target: Target,
    /// From the first probe to the last event.
    pub observed: Duration,
    /// What the report was asked to show.
    pub settings: Settings,
    /// What sites were chosen by, a clause each; none when all are there.
    pub filter: Vec<String>,
    /// Sums over all sites, those not shown included.
    pub totals: Totals,
    /// Sums at moments of the observation, in order of time: those of the sites' histories.
    pub timeline: Vec<Moment>,
    /// Distinct frames; stacks refer to them by index.
    pub frames: Vec<Frame>,
    /// The files that frames are in, as far as they are known; frames refer to them by name.
    pub modules: Vec<Module>,
    /// Distinct stacks, each leaf first.
    pub stacks: Vec<Vec<FrameIndex>>,
    /// Names of what sites are kept apart by (processes, containers, programs); none when they are not.
    pub groups: Vec<String>,
    /// All sites, most live bytes first, then most allocated bytes, then by stack, so the order is fixed.
    pub sites: Vec<Site>,
    /// The processes that were observed, most live bytes first.
    pub processes: Vec<Process>,
    /// Processes that have ended and are not in the list, because there was no room.
    pub processes_dropped: u64,
    /// Resident memory of all processes together, or `None` when it could not be read.
    pub resident: Option<Resident>,
    /// What objects of Python programs there were at the beginning and at the end, where that was asked for.
    pub censuses: Vec<census::Growth>,
    /// The heaps of threads that run JavaScript, who has taken most first.
    pub js_heaps: Vec<JsHeap>,
    /// When V8 ran out of memory, or came near the limit of a heap, in their order.
    pub js_shortages: Vec<JsShortage>,
    /// Earlier ones that are not in the list, because there was no room.
    pub js_shortages_dropped: u64,
    /// How far the numbers can be trusted, and what they cost.
    pub health: Health,
}

/// Index into [`Profile::frames`].
pub type FrameIndex = u32;

/// What was observed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Target {
    /// What was asked for, in words: `process 4242`, `programs named nginx`, `cgroup /system.slice/nginx.service`.
    #[serde(default)]
    pub selection: String,
    /// Process id; of several processes that of the first.
    pub pid: u32,
    /// Name of the program's main thread (`comm`).
    pub command: String,
    /// Path of the executable as the target sees it.
    pub executable: String,
    /// The executable's build id in hexadecimal digits, where it has one and one process was meant.
    #[serde(default)]
    pub build_id: Option<String>,
    /// Allocators that were hooked; of several processes those of any.
    pub allocators: Vec<Allocator>,
    /// Why the observation ended, or `None` while it goes on.
    pub end: Option<End>,
}

/// An allocator found in the target.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Allocator {
    /// Its name, for example `glibc`.
    pub name: String,
    /// The file it is in, as the target sees it.
    pub path: String,
    /// The functions that were hooked, by name.
    pub hooks: Vec<String>,
}

/// Why an observation ended.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason", content = "status")]
pub enum End {
    /// The asked-for duration is over.
    Duration,
    /// The user stopped it.
    Interrupted,
    /// It went on; a recording was asked what was known at a moment.
    Moment,
    /// The target exited, with its exit status in words where it is known; of several targets all have.
    Exited(Option<String>),
}

/// What the report was asked to show.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Rows in tables.
    pub top: usize,
    /// A block younger than this is never suspected.
    pub min_age: Duration,
    /// A site with fewer suspected bytes than this is not reported.
    pub min_size: u64,
    /// Sites that are not to be told as leaks.
    #[serde(skip)]
    pub suppressions: suppress::Suppressions,
    /// Bytes that may be suspected of leaking; with more the check fails. `None` when nobody asked for one.
    pub fail_over: Option<u64>,
    /// Which frames are shown where a runtime has frames of its own.
    #[serde(skip)]
    pub view: View,
}

/// Bytes and blocks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct Amount {
    /// Requested bytes.
    pub bytes: u64,
    /// Blocks or mappings.
    pub count: u64,
}

/// Sums over all sites.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Live memory: heap and mapped.
    pub live: Amount,
    /// Memory ever allocated: heap and mapped.
    pub allocated: Amount,
    /// The largest live bytes at any moment, heap and mapped; behind a filter the largest at a moment of the histories, so at least that.
    pub peak_live_bytes: u64,
    /// Live amounts of each class, files and reserved address space included.
    pub live_by_class: Vec<(Class, Amount)>,
}

/// A unique call stack and operation.
#[derive(Clone, Debug)]
pub struct Site {
    /// The operation.
    pub op: Op,
    /// Index into [`Profile::stacks`], or `None` when the stack was lost.
    pub stack: Option<usize>,
    /// Index into [`Profile::groups`], or `None` when sites are not kept apart.
    pub group: Option<usize>,
    /// Not yet freed. Once all targets have ended: what was live as they did.
    pub live: Amount,
    /// Live when its process ended while others went on: no part of `live`, unless all targets have ended.
    pub at_exit: Amount,
    /// Live when frees stopped being seen: whether it was freed since is not known, and it is no part of `live`.
    pub unknown: Amount,
    /// Ever allocated.
    pub allocated: Amount,
    /// Live at the moment of the most live bytes of all sites, where that was kept.
    pub at_peak: Option<Amount>,
    /// How its allocations are spread.
    pub spread: Spread,
    /// Live and at least [`Settings::min_age`] old.
    pub aged: Amount,
    /// Variance of the estimate of live bytes, where it is one and that is known.
    pub live_variance: Option<f64>,
    /// Age of the oldest live block.
    pub oldest: Option<Duration>,
    /// What is live by the class of its age: (least age, how much); below a second, then one class to each power of two of
    /// seconds. What processes left that ended before the last one is in none.
    pub ages: Vec<(Duration, Amount)>,
    /// Change of live bytes per second, by least squares over `history`.
    pub growth_bytes_per_second: f64,
    /// Live bytes at evenly spaced moments of the observation.
    pub history: History,
    /// Why it is suspected of leaking, or `None`.
    pub suspicion: Option<Suspicion>,
}

/// How the allocations of a site are spread.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    /// Allocated and freed while it was observed; `None` for mappings, of which parts can be given back.
    pub temporary: Option<Amount>,
    /// By the class of their size: (least size in bytes, how many).
    pub sizes: Vec<(u64, u64)>,
    /// Freed blocks by the class of their lifetime: (least time, how many). What was freed unseen is in none.
    pub lifetimes: Vec<(Duration, u64)>,
}

/// Why a site is suspected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suspicion {
    /// What can be claimed.
    pub verdict: Verdict,
    /// From 0 to 100: how strongly the evidence speaks for a leak. Not a probability.
    pub score: u8,
    /// The blocks that are suspected.
    pub amount: Amount,
    /// What the score is made of.
    pub evidence: leak::evidence::Evidence,
    /// The evidence, one clause each, strongest first.
    pub reasons: Vec<String>,
    /// The suppressions that are about it, as indices into those of [`Profile::settings`].
    pub suppressed_by: Vec<usize>,
}

impl Suspicion {
    /// Whether it is not to be told as a leak.
    pub const fn is_suppressed(&self) -> bool {
        !self.suppressed_by.is_empty()
    }
}

/// What can be claimed of a suspected site, strongest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The target exited and the blocks were still live; or one of several did, and what it left is most of what is suspected.
    Leaked,
    /// Old blocks, and live bytes that keep growing.
    Growing,
    /// Old blocks without growth: a cache or something allocated once looks the same.
    StillLive,
}

/// One level of a stack after symbolization; an inlined call is a frame of its own.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
pub struct Frame {
    /// Demangled function, or `None` when no symbol covers the address.
    pub function: Option<String>,
    /// File name of the module (`libc.so.6`), `[vdso]`, `[anon]`, or `[unknown]`.
    pub module: String,
    /// Offset in the module's file (or the avma where there is no file), for frames without a symbol.
    pub offset: u64,
    /// Source file, where debug information has it.
    pub file: Option<String>,
    /// Source line.
    pub line: Option<u32>,
    /// Whether this call was inlined into the next frame.
    pub inlined: bool,
    /// Whose code it is.
    #[serde(default)]
    pub kind: FrameKind,
}

/// How far the numbers can be trusted, and what they cost.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Health {
    /// Records taken from the ring, stacks included.
    pub events: u64,
    /// Allocations that were lost because the ring was full.
    pub lost_allocations: u64,
    /// Requested bytes of those.
    pub lost_bytes: u64,
    /// Frees that found the ring full, were remembered in the kernel and applied late.
    pub recovered_frees: u64,
    /// Frees that were lost for good: as many rows may show blocks that are no longer live.
    pub forgotten_frees: u64,
    /// Other records that were lost.
    pub lost_other: u64,
    /// Frees of blocks that were not known: allocated before attach, or lost.
    pub unmatched_frees: u64,
    /// Allocations at an address that was still live: their free was missed.
    pub conflicts: u64,
    /// Records that were not understood.
    pub malformed: u64,
    /// Times at which the probes had to be put on anew: calls in between were not seen, frees too.
    pub gaps: u64,
    /// Processes that were observed.
    pub process_count: u64,
    /// Processes that ran for a time before their probes were on.
    pub late_processes: u64,
    /// Processes that belong to the targets and in which nothing is hooked, or not all.
    pub unhooked_processes: u64,
    /// Allocations that there was no room for: they are missing from all sums.
    pub not_kept: u64,
    /// How allocations were chosen, or `None` when each was taken.
    pub sampling: Option<Sampling>,
    /// What was done to keep within a budget, or `None` without one.
    pub budget: Option<Budget>,
    /// The windows in which every object was followed, or `None` when it was not done in such.
    pub windows: Option<Windows>,
    /// State of the call stacks.
    pub stacks: StackHealth,
    /// Distinct frames with a function name, of all distinct frames.
    pub frames_symbolized: u64,
    /// Distinct frames.
    pub frames_total: u64,
    /// Everything else that a reader must know, a sentence each.
    pub notes: Vec<String>,
    /// The BPF side's own counters by name, those that are not zero.
    pub counters: Vec<(String, u64)>,
    /// What observing cost.
    pub cost: Cost,
}

/// State of the call stacks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StackHealth {
    /// Distinct stacks kept.
    pub distinct: u64,
    /// Events whose stack reaches the start of its thread.
    pub complete: u64,
    /// Events whose stack was cut at the depth limit.
    pub deep: u64,
    /// Allocations whose stack ends early for another reason.
    pub broken: u64,
    /// Events whose stack ends in code without a table, where the frame pointer leads nowhere.
    pub no_table: u64,
    /// Events whose stack ends where memory could not be read.
    pub unreadable: u64,
    /// Events whose stack ends at a rule that cannot be computed.
    pub unsupported: u64,
    /// Events whose stack was taken before the table of some frame was loaded.
    pub early: u64,
    /// Events whose stack goes through a signal at an instruction that the tables are not sure about: the frames beyond it may
    /// be wrong.
    pub signal: u64,
    /// Events whose stack was lost because the ring was full.
    pub lost: u64,
    /// Events whose stack was lost because another task took over the memory it was walked in.
    pub scratch_taken: u64,
    /// Stacks not kept because the table was full; their bytes are under "no stack".
    pub overflow: u64,
    /// Different stacks that met under one identity.
    pub collisions: u64,
}

/// What observing cost.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cost {
    /// Processor seconds of the tracer, user and system.
    pub cpu_seconds: f64,
    /// Largest resident memory of the tracer.
    pub peak_memory_bytes: u64,
    /// Run time of the BPF programs, estimated from the hits that were timed; the trap into the kernel
    /// is not part of it.
    pub bpf_seconds: f64,
    /// Probe hits.
    pub hits: u64,
}
