use serde_json::Value;

use super::{Form, Sort, comparison, json, path, summary};
use crate::{
    profile::heap::{
        HeapClass, HeapClassChange, HeapComparison, HeapKinds, HeapObject, HeapPath, HeapReference, HeapSide, HeapStep,
        HeapSummary, ScriptPlace,
    },
    render::{escape, tests::rendered},
};

fn object(id: u32, kind: &str, class: &str, name: &str, retained: u64) -> HeapObject {
    HeapObject {
        id,
        kind: kind.into(),
        class: class.into(),
        name: name.into(),
        shallow: 64,
        retained,
        distance: Some(3),
        detached: id.is_multiple_of(2),
    }
}

fn class(name: &str, line: Option<u32>, count: u64) -> HeapClass {
    HeapClass {
        name: name.into(),
        place: line.map(|line| ScriptPlace {
            script_id: 30,
            line,
            column: 15,
        }),
        count,
        shallow: 10 * count,
        retained: 1_000_000 / count,
        distance: Some(2),
        detached: 0,
    }
}

fn snapshot() -> HeapSummary {
    HeapSummary {
        nodes: 95_412,
        edges: 349_985,
        total: 7_876_234,
        kinds: HeapKinds {
            code: 1_842_256,
            strings: 2_218_790,
            ..HeapKinds::default()
        },
        classes: vec![
            class("Leaf", Some(3), 12),
            class("\u{1b}[2J", None, 2_000),
            class("(string)", None, 40_000),
        ],
        objects: vec![
            object(5, "object", "Leaf", "Leaf", 4_096),
            object(6, "string", "(string)", "a\nb", 64),
        ],
        detached_count: 1,
        detached: vec![object(8, "native", "Detached <p>", "<p>", 64)],
    }
}

fn way() -> HeapPath {
    let step = |shown: &str, object| HeapStep {
        reference: (!shown.is_empty()).then(|| HeapReference {
            kind: "property",
            name: shown.into(),
            shown: shown.into(),
        }),
        object,
    };
    let root = object(1, "synthetic", "(synthetic)", "", 7_876_234);
    HeapPath {
        object: object(5, "object", "Leaf", "Leaf", 4_096),
        steps: vec![
            step("", root.clone()),
            step(".global\u{202e}", object(3, "object", "global", "global", 6_000)),
            step("[12]", object(5, "object", "Leaf", "Leaf", 4_096)),
        ],
        dominators: vec![object(3, "object", "global", "global", 6_000), root],
    }
}

fn difference() -> HeapComparison {
    let change = |name: &str, added: u64, removed: u64| HeapClassChange {
        name: name.into(),
        place: None,
        added_count: added,
        added_bytes: added * 24,
        removed_count: removed,
        removed_bytes: removed * 24,
    };
    HeapComparison {
        before: HeapSide {
            objects: 1_000,
            bytes: 24_000,
        },
        after: HeapSide {
            objects: 1_200,
            bytes: 28_800,
        },
        classes: vec![
            change("Leaf", 300, 100),
            change("Same", 5, 5),
            change("Gone\u{7}", 0, 12),
        ],
    }
}

#[test]
fn texts() {
    let form = Form::default();
    insta::assert_snapshot!("summary", rendered(|out| summary(&snapshot(), form, out)));
    insta::assert_snapshot!("path", rendered(|out| path(&way(), form, out)));
    insta::assert_snapshot!("comparison", rendered(|out| comparison(&difference(), form, out)));
    let few = Form {
        top: 1,
        sort: Sort::Count,
        ..form
    };
    let text = rendered(|out| summary(&snapshot(), few, out));
    assert!(
        text.contains("and 2 more classes") && text.contains("(string)") && !text.contains("Leaf ("),
        "{text}"
    );
}

#[test]
fn nothing_of_the_target_reaches_a_terminal_as_it_is() {
    let form = Form::default();
    let texts = [
        rendered(|out| summary(&snapshot(), form, out)),
        rendered(|out| path(&way(), form, out)),
        rendered(|out| comparison(&difference(), form, out)),
        rendered(|out| json::write(json::Content::Heap(&snapshot()), out)),
        rendered(|out| json::write(json::Content::Path(&way()), out)),
        rendered(|out| json::write(json::Content::Comparison(&difference()), out)),
    ];
    for text in texts {
        assert_eq!(
            text.chars().find(|&c| escape::is_unsafe(c) && c != '\n'),
            None,
            "{text}"
        );
    }
}

#[test]
fn documents_are_what_they_are_of() {
    let read = |content: json::Content<'_>| -> Value {
        serde_json::from_str(&rendered(|out| json::write(content, out))).unwrap()
    };
    let heap = read(json::Content::Heap(&snapshot()));
    assert_eq!(heap["format_version"], 1);
    assert_eq!(heap["heap"]["classes"][0]["place"]["line"], 3);
    assert_eq!(heap["heap"]["objects"][1]["name"], "a\nb");
    assert_eq!(
        read(json::Content::Path(&way()))["path"]["steps"][2]["reference"]["shown"],
        "[12]"
    );
    let changes = read(json::Content::Comparison(&difference()));
    assert_eq!(changes["comparison"]["classes"][0]["added_count"], 300);
}
