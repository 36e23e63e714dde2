//! Allocators that the user names, and those that name themselves by static probes.

use memtrace_tests::{Memtrace, Program, require_root};

const BY_SYMBOL: [&str; 4] = [
    "my_alloc:my_free",
    "pool_take:pool_give:1",
    "array_take:array_give:1*2",
    "_ZN5arena4takeEm:_ZN5arena4giveEPv",
];

/// The options that name pairs.
fn options<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    pairs.into_iter().flat_map(|pair| ["--pair", pair]).collect()
}

/// The place of a function as the program knows it, `FILE+0xOFFSET`.
fn place(program: &Program, function: &str) -> String {
    let line = program.expect(&format!("offset {function} "));
    let (path, offset) = line.split_once(' ').expect("a path and an offset");
    format!("{}+{offset}", path.rsplit('/').next().unwrap_or(path))
}

#[test]
fn pairs_by_symbol() {
    require_root!();
    let mut program = Program::start("pairs", &[]);
    let memtrace = Memtrace::attach(program.pid(), &options(BY_SYMBOL));
    program.go();
    let truth = program.truth();
    // Those that fail are caught by the program itself: it is there to be asked.
    assert_eq!(truth.value("failed"), 100);
    let report = memtrace.finish();
    let process = report.only_process();
    for pair in ["my_alloc:my_free", "pool_take:pool_give", "array_take:array_give"] {
        process.assert_allocator(&format!("pair {pair}"));
    }
    report.assert_exact(&truth);
    // The exceptions, whose memory was allocated inside of the functions that threw them.
    report.assert_healthy(0..=100);
    assert!(program.end().0.success());
}

#[test]
fn pairs_by_file_and_offset() {
    require_root!();
    let mut program = Program::start("pairs", &[]);
    let [my_alloc, my_free, take, give] =
        ["my_alloc", "my_free", "pool_take", "pool_give"].map(|function| place(&program, function));
    let pairs = [format!("{my_alloc}:{my_free}"), format!("{take}:{give}:1")];
    println!("{pairs:?}");
    let memtrace = Memtrace::attach(program.pid(), &options(pairs.iter().map(String::as_str)));
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    report.assert_exact(&truth.only(|site| site == "site_my_alloc" || site == "site_pool"));
    report.assert_healthy(0..=0);
    assert_eq!(report.site("site_array").allocated_count, 0, "nobody named it");
    assert!(program.end().0.success());
}

#[test]
fn pairs_by_file_and_symbol() {
    require_root!();
    let mut program = Program::start("pairs", &[]);
    let memtrace = Memtrace::attach(program.pid(), &options(["pairs!my_alloc:pairs!my_free"]));
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    report.assert_exact(&truth.only(|site| site == "site_my_alloc"));
    report.assert_healthy(0..=0);
    assert!(program.end().0.success());
}

#[test]
fn bad_pairs_are_refused() {
    require_root!();
    let mut program = Program::start("pairs", &[]);
    let pid = program.pid().to_string();
    for (pair, words) in [
        ("", &["pair"][..]),
        ("my_alloc", &["my_alloc", ":"]),
        (":my_free", &["pair"]),
        ("my_alloc:", &["pair"]),
        ("my_alloc:my_free:6", &["6"]),
        ("my_alloc:my_free:1*9", &["9"]),
        ("my_alloc:my_free:size", &["size"]),
        ("no_such_function:my_free", &["no_such_function"]),
        ("my_alloc:no_such_function", &["no_such_function"]),
        ("no_such_file!my_alloc:my_free", &["no_such_file"]),
        ("pairs+0x10:my_free", &["0x10"]),
        ("pairs+0xffffffffffffffff:my_free", &["0xffffffffffffffff"]),
        ("pairs+0xnumber:my_free", &["0xnumber"]),
        ("my_alloc:\u{1b}[31mfree", &["free"]),
    ] {
        println!("--- {pair:?}");
        let finished = Memtrace::tried(&pid, &["--pair", pair]);
        finished.assert_refused(words);
        assert!(
            !finished.stderr.contains('\u{1b}'),
            "control characters are shown as they are"
        );
    }
    program.go();
    program.truth();
    assert!(program.end().0.success(), "the target does not notice");
}

#[test]
fn static_probes_are_heard() {
    require_root!();
    let mut program = Program::start("usdt", &[]);
    let memtrace = Memtrace::attach(program.pid(), &[]);
    program.go();
    let truth = program.truth();
    // The program may skip its probes while nobody listens: it saw that somebody does.
    // Counted once for each place that has the probe.
    assert!(truth.value("alloc_semaphore") > 0);
    assert!(truth.value("free_semaphore") > 0);
    let report = memtrace.finish();
    report.only_process().assert_allocator("otel_memory");
    let mut wrong = 0;
    // Where an argument is a constant there is no register to read it from, and that is said.
    let unhooked = report.only_process().unhooked();
    assert!(unhooked.iter().any(|why| why.contains('$')), "{unhooked:?}");
    for (name, site) in truth.sites.iter().filter(|(name, _)| *name != "site_constants") {
        // Each sample stands for its weighted bytes; how many blocks these are is an estimate.
        let reported = report.site(name);
        println!("{name}: truth {site:?}, memtrace {reported:?}");
        wrong += u32::from((site.bytes, site.allocated_bytes) != (reported.bytes, reported.allocated_bytes));
    }
    assert_eq!(wrong, 0, "sites that differ");
    report.assert_healthy(0..=0);
    let (status, output) = program.end();
    assert!(status.success());
    assert!(output.contains("semaphores 0 0"), "somebody still listens: {output}");
}
