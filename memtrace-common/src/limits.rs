//! Capacities, with the reason for each and the relations between them.

/// Deepest call stack that is walked, in frames. The kernel's own limit for user stacks is 127 too
/// (`PERF_MAX_STACK_DEPTH`, `include/uapi/linux/perf_event.h`).
pub const MAX_FRAMES: usize = 127;

/// Frames of a stack together with those of a runtime's own that are merged with them.
pub const MAX_MERGED: usize = MAX_FRAMES + crate::python::MAX_ENTRIES;

/// Threads that can have a call in flight; a value is about 290 bytes and made on first use.
pub const MAX_THREADS: u32 = 65_536;

/// Threads of which it is known that a pause for a collection goes on, or that they have made a large object. Who is noted last stays.
pub const MAX_V8_THREADS: u32 = 1024;

/// Allocation areas that are known of them: each has one for young objects, one for old ones, and some that are hardly used.
pub const MAX_V8_AREAS: u32 = 4 * MAX_V8_THREADS;

/// Size in bytes of the ring of bytes that are to be watched. Some hundred are drawn in a second.
pub const DRAWN_BYTES: u32 = 64 << 10;

/// Processes traced at once: as many as Linux numbers by default (`PID_MAX_DEFAULT`, include/linux/threads.h).
pub const MAX_PROCESSES: u32 = 32_768;

/// Slots of the filter that keeps a stack from being sent twice. A conflict only sends a stack again.
pub const SEEN_SLOTS: u32 = 1 << 16;

/// Frees that could not be sent and are remembered until the collector has applied them, in each of two maps.
pub const MAX_LOST_FREES: u32 = 65_536;

/// Default size of the ring buffer in bytes. The kernel wants a power of two and whole pages.
pub const RING_BYTES: u32 = 8 << 20;

/// Smallest ring that can be asked for, in bytes: several stack records must fit.
pub const RING_BYTES_MIN: u32 = 64 << 10;

/// Largest step from one frame pointer to the next that is believed, in bytes. Linux gives a main
/// thread 8 MiB of stack by default; a larger step is a register that held something else.
pub const MAX_FRAME_BYTES: u64 = 8 << 20;

/// Executable mappings of a process that the BPF side knows. A Python program with its scientific libraries has some 600.
pub const MAX_MAPPINGS: usize = 1024;

/// Processes whose stacks are unwound by tables at once, without those that share their code with the one they were forked
/// from. Each takes 64 KiB of kernel memory, when it is there.
pub const MAX_SPACES: u32 = 2_048;

/// Length of the name of a program, in bytes with the final 0 (`TASK_COMM_LEN`, include/linux/sched.h).
pub const COMMAND_BYTES: usize = 16;

/// Files whose table can be found by the file itself.
pub const MAX_FILES: u32 = 16_384;

/// Arrays of tables that can be loaded at once. Each holds the tables of any number of files.
pub const MAX_ARENAS: u32 = 1024;

/// Slots of the cache of rules, by address.
pub const CACHED_RULES: u32 = 16_384;

/// Slots of the table in which blocks wait for their free: 1 MiB.
pub const YOUNG_SLOTS: u32 = 1 << 14;

/// Slots of the table of pairs for each processor: 256 KiB.
pub const COUNTED_SLOTS: u32 = 1 << 11;

/// Hooks that are checked, of all files together. A file has some twenty at most, and few files have an allocator.
pub const MAX_CHECKED: u32 = 4096;

/// Processors that have slots of their own; with more, some share theirs. The walk over all slots, whenever a process ends, stays
/// below a millisecond.
pub const COUNTING_PROCESSORS: u32 = 16;

/// Of how many hits one is timed to estimate the run time of the programs. A power of two.
pub const TIMED_HITS: u64 = 64;

const _: () = {
    assert!(SEEN_SLOTS.is_power_of_two());
    assert!(TIMED_HITS.is_power_of_two());
    assert!(YOUNG_SLOTS.is_power_of_two() && COUNTED_SLOTS.is_power_of_two());
    assert!(COUNTING_PROCESSORS.is_power_of_two());
    assert!(CACHED_RULES.is_power_of_two());
    assert!(MAX_MAPPINGS.is_power_of_two());
    assert!(RING_BYTES.is_power_of_two() && RING_BYTES >= RING_BYTES_MIN);
    assert!((RING_BYTES_MIN as usize) > 8 * size_of::<crate::event::Stack>());
};
