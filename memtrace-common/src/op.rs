//! The operations that are traced: allocator functions by name, and the mapping system calls.

/// Declares [`Op`] from one list, so that number, name and conversion cannot drift apart.
macro_rules! ops {
    ($($(#[$doc:meta])* $variant:ident = $value:literal, $name:literal;)*) => {
        /// One traced operation. The number is part of the ring format: never reuse one.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum Op {
            $($(#[$doc])* $variant = $value,)*
        }

        impl Op {
            /// Every operation, in the order of the numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The operation of a number from the wire, or `None` for a number this version does not know.
            pub const fn from_u8(value: u8) -> Option<Self> {
                match value {
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name a user knows it by: the C function, or the system call with what was mapped.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

ops! {
    /// `malloc(size)`
    Malloc = 1, "malloc";
    /// `calloc(count, size)`
    Calloc = 2, "calloc";
    /// `realloc(old, size)`
    Realloc = 3, "realloc";
    /// `reallocarray(old, count, size)`
    Reallocarray = 4, "reallocarray";
    /// `posix_memalign(out, alignment, size)`
    PosixMemalign = 5, "posix_memalign";
    /// `aligned_alloc(alignment, size)`
    AlignedAlloc = 6, "aligned_alloc";
    /// `memalign(alignment, size)`
    Memalign = 7, "memalign";
    /// `valloc(size)`
    Valloc = 8, "valloc";
    /// `pvalloc(size)`
    Pvalloc = 9, "pvalloc";
    /// `free(address)`
    Free = 16, "free";
    /// `cfree(address)`, glibc before 2.26 and still there for old programs
    Cfree = 17, "cfree";
    /// `free_sized(address, size)`, C23
    FreeSized = 18, "free_sized";
    /// `free_aligned_sized(address, alignment, size)`, C23
    FreeAlignedSized = 19, "free_aligned_sized";
    /// `operator new(size, ...)`: all forms with a size, an alignment or `nothrow`
    New = 20, "operator new";
    /// `operator new[](size, ...)`
    NewArray = 21, "operator new[]";
    /// `operator delete(address, ...)`
    Delete = 22, "operator delete";
    /// `operator delete[](address, ...)`
    DeleteArray = 23, "operator delete[]";
    /// `mallocx(size, flags)`, jemalloc
    Mallocx = 24, "mallocx";
    /// `rallocx(address, size, flags)`, jemalloc
    Rallocx = 25, "rallocx";
    /// `xallocx(address, size, extra, flags)`, jemalloc: resizes in place, and returns the size that the block has then
    Xallocx = 26, "xallocx";
    /// `dallocx(address, flags)` and `sdallocx(address, size, flags)`, jemalloc
    Dallocx = 27, "dallocx";
    /// `mi_expand(address, size)`, mimalloc: resizes in place, or returns null
    Expand = 28, "mi_expand";
    /// `reallocf(address, size)`: as `realloc`, but frees the block when it fails
    Reallocf = 29, "reallocf";
    /// `mmap` of anonymous memory that can be touched
    Mmap = 32, "mmap";
    /// `mmap` of a file
    MmapFile = 33, "mmap (file)";
    /// `mmap` with `PROT_NONE`: address space set aside, no memory yet
    MmapReserve = 34, "mmap (reserved)";
    /// `munmap`
    Munmap = 35, "munmap";
    /// `mremap`
    Mremap = 36, "mremap";
    /// `brk` called by the program itself rather than by its allocator
    Brk = 37, "brk";
    /// `mmap` of anonymous memory while calls of the allocator were not looked at: by the program or by its allocator
    MmapAny = 38, "mmap (any)";
    /// `brk`, likewise
    BrkAny = 39, "brk (any)";
    /// Rust's `__rust_alloc(size, alignment)` and `__rust_alloc_zeroed`
    RustAlloc = 40, "__rust_alloc";
    /// Rust's `__rust_realloc(address, old size, alignment, size)`
    RustRealloc = 41, "__rust_realloc";
    /// Rust's `__rust_dealloc(address, size, alignment)`
    RustDealloc = 42, "__rust_dealloc";
    /// The allocating function of a pair that the user named
    PairAlloc = 43, "pair";
    /// The freeing function of such a pair
    PairFree = 44, "pair (free)";
    /// The static probe `otel_memory:alloc(address, size, weighted size)`: a sample, which stands for as many bytes as its
    /// weighted size says
    OtelAlloc = 45, "otel_memory:alloc";
    /// The static probe `otel_memory:free(address)`
    OtelFree = 46, "otel_memory:free";
    /// A pool that `CPython`'s pymalloc has newly taken for blocks of one size
    Pool = 47, "pymalloc pool";
}

/// What kind of memory an operation hands out; totals are kept apart by it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// From an allocator: `malloc` and its family.
    Heap,
    /// Anonymous memory taken from the kernel by the program itself: `mmap`, `mremap`, `brk`.
    Mapped,
    /// A file mapped by the program, libraries included: backed by the page cache.
    File,
    /// Address space without memory (`PROT_NONE`).
    Reserved,
    /// Anonymous memory taken from the kernel by the program or by its allocator: which one is not known, so what the allocator has
    /// made of it may be counted as heap too.
    Pages,
    /// What an interpreter's allocator has taken of its arenas to cut into blocks: a sample of its growth, by who asked when there was no
    /// room. The arenas may be counted as mapped, and the blocks as heap.
    Pools,
}

impl Class {
    /// Every class, in the order it is reported.
    pub const ALL: &[Self] = &[
        Self::Heap,
        Self::Mapped,
        Self::File,
        Self::Reserved,
        Self::Pages,
        Self::Pools,
    ];

    /// The word used for it in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Mapped => "mapped",
            Self::File => "file",
            Self::Reserved => "reserved",
            Self::Pages => "pages",
            Self::Pools => "pools",
        }
    }

    /// Whether its bytes count as live memory in totals, tables and flame graphs. The others are reported, but apart: files and
    /// reserved address space are not memory that the program can leak, and pages and pools would be counted twice.
    pub const fn is_memory(self) -> bool {
        matches!(self, Self::Heap | Self::Mapped)
    }
}

impl Op {
    /// The class of memory that this operation hands out or takes back.
    pub const fn class(self) -> Class {
        match self {
            Self::Mmap | Self::Munmap | Self::Mremap | Self::Brk => Class::Mapped,
            Self::MmapFile => Class::File,
            Self::MmapReserve => Class::Reserved,
            Self::MmapAny | Self::BrkAny => Class::Pages,
            Self::Pool => Class::Pools,
            _ => Class::Heap,
        }
    }

    /// Whether this operation only takes memory back.
    pub const fn is_free(self) -> bool {
        matches!(
            self,
            Self::Free
                | Self::Cfree
                | Self::FreeSized
                | Self::FreeAlignedSized
                | Self::Delete
                | Self::DeleteArray
                | Self::Dallocx
                | Self::RustDealloc
                | Self::PairFree
                | Self::OtelFree
                | Self::Munmap
        )
    }

    /// Whether this operation replaces an older block.
    pub const fn is_realloc(self) -> bool {
        matches!(
            self,
            Self::Realloc | Self::Reallocarray | Self::Reallocf | Self::Rallocx | Self::RustRealloc
        )
    }

    /// Whether this operation gives the same block another size, or fails.
    pub const fn is_resize(self) -> bool {
        matches!(self, Self::Xallocx | Self::Expand)
    }

    /// Whether blocks of this operation are samples that stand for others too.
    pub const fn is_sampled(self) -> bool {
        matches!(self, Self::OtelAlloc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_unknown_ones_are_refused() {
        for &op in Op::ALL {
            assert_eq!(Op::from_u8(op as u8), Some(op));
        }
        assert_eq!(Op::from_u8(0), None);
        assert_eq!(Op::from_u8(255), None);
    }
}
