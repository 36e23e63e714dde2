//! Builds the test programs: each once, and again when a source, a flag or the compiler changes.

mod recipes;

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use self::recipes::{FLAGS, RECIPES, RUST_FLAGS, Recipe};

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

/// Path of a source or script of the test programs.
pub fn source(name: &str) -> PathBuf {
    sources().join(name)
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

fn command(recipe: &Recipe, output: &Path) -> Command {
    let extension = Path::new(recipe.sources[0]).extension();
    let is = |wanted: &str| extension.is_some_and(|extension| extension == wanted);
    let mut command;
    if is("rs") {
        command = Command::new("rustc");
        command.args(RUST_FLAGS);
        for source in recipe.sources {
            match source.strip_suffix(".o") {
                Some(_) => command.arg("-C").arg(format!("link-arg={}", path(source).display())),
                None => command.arg(sources().join(source)),
            };
        }
    } else {
        command = Command::new(if is("cpp") { "g++" } else { "gcc" });
        command
            .arg(if is("cpp") { "-std=gnu++20" } else { "-std=gnu2x" })
            .args(FLAGS);
        command.args(recipe.flags);
        command.args(recipe.sources.iter().map(|source| sources().join(source)));
    }
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
        panic!("cannot start {compiler}: {error}; install gcc, g++ and rustc")
    });
    let words = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{command:?} failed:\n{words}");
    // Renamed, not written over: another test may still run the old one.
    fs::rename(output.with_extension("new"), output).expect("cannot put a test program in its place");
}
