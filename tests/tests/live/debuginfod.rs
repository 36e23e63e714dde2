//! Names from a server of debug files, as somebody reads a recording on a machine that has neither the program nor its symbols.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use memtrace::process::build_id_digits;
use memtrace_tests::{Memtrace, Program, programs, require_root, sums_below, wait_until};
use serde_json::Value;

use super::record::{Recording, check};

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

/// elfutils' server for all files below a directory.
fn serve(directory: &Path, port: u16) -> Program {
    let mut command = Command::new("debuginfod");
    command
        .args(["-F", "-d", ":memory:", "-p", &port.to_string()])
        .arg(directory)
        .env_remove("DEBUGINFOD_URLS");
    Program::spawn(&mut command)
}

/// A client that knows nothing yet: what a server did not have is not asked for again for ten minutes.
fn client(command: &mut Command, port: u16, cache: &Path) {
    command
        .env("DEBUGINFOD_URLS", format!("http://127.0.0.1:{port}"))
        .env("DEBUGINFOD_CACHE_PATH", cache)
        .env_remove("http_proxy");
}

fn wait_for_files(build_id: &str, port: u16) {
    let has = |what: &str| {
        let cache = tempfile::tempdir().expect("a temporary directory");
        let mut asked = Command::new("debuginfod-find");
        client(asked.args([what, build_id]), port, cache.path());
        let asked = asked.stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.expect("debuginfod-find runs").success()
    };
    let ready = wait_until(Duration::from_mins(1), || {
        (has("executable") && has("debuginfo")).then_some(())
    });
    assert!(ready.is_some(), "the server does not have {build_id}");
}

/// `profile.json` of a recording.
fn profile(file: &Path, options: &[&str], port: u16) -> Value {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let out = scratch.path().join("out");
    let mut command = Memtrace::command(["report"]);
    command.arg(file).arg("-o").arg(&out).args(options);
    client(&mut command, port, &scratch.path().join("cache"));
    let finished = Memtrace::finish_command(&mut command);
    assert!(finished.status.success(), "{finished:?}");
    let text = fs::read_to_string(out.join("profile.json")).expect("a profile");
    serde_json::from_str(&text).expect("the profile is JSON")
}

#[test]
fn names_come_from_a_server() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (here, served) = (directory.path().join("here"), directory.path().join("served"));
    fs::create_dir(&here).expect("an empty directory");
    fs::create_dir(&served).expect("an empty directory");
    let binary = programs::copy("hooks", &here.join("program"));
    programs::separate(&binary, &served.join("program.debug"));

    let mut program = Program::ready(Command::new(&binary).args(["1", "100"]));
    let mut recording = Recording::start(program.pid(), &[]);
    program.go();
    let truth = program.truth();
    recording.end();
    // The reader has nothing of it.
    fs::rename(&binary, served.join("program")).expect("it can be moved");

    let port = free_port();
    let without = profile(&recording.file(), &[], port);
    let site = truth.sites.keys().next().expect("a site");
    assert_eq!(sums_below(&without, site, "live"), (0, 0), "{site} has a name already");

    let served_program = File::open(served.join("program")).expect("it is there");
    let build_id = build_id_digits(&served_program).expect("the compiler gives programs a build id");
    let server = serve(&served, port);
    wait_for_files(&build_id, port);
    let with = profile(&recording.file(), &["--debuginfod"], port);
    drop(server);
    check(&with, &truth);
    let frames = with["sites"].as_array().into_iter().flatten();
    let mut frames = frames.flat_map(|site| site["stack"].as_array().into_iter().flatten());
    assert!(
        frames.any(|frame| frame["function"] == site.as_str() && frame["line"].is_u64()),
        "no line of {site}"
    );
}
