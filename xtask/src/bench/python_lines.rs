//! What tracers say of the same Python program: live bytes by line, side by side.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    command::Cmd,
    privilege::Root,
    workload::{Program, Tracer},
    workspace,
};

/// Bytes by line.
type Lines = BTreeMap<u64, u64>;

/// Reads what memray has recorded: bytes by innermost line of the program's file. Its own reports are by stack or by function.
const READ_MEMRAY: &str = r"
import collections, json, sys
import memray
lines = collections.Counter()
for record in memray.FileReader(sys.argv[1]).get_leaked_allocation_records(merge_threads=True):
    for function, file, line in record.stack_trace():
        if file == sys.argv[2]:
            lines[line] += record.size
            break
print(json.dumps(lines))
";

/// Prints the table, with the tracers that there are.
pub(super) fn run(root: Root, python: &Path) -> Result<()> {
    let program = workspace::root().join("tests/programs/python_sites.py");
    let source = fs::read_to_string(&program).with_context(|| format!("failed to read {}", program.display()))?;
    let mut columns = vec![("tracemalloc", by_tracemalloc(python, &program)?)];
    match by_memray(python, &program) {
        Ok(lines) => columns.push(("memray", lines)),
        Err(error) => println!("left out: memray does not run in {}: {error:#}", python.display()),
    }
    for (name, options) in [
        ("memtrace exact", &["--python-exact"][..]),
        ("memtrace", &["--every-call"]),
    ] {
        match by_memtrace(root, python, &program, options) {
            Ok(lines) => columns.push((name, lines)),
            Err(error) => println!("left out: {name}: {error:#}"),
        }
    }
    print_table(&source, &columns);
    Ok(())
}

/// Lines where nobody sees more than this are not shown: functions, cells, what a call leaves behind.
const SHOWN: u64 = 1000;

fn print_table(source: &str, columns: &[(&str, Lines)]) {
    println!("\nlive bytes by line of tests/programs/python_sites.py");
    let names: Vec<_> = columns.iter().map(|(name, _)| format!("{name:>16}")).collect();
    println!("{:>4} {}  line", "", names.concat());
    for (number, text) in (1_u64..).zip(source.lines()) {
        let bytes = |lines: &Lines| lines.get(&number).copied().unwrap_or(0);
        if columns.iter().any(|(_, lines)| bytes(lines) > SHOWN) {
            let sums: Vec<_> = columns
                .iter()
                .map(|(_, lines)| format!("{:>16}", bytes(lines)))
                .collect();
            println!("{number:>4} {}  {}", sums.concat(), text.trim());
        }
    }
}

/// The program, ready; `cold`: what it does before would be seen by those that are there from its start.
fn start(command: Cmd, program: &Path, arguments: &[&str]) -> Result<Program> {
    let command = command.arg(program).arg("cold").args(arguments);
    Program::spawn("python", command.env("PYTHONHASHSEED", "0"))
}

/// Lets it work, until it holds all that it keeps; what it has said meanwhile.
fn work(program: &mut Program) -> Result<Vec<String>> {
    program.tell("go")?;
    let mut said = Vec::new();
    loop {
        match program.line()? {
            line if line == "hold" => return Ok(said),
            line => said.push(line),
        }
    }
}

fn by_tracemalloc(python: &Path, program: &Path) -> Result<Lines> {
    let mut program = start(Cmd::new(python), program, &["tracemalloc"])?;
    let said = work(&mut program)?;
    program.finish()?;
    let text = said.iter().find_map(|line| line.strip_prefix("lines "));
    let lines: BTreeMap<String, (u64, u64)> = serde_json::from_str(text.context("it has said nothing of its lines")?)?;
    numbered(lines.into_iter().map(|(line, (bytes, _))| (line, bytes)))
}

fn by_memray(python: &Path, program: &Path) -> Result<Lines> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("memray.bin");
    let command = Cmd::new(python)
        .args(["-m", "memray", "run", "-q", "--trace-python-allocators", "-o"])
        .arg(&file);
    let mut running = start(command, program, &[])?;
    work(&mut running)?;
    running.finish()?;
    let text = Cmd::new(python)
        .args(["-c", READ_MEMRAY])
        .arg(&file)
        .arg(program)
        .read()?;
    let lines: BTreeMap<String, u64> = serde_json::from_str(&text)?;
    numbered(lines.into_iter())
}

fn by_memtrace(root: Root, python: &Path, program: &Path, options: &[&str]) -> Result<Lines> {
    let folder = tempfile::tempdir()?;
    let output = folder.path().display().to_string();
    let mut running = start(Cmd::new(python), program, &[])?;
    let arguments: Vec<_> = ["-o", &output].iter().chain(options).copied().collect();
    let tracer = Tracer::attach(root, running.pid(), &arguments, Stdio::null())?;
    work(&mut running)?;
    tracer.interrupt()?;
    tracer.finish()?;
    running.finish()?;
    let path: PathBuf = folder.path().join("profile.json");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let profile: Value = serde_json::from_str(&text)?;
    if profile["health"]["exact"] != true {
        bail!("its report is not exact: {}", profile["health"]["summary"]);
    }
    let mut lines = Lines::new();
    for site in profile["sites"].as_array().into_iter().flatten() {
        let mut frames = site["stack"].as_array().into_iter().flatten();
        let begun = |frame: &&Value| frame["kind"] == "python" && frame["line"].is_u64();
        let Some(frame) = frames.find(begun) else { continue };
        if frame["file"].as_str().map(Path::new) == Some(program) {
            let line = frame["line"].as_u64().context("a line is a number")?;
            *lines.entry(line).or_default() += site["live"]["bytes"].as_u64().context("bytes are a number")?;
        }
    }
    Ok(lines)
}

fn numbered(lines: impl Iterator<Item = (String, u64)>) -> Result<Lines> {
    lines.map(|(line, bytes)| Ok((line.parse()?, bytes))).collect()
}
