//! Builds the test programs: each once, and again when a source, a flag or the compiler changes.

mod cargo;
mod recipes;

use std::{
    collections::BTreeMap,
    env, fs,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use self::recipes::{FLAGS, Maker, RUST_FLAGS, Recipe};

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
    let recipe = recipe(name);
    let directory = target().join("test-programs");
    fs::create_dir_all(&directory).unwrap_or_else(|error| panic!("cannot make {}: {error}", directory.display()));
    // Tests are processes of their own and may want the same program at the same time.
    let lock = File::create(directory.join(format!("{name}.lock"))).expect("cannot create a lock file");
    lock.lock().expect("cannot lock the directory of the test programs");
    if let Maker::Cargo(feature) = recipe.maker {
        return cargo::build(name, feature, &directory);
    }
    let output = directory.join(name);
    let command = command(recipe, &output);
    let recorded = directory.join(format!("{name}.command"));
    let text = format!("{command:?}");
    if !is_fresh(&output) || fs::read_to_string(&recorded).ok().as_deref() != Some(&text) {
        build(command, recipe, &output);
        fs::write(&recorded, text).expect("cannot record how a test program was built");
    }
    output
}

fn recipe(name: &str) -> &'static Recipe {
    recipes::find(name).unwrap_or_else(|| panic!("no test program is called {name}"))
}

/// Fails where something that a test program is built from is not installed.
///
/// # Errors
///
/// The reason in words.
pub fn available(name: &str) -> Result<(), String> {
    let missing = recipe(name).needs.iter().find(|(file, _)| !Path::new(file).exists());
    missing.map_or(Ok(()), |(file, package)| {
        Err(format!("{name} needs {file}, of Debian's package {package}"))
    })
}

/// A copy of a test program under another name, in a directory of the caller's: the kernel calls a process by its file.
pub fn copy(name: &str, to: &Path) -> PathBuf {
    fs::copy(path(name), to).unwrap_or_else(|error| panic!("cannot copy {name} to {}: {error}", to.display()));
    to.to_owned()
}

/// Path of a source or script of the test programs.
pub fn source(name: &str) -> PathBuf {
    sources().join(name)
}

/// Lines of a source that have a mark, by what is behind it, from 1 on.
pub fn marked(source: &str, mark: &str) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(self::source(source)).expect("a source");
    let lines = (1..).zip(text.lines());
    lines
        .filter_map(|(number, line)| Some((line.split_once(mark)?.1.to_owned(), number)))
        .collect()
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
        command.args(RUST_FLAGS).args(recipe.flags);
        for source in recipe.sources {
            match source.rsplit_once('.') {
                Some((_, "o")) => command.arg("-C").arg(format!("link-arg={}", path(source).display())),
                Some((name, "rlib")) => {
                    let name = name.trim_start_matches("lib");
                    command
                        .arg("--extern")
                        .arg(format!("{name}={}", path(source).display()))
                }
                _ => command.arg(sources().join(source)),
            };
        }
    } else {
        command = Command::new(match recipe.maker {
            Maker::Musl => "musl-gcc",
            _ if is("cpp") => "g++",
            _ => "gcc",
        });
        command
            .arg(if is("cpp") { "-std=gnu++20" } else { "-std=gnu2x" })
            .args(FLAGS);
        command.args(recipe.flags);
        command.args(recipe.sources.iter().map(|source| sources().join(source)));
        command.args(recipe.libraries);
    }
    command.arg("-o").arg(output.with_extension("new"));
    command
}

/// A program is older than its sources when any source is newer: there are few, and they share headers.
fn is_fresh(output: &Path) -> bool {
    let modified = |path: &Path| {
        path.metadata()
            .and_then(|metadata| metadata.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let built = modified(output);
    let directories = [sources(), cargo::package().join("src")];
    let mut entries = directories
        .iter()
        .flat_map(|directory| fs::read_dir(directory).expect("the sources of the test programs are there"));
    output.exists() && entries.all(|entry| entry.is_ok_and(|entry| modified(&entry.path()) < built))
}

fn build(mut command: Command, recipe: &Recipe, output: &Path) {
    let made = output.with_extension("new");
    run(&mut command, "install gcc, g++ and rustc");
    if recipe.separate {
        separate(&made, &output.with_extension("debug"));
    }
    // Renamed, not written over: another test may still run the old one.
    fs::rename(made, output).expect("cannot put a test program in its place");
}

/// Moves symbols and debug information to a file of their own, which the program names.
///
/// # Panics
/// When binutils is missing or fails.
pub fn separate(program: &Path, debug: &Path) {
    let objcopy = || Command::new("objcopy");
    run(
        objcopy().arg("--only-keep-debug").arg(program).arg(debug),
        "install binutils",
    );
    let link = format!("--add-gnu-debuglink={}", debug.display());
    run(objcopy().args(["--strip-all", &link]).arg(program), "install binutils");
}

fn run(command: &mut Command, advice: &str) {
    let done = command.output().unwrap_or_else(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        panic!("cannot start {program}: {error}; {advice}")
    });
    let words = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?} failed:\n{words}");
}
