//! Heaps of JavaScript's objects, as V8 counts and collects them: one for each thread that runs JavaScript.

use std::time::Duration;

use super::{growth, js_sites::JsSite, js_space::BySpace};

/// Full collections below which nothing is said of growth: two lie on a line whatever happens.
const LEAST_POINTS: usize = 3;

/// A thread's heap. Sizes are bytes; times are since the start of the observation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsHeap {
    /// Process id.
    pub pid: u32,
    /// The thread; 0 for all those together that there was no room for.
    pub tid: u32,
    /// Taken for objects. What the thread had taken of its area when observation began is in it, some 100 KiB at most.
    pub allocated: u64,
    /// The same by where it is.
    pub spaces: BySpace,
    /// Of that, taken since the last collection.
    pub since_collection: u64,
    /// How long a step is.
    pub step: Duration,
    /// What was taken in each step: when it began, and how much. Steps without any are left out.
    pub steps: Vec<(Duration, u64)>,
    /// How many collections there were of each kind, in the order of [`Kind::ALL`]; those that there were none of are left out.
    pub sums: Vec<(Kind, Pauses)>,
    /// The last collections, in their order.
    pub collections: Vec<Collection>,
    /// Object bytes after each full collection: when it ended, and how many. With many, some are left out evenly.
    pub after_full: Vec<(Duration, u64)>,
    /// Where objects were allocated, by a sample; none where that was not asked for, or too little was allocated.
    pub sites: Vec<JsSite>,
}

/// A collection. Sizes are those that V8 itself notes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Collection {
    /// When it ended.
    pub at: Duration,
    /// What was collected.
    pub kind: Kind,
    /// Why: a number that [`reason`] has words for.
    pub reason: u32,
    /// How long the thread stood still; `None` when the beginning was not seen. What V8 does beside the running program is not in it.
    pub pause: Option<Duration>,
    /// Object bytes before.
    pub before_bytes: u64,
    /// Object bytes after.
    pub after_bytes: u64,
    /// Memory of the heap before.
    pub before_memory: u64,
    /// Memory of the heap after.
    pub after_memory: u64,
}

/// What a collection collects.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Young objects, by copying.
    Scavenge,
    /// All objects.
    MarkCompact,
    /// Young objects, by marking.
    MinorMarkSweep,
    /// Something that this version of memtrace does not know.
    Other,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Scavenge, Self::MarkCompact, Self::MinorMarkSweep, Self::Other];

    /// Of `GCTracer::Event::Type` (src/heap/gc-tracer.h, the same in V8 10.2 to 13.6): 1 and 2 are a full collection that was not, or was,
    /// begun in steps; 3 and 4 the same of a minor one.
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Scavenge,
            1 | 2 => Self::MarkCompact,
            3 | 4 => Self::MinorMarkSweep,
            _ => Self::Other,
        }
    }

    /// Its words in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scavenge => "scavenge",
            Self::MarkCompact => "mark-compact",
            Self::MinorMarkSweep => "minor mark-sweep",
            Self::Other => "of another kind",
        }
    }

    /// Whether it collects all objects.
    pub const fn is_full(self) -> bool {
        matches!(self, Self::MarkCompact)
    }
}

/// How often and how long a thread stood still.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pauses {
    /// How many collections.
    pub count: u64,
    /// All pauses together.
    pub all: Duration,
    /// The longest.
    pub longest: Duration,
}

/// How the heap changes from one full collection to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Change of object bytes per minute, by least squares.
    pub bytes_per_minute: f64,
    /// Full collections that this rests on.
    pub points: usize,
    /// From the first of them to the last.
    pub over: Duration,
}

impl JsHeap {
    /// Object bytes now: those after the last collection, and what was taken since. `None` before the first: what was there before is not known.
    pub fn used(&self) -> Option<u64> {
        let last = self.collections.last()?;
        Some(last.after_bytes.saturating_add(self.since_collection))
    }

    /// How many collections there were.
    pub fn collected(&self) -> u64 {
        self.sums.iter().map(|(_, pauses)| pauses.count).sum()
    }

    /// The change from full collection to full collection; `None` with fewer than three.
    pub fn trend(&self) -> Option<Trend> {
        let points = &self.after_full;
        let over = points.last()?.0.checked_sub(points.first()?.0)?;
        if points.len() < LEAST_POINTS {
            return None;
        }
        let line = growth::line(points)?;
        Some(Trend {
            bytes_per_minute: line.bytes_per_second * 60.0,
            points: points.len(),
            over,
        })
    }
}

/// Why V8 collects, by the number that it gives its reasons (`GarbageCollectionReason`, src/common/globals.h: numbers are never used again), in
/// the words of `--trace-gc`. `None` for one that was added later.
pub const fn reason(number: u32) -> Option<&'static str> {
    Some(match number {
        0 => "unknown",
        1 => "allocation failure",
        2 => "allocation limit",
        3 => "context disposal",
        4 => "counters extension",
        5 => "debugger",
        6 => "deserialize",
        7 => "external memory pressure",
        8 => "finalize incremental marking via stack guard",
        9 => "finalize incremental marking via task",
        10 => "full hash-table",
        11 => "heap profiler",
        12 => "task",
        13 => "last resort",
        14 => "low memory notification",
        15 => "make heap iterable",
        16 => "memory pressure",
        17 => "memory reducer",
        18 => "runtime",
        19 => "sampling profiler",
        20 => "snapshot creator",
        21 => "testing",
        22 => "external finalize",
        23 => "global allocation limit",
        24 => "measure memory",
        25 => "background allocation failure",
        26 => "finalize concurrent minor mark-sweep",
        27 => "CppHeap allocation failure",
        29 => "idle context disposal",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap(after_full: &[(u64, u64)]) -> JsHeap {
        JsHeap {
            after_full: (after_full.iter())
                .map(|&(second, bytes)| (Duration::from_secs(second), bytes))
                .collect(),
            ..JsHeap::default()
        }
    }

    #[test]
    fn a_trend_rests_on_three_full_collections_at_least() {
        assert_eq!(heap(&[]).trend(), None);
        assert_eq!(heap(&[(0, 5), (10, 50)]).trend(), None);
        assert_eq!(heap(&[(7, 5), (7, 6), (7, 7)]).trend(), None, "no time between them");
        let trend = heap(&[(0, 1000), (30, 2000), (60, 3000)]).trend().unwrap();
        assert!((trend.bytes_per_minute - 2000.0).abs() < 1e-6, "{trend:?}");
        assert_eq!((trend.points, trend.over), (3, Duration::from_mins(1)));
        let trend = heap(&[(0, 300), (1, 200), (2, 100)]).trend().unwrap();
        assert!(trend.bytes_per_minute < 0.0, "{trend:?}");
    }

    #[test]
    fn what_is_used_is_known_from_the_first_collection_on() {
        let mut heap = JsHeap {
            since_collection: 10,
            ..JsHeap::default()
        };
        assert_eq!(heap.used(), None);
        heap.collections.push(Collection {
            at: Duration::ZERO,
            kind: Kind::Scavenge,
            reason: 1,
            pause: None,
            before_bytes: 300,
            after_bytes: 200,
            before_memory: 0,
            after_memory: 0,
        });
        assert_eq!(heap.used(), Some(210));
    }

    #[test]
    fn numbers_have_words_or_are_said_not_to() {
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(Kind::from_number).map(Kind::name)[2],
            "mark-compact"
        );
        assert_eq!(Kind::from_number(77), Kind::Other);
        assert_eq!(
            (reason(1), reason(28), reason(1000)),
            (Some("allocation failure"), None, None)
        );
    }
}
