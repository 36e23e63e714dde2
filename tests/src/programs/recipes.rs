//! The test programs and their flags.

/// How a test program is made.
pub(super) struct Recipe {
    pub(super) name: &'static str,
    /// The first is compiled together with the others; `.cpp` means C++, `.rs` Rust, and `.o` another recipe's result.
    pub(super) sources: &'static [&'static str],
    /// For C and C++, after [`FLAGS`].
    pub(super) flags: &'static [&'static str],
}

/// All programs.
pub(super) const RECIPES: &[Recipe] = &[
    Recipe {
        name: "hooks",
        sources: &["hooks.c"],
        flags: &[],
    },
    Recipe {
        name: "calls",
        sources: &["calls.c"],
        flags: &[],
    },
    Recipe {
        name: "calls-own-malloc",
        sources: &["calls.c", "wrap.c"],
        flags: &[],
    },
    Recipe {
        name: "calls-static",
        sources: &["calls.c"],
        flags: &["-static"],
    },
    Recipe {
        name: "ranges",
        sources: &["ranges.c"],
        flags: &[],
    },
    Recipe {
        name: "reuse",
        sources: &["reuse.c"],
        flags: &[],
    },
    Recipe {
        name: "dying",
        sources: &["dying.c"],
        flags: &[],
    },
    Recipe {
        name: "life",
        sources: &["life.c"],
        flags: &[],
    },
    Recipe {
        name: "flood",
        sources: &["flood.c"],
        flags: &[],
    },
    Recipe {
        name: "late",
        sources: &["late.c"],
        flags: &[],
    },
    Recipe {
        name: "sandbox",
        sources: &["sandbox.c"],
        flags: &[],
    },
    Recipe {
        name: "cpp",
        sources: &["cpp.cpp"],
        flags: &[],
    },
    Recipe {
        name: "cpp-own-new",
        sources: &["cpp.cpp"],
        flags: &["-DOWN_NEW"],
    },
    Recipe {
        name: "libwrap.so",
        sources: &["wrap.c"],
        flags: &["-shared", "-fPIC"],
    },
    Recipe {
        name: "libplugin.so",
        sources: &["plugin.c"],
        flags: &["-shared", "-fPIC", "-DSITE=site_plugin"],
    },
    Recipe {
        name: "libsecond.so",
        sources: &["plugin.c"],
        flags: &["-shared", "-fPIC", "-DSITE=site_second_plugin"],
    },
    Recipe {
        name: "unwind-deep",
        sources: &["unwind_deep.cpp"],
        flags: NO_FRAME_POINTERS,
    },
    Recipe {
        name: "unwind-deep-fp",
        sources: &["unwind_deep.cpp"],
        flags: &[],
    },
    Recipe {
        name: "unwind-signal",
        sources: &["unwind_signal.c"],
        flags: NO_FRAME_POINTERS,
    },
    Recipe {
        name: "unwind-returns",
        sources: &["unwind_returns.c"],
        flags: NO_FRAME_POINTERS,
    },
    Recipe {
        name: "unwind-libc",
        sources: &["unwind_libc.c"],
        flags: NO_FRAME_POINTERS,
    },
    Recipe {
        name: "unwind-throw",
        sources: &["unwind_throw.cpp"],
        flags: NO_FRAME_POINTERS,
    },
    Recipe {
        name: "unwind-thread",
        sources: &["unwind_thread.c"],
        flags: NO_FRAME_POINTERS,
    },
    Recipe {
        name: "unwind-replace",
        sources: &["unwind_replace.c"],
        flags: NO_FRAME_POINTERS,
    },
    Recipe {
        name: "unwind-load",
        sources: &["unwind_load.c"],
        flags: NO_FRAME_POINTERS,
    },
    Recipe {
        name: "libunwind-small.so",
        sources: &["unwind_plugin.c"],
        flags: &["-shared", "-fPIC", "-fomit-frame-pointer", "-DFRAME=1000", "-DSHIFT=0"],
    },
    Recipe {
        name: "libunwind-large.so",
        sources: &["unwind_plugin.c"],
        flags: &["-shared", "-fPIC", "-fomit-frame-pointer", "-DFRAME=5000", "-DSHIFT=8"],
    },
    Recipe {
        name: "libunwind-twin.so",
        sources: &["unwind_plugin.c"],
        flags: &["-shared", "-fPIC", "-fomit-frame-pointer", "-DFRAME=1000", "-DSHIFT=0"],
    },
    Recipe {
        name: "unwind-lazy",
        sources: &["unwind_lazy.c"],
        flags: NO_FRAME_POINTERS,
    },
    Recipe {
        name: "libunwind-chosen.so",
        sources: &["unwind_chosen.c"],
        flags: &["-shared", "-fPIC", "-fomit-frame-pointer", "-Wl,-z,lazy"],
    },
    Recipe {
        name: "unwind-mixed",
        sources: &["unwind_mixed.c"],
        flags: NO_FRAME_POINTERS,
    },
    Recipe {
        name: "libunwind-bare.so",
        sources: &["unwind_bare.c"],
        flags: &[
            "-shared",
            "-fPIC",
            "-fno-asynchronous-unwind-tables",
            "-fno-unwind-tables",
        ],
    },
    Recipe {
        name: "unwind-site.o",
        sources: &["unwind_site.c"],
        flags: &["-fomit-frame-pointer", "-c"],
    },
    Recipe {
        name: "unwind-rust",
        sources: &["unwind_rust.rs", "unwind-site.o"],
        flags: &[],
    },
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
