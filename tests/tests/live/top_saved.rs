//! A snapshot that the screen was asked for is written, whatever is pressed next.

use std::fs;

use memtrace_tests::{Memtrace, Program, Tmux, require, require_root, requirements::tool};
use serde_json::Value;

use super::top::recorded;

#[test]
fn it_is_written_though_the_next_key_leaves() {
    require_root!();
    require!(tool("tmux"));
    let mut program = Program::start("steady", &["400"]);
    let tmux = Tmux::start(80, 24);
    recorded(&tmux, &mut program);
    assert!(program.end().0.success());
    let binary = Memtrace::binary();
    tmux.line(&format!("{} top --replay session; echo DONE", binary.display()));
    tmux.until("the first moment", |screen| {
        screen.contains(", moment 1 of") && !screen.contains("reading")
    });
    tmux.press(&["w", "q"]);
    tmux.until("DONE", |screen| screen.lines().any(|line| line == "DONE"));
    let entries = fs::read_dir(tmux.directory()).expect("the directory is the test's");
    let directories: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(directories.len(), 1, "{directories:?}");
    let files = fs::read_dir(&directories[0]).expect("a directory").flatten();
    for file in files {
        let name = file.file_name();
        assert!(!name.to_string_lossy().ends_with(".part"), "{name:?} is not whole");
    }
    for file in ["summary.txt", "flamegraph.svg", "tree.txt"] {
        assert!(directories[0].join(file).is_file(), "{file}");
    }
    let text = fs::read_to_string(directories[0].join("profile.json")).expect("a profile");
    serde_json::from_str::<Value>(&text).expect("the profile is JSON");
}
