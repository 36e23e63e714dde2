//! Plans for files of this machine, where they are there.

use std::{fs::File, time::Instant};

use memtrace::{
    plan::{Analysis, Kind, Request, analyse},
    process::{AddressSpace, FileBytes},
};
use proptest::prelude::*;

const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

fn file(path: &str) -> Option<Analysis> {
    let file = File::open(path).ok()?;
    let bytes = FileBytes::new(&file);
    Some(analyse(path, &bytes, None::<&[u8]>, &Request::default()).expect("a file that is whole"))
}

/// What is hooked.
fn hooks(analysis: &Analysis) -> Vec<&str> {
    let hooks = analysis.allocators.iter().flat_map(|found| &found.hooks);
    hooks.map(String::as_str).collect()
}

/// Offsets of the returns of a function, where they have probes.
fn exits(analysis: &Analysis, symbol: &str) -> Vec<u64> {
    let points = analysis.points().filter(|point| point.symbol == symbol);
    points
        .filter(|point| point.kind == Kind::Exit)
        .map(|point| point.offset)
        .collect()
}

#[test]
fn the_c_library_with_its_wrappers() {
    let Some(libc) = file(&format!("{LIBRARIES}/libc.so.6")) else {
        return;
    };
    assert_eq!(libc.allocators.len(), 1);
    assert_eq!(libc.allocators[0].name, "glibc");
    for hook in [
        "malloc",
        "calloc",
        "realloc",
        "reallocarray",
        "free",
        "posix_memalign",
        "aligned_alloc",
    ] {
        assert!(hooks(&libc).contains(&hook), "{hook}");
    }
    // The same function by another name.
    assert!(!hooks(&libc).contains(&"__libc_malloc"));
    let wrappers: Vec<_> = libc.wrappers.iter().map(|point| point.symbol.as_str()).collect();
    assert_eq!(wrappers, ["mmap", "mremap", "brk", "sbrk"]);
    assert!(libc.wrappers.iter().all(|point| point.cookie(0) == 0));
    assert_eq!(libc.unhooked, Vec::<String>::new());
}

#[test]
fn what_was_found_is_what_the_linker_finds() {
    let mut space = AddressSpace::read(std::process::id()).unwrap();
    let location = space.locate(libc::malloc as *const () as u64).unwrap();
    let path = format!("{LIBRARIES}/libc.so.6");
    let Some(libc) = file(&path) else { return };
    let malloc = libc.points().find(|point| point.symbol == "malloc").unwrap();
    assert_eq!(malloc.offset, location.address);
}

#[test]
fn the_operators_of_libstdcxx_are_proven_to_call_malloc_and_free() {
    let Some(library) = file(&format!("{LIBRARIES}/libstdc++.so.6")) else {
        return;
    };
    assert_eq!(library.allocators, Vec::new());
    assert_eq!(library.unhooked, Vec::<String>::new());
}

#[test]
fn jemalloc_has_operators_of_its_own() {
    let Some(library) = file(&format!("{LIBRARIES}/libjemalloc.so.2")) else {
        return;
    };
    assert_eq!(library.allocators.len(), 1);
    assert_eq!(library.allocators[0].name, "jemalloc");
    for hook in [
        "malloc",
        "mallocx",
        "sdallocx",
        "_Znwm",
        "_ZnwmRKSt9nothrow_t",
        "_ZdlPvm",
    ] {
        assert!(hooks(&library).contains(&hook), "{hook}");
    }
    assert!(!exits(&library, "_Znwm").is_empty());
    assert!(exits(&library, "malloc").is_empty());
    // What one exit is found at is a return.
    let bytes = std::fs::read(format!("{LIBRARIES}/libjemalloc.so.2")).unwrap();
    for exit in exits(&library, "_Znwm") {
        assert_eq!(bytes[usize::try_from(exit).unwrap()], 0xc3);
    }
}

#[test]
fn programs_that_import_their_allocator_have_none() {
    for path in ["/usr/bin/redis-server", "/usr/bin/node", "/bin/true"] {
        let begin = Instant::now();
        let Some(program) = file(path) else { continue };
        assert_eq!(program.allocators, Vec::new(), "{path}");
        assert!(begin.elapsed().as_secs() < 10, "{path}");
        let v8 = program.runtimes.iter().any(|runtime| runtime.name == "V8");
        assert_eq!(v8, path.ends_with("node"));
    }
}

#[test]
fn this_program_passes_rusts_requests_on() {
    let own = std::env::current_exe().unwrap();
    let own = file(own.to_str().unwrap()).unwrap();
    assert_eq!(own.allocators, Vec::new());
    // It has the strings that it looks for.
    assert!(
        own.unhooked.iter().all(|line| line.contains("by its strings")),
        "{:?}",
        own.unhooked
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_real_files_end(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..200), headers: bool) {
        let Ok(mut bytes) = std::fs::read(format!("{LIBRARIES}/libjemalloc.so.2")) else { return Ok(()) };
        let room = if headers { 4096 } else { bytes.len() };
        for (at, byte) in damage {
            bytes[at.index(room)] = byte;
        }
        let begin = Instant::now();
        let _either = analyse("/lib/x.so", &*bytes, None::<&[u8]>, &Request::default());
        prop_assert!(begin.elapsed().as_secs() < 5);
    }
}
