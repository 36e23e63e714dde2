//! Every map, each with what bounds it.

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
};
use memtrace_common::{
    Counter,
    config::Config,
    event::Stack,
    limits,
    state::{LostFree, LostKey, Process, Thread},
};

/// Settings, written by the loader before the kernel verifies the programs.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Global<Config> = Global::new(Config {
    wakeup_bytes: 0,
    max_frames: limits::MAX_FRAMES as u32,
    reserved: 0,
});

/// One ring for all processors: that is what keeps frees and allocations in order. The loader sets its size.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(limits::RING_BYTES, 0);

/// The traced processes, by pid. Whoever is not here is not looked at.
#[map]
pub(crate) static PROCESSES: HashMap<u32, Process> = HashMap::with_max_entries(limits::MAX_PROCESSES, 0);

/// Calls in flight, by pid and tid. A value is made at a thread's first call and lives until the thread ends, so
/// memory is allocated once per thread and not for all possible threads at start.
#[map]
pub(crate) static THREADS: HashMap<u64, Thread> = HashMap::with_max_entries(limits::MAX_THREADS, BPF_F_NO_PREALLOC);

/// Frees that found the ring full. There are two maps: the BPF side writes to the one that [`LOST_ACTIVE`] names while
/// the collector empties the other, so that no entry can be renewed between being read and being removed.
#[map]
pub(crate) static LOST_FREES_A: HashMap<LostKey, LostFree> =
    HashMap::with_max_entries(limits::MAX_LOST_FREES, BPF_F_NO_PREALLOC);

/// The other one.
#[map]
pub(crate) static LOST_FREES_B: HashMap<LostKey, LostFree> =
    HashMap::with_max_entries(limits::MAX_LOST_FREES, BPF_F_NO_PREALLOC);

/// Which of the two is written to: 0 for the first.
#[map]
pub(crate) static LOST_ACTIVE: Array<u32> = Array::with_max_entries(1, 0);

/// A stack known to be in the collector's hands: its two identities. Direct-mapped; torn or overwritten slots only
/// cause a stack to be sent again.
#[repr(C)]
pub(crate) struct Seen {
    /// [`memtrace_common::identity::Identity::id`]
    pub(crate) id: u64,
    /// [`memtrace_common::identity::Identity::check`]
    pub(crate) check: u64,
}

/// Which stacks were sent.
#[map]
pub(crate) static SEEN: Array<Seen> = Array::with_max_entries(limits::SEEN_SLOTS, 0);

/// Memory for one walk. On preemptible kernels another task can take it over in the middle: `owner` tells.
#[repr(C)]
pub(crate) struct Scratch {
    /// Pid and tid of the task that uses it.
    pub(crate) owner: u64,
    /// Frames found so far. In map memory, not in a register, so that the compiler cannot conclude its bounds and
    /// drop the mask that the verifier needs.
    pub(crate) count: u64,
    /// The record under construction.
    pub(crate) stack: Stack,
}

/// The scratch memory of each processor.
#[map]
pub(crate) static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// The counters of each processor.
#[map]
pub(crate) static COUNTERS: PerCpuArray<[u64; Counter::COUNT]> = PerCpuArray::with_max_entries(1, 0);
