//! The table of allocator functions: families by prefix, and for each function its operation and where its arguments are.

use memtrace_common::{Exits, Op, Shape};

/// A function's name behind the prefix, its operation, and where its arguments are.
pub(super) type Row = (&'static str, Op, Shape);

const NONE: Shape = Shape {
    size: None,
    count: None,
    old: None,
    out: None,
    exits: Exits::ReturnProbe,
};

/// The size is this argument.
pub(super) const fn size(at: u8) -> Shape {
    Shape { size: Some(at), ..NONE }
}

/// The block to be freed is this argument.
pub(super) const fn block(at: u8) -> Shape {
    Shape { old: Some(at), ..NONE }
}

/// The product of two arguments.
pub(super) const fn product(count: u8, size: u8) -> Shape {
    Shape {
        count: Some(count),
        size: Some(size),
        ..NONE
    }
}

/// A block, and the size that it shall have.
pub(super) const fn resize(old: u8, size: u8) -> Shape {
    Shape {
        old: Some(old),
        size: Some(size),
        ..NONE
    }
}

const fn resize_to_product(old: u8, count: u8, size: u8) -> Shape {
    Shape {
        old: Some(old),
        ..product(count, size)
    }
}

const fn stored(out: u8, size: u8) -> Shape {
    Shape {
        out: Some(out),
        size: Some(size),
        ..NONE
    }
}

/// `malloc(3)`, `posix_memalign(3)`, C23, and BSD's `reallocf`.
const C: &[Row] = &[
    ("malloc", Op::Malloc, size(0)),
    ("calloc", Op::Calloc, product(0, 1)),
    ("realloc", Op::Realloc, resize(0, 1)),
    ("reallocarray", Op::Reallocarray, resize_to_product(0, 1, 2)),
    ("free", Op::Free, block(0)),
    ("cfree", Op::Cfree, block(0)),
    ("posix_memalign", Op::PosixMemalign, stored(0, 2)),
    ("aligned_alloc", Op::AlignedAlloc, size(1)),
    ("memalign", Op::Memalign, size(1)),
    ("valloc", Op::Valloc, size(0)),
    ("pvalloc", Op::Pvalloc, size(0)),
    ("free_sized", Op::FreeSized, block(0)),
    ("free_aligned_sized", Op::FreeAlignedSized, block(0)),
    ("reallocf", Op::Reallocf, resize(0, 1)),
];

/// jemalloc(3), the non-standard interface.
const JEMALLOC: &[Row] = &[
    ("mallocx", Op::Mallocx, size(0)),
    ("rallocx", Op::Rallocx, resize(0, 1)),
    ("xallocx", Op::Xallocx, resize(0, 1)),
    ("dallocx", Op::Dallocx, block(0)),
    ("sdallocx", Op::Dallocx, block(0)),
];

/// mimalloc.h, what has no heap as its first argument; the last ones of version 3.
const MIMALLOC: &[Row] = &[
    ("malloc_small", Op::Malloc, size(0)),
    ("zalloc", Op::Calloc, size(0)),
    ("zalloc_small", Op::Calloc, size(0)),
    ("mallocn", Op::Malloc, product(0, 1)),
    ("reallocn", Op::Reallocarray, resize_to_product(0, 1, 2)),
    ("expand", Op::Expand, resize(0, 1)),
    ("_expand", Op::Expand, resize(0, 1)),
    ("malloc_aligned", Op::AlignedAlloc, size(0)),
    ("malloc_aligned_at", Op::AlignedAlloc, size(0)),
    ("zalloc_aligned", Op::AlignedAlloc, size(0)),
    ("zalloc_aligned_at", Op::AlignedAlloc, size(0)),
    ("calloc_aligned", Op::Calloc, product(0, 1)),
    ("calloc_aligned_at", Op::Calloc, product(0, 1)),
    ("realloc_aligned", Op::Realloc, resize(0, 1)),
    ("realloc_aligned_at", Op::Realloc, resize(0, 1)),
    ("rezalloc", Op::Realloc, resize(0, 1)),
    ("rezalloc_aligned", Op::Realloc, resize(0, 1)),
    ("rezalloc_aligned_at", Op::Realloc, resize(0, 1)),
    ("recalloc", Op::Reallocarray, resize_to_product(0, 1, 2)),
    ("recalloc_aligned", Op::Reallocarray, resize_to_product(0, 1, 2)),
    ("recalloc_aligned_at", Op::Reallocarray, resize_to_product(0, 1, 2)),
    ("aligned_recalloc", Op::Reallocarray, resize_to_product(0, 1, 2)),
    ("aligned_offset_recalloc", Op::Reallocarray, resize_to_product(0, 1, 2)),
    ("free_size", Op::FreeSized, block(0)),
    ("free_size_aligned", Op::FreeAlignedSized, block(0)),
    ("free_aligned", Op::Free, block(0)),
    ("free_small", Op::Free, block(0)),
    ("new", Op::New, size(0)),
    ("new_aligned", Op::New, size(0)),
    ("new_nothrow", Op::New, size(0)),
    ("new_aligned_nothrow", Op::New, size(0)),
    ("new_n", Op::New, product(0, 1)),
    ("new_realloc", Op::Realloc, resize(0, 1)),
    ("new_reallocn", Op::Reallocarray, resize_to_product(0, 1, 2)),
    ("umalloc", Op::Malloc, size(0)),
    ("umalloc_small", Op::Malloc, size(0)),
    ("umalloc_aligned", Op::AlignedAlloc, size(0)),
    ("ucalloc", Op::Calloc, product(0, 1)),
    ("uzalloc_small", Op::Calloc, size(0)),
    ("uzalloc_aligned", Op::AlignedAlloc, size(0)),
    ("urealloc", Op::Realloc, resize(0, 1)),
    ("ufree", Op::Free, block(0)),
];

/// mimalloc.h, with a heap as the first argument.
const MIMALLOC_HEAP: &[Row] = &[
    ("malloc", Op::Malloc, size(1)),
    ("malloc_small", Op::Malloc, size(1)),
    ("zalloc", Op::Calloc, size(1)),
    ("zalloc_small", Op::Calloc, size(1)),
    ("calloc", Op::Calloc, product(1, 2)),
    ("mallocn", Op::Malloc, product(1, 2)),
    ("realloc", Op::Realloc, resize(1, 2)),
    ("reallocn", Op::Reallocarray, resize_to_product(1, 2, 3)),
    ("reallocf", Op::Reallocf, resize(1, 2)),
    ("malloc_aligned", Op::AlignedAlloc, size(1)),
    ("malloc_aligned_at", Op::AlignedAlloc, size(1)),
    ("zalloc_aligned", Op::AlignedAlloc, size(1)),
    ("zalloc_aligned_at", Op::AlignedAlloc, size(1)),
    ("calloc_aligned", Op::Calloc, product(1, 2)),
    ("calloc_aligned_at", Op::Calloc, product(1, 2)),
    ("realloc_aligned", Op::Realloc, resize(1, 2)),
    ("realloc_aligned_at", Op::Realloc, resize(1, 2)),
    ("rezalloc", Op::Realloc, resize(1, 2)),
    ("rezalloc_aligned", Op::Realloc, resize(1, 2)),
    ("rezalloc_aligned_at", Op::Realloc, resize(1, 2)),
    ("recalloc", Op::Reallocarray, resize_to_product(1, 2, 3)),
    ("recalloc_aligned", Op::Reallocarray, resize_to_product(1, 2, 3)),
    ("recalloc_aligned_at", Op::Reallocarray, resize_to_product(1, 2, 3)),
    ("alloc_new", Op::New, size(1)),
    ("alloc_new_n", Op::New, product(1, 2)),
];

/// gperftools/tcmalloc.h.
const GPERFTOOLS: &[Row] = &[
    ("malloc_skip_new_handler", Op::Malloc, size(0)),
    ("new", Op::New, size(0)),
    ("new_nothrow", Op::New, size(0)),
    ("new_aligned", Op::New, size(0)),
    ("new_aligned_nothrow", Op::New, size(0)),
    ("newarray", Op::NewArray, size(0)),
    ("newarray_nothrow", Op::NewArray, size(0)),
    ("newarray_aligned", Op::NewArray, size(0)),
    ("newarray_aligned_nothrow", Op::NewArray, size(0)),
    ("delete", Op::Delete, block(0)),
    ("delete_sized", Op::Delete, block(0)),
    ("delete_nothrow", Op::Delete, block(0)),
    ("delete_aligned", Op::Delete, block(0)),
    ("delete_sized_aligned", Op::Delete, block(0)),
    ("delete_aligned_nothrow", Op::Delete, block(0)),
    ("deletearray", Op::DeleteArray, block(0)),
    ("deletearray_sized", Op::DeleteArray, block(0)),
    ("deletearray_nothrow", Op::DeleteArray, block(0)),
    ("deletearray_aligned", Op::DeleteArray, block(0)),
    ("deletearray_sized_aligned", Op::DeleteArray, block(0)),
    ("deletearray_aligned_nothrow", Op::DeleteArray, block(0)),
];

/// tcmalloc/tcmalloc.h of Google's own, behind `TCMallocInternal`. New and Delete have forms that `mangled` tells.
const TCMALLOC: &[Row] = &[
    ("Malloc", Op::Malloc, size(0)),
    ("Calloc", Op::Calloc, product(0, 1)),
    ("Realloc", Op::Realloc, resize(0, 1)),
    ("ReallocArray", Op::Reallocarray, resize_to_product(0, 1, 2)),
    ("Free", Op::Free, block(0)),
    ("Cfree", Op::Cfree, block(0)),
    ("FreeSized", Op::FreeSized, block(0)),
    ("FreeAlignedSized", Op::FreeAlignedSized, block(0)),
    ("Sdallocx", Op::Dallocx, block(0)),
    ("PosixMemalign", Op::PosixMemalign, stored(0, 2)),
    ("AlignedAlloc", Op::AlignedAlloc, size(1)),
    ("Memalign", Op::Memalign, size(1)),
    ("Valloc", Op::Valloc, size(0)),
    ("Pvalloc", Op::Pvalloc, size(0)),
    ("AllocAtLeast", Op::Malloc, size(0)),
    ("AlignedAllocAtLeast", Op::AlignedAlloc, size(1)),
    ("SizeReturningNew", Op::New, size(0)),
    ("SizeReturningNewAligned", Op::New, size(0)),
];

/// snmalloc's rust.cc: the alignment comes first.
const SNMALLOC: &[Row] = &[
    ("rust_alloc", Op::RustAlloc, size(1)),
    ("rust_alloc_zeroed", Op::RustAlloc, size(1)),
    ("rust_realloc", Op::RustRealloc, resize(0, 3)),
    ("rust_dealloc", Op::RustDealloc, block(0)),
];

/// rpmalloc.h.
const RPMALLOC: &[Row] = &[
    ("malloc", Op::Malloc, size(0)),
    ("zalloc", Op::Calloc, size(0)),
    ("calloc", Op::Calloc, product(0, 1)),
    ("realloc", Op::Realloc, resize(0, 1)),
    ("aligned_realloc", Op::Realloc, resize(0, 2)),
    ("aligned_alloc", Op::AlignedAlloc, size(1)),
    ("aligned_calloc", Op::Calloc, product(1, 2)),
    ("memalign", Op::Memalign, size(1)),
    ("posix_memalign", Op::PosixMemalign, stored(0, 2)),
    ("free", Op::Free, block(0)),
];

/// The families: a prefix, a name for people, and what is behind the prefix.
pub(super) const FAMILIES: &[(&str, &str, &[&[Row]])] = &[
    ("", "", &[C, JEMALLOC]),
    // What the C library calls its own functions, glibc's and musl's.
    ("__libc_", "C library", &[C]),
    ("je_", "jemalloc", &[C, JEMALLOC]),
    ("_rjem_", "jemalloc", &[C, JEMALLOC]),
    ("jemalloc_", "jemalloc", &[C, JEMALLOC]),
    ("mi_", "mimalloc", &[C, MIMALLOC]),
    ("mi_heap_", "mimalloc", &[MIMALLOC_HEAP]),
    ("mi_theap_", "mimalloc", &[MIMALLOC_HEAP]),
    ("tc_", "tcmalloc", &[C, GPERFTOOLS]),
    ("TCMallocInternal", "tcmalloc", &[TCMALLOC]),
    ("sn_", "snmalloc", &[C, SNMALLOC]),
    ("rp", "rpmalloc", &[RPMALLOC]),
];
