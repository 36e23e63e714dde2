//! Resident memory, split by what holds it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::spaces::Spaces;

/// What holds resident memory.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Part {
    /// Live blocks of allocators.
    Live,
    /// Memory of allocators that is in no live block.
    Held,
    /// Pages of V8's heaps.
    JsHeap,
    /// Code that V8 made.
    JsCode,
    /// Mappings that the program made itself.
    Mapped,
    /// What was there when observation began and is in no block that is known.
    Before,
    /// Stacks of all threads.
    Stacks,
    /// Files and shared memory.
    Files,
    /// None of these, as far as can be told.
    Unknown,
}

impl Part {
    /// All parts, in the order in which they are reported.
    pub const ALL: [Self; 9] = [
        Self::Live,
        Self::Held,
        Self::JsHeap,
        Self::JsCode,
        Self::Mapped,
        Self::Before,
        Self::Stacks,
        Self::Files,
        Self::Unknown,
    ];

    /// The words for it in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live blocks",
            Self::Held => "free, held by the allocator",
            Self::JsHeap => "heap of JavaScript",
            Self::JsCode => "code that V8 made",
            Self::Mapped => "mapped by the program",
            Self::Before => "from before attach",
            Self::Stacks => "stacks",
            Self::Files => "files and shared memory",
            Self::Unknown => "unknown",
        }
    }
}

/// Resident bytes by what holds them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct Parts {
    /// [`Part::Live`]: requested bytes.
    pub live: u64,
    /// [`Part::Held`]: free blocks, what blocks are rounded up by, and the allocator's own tables.
    pub held: u64,
    /// [`Part::JsHeap`]
    pub js_heap: u64,
    /// [`Part::JsCode`]
    pub js_code: u64,
    /// [`Part::Mapped`]
    pub mapped: u64,
    /// [`Part::Before`]
    pub before: u64,
    /// [`Part::Stacks`]
    pub stacks: u64,
    /// [`Part::Files`]
    pub files: u64,
    /// [`Part::Unknown`]
    pub unknown: u64,
}

impl Parts {
    /// The bytes of a part.
    pub const fn of(&self, part: Part) -> u64 {
        match part {
            Part::Live => self.live,
            Part::Held => self.held,
            Part::JsHeap => self.js_heap,
            Part::JsCode => self.js_code,
            Part::Mapped => self.mapped,
            Part::Before => self.before,
            Part::Stacks => self.stacks,
            Part::Files => self.files,
            Part::Unknown => self.unknown,
        }
    }

    /// The same, to be changed.
    pub const fn of_mut(&mut self, part: Part) -> &mut u64 {
        match part {
            Part::Live => &mut self.live,
            Part::Held => &mut self.held,
            Part::JsHeap => &mut self.js_heap,
            Part::JsCode => &mut self.js_code,
            Part::Mapped => &mut self.mapped,
            Part::Before => &mut self.before,
            Part::Stacks => &mut self.stacks,
            Part::Files => &mut self.files,
            Part::Unknown => &mut self.unknown,
        }
    }

    /// All of them together.
    pub fn sum(&self) -> u64 {
        Part::ALL
            .iter()
            .fold(0, |sum, &part| u64::saturating_add(sum, self.of(part)))
    }
}

/// Resident memory at a moment, of a process or of several. Sizes are bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct Reading {
    /// Since the start of the observation.
    pub at: Duration,
    /// Resident, as the kernel counts it: the sum of `Rss` in `smaps`, and of the parts. Of several processes, memory that they share
    /// is counted in each.
    pub rss: u64,
    /// What it is made of.
    pub parts: Parts,
    /// Resident, with each page divided among those who share it.
    pub pss: u64,
    /// Swapped out.
    pub swap: u64,
    /// Of `rss`, in anonymous huge pages.
    pub huge: u64,
    /// Of `rss`, given back by `madvise(MADV_FREE)`: the kernel takes it when it needs memory.
    pub lazy_free: u64,
    /// Live bytes of blocks that are not resident: never touched, or swapped out.
    pub absent: u64,
    /// Of `rss`, in mappings whose pages were not looked at one by one, so that its parts are less certain.
    pub coarse: u64,
    /// Of how many processes this is.
    pub processes: u32,
    /// How many others there were, of which only the total was read.
    pub others: u32,
    /// Resident memory of those, as `statm` has it; no part of `rss`.
    pub others_rss: u64,
    /// Heaps of V8 whose pages were found: one for each thread that runs JavaScript.
    pub heaps: u32,
    /// Their pages. What is resident of them is in [`Part::JsHeap`], and that of compiled code in [`Part::JsCode`].
    pub spaces: Spaces,
}

impl Reading {
    /// Adds that of another process at the same moment.
    pub fn add(&mut self, other: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        for part in Part::ALL {
            add(self.parts.of_mut(part), other.parts.of(part));
        }
        add(&mut self.rss, other.rss);
        add(&mut self.pss, other.pss);
        add(&mut self.swap, other.swap);
        add(&mut self.huge, other.huge);
        add(&mut self.lazy_free, other.lazy_free);
        add(&mut self.absent, other.absent);
        add(&mut self.coarse, other.coarse);
        add(&mut self.others_rss, other.others_rss);
        self.spaces.add(&other.spaces);
        self.heaps = self.heaps.saturating_add(other.heaps);
        self.processes = self.processes.saturating_add(other.processes);
        self.others = self.others.saturating_add(other.others);
    }
}

/// Resident memory over time.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct Resident {
    /// The first reading, some between, and the last, in their order; never none.
    pub readings: Vec<Reading>,
    /// What reading took, of all processes together; nothing where this is of one of several.
    #[serde(default)]
    pub effort: Effort,
}

/// What reading took: for about so long at most a mapping call of the target may have waited.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct Effort {
    /// How often it was read.
    pub times: u64,
    /// All the time together.
    pub all: Duration,
    /// The longest time.
    pub longest: Duration,
}

/// How much more or less of it there is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Bytes of all parts together.
    pub bytes: i128,
    /// The parts that changed in that direction and by how many bytes, most first: the first one, and those that are a quarter of
    /// the whole or more.
    pub parts: Vec<(Part, i128)>,
}

/// A change below this is none that needs words: a few pages come and go with every program.
const LEAST_CHANGE: i128 = 1 << 20;

/// A change that is a smaller share of what was there is none either.
const LEAST_SHARE: i128 = 20;

/// A part whose change is a smaller share of the whole is not named.
const LARGE_SHARE: i128 = 4;

impl Resident {
    /// The first reading.
    pub fn first(&self) -> Option<&Reading> {
        self.readings.first()
    }

    /// The last one.
    pub fn last(&self) -> Option<&Reading> {
        self.readings.last()
    }

    /// What changed from the first reading to the last: at least a MiB, and a twentieth.
    pub fn change(&self) -> Option<Change> {
        let (first, last) = (self.first()?, self.last()?);
        let difference = |of: fn(&Reading) -> u64| i128::from(of(last)) - i128::from(of(first));
        let bytes = difference(|reading| reading.rss);
        if bytes.abs() < LEAST_CHANGE.max(i128::from(first.rss) / LEAST_SHARE) {
            return None;
        }
        let by_part = Part::ALL.map(|part| {
            let change = i128::from(last.parts.of(part)) - i128::from(first.parts.of(part));
            (part, change)
        });
        let mut parts = by_part.to_vec();
        parts.sort_by_key(|(_, change)| -change * bytes.signum());
        let most = parts.first()?.0;
        parts.retain(|&(part, change)| part == most || change * bytes.signum() * LARGE_SHARE >= bytes.abs());
        Some(Change { bytes, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(live: u64, held: u64) -> Reading {
        Reading {
            rss: live + held,
            parts: Parts {
                live,
                held,
                ..Parts::default()
            },
            processes: 1,
            ..Reading::default()
        }
    }

    #[test]
    fn parts_are_one_for_each_name() {
        let mut parts = Parts::default();
        for (number, part) in (1..).zip(Part::ALL) {
            *parts.of_mut(part) = number;
            assert_eq!(parts.of(part), number);
        }
        assert_eq!(parts.sum(), 45);
    }

    #[test]
    fn sums_are_of_every_part() {
        let mut sum = reading(1, 2);
        sum.add(&reading(10, 20));
        assert_eq!(
            (sum.rss, sum.parts.live, sum.parts.held, sum.processes),
            (33, 11, 22, 2)
        );
        assert_eq!(sum.parts.sum(), sum.rss);
    }

    #[test]
    fn a_change_names_what_changed_most() {
        let resident = |readings: &[Reading]| Resident {
            readings: readings.to_vec(),
            effort: Effort::default(),
        };
        let grown = resident(&[reading(5 << 20, 1 << 20), reading(4 << 20, 12 << 20)]);
        let change = grown.change().unwrap();
        assert_eq!((change.bytes, change.parts), (10 << 20, vec![(Part::Held, 11 << 20)]));
        let both = resident(&[reading(0, 0), reading(3 << 20, 5 << 20)]);
        let parts = both.change().unwrap().parts;
        assert_eq!(parts, [(Part::Held, 5 << 20), (Part::Live, 3 << 20)]);
        let shrunk = resident(&[reading(9 << 20, 9 << 20), reading(1 << 20, 10 << 20)]);
        assert_eq!(shrunk.change().unwrap().parts, [(Part::Live, -(8 << 20))]);
        assert_eq!(
            resident(&[reading(1000, 0), reading(2000, 0)]).change(),
            None,
            "too little"
        );
        assert_eq!(
            resident(&[reading(1 << 30, 0), reading(1 << 30, 2 << 20)]).change(),
            None,
            "a small share"
        );
        assert_eq!(resident(&[]).change(), None);
    }
}
