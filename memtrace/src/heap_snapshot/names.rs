//! How single objects are called.

use std::fmt::Write as _;

use super::{
    classes::Classes,
    detached::Detached,
    distance::{Distances, UNREACHABLE},
    dominators::Dominators,
    graph::{EdgeKind, Graph, NodeKind},
};
use crate::profile::heap::{HeapObject, HeapReference};

/// Characters of a string that are shown: V8 itself writes 1024 at most.
const MOST_CHARACTERS: usize = 1024;

/// Pieces of a concatenated string that are looked at.
const MOST_PIECES: usize = 4096;

/// What an object is told by.
pub(super) struct Teller<'a> {
    pub(super) graph: &'a Graph,
    pub(super) classes: &'a Classes,
    pub(super) detached: &'a Detached,
    pub(super) dominators: &'a Dominators,
    pub(super) distances: &'a Distances,
}

impl Teller<'_> {
    pub(super) fn object(&self, node: u32) -> HeapObject {
        let graph = self.graph;
        let at = node as usize;
        let distance = self.distances.of[at];
        HeapObject {
            id: graph.ids[at],
            kind: graph.node_types[usize::from(graph.types[at])].clone(),
            class: self.classes.distinct[self.classes.of[at] as usize].name.to_string(),
            name: self.name(node),
            shallow: graph.sizes.get(node),
            retained: self.dominators.retained[at],
            distance: (distance != UNREACHABLE).then_some(distance),
            detached: self.detached.get(node),
        }
    }

    fn name(&self, node: u32) -> String {
        let graph = self.graph;
        if graph.kind(node) != NodeKind::ConsString {
            return graph.name(node).to_owned();
        }
        let mut text = String::new();
        let mut pieces = vec![node];
        for _ in 0..MOST_PIECES {
            let Some(piece) = pieces.pop().filter(|_| text.len() < MOST_CHARACTERS) else {
                break;
            };
            if graph.kind(piece) != NodeKind::ConsString {
                text.push_str(graph.name(piece));
                continue;
            }
            let part = |wanted: &str| {
                let mut edges = graph.edges_of(piece).iter();
                let edge =
                    edges.find(|edge| edge.kind() == EdgeKind::Internal && graph.strings.get(edge.name) == wanted);
                edge.map(|edge| edge.to())
            };
            pieces.extend(part("second"));
            pieces.extend(part("first"));
        }
        text
    }

    /// A reference, written as the expression that follows it.
    pub(super) fn reference(&self, index: usize) -> HeapReference {
        let edge = self.graph.edges[index];
        let name = if edge.kind().is_named() {
            self.graph.strings.get(edge.name).to_owned()
        } else {
            edge.name.to_string()
        };
        let mut shown = String::new();
        // Writing to a string does not fail.
        let _always = match edge.kind() {
            EdgeKind::Context => write!(shown, "->{name}"),
            EdgeKind::Element => write!(shown, "[{name}]"),
            EdgeKind::Weak => write!(shown, "[[{name}]]"),
            EdgeKind::Property | EdgeKind::Shortcut if name.contains(' ') => write!(shown, "[\"{name}\"]"),
            EdgeKind::Property | EdgeKind::Shortcut => write!(shown, ".{name}"),
            EdgeKind::Internal | EdgeKind::Hidden | EdgeKind::Other => write!(shown, "{{{name}}}"),
        };
        HeapReference {
            kind: edge.kind().name(),
            name,
            shown,
        }
    }
}
