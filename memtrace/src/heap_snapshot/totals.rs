//! Sums: by class, and by what kind of thing it is.

use super::{
    classes::Classes,
    detached::Detached,
    distance::{Distances, UNREACHABLE},
    dominators::Dominators,
    error::{Error, room},
    graph::{EdgeKind, Graph, NodeKind},
};
use crate::profile::heap::{HeapClass, HeapKinds, ScriptPlace};

/// No node.
const NONE: u32 = u32::MAX;

/// Sums of each class that has bytes, those that retain most first; `retained` is what each retains.
pub(super) fn by_class(
    graph: &Graph,
    classes: &Classes,
    detached: &Detached,
    distances: &Distances,
    retained: Vec<u64>,
) -> Vec<HeapClass> {
    let mut sums: Vec<HeapClass> = classes
        .distinct
        .iter()
        .map(|class| HeapClass {
            name: class.name.to_string(),
            place: class.place.map(|place| ScriptPlace {
                script_id: place.script,
                line: place.line,
                column: place.column,
            }),
            count: 0,
            shallow: 0,
            retained: 0,
            distance: None,
            detached: 0,
        })
        .collect();
    for node in 0..graph.len() {
        let size = graph.sizes.get(node);
        // What has no bytes of its own is counted nowhere, as in `DevTools`.
        if size == 0 {
            continue;
        }
        let sum = &mut sums[classes.of[node as usize] as usize];
        sum.count += 1;
        sum.shallow = sum.shallow.saturating_add(size);
        sum.detached += u64::from(detached.get(node));
        let distance = distances.of[node as usize];
        if distance != UNREACHABLE {
            sum.distance = Some(sum.distance.map_or(distance, |least| least.min(distance)));
        }
    }
    for (sum, retained) in sums.iter_mut().zip(retained) {
        sum.retained = retained;
    }
    sums.retain(|sum| sum.count > 0);
    sums.sort_by(|a, b| (b.retained, b.shallow, &a.name, a.place).cmp(&(a.retained, a.shallow, &b.name, b.place)));
    sums
}

/// What each class retains: of objects that another one of the class dominates, nothing is counted twice.
pub(super) fn retained(graph: &Graph, classes: &Classes, dominators: &Dominators) -> Result<Vec<u64>, Error> {
    let count = graph.types.len();
    let mut child: Vec<u32> = room("nodes", count)?;
    child.resize(count, NONE);
    let mut sibling: Vec<u32> = room("nodes", count)?;
    sibling.resize(count, NONE);
    for node in 0..graph.len() {
        if node != graph.root {
            let above = dominators.of[node as usize] as usize;
            sibling[node as usize] = std::mem::replace(&mut child[above], node);
        }
    }
    let mut sums = vec![0_u64; classes.distinct.len()];
    // The topmost object of each class on the way down to where we are.
    let mut topmost = vec![NONE; classes.distinct.len()];
    let mut node = graph.root;
    loop {
        let class = classes.of[node as usize] as usize;
        if topmost[class] == NONE && graph.sizes.get(node) > 0 {
            topmost[class] = node;
            sums[class] = sums[class].saturating_add(dominators.retained[node as usize]);
        }
        if child[node as usize] != NONE {
            node = child[node as usize];
            continue;
        }
        // Up to one that has something beside it.
        loop {
            let class = classes.of[node as usize] as usize;
            if topmost[class] == node {
                topmost[class] = NONE;
            }
            if node == graph.root {
                return Ok(sums);
            }
            let next = sibling[node as usize];
            if next != NONE {
                node = next;
                break;
            }
            node = dominators.of[node as usize];
        }
    }
}

/// What the bytes are of, as the summary of `DevTools` has it.
pub(super) fn by_kind(graph: &Graph) -> HeapKinds {
    let mut kinds = HeapKinds {
        native: graph.extra_native_bytes,
        ..HeapKinds::default()
    };
    let array = graph.strings.find("Array");
    let buffer = graph.strings.find("system / JSArrayBufferData");
    let elements = graph.strings.find("elements");
    let mut referred: Option<Vec<u8>> = None;
    for node in 0..graph.len() {
        let size = graph.sizes.get(node);
        let name = Some(graph.names[node as usize]);
        match graph.kind(node) {
            NodeKind::Hidden => kinds.system += size,
            NodeKind::Native => {
                kinds.native += size;
                if name == buffer {
                    kinds.typed_arrays += size;
                }
            }
            NodeKind::Code => kinds.code += size,
            NodeKind::String | NodeKind::ConsString | NodeKind::SlicedString => kinds.strings += size,
            _ if name == array => {
                let store = graph
                    .edges_of(node)
                    .iter()
                    .find(|edge| edge.kind() == EdgeKind::Internal && Some(edge.name) == elements);
                // Its elements, where nothing else refers to them.
                let own =
                    store.filter(|store| referred.get_or_insert_with(|| references(graph))[store.to() as usize] == 1);
                kinds.arrays += size + own.map_or(0, |store| graph.sizes.get(store.to()));
            }
            _ => (),
        }
    }
    kinds
}

/// How many refer to each node: none, one, or more.
fn references(graph: &Graph) -> Vec<u8> {
    let mut counts = vec![0_u8; graph.types.len()];
    for edge in &graph.edges {
        let count = &mut counts[edge.to() as usize];
        *count = (*count + 1).min(2);
    }
    counts
}
