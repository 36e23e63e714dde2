//! Records of a program that keeps a fixed number of blocks live.

use memtrace::decode::{Event, encode};
use memtrace_common::{
    Op,
    event::{Alloc, Free, Header},
};

/// Distinct call stacks: what a server of some size has.
pub(crate) const STACKS: u64 = 1_000;

/// Distance from one block to the next in bytes; real ones are a few cache lines long.
const SPACING: u64 = 96;

/// Where the heap begins, as on `x86_64`.
const HEAP: u64 = 0x5555_5555_a2a0;

/// The only program.
pub(crate) const PID: u32 = 4242;
pub(crate) const INCARNATION: u32 = 1;

/// The identity of a stack, spread as real ones are.
pub(crate) const fn identity(stack: u64) -> u64 {
    stack.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014): the same blocks in every run.
#[derive(Debug)]
struct Random(u64);

impl Random {
    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from(mixed ^ mixed >> 31).expect("64 bits") % end
    }
}

/// A program with `live` blocks at random ones of twice as many addresses.
#[derive(Debug)]
pub(crate) struct Program {
    random: Random,
    /// Numbers of the addresses, those of live blocks first.
    places: Vec<u32>,
    live: usize,
    time_ns: u64,
}

impl Program {
    /// Allocates the blocks.
    pub(crate) fn start(live: usize, mut each: impl FnMut(&Event<'_>)) -> Self {
        let mut places: Vec<u32> = (0..2 * u32::try_from(live).expect("fits")).collect();
        let mut random = Random(1);
        for last in (1..places.len()).rev() {
            places.swap(last, random.below(last + 1));
        }
        let mut program = Self {
            random,
            places,
            live,
            time_ns: 0,
        };
        for place in 0..live {
            let place = program.places[place];
            each(&program.alloc(place));
        }
        program
    }

    /// The records of `steps` times a random free and an allocation elsewhere, and of as many as it takes to have the
    /// same blocks live as before, so that they can be applied again and again.
    pub(crate) fn records(&mut self, steps: usize) -> Vec<Vec<u8>> {
        let mut records = Vec::with_capacity(4 * steps);
        let before = self.places.clone();
        for _ in 0..steps {
            let (from, to) = (self.random.below(self.live), self.live + self.random.below(self.live));
            records.push(encode(&self.free(self.places[from])));
            records.push(encode(&self.alloc(self.places[to])));
            self.places.swap(from, to);
        }
        let set = |places: &[u32]| {
            let mut live = vec![false; 2 * self.live];
            places[..self.live]
                .iter()
                .for_each(|&place| live[place as usize] = true);
            live
        };
        let (was, is) = (set(&before), set(&self.places));
        let differ = |there: bool| {
            (0..)
                .zip(was.iter().zip(&is))
                .filter(move |&(_, (&was, &is))| was != is && is == there)
        };
        let (surplus, missing): (Vec<u32>, Vec<u32>) = (
            differ(true).map(|(place, _)| place).collect(),
            differ(false).map(|(place, _)| place).collect(),
        );
        for (surplus, missing) in surplus.into_iter().zip(missing) {
            records.push(encode(&self.free(surplus)));
            records.push(encode(&self.alloc(missing)));
        }
        self.places = before;
        records
    }

    fn header(&mut self, op: Op) -> Header {
        self.time_ns += 100;
        Header {
            kind: 0,
            op: op as u8,
            flags: 0,
            pid: PID,
            tid: PID,
            incarnation: INCARNATION,
            time_ns: self.time_ns,
        }
    }

    fn alloc(&mut self, place: u32) -> Event<'static> {
        let stack = 1 + self.random.below(usize::try_from(STACKS).expect("fits")) as u64;
        Event::Alloc(Alloc {
            header: self.header(Op::Malloc),
            address: HEAP + SPACING * u64::from(place),
            size: 64,
            stack: identity(stack),
        })
    }

    fn free(&mut self, place: u32) -> Event<'static> {
        Event::Free(Free {
            header: self.header(Op::Free),
            address: HEAP + SPACING * u64::from(place),
        })
    }
}
