//! Made snapshots: small ones by hand, and random ones against the plainest way to work it out.

use std::collections::BTreeSet;

use proptest::prelude::*;

mod made;

use self::made::{EDGES, Made, TYPES};
use super::{
    Error, comparison,
    dominators::dominators,
    essential::{Ephemerons, essential},
    graph::Graph,
    path, read, summary,
};

/// The root with a global that has something.
fn program() -> Made {
    let mut made = Made::default();
    let root = made.node("synthetic", "", 0);
    let global = made.node("object", "Window / example.com", 100);
    made.edge(root, "shortcut", "Window / example.com", global);
    made
}

#[test]
fn a_class_counts_what_it_dominates_once() {
    let mut made = program();
    let outer = made.node("object", "List", 10);
    let inner = made.node("object", "List", 20);
    let text = made.node("string", "text", 7);
    let store = made.node("array", "", 40);
    made.edge(1, "property", "list", outer);
    made.edge(outer, "property", "next", inner);
    made.edge(inner, "element", "3", text);
    made.edge(inner, "internal", "elements", store);
    let summary = summary(made.text().as_bytes(), 10).unwrap();
    assert_eq!((summary.nodes, summary.edges, summary.total), (6, 5, 1177));
    let list = summary.classes.iter().find(|class| class.name == "List").unwrap();
    // The store's bytes are those of its only owner.
    assert_eq!(
        (list.count, list.shallow, list.retained, list.distance),
        (2, 70, 77, Some(2))
    );
    assert!(summary.classes.iter().all(|class| class.name != "(array)"));
    let way = path(made.text().as_bytes(), 9).unwrap().unwrap();
    let shown: Vec<_> = way
        .steps
        .iter()
        .filter_map(|step| step.reference.as_ref().map(|reference| &*reference.shown))
        .collect();
    assert_eq!(shown, ["[\"Window / example.com\"]", ".list", ".next", "[3]"]);
    let dominators: Vec<_> = way.dominators.iter().map(|object| object.id).collect();
    assert_eq!(dominators, [7, 5, 3, 1]);
    assert!(path(made.text().as_bytes(), 8).unwrap().is_none());
}

#[test]
fn the_value_of_a_weak_map_belongs_to_its_key() {
    let mut made = program();
    let (map, table) = (
        made.node("object", "WeakMap", 10),
        made.node("array", "(weak table)", 16),
    );
    let (key, value) = (made.node("object", "Key", 8), made.node("object", "Value", 500));
    made.edge(1, "property", "map", map);
    made.edge(map, "internal", "table", table);
    made.edge(1, "property", "key", key);
    let name = |number: usize| {
        let pair = format!("key (Key @{}) -> value (Value @{})", 2 * key + 1, 2 * value + 1);
        format!("{number} / part of {pair} pair in WeakMap (table @{})", 2 * table + 1)
    };
    made.edge(table, "internal", &name(2), value);
    made.edge(key, "internal", &name(1), value);
    let objects = summary(made.text().as_bytes(), 10).unwrap().objects;
    let retained = |name: &str| objects.iter().find(|object| object.name == name).unwrap().retained;
    assert_eq!((retained("Key"), retained("WeakMap")), (508, 26));
    let distance = |name: &str| objects.iter().find(|object| object.name == name).unwrap().distance;
    assert_eq!(distance("Value"), Some(4), "as far as the farther of key and table");
}

#[test]
fn classes_have_the_names_of_devtools() {
    let mut made = program();
    let names = [
        ("closure", "f", "Function"),
        ("regexp", "a+", "RegExp"),
        ("hidden", "system / Map", "(system)"),
        ("code", "f", "(compiled code)"),
        ("bigint", "1", "(bigint)"),
        ("object", "<div id=\"a b\">", "<div>"),
        ("native", "Detached <p class=\"x\">", "Detached <p>"),
    ];
    for (kind, name, _) in names {
        let node = made.node(kind, name, 8);
        made.edge(1, "property", name, node);
        // Another owner, so that nothing is given away.
        made.edge(0, "element", "1", node);
    }
    let first = made.node("object", "Point", 8);
    let second = made.node("object", "Point", 8);
    made.edge(1, "property", "first", first);
    made.edge(1, "property", "second", second);
    made.locations = vec![first * 7, 30, 4, 16, second * 7, 30, 9, 16];
    for number in 0..3 {
        let plain = made.node("object", "Object", 8);
        made.edge(1, "element", &number.to_string(), plain);
        made.edge(plain, "property", "x", first);
        made.edge(plain, "property", "a,b", first);
        if number == 2 {
            made.edge(plain, "property", "own", first);
        }
    }
    let summary = summary(made.text().as_bytes(), 10).unwrap();
    for (.., wanted) in names {
        assert!(summary.classes.iter().any(|class| &*class.name == wanted), "{wanted}");
    }
    let points: Vec<_> = summary
        .classes
        .iter()
        .filter(|class| class.name == "Point")
        .map(|class| class.place.unwrap().line)
        .collect();
    assert_eq!(points, [4, 9]);
    let plain = summary
        .classes
        .iter()
        .find(|class| class.name == "{x, \"a,b\"}")
        .unwrap();
    assert_eq!(plain.count, 3, "the third has these properties too");
}

#[test]
fn what_is_detached_passes_it_on_to_natives_only() {
    let mut made = program();
    let tree = made.node("native", "<div>", 8);
    let child = made.node("native", "<p>", 8);
    let shared = made.node("native", "<b>", 8);
    let script = made.node("object", "Wrapper", 8);
    made.nodes[tree].5 = 2;
    made.nodes[1].0 = TYPES.iter().position(|&name| name == "native").unwrap();
    made.nodes[1].5 = 1;
    made.edge(1, "property", "wrapper", script);
    made.edge(script, "property", "tree", tree);
    made.edge(1, "element", "1", shared);
    for to in [child, shared, script] {
        made.edge(tree, "element", "1", to);
    }
    let summary = summary(made.text().as_bytes(), 10).unwrap();
    let mut detached: Vec<_> = summary.detached.iter().map(|object| object.class.as_str()).collect();
    detached.sort_unstable();
    assert_eq!(detached, ["Detached <div>", "Detached <p>"]);
    assert_eq!(summary.detached_count, 2);
}

#[test]
fn a_comparison_is_by_id_and_class() {
    let mut before = program();
    for name in ["Stays", "Goes"] {
        let node = before.node("object", name, 8);
        before.edge(1, "property", name, node);
    }
    let mut after = program();
    let stays = after.node("object", "Stays", 24);
    after.edge(1, "property", "Stays", stays);
    for _ in 0..2 {
        let node = after.node("object", "Comes", 16);
        after.nodes[node].2 += 100;
        after.edge(1, "property", "Comes", node);
    }
    let found = comparison(before.text().as_bytes(), after.text().as_bytes()).unwrap();
    let changes: Vec<_> = found
        .classes
        .iter()
        .map(|class| (class.name.as_str(), class.count_delta(), class.bytes_delta()))
        .collect();
    assert_eq!(changes, [("Comes", 2, 32), ("Goes", -1, -8)]);
    assert_eq!((found.before.bytes, found.after.bytes), (116, 156));
    let same = comparison(before.text().as_bytes(), before.text().as_bytes()).unwrap();
    assert!(same.classes.is_empty());
}

#[test]
fn what_is_wrong_is_said() {
    let text = program().text();
    let error = |text: &str| summary(text.as_bytes(), 1).unwrap_err().to_string();
    for (from, to, wanted) in [
        (
            "\"node_count\":2",
            "\"node_count\":3",
            "says that it has 3 nodes, and has 2",
        ),
        (
            "\"node_count\":2",
            "\"node_count\":1",
            "says that it has 1 nodes, and has more",
        ),
        ("\"node_count\":2", "\"node_count\":99999999999", "more nodes than"),
        ("\"edge_count\":1", "\"edge_count\":0", "edges of nodes"),
        ("\"self_size\"", "\"self\"", "node_fields has no \"self_size\""),
        ("\"edges\":[5,1,7]", "\"edges\":[5,1,8]", "leads to 8"),
        ("\"edges\":[5,1,7]", "\"edges\":[5,1,14]", "leads to 14"),
        ("\"edges\":[5,1,7]", "\"edges\":[7,1,7]", "of type 7"),
        ("\"edges\":[5,1,7]", "\"edges\":[5,2,7]", "a name is string 2"),
        ("\"edges\":[5,1,7]", "\"edges\":[5,1]", "incomplete"),
        ("\"nodes\":", "\"strings\":[],\"nodes\":", "a second time"),
        (
            "\"snapshot\":",
            "\"nodes\":[],\"snapshot\":",
            "comes before \"snapshot\"",
        ),
        ("\"samples\":[],", "\"samples\":[];", "was expected instead of"),
    ] {
        assert!(text.contains(from), "{text} has no {from}");
        let said = error(&text.replacen(from, to, 1));
        assert!(said.contains(wanted), "{said} should say {wanted}");
    }
    assert!(error("{\"head\": {}}").contains("has no \"snapshot\""));
    assert!(error("<html>").contains("no heap snapshot"));
    assert!(error(&format!("{text} x")).contains("after its end"));
    for end in 0..text.len() {
        let found = summary(&text.as_bytes()[..end], 1).unwrap_err();
        assert!(matches!(found, Error::Truncated { .. }), "{end}: {found}");
    }
}

/// The same by removing each node in turn and looking what can still be reached.
fn naive(graph: &Graph, is_essential: &dyn Fn(usize) -> bool) -> Vec<u64> {
    let reachable = |starts: &[u32], without: Option<u32>| {
        let mut seen: BTreeSet<u32> = starts.iter().copied().filter(|&node| Some(node) != without).collect();
        let mut next: Vec<u32> = seen.iter().copied().collect();
        while let Some(node) = next.pop() {
            for index in graph.edge_range(node) {
                let to = graph.edges[index].to();
                if is_essential(index) && Some(to) != without && seen.insert(to) {
                    next.push(to);
                }
            }
        }
        seen
    };
    let from_root = reachable(&[graph.root], None);
    let referred: BTreeSet<u32> = (0..graph.edges.len())
        .filter(|&index| is_essential(index))
        .map(|index| graph.edges[index].to())
        .collect();
    let mut starts: Vec<u32> = (0..graph.len())
        .filter(|node| !from_root.contains(node) && !referred.contains(node))
        .collect();
    starts.push(graph.root);
    let all = reachable(&starts, None);
    let size = |node: u32| graph.sizes.get(node);
    (0..graph.len())
        .map(|node| {
            if node == graph.root {
                (0..graph.len()).map(size).sum()
            } else if all.contains(&node) {
                let left = reachable(&starts, Some(node));
                all.difference(&left).map(|&gone| size(gone)).sum()
            } else {
                size(node)
            }
        })
        .collect()
}

proptest! {
    #[test]
    fn dominators_are_those_of_the_definition(
        sizes in prop::collection::vec(1..100_u64, 1..14),
        edges in prop::collection::vec((0..14_usize, 0..7_usize, 0..14_usize), 0..40),
    ) {
        let mut made = Made::default();
        for &size in &sizes {
            made.node(if made.nodes.is_empty() { "synthetic" } else { "object" }, "x", size);
        }
        for (from, kind, to) in edges {
            made.edge(from % sizes.len(), EDGES[kind], "0", to % sizes.len());
        }
        let graph = read::read(made.text().as_bytes()).unwrap();
        let essential = essential(&graph, &Ephemerons::of(&graph));
        let found = dominators(&graph, &essential).unwrap();
        prop_assert_eq!(&found.retained, &naive(&graph, &|index| essential.get(index)));
        prop_assert_eq!(found.of[0], 0);
        // All of it works on any graph.
        let whole = summary(made.text().as_bytes(), 5).unwrap();
        prop_assert_eq!(whole.classes.iter().map(|class| class.shallow).sum::<u64>(), sizes.iter().sum::<u64>());
        path(made.text().as_bytes(), 1).unwrap();
    }

    #[test]
    fn nothing_that_is_damaged_panics(place in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut made = program();
        let object = made.node("object", "Object", 8);
        made.edge(1, "property", "a", object);
        made.locations = vec![object * 7, 1, 2, 3];
        let mut text = made.text().into_bytes();
        let at = place.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        let _either = summary(text.as_slice(), 3);
        let _either = path(text.as_slice(), 5);
    }
}
