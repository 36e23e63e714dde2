//! Heap snapshots of node, read by memtrace and by Chrome's own `DevTools`: all numbers are the same. Needs neither root nor a kernel.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use memtrace::{
    heap_snapshot,
    profile::heap::{HeapSummary, ScriptPlace},
};
use memtrace_tests::{programs, require};
use serde_json::Value;
use tempfile::TempDir;

/// A file beside this one.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("readers").join(name)
}

/// A file of a package from npm; `cargo xtask test` installs it.
fn package(path: &str) -> Result<PathBuf, String> {
    let path = programs::target().join("tools/readers/node_modules").join(path);
    let missing = || format!("needs a package of npm, which is not in {}", path.display());
    path.exists().then_some(path.clone()).ok_or_else(missing)
}

fn printed(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}",
        errors.chars().take(2_000).collect::<String>()
    );
    output.stdout
}

/// What `DevTools` make of two snapshots.
fn devtools(first: &Path, second: &Path) -> Value {
    let mut node = Command::new(package("node24/bin/node").expect("it is there"));
    // The sources are TypeScript.
    node.args([
        "--experimental-transform-types",
        "--disable-warning=ExperimentalWarning",
    ])
    .arg(beside("devtools.mjs"))
    .arg(package("chrome-devtools-frontend").expect("it is there"))
    .arg("all")
    .args([first, second]);
    serde_json::from_slice(&printed(&mut node)).expect("JSON")
}

/// A class as `DevTools` tell it from others.
fn key(name: &str, place: Option<ScriptPlace>) -> String {
    match place {
        Some(place) => format!("{},{},{},{name}", place.script_id, place.line, place.column),
        None => format!(",{name}"),
    }
}

/// Rows of a key and numbers.
fn rows(rows: &Value) -> BTreeMap<String, Vec<u64>> {
    let row = |row: &Value| {
        let row = row.as_array().expect("a row");
        let numbers = row[1..].iter().map(|number| number.as_u64().expect("a whole number"));
        (row[0].as_str().expect("a key").to_owned(), numbers.collect())
    };
    rows.as_array().expect("rows").iter().map(row).collect()
}

fn read(file: &Path, top: usize) -> HeapSummary {
    heap_snapshot::summary(File::open(file).expect("the file is there"), top).expect("it is a snapshot")
}

/// Every object by itself.
fn compare_objects(summary: &HeapSummary, nodes: &Value) {
    let nodes = nodes.as_array().expect("nodes");
    assert_eq!(summary.nodes, nodes.len() as u64);
    let own: BTreeMap<u64, _> = summary
        .objects
        .iter()
        .map(|object| (u64::from(object.id), object))
        .collect();
    let mut compared = 0;
    let mut detached = 0;
    for node in nodes {
        // Parts of the root are not listed.
        let Some(object) = own.get(&node[0].as_u64().expect("an id")) else {
            continue;
        };
        // What is not reachable is at -5 there.
        let distance = object.distance.map_or(-5, i64::from);
        assert_eq!(
            (
                object.shallow,
                object.retained,
                distance,
                object.detached,
                object.class.as_str()
            ),
            (
                node[1].as_u64().expect("a size"),
                node[2].as_u64().expect("a size"),
                node[3].as_i64().expect("a distance"),
                node[5] == 2,
                node[6].as_str().expect("a class"),
            ),
            "@{}",
            object.id
        );
        compared += 1;
        detached += u64::from(object.detached);
    }
    assert_eq!(compared, summary.objects.len());
    assert_eq!(detached, summary.detached_count);
    assert!(compared > 30_000, "{compared} objects");
}

/// Ways and dominators of a few objects.
fn compare_paths(file: &Path, summary: &HeapSummary, nodes: &Value) {
    let above: BTreeMap<u64, u64> = nodes
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| (node[0].as_u64().expect("an id"), node[4].as_u64().expect("an id")))
        .collect();
    for class in ["Leaf", "(string)", "Holder"] {
        let object = summary
            .objects
            .iter()
            .find(|object| object.class == class && object.distance.is_some_and(|steps| steps < 100));
        let object = object.expect(class);
        let input = File::open(file).expect("the file is there");
        let path = heap_snapshot::path(input, object.id)
            .expect("a snapshot")
            .expect("an object");
        assert_eq!(&path.object, object);
        let mut id = u64::from(object.id);
        for dominator in &path.dominators {
            id = above[&id];
            assert_eq!(u64::from(dominator.id), id, "{class}");
        }
        assert_eq!(above[&id], id, "the last one is the root");
        assert_eq!(path.steps.last().map(|step| step.object.id), Some(object.id));
        let steps = path.steps.iter().skip(1);
        for (distance, step) in (1..).zip(steps) {
            assert_eq!(step.object.distance, Some(distance), "{class}");
            assert!(
                step.reference
                    .as_ref()
                    .is_some_and(|reference| reference.kind != "weak")
            );
        }
        if class == "Leaf" {
            let shown: Vec<_> = path
                .steps
                .iter()
                .filter_map(|step| step.reference.as_ref())
                .map(|reference| reference.shown.as_str())
                .collect();
            assert!(
                shown.iter().any(|name| [".holder", ".keys", ".bulk"].contains(name)),
                "{shown:?}"
            );
        }
    }
}

fn compare(version: &str) {
    require!(package(&format!("{version}/bin/node")).map(drop));
    require!(package("node24/bin/node").map(drop));
    require!(package("chrome-devtools-frontend").map(drop));
    let folder = TempDir::new().expect("a folder");
    let (first, second) = (
        folder.path().join("1.heapsnapshot"),
        folder.path().join("2.heapsnapshot"),
    );
    let node = package(&format!("{version}/bin/node")).expect("it is there");
    printed(Command::new(node).arg(beside("heap.cjs")).args([&first, &second]));

    let truth = devtools(&first, &second);
    let summary = read(&first, usize::MAX);
    assert_eq!(Value::from(summary.total), truth["total"]);
    let statistics = &truth["statistics"];
    let kinds = summary.kinds;
    for (own, theirs) in [
        (kinds.code, &statistics["v8heap"]["code"]),
        (kinds.strings, &statistics["v8heap"]["strings"]),
        (kinds.arrays, &statistics["v8heap"]["jsArrays"]),
        (kinds.system, &statistics["v8heap"]["system"]),
        (kinds.native, &statistics["native"]["total"]),
        (kinds.typed_arrays, &statistics["native"]["typedArrays"]),
    ] {
        assert_eq!(Value::from(own), *theirs, "{kinds:?} {statistics}");
    }
    let classes: BTreeMap<_, _> = summary
        .classes
        .iter()
        .map(|class| {
            (
                key(&class.name, class.place),
                vec![class.count, class.shallow, class.retained],
            )
        })
        .collect();
    assert_eq!(classes, rows(&truth["classes"]));
    for kind in [",{weak, back}", r#",{"say \"so\""}"#] {
        assert!(classes.contains_key(kind), "{kind}: {:?}", classes.keys());
    }
    compare_objects(&summary, &truth["nodes"]);
    compare_paths(&first, &summary, &truth["nodes"]);

    let files = [&first, &second].map(|file| File::open(file).expect("the file is there"));
    let [before, after] = files;
    let comparison = heap_snapshot::comparison(before, after).expect("snapshots");
    let changes: BTreeMap<_, _> = comparison
        .classes
        .iter()
        .map(|class| {
            let numbers = vec![
                class.added_count,
                class.added_bytes,
                class.removed_count,
                class.removed_bytes,
            ];
            (key(&class.name, class.place), numbers)
        })
        .collect();
    assert_eq!(changes, rows(&truth["changes"]));
    // The program's own truth: 300 more; of the 500 that were taken off a list, 167 are keys still.
    let leaves = comparison
        .classes
        .iter()
        .filter(|class| class.name == "Leaf")
        .map(|class| (class.added_count, class.removed_count));
    assert_eq!(leaves.max(), Some((300, 333)));
}

#[test]
fn node_18() {
    compare("node18");
}

#[test]
fn node_20() {
    compare("node20");
}

#[test]
fn node_22() {
    compare("node22");
}

#[test]
fn node_24() {
    compare("node24");
}
