//! Files for other tools, written at the end of an observation.

use std::{fs, process::Command};

use memtrace_tests::{
    Memtrace, Program,
    exported::{assert_keeps_schema, memory_sites, sum},
    require_root,
};
use serde_json::Value;

#[test]
fn an_observation_writes_files_for_other_tools() {
    require_root!();
    let options = ["--export", "pprof,speedscope,firefox", "--export", "heapprofile,csv"];
    let (report, truth) = Memtrace::traced(Program::start("hooks", &["1", "200"]), &options);
    report.assert_exact(&truth);
    assert_keeps_schema(&report.profile);
    let live = sum(memory_sites(&report.profile), "live", "bytes");
    assert!(live > 0);

    let json = |name: &str| -> Value {
        let bytes = fs::read(report.file(name)).expect("the file is there");
        serde_json::from_slice(&bytes).expect("the file is JSON")
    };
    assert_eq!(json("profile.speedscope.json")["profiles"][0]["endValue"], live);
    assert!(
        json("profile.heapprofile")["samples"]
            .as_array()
            .is_some_and(|samples| !samples.is_empty())
    );
    let rows = fs::read_to_string(report.file("profile.csv")).expect("the file is there");
    assert_eq!(rows.lines().count(), report.rows().len() + 1);
    let zipped = fs::read(report.file("profile.pb.gz")).expect("the file is there");
    assert_eq!(zipped[..2], [0x1f, 0x8b], "RFC 1952");

    // The build id is the file's own, as another program reads it.
    let firefox = json("profile.firefox.json");
    let mut libraries = firefox["libs"].as_array().expect("libraries").iter();
    let libc = libraries.find(|lib| lib["name"] == "libc.so.6").expect("a C library");
    let path = libc["path"].as_str().expect("a path");
    let notes = Command::new("readelf")
        .args(["-n", path])
        .output()
        .expect("readelf starts");
    let notes = String::from_utf8_lossy(&notes.stdout).into_owned();
    let id = libc["codeId"].as_str().expect("a build id");
    assert!(
        id.len() >= 16 && notes.contains(&format!("Build ID: {id}")),
        "{id} is not in {notes}"
    );
}

#[test]
fn formats_are_checked_before_anything_is_observed() {
    for (arguments, words) in [
        (
            ["--export", "gnuplot", "-o", "out"].as_slice(),
            ["gnuplot", "speedscope"],
        ),
        (&["--export", "csv"], ["--output", "required"]),
    ] {
        let arguments = ["attach", "--pid", "1"].iter().chain(arguments);
        Memtrace::finished(arguments).assert_refused(&words);
    }
}
