//! A profile for other tools to read: a recording, with what they may stumble over.

use std::{fs, path::PathBuf, time::Duration};

use memtrace::{
    profile::{Module, Profile, Settings, suppress::Suppressions},
    render::{Measure, escape, export, json},
    session::{Lookup, Part, Reading},
};
use serde_json::Value;
use tempfile::TempDir;

/// Names that a hostile target could choose.
const NAMES: [&str; 8] = [
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "x;y\nz 99 100",
    "</script><b>\"quoted\" & 'that'",
    "=HYPERLINK(\"http://localhost\")",
    "a\u{202e}b\\u0041\\",
    "größe::λ<数>(char const*)::{lambda()#1}",
    "operator new(unsigned long)",
    "%s%n$(id)`id`",
];

/// The profile of a recording of `fixtures`.
pub fn recorded(name: &str) -> Profile {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.memtrace"));
    let settings = Settings {
        top: 10,
        min_age: Duration::from_secs(1),
        min_size: 0,
        suppressions: Suppressions::default(),
        fail_over: None,
        view: memtrace::profile::View::default(),
    };
    let mut reading = Reading::open(&path).expect("the recording is in the tree");
    let read = reading.profile(&Part::default(), settings, &Lookup::default());
    read.expect("the recording is whole")
}

/// The profile of a recording with hostile names, inlined calls, a lost stack and groups.
pub fn hostile() -> Profile {
    let mut profile = recorded("hooks");
    for (index, frame) in profile.frames.iter_mut().enumerate() {
        if index % 2 == 0 {
            frame.function = Some(format!("{} {index}", NAMES[index / 2 % NAMES.len()]));
            frame.file = Some(format!("/src/{}.c", NAMES[index / 2 % NAMES.len()]));
            frame.line = Some(10 + u32::try_from(index).unwrap_or(0));
        }
        frame.inlined = index % 5 == 1;
    }
    profile.groups = vec!["one \"of\" two".into(), "=two;\u{1b}[0m".into()];
    for (index, site) in profile.sites.iter_mut().enumerate() {
        site.group = Some(index % 2);
    }
    profile.sites[3].stack = None;
    profile.modules = vec![Module {
        name: "libc.so.6".into(),
        path: "/usr/lib/x86_64-linux-gnu/libc.so.6".into(),
        build_id: Some("0123456789abcdef".into()),
    }];
    profile
}

/// Fails unless a document keeps the published schema.
pub fn assert_keeps_schema(document: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/profile.schema.json");
    let schema = fs::read(path).expect("the schema is in the tree");
    let schema = serde_json::from_slice(&schema).expect("the schema is JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema is one");
    let errors: Vec<_> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// The profile as its own JSON has it.
pub fn document(profile: &Profile) -> Value {
    let mut bytes = Vec::new();
    json::write(profile, json::Sites::All, &mut bytes).expect("memory takes all");
    serde_json::from_slice(&bytes).expect("the report is JSON")
}

/// Writes a profile in a format, under its name.
pub fn file(profile: &Profile, format: &str, folder: &TempDir) -> PathBuf {
    let format = export::Format::named(format).expect("a format of that name");
    let path = folder.path().join(format.file);
    let mut bytes = Vec::new();
    export::write(profile, format, Measure::Live, &mut bytes).expect("memory takes all");
    fs::write(&path, bytes).expect("the file can be written");
    path
}

/// Sites of memory in a document.
pub fn memory_sites(document: &Value) -> impl Iterator<Item = &Value> {
    let sites = document["sites"].as_array().expect("sites");
    sites
        .iter()
        .filter(|site| site["class"] == "heap" || site["class"] == "mapped")
}

/// The names of a site's frames, root first, as they are shown.
pub fn names(site: &Value) -> Vec<String> {
    let frames = site["stack"].as_array().into_iter().flatten().rev();
    frames
        .map(|frame| match frame["function"].as_str() {
            Some(function) => escape::text(function).into_owned(),
            None => format!(
                "{}+{:#x}",
                frame["module"].as_str().expect("a module"),
                frame["offset"].as_u64().expect("an offset")
            ),
        })
        .collect()
}

/// A sum over sites: `live` or `allocated`, `bytes` or `count`.
pub fn sum<'a, I: IntoIterator<Item = &'a Value>>(sites: I, amount: &str, unit: &str) -> u64 {
    let sites = sites.into_iter();
    sites.map(|site| site[amount][unit].as_u64().expect("a number")).sum()
}
