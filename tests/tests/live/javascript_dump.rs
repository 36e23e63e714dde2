//! `memtrace dump` of node: stacks of threads as V8's call sites have them.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{collections::BTreeMap, process::Command};

use memtrace_tests::{
    Memtrace, PATIENCE, Program,
    dump::{Thread, dump},
    nodes, programs, require, require_root, wait_until,
};
use serde_json::{Value, json};

use super::{
    javascript::{BEFORE, LOOP, frames, is_part, is_replaced, is_same, line_of, started_loop},
    python::Frames,
};

/// What a thread does, and its stack.
type Said = BTreeMap<u32, (String, Frames)>;

/// How V8 runs the functions, and whether each frame has its line then.
const MODES: [(&[&str], bool); 4] = [
    (&["--no-sparkplug", "--no-opt", "--no-maglev"], true),
    (&["--always-sparkplug", "--no-opt"], false),
    (&[], false),
    (&[AT_ONCE], false),
];

/// V8 compiles in the thread that wants it, and so before that goes on: what is compiled into its caller does not depend on time.
const AT_ONCE: &str = "--no-concurrent-recompilation";

/// Starts the program in a folder of its own; what its threads say.
fn started(mut node: Command, flags: &[&str]) -> (Program, Said, tempfile::TempDir) {
    println!("{node:?} {flags:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let script = programs::source("javascript_threads.js");
    let program = Program::ready(node.args(flags).arg(script).arg(folder.path()));
    let output = program.output();
    let line = output.lines().find_map(|line| line.strip_prefix("stacks "));
    let said: Said = serde_json::from_str(line.expect("the program says it")).expect("the program prints JSON");
    assert_eq!(said.len(), 10, "not all threads");
    (program, said, folder)
}

/// The frames of JavaScript that are in a script, but for node's own on the way to what the thread waits in.
fn of_script(thread: &Thread) -> Frames {
    let all = frames(&json!({ "stack": thread.stack["frames"] }));
    all.into_iter()
        .skip_while(|frame| frame.1.starts_with("node:"))
        .collect()
}

fn scripts(said: &Frames) -> Frames {
    said.iter().filter(|frame| !frame.1.is_empty()).cloned().collect()
}

/// The threads that are not as the program says.
fn different(threads: &BTreeMap<u32, Thread>, said: &Said, exact: bool) -> Vec<String> {
    let differs = |(tid, (name, said)): (&u32, &(String, Frames))| {
        let Some(thread) = threads.get(tid) else {
            return Some(format!("{name} is missing"));
        };
        let (mut found, mut said) = (of_script(thread), scripts(said));
        if name == "computes" {
            // It has gone on since, and may be in what it calls; where it is in that is told by nobody.
            found.retain(|frame| frame.0 != "leaf");
            let (at, of) = (found.first_mut(), said.first_mut());
            at.zip(of).inspect(|(at, of)| assert_eq!(at.0, of.0));
            if let (Some(at), Some(of)) = (found.first_mut(), said.first_mut()) {
                (at.2, of.2) = (0, 0);
            }
        }
        let is_equal = if exact {
            is_same(&found, &said, true)
        } else {
            is_part(&found, &said)
        };
        let is_whole = thread.stack["javascript"] == json!({ "untold": 0, "cut": false }) && thread.is_whole();
        (!is_equal || !is_whole).then(|| format!("{name}, whole: {is_whole}\n  said  {said:?}\n  found {found:?}"))
    };
    said.iter().filter_map(differs).collect()
}

/// Dumps until all threads have come to where they said that they wait.
fn compared(program: &Program, said: &Said, exact: bool) -> BTreeMap<u32, Thread> {
    let mut last = Vec::new();
    let all = wait_until(PATIENCE, || {
        let threads = dump(program.pid(), &["--interpreter-frames"]);
        last = different(&threads, said, exact);
        last.is_empty().then_some(threads)
    });
    all.unwrap_or_else(|| {
        let shown: Vec<String> = last.iter().map(|text| text.chars().take(4000).collect()).collect();
        println!("{}", shown.join("\n"));
        assert_eq!(last.len(), 0, "threads are not as the program says");
        BTreeMap::new()
    })
}

/// Lets the program go on; all that its threads waited for comes to its end as it should.
fn ends_well(mut program: Program) {
    program.send("");
    let done = program.expect("done ");
    assert_eq!(
        done,
        "waits reads spawns computes deep named evaluated awaited compiled"
    );
    assert!(program.wait().0.success());
}

fn all_modes(node: impl Fn() -> Command, modes: &[(&[&str], bool)]) {
    for (flags, exact) in modes {
        let (program, said, _folder) = started(node(), flags);
        let threads = compared(&program, &said, *exact);
        let deepest = threads.values().map(|thread| of_script(thread).len()).max();
        assert!(deepest >= Some(2_000), "{deepest:?}");
        let of = |what: &str| -> Vec<&Thread> {
            let tids = said.iter().filter(|(_, (name, _))| name == what).map(|(tid, _)| tid);
            tids.filter_map(|tid| threads.get(tid)).collect()
        };
        // It runs, and must have been stopped.
        assert!(of("computes").iter().all(|thread| !thread.was_resting()));
        if flags.contains(&AT_ONCE) {
            let stacks = of("compiled")
                .into_iter()
                .filter_map(|thread| thread.stack["frames"].as_array());
            let is_inlined = |frame: &&Value| frame["kind"] == "javascript" && frame["inlined"] == true;
            assert!(
                stacks.flatten().any(|frame| is_inlined(&frame)),
                "nothing is compiled into its caller"
            );
        }
        ends_well(program);
    }
}

#[test]
fn javascript_threads_equal_call_sites_line_by_line() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        // The oldest do not know all flags.
        let known = |flag: &&&str| version > 20 || **flag != "--no-maglev";
        let modes = MODES.map(|(flags, exact)| (flags.iter().filter(known).copied().collect::<Vec<_>>(), exact));
        let modes: Vec<(&[&str], bool)> = modes.iter().map(|(flags, exact)| (flags.as_slice(), *exact)).collect();
        all_modes(|| Command::new(nodes::path(version)), &modes);
    }
}

#[test]
fn javascript_threads_of_a_node_that_is_a_library() {
    require_root!();
    require!(nodes::debian_there());
    all_modes(nodes::debian, &[(&["--no-sparkplug", "--no-opt"], true)]);
}

#[test]
fn a_loop_that_was_compiled_while_it_ran_has_its_line() {
    require_root!();
    require!(nodes::all_there());
    let line = line_of(LOOP, "calls");
    for (version, flags) in nodes::VERSIONS
        .iter()
        .flat_map(|version| BEFORE.map(|flags| (version, flags)))
    {
        let mut program = started_loop(&mut Command::new(nodes::path(*version)), flags);
        program.send("wait");
        let waits = || {
            let main = dump(program.pid(), &[]).remove(&program.pid())?;
            let stack = (main.entry["waits"]["state"] == "S").then(|| of_script(&main))?;
            stack.iter().any(|frame| frame.0 == "loop").then_some(stack)
        };
        let stack = wait_until(PATIENCE, waits).expect("the loop waits");
        assert!(is_replaced(&program), "it was not compiled while it ran");
        let found: Vec<_> = stack
            .iter()
            .filter(|frame| frame.0 == "loop")
            .map(|frame| frame.2)
            .collect();
        assert_eq!(found, [line], "node {version}: {stack:?}");
        program.kill();
    }
}

#[test]
fn views_of_javascript_threads() {
    require_root!();
    require!(nodes::all_there());
    let (program, said, _folder) = started(Command::new(nodes::path(22)), &[]);
    compared(&program, &said, false);
    let only = dump(program.pid(), &["--javascript-only"]);
    let kinds = |threads: &BTreeMap<u32, Thread>| -> Vec<Value> {
        let stacks = threads.values().filter_map(|thread| thread.stack["frames"].as_array());
        let mut kinds: Vec<Value> = stacks.flatten().map(|frame| frame["kind"].clone()).collect();
        kinds.dedup();
        kinds
    };
    for (tid, thread) in &only {
        let has_none = thread.functions("[native]") == ["(no JavaScript)"];
        assert_eq!(has_none, !said.contains_key(tid), "{}", thread.stack);
    }
    let native = dump(program.pid(), &["--native-only"]);
    assert_eq!(kinds(&native), ["native"]);
    assert!(native.values().all(|thread| thread.stack["javascript"].is_null()));
    let finished = Memtrace::finished(["dump", "--pid", &program.pid().to_string()]);
    assert!(
        finished.stdout.contains("größe (JavaScript) at /"),
        "{}",
        finished.stdout
    );
    assert!(finished.stdout.contains("/nicht da/ünï😀.js:4"));
    assert!(
        !finished.stdout.contains("Builtins_JSEntry"),
        "an engine's own frames are left out"
    );
    ends_well(program);
}
