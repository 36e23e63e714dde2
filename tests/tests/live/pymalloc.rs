//! Every object of a Python program, against what hooks inside of the interpreter count; and where probes would lie, against other tools.

use std::{fs, path::Path, process::Command};

use memtrace_tests::{Memtrace, Program, Report, Truth, programs, pythons, require_root};

/// Bytes that the debug hooks add to each block: its size, marks before and marks behind it.
const DEBUG: u64 = 24;

fn start(interpreter: &Path, environment: &[(&str, &str)]) -> Program {
    Program::ready(
        Command::new(interpreter)
            .env_remove("PYTHONMALLOC")
            .env("PYTHONHASHSEED", "0")
            .envs(environment.iter().copied())
            .arg(programs::source("pymalloc.py"))
            .arg(programs::path("libpyhooks.so"))
            .arg("600"),
    )
}

/// What doctor says of the interpreter.
pub(super) fn doctor(program: &Program) -> String {
    let finished = Memtrace::finished(["doctor", "--pid", &program.pid().to_string()]);
    let lines = finished
        .stdout
        .lines()
        .filter(|line| line.split_whitespace().nth(1) == Some("python"));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

pub(super) fn observed(mut program: Program) -> (Truth, Report) {
    let memtrace = Memtrace::attach(program.pid(), &["--python-exact"]);
    program.go();
    let truth = program.truth();
    (truth, memtrace.finish())
}

/// Sums of all sites of a class: live bytes and blocks, allocated bytes and blocks.
pub(super) fn heap(report: &Report) -> [u64; 4] {
    let rows = report.rows().iter().filter(|row| row["class"] == "heap");
    rows.fold([0; 4], |sums, row| {
        let number = |sum: &str, unit: &str| row[sum][unit].as_u64().expect("a number in a site");
        [
            sums[0] + number("live", "bytes"),
            sums[1] + number("live", "count"),
            sums[2] + number("allocated", "bytes"),
            sums[3] + number("allocated", "count"),
        ]
    })
}

/// What hooks count in another run of the same program, which has the same calls: an interpreter with code of pymalloc in line does not go
/// there when it has hooks.
fn counted_apart(interpreter: &Path) -> Truth {
    let mut program = start(interpreter, &[]);
    program.go();
    program.truth()
}

#[test]
fn every_object_is_counted_once_with_its_size() {
    require_root!();
    let (mut direct, mut promoted) = (0, 0);
    for interpreter in pythons() {
        let program = start(&interpreter, &[]);
        let in_line = !doctor(&program).contains("reach its four functions: probes there would see every object");
        let (truth, report) = if in_line {
            promoted += 1;
            let (_, report) = observed(start(&interpreter, &[("PYHOOKS", "quiet")]));
            (counted_apart(&interpreter), report)
        } else {
            direct += 1;
            observed(program)
        };
        let sums = truth.site("python");
        println!("{}: {sums:?}, {:?}", interpreter.display(), truth.values);
        assert_eq!(
            heap(&report),
            [sums.bytes, sums.count, sums.allocated_bytes, sums.allocated_count]
        );
        let unmatched = truth.value("unmatched");
        report.assert_healthy(unmatched..=unmatched);
        let health = &report.profile["health"];
        assert_eq!(
            (&health["conflicts"], &health["stacks"]["broken"]),
            (&0.into(), &0.into())
        );
        assert!(
            report.profile["target"]["allocators"]
                .to_string()
                .contains("_PyObject_Malloc")
        );
        assert!(!report.stdout.contains("not seen one by one"), "{}", report.stdout);
    }
    println!("{direct} interpreters have all calls at functions, {promoted} have code in line");
}

#[test]
fn blocks_of_every_size_are_moved_and_shrunk_by_code_in_line() {
    require_root!();
    for interpreter in pythons() {
        let script = |how: &str| {
            Program::ready(
                Command::new(&interpreter)
                    .env_remove("PYTHONMALLOC")
                    .env("PYTHONHASHSEED", "0")
                    .env("PYHOOKS", how)
                    .arg(programs::source("pysizes.py"))
                    .arg(programs::path("libpyhooks.so")),
            )
        };
        let mut counted = script("count");
        let (truth, report) = if doctor(&counted).contains("reach its four functions") {
            observed(counted)
        } else {
            counted.go();
            (counted.truth(), observed(script("quiet")).1)
        };
        let wanted = truth.site("python");
        println!("{}: {wanted:?}, {:?}", interpreter.display(), truth.values);
        assert_eq!(
            heap(&report),
            [
                wanted.bytes,
                wanted.count,
                wanted.allocated_bytes,
                wanted.allocated_count
            ],
            "{}",
            interpreter.display()
        );
        assert_eq!(report.profile["health"]["conflicts"], 0);
    }
}

#[test]
fn the_debug_hooks_own_bytes_are_counted_and_said() {
    require_root!();
    for interpreter in pythons() {
        let program = start(&interpreter, &[("PYTHONMALLOC", "debug")]);
        if !doctor(&program).contains("reach its four functions") {
            // As the interpreter is without hooks of ours over them.
            let quiet = start(&interpreter, &[("PYTHONMALLOC", "debug"), ("PYHOOKS", "quiet")]);
            let tried = Memtrace::tried(&quiet.pid().to_string(), &["--python-exact"]);
            tried.assert_refused(&["--python-exact is not supported", "debug hooks", "memtrace census"]);
            continue;
        }
        let (truth, report) = observed(program);
        let sums = truth.site("python");
        let with = |bytes: u64, count: u64| bytes + DEBUG * count;
        assert_eq!(
            heap(&report),
            [
                with(sums.bytes, sums.count),
                sums.count,
                with(sums.allocated_bytes, sums.allocated_count),
                sums.allocated_count
            ],
            "{}",
            interpreter.display()
        );
    }
}

#[test]
fn what_would_not_be_seen_whole_is_refused() {
    require_root!();
    let native = Program::start("life", &["plain"]);
    Memtrace::tried(&native.pid().to_string(), &["--python-exact"]).assert_refused(&["no interpreter of CPython"]);
    let quiet = [("PYTHONMALLOC", "malloc"), ("PYHOOKS", "quiet")];
    let malloc = start(Path::new("/usr/bin/python3"), &quiet);
    Memtrace::tried(&malloc.pid().to_string(), &["--python-exact"]).assert_refused(&["leave out --python-exact"]);
}

/// What another tool prints of a file.
fn printed(tool: &str, arguments: &[&str], file: &str) -> String {
    let output = Command::new(tool)
        .args(arguments)
        .arg(file)
        .output()
        .expect("binutils are installed with gcc");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The number behind a mark, in hexadecimal digits.
fn hexadecimal(text: &str, mark: &str) -> u64 {
    let (_, rest) = text.split_once(mark).expect("a line of doctor");
    let digits: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    u64::from_str_radix(&digits, 16).expect("a number")
}

#[test]
fn functions_are_where_the_symbols_say() {
    require_root!();
    for interpreter in pythons() {
        let program = start(&interpreter, &[]);
        let maps = fs::read_to_string(format!("/proc/{}/maps", program.pid())).expect("mappings");
        let Some(library) = maps.lines().find_map(|line| {
            line.split_whitespace()
                .nth(5)
                .filter(|path| path.contains("/libpython"))
        }) else {
            continue;
        };
        let symbols = printed("nm", &[], library);
        let symbol = |name: &str| {
            let line = symbols
                .lines()
                .find(|line| line.split_whitespace().nth(2) == Some(name))?;
            u64::from_str_radix(line.split_whitespace().next()?, 16).ok()
        };
        if symbol("_PyObject_Malloc").is_none() {
            continue;
        }
        let text = doctor(&program);
        println!("{}\n{text}", interpreter.display());
        // Libraries of code have it at the same offsets as addresses, up to 3.13.
        for (mark, name) in [
            ("malloc at 0x", "_PyObject_Malloc"),
            ("calloc at 0x", "_PyObject_Calloc"),
            ("realloc at 0x", "_PyObject_Realloc"),
            ("free at 0x", "_PyObject_Free"),
        ] {
            let at = hexadecimal(&text, &format!(" {mark}"));
            let into = at.checked_sub(symbol(name).expect("a symbol"));
            assert!(into.is_some_and(|into| into < 16), "{name}: {at:#x}");
        }
        if let Some(refill) = symbol("allocate_from_new_pool") {
            assert_eq!(hexadecimal(&text, "taken by the function at 0x"), refill);
        }
    }
}

#[test]
fn sites_are_all_comparisons_that_a_disassembler_shows() {
    require_root!();
    let program = start(Path::new("/usr/bin/python3"), &[]);
    let text = doctor(&program);
    println!("{text}");
    let executable = fs::read_link(format!("/proc/{}/exe", program.pid())).expect("an executable");
    let headers = printed("readelf", &["-lW"], &executable.to_string_lossy());
    let Some(code) = headers
        .lines()
        .find(|line| line.contains("LOAD") && line.contains("R E"))
    else {
        panic!("no code in {}", executable.display());
    };
    let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).expect("a number");
    let words: Vec<&str> = code.split_whitespace().collect();
    let moved = number(words[2]) - number(words[1]);
    if !text.contains("calls by code in line") || moved == 0 {
        println!("skipped: this python3 has no code of pymalloc in line, or is not bound to its addresses");
        return;
    }
    let disassembly = printed("objdump", &["-d", "--no-show-raw-insn"], &executable.to_string_lossy());
    let (_, counts) = text.split_once("all emulated: ").expect("a line of sites");
    let mut told = counts.lines().next().expect("a line").split(", ");
    for name in ["malloc", "calloc", "realloc", "free"] {
        let sites: u64 = told
            .next()
            .and_then(|count| count.split(' ').next()?.parse().ok())
            .expect("a count");
        let at = hexadecimal(&text, &format!(" {name} at 0x")) + moved;
        // The probe may lie a few bytes into the function.
        let compares = (0..8).map(|into| {
            let operand = format!("$0x{:x},", at - into);
            disassembly
                .lines()
                .filter(|line| line.contains("cmp") && line.contains(&operand))
                .count() as u64
        });
        let compares = compares.max().expect("several");
        // In `_PyObject_DebugMallocStats` it is only asked whether pymalloc is in use.
        let questions = if name == "malloc" { 2 } else { 0 };
        assert_eq!(sites, compares - questions, "{name}");
    }
}
