//! Which frames only pass a request for memory on.
//!
//! Under every allocation lie the allocator and the layers above it that a language adds. Nobody looks for a
//! leak there, so a report's row is headed by the first frame that is none of them. Only names that are known
//! are on the list: a guess such as "contains malloc" would hide functions of the target.

use memtrace_common::op::Op;

use super::Frame;

/// Whole names.
const NAMES: &[&str] = &[
    // glibc's other names for its own functions
    "__libc_malloc",
    "__libc_calloc",
    "__libc_realloc",
    "__libc_memalign",
    "_int_malloc",
    "_int_realloc",
    "_int_memalign",
    "mmap64",
    "__mmap",
    "__mmap64",
    "__mremap",
    "__brk",
    "sbrk",
    "__sbrk",
    "sysmalloc",
    // wrappers that many programs share: gnulib, glib
    "xmalloc",
    "xcalloc",
    "xrealloc",
    "g_malloc",
    "g_malloc0",
    "g_realloc",
    "g_try_malloc",
];

/// Beginnings of names.
const PREFIXES: &[&str] = &[
    "__GI___libc_",
    // C++: also `operator new[]`, and the allocators of both standard libraries
    "operator new",
    "__gnu_cxx::new_allocator<",
    "std::__new_allocator<",
    "std::allocator<",
    "std::allocator_traits<",
    "std::__1::allocator<",
    "std::__1::allocator_traits<",
    // Rust
    "__rust_alloc",
    "__rust_realloc",
    "__rdl_",
    "__rustc::",
    "alloc::alloc::",
    "<alloc::alloc::Global",
    "alloc::raw_vec::",
    "std::sys::alloc::",
    "<std::alloc::System",
    // CPython
    "PyMem_",
    "_PyMem_",
    "PyObject_Malloc",
    "PyObject_Calloc",
    "PyObject_Realloc",
    // redis and valkey
    "zmalloc",
    "zcalloc",
    "zrealloc",
    "ztrymalloc",
    "ztrycalloc",
    "ztryrealloc",
];

impl Frame {
    /// Whether it only passes a request for memory on.
    pub fn is_plumbing(&self) -> bool {
        let Some(function) = self.function.as_deref() else {
            return false;
        };
        Op::ALL.iter().any(|op| op.name() == function)
            || NAMES.contains(&function)
            || PREFIXES.iter().any(|prefix| function.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::{Frame, fixture::frame};

    #[test]
    fn allocators_are_and_programs_are_not() {
        for name in [
            "malloc",
            "operator new(unsigned long)",
            "__GI___libc_malloc",
            "__rust_alloc",
            "mmap",
        ] {
            assert!(frame(name, "x").is_plumbing(), "{name}");
        }
        for name in ["main", "strdup", "leak_malloc", "malloc_test", "operator+", ""] {
            assert!(!frame(name, "x").is_plumbing(), "{name}");
        }
        assert!(
            !Frame {
                function: None,
                ..frame("malloc", "x")
            }
            .is_plumbing()
        );
    }
}
