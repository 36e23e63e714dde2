//! Where JavaScript's objects were allocated: sums of samples by thread and stack, in bounded memory.

use memtrace_common::{
    event::{JsSampled, JsSurvived, flag},
    v8_heap::survival::Fate,
};
use rustc_hash::FxHashMap;

use super::{Ledger, snapshot::ChosenStacks};
use crate::profile::{
    js_sites::Writer,
    js_space::{BySpace, Space},
    js_survival::Fates,
};

/// Rows that are kept; samples for which there is none are added to those of their thread whose stack was lost.
const MOST: usize = 1 << 16;

/// A thread, and the number of a stack.
type Key = (u32, u32, Writer<u32>);

/// Sums by thread and stack.
#[derive(Clone, Debug, Default)]
pub(super) struct JsSites(FxHashMap<Key, JsSampleSum>);

/// What samples amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JsSampleSum {
    /// How many.
    pub samples: u64,
    /// Bytes that they stand for.
    pub bytes: u64,
    /// Sum of the squares of the bytes that each stands for.
    pub squares: f64,
    /// The bytes by where they are.
    pub spaces: BySpace,
    /// What became of young objects.
    pub fates: Fates,
}

/// Samples of a thread with one stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JsSiteFacts {
    /// The program.
    pub incarnation: u32,
    /// The thread.
    pub tid: u32,
    /// By index into [`super::Snapshot::stacks`].
    pub writer: Writer<usize>,
    /// What they amount to.
    pub sum: JsSampleSum,
}

impl JsSites {
    fn sum(&mut self, key: Key) -> &mut JsSampleSum {
        let (incarnation, tid, _) = key;
        let key = if self.0.len() < MOST || self.0.contains_key(&key) {
            key
        } else {
            (incarnation, tid, Writer::Unknown)
        };
        self.0.entry(key).or_default()
    }

    fn add(&mut self, key: Key, weight: u64, space: Space) {
        let sum = self.sum(key);
        sum.samples += 1;
        sum.bytes = sum.bytes.saturating_add(weight);
        sum.squares += (weight as f64).powi(2);
        sum.spaces.add(space, weight);
    }
}

impl Ledger {
    /// A byte was sampled.
    pub(super) fn js_sampled(&mut self, record: &JsSampled) {
        let header = &record.header;
        let writer = match self.js_stack(header.incarnation, record.stack) {
            Some(stack) => Writer::Stack(stack),
            None if header.flags & flag::UNWRITTEN != 0 => Writer::Nobody,
            None => Writer::Unknown,
        };
        let key = (header.incarnation, header.tid, writer);
        self.js_sites.add(key, record.weight, Space::of_record(record.space));
    }

    /// A young object has died, or was moved to the old ones.
    pub(super) fn js_survived(&mut self, record: &JsSurvived) {
        let header = &record.header;
        let Some(fate) = Fate::from_number(record.fate) else {
            return;
        };
        let stack = self.js_stack(header.incarnation, record.stack);
        let writer = stack.map_or(Writer::Unknown, Writer::Stack);
        let sum = self.js_sites.sum((header.incarnation, header.tid, writer));
        sum.fates.add(&Fates::one(fate, record.collections));
    }

    /// The number of a program's stack by its identity, where it is known.
    pub(super) fn js_stack(&self, incarnation: u32, identity: u64) -> Option<u32> {
        let place = self.processes.find(incarnation)?;
        Some(self.processes[place].identities.get(identity)?.stack)
    }

    /// The sums, with stacks as a snapshot has them.
    pub(super) fn js_site_facts(&self, stacks: &mut ChosenStacks) -> Vec<JsSiteFacts> {
        let mut facts: Vec<_> = (self.js_sites.0.iter())
            .map(|(&(incarnation, tid, writer), &sum)| JsSiteFacts {
                incarnation,
                tid,
                writer: writer.and_then(|number| {
                    let known = self.stacks.get(number)?;
                    stacks.index(number, || known.clone())
                }),
                sum,
            })
            .collect();
        facts.sort_by_key(|facts| (facts.incarnation, facts.tid, facts.writer));
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_added_up_in_bounded_memory() {
        let mut sites = JsSites::default();
        sites.add((1, 2, Writer::Stack(3)), 10, Space::Young);
        sites.add((1, 2, Writer::Stack(3)), 30, Space::Old);
        let mut spaces = BySpace::default();
        spaces.add(Space::Young, 10);
        spaces.add(Space::Old, 30);
        assert_eq!(
            sites.0[&(1, 2, Writer::Stack(3))],
            JsSampleSum {
                samples: 2,
                bytes: 40,
                squares: 1000.0,
                spaces,
                fates: Fates::default(),
            }
        );
        for stack in 0..u32::try_from(MOST).unwrap() {
            sites.add((1, 2, Writer::Stack(stack)), 1, Space::Young);
        }
        sites.add((1, 7, Writer::Stack(0)), u64::MAX, Space::Large);
        sites.add((1, 7, Writer::Stack(1)), u64::MAX, Space::Large);
        assert_eq!(sites.0[&(1, 7, Writer::Unknown)].bytes, u64::MAX);
        assert_eq!(sites.0.len(), MOST + 1, "one more for each thread");
    }
}
