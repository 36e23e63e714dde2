//! What a file tells about itself by its strings and sections, where symbols do not.

use object::ReadRef;

use super::{Runtime, elf::Elf};

/// Most bytes that are searched for strings.
const MAX_SEARCHED: u64 = 16 << 20;

/// Strings that only an allocator has, and whether they also tell of one without symbols: a C library is seen by other means.
const STRINGS: [(&str, &str, bool); 6] = [
    ("<jemalloc>: ", "jemalloc", true),
    ("mimalloc: ", "mimalloc", true),
    ("tcmalloc: ", "tcmalloc", true),
    ("malloc(): invalid size (unsorted)", "glibc", true),
    ("GNU C Library", "glibc", false),
    ("musl libc", "musl", false),
];

/// The allocator whose strings are in the constants of a file.
pub(super) fn allocator<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, without_symbols: bool) -> Option<&'static str> {
    let constants = elf.section(b".rodata")?;
    let bytes = elf.bytes(constants.offset, constants.size.min(MAX_SEARCHED))?;
    STRINGS
        .iter()
        .filter(|(.., alone)| *alone || !without_symbols)
        .find(|(string, ..)| memchr::memmem::find(bytes, string.as_bytes()).is_some())
        .map(|(_, name, _)| *name)
}

/// Functions that tell of a runtime.
pub(super) const MARKS: [&str; 2] = ["PyObject_Malloc", "_ZN2v87Isolate10GetCurrentEv"];

/// The name of Python's own heap.
pub(super) const CPYTHON: &str = "CPython";

/// The name of V8's heap.
pub(super) const V8: &str = "V8";

/// What is said of it where what is taken from it is counted.
pub(super) const V8_COUNTED: &str = "V8 manages the heap of JavaScript's objects itself: what is taken from it and its collections are told; \
                                     which functions take it tells --javascript-sites, and what is live a heap snapshot";

/// Heaps in which objects come and go without a call that could be seen.
pub(super) fn runtimes<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    short_name: &str,
    has: impl Fn(&str) -> bool,
) -> Vec<Runtime> {
    let go = [b".go.buildinfo".as_slice(), b".note.go.buildid", b".gopclntab"];
    let found = [
        (
            go.iter().any(|name| elf.section(name).is_some()),
            "Go",
            "Go manages a heap of its own, which is not seen: for that use Go's profiler (net/http/pprof)",
        ),
        (
            short_name == "libjvm.so",
            "JVM",
            "the Java virtual machine manages the heap of Java's objects itself, which is not seen: for that use jcmd or JFR",
        ),
        (
            matches!(short_name, "libcoreclr.so" | "libclrgc.so"),
            ".NET",
            ".NET manages the heap of its objects itself, which is not seen: for that use dotnet-gcdump",
        ),
        (
            has("_ZN2v87Isolate10GetCurrentEv"),
            V8,
            "V8 manages the heap of JavaScript's objects itself, which is not seen: for that take a heap snapshot",
        ),
        (
            has("PyObject_Malloc"),
            CPYTHON,
            "CPython takes objects of up to 512 bytes from arenas of its own, so that they are not seen one by one: with \
             PYTHONMALLOC=malloc in its environment each object is; `memtrace census` counts them without a probe, --python-exact \
             follows each",
        ),
    ];
    found
        .into_iter()
        .filter(|(is_there, ..)| *is_there)
        .map(|(_, name, note)| Runtime { name, note })
        .collect()
}
