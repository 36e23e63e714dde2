//! A snapshot's file, made node by node.

use serde_json::{Value, json};

pub(super) const TYPES: [&str; 15] = [
    "hidden",
    "array",
    "string",
    "object",
    "code",
    "closure",
    "regexp",
    "number",
    "native",
    "synthetic",
    "concatenated string",
    "sliced string",
    "symbol",
    "bigint",
    "object shape",
];

pub(super) const EDGES: [&str; 7] = [
    "context", "element", "property", "internal", "hidden", "shortcut", "weak",
];

/// Type, name, id, size, edges (type, name, to), detachedness.
pub(super) type Node = (usize, usize, usize, u64, Vec<(usize, usize, usize)>, u8);

/// A snapshot in the making.
#[derive(Default)]
pub(super) struct Made {
    strings: Vec<String>,
    pub(super) nodes: Vec<Node>,
    pub(super) locations: Vec<usize>,
}

impl Made {
    fn string(&mut self, text: &str) -> usize {
        let known = self.strings.iter().position(|string| string == text);
        known.unwrap_or_else(|| {
            self.strings.push(text.to_owned());
            self.strings.len() - 1
        })
    }

    /// The root is made first.
    pub(super) fn node(&mut self, kind: &str, name: &str, size: u64) -> usize {
        let kind = TYPES.iter().position(|&own| own == kind).unwrap();
        let name = self.string(name);
        let number = self.nodes.len();
        self.nodes.push((kind, name, 2 * number + 1, size, Vec::new(), 0));
        number
    }

    pub(super) fn edge(&mut self, from: usize, kind: &str, name: &str, to: usize) {
        let name = if matches!(kind, "element" | "hidden") {
            name.parse().unwrap()
        } else {
            self.string(name)
        };
        let kind = EDGES.iter().position(|&own| own == kind).unwrap();
        self.nodes[from].4.push((kind, name, to));
    }

    fn value(&self) -> Value {
        let nodes = self.nodes.iter().flat_map(|(kind, name, id, size, edges, state)| {
            [
                *kind as u64,
                *name as u64,
                *id as u64,
                *size,
                edges.len() as u64,
                0,
                u64::from(*state),
            ]
        });
        let edges = self.nodes.iter().flat_map(|(.., edges, _)| edges);
        let edges = edges.flat_map(|&(kind, name, to)| [kind, name, to * 7]);
        json!({
            "snapshot": {
                "meta": {
                    "node_fields": ["type", "name", "id", "self_size", "edge_count", "trace_node_id", "detachedness"],
                    "node_types": [TYPES, "string", "number", "number", "number", "number", "number"],
                    "edge_fields": ["type", "name_or_index", "to_node"],
                    "edge_types": [EDGES, "string_or_number", "node"],
                    "location_fields": ["object_index", "script_id", "line", "column"],
                },
                "node_count": self.nodes.len(),
                "edge_count": self.nodes.iter().map(|(.., edges, _)| edges.len()).sum::<usize>(),
                "trace_function_count": 0,
                "extra_native_bytes": 1000,
            },
            "nodes": nodes.collect::<Vec<_>>(),
            "edges": edges.collect::<Vec<_>>(),
            "trace_function_infos": [],
            "trace_tree": [{"a": "]}"}],
            "samples": [],
            "locations": self.locations,
            "strings": self.strings,
        })
    }

    /// With its members in the order in which V8 writes them.
    pub(super) fn text(&self) -> String {
        let value = self.value();
        let members = [
            "snapshot",
            "nodes",
            "edges",
            "trace_function_infos",
            "trace_tree",
            "samples",
            "locations",
            "strings",
        ];
        let members: Vec<_> = members.iter().map(|key| format!("\"{key}\":{}", value[*key])).collect();
        format!("{{{}}}", members.join(",\n"))
    }
}
