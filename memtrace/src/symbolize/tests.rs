//! Against what the compiler and binutils make here.

use std::{
    fs::{self, File},
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use object::{Object as _, ObjectSegment as _, ObjectSymbol as _};

use super::{Symbolizer, bounds::Bounds, engine::Engine, sources::Sources};
use crate::{
    process::{Location, Module},
    profile::Frame,
};

const SOURCE: &str = "\
static volatile int sink; static inline __attribute__((always_inline)) int inner(int x) { sink = x; return sink * 3; }
namespace space { __attribute__((noinline)) int outer(int x) { return inner(x) + 1; } }
int main(int count, char **) { return space::outer(count); }
";

pub(super) fn run(program: &str, arguments: &[&str], folder: &Path) {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .status()
        .expect("binutils and g++ are there");
    assert!(status.success(), "{program} {arguments:?}");
}

/// A program with a function into which another is inlined, and the file offsets of the former.
fn program(folder: &Path) -> (PathBuf, Range<u64>) {
    fs::write(folder.join("code.cpp"), SOURCE).unwrap();
    run(
        "g++",
        &["-O1", "-g", "-Wl,--build-id", "-o", "code", "code.cpp"],
        folder,
    );
    let path = folder.join("code");
    let bytes = fs::read(&path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let outer = file
        .symbols()
        .find(|symbol| symbol.name().is_ok_and(|name| name.contains("outer")))
        .unwrap();
    let svma = outer.address();
    let segment = file
        .segments()
        .find(|segment| (segment.address()..segment.address() + segment.size()).contains(&svma));
    let segment = segment.unwrap();
    let offset = svma - segment.address() + segment.file_range().0;
    (path, offset..offset + outer.size())
}

pub(super) fn frames(path: &Path, offset: u64, debug: &Path) -> Vec<Frame> {
    let module = Arc::new(Module::of(path.display().to_string(), File::open(path).unwrap()));
    let mut symbolizer = Symbolizer::new(vec![debug.to_owned()]);
    let at = Location {
        module: 0,
        address: offset,
    };
    symbolizer.resolve(&[module], [at]);
    symbolizer.frames(at).unwrap().to_vec()
}

fn assert_full(frames: &[Frame]) {
    let last = frames.last().unwrap();
    assert_eq!(last.function.as_deref(), Some("space::outer(int)"), "{frames:?}");
    assert!(
        last.file.as_deref().is_some_and(|file| file.ends_with("code.cpp")),
        "{frames:?}"
    );
    assert_eq!(last.line, Some(2), "{frames:?}");
}

#[test]
fn names_lines_and_inlined_calls() {
    let folder = tempfile::tempdir().unwrap();
    let (path, offsets) = program(folder.path());
    // Somewhere in the function lies the inlined code.
    let all: Vec<_> = offsets.map(|offset| frames(&path, offset, folder.path())).collect();
    for frames in &all {
        assert_full(frames);
    }
    let inlined = all
        .iter()
        .find(|frames| frames.len() == 2)
        .expect("the inlined call is seen");
    assert!(inlined[0].inlined && !inlined[1].inlined);
    assert!(
        inlined[0]
            .function
            .as_deref()
            .is_some_and(|name| name.starts_with("inner")),
        "{inlined:?}"
    );
    assert_eq!(inlined[0].line, Some(1));
}

#[test]
fn debug_files_are_found_by_link_and_by_build_id() {
    let folder = tempfile::tempdir().unwrap();
    let (path, Range { start: offset, .. }) = program(folder.path());
    run("objcopy", &["--only-keep-debug", "code", "code.debug"], folder.path());
    run("strip", &["code"], folder.path());
    let nothing = frames(&path, offset, Path::new("/nonexistent"));
    assert_eq!(nothing.len(), 1);
    assert_eq!(
        (
            nothing[0].function.as_deref(),
            nothing[0].module.as_str(),
            nothing[0].offset
        ),
        (None, "code", offset)
    );

    let bytes = fs::read(&path).unwrap();
    let id = object::File::parse(&*bytes)
        .unwrap()
        .build_id()
        .unwrap()
        .unwrap()
        .to_vec();
    let hex: Vec<String> = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let directory = folder.path().join("debug/.build-id").join(&hex[0]);
    fs::create_dir_all(&directory).unwrap();
    fs::copy(
        folder.path().join("code.debug"),
        directory.join(format!("{}.debug", hex[1..].concat())),
    )
    .unwrap();
    assert_full(&frames(&path, offset, &folder.path().join("debug")));

    run("objcopy", &["--add-gnu-debuglink=code.debug", "code"], folder.path());
    assert_full(&frames(&path, offset, Path::new("/nonexistent")));
}

#[test]
fn a_debug_file_of_another_build_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (path, Range { start: offset, .. }) = program(folder.path());
    run("objcopy", &["--only-keep-debug", "code", "code.debug"], folder.path());
    run("strip", &["code"], folder.path());
    run("objcopy", &["--add-gnu-debuglink=code.debug", "code"], folder.path());
    fs::write(folder.path().join("code.debug"), b"something else").unwrap();
    assert_eq!(frames(&path, offset, Path::new("/nonexistent"))[0].function, None);
}

/// What a target can make of the names it may choose: opening it for reading waits until somebody writes.
fn pipe(path: &Path) {
    let _new = fs::remove_file(path);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
}

#[test]
fn a_pipe_in_the_place_of_a_debug_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (path, Range { start: offset, .. }) = program(folder.path());
    run("objcopy", &["--only-keep-debug", "code", "code.debug"], folder.path());
    run("objcopy", &["--add-gnu-debuglink=code.debug", "code"], folder.path());
    pipe(&folder.path().join("code.debug"));
    // By the debug link of a file with debug information of its own, of which the symbol table is still used ...
    let named = frames(&path, offset, Path::new("/nonexistent"));
    assert_eq!(named[0].function.as_deref(), Some("space::outer(int)"), "{named:?}");
    run("strip", &["code"], folder.path());
    assert_eq!(frames(&path, offset, Path::new("/nonexistent"))[0].function, None);

    // ... and by the link to what debug files share.
    let (path, Range { start: offset, .. }) = program(folder.path());
    let shared = folder.path().join("shared");
    pipe(&shared);
    let mut link = shared.to_str().unwrap().as_bytes().to_vec();
    link.extend([0; 21]);
    fs::write(folder.path().join("link"), link).unwrap();
    run(
        "objcopy",
        &["--add-section", ".gnu_debugaltlink=link", "code"],
        folder.path(),
    );
    let named = frames(&path, offset, Path::new("/nonexistent"));
    assert_eq!(named[0].function.as_deref(), Some("space::outer(int)"), "{named:?}");
}

#[test]
fn a_file_that_shrinks_while_it_is_used_costs_its_names_only() {
    let folder = tempfile::tempdir().unwrap();
    let (path, Range { start: offset, .. }) = program(folder.path());
    let module = Module::of(path.display().to_string(), File::open(&path).unwrap());
    let sources = Sources::of(&module, &[], &mut Bounds::default()).unwrap();
    assert!(!sources.names(&mut Engine::new(&[]), &[offset])[0].is_empty());
    File::options().write(true).open(&path).unwrap().set_len(100).unwrap();
    // Reading a mapping of what was cut off would end this test with SIGBUS.
    assert!(sources.names(&mut Engine::new(&[]), &[offset])[0].is_empty());
}

#[test]
fn damaged_files_give_frames_without_names() {
    let folder = tempfile::tempdir().unwrap();
    let (path, Range { start: offset, .. }) = program(folder.path());
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 63, 64, 200, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(!frames(&path, offset, folder.path()).is_empty(), "cut at {length}");
    }
    for at in (0..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        fs::write(&path, &damaged).unwrap();
        assert!(!frames(&path, offset, folder.path()).is_empty(), "changed at {at}");
    }
}
