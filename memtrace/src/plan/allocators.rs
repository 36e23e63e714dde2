//! The functions that are hooked, and the allocators that are known by name.

use memtrace_common::Op;

/// What an allocator exports, and the operation each function is. The first name wins where two share one address, as
/// aliases do; so the names that people use come first.
pub(super) const HOOKS: [(&str, Op); 13] = [
    ("malloc", Op::Malloc),
    ("calloc", Op::Calloc),
    ("realloc", Op::Realloc),
    ("reallocarray", Op::Reallocarray),
    ("free", Op::Free),
    ("cfree", Op::Cfree),
    ("posix_memalign", Op::PosixMemalign),
    ("aligned_alloc", Op::AlignedAlloc),
    ("memalign", Op::Memalign),
    ("valloc", Op::Valloc),
    ("pvalloc", Op::Pvalloc),
    ("free_sized", Op::FreeSized),
    ("free_aligned_sized", Op::FreeAlignedSized),
];

/// Wrappers of mapping system calls in the C library, at whose entry the caller's frame pointer is intact.
pub(super) const WRAPPERS: [&str; 5] = ["mmap", "mmap64", "mremap", "brk", "sbrk"];

/// Without these two there is nothing to follow.
pub(super) const REQUIRED: [&str; 2] = ["malloc", "free"];

/// Allocators by a symbol that only they export, or by the name of their file.
const FAMILIES: [(&str, &[&str], &[&str]); 6] = [
    ("glibc", &["gnu_get_libc_version"], &[]),
    ("jemalloc", &["mallocx", "je_mallocx"], &["libjemalloc"]),
    (
        "tcmalloc",
        &["tc_malloc", "MallocExtension_GetNumericProperty"],
        &["libtcmalloc"],
    ),
    ("mimalloc", &["mi_malloc"], &["libmimalloc"]),
    ("snmalloc", &[], &["libsnmalloc"]),
    ("musl", &["__libc_malloc_impl"], &["ld-musl", "libc.musl"]),
];

/// The name of the allocator in a file.
pub(super) fn family(short_name: &str, exports: impl Fn(&str) -> bool) -> &'static str {
    FAMILIES
        .iter()
        .find(|(_, symbols, files)| {
            symbols.iter().any(|symbol| exports(symbol)) || files.iter().any(|file| short_name.starts_with(file))
        })
        .map_or("unknown allocator", |(name, ..)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocators_are_told_by_symbol_or_file() {
        assert_eq!(family("libc.so.6", |symbol| symbol == "gnu_get_libc_version"), "glibc");
        assert_eq!(family("libjemalloc.so.2", |_| false), "jemalloc");
        assert_eq!(family("server", |symbol| symbol == "mi_malloc"), "mimalloc");
        assert_eq!(family("mine.so", |_| false), "unknown allocator");
    }
}
