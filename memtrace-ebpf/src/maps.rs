//! Every map, each with what bounds it.

mod javascript;
mod v8;

pub(crate) use self::javascript::{CODES, ENGINE_COUNT, ENGINES, FUNCTIONS, JAVASCRIPT, JavaScriptWalk, Text};
pub(crate) use self::v8::{AREA_TURNS, DRAWN, V8_FOLLOWING, V8_PACES, V8_THREADS, WATCHES};

use aya_ebpf::{
    Global,
    bindings::{BPF_F_INNER_MAP, BPF_F_NO_PREALLOC},
    btf_maps,
    macros::{btf_map, map},
    maps::{Array, HashMap, PerCpuArray, RingBuf},
};
use memtrace_common::{
    Counter,
    check::Checked,
    config::{Config, Files, Join, PidNamespace, ReturnProbes, ThreadPointer, Threads, Trampoline},
    event::{PythonCode, Stack},
    identity::Identity,
    limits,
    pymalloc::Heap,
    python::{self, CODE_WORDS, FRAME_WORDS, Layout, STATE_WORDS, TEXT_WORDS},
    sampling::{KNOWN_ROW_BYTES, KNOWN_ROWS},
    space::{Changes, FileKey, FileTable, Recent, Space},
    state::{LostFree, LostKey, Mode, Process, Thread},
    unwind::CHUNK_WORDS,
    young::{COUNTED_ROWS, CountedRow, YOUNG_ROWS, YoungRow},
};

/// Settings, written by the loader before the kernel verifies the programs.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Global<Config> = Global::new(Config {
    wakeup_bytes: 0,
    max_frames: limits::MAX_FRAMES as u32,
    by_tables: 0,
    join: Join::Nobody as u32,
    follow: 0,
    has_loop: 0,
    return_probes: ReturnProbes {
        known: 0,
        task_utask: 0,
        utask_instances: 0,
        instance_stack: 0,
        instance_address: 0,
        instance_next: 0,
    },
    trampoline: Trampoline {
        known: 0,
        task_mm: 0,
        mm_area: 0,
        area_address: 0,
    },
    thread_pointer: ThreadPointer { known: 0, task_base: 0 },
    threads: Threads {
        known: 0,
        task_signal: 0,
        signal_live: 0,
    },
    files: Files {
        known: 0,
        task_files: 0,
        files_table: 0,
        table_entries: 0,
        file_inode: 0,
        inode_number: 0,
        inode_system: 0,
        system_device: 0,
        task_mm: 0,
        mm_executable: 0,
        mm_code: 0,
        mm_auxiliary: 0,
        area_file: 0,
    },
    everywhere: 0,
    young: 0,
    processors: 0,
    javascript_sites: 0,
    reserved: 0,
    pid_namespace: PidNamespace { device: 0, inode: 0 },
    command: [0; limits::COMMAND_BYTES],
});

/// One ring for all processors: that is what keeps frees and allocations in order. The loader sets its size.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(limits::RING_BYTES, 0);

/// The traced processes, by pid, and those that never are. Whoever else comes joins, or is not looked at.
#[map]
pub(crate) static PROCESSES: HashMap<u32, Process> = HashMap::with_max_entries(limits::MAX_PROCESSES, 0);

/// What is known of the hooks of a program, by incarnation: bits of [`memtrace_common::state::hooked`].
#[map]
pub(crate) static HOOKED: HashMap<u32, u32> = HashMap::with_max_entries(limits::MAX_PROCESSES, BPF_F_NO_PREALLOC);

/// What came of the hooks that are checked, by their numbers ([`memtrace_common::Cookie::hook`]). The collector enters them.
#[map]
pub(crate) static CHECKED: HashMap<u32, Checked> = HashMap::with_max_entries(limits::MAX_CHECKED, BPF_F_NO_PREALLOC);

/// What the programs do.
#[map]
pub(crate) static MODE: Array<Mode> = Array::with_max_entries(1, 0);

/// Addresses that the collector may know, as bits; two halves. The loader makes it small when every free is taken.
#[map]
pub(crate) static KNOWN: Array<[u64; KNOWN_ROW_BYTES / 8]> = Array::with_max_entries(2 * KNOWN_ROWS, 0);

/// The incarnation that was given out last.
#[map]
pub(crate) static INCARNATION: Array<u32> = Array::with_max_entries(1, 0);

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

/// Blocks that wait for their free. The loader makes it small when it is not used.
#[map]
pub(crate) static YOUNG: Array<YoungRow> = Array::with_max_entries(YOUNG_ROWS + 1, 0);

/// Sums of those that were freed, for each processor. The loader sets its size.
#[map]
pub(crate) static COUNTED: Array<CountedRow> = Array::with_max_entries(COUNTED_ROWS + 1, 0);

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

/// Words of stack that are read at once: 4 KiB. Measured: one read of 4 KiB costs as much as four of 8 bytes; larger ones run
/// over the end of a stack more often, and a read that fails costs four times one that does not.
pub(crate) const WINDOW_WORDS: usize = 512;

/// Where a walk is. In map memory, not on the program's stack: the verifier would follow every value that a counter
/// there can have.
#[repr(C)]
pub(crate) struct Walk {
    /// Registers of the frame that is to be left; `ip` is one of its return addresses, or one past its instruction.
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    pub(crate) bp: u64,
    /// Frames found so far.
    pub(crate) count: u64,
    /// Words of the record that they take.
    pub(crate) words: u64,
    /// 1 when the collector could not be told of a function of JavaScript.
    pub(crate) lost: u64,
    /// Identity of the frames so far.
    pub(crate) identity: Identity,
    /// Address (avma) of the first word in the window.
    pub(crate) window: u64,
    /// Bytes of the window that are valid.
    pub(crate) window_bytes: u64,
    /// 1 when the last word could not be read.
    pub(crate) unreadable: u64,
    /// Mark of the rules that may be taken from the cache, in the upper 16 bits; 0 when there is no space.
    pub(crate) generation: u64,
    /// [`memtrace_common::space::Space::covers`]
    pub(crate) covers: u64,
    /// [`memtrace_common::event::StackHead::epoch`]
    pub(crate) epoch: u64,
    /// 1 when something changed since the space was published.
    pub(crate) changed: u64,
    /// First address (avma) of the page that probed functions return to, or 0.
    pub(crate) trampoline: u64,
    /// The return probe's record that was used last (a kernel address), or 0.
    pub(crate) instance: u64,
    /// [`memtrace_common::event::StackEnd`] as its number, once `done`.
    pub(crate) end: u64,
    /// Bits of [`memtrace_common::event::note`].
    pub(crate) notes: u64,
    /// [`memtrace_common::state::Process::space`]
    pub(crate) space: u64,
    /// 1 when a rule was found by what was mapped lately.
    pub(crate) recent: u64,
}

/// Memory for one walk. On preemptible kernels another task can take it over in the middle: `owner` tells.
#[repr(C)]
pub(crate) struct Scratch {
    /// Pid and tid of the task that uses it.
    pub(crate) owner: u64,
    /// Where the walk is.
    pub(crate) walk: Walk,
    /// A piece of the stack.
    pub(crate) words: [u64; WINDOW_WORDS],
    /// The record under construction.
    pub(crate) stack: Stack,
    /// Where the walk through Python frames is.
    pub(crate) python: PythonWalk,
}

/// Bytes behind the record of a Python function: more than may follow it, by what the verifier believes of lengths. All of the scratch
/// must stay below 32 KiB, which is the kernel's limit for a value of each processor (`PCPU_MIN_UNIT_SIZE`, include/linux/percpu.h).
pub(crate) const CODE_TAIL: usize = 20 << 10;

/// Where a walk through Python frames is.
#[repr(C)]
pub(crate) struct PythonWalk {
    /// The frame that is to be read (avma), or 0.
    pub(crate) frame: u64,
    /// Entries so far.
    pub(crate) count: u64,
    /// 1 when the collector could not be told of some code.
    pub(crate) lost: u64,
    /// The process, and its incarnation.
    pub(crate) pid: u32,
    pub(crate) incarnation: u32,
    /// The code of the current frame.
    pub(crate) code: python::Code,
    /// What was read of the thread state, of the frame, of its code and of a string.
    pub(crate) state_words: [u64; STATE_WORDS],
    pub(crate) frame_words: [u64; FRAME_WORDS],
    pub(crate) code_words: [u64; CODE_WORDS],
    pub(crate) text_words: [u64; TEXT_WORDS],
    /// The record of a function under construction.
    pub(crate) record: PythonCode,
    /// What follows it.
    pub(crate) tail: [u8; CODE_TAIL],
}

const _: () = assert!(size_of::<Scratch>() <= 32 << 10);

/// The scratch memory of each processor.
#[map]
pub(crate) static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// The counters of each processor.
#[map]
pub(crate) static COUNTERS: PerCpuArray<[u64; Counter::COUNT]> = PerCpuArray::with_max_entries(1, 0);

/// Executable mappings of the traced processes, by [`Process::space`]. The kernel puts a new value beside the old one, so
/// what is being read is not written to; but it may use the old one's memory for the value after that.
#[map]
pub(crate) static SPACES: HashMap<u32, Space> = HashMap::with_max_entries(limits::MAX_SPACES, BPF_F_NO_PREALLOC);

/// What became newer than the space, likewise.
#[map]
pub(crate) static CHANGES: HashMap<u32, Changes> = HashMap::with_max_entries(limits::MAX_PROCESSES, BPF_F_NO_PREALLOC);

/// Tables by file.
#[map]
pub(crate) static FILES: HashMap<FileKey, FileTable> = HashMap::with_max_entries(limits::MAX_FILES, BPF_F_NO_PREALLOC);

/// Code mapped lately, by [`Process::space`].
#[map]
pub(crate) static RECENTS: HashMap<u32, Recent> = HashMap::with_max_entries(limits::MAX_SPACES, BPF_F_NO_PREALLOC);

/// Memory for a new value of [`RECENTS`], which is too large for a program's stack.
#[map]
pub(crate) static NO_RECENT: Array<Recent> = Array::with_max_entries(1, 0);

/// Interpreters, by [`Process::program`].
#[map]
pub(crate) static PYTHONS: HashMap<u32, Layout> = HashMap::with_max_entries(python::MAX_LAYOUTS, BPF_F_NO_PREALLOC);

/// Heaps of interpreters whose objects are followed where their code is in line, by [`Process::program`].
#[map]
pub(crate) static HEAPS: HashMap<u32, Heap> = HashMap::with_max_entries(python::MAX_LAYOUTS, BPF_F_NO_PREALLOC);

/// How many [`PYTHONS`] there are: mostly none, and then there is nothing to look up.
#[map]
pub(crate) static PYTHON_COUNT: Array<u32> = Array::with_max_entries(1, 0);

/// Which Python functions the collector was told of: by identity, direct-mapped, as [`SEEN`].
#[map]
pub(crate) static DEFINED: Array<u64> = Array::with_max_entries(python::DEFINED_SLOTS, 0);

/// One piece of a table.
pub(crate) type Chunk = [u32; CHUNK_WORDS];

/// Unwind tables. An array for each batch of files, so that memory is used for what is loaded and given back.
#[btf_map]
pub(crate) static TABLES: btf_maps::ArrayOfMaps<
    btf_maps::Array<Chunk, 1, { BPF_F_INNER_MAP as usize }>,
    { limits::MAX_ARENAS as usize },
> = btf_maps::ArrayOfMaps::new();

/// A rule that was looked up: the address it is for, marked with the generation, combined with the rule, and the rule. As
/// both words are written without a lock, a reader may see halves of two entries: the first word then does not fit.
#[repr(C)]
pub(crate) struct CachedRule {
    /// Exclusive or of key and rule.
    pub(crate) mixed: u64,
    /// The rule.
    pub(crate) rule: u64,
}

/// Rules by address, direct-mapped.
#[map]
pub(crate) static RULES: Array<CachedRule> = Array::with_max_entries(limits::CACHED_RULES, 0);

/// Nothing but something to go over: how kernels without `bpf_loop` turn a loop.
#[map]
pub(crate) static TURNS: Array<u32> = Array::with_max_entries(TURNS_COUNT, 0);

/// Turns of the loop at most; each makes four steps.
pub(crate) const TURNS_COUNT: u32 = 32;

const _: () = assert!(4 * TURNS_COUNT as usize >= limits::MAX_FRAMES);
