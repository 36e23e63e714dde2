//! The programs with other allocators.

use super::{Maker, Recipe, program};

const JEMALLOC: &[(&str, &str)] = &[("/usr/include/jemalloc/jemalloc.h", "libjemalloc-dev")];
const TCMALLOC: &[(&str, &str)] = &[("/usr/include/gperftools/tcmalloc.h", "libgoogle-perftools-dev")];
const MIMALLOC: &[(&str, &str)] = &[("/usr/include/mimalloc.h", "libmimalloc-dev")];
const MUSL: &[(&str, &str)] = &[("/usr/bin/musl-gcc", "musl-tools")];

/// All that a static library has, so that its operators take the place of the C++ library's.
const STATIC_JEMALLOC: &[&str] = &["-Wl,--whole-archive", "-ljemalloc", "-Wl,--no-whole-archive"];
const STATIC_TCMALLOC_MINIMAL: &[&str] = &["-Wl,--whole-archive", "-ltcmalloc_minimal", "-Wl,--no-whole-archive"];
/// libunwind has functions of the compiler's unwinder too.
const STATIC_TCMALLOC: &[&str] = &[
    "-Wl,--whole-archive",
    "-ltcmalloc",
    "-Wl,--no-whole-archive",
    "-lunwind",
    "-llzma",
    "-Wl,-z,muldefs",
];

pub(super) const RECIPES: &[Recipe] = &[
    program("matrix", &["matrix.c"], &[]),
    program("matrix-static", &["matrix.c"], &["-static"]),
    musl("matrix-musl", &["matrix.c"], &[]),
    musl("matrix-musl-static", &["matrix.c"], &["-static"]),
    // Nothing is left that could be hooked.
    musl("matrix-musl-stripped", &["matrix.c"], &["-static", "-s"]),
    musl("resident-musl", &["resident.c"], &[]),
    musl("known-musl", &["known.c"], &[]),
    program("matrix-cpp", CPP, &[]),
    // For allocators that abort where operator new should throw: mimalloc, when it is compiled as C.
    program("matrix-cpp-aborts", CPP, &["-DNEW_ABORTS"]),
    program("matrix-cpp-static", CPP, &["-static"]),
    Recipe {
        separate: true,
        ..program("matrix-cpp-separate", CPP, &["-static"])
    },
    linked("matrix-jemalloc", &[], &["-ljemalloc"], JEMALLOC),
    linked("matrix-jemalloc-static", &["-static"], STATIC_JEMALLOC, JEMALLOC),
    linked("matrix-tcmalloc", &[], &["-ltcmalloc"], TCMALLOC),
    linked("matrix-tcmalloc-static", &["-static"], STATIC_TCMALLOC, TCMALLOC),
    linked("matrix-tcmalloc-minimal", &[], &["-ltcmalloc_minimal"], TCMALLOC),
    linked(
        "matrix-tcmalloc-minimal-static",
        &["-static"],
        STATIC_TCMALLOC_MINIMAL,
        TCMALLOC,
    ),
    linked("matrix-mimalloc", &["-DNEW_ABORTS"], &["-lmimalloc"], MIMALLOC),
    Recipe {
        libraries: &["-ljemalloc"],
        needs: JEMALLOC,
        ..program("resident-jemalloc", &["resident.c"], &["-DJEMALLOC"])
    },
    own_names("own-names-jemalloc", &["-DJEMALLOC"], &["-ljemalloc"], JEMALLOC),
    own_names("own-names-mimalloc", &["-DMIMALLOC"], &["-lmimalloc"], MIMALLOC),
    own_names("own-names-tcmalloc", &["-DTCMALLOC"], &["-ltcmalloc"], TCMALLOC),
    program("pairs", &["pairs.cpp"], &[]),
    program("usdt", &["usdt.c"], &[]),
    program("go-like", &["go_like.c"], &["-static", "-nostdlib", "-nostartfiles"]),
    program("rust-system", &["rust_system.rs"], &[]),
    program(
        "rust-system-static",
        &["rust_system.rs"],
        &["-Ctarget-feature=+crt-static"],
    ),
    Recipe {
        separate: true,
        ..program(
            "rust-system-separate",
            &["rust_system.rs"],
            &["-Ctarget-feature=+crt-static"],
        )
    },
    program(
        "libmemtrace_test_allocators.rlib",
        &["../allocators/src/lib.rs"],
        &["--crate-type=rlib", "--crate-name=memtrace_test_allocators"],
    ),
    // Without cargo, because it needs nothing that would have to be fetched.
    program(
        "rust-arena",
        &["rust_arena.rs", "libmemtrace_test_allocators.rlib"],
        &[],
    ),
    cargo("rust-jemalloc", "jemalloc"),
    cargo("rust-mimalloc", "mimalloc"),
    cargo("rust-snmalloc", "snmalloc"),
    cargo("rust-tcmalloc", "tcmalloc"),
];

const CPP: &[&str] = &["matrix.cpp"];

const fn musl(name: &'static str, sources: &'static [&'static str], flags: &'static [&'static str]) -> Recipe {
    Recipe {
        maker: Maker::Musl,
        needs: MUSL,
        ..program(name, sources, flags)
    }
}

const fn linked(
    name: &'static str,
    flags: &'static [&'static str],
    libraries: &'static [&'static str],
    needs: &'static [(&'static str, &'static str)],
) -> Recipe {
    Recipe {
        libraries,
        needs,
        ..program(name, CPP, flags)
    }
}

const fn own_names(
    name: &'static str,
    flags: &'static [&'static str],
    libraries: &'static [&'static str],
    needs: &'static [(&'static str, &'static str)],
) -> Recipe {
    Recipe {
        sources: &["own_names.c"],
        ..linked(name, flags, libraries, needs)
    }
}

const fn cargo(name: &'static str, feature: &'static str) -> Recipe {
    Recipe {
        maker: Maker::Cargo(feature),
        ..program(name, &[], &[])
    }
}
