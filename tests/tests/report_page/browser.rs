//! Pages in headless Chromium, driven by `readers/page.cjs`.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use memtrace::{
    profile::Profile,
    render::{Measure, html},
};
use memtrace_tests::{programs, requirements};
use serde_json::Value;

pub(crate) fn playwright() -> PathBuf {
    programs::target().join("tools/readers/node_modules/playwright-core")
}

/// What the tests need besides Chromium and node.
pub(crate) fn has_playwright() -> Result<(), String> {
    let folder = playwright();
    let missing = || format!("needs playwright-core of npm, which is not in {}", folder.display());
    folder.is_dir().then_some(()).ok_or_else(missing)
}

pub(crate) fn reader(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("readers").join(name)
}

/// What node prints when it runs a script.
pub(crate) fn printed(script: &str, arguments: &[&OsStr]) -> String {
    let output = Command::new("node")
        .arg(reader(script))
        .args(arguments)
        .output()
        .expect("node starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("the output is text")
}

/// A page in memory.
pub(crate) fn page(profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::new();
    html::write(profile, Measure::Live, &mut bytes).expect("memory takes all");
    bytes
}

/// What was seen of pages, by their names. They and pictures of them are in `target/tmp/pages`, to be looked at.
pub(crate) fn seen(pages: &[(&str, Vec<u8>)]) -> Vec<Value> {
    let shots = programs::target().join("tmp/pages");
    fs::create_dir_all(&shots).expect("a folder for pictures");
    let chromium = requirements::find("chromium").expect("it is there");
    let mut arguments = vec![
        playwright().into_os_string(),
        chromium.into_os_string(),
        shots.clone().into_os_string(),
    ];
    for (name, bytes) in pages {
        let path = shots.join(format!("{name}.html"));
        fs::write(&path, bytes).expect("the file can be written");
        arguments.push(path.into_os_string());
    }
    let arguments: Vec<_> = arguments.iter().map(OsString::as_os_str).collect();
    let lines = printed("page.cjs", &arguments);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .expect("a text that was seen")
}
