//! Values and keys of the BPF maps.

use crate::{check::Check, young::Block};

/// A traced process; the key is its pid (tgid).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Process {
    /// Another one for each program of each process of a session: (incarnation, address) names a block. 0 for a process that
    /// is never traced.
    pub incarnation: u32,
    /// The incarnation under which [`crate::space::Space`] and [`crate::space::Changes`] are found: its own, or the one that it
    /// was forked from as long as both have the same code.
    pub space: u32,
    /// The process whose memory it has: itself, or its parent after `vfork`.
    pub pid: u32,
    /// The incarnation that its program began with: its own, or that of the process which it was forked from. What is known of an
    /// interpreter is found under it.
    pub program: u32,
}

/// Bits of what is known of the hooks of a program.
pub mod hooked {
    /// They are on. Until then its allocator's own mappings cannot be told from those that the program makes.
    pub const YES: u32 = 1;
    /// They are for every process that has its files, so that a child has them from its beginning.
    pub const EVERYWHERE: u32 = 2;
}

/// First number that the collector gives to processes which it adds while programs run; below, the BPF side counts.
pub const COLLECTORS_INCARNATIONS: u32 = 1 << 31;

/// What the programs do, as the collector changes it while they run. Each word is read by itself: whoever changes several
/// does it in an order in which all that is between is right too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Mode {
    /// 1 once the observation is over: no program does anything for any process.
    pub over: u32,
    /// Bits of [`known`].
    pub known: u32,
    /// The sampling interval in bytes, a power of two; 0 when every allocation is taken, [`CLOSED`] when none is.
    pub interval: u64,
    /// Of how much time allocations are looked at for a part: a block that is taken stands for so many times its weight. At
    /// least 1.
    pub times: u32,
    /// Number of the window in which calls are looked at that only take memory: one that began in another window may have
    /// returned unseen. Odd, so that it is never that of an era.
    pub window: u32,
    /// The same for calls that may give memory back. Even.
    pub era: u32,
    /// 1 once mappings may have been made of which it is not known whether they are the allocator's: then its unmappings count.
    pub any: u32,
}

impl Mode {
    /// Takes every allocation.
    pub const ALL: Self = Self {
        over: 0,
        known: 0,
        interval: 0,
        times: 1,
        window: 1,
        era: 0,
        any: 0,
    };

    /// Whether a call that began in this window, or era, is certain to have been looked at since.
    #[inline(always)]
    pub const fn is_current(&self, window: u32) -> bool {
        window == self.window || window == self.era
    }
}

/// See [`Mode::interval`].
pub const CLOSED: u64 = u64::MAX;

/// Bits of [`Mode::known`]: what is done with the filter of addresses that the collector may know. It has two halves, so that one
/// can be made anew while the other is used.
pub mod known {
    /// New blocks are entered into the first half.
    pub const ENTER_FIRST: u32 = 1;
    /// New blocks are entered into the second half.
    pub const ENTER_SECOND: u32 = 2;
    /// A free is passed over when its address is not in the first half.
    pub const ASK_FIRST: u32 = 4;
    /// A free is passed over when its address is not in the second half.
    pub const ASK_SECOND: u32 = 8;
}

/// What is in flight on one thread; the key is pid and tid as `bpf_get_current_pid_tgid` gives them.
///
/// Only the outermost allocator call is kept: calls nested in it are recognised by their stack pointer and
/// belong to it, so nothing can be overwritten by nesting.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Thread {
    /// The allocator call in flight; `sp` 0 when there is none.
    pub call: Call,
    /// The mapping system call in flight; `op` 0 when there is none.
    pub syscall: Syscall,
    /// The last block that the thread gave to a `free`.
    pub freeing: Freeing,
    /// Registers at the entry of the C library's wrapper of a mapping call; `sp` 0 when there are none.
    pub wrapper: Registers,
    /// First address (avma) of the page that probed functions return to, 0 as long as it is not known.
    pub trampoline: u64,
    /// The block to be replaced, with [`HOLDS_OLD`].
    pub old: Block,
    /// The call that is being checked.
    pub check: Check,
    /// What pymalloc's code in line has given, or will have given by a call of its own function.
    pub given: Given,
}

/// A block of a `realloc` that is code in line. It may call pymalloc's own function for the new block: that call is then no other one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Given {
    /// Address of the block (avma), 0 for none, or [`Given::OF_NOTHING`].
    pub address: u64,
    /// How many calls the thread has made since: that one is the first, if there is one.
    pub calls: u64,
}

impl Given {
    /// In the place of an address: 0 bytes were asked for, for which pymalloc asks the C library for one.
    pub const OF_NOTHING: u64 = 1;
}

/// Bit of [`Call::flags`]: it is a call by code in line that waits for a new pool. What is at its stack pointer is no return address.
pub const AT_SITE: u64 = 1 << 33;

/// Bit of [`Call::flags`]: the old block was young, and [`Thread::old`] holds it until the call ends.
pub const HOLDS_OLD: u64 = 1 << 32;

/// The outermost allocator call of a thread, from its entry to its return.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Call {
    /// Stack pointer at the entry: where the return address lies.
    pub sp: u64,
    /// Requested size in bytes.
    pub size: u64,
    /// The block to be replaced, or 0.
    pub old: u64,
    /// Where `posix_memalign` stores its result, or 0.
    pub out: u64,
    /// Identity of the call stack, or 0 when it could not be taken.
    pub stack: u64,
    /// The hook's cookie.
    pub cookie: u64,
    /// [`crate::event::flag`] bits found at the entry, and [`HOLDS_OLD`].
    pub flags: u64,
    /// The return address, for a call whose return is seen by probes on instructions; else 0.
    pub return_address: u64,
    /// For how many blocks the new one stands; 0 when it is not in the sample.
    pub weight: u32,
    /// [`Mode::window`] at the entry, or [`Mode::era`] for a call that may give memory back.
    pub window: u32,
}

/// A call of a function that frees, to recognise the same block on its way through several hooks: a `free` that is wrapped
/// by another, or `operator delete` that ends in it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Freeing {
    /// Address of the block (avma).
    pub address: u64,
    /// Stack pointer at the entry.
    pub sp: u64,
    /// The hook's cookie.
    pub cookie: u64,
    /// The state in which the block's slot among the young ones was left, when it was taken from there; else 0.
    pub left: u64,
}

/// A mapping system call, from its entry to its exit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Syscall {
    /// The call's first address argument.
    pub address: u64,
    /// The call's length argument; for `mremap` the old length.
    pub size: u64,
    /// [`crate::Op`] as its number, or 0.
    pub op: u32,
    /// [`crate::event::flag`] bits found at the entry.
    pub event_flags: u32,
    /// For `mremap` the new length.
    pub new_size: u64,
}

/// The registers that an unwinding starts from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Registers {
    /// Instruction pointer (avma).
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer.
    pub bp: u64,
}

/// Key of a free that could not be sent.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct LostKey {
    /// Address of the freed block or of the unmapped range (avma).
    pub address: u64,
    /// The process incarnation.
    pub incarnation: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
}

/// A free that could not be sent: when it happened and what it took back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct LostFree {
    /// Kernel monotonic time in nanoseconds.
    pub time_ns: u64,
    /// Length in bytes of an unmapped range; 0 for a block.
    pub size: u64,
}

const _: () = {
    assert!(size_of::<Process>() == 16);
    assert!(size_of::<Mode>() == 32);
    assert!(size_of::<Call>() == 72);
    assert!(size_of::<Syscall>() == 32);
    assert!(size_of::<Registers>() == 24);
    assert!(size_of::<Freeing>() == 32);
    assert!(size_of::<Thread>() == 288);
    assert!(size_of::<LostKey>() == 16);
    assert!(size_of::<LostFree>() == 16);
};
