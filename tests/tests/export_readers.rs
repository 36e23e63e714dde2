//! Exported files, read by the tools that they are for. Needs these tools, but neither root nor a kernel.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use memtrace::render::escape;
use memtrace_tests::{
    exported::{assert_keeps_schema, document, file, hostile, memory_sites, names, sum},
    programs, require, require_tool,
};
use serde_json::Value;
use tempfile::TempDir;

/// What a program prints.
fn printed(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    let end: String = errors.chars().rev().take(2_000).collect();
    assert!(output.status.success(), "{}", end.chars().rev().collect::<String>());
    String::from_utf8(output.stdout).expect("the output is text")
}

/// A script or a program's folder beside this file.
fn reader(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("readers").join(name)
}

/// The folder of a package from npm; `cargo xtask test` installs it.
fn package(name: &str) -> Result<PathBuf, String> {
    let folder = programs::target().join("tools/readers/node_modules").join(name);
    let missing = || format!("needs {name} of npm, which is not in {}", folder.display());
    folder.is_dir().then_some(folder.clone()).ok_or_else(missing)
}

/// Sites of memory that have ever had any.
fn sites(document: &Value) -> Vec<&Value> {
    memory_sites(document)
        .filter(|site| site["allocated"]["count"].as_u64() > Some(0))
        .collect()
}

/// The samples of `pprof -raw`: values, and the lines of the stack, leaf first.
fn raw_samples(raw: &str) -> Vec<(Vec<u64>, Vec<String>)> {
    let section = |from: &str, to: &str| {
        let rest = raw.split_once(from).expect("a section").1;
        rest.split_once(to)
            .expect("an end")
            .0
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut locations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut last = String::new();
    for line in section("\nLocations\n", "\nMappings\n") {
        // `  2: 0xed622 M=2 function file:line`, and a line for each call that this one was inlined into.
        let numbered = line
            .split_once(": 0x")
            .filter(|(id, _)| id.trim().parse::<u64>().is_ok());
        let call = match numbered {
            Some((id, rest)) => {
                id.trim().clone_into(&mut last);
                let call = rest.split_once(' ').expect("an address").1;
                let module = call.starts_with("M=").then(|| call.split_once(' ')).flatten();
                module.map_or(call, |(_, call)| call)
            }
            None => line.trim_start(),
        };
        locations.entry(last.clone()).or_default().push(call.to_owned());
    }
    let lines = section("\nSamples:\n", "\nLocations\n");
    let samples = lines.iter().skip(1).filter_map(|line| {
        let (values, stack) = line.split_once(": ")?;
        let values: Option<Vec<u64>> = values.split_whitespace().map(|value| value.parse().ok()).collect();
        let stack = stack.split_whitespace().flat_map(|id| locations[id].clone());
        Some((values?, stack.collect()))
    });
    samples.collect()
}

#[test]
fn pprof_reads_what_was_written() {
    require_tool!("go");
    let (profile, folder) = (hostile(), TempDir::new().expect("a folder"));
    let path = file(&profile, "pprof", &folder);
    let pprof = |flags: &[&str]| printed(Command::new("go").args(["tool", "pprof"]).args(flags).arg(&path));
    let document = document(&profile);
    let sites = sites(&document);

    let raw = pprof(&["-raw"]);
    let samples = raw_samples(&raw);
    assert_eq!(samples.len(), sites.len());
    for ((values, calls), site) in samples.iter().zip(&sites) {
        let number = |amount: &str, unit: &str| site[amount][unit].as_u64().expect("a number");
        let wanted = [
            ("allocated", "count"),
            ("allocated", "bytes"),
            ("live", "count"),
            ("live", "bytes"),
        ];
        assert_eq!(*values, wanted.map(|(amount, unit)| number(amount, unit)));
        let names = names(site);
        if names.is_empty() {
            assert!(
                calls[0].starts_with(site["op"].as_str().expect("an operation")),
                "{calls:?}"
            );
            assert!(calls[1].starts_with("[no stack"), "{calls:?}");
            continue;
        }
        assert_eq!(calls.len(), names.len(), "{calls:?}");
        let frames = site["stack"].as_array().expect("a stack");
        for ((call, name), frame) in calls.iter().zip(names.iter().rev()).zip(frames) {
            let place = escape::text(frame["file"].as_str().unwrap_or_default()).into_owned();
            let wanted = format!("{name} {place}:{}", frame["line"].as_u64().unwrap_or(0));
            assert!(call.starts_with(&wanted), "{call} should be {wanted}");
        }
    }
    let module = "/usr/lib/x86_64-linux-gnu/libc.so.6 0123456789abcdef";
    assert!(
        raw.contains(module) && raw.contains("Comment: accuracy: exact"),
        "{raw}"
    );
    assert!(
        raw.contains("op:[valloc]") && raw.contains("group:[one \"of\" two]"),
        "{raw}"
    );

    for (index, amount) in [("inuse_space", "live"), ("alloc_space", "allocated")] {
        let top = pprof(&["-top", "-unit=b", &format!("-sample_index={index}")]);
        let total = format!("of {}B total", sum(sites.iter().copied(), amount, "bytes"));
        assert!(top.contains(&total), "{total} is not in {top}");
    }
    // What is shown of one operation alone.
    let top = pprof(&["-top", "-unit=b", "-tagfocus=op=mmap"]);
    let mapped = sites.iter().copied().filter(|site| site["op"] == "mmap");
    let wanted = format!("accounting for {}B", sum(mapped, "live", "bytes"));
    assert!(
        top.contains(&wanted) && top.starts_with("File: hooks\n"),
        "{wanted} is not in {top}"
    );
    let traces = pprof(&["-traces"]);
    assert!(traces.contains("a\\u{202e}b\\u0041\\ 24"), "{traces}");
}

/// What `speedscope` reads of files: each with its lists.
fn speedscope(package: &Path, files: &[&Path]) -> Vec<Value> {
    let mut node = Command::new("node");
    // It goes down a tree by recursion.
    node.arg("--stack-size=4000")
        .arg(reader("speedscope.cjs"))
        .arg(package)
        .args(files);
    let lines = printed(&mut node);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

/// The samples of a list by the names in their stack.
fn by_names(list: &Value, skip: usize) -> BTreeMap<Vec<String>, u64> {
    let mut sums = BTreeMap::new();
    for sample in list["samples"].as_array().expect("samples") {
        let stack = sample["stack"].as_array().expect("a stack").iter().skip(skip);
        let names = stack
            .map(|frame| frame["name"].as_str().expect("a name").to_owned())
            .collect();
        *sums.entry(names).or_default() += sample["weight"].as_u64().expect("a whole weight");
    }
    sums
}

/// The same of the profile's own JSON.
fn expected(document: &Value, amount: &str, unit: &str) -> BTreeMap<Vec<String>, u64> {
    let mut sums = BTreeMap::new();
    for site in sites(document) {
        let group = escape::text(site["group"].as_str().expect("a group")).into_owned();
        let mut stack = names(site);
        if stack.is_empty() {
            let operation = site["op"].as_str().expect("an operation");
            stack = vec!["[no stack: it was not taken]".to_owned(), operation.to_owned()];
        }
        stack.insert(0, group);
        let value = site[amount][unit].as_u64().expect("a number");
        if value > 0 {
            *sums.entry(stack).or_default() += value;
        }
    }
    sums
}

#[test]
fn speedscope_reads_what_was_written() {
    require_tool!("node");
    require!(package("speedscope").map(drop));
    let package = package("speedscope").expect("it is there");
    let (profile, folder) = (hostile(), TempDir::new().expect("a folder"));
    let document = document(&profile);
    let own = file(&profile, "speedscope", &folder);
    let chrome = file(&profile, "heapprofile", &folder);

    let schema = fs::read(package.join("dist/release/file-format-schema.json")).expect("the schema is in the package");
    let schema: Value = serde_json::from_slice(&schema).expect("the schema is JSON");
    let exported = serde_json::from_slice(&fs::read(&own).expect("the file is there")).expect("the file is JSON");
    jsonschema::validate(&schema, &exported).expect("the file keeps the published schema");

    let read = speedscope(&package, &[&own, &chrome]);
    let lists = read[0]["lists"].as_array().expect("lists");
    let sums = [
        ("live", "bytes"),
        ("allocated", "bytes"),
        ("live", "count"),
        ("allocated", "count"),
    ];
    assert_eq!(lists.len(), sums.len());
    for (list, (amount, unit)) in lists.iter().zip(sums) {
        assert_eq!(list["total"], sum(sites(&document), amount, unit), "{amount} {unit}");
        assert_eq!(by_names(list, 0), expected(&document, amount, unit), "{amount} {unit}");
    }
    let list = &read[1]["lists"][0];
    assert_eq!(list["total"], sum(sites(&document), "live", "bytes"));
    // The root is no call.
    assert_eq!(by_names(list, 1), expected(&document, "live", "bytes"));
}

#[test]
fn tables_are_read_row_by_row() {
    require_tool!("python3");
    let (profile, folder) = (hostile(), TempDir::new().expect("a folder"));
    let path = file(&profile, "csv", &folder);
    let rows = printed(Command::new("python3").arg(reader("csv_rows.py")).arg(path));
    let rows: Vec<Value> = serde_json::from_str(&rows).expect("rows");
    let document = document(&profile);
    assert_keeps_schema(&document);
    let sites = document["sites"].as_array().expect("sites");
    assert_eq!(rows.len(), sites.len());
    // What could be a formula has an apostrophe in front.
    let cell = |text: &str| {
        if text.starts_with('=') {
            format!("'{text}")
        } else {
            text.to_owned()
        }
    };
    for (row, site) in rows.iter().zip(sites) {
        for amount in ["live", "allocated", "aged", "at_exit", "unknown"] {
            for unit in ["bytes", "count"] {
                assert_eq!(row[format!("{amount}_{unit}")], site[amount][unit].to_string());
            }
        }
        assert_eq!(row["op"], site["op"]);
        assert_eq!(
            row["verdict"],
            site["verdict"].as_str().unwrap_or_default().replace('_', " ")
        );
        let stack: Vec<String> = names(site).iter().map(|name| cell(&escape::folded(name))).collect();
        let (_, shown) = row["stack"]
            .as_str()
            .and_then(|stack| stack.split_once(';'))
            .expect("a group and more");
        if stack.is_empty() {
            assert!(shown.starts_with("[no stack"), "{shown}");
        } else {
            assert_eq!(shown, stack.join(";"));
        }
        assert_eq!(
            row["leaf"],
            cell(&names(site).pop().unwrap_or_default()).replace(";=", ";'=")
        );
    }
    assert!(
        rows.iter()
            .any(|row| row["stack"].as_str().is_some_and(|stack| stack.contains("'=HYPERLINK")))
    );
}
