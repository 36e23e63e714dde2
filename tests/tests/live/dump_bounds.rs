//! What `memtrace dump` does where there is much of something, or where it changes meanwhile.

use memtrace_tests::{
    PATIENCE, Program,
    dump::{Thread, dump},
    programs, require_root, wait_until,
};

/// As many threads as would take longer than a test may take here (5 minutes), 200 ms each, were they waited for one after the other.
const BLOCKED: usize = 1_600;

/// Levels of a kibibyte each: more than is copied of a stack at first.
const LEVELS: usize = 600;

#[test]
fn threads_that_do_not_stop_are_waited_for_together() {
    require_root!();
    let program = Program::start("dump-fp", &["blocked", &BLOCKED.to_string()]);
    let main = program.pid();
    let all = || {
        let threads = dump(main, &[]);
        let blocked = |(&tid, thread): (&u32, &Thread)| tid != main && thread.entry["waits"]["state"] == "D";
        (threads.iter().filter(|&thread| blocked(thread)).count() == BLOCKED).then_some(threads)
    };
    let threads = wait_until(PATIENCE, all).expect("all come to wait for their children");
    let problem = |thread: &Thread| thread.entry["problem"].as_str().unwrap_or_default().to_owned();
    let given_up = threads.iter().filter(|&(&tid, thread)| {
        tid != main && problem(thread).contains("did not come to a stop") && thread.entry["waits"]["call"] == "vfork"
    });
    // Of each it is known how far it is, which its frame pointer would be needed to go on from.
    let given_up: Vec<_> = given_up.collect();
    println!("{} of {BLOCKED} were given up", given_up.len());
    assert_eq!(given_up.len(), BLOCKED);
    for (_, thread) in given_up {
        assert_eq!(thread.functions("dump-fp"), ["in_vfork"], "{}", thread.stack);
        assert_eq!(thread.stack["end"], "no_frame_pointer");
    }
    assert!(threads[&main].is_whole());
    let (status, output) = program.end();
    assert!(status.success() && output.contains("done 0"), "{status}: {output}");
}

#[test]
fn a_stack_that_is_deeper_than_what_is_copied_first() {
    require_root!();
    for name in ["dump", "dump-fp"] {
        let program = Program::start(name, &["deep", &LEVELS.to_string()]);
        let right = || {
            let thread = dump(program.pid(), &[]).remove(&program.pid())?;
            (thread.entry["waits"]["call"] == "read").then_some(thread)
        };
        let thread = wait_until(PATIENCE, right).expect("it waits");
        let functions = thread.functions(name);
        let deep = functions.iter().filter(|function| *function == "deep").count();
        assert_eq!((deep, thread.is_whole()), (LEVELS, true), "{}", thread.entry);
        assert_eq!(thread.was_resting(), name == "dump", "{}", thread.entry);
        assert!(program.end().0.success());
    }
}

/// Code is replaced all the time. A name may be missing, but none is of the library that came later, or was there before.
#[test]
fn no_name_is_of_code_that_was_there_before_or_afterwards() {
    require_root!();
    let libraries = ["libswapped-one.so", "libswapped-two.so"].map(|name| programs::path(name).display().to_string());
    let program = Program::start("dump-fp", &["swaps", &libraries[0], &libraries[1]]);
    let mut inside = [0, 0];
    for _ in 0..30 {
        for thread in dump(program.pid(), &[]).values() {
            let frames = thread.stack["frames"].as_array().map(Vec::as_slice).unwrap_or_default();
            let names: Vec<&str> = frames.iter().filter_map(|frame| frame["function"].as_str()).collect();
            let has = |name: &str| names.contains(&name);
            for (index, (own, other)) in [("one", "two"), ("two", "one")].into_iter().enumerate() {
                if has(&format!("call_{own}")) {
                    assert!(
                        !has(&format!("in_{other}")) && !has(&format!("call_{other}")),
                        "{names:?}"
                    );
                    inside[index] += usize::from(has(&format!("in_{own}")));
                }
            }
        }
    }
    println!("{inside:?} were in the libraries");
    assert!(inside.iter().sum::<usize>() > 5, "{inside:?}");
    let (status, output) = program.end();
    assert!(status.success(), "{status}: {output}");
}
