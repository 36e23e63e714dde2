//! What is new and what is gone between two snapshots of a program, by the ids of its objects.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;

use super::{
    classes::{Class, Classes},
    graph::Graph,
};
use crate::profile::heap::{HeapClassChange, ScriptPlace};

/// All of a snapshot that a comparison needs.
#[derive(Debug)]
pub(super) struct Inventory {
    classes: Vec<Class>,
    /// Number of the class, id and bytes of each object that has any.
    objects: Vec<(u32, u32, u64)>,
}

impl Inventory {
    pub(super) fn new(graph: &Graph, classes: Classes) -> Self {
        let with_bytes = (0..graph.len()).filter(|&node| graph.sizes.get(node) > 0);
        let object = |node: u32| {
            (
                classes.of[node as usize],
                graph.ids[node as usize],
                graph.sizes.get(node),
            )
        };
        Self {
            objects: with_bytes.map(object).collect(),
            classes: classes.distinct,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.objects.len() as u64
    }

    /// Sums of all sizes, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.objects
            .iter()
            .fold(0, |sum, &(_, _, size)| sum.saturating_add(size))
    }
}

/// Classes of which there is something new or gone, those that have grown most first. An object of another class than before is both.
pub(super) fn changes(before: Inventory, after: Inventory) -> Vec<HeapClassChange> {
    let mut numbers: FxHashMap<Class, u32> = FxHashMap::default();
    let mut changes: Vec<HeapClassChange> = Vec::new();
    let mut common = |inventory: Inventory| {
        let of: Vec<u32> = inventory
            .classes
            .into_iter()
            .map(|class| {
                let next = u32::try_from(changes.len()).unwrap_or(u32::MAX);
                *numbers.entry(class).or_insert_with_key(|class| {
                    changes.push(unchanged(class));
                    next
                })
            })
            .collect();
        let mut objects = inventory.objects;
        for (class, ..) in &mut objects {
            *class = of[*class as usize];
        }
        objects.sort_unstable();
        objects
    };
    let (before, after) = (common(before), common(after));
    let (mut left, mut right) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((class, id, _)), Some((other_class, other_id, _))) => (class, id).cmp(&(other_class, other_id)),
        };
        if order != Ordering::Greater
            && let Some(&(class, _, size)) = left.next()
            && order == Ordering::Less
        {
            changes[class as usize].removed_count += 1;
            changes[class as usize].removed_bytes += size;
        }
        if order != Ordering::Less
            && let Some(&(class, _, size)) = right.next()
            && order == Ordering::Greater
        {
            changes[class as usize].added_count += 1;
            changes[class as usize].added_bytes += size;
        }
    }
    changes.retain(|change| change.added_count + change.removed_count > 0);
    changes.sort_by(|a, b| {
        let key = |change: &HeapClassChange| (change.bytes_delta(), change.added_bytes);
        key(b)
            .cmp(&key(a))
            .then_with(|| (&a.name, a.place).cmp(&(&b.name, b.place)))
    });
    changes
}

fn unchanged(class: &Class) -> HeapClassChange {
    HeapClassChange {
        name: class.name.to_string(),
        place: class.place.map(|place| ScriptPlace {
            script_id: place.script,
            line: place.line,
            column: place.column,
        }),
        added_count: 0,
        added_bytes: 0,
        removed_count: 0,
        removed_bytes: 0,
    }
}
