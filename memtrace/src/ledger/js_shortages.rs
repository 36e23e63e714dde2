//! When V8 ran out of memory, or came near the limit of a heap, in bounded memory.

use std::{collections::VecDeque, time::Duration};

use memtrace_common::{event::JsShortage as Record, v8_heap::shortage::Shortage};
use serde::{Deserialize, Serialize};

use super::Ledger;
use crate::profile::js_shortage::JsShortage;

/// The last ones are kept.
const MOST: usize = 256;

/// All of them, in their order.
#[derive(Clone, Debug, Default)]
pub struct JsShortages {
    kept: VecDeque<JsShortageFacts>,
    all: u64,
}

/// One of them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct JsShortageFacts {
    /// Kernel time in nanoseconds.
    time_ns: u64,
    pid: u32,
    tid: u32,
    /// [`Shortage`] as its number.
    what: u32,
    limit: u64,
    /// Bytes of objects, where they are known.
    used: Option<u64>,
    words: String,
    /// Number of the stack, if that is known.
    stack: Option<u32>,
}

impl JsShortages {
    fn add(&mut self, facts: JsShortageFacts) {
        if self.kept.len() == MOST {
            self.kept.pop_front();
        }
        self.kept.push_back(facts);
        self.all += 1;
    }

    /// How many there were.
    pub const fn count(&self) -> u64 {
        self.all
    }

    /// Those after the first `told`, as far as they are kept; then that is how many there are.
    pub fn news(&self, told: &mut u64) -> Vec<JsShortageFacts> {
        let new = usize::try_from(self.all.saturating_sub(*told)).unwrap_or(usize::MAX);
        *told = self.all;
        let old = self.kept.len().saturating_sub(new);
        self.kept.iter().skip(old).cloned().collect()
    }

    /// Takes one from a recording that has so many stacks; `None` for one that makes no sense.
    pub fn learn(&mut self, facts: JsShortageFacts, stacks: usize) -> Option<()> {
        if facts.stack.is_some_and(|stack| stack as usize >= stacks) {
            return None;
        }
        Shortage::from_number(facts.what)?;
        self.add(facts);
        Some(())
    }

    /// The same with stacks that have the numbers which `number` gives them; `None` is a stack that is not known.
    #[must_use]
    pub fn numbered(mut self, mut number: impl FnMut(u32) -> Option<usize>) -> Self {
        for facts in &mut self.kept {
            facts.stack = facts.stack.and_then(|stack| u32::try_from(number(stack)?).ok());
        }
        self
    }

    /// Those from `from_ns` on, in nanoseconds of kernel time.
    #[must_use]
    pub fn since(mut self, from_ns: u64) -> Self {
        // Those that are not kept are older than all that are: how many of them are of this time is not known.
        self.kept.retain(|facts| facts.time_ns >= from_ns);
        self.all = self.kept.len() as u64;
        self
    }

    /// As reports have them, for an observation that began at `start_ns`; and how many were not kept, which came before.
    pub fn shortages(&self, start_ns: u64) -> (Vec<JsShortage>, u64) {
        let kept = self.kept.iter().filter_map(|facts| {
            Some(JsShortage {
                at: Duration::from_nanos(facts.time_ns.saturating_sub(start_ns)),
                pid: facts.pid,
                tid: facts.tid,
                what: Shortage::from_number(facts.what)?,
                limit: (facts.limit > 0).then_some(facts.limit),
                used: facts.used,
                words: facts.words.clone(),
                stack: facts.stack.map(|stack| stack as usize),
            })
        });
        (kept.collect(), self.all.saturating_sub(self.kept.len() as u64))
    }
}

impl Ledger {
    /// V8 has run out of memory, or has come near the limit of a heap.
    pub(super) fn js_shortage(&mut self, record: &Record) {
        let header = &record.header;
        let end = record.words.iter().position(|&byte| byte == 0);
        let words = &record.words[..end.unwrap_or(record.words.len())];
        self.js_shortages.add(JsShortageFacts {
            time_ns: header.time_ns,
            pid: header.pid,
            tid: header.tid,
            what: record.what,
            limit: record.limit,
            used: self.js_heaps.used(header),
            words: String::from_utf8_lossy(words).into_owned(),
            stack: self.js_stack(header.incarnation, record.stack),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(second: u64, what: Shortage) -> JsShortageFacts {
        JsShortageFacts {
            time_ns: second * 1_000_000_000,
            pid: 7,
            tid: 8,
            what: what as u32,
            limit: 40 << 20,
            used: None,
            words: String::new(),
            stack: Some(2),
        }
    }

    #[test]
    fn the_last_ones_are_kept_and_the_others_counted() {
        let mut all = JsShortages::default();
        let mut told = 0;
        for second in 0..300 {
            all.add(facts(second, Shortage::Worker));
        }
        let (kept, dropped) = all.shortages(0);
        assert_eq!((kept.len(), dropped), (MOST, 44));
        assert_eq!(kept[0].at, Duration::from_secs(44));
        assert_eq!(all.news(&mut told).len(), MOST);
        all.add(facts(300, Shortage::Heap));
        assert_eq!(all.news(&mut told), [facts(300, Shortage::Heap)]);
        assert!(all.news(&mut told).is_empty());
        let (kept, dropped) = all.since(299_000_000_000).shortages(290_000_000_000);
        assert_eq!((kept.len(), dropped), (2, 0));
        assert_eq!(
            (kept[1].at, kept[1].what, kept[1].limit),
            (Duration::from_secs(10), Shortage::Heap, Some(40 << 20))
        );
    }

    #[test]
    fn what_makes_no_sense_in_a_recording_is_refused() {
        let mut all = JsShortages::default();
        assert_eq!(all.learn(facts(1, Shortage::Heap), 2), None, "there is no such stack");
        let unknown = JsShortageFacts {
            what: 77,
            ..facts(1, Shortage::Heap)
        };
        assert_eq!(all.learn(unknown, 3), None);
        assert_eq!(all.learn(facts(1, Shortage::Heap), 3), Some(()));
        let (kept, _) = all.numbered(|stack| (stack == 2).then_some(5)).shortages(0);
        assert_eq!(kept[0].stack, Some(5));
    }
}
