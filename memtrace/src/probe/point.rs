//! Where probes are put, and for whom.

use std::path::PathBuf;

/// What a function does, which decides the programs it gets.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Only frees: entry.
    Free,
    /// The C library's wrapper of a mapping system call: entry.
    Wrapper,
    /// Allocates, and may free: entry and return.
    Allocate,
    /// The same, whose returns are seen by probes on instructions: entry.
    AllocateOnly,
    /// A place in such a function where size and result are both known.
    Once,
    /// An instruction by which such a function returns.
    Leave,
    /// Entry of a function whose allocations are seen at one place, to check that.
    CheckEnter,
    /// A jump to the slow part of it, for the same.
    CheckSlow,
    /// Its entry, where its return is to be checked.
    CheckReturn,
    /// An instruction by which it returns, for the same.
    CheckLeave,
    /// A jump behind which an allocator's code is in line, and allocates.
    Site,
    /// The same, and frees.
    SiteFree,
    /// Function by which such an allocator takes more: return.
    Refilled,
    /// The same, where pools are told of: return.
    Pool,
    /// A static probe that tells of an allocation.
    StaticAlloc,
    /// A static probe that tells of a free.
    StaticFree,
    /// V8 counts the bytes that JavaScript objects take.
    JsAllocated,
    /// It makes a page for one large object.
    JsLarge,
    /// It forgets how much of them was taken.
    JsForgotten,
    /// It begins a pause for a collection.
    JsPause,
    /// It ends one.
    JsCollected,
    /// A scavenge has copied what lives.
    JsSurvived,
    /// It has run out of memory, or has come near the limit of a heap.
    JsShortage,
}

/// A program of the object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// Whether it is run when a function returns.
    pub(super) returns: bool,
    /// Whether it stays on whatever else is taken off: it is hit seldom, and what it does not see cannot be made good.
    pub(super) stays: bool,
}

impl Role {
    /// Its programs, in the order in which they are attached: the return is before the entry, for a return without entry is only
    /// counted, while an entry without return would look like a call that never ends.
    pub(super) const fn programs(self) -> &'static [Program] {
        const fn at(name: &'static str, returns: bool) -> Program {
            Program {
                name,
                returns,
                stays: false,
            }
        }
        const fn staying(name: &'static str, returns: bool) -> Program {
            Program {
                stays: true,
                ..at(name, returns)
            }
        }
        match self {
            Self::Free => const { &[at("free_enter", false)] },
            Self::Wrapper => const { &[at("wrapper_enter", false)] },
            Self::Allocate => const { &[at("alloc_exit", true), at("alloc_enter", false)] },
            Self::AllocateOnly => const { &[at("alloc_enter", false)] },
            Self::Once => const { &[at("alloc_once", false)] },
            Self::Leave => const { &[at("alloc_leave", false)] },
            Self::CheckEnter => const { &[at("check_enter", false)] },
            Self::CheckSlow => const { &[at("check_slow", false)] },
            Self::CheckReturn => const { &[at("check_exit", true)] },
            Self::CheckLeave => const { &[at("check_leave", false)] },
            Self::Site => const { &[at("site_alloc", false)] },
            Self::SiteFree => const { &[at("site_free", false)] },
            Self::Refilled => const { &[at("site_refilled", true)] },
            Self::Pool => const { &[staying("pool_taken", true)] },
            Self::StaticAlloc => const { &[at("static_alloc", false)] },
            Self::StaticFree => const { &[at("static_free", false)] },
            Self::JsAllocated => const { &[staying("js_allocated", false)] },
            Self::JsLarge => const { &[staying("js_large", false)] },
            Self::JsForgotten => const { &[staying("js_forgotten", false)] },
            Self::JsPause => const { &[staying("js_pause", false)] },
            Self::JsCollected => const { &[staying("js_collected", false)] },
            Self::JsSurvived => const { &[staying("js_survived", false)] },
            Self::JsShortage => const { &[staying("js_shortage", false)] },
        }
    }
}

/// One place to attach to.
#[derive(Clone, Debug)]
pub struct Point {
    /// Name for messages.
    pub name: String,
    /// A path through which the kernel finds the very file that the target has mapped.
    pub file: PathBuf,
    /// Offset in that file.
    pub offset: u64,
    /// What is there.
    pub role: Role,
    /// Points with a lower number are attached before.
    pub order: u8,
    /// What its probes are told.
    pub cookie: u64,
    /// Offset in the file of the counter by which a static probe is switched on; 0 for none.
    pub semaphore: u64,
    /// Whether the function only takes memory: its probes can be off for a time without a free being missed.
    pub only_takes: bool,
}

impl Point {
    /// For messages.
    pub(super) fn attaching(&self) -> String {
        format!("attach to {} ({}+{:#x})", self.name, self.file.display(), self.offset)
    }
}

/// Which probes on functions are on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum On {
    /// None.
    Nothing,
    /// Those on functions that may give memory back.
    GivingBack,
    /// All.
    All,
}

impl On {
    /// Whether a probe is on, that is, or is not, of a function that only takes memory.
    pub(super) const fn has(self, only_takes: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::GivingBack => !only_takes,
            Self::All => true,
        }
    }
}

/// Where probes fire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scope {
    /// In the process of this number, as long as its main thread lives.
    Process(u32),
    /// In the process that has this thread, which is not the main one, as long as the thread lives. The kernel has no links to many
    /// places for that.
    Thread(u32),
    /// In every process that has the file mapped, or will have.
    Machine,
}
