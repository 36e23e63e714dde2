//! What an embedder says is detached (DOM nodes of a page, objects of node), and what hangs from it.

use super::graph::{Bits, EdgeKind, Graph, NodeKind};

const ATTACHED: u8 = 1;
const DETACHED: u8 = 2;

/// The nodes that are detached.
#[derive(Debug)]
pub(super) struct Detached {
    nodes: Bits,
    /// Whether the file's names do not say it themselves.
    pub(super) is_marked: bool,
    /// Those of the nodes whose class is named so.
    prefixed: Bits,
}

impl Detached {
    pub(super) fn get(&self, node: u32) -> bool {
        self.nodes.get(node as usize)
    }

    /// Whether its class has `Detached ` before its name.
    pub(super) fn is_prefixed(&self, node: u32) -> bool {
        self.is_marked && self.prefixed.get(node as usize)
    }
}

/// Finds them: what an attached one leads to is attached, and what a detached one leads to and is not attached is detached. Only embedder's
/// (native) nodes are either, and nothing is passed on through others: the rule is that of Chrome's `DevTools`.
pub(super) fn detached(graph: &mut Graph) -> Detached {
    // Nothing else asks what the file says of it.
    let mut states = std::mem::take(&mut graph.detachedness);
    let graph = &*graph;
    let count = graph.types.len();
    let mut found = Detached {
        nodes: Bits::new(count),
        is_marked: !states.is_empty(),
        prefixed: Bits::new(count),
    };
    let is_native = |node: u32| graph.kind(node) == NodeKind::Native;
    if !found.is_marked {
        for node in (0..graph.len()).filter(|&node| is_native(node)) {
            if graph.name(node).starts_with("Detached ") {
                found.nodes.set(node as usize);
            }
        }
        return found;
    }
    let mut visited = Bits::new(count);
    let mut waiting: [Vec<u32>; 2] = [Vec::new(), Vec::new()];
    let mut visit = |node: u32, state: u8, states: &mut [u8], waiting: &mut [Vec<u32>; 2]| {
        if visited.get(node as usize) {
            return;
        }
        visited.set(node as usize);
        if !is_native(node) {
            return;
        }
        states[node as usize] = state;
        if state == DETACHED {
            found.prefixed.set(node as usize);
        }
        waiting[usize::from(state == DETACHED)].push(node);
    };
    for node in 0..graph.len() {
        let state = states[node as usize];
        if state == ATTACHED || state == DETACHED {
            visit(node, state, &mut states, &mut waiting);
        }
    }
    for (queue, state) in [(0, ATTACHED), (1, DETACHED)] {
        while let Some(node) = waiting[queue].pop() {
            for edge in graph.edges_of(node) {
                if !matches!(edge.kind(), EdgeKind::Hidden | EdgeKind::Weak | EdgeKind::Other) {
                    visit(edge.to(), state, &mut states, &mut waiting);
                }
            }
        }
    }
    for node in (0..graph.len()).filter(|&node| is_native(node)) {
        if states[node as usize] == DETACHED {
            found.nodes.set(node as usize);
        }
    }
    found
}
