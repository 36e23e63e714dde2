//! `--fail-over` and `--suppressions`, as CI uses them.

use std::{
    fs,
    path::Path,
    process::{Command, ExitStatus},
};

use memtrace_tests::{Finished, Memtrace, programs, require_root, require_tool};
use serde_json::Value;
use tempfile::TempDir;

/// What came of a run of the program.
struct Outcome {
    finished: Finished,
    directory: TempDir,
}

impl Outcome {
    fn status(&self) -> ExitStatus {
        self.finished.status
    }

    fn text(&self, name: &str) -> String {
        let path = self.directory.path().join(name);
        fs::read_to_string(path).expect("the report was written")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text("leaks.json")).expect("leaks.json is JSON")
    }
}

fn run(mode: &str, options: &[&str]) -> Outcome {
    let (finished, directory) = Memtrace::run(options, Command::new(programs::path("checked")).arg(mode)).end();
    Outcome { finished, directory }
}

#[test]
fn a_program_that_frees_all_passes() {
    require_root!();
    let outcome = run("clean", &["--fail-over", "0"]);
    assert_eq!(outcome.status().code(), Some(0), "{}", outcome.text("leaks.txt"));
    let json = outcome.json();
    assert_eq!(
        (&json["check"]["failed"], &json["check"]["found"]),
        (&Value::from(false), &Value::from(0))
    );
    // What the C library keeps is told, not hidden.
    let suppressions = json["suppressions"].as_array().expect("a list");
    assert!(
        suppressions
            .iter()
            .any(|one| one["pattern"] == "^_IO_file_doallocate$" && one["sites"] == 1),
        "{suppressions:?}"
    );
    assert!(outcome.text("leaks.txt").contains("Suppressions: "));
    let shown = run("clean", &["--fail-over", "0", "--no-default-suppressions"]);
    assert_eq!(shown.status().code(), Some(1), "nothing is suppressed then");
    assert!(shown.text("leaks.txt").contains("_IO_file_doallocate"));
}

#[test]
fn what_is_live_at_exit_fails() {
    require_root!();
    let outcome = run("leak", &["--fail-over", "0"]);
    assert_eq!(outcome.status().code(), Some(1), "{}", outcome.text("leaks.txt"));
    let json = outcome.json();
    let check = &json["check"];
    assert_eq!(
        (&check["limit"], &check["found"], &check["sites"]),
        (&Value::from(0), &Value::from(3000), &Value::from(1))
    );
    assert!(
        outcome
            .finished
            .stdout
            .contains("failed: 2.9 KiB in 1 site leaked or growing")
    );
    assert_eq!(run("leak", &["--fail-over", "2999"]).status().code(), Some(1));
    assert_eq!(run("leak", &["--fail-over", "3000"]).status().code(), Some(0));
    assert_eq!(run("leak", &[]).status().code(), Some(0), "nobody asked");
}

#[test]
fn the_programs_own_failure_comes_first() {
    require_root!();
    let outcome = run("fail", &["--fail-over", "0"]);
    assert_eq!(outcome.status().code(), Some(7));
    assert_eq!(outcome.json()["check"]["failed"], true);
}

#[test]
fn what_is_known_is_suppressed_and_named() {
    require_root!();
    let here = tempfile::tempdir().expect("a temporary directory");
    let file = here.path().join("known.supp");
    fs::write(&file, "# Known.\nleak:^site_leak$\nleak:no_such_function\n").expect("a file");
    let name = file.to_string_lossy().into_owned();
    let outcome = run("leak", &["--fail-over", "0", "--suppressions", &name]);
    assert_eq!(outcome.status().code(), Some(0));
    let text = outcome.text("leaks.txt").replace('\n', " ");
    assert!(text.contains("1 pattern matched nothing"), "{text}");
    let json = outcome.json();
    let of = |pattern: &str| {
        let all = json["suppressions"].as_array().expect("a list");
        all.iter()
            .find(|one| one["pattern"] == pattern)
            .expect("it is in the list")
    };
    assert_eq!(
        (&of("^site_leak$")["sites"], &of("^site_leak$")["amount"]["bytes"]),
        (&Value::from(1), &Value::from(3000))
    );
    assert_eq!(of("^site_leak$")["place"], format!("{name}:2"));
    assert_eq!(of("no_such_function")["sites"], 0);

    fs::write(&file, "leak:a\nrace:b\n").expect("a file");
    let missing = here.path().join("missing.supp").to_string_lossy().into_owned();
    for (file, words) in [
        (&name, ["known.supp", "line 2"]),
        (&missing, ["missing.supp", "no such file"]),
    ] {
        Memtrace::finished(["run", "--suppressions", file, "--", "true"]).assert_refused(&words);
    }
}

/// Counts with Python's reader of XML what the file says of itself.
const COUNT: &str = "
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
suite = root.find('testsuite')
cases = suite.findall('testcase')
assert root.tag == 'testsuites' and all(case.get('name') and case.get('classname') for case in cases)
for tag, said in (('failure', 'failures'), ('skipped', 'skipped'), ('error', 'errors')):
    assert len(suite.findall(f'testcase/{tag}')) == int(suite.get(said)), tag
assert len(cases) == int(suite.get('tests')) == len({case.get('name') for case in cases})
print(len(cases), suite.get('failures'))
";

fn junit(path: &Path) -> String {
    let mut python = Command::new("python3");
    let finished = Memtrace::finish_command(python.args(["-c", COUNT]).arg(path));
    assert!(finished.status.success(), "{finished:?}");
    finished.stdout.trim().to_owned()
}

#[test]
fn ci_reads_the_test_cases() {
    require_root!();
    require_tool!("python3");
    let leak = run("leak", &["--fail-over", "0"]);
    let found = junit(&leak.directory.path().join("leaks.xml"));
    println!("{found}\n{}", leak.text("leaks.xml"));
    // The total and the one site.
    assert!(found.ends_with(" 2"), "{found}");
    assert!(leak.text("leaks.xml").contains("name=\"malloc: site_leak &lt; main"));
    let clean = run("clean", &["--fail-over", "0"]);
    let found = junit(&clean.directory.path().join("leaks.xml"));
    assert!(found.ends_with(" 0"), "{found}");
    let unasked = run("leak", &[]);
    assert!(!unasked.directory.path().join("leaks.xml").exists());
}
