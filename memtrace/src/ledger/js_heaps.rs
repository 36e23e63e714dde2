//! Sums of JavaScript's heaps: what each thread has taken, and its collections, in bounded memory.

mod steps;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use memtrace_common::event::{Header, JsAllocated, JsCollected};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use self::steps::Steps;
use super::JsSiteFacts;
use crate::profile::{
    js_heap::{self, JsHeap, Kind, Pauses},
    js_sites::JsSite,
    js_space::{BySpace, Space},
};

/// Threads that are kept apart; the others are one.
const MOST_THREADS: usize = 256;
/// Collections that are kept of each.
const MOST_COLLECTIONS: usize = 1024;
/// Full collections of which it is kept what they left; when there are twice as many, every second one goes.
const MOST_FULL: usize = 256;

/// A thread: its program's incarnation, and its number.
type Key = (u32, u32);

/// The threads that there is no room for.
const OTHERS: Key = (0, 0);

/// The heaps of all threads.
#[derive(Clone, Debug, Default)]
pub struct JsHeaps(BTreeMap<Key, Thread>);

/// A collection, with its time in nanoseconds of kernel time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Collection {
    time_ns: u64,
    pause_ns: u64,
    kind: u32,
    reason: u32,
    before_bytes: u64,
    after_bytes: u64,
    before_memory: u64,
    after_memory: u64,
}

/// How often and how long, by [`Kind`].
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Sum {
    count: u64,
    pause_ns: u64,
    longest_ns: u64,
}

#[derive(Clone, Debug, Default)]
struct Thread {
    pid: u32,
    allocated: u64,
    spaces: BySpace,
    since_collection: u64,
    steps: Steps,
    sums: [Sum; Kind::ALL.len()],
    collections: VecDeque<Collection>,
    /// How many there were.
    collected: u64,
    /// Time and object bytes after full collections, of which one in `stride` is kept, and the last.
    full: Vec<(u64, u64)>,
    full_seen: u64,
    full_last: Option<(u64, u64)>,
    stride: u64,
}

/// What is new of a thread's heap: sums as they are now, and collections since it was asked for last.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct JsNews {
    incarnation: u32,
    tid: u32,
    pid: u32,
    allocated: u64,
    spaces: BySpace,
    since_collection: u64,
    sums: [Sum; Kind::ALL.len()],
    collected: u64,
    collections: Vec<Collection>,
}

/// What [`JsHeaps::news`] has told: of each thread the bytes that it had taken, and its collections.
pub type JsTold = FxHashMap<(u32, u32), (u64, u64)>;

impl JsHeaps {
    /// A thread has taken bytes.
    pub(super) fn allocated(&mut self, record: &JsAllocated) {
        let thread = self.of(&record.header);
        thread.take(record.header.time_ns, record.bytes);
        thread.spaces.add(Space::of_record(record.space), record.bytes);
    }

    /// A collection has ended.
    pub(super) fn collected(&mut self, record: &JsCollected) {
        let thread = self.of(&record.header);
        let number = Kind::from_number(record.kind) as usize;
        if let Some(sum) = thread.sums.get_mut(number) {
            sum.count += 1;
            sum.pause_ns = sum.pause_ns.saturating_add(record.pause_ns);
            sum.longest_ns = sum.longest_ns.max(record.pause_ns);
        }
        thread.collected += 1;
        thread.since_collection = 0;
        thread.keep(Collection {
            time_ns: record.header.time_ns,
            pause_ns: record.pause_ns,
            kind: record.kind,
            reason: record.reason,
            before_bytes: record.before_bytes,
            after_bytes: record.after_bytes,
            before_memory: record.before_memory,
            after_memory: record.after_memory,
        });
    }

    fn of(&mut self, header: &Header) -> &mut Thread {
        self.thread((header.incarnation, header.tid), header.pid)
    }

    fn thread(&mut self, key: Key, pid: u32) -> &mut Thread {
        let (key, pid) = if self.0.contains_key(&key) || self.0.len() < MOST_THREADS {
            (key, pid)
        } else {
            (OTHERS, 0)
        };
        self.0.entry(key).or_insert_with(|| Thread {
            pid,
            stride: 1,
            ..Thread::default()
        })
    }

    /// Object bytes of a thread now, where a collection was seen.
    pub(super) fn used(&self, header: &Header) -> Option<u64> {
        let thread = self.0.get(&(header.incarnation, header.tid))?;
        let last = thread.collections.back()?;
        Some(last.after_bytes.saturating_add(thread.since_collection))
    }

    /// What has come since it was asked for last, which `told` remembers.
    pub fn news(&self, told: &mut JsTold) -> Vec<JsNews> {
        let mut news = Vec::new();
        for (&(incarnation, tid), thread) in &self.0 {
            let (allocated, collected) = told.entry((incarnation, tid)).or_default();
            if (*allocated, *collected) == (thread.allocated, thread.collected) {
                continue;
            }
            let new = usize::try_from(thread.collected.saturating_sub(*collected)).unwrap_or(usize::MAX);
            let old = thread.collections.len().saturating_sub(new);
            (*allocated, *collected) = (thread.allocated, thread.collected);
            news.push(JsNews {
                incarnation,
                tid,
                pid: thread.pid,
                allocated: thread.allocated,
                spaces: thread.spaces,
                since_collection: thread.since_collection,
                sums: thread.sums,
                collected: thread.collected,
                collections: thread.collections.iter().skip(old).copied().collect(),
            });
        }
        news
    }

    /// Takes news from a recording, at their moment in nanoseconds of kernel time.
    pub fn learn(&mut self, time_ns: u64, news: JsNews) {
        let thread = self.thread((news.incarnation, news.tid), news.pid);
        thread.take(time_ns, news.allocated.saturating_sub(thread.allocated));
        thread.spaces = news.spaces;
        thread.since_collection = news.since_collection;
        thread.sums = news.sums;
        thread.collected = news.collected;
        for collection in news.collections {
            thread.keep(collection);
        }
    }

    /// What came after `before` was known, which was at `from_ns`, in nanoseconds of kernel time.
    #[must_use]
    pub fn since(mut self, before: &Self, from_ns: u64) -> Self {
        self.0.retain(|key, thread| {
            if let Some(before) = before.0.get(key) {
                thread.subtract(before, from_ns);
            }
            thread.allocated > 0 || thread.collected > 0
        });
        self
    }

    /// As reports have them, for an observation that began at `start_ns`, with where their objects were allocated: who took most first.
    pub fn heaps(&self, start_ns: u64, sites: &[JsSiteFacts]) -> Vec<JsHeap> {
        let mut heaps: Vec<_> = (self.0.iter())
            .map(|(&key, thread)| thread.heap(key, start_ns, sites))
            .collect();
        heaps.sort_by_key(|heap| (std::cmp::Reverse(heap.allocated), heap.pid, heap.tid));
        heaps
    }
}

impl Thread {
    fn take(&mut self, time_ns: u64, bytes: u64) {
        self.allocated = self.allocated.saturating_add(bytes);
        self.since_collection = self.since_collection.saturating_add(bytes);
        self.steps.add(time_ns, bytes);
    }

    fn keep(&mut self, collection: Collection) {
        if self.collections.len() == MOST_COLLECTIONS {
            self.collections.pop_front();
        }
        self.collections.push_back(collection);
        if !Kind::from_number(collection.kind).is_full() {
            return;
        }
        let point = (collection.time_ns, collection.after_bytes);
        self.full_last = Some(point);
        self.full_seen += 1;
        if !(self.full_seen - 1).is_multiple_of(self.stride) {
            return;
        }
        if self.full.len() == 2 * MOST_FULL {
            let mut even = false;
            self.full.retain(|_| {
                even = !even;
                even
            });
            self.stride *= 2;
        }
        self.full.push(point);
    }

    fn subtract(&mut self, before: &Self, from_ns: u64) {
        self.allocated = self.allocated.saturating_sub(before.allocated);
        self.spaces.subtract(&before.spaces);
        self.since_collection = self.since_collection.min(self.allocated);
        self.collected = self.collected.saturating_sub(before.collected);
        self.steps.forget_before(from_ns);
        self.collections.retain(|collection| collection.time_ns >= from_ns);
        self.full.retain(|&(time_ns, _)| time_ns >= from_ns);
        self.full_last = self.full_last.filter(|&(time_ns, _)| time_ns >= from_ns);
        for (kind, (sum, before)) in Kind::ALL.into_iter().zip(self.sums.iter_mut().zip(before.sums)) {
            sum.count = sum.count.saturating_sub(before.count);
            sum.pause_ns = sum.pause_ns.saturating_sub(before.pause_ns);
            let pauses = self.collections.iter();
            let pauses = pauses.filter(|collection| Kind::from_number(collection.kind) == kind);
            sum.longest_ns = pauses.map(|collection| collection.pause_ns).max().unwrap_or(0);
        }
    }

    fn heap(&self, (incarnation, tid): Key, start_ns: u64, sites: &[JsSiteFacts]) -> JsHeap {
        let since_start = |time_ns: u64| Duration::from_nanos(time_ns.saturating_sub(start_ns));
        let sums = Kind::ALL.into_iter().zip(self.sums);
        let collections = self.collections.iter().map(|collection| js_heap::Collection {
            at: since_start(collection.time_ns),
            kind: Kind::from_number(collection.kind),
            reason: collection.reason,
            pause: (collection.pause_ns > 0).then(|| Duration::from_nanos(collection.pause_ns)),
            before_bytes: collection.before_bytes,
            after_bytes: collection.after_bytes,
            before_memory: collection.before_memory,
            after_memory: collection.after_memory,
        });
        let mut after_full = self.full.clone();
        if after_full.last() != self.full_last.as_ref() {
            after_full.extend(self.full_last);
        }
        JsHeap {
            pid: self.pid,
            tid,
            allocated: self.allocated,
            spaces: self.spaces,
            since_collection: self.since_collection,
            step: self.steps.width(),
            steps: (self.steps.iter())
                .map(|(begin_ns, bytes)| (since_start(begin_ns), bytes))
                .collect(),
            sums: (sums.filter(|(_, sum)| sum.count > 0))
                .map(|(kind, sum)| {
                    let pauses = Pauses {
                        count: sum.count,
                        all: Duration::from_nanos(sum.pause_ns),
                        longest: Duration::from_nanos(sum.longest_ns),
                    };
                    (kind, pauses)
                })
                .collect(),
            collections: collections.collect(),
            after_full: (after_full.into_iter())
                .map(|(time_ns, bytes)| (since_start(time_ns), bytes))
                .collect(),
            sites: (sites.iter())
                .filter(|facts| (facts.incarnation, facts.tid) == (incarnation, tid))
                .map(|facts| JsSite {
                    writer: facts.writer,
                    samples: facts.sum.samples,
                    bytes: facts.sum.bytes,
                    squares: facts.sum.squares,
                    spaces: facts.sum.spaces,
                    fates: facts.sum.fates,
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
