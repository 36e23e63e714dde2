//! Heap snapshots of V8 (`.heapsnapshot`): what Chrome's `DevTools` would tell of them, without a browser.
//!
//! A file is read as a stream into columns of numbers (`read`, `graph`); nothing is looked up by its position but what the file's own `meta`
//! says. What follows are the rules of `DevTools`, each in a file of its own: shallow sizes (`shallow`), which references retain
//! (`essential`), dominators and retained sizes (`dominators`), distances (`distance`), classes (`interfaces`, `classes`), and what is detached
//! (`detached`). A test compares all of it with `DevTools` itself.

mod classes;
mod compare;
mod detached;
mod distance;
mod dominators;
mod error;
mod essential;
mod graph;
mod interfaces;
mod meta;
mod names;
mod read;
mod shallow;
mod source;
mod strings;
#[cfg(test)]
mod tests;
mod totals;

use std::io::Read;

pub use self::error::Error;
use self::{compare::Inventory, distance::NOBODY, essential::Ephemerons, graph::NodeKind, names::Teller};
use crate::profile::heap::{HeapComparison, HeapPath, HeapSide, HeapStep, HeapSummary};

/// What a snapshot holds: sums by class, and the objects that retain most, at most `top` of them.
///
/// # Errors
/// Whatever is wrong with the file.
pub fn summary(input: impl Read, top: usize) -> Result<HeapSummary, Error> {
    let mut graph = read::read(input)?;
    let ephemerons = Ephemerons::of(&graph);
    let detached = detached::detached(&mut graph);
    shallow::give_to_owners(&mut graph);
    let dominators = {
        let essential = essential::essential(&graph, &ephemerons);
        dominators::dominators(&graph, &essential)?
    };
    let classes = classes::classify(&graph, &detached, &interfaces::infer(&graph));
    // One after the other: each needs much memory.
    let retained = totals::retained(&graph, &classes, &dominators)?;
    let distances = distance::distances(&graph, &ephemerons, false);
    let by_class = totals::by_class(&graph, &classes, &detached, &distances, retained);
    let teller = Teller {
        graph: &graph,
        classes: &classes,
        detached: &detached,
        dominators: &dominators,
        distances: &distances,
    };
    let largest = |wanted: &dyn Fn(u32) -> bool| {
        let mut nodes: Vec<u32> = (0..graph.len()).filter(|&node| wanted(node)).collect();
        let key = |&node: &u32| (std::cmp::Reverse(dominators.retained[node as usize]), node);
        if nodes.len() > top && top > 0 {
            nodes.select_nth_unstable_by_key(top - 1, key);
        }
        nodes.truncate(top);
        nodes.sort_by_key(key);
        nodes.into_iter().map(|node| teller.object(node)).collect()
    };
    Ok(HeapSummary {
        nodes: u64::from(graph.len()),
        edges: graph.edges.len() as u64,
        total: dominators.retained[graph.root as usize].saturating_add(graph.extra_native_bytes),
        kinds: totals::by_kind(&graph),
        classes: by_class,
        objects: largest(&|node| graph.kind(node) != NodeKind::Synthetic),
        detached_count: (0..graph.len()).filter(|&node| detached.get(node)).count() as u64,
        detached: largest(&|node| detached.get(node)),
    })
}

/// Why an object is there: the shortest way to it from what is global, and who alone keeps it. Nothing where no object has this id.
///
/// # Errors
/// Whatever is wrong with the file.
pub fn path(input: impl Read, id: u32) -> Result<Option<HeapPath>, Error> {
    let mut graph = read::read(input)?;
    let Some(wanted) = graph
        .ids
        .iter()
        .position(|&own| own == id)
        .and_then(|node| u32::try_from(node).ok())
    else {
        return Ok(None);
    };
    let ephemerons = Ephemerons::of(&graph);
    let detached = detached::detached(&mut graph);
    shallow::give_to_owners(&mut graph);
    let essential = essential::essential(&graph, &ephemerons);
    let dominators = dominators::dominators(&graph, &essential)?;
    let distances = distance::distances(&graph, &ephemerons, true);
    let classes = classes::classify(&graph, &detached, &interfaces::infer(&graph));
    let teller = Teller {
        graph: &graph,
        classes: &classes,
        detached: &detached,
        dominators: &dominators,
        distances: &distances,
    };
    let mut steps = Vec::new();
    let mut node = wanted;
    loop {
        // The root itself may be reached again, from what it refers to.
        let (from, edge) = if node == graph.root {
            (NOBODY, NOBODY)
        } else {
            distances.reached[node as usize]
        };
        steps.push(HeapStep {
            reference: (from != NOBODY).then(|| teller.reference(edge as usize)),
            object: teller.object(node),
        });
        if from == NOBODY {
            break;
        }
        node = from;
    }
    steps.reverse();
    let mut chain = Vec::new();
    let mut node = wanted;
    while node != graph.root {
        node = dominators.of[node as usize];
        chain.push(teller.object(node));
    }
    Ok(Some(HeapPath {
        object: teller.object(wanted),
        steps,
        dominators: chain,
    }))
}

/// What is new in the second snapshot, and what of the first is gone.
///
/// # Errors
/// Whatever is wrong with a file, with whether it is the second.
pub fn comparison(before: impl Read, after: impl Read) -> Result<HeapComparison, (Error, bool)> {
    let inventory = |input: &mut dyn Read, kinds: Option<Vec<interfaces::Interface>>| {
        let mut graph = read::read(input)?;
        let detached = detached::detached(&mut graph);
        shallow::give_to_owners(&mut graph);
        // The kinds of plain objects are those of the later one, so that they can be compared.
        let kinds = kinds.unwrap_or_else(|| interfaces::infer(&graph));
        let classes = classes::classify(&graph, &detached, &kinds);
        Ok((Inventory::new(&graph, classes), kinds))
    };
    let (mut before, mut after) = (before, after);
    let (after, kinds) = inventory(&mut after, None).map_err(|error| (error, true))?;
    let (before, _) = inventory(&mut before, Some(kinds)).map_err(|error| (error, false))?;
    let side = |inventory: &Inventory| HeapSide {
        objects: inventory.count(),
        bytes: inventory.bytes(),
    };
    Ok(HeapComparison {
        before: side(&before),
        after: side(&after),
        classes: compare::changes(before, after),
    })
}
