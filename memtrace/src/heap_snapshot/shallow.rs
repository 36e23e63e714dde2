//! Shallow sizes as people think of them: what an object keeps in arrays of the engine's own is part of it.

use super::graph::{EdgeKind, Graph, NodeKind};

const UNVISITED: u32 = u32::MAX;
const SEVERAL: u32 = u32::MAX - 1;

/// Gives the size of arrays, hidden nodes and external strings' bytes to the one node that they can only be reached through. The rule is that of
/// Chrome's `DevTools`.
pub(super) fn give_to_owners(graph: &mut Graph) {
    // A snapshot with V8's internals shown has no globals at its root, and is meant to be faithful.
    if !graph
        .edges_of(graph.root)
        .iter()
        .any(|edge| graph.is_user_root(edge.to()))
    {
        return;
    }
    let external = graph.strings.find("system / ExternalStringData");
    let is_part = |node: u32| match graph.kind(node) {
        NodeKind::Hidden | NodeKind::Array => true,
        NodeKind::Native => Some(graph.names[node as usize]) == external,
        _ => false,
    };
    let mut owners: Vec<u32> = (0..graph.len())
        .map(|node| if is_part(node) { UNVISITED } else { node })
        .collect();
    // Each node that is its own owner, and whatever gets another owner later.
    for start in 0..graph.len() {
        if owners[start as usize] == start {
            spread(graph, &mut owners, start);
        }
    }
    for node in 0..graph.len() {
        let owner = owners[node as usize];
        if owner == UNVISITED || owner == SEVERAL || owner == node {
            continue;
        }
        // Of the synthetic nodes only the root could be of use to anybody, and is not.
        if graph.kind(owner) == NodeKind::Synthetic || owner == graph.root {
            continue;
        }
        let size = graph.sizes.get(node);
        graph.sizes.set(node, 0);
        graph.sizes.set(owner, graph.sizes.get(owner).saturating_add(size));
    }
}

/// Follows references from a node through what has not got this owner yet. A node changes twice at most: to an owner, and to several.
fn spread(graph: &Graph, owners: &mut [u32], start: u32) {
    let mut next = vec![start];
    while let Some(node) = next.pop() {
        let owner = owners[node as usize];
        for edge in graph.edges_of(node) {
            if edge.kind() == EdgeKind::Weak {
                continue;
            }
            let to = edge.to();
            let known = owners[to as usize];
            if known == UNVISITED {
                owners[to as usize] = owner;
            } else if known == to || known == owner || known == SEVERAL {
                continue;
            } else {
                owners[to as usize] = SEVERAL;
            }
            next.push(to);
        }
    }
}
