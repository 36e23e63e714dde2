//! Which references retain, by the rules of Chrome's `DevTools`.

use regex_lite::Regex;
use rustc_hash::FxHashMap;

use super::graph::{Bits, Edge, EdgeKind, Graph};

/// A reference that is there because a `WeakMap` has both its key and its table: V8 writes it twice, once from each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Ephemeron {
    /// Id of the table.
    pub(super) table: u64,
    /// The pair that both references are of, by number.
    pub(super) pair: u32,
}

/// Names of edges that say that they are one of a pair, by number of the string.
#[derive(Debug, Default)]
pub(super) struct Ephemerons(FxHashMap<u32, Ephemeron>);

impl Ephemerons {
    /// Looks for such names. The form is that of V8's `HeapSnapshotGenerator` (`heap-snapshot-generator.cc`, ephemerons).
    pub(super) fn of(graph: &Graph) -> Self {
        const FORM: &str = r"^\d+( / part of key \(.*? @\d+\) -> value \(.*? @\d+\) pair in WeakMap \(table @(\d+)\))$";
        let Ok(form) = Regex::new(FORM) else {
            return Self::default();
        };
        let mut pairs: FxHashMap<&str, u32> = FxHashMap::default();
        let mut found = FxHashMap::default();
        for number in 0..u32::try_from(graph.strings.len()).unwrap_or(u32::MAX) {
            let name = graph.strings.get(number);
            // A string that fails this is not worth the expression.
            if !name.ends_with(')') || !name.starts_with(|first: char| first.is_ascii_digit()) {
                continue;
            }
            let Some(parts) = form.captures(name) else { continue };
            let (Some(pair), Some(table)) = (parts.get(1), parts.get(2).and_then(|table| table.as_str().parse().ok()))
            else {
                continue;
            };
            let next = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
            let pair = *pairs.entry(pair.as_str()).or_insert(next);
            found.insert(number, Ephemeron { table, pair });
        }
        Self(found)
    }

    /// The pair that an edge is of.
    pub(super) fn get(&self, edge: Edge) -> Option<&Ephemeron> {
        if self.0.is_empty() || edge.kind() != EdgeKind::Internal {
            return None;
        }
        self.0.get(&edge.name)
    }
}

/// Which edges count for dominators.
///
/// Weak ones do not, nor does one to the node itself. Of the two of an ephemeron that of the key does. A shortcut says what is global, at the
/// root, and repeats other edges elsewhere. And what belongs to the page is not retained by what does not (a debugger).
pub(super) fn essential(graph: &Graph, ephemerons: &Ephemerons) -> Bits {
    let owned = page_owned(graph);
    let mut essential = Bits::new(graph.edges.len());
    for node in 0..graph.len() {
        let is_root = node == graph.root;
        let is_owned = owned.get(node as usize);
        for index in graph.edge_range(node) {
            let edge = graph.edges[index];
            let to = edge.to();
            let from_table = || {
                let id = u64::from(graph.ids[node as usize]);
                ephemerons.get(edge).is_some_and(|ephemeron| ephemeron.table == id)
            };
            let skipped = edge.kind() == EdgeKind::Weak
                || to == node
                || !is_root && (edge.kind() == EdgeKind::Shortcut || owned.get(to as usize) && !is_owned)
                || from_table();
            if !skipped {
                essential.set(index);
            }
        }
    }
    essential
}

/// What can be reached from the globals and the documents of a page.
fn page_owned(graph: &Graph) -> Bits {
    let mut owned = Bits::new(graph.types.len());
    let mut next = Vec::new();
    for edge in graph.edges_of(graph.root) {
        let begins = match edge.kind() {
            EdgeKind::Element => graph.is_document_root(edge.to()),
            kind => kind == EdgeKind::Shortcut,
        };
        if begins {
            owned.set(edge.to() as usize);
            next.push(edge.to());
        }
    }
    while let Some(node) = next.pop() {
        for edge in graph.edges_of(node) {
            let to = edge.to() as usize;
            if edge.kind() != EdgeKind::Weak && !owned.get(to) {
                owned.set(to);
                next.push(edge.to());
            }
        }
    }
    owned
}
