//! Dominators: who alone keeps what alive.
//!
//! The algorithm is that of Lengauer and Tarjan, "A fast algorithm for finding dominators in a flowgraph" (1979), with path compression and
//! without balancing: n log m at worst, however the graph was made. Everything in it is by the number that a node gets in the depth-first search,
//! so that what belongs together is beside each other.

use super::{
    error::{Error, room},
    graph::{Bits, Graph},
};

/// Who dominates whom, and what goes when each is gone.
#[derive(Debug)]
pub(super) struct Dominators {
    /// The immediate dominator of each node; the root's is the root.
    pub(super) of: Vec<u32>,
    /// Bytes of each node and of all that it dominates.
    pub(super) retained: Vec<u64>,
}

/// No number: those of the search begin at 1.
const NONE: u32 = 0;

/// Finds the dominators.
///
/// What can be reached over no essential edge is dominated by the root: first what none leads to, with what it leads to, then what is left, each for
/// itself, as in Chrome's `DevTools`.
pub(super) fn dominators(graph: &Graph, essential: &Bits) -> Result<Dominators, Error> {
    let mut search = Search::new(graph, essential)?;
    let count = graph.types.len();
    let immediate = immediate(graph, essential, &mut search)?;
    let vertex = search.vertex;
    let mut of: Vec<u32> = room("dominators", count)?;
    // What has no number is dominated by the root.
    of.resize(count, graph.root);
    for (&node, &above) in vertex.iter().zip(&immediate).skip(2) {
        of[node as usize] = vertex[above as usize];
    }
    drop(immediate);
    let mut retained: Vec<u64> = room("retained sizes", count)?;
    retained.extend((0..graph.len()).map(|node| graph.sizes.get(node)));
    let mut give = |node: u32| {
        let size = retained[node as usize];
        let above = &mut retained[of[node as usize] as usize];
        *above = above.saturating_add(size);
    };
    // Whoever has a number has a higher one than its dominator.
    vertex.iter().skip(2).rev().for_each(|&node| give(node));
    if vertex.len() <= count {
        let mut has_number = Bits::new(count);
        vertex.iter().skip(1).for_each(|&node| has_number.set(node as usize));
        (0..graph.len())
            .filter(|&node| !has_number.get(node as usize))
            .for_each(give);
    }
    Ok(Dominators { of, retained })
}

/// A depth-first search.
struct Search {
    /// Of each node, from 1; [`NONE`] where it was not reached. Given back once they are not needed.
    numbers: Vec<u32>,
    /// The node with each number; there is none with 0.
    vertex: Vec<u32>,
    /// The number of its parent in the tree, by number.
    parent: Vec<u32>,
}

impl Search {
    fn new(graph: &Graph, essential: &Bits) -> Result<Self, Error> {
        let count = graph.types.len();
        let mut search = Self {
            numbers: room("nodes", count)?,
            vertex: room("nodes", count + 1)?,
            parent: room("nodes", count + 1)?,
        };
        search.numbers.resize(count, NONE);
        search.vertex.push(0);
        search.parent.push(NONE);
        search.from(graph, essential, graph.root, NONE);
        if search.vertex.len() <= count {
            let mut referred = Bits::new(count);
            for (index, edge) in graph.edges.iter().enumerate() {
                if essential.get(index) {
                    referred.set(edge.to() as usize);
                }
            }
            for node in 0..graph.len() {
                if search.numbers[node as usize] == NONE && !referred.get(node as usize) {
                    search.from(graph, essential, node, 1);
                }
            }
        }
        Ok(search)
    }

    fn number(&mut self, node: u32, parent: u32) -> u32 {
        let number = u32::try_from(self.vertex.len()).unwrap_or(u32::MAX);
        self.numbers[node as usize] = number;
        self.vertex.push(node);
        self.parent.push(parent);
        number
    }

    fn from(&mut self, graph: &Graph, essential: &Bits, start: u32, parent: u32) {
        // Number of a node, and its edges that were not followed yet.
        let mut path = vec![(self.number(start, parent), graph.edge_range(start))];
        while let Some((number, edges)) = path.last_mut() {
            let Some(index) = edges.next() else {
                path.pop();
                continue;
            };
            let to = graph.edges[index].to();
            if essential.get(index) && self.numbers[to as usize] == NONE {
                let parent = *number;
                path.push((self.number(to, parent), graph.edge_range(to)));
            }
        }
    }
}

/// The number of the immediate dominator, by number.
fn immediate(graph: &Graph, essential: &Bits, search: &mut Search) -> Result<Vec<u32>, Error> {
    let (mut first, from) = referrers(graph, essential, search)?;
    search.numbers = Vec::new();
    let last = search.vertex.len() - 1;
    let mut forest = Forest {
        // The path to the root of a tree of the forest, compressed as it is walked. Who is not in the forest yet still has its parent here.
        ancestor: std::mem::take(&mut search.parent),
        // Of who is in the forest. Of who is not: the first of those whose semidominator it is, and whose dominator is not known yet. They
        // all are gone from there when it gets into the forest, because its children in the tree were there before.
        label: vec![NONE; last + 1],
        semi: vec![NONE; last + 1],
        walked: Vec::new(),
    };
    // Where the list of a node ends is where its dominator is found from then on: whose number is lower has a list that ends before. Until the
    // dominator is known, it is who waits with the node for the same one.
    let dominator = |number: u32| number as usize + 1;
    for number in (2..=u32::try_from(last).unwrap_or(u32::MAX)).rev() {
        let at = number as usize;
        let parent = forest.ancestor[at];
        let mut semi = parent;
        for &referrer in &from[first[at] as usize..first[dominator(number)] as usize] {
            semi = semi.min(if referrer <= number {
                // Not in the forest: it is its own semidominator as yet.
                referrer
            } else {
                let best = forest.best(referrer, number + 1);
                forest.semi[best as usize]
            });
        }
        forest.semi[at] = semi;
        forest.label[at] = number;
        first[dominator(number)] = std::mem::replace(&mut forest.label[semi as usize], number);
        let mut waiting = std::mem::replace(&mut forest.label[parent as usize], NONE);
        while waiting != NONE {
            let best = forest.best(waiting, number);
            let next = first[dominator(waiting)];
            let is_lower = forest.semi[best as usize] < forest.semi[waiting as usize];
            first[dominator(waiting)] = if is_lower { best } else { parent };
            waiting = next;
        }
    }
    for at in 2..=last {
        let above = first[at + 1];
        if above != forest.semi[at] {
            first[at + 1] = first[dominator(above)];
        }
    }
    first.remove(0);
    Ok(first)
}

/// Who refers to each over an essential edge, by numbers: where its list begins, and all lists. Parents in the tree are left out.
fn referrers(graph: &Graph, essential: &Bits, search: &Search) -> Result<(Vec<u32>, Vec<u32>), Error> {
    let last = search.vertex.len() - 1;
    let mut first: Vec<u32> = room("nodes", last + 2)?;
    first.resize(last + 2, 0);
    each_reference(graph, essential, search, |_, to| first[to as usize] += 1);
    let mut total = 0;
    for start in &mut first {
        let count = std::mem::replace(start, total);
        total += count;
    }
    let mut lists: Vec<u32> = room("references", total as usize)?;
    lists.resize(total as usize, NONE);
    // Each start is moved to the end of its list, which is the start of the next one.
    each_reference(graph, essential, search, |from, to| {
        let place = &mut first[to as usize];
        lists[*place as usize] = from;
        *place += 1;
    });
    first.insert(0, 0);
    first.pop();
    Ok((first, lists))
}

/// Visits essential edges between nodes with numbers, but not those of the tree.
fn each_reference(graph: &Graph, essential: &Bits, search: &Search, mut visit: impl FnMut(u32, u32)) {
    for (from, &node) in (1..).zip(search.vertex.iter().skip(1)) {
        for index in graph.edge_range(node) {
            if !essential.get(index) {
                continue;
            }
            let to = search.numbers[graph.edges[index].to() as usize];
            if search.parent[to as usize] != from {
                visit(from, to);
            }
        }
    }
}

/// The trees of nodes that were looked at, with the best semidominator on the way up.
struct Forest {
    ancestor: Vec<u32>,
    label: Vec<u32>,
    semi: Vec<u32>,
    walked: Vec<u32>,
}

impl Forest {
    /// Of the nodes from this one up to the root of its tree, which does not count, that with the lowest semidominator. All from `linked` on
    /// are in the forest.
    fn best(&mut self, node: u32, linked: u32) -> u32 {
        let mut at = node;
        while self.ancestor[at as usize] >= linked {
            self.walked.push(at);
            at = self.ancestor[at as usize];
        }
        while let Some(below) = self.walked.pop() {
            let above = self.ancestor[below as usize] as usize;
            let (own, other) = (self.label[below as usize], self.label[above]);
            if self.semi[other as usize] < self.semi[own as usize] {
                self.label[below as usize] = other;
            }
            self.ancestor[below as usize] = self.ancestor[above];
        }
        self.label[node as usize]
    }
}
