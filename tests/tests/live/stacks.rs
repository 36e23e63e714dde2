//! Names, lines and depth of call stacks.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{fs, process::Command};

use memtrace_tests::{Memtrace, Program, Report, Truth, programs, require_root};

fn traced(mut program: Program) -> (Report, Truth) {
    let memtrace = Memtrace::attach(program.pid(), &["--ring-size", "64MiB"]);
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    report.assert_healthy(0..=0);
    let (status, _) = program.end();
    assert!(status.success(), "the program ended with {status}");
    (report, truth)
}

/// The program allocates nothing outside of its sites, so that the heap is exact whatever the stacks show.
fn assert_heap(report: &Report, truth: &Truth) {
    let heap = (truth.value("heap_bytes"), truth.value("heap_count"));
    println!("live heap: truth {heap:?}, memtrace {:?}", report.class("heap"));
    assert_eq!(report.class("heap"), heap);
}

#[test]
fn cpp_sites_are_found_through_operator_new() {
    require_root!();
    let (report, truth) = traced(Program::start("cpp-own-new", &[]));
    report.assert_exact(&truth);
    assert_heap(&report, &truth);
    assert!(
        report.rows_of("operator new").next().is_some(),
        "operator new is in the stacks, demangled"
    );
}

#[test]
fn cpp_sites_behind_a_function_without_frame_pointer() {
    require_root!();
    let (report, truth) = traced(Program::start("cpp", &[]));
    assert_heap(&report, &truth);
    // libstdc++'s operator new keeps no frame: its caller is not in the chain of frame pointers, but the
    // caller's caller is.
    report.assert_exact(&truth.only(|name| !name.starts_with("shop::")));
}

#[test]
fn inlined_functions_have_frames_and_lines() {
    require_root!();
    let (report, truth) = traced(Program::start("cpp-own-new", &[]));
    let row = report.rows_of("site_inline").next().expect("site_inline has a row");
    let stack = row["stack"].as_array().expect("a stack");
    for frame in stack.iter().take(4) {
        println!("{frame}");
    }
    let frame = |name: &str| {
        let found = stack
            .iter()
            .find(|frame| frame["function"].as_str().is_some_and(|text| text.starts_with(name)));
        found.unwrap_or_else(|| panic!("no frame of {name}"))
    };
    for (name, line, inlined) in [
        ("inlined_taker", "inline_line", true),
        ("site_inline", "call_line", false),
    ] {
        let frame = frame(name);
        assert_eq!(frame["inlined"], inlined, "{name}");
        assert_eq!(frame["line"], truth.value(line), "{name}");
        assert!(
            frame["file"].as_str().is_some_and(|file| file.ends_with("cpp.cpp")),
            "{name}"
        );
    }
    assert!(
        stack[0]["function"]
            .as_str()
            .is_some_and(|name| name.contains("malloc")),
        "the leaf is the hook"
    );
}

#[test]
fn two_hundred_frames_are_cut_and_counted() {
    require_root!();
    let (report, truth) = traced(Program::start("life", &["deep"]));
    report.assert_exact(&truth);
    let row = report.rows_of("site_deep").next().expect("site_deep has a row");
    let frames = row["stack"].as_array().expect("a stack").len();
    println!(
        "frames kept: {frames} of more than 200; stacks cut: {}",
        report.health("stacks.deep")
    );
    assert!((100..=127).contains(&frames), "{frames} frames");
    assert!(report.health("stacks.deep") > 0, "the cut stack is counted");
}

#[test]
fn unloaded_libraries_keep_their_names() {
    require_root!();
    let mut command = Command::new(programs::path("life"));
    command.arg("plugins").env("PLUGIN", programs::path("libplugin.so"));
    command.env("SECOND_PLUGIN", programs::path("libsecond.so"));
    let (report, truth) = traced(Program::ready(&mut command));
    report.assert_exact(&truth);
}

#[test]
fn a_deleted_executable_is_still_read() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let copy = directory.path().join("deleted");
    fs::copy(programs::path("life"), &copy).expect("a copy of the program");
    let program = Program::ready(Command::new(&copy).arg("plain"));
    fs::remove_file(&copy).expect("the copy can be removed");
    let (report, truth) = traced(program);
    report.assert_exact(&truth);
}

#[test]
fn a_replaced_executable_is_not_taken_for_the_old_one() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let copy = directory.path().join("replaced");
    fs::copy(programs::path("life"), &copy).expect("a copy of the program");
    let program = Program::ready(Command::new(&copy).arg("plain"));
    fs::remove_file(&copy).expect("the copy can be removed");
    fs::copy(programs::path("hooks"), &copy).expect("another program in its place");
    let (report, truth) = traced(program);
    report.assert_exact(&truth);
}

#[test]
fn a_program_in_another_mount_namespace() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let script = "mount -t tmpfs tmpfs \"$1\" && cp \"$0\" \"$1/hidden\" && exec \"$1/hidden\" plain";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script])
        .arg(programs::path("life"))
        .arg(directory.path());
    let program = Program::ready(&mut command);
    assert!(
        !directory.path().join("hidden").exists(),
        "the program's file is not visible from here"
    );
    let (report, truth) = traced(program);
    report.assert_exact(&truth);
}
