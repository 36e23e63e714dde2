//! How far nodes are from what is global, by the rules of Chrome's `DevTools`, and the way there.

use rustc_hash::FxHashSet;

use super::{
    essential::Ephemerons,
    graph::{Edge, EdgeKind, Graph, NodeKind},
};

/// Added to the distance of what only the engine itself refers to.
pub(super) const SYSTEM: u32 = 100_000_000;

/// The distance of what nothing leads to but weak references.
pub(super) const UNREACHABLE: u32 = u32::MAX;

/// Who a node was reached from, where nobody's edge was followed.
pub(super) const NOBODY: u32 = u32::MAX;

/// Distances of all nodes.
#[derive(Debug)]
pub(super) struct Distances {
    /// Steps from the globals, which are at 1; from [`SYSTEM`] on, steps from the root; [`UNREACHABLE`].
    pub(super) of: Vec<u32>,
    /// From whom each was reached first and over which edge, where that was asked for.
    pub(super) reached: Vec<(u32, u32)>,
}

/// Works them out; with the way where it `keeps_way`.
pub(super) fn distances(graph: &Graph, ephemerons: &Ephemerons, keeps_way: bool) -> Distances {
    let count = graph.types.len();
    let mut walk = Walk {
        graph,
        ephemerons,
        pending: FxHashSet::default(),
        sloppy_map: graph.strings.find("sloppy_function_map"),
        native_context: graph.strings.find("system / NativeContext"),
        descriptors: graph.strings.find("(map descriptors)"),
        found: Distances {
            of: vec![UNREACHABLE; count],
            reached: if keeps_way {
                vec![(NOBODY, NOBODY); count]
            } else {
                Vec::new()
            },
        },
    };
    let mut next = Vec::new();
    for index in graph.edge_range(graph.root) {
        let to = graph.edges[index].to();
        if graph.is_user_root(to) {
            walk.found.of[to as usize] = 1;
            if let (Some(reached), Ok(edge)) = (walk.found.reached.get_mut(to as usize), u32::try_from(index)) {
                *reached = (graph.root, edge);
            }
            next.push(to);
        }
    }
    let has_globals = !next.is_empty();
    walk.on(next);
    walk.found.of[graph.root as usize] = if has_globals { SYSTEM } else { 0 };
    walk.on(vec![graph.root]);
    walk.found
}

struct Walk<'a> {
    graph: &'a Graph,
    ephemerons: &'a Ephemerons,
    /// Pairs of which one edge was met.
    pending: FxHashSet<u32>,
    sloppy_map: Option<u32>,
    native_context: Option<u32>,
    descriptors: Option<u32>,
    found: Distances,
}

impl Walk<'_> {
    /// Goes on from these, nearest first.
    fn on(&mut self, mut queue: Vec<u32>) {
        let graph = self.graph;
        let mut taken = 0;
        while let Some(&node) = queue.get(taken) {
            taken += 1;
            // What was walked over is given back now and then.
            if taken >= 1 << 20 {
                queue.drain(..taken);
                taken = 0;
            }
            let distance = self.found.of[node as usize].saturating_add(1);
            let kind = graph.kind(node);
            let name = Some(graph.names[node as usize]);
            let is_context = kind == NodeKind::Hidden && name == self.native_context;
            let is_descriptors = kind == NodeKind::Array && name == self.descriptors;
            for index in graph.edge_range(node) {
                let edge = graph.edges[index];
                let to = edge.to() as usize;
                if edge.kind() == EdgeKind::Weak || self.found.of[to] != UNREACHABLE {
                    continue;
                }
                if is_context && edge.kind().is_named() && Some(edge.name) == self.sloppy_map {
                    continue;
                }
                if is_descriptors && !self.is_descriptor(edge) || !is_descriptors && self.waits_for_the_other(edge) {
                    continue;
                }
                self.found.of[to] = distance;
                if let (Some(reached), Ok(edge)) = (self.found.reached.get_mut(to), u32::try_from(index)) {
                    *reached = (node, edge);
                }
                queue.push(edge.to());
            }
        }
    }

    /// Descriptor arrays are shared by maps, and not all of them are every map's: their keys (each third entry from the fifth on) lead nowhere.
    fn is_descriptor(&self, edge: Edge) -> bool {
        let index = if edge.kind().is_named() {
            let name = self.graph.strings.get(edge.name).trim_start();
            let digits = name.bytes().take_while(u8::is_ascii_digit).count();
            name[..digits].parse().ok()
        } else {
            Some(u64::from(edge.name))
        };
        index.is_none_or(|index| index < 2 || index % 3 != 1)
    }

    /// The value of a `WeakMap` is as far as the farther of its key and its table: the first of its two edges that is met is not followed.
    fn waits_for_the_other(&mut self, edge: Edge) -> bool {
        let Some(ephemeron) = self.ephemerons.get(edge) else {
            return false;
        };
        let is_second = self.pending.remove(&ephemeron.pair);
        if !is_second {
            self.pending.insert(ephemeron.pair);
        }
        !is_second
    }
}
