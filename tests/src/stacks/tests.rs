use std::os::unix::process::ExitStatusExt as _;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// Frames as (function, offset), leaf first.
fn row(count: u64, stack: &[(&str, u64)]) -> Value {
    let frame = |&(function, offset): &(&str, u64)| json!({"function": function, "module": "m", "offset": offset});
    let frames: Vec<Value> = stack.iter().map(frame).collect();
    json!({"op": "malloc", "allocated": {"count": count, "bytes": 10 * count}, "stack": frames})
}

fn report(rows: &[Value]) -> Report {
    Report {
        status: std::process::ExitStatus::from_raw(0),
        stdout: String::new(),
        stderr: String::new(),
        profile: json!({"sites": rows}),
        directory: TempDir::new().unwrap(),
    }
}

fn truth() -> Stacks {
    Stacks::of_program("ready 1\nstack site 3 30 m:1a m:2b m:3c\nhold\n")
}

/// What comparing with one row of three allocations shows: whole, cut, wrong.
fn compared(stack: &[(&str, u64)]) -> [u64; 3] {
    let found = truth().compare(&report(&[row(3, stack)]));
    assert_eq!((found.allocations, found.deepest), (3, 3));
    [found.whole, found.cut, found.wrong]
}

#[test]
fn a_stack_is_whole_or_cut_or_wrong() {
    let site = [("malloc", 0), ("site", 5)];
    let of = |rest: &[(&'static str, u64)]| compared(&[&site, rest].concat());
    assert_eq!(of(&[("a", 0x1a), ("b", 0x2b), ("main", 0x3c)]), [3, 0, 0]);
    assert_eq!(of(&[("a", 0x1a), ("b", 0x2b)]), [0, 3, 0]);
    assert_eq!(of(&[("a", 0x1a), ("main", 0x3c)]), [0, 0, 3]);
    assert_eq!(of(&[("a", 0x1a), ("b", 0x2b), ("main", 0x3c), ("?", 1)]), [0, 0, 3]);
}

#[test]
fn only_the_allocator_is_between_the_site_and_the_leaf() {
    let rest = [("site", 5), ("a", 0x1a), ("b", 0x2b), ("main", 0x3c)];
    let below = |functions: &[(&'static str, u64)]| compared(&[functions, &rest].concat());
    assert_eq!(below(&[("malloc", 0), ("operator new(unsigned long)", 1)]), [3, 0, 0]);
    assert_eq!(below(&[("malloc", 0), ("somebody", 1)]), [0, 0, 3]);
}

#[test]
fn what_is_not_reported_is_missing() {
    let found = truth().compare(&report(&[
        row(3, &[("malloc", 0), ("b", 0x2b)]),
        json!({"stack": null}),
    ]));
    assert_eq!((found.whole, found.cut, found.wrong), (0, 0, 0));
    found.assert_whole_but(3);
}

#[test]
#[should_panic(expected = "1 of 3 allocations")]
fn one_missing_allocation_is_seen() {
    let stack = [("malloc", 0), ("site", 5), ("a", 0x1a), ("b", 0x2b), ("main", 0x3c)];
    truth().compare(&report(&[row(2, &stack)])).assert_whole();
}

#[test]
fn inlined_functions_are_no_frames() {
    let mut inlined = row(
        3,
        &[
            ("malloc", 0),
            ("site", 5),
            ("in", 0x1a),
            ("a", 0x1a),
            ("b", 0x2b),
            ("main", 0x3c),
        ],
    );
    inlined["stack"][2]["inlined"] = json!(true);
    assert_eq!(truth().compare(&report(&[inlined])).whole, 3);
}

#[test]
fn starts_are_known_by_their_name() {
    let rows = [
        row(
            90,
            &[
                ("malloc", 0),
                ("main", 1),
                ("__libc_start_call_main", 2),
                ("?", 3),
                ("?", 4),
            ],
        ),
        row(5, &[("malloc", 0), ("start_thread", 1), ("__GI___clone3", 2)]),
        row(4, &[("malloc", 0), ("main", 1), ("a", 2), ("b", 3), ("c", 4)]),
        json!({"stack": null, "allocated": {"count": 1}}),
    ];
    assert_eq!(report(&rows).reaching_start(), (95, 100));
}
