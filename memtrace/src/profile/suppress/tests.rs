//! Which sites are suppressed, by what.

use memtrace_common::op::Op;

use super::*;
use crate::profile::{
    End,
    fixture::{self, SiteSpec, frame, line},
};

/// A finished profile at exit with these stacks, 100 bytes each, and the user's suppressions.
fn profile(stacks: &[&[Frame]], text: &str, runtime: bool) -> Profile {
    let site = |stack: &&[Frame]| SiteSpec::new(Op::Malloc).stack(stack.iter().cloned()).live(100, 1);
    let mut profile = fixture::profile(stacks.iter().map(site));
    let suppressions = &mut profile.settings.suppressions;
    if runtime {
        *suppressions = Suppressions::of_the_runtime();
    }
    suppressions.add("known.supp", text).unwrap();
    profile.target.end = Some(End::Exited(None));
    profile.finished()
}

fn app(function: &str) -> Frame {
    line(function, "app", "/src/app/main.c", 7)
}

fn clib(function: &str) -> Frame {
    frame(function, "libc.so.6")
}

fn loader(function: &str) -> Frame {
    frame(function, "ld-linux-x86-64.so.2")
}

#[test]
fn function_module_and_source_file_of_any_frame_count() {
    let leak = [clib("malloc"), app("leak"), app("main")];
    let other = [clib("malloc"), frame("parse", "libxml2.so.2"), frame("start", "other")];
    for (pattern, bytes) in [
        ("leak", 100),
        ("libxml2", 100),
        ("/src/app/", 100),
        ("main.c$", 100),
        ("^m", 200),
        ("none", 0),
    ] {
        let found = profile(&[&leak, &other], &format!("leak:{pattern}"), false).suppressed();
        assert_eq!(found.amount.bytes, bytes, "{pattern}");
    }
}

#[test]
fn everything_is_counted_and_named() {
    let stacks: [&[Frame]; 3] = [&[app("one")], &[app("two")], &[app("three")]];
    let profile = profile(
        &stacks,
        "# known\n\n  leak:one  \nleak:^t*\nleak:tw\nleak:gone\n",
        false,
    );
    let found = profile.suppressed();
    assert_eq!((found.sites, found.amount), (3, Amount { bytes: 300, count: 3 }));
    let by: Vec<_> = found
        .by_pattern
        .iter()
        .map(|(pattern, sites, _)| (pattern.text.as_str(), *sites))
        .collect();
    assert_eq!(by, [("one", 1), ("^t*", 2), ("tw", 1)]);
    let unused: Vec<_> = found.unused.iter().map(|pattern| pattern.place.as_deref()).collect();
    assert_eq!(unused, [Some("known.supp:6")]);
    assert_eq!(profile.suspects().count(), 0);
}

#[test]
fn lines_that_are_none_are_refused_with_their_number() {
    let error = |text: &str| Suppressions::default().add("f", text).unwrap_err();
    assert_eq!(error("leak:a\nrace:b").line, 2);
    assert_eq!(error("leak:").line, 1);
    assert_eq!(error("# a\nmalloc").text, "malloc");
    assert!(Suppressions::default().add("f", "\u{feff}leak:a").is_err());
}

#[test]
fn the_shipped_file_is_understood() {
    let shipped = Suppressions::of_the_runtime();
    assert_eq!(shipped.patterns().len(), 1 + lines(RUNTIME).count());
    assert!(shipped.patterns().iter().all(|pattern| pattern.place.is_none()));
}

#[test]
fn the_c_library_is_told_from_the_program() {
    let suppressed = |stack: &[Frame]| profile(&[stack], "", true).suppressed().sites == 1;
    assert!(suppressed(&[
        clib("malloc"),
        clib("_IO_file_doallocate"),
        clib("puts"),
        app("main")
    ]));
    assert!(
        !suppressed(&[clib("malloc"), app("_IO_file_doallocate"), app("main")]),
        "the program's own function"
    );
    assert!(suppressed(&[
        clib("malloc"),
        frame("pool", "libstdc++.so.6"),
        loader("call_init"),
        loader("_dl_start_user")
    ]));
    assert!(!suppressed(&[
        clib("malloc"),
        frame("init", "libfoo.so.1"),
        loader("call_init"),
        loader("_dl_start_user")
    ]));
    assert!(!suppressed(&[clib("malloc")]), "whatever called it is not known");
    assert!(!suppressed(&[clib("malloc"), clib("strdup"), app("main")]));
    assert!(!suppressed(&[]));
}
