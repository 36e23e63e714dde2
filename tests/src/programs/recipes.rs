//! The test programs and their flags.

mod allocators;

/// What makes a program of its sources.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Maker {
    /// gcc, g++ or rustc, by the first source.
    Host,
    /// gcc with musl instead of glibc.
    Musl,
    /// cargo, as a program of `tests/allocators` with this feature.
    Cargo(&'static str),
}

/// How a test program is made.
pub(super) struct Recipe {
    pub(super) name: &'static str,
    /// The first is compiled together with the others; `.cpp` means C++, `.rs` Rust, `.o` and `.rlib` another recipe's result.
    pub(super) sources: &'static [&'static str],
    /// After [`FLAGS`] or [`RUST_FLAGS`].
    pub(super) flags: &'static [&'static str],
    /// After the sources: libraries.
    pub(super) libraries: &'static [&'static str],
    pub(super) maker: Maker,
    /// Stripped, with its symbols and debug information in a file beside it, which is found by link.
    pub(super) separate: bool,
    /// Files without which it cannot be built here, each with the Debian package that has it.
    pub(super) needs: &'static [(&'static str, &'static str)],
}

const fn program(name: &'static str, sources: &'static [&'static str], flags: &'static [&'static str]) -> Recipe {
    Recipe {
        name,
        sources,
        flags,
        libraries: &[],
        maker: Maker::Host,
        separate: false,
        needs: &[],
    }
}

/// The recipe of a program.
pub(super) fn find(name: &str) -> Option<&'static Recipe> {
    RECIPES
        .iter()
        .chain(allocators::RECIPES)
        .find(|recipe| recipe.name == name)
}

/// All programs.
const RECIPES: &[Recipe] = &[
    program("hooks", &["hooks.c"], &[]),
    program("calls", &["calls.c"], &[]),
    program("calls-own-malloc", &["calls.c", "wrap.c"], &[]),
    program("calls-static", &["calls.c"], &["-static"]),
    program("ranges", &["ranges.c"], &[]),
    program("debug-registers", &["debug_registers.c"], &[]),
    program("reuse", &["reuse.c"], &[]),
    program("dying", &["dying.c"], &[]),
    program("steady", &["steady.c"], &[]),
    program("young", &["young.c"], &["-pthread"]),
    Recipe {
        libraries: &["-lm"],
        // Kinds that do the same must stay functions of their own.
        ..program("verdicts", &["verdicts.c"], &["-fno-ipa-icf"])
    },
    program("checked", &["checked.c"], &[]),
    program("resident", &["resident.c"], &[]),
    program("life", &["life.c"], &[]),
    program("flood", &["flood.c"], &[]),
    program("late", &["late.c"], &[]),
    program("sandbox", &["sandbox.c"], &[]),
    program("once", &["once.cpp"], &["-pthread"]),
    // For allocators that abort where operator new should throw: mimalloc, when it is compiled as C.
    program("once-aborts", &["once.cpp"], &["-pthread", "-DNEW_ABORTS"]),
    program("cpp", &["cpp.cpp"], &[]),
    program("cpp-own-new", &["cpp.cpp"], &["-DOWN_NEW"]),
    program("libwrap.so", &["wrap.c"], &["-shared", "-fPIC"]),
    program("libnode_host", &["libnode_host.c"], &[]),
    program("libnodeleak.so", &["node_leak.c"], &["-shared", "-fPIC"]),
    program("libpyhooks.so", &["pyhooks.c"], &["-shared", "-fPIC"]),
    Recipe {
        libraries: &["-l:libpython3.11.so.1.0"],
        needs: &[("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", "libpython3.11")],
        ..program("python-library", &["python_library.c"], &[])
    },
    program(
        "libplugin.so",
        &["plugin.c"],
        &["-shared", "-fPIC", "-DSITE=site_plugin"],
    ),
    program(
        "libsecond.so",
        &["plugin.c"],
        &["-shared", "-fPIC", "-DSITE=site_second_plugin"],
    ),
    program("unwind-deep", &["unwind_deep.cpp"], NO_FRAME_POINTERS),
    program("unwind-deep-fp", &["unwind_deep.cpp"], &[]),
    program("unwind-signal", &["unwind_signal.c"], NO_FRAME_POINTERS),
    program("unwind-returns", &["unwind_returns.c"], NO_FRAME_POINTERS),
    program("unwind-libc", &["unwind_libc.c"], NO_FRAME_POINTERS),
    program("unwind-throw", &["unwind_throw.cpp"], NO_FRAME_POINTERS),
    program("unwind-thread", &["unwind_thread.c"], NO_FRAME_POINTERS),
    program("unwind-replace", &["unwind_replace.c"], NO_FRAME_POINTERS),
    program("unwind-load", &["unwind_load.c"], NO_FRAME_POINTERS),
    program(
        "libunwind-small.so",
        &["unwind_plugin.c"],
        &["-shared", "-fPIC", "-fomit-frame-pointer", "-DFRAME=1000", "-DSHIFT=0"],
    ),
    program(
        "libunwind-large.so",
        &["unwind_plugin.c"],
        &["-shared", "-fPIC", "-fomit-frame-pointer", "-DFRAME=5000", "-DSHIFT=8"],
    ),
    program(
        "libunwind-twin.so",
        &["unwind_plugin.c"],
        &["-shared", "-fPIC", "-fomit-frame-pointer", "-DFRAME=1000", "-DSHIFT=0"],
    ),
    program("unwind-lazy", &["unwind_lazy.c"], NO_FRAME_POINTERS),
    program(
        "libunwind-chosen.so",
        &["unwind_chosen.c"],
        &["-shared", "-fPIC", "-fomit-frame-pointer", "-Wl,-z,lazy"],
    ),
    program("unwind-mixed", &["unwind_mixed.c"], NO_FRAME_POINTERS),
    program(
        "libunwind-bare.so",
        &["unwind_bare.c"],
        &[
            "-shared",
            "-fPIC",
            "-fno-asynchronous-unwind-tables",
            "-fno-unwind-tables",
        ],
    ),
    program("unwind-site.o", &["unwind_site.c"], &["-fomit-frame-pointer", "-c"]),
    program("unwind-rust", &["unwind_rust.rs", "unwind-site.o"], &[]),
    program("dump", &["dump.c"], NO_FRAME_POINTERS),
    program(
        "libswapped-one.so",
        &["swapped.c"],
        &["-shared", "-fPIC", "-DFUNCTION=in_one", "-DROUNDS=200000"],
    ),
    program(
        "libswapped-two.so",
        &["swapped.c"],
        &["-shared", "-fPIC", "-DFUNCTION=in_two", "-DROUNDS=300000"],
    ),
    program("dump-fp", &["dump.c"], &[]),
    program("known", &["known.c"], &[]),
    program("known-static", &["known.c"], &["-static"]),
    program("family", &["family.c"], &[]),
    program("spawner", &["spawner.c"], &[]),
    program("sleepers", &["sleepers.c"], &[]),
    program("reborn", &["reborn.c"], &[]),
    program("unprobeable", &["unprobeable.c"], &[]),
    program("loader", &["loader.c"], &[]),
    // Its functions call each other, not those of the C library.
    program(
        "libown-malloc.so",
        &["own_malloc.c"],
        &["-shared", "-fPIC", "-Wl,-Bsymbolic"],
    ),
];

/// As distributions compile: no frame pointers, and calls at a function's end are jumps. These come after [`FLAGS`],
/// and the last of two that contradict each other holds.
const NO_FRAME_POINTERS: &[&str] = &["-fomit-frame-pointer", "-foptimize-sibling-calls"];

/// For Rust: no unwinding and no frame pointers. The tables are those that the compiler makes by default.
pub(super) const RUST_FLAGS: &[&str] = &[
    "--edition=2024",
    "-g",
    "-Copt-level=3",
    "-Cpanic=abort",
    "-Cforce-frame-pointers=no",
];

/// Frame pointers everywhere, no call of a site replaced by a jump, and no malloc that the compiler knows
/// and could remove.
pub(super) const FLAGS: &[&str] = &[
    "-O2",
    "-g",
    "-fno-omit-frame-pointer",
    "-fno-optimize-sibling-calls",
    "-fno-builtin",
    "-pthread",
    "-Wall",
    "-Wextra",
    "-Werror",
];
