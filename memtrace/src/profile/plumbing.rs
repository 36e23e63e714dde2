//! Which frames only pass a request for memory on.
//!
//! Under every allocation lie the allocator and the layers above it that a language adds. Nobody looks for a
//! leak there, so a report's row is headed by the first frame that is none of them. Only names that are known
//! are on the list: a guess such as "contains malloc" would hide functions of the target.

use std::borrow::Borrow;

use memtrace_common::op::Op;

use super::{Frame, FrameKind};

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

/// Beginnings of the names that CPython's build gives the files with its interpreter.
const INTERPRETERS: [&str; 2] = ["python3", "libpython3"];

/// Beginnings of the names of V8's own functions, and of those by which node gives it memory for buffers.
const ENGINE: [&str; 3] = ["v8::internal::", "Builtins_", "node::NodeArrayBufferAllocator::"];

/// Whether a native frame says nothing to who reads a stack of Python or JavaScript functions: it is the interpreter's or the engine's, or
/// has no name.
fn is_beneath_runtime(frame: &Frame) -> bool {
    let is_interpreter = INTERPRETERS.iter().any(|name| frame.module.starts_with(name));
    let function = frame.function.as_deref();
    let is_engine = |function: &str| ENGINE.iter().any(|name| function.starts_with(name));
    frame.kind == FrameKind::Native && (is_interpreter || function.is_none_or(is_engine))
}

/// How many frames at the leaf of a stack (leaf first) a reader does not look for: the allocator, and the layers that only pass a
/// request on. Where a function of Python or JavaScript asks, also what of the interpreter or the engine does that for it. None where there
/// is nothing else. All that begins at the calling function begins there.
pub(crate) fn below_calling<F: Borrow<Frame>>(stack: impl IntoIterator<Item = F>) -> usize {
    let mut first = None;
    for (level, frame) in stack.into_iter().enumerate() {
        let frame = frame.borrow();
        match first {
            None if frame.is_plumbing() => {}
            _ if frame.kind.is_runtime() => return level,
            None if is_beneath_runtime(frame) => first = Some(level),
            None => return level,
            Some(_) if frame.is_plumbing() || is_beneath_runtime(frame) => {}
            Some(first) => return first,
        }
    }
    first.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::below_calling;
    use crate::profile::{
        Frame, FrameKind,
        fixture::{frame, line},
    };

    #[test]
    fn a_python_function_calls_where_only_its_interpreter_lies_between() {
        let nameless = |module| Frame {
            function: None,
            ..frame("", module)
        };
        let python = || Frame {
            kind: FrameKind::Python,
            ..line("keep", "[python]", "/app/keep.py", 7)
        };
        let malloc = || frame("malloc", "libc.so.6");
        let below = |stack: &[Frame]| below_calling(stack);
        let resize = || frame("PyByteArray_Resize", "python3.11");
        assert_eq!(
            below(&[malloc(), nameless("python3.11"), resize(), python(), python()]),
            3
        );
        assert_eq!(below(&[malloc(), nameless("_multiarray_umath.so"), python()]), 2);
        assert_eq!(below(&[python(), malloc()]), 0);
        // An extension that says what it does is what a reader looks for.
        let leak = || frame("leak", "extension.so");
        assert_eq!(below(&[malloc(), leak(), resize(), python()]), 1);
        assert_eq!(below(&[malloc(), nameless("extension.so"), leak(), python()]), 1);
        assert_eq!(below(&[malloc(), nameless("app"), nameless("app")]), 1, "no Python");
        assert_eq!(below(&[malloc(), malloc()]), 0);
    }

    #[test]
    fn a_function_of_javascript_calls_where_only_its_engine_lies_between() {
        let javascript = || Frame {
            kind: FrameKind::JavaScript,
            ..line("keep", "[javascript]", "/app/keep.js", 7)
        };
        let native = |name| frame(name, "node");
        let calloc = || frame("calloc", "libc.so.6");
        let allocate = || native("node::NodeArrayBufferAllocator::Allocate(unsigned long)");
        let engine = || native("v8::internal::BackingStore::Allocate(unsigned long)");
        let below = |stack: &[Frame]| below_calling(stack);
        assert_eq!(
            below(&[calloc(), allocate(), engine(), native("Builtins_CEntry"), javascript()]),
            4
        );
        let own = || native("node::fs::Stat(v8::FunctionCallbackInfo<v8::Value> const&)");
        assert_eq!(
            below(&[calloc(), own(), native("Builtins_CallApiCallback"), javascript()]),
            1
        );
        assert_eq!(below(&[calloc(), engine(), own()]), 1, "no JavaScript");
    }

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
