//! Which frames only pass a request for memory on.
//!
//! Under every allocation lie the allocator and the layers above it that a language adds. Nobody looks for a
//! leak there, so a report's row is headed by the first frame that is none of them. Only names that are known
//! are on the list: a guess such as "contains malloc" would hide functions of the target.

use memtrace_common::op::Op;

use super::Frame;

/// Whole names.
const NAMES: &[&str] = &[
    // inside glibc's allocator
    "_int_malloc",
    "_int_realloc",
    "_int_memalign",
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

/// Parts of source files' paths. Debug information has inlined functions without the module they are in: `alloc`, `grow`.
const FILES: &[&str] = &[
    // Rust's own, as its compiler writes them (--remap-path-prefix of its build)
    "/library/alloc/src/alloc.rs",
    "/library/alloc/src/raw_vec",
];

/// Wrappers of mapping system calls whose name is not that of the call.
const WRAPPERS: [&str; 2] = ["mmap64", "sbrk"];

/// What a program calls a function that debug information calls `__GI___libc_malloc`, `__mmap64` or `__libc_calloc`: the C
/// library's own names for what it exports.
fn public_name(function: &str) -> &str {
    let name = function.strip_prefix("__GI_").unwrap_or(function);
    name.strip_prefix("__")
        .map_or(name, |name| name.trim_start_matches('_').trim_start_matches("libc_"))
}

fn is_plumbing_file(path: &str) -> bool {
    path.starts_with("/rustc/") && FILES.iter().any(|file| path.contains(file))
}

impl Frame {
    /// Whether it only passes a request for memory on.
    pub fn is_plumbing(&self) -> bool {
        let Some(function) = self.function.as_deref() else {
            return false;
        };
        let public = public_name(function);
        Op::ALL.iter().any(|op| op.name() == public)
            || WRAPPERS.contains(&public)
            || NAMES.contains(&function)
            || PREFIXES.iter().any(|prefix| function.starts_with(prefix))
            || self.file.as_deref().is_some_and(is_plumbing_file)
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::{
        Frame,
        fixture::{frame, line},
    };

    #[test]
    fn allocators_are_and_programs_are_not() {
        for name in [
            "malloc",
            "operator new(unsigned long)",
            "__GI___libc_malloc",
            "__rust_alloc",
            "mmap",
            "__GI___mmap64",
            "__brk",
            "__posix_memalign",
        ] {
            assert!(frame(name, "x").is_plumbing(), "{name}");
        }
        for name in ["main", "strdup", "leak_malloc", "malloc_test", "operator+", ""] {
            assert!(!frame(name, "x").is_plumbing(), "{name}");
        }
        let at = |file| line("grow", "x", file, 1).is_plumbing();
        assert!(at("/rustc/59807616e1fa/library/alloc/src/raw_vec/mod.rs"));
        assert!(at("/rustc/59807616e1fa/library/alloc/src/alloc.rs"));
        assert!(!at("/rustc/59807616e1fa/library/alloc/src/vec/mod.rs"));
        assert!(!at("/home/me/library/alloc/src/raw_vec/mod.rs"));
        assert!(
            !Frame {
                function: None,
                ..frame("malloc", "x")
            }
            .is_plumbing()
        );
    }
}
