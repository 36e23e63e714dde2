//! Builds the test programs: each once, and again when a source, a flag or the compiler changes.

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

/// How a test program is made.
struct Recipe {
    name: &'static str,
    /// The first is compiled together with the others; `.cpp` means C++.
    sources: &'static [&'static str],
    flags: &'static [&'static str],
}

const RECIPES: &[Recipe] = &[
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
];

/// Frame pointers everywhere, no call of a site replaced by a jump, and no malloc that the compiler knows
/// and could remove.
const FLAGS: &[&str] = &[
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

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in the workspace")
}

/// The target directory of the workspace.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Path of a test program, built if it has to be. Panics with the compiler's words if it does not build.
pub fn path(name: &str) -> PathBuf {
    let recipe = RECIPES.iter().find(|recipe| recipe.name == name);
    let recipe = recipe.unwrap_or_else(|| panic!("no test program is called {name}"));
    let directory = target().join("test-programs");
    fs::create_dir_all(&directory).unwrap_or_else(|error| panic!("cannot make {}: {error}", directory.display()));
    // Tests are processes of their own and may want the same program at the same time.
    let lock = File::create(directory.join(format!("{name}.lock"))).expect("cannot create a lock file");
    lock.lock().expect("cannot lock the directory of the test programs");
    let output = directory.join(name);
    let command = command(recipe, &output);
    let recorded = directory.join(format!("{name}.command"));
    let text = format!("{command:?}");
    if !is_fresh(&output) || fs::read_to_string(&recorded).ok().as_deref() != Some(&text) {
        build(command, &output);
        fs::write(&recorded, text).expect("cannot record how a test program was built");
    }
    output
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

fn command(recipe: &Recipe, output: &Path) -> Command {
    let plus = Path::new(recipe.sources[0])
        .extension()
        .is_some_and(|extension| extension == "cpp");
    let mut command = Command::new(if plus { "g++" } else { "gcc" });
    command
        .arg(if plus { "-std=gnu++20" } else { "-std=gnu2x" })
        .args(FLAGS)
        .args(recipe.flags);
    command.args(recipe.sources.iter().map(|source| sources().join(source)));
    command.arg("-o").arg(output.with_extension("new"));
    command
}

/// A program is older than its sources when any source is newer: there are few, and they share a header.
fn is_fresh(output: &Path) -> bool {
    let modified = |path: &Path| {
        path.metadata()
            .and_then(|metadata| metadata.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let built = modified(output);
    let entries = fs::read_dir(sources()).expect("the sources of the test programs are there");
    output.exists() && entries.flatten().all(|entry| modified(&entry.path()) < built)
}

fn build(mut command: Command, output: &Path) {
    let compiled = command.output().unwrap_or_else(|error| {
        let compiler = command.get_program().to_string_lossy().into_owned();
        panic!("cannot start {compiler}: {error}; install gcc and g++")
    });
    let words = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{command:?} failed:\n{words}");
    // Renamed, not written over: another test may still run the old one.
    fs::rename(output.with_extension("new"), output).expect("cannot put a test program in its place");
}
