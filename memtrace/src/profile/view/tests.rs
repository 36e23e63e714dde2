use memtrace_common::op::Op;

use super::*;
use crate::profile::fixture::{self, SiteSpec, frame};

fn python(name: &str, line: u32) -> Frame {
    Frame {
        file: Some("app.py".to_owned()),
        line: Some(line),
        kind: FrameKind::Python,
        ..frame(name, "[python]")
    }
}

fn unnamed(module: &str, offset: u64) -> Frame {
    Frame {
        function: None,
        offset,
        ..frame("x", module)
    }
}

fn evaluator(offset: u64) -> Frame {
    Frame {
        offset,
        ..frame("_PyEval_EvalFrameDefault", "libpython")
    }
}

/// A Python function that calls another through C, from a place in the evaluator; and a site without Python.
fn profile() -> Profile {
    let stack = |offset| {
        [
            frame("malloc", "libc"),
            unnamed("libpython", 7),
            evaluator(offset),
            python("inner", 3),
            evaluator(offset),
            frame("_PyFunction_Vectorcall.part.0", "libpython"),
            frame("call_function", "other"),
            unnamed("libpython", 8),
            frame("list_sort_impl", "libpython"),
            python("outer", 9),
            evaluator(1),
            frame("Py_RunMain", "libpython"),
            frame("main", "python3"),
        ]
    };
    let site = |live: u64| {
        SiteSpec::new(Op::Malloc)
            .live(live, 1)
            .allocated(live, 1)
            .history(&[0, live])
    };
    fixture::profile([
        site(10).stack(stack(1)),
        site(20).stack(stack(2)),
        site(5).stack([frame("malloc", "libc"), frame("worker", "other")]),
    ])
}

fn stacks(view: View) -> Vec<(u64, Vec<String>)> {
    let viewed = profile().viewed(view).finished();
    assert!(
        viewed
            .sites
            .iter()
            .all(|site| site.stack.is_some_and(|stack| stack < viewed.stacks.len()))
    );
    let names = |site| {
        let name = |frame: &Frame| frame.function.clone().unwrap_or_else(|| format!("+{}", frame.offset));
        viewed.stack(site).map(name).collect()
    };
    viewed.sites.iter().map(|site| (site.live.bytes, names(site))).collect()
}

#[test]
fn what_an_interpreter_calls_itself_by_is_left_out_and_equal_sites_are_one() {
    assert_eq!(
        stacks(View::Merged),
        [
            (
                30,
                [
                    "malloc",
                    "+7",
                    "inner",
                    "call_function",
                    "list_sort_impl",
                    "outer",
                    "main"
                ]
                .map(str::to_owned)
                .to_vec()
            ),
            (5, ["malloc", "worker"].map(str::to_owned).to_vec()),
        ]
    );
}

#[test]
fn each_view_has_its_frames() {
    assert_eq!(stacks(View::All).len(), 3);
    assert_eq!(stacks(View::All)[0].1.len(), 13);
    assert_eq!(
        stacks(View::Only(FrameKind::Python)),
        [
            (30, ["inner", "outer"].map(str::to_owned).to_vec()),
            (5, vec!["(no Python)".to_owned()])
        ]
    );
    let native = stacks(View::Native);
    assert_eq!(native.len(), 3, "their places in the evaluator differ");
    assert_eq!(native[0].1.len(), 11);
    assert_eq!(
        profile().viewed(View::Only(FrameKind::Python)).filter,
        ["Python frames only"]
    );
}

#[test]
fn sums_histories_and_classes_add_up() {
    let before = profile();
    let viewed = profile().viewed(View::Merged).finished();
    let total = |profile: &Profile| profile.sites.iter().map(|site| site.allocated.bytes).sum::<u64>();
    assert_eq!(total(&before), total(&viewed));
    let last = |site: &crate::profile::Site| site.history.iter().last().map(|(_, bytes)| bytes);
    assert_eq!(last(&viewed.sites[0]), Some(30));
}

#[test]
fn profiles_without_a_runtime_stay_as_they_are() {
    let one = || {
        fixture::profile([SiteSpec::new(Op::Malloc).live(1, 1).stack([
            frame("malloc", "libc"),
            evaluator(1),
            frame("main", "x"),
        ])])
    };
    for view in [View::Merged, View::All, View::Only(FrameKind::Python), View::Native] {
        assert_eq!(one().viewed(view).stacks, one().stacks);
    }
}
