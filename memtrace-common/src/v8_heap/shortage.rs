//! That V8 has run out of memory, or has come near the limit of a heap, as functions of V8 and of node are told at their entry.
//!
//! Out of memory is `V8::FatalProcessOutOfMemory`: V8's isolate, the place in V8 that gave up in words, and whether it is the heap of objects
//! that is full. 10.2 passes that as a `bool`, later versions as a reference to `OOMDetails`, which begins with one. The other two are what node
//! has V8 call near the limit (`v8::NearHeapLimitCallback`): something of their own, the limit, and the limit that there was at first.

/// Bytes that are kept of V8's words: the longest of its own are shorter (`MarkCompactCollector: young object promotion failed`).
pub const WORDS: usize = 64;

numbered! {
    /// What has happened.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Shortage;
    /// There is no room in the heap of objects: V8 ends the process.
    Heap = 1;
    /// There is no memory for something else: V8 ends the process.
    Process = 2;
    /// A worker has come to the limit of its heap: node ends the worker.
    Worker = 3;
    /// A heap has come to its limit; node was asked to write a heap snapshot then, and raises the limit.
    Snapshot = 4;
}

impl Shortage {
    /// Whether V8 ends the process.
    pub const fn is_fatal(self) -> bool {
        matches!(self, Self::Heap | Self::Process)
    }
}

/// What the probe at one of these functions is told: the value that its attach point carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// What a call of the function means; of [`Shortage::Heap`], that or [`Shortage::Process`].
    pub means: Shortage,
    /// How far from its begin an isolate has the limit of its old objects, in bytes; 0 where the function is told the limit.
    pub limit_at: u32,
    /// Whether it is V8 10.2, which passes a `bool`.
    pub early: bool,
}

impl Place {
    const LIMIT_AT: u32 = 8;
    const EARLY: u32 = 40;

    /// The value as the kernel stores it.
    pub const fn pack(self) -> u64 {
        self.means as u64 | (self.limit_at as u64) << Self::LIMIT_AT | (self.early as u64) << Self::EARLY
    }

    /// Reads it back. What is not a shortage's number is one of the heap: nobody sends that.
    #[inline(always)]
    pub const fn unpack(value: u64) -> Self {
        Self {
            means: match Shortage::from_u8(value as u8) {
                Some(means) => means,
                None => Shortage::Heap,
            },
            limit_at: (value >> Self::LIMIT_AT) as u32,
            early: value >> Self::EARLY & 1 != 0,
        }
    }

    /// Where the limit of an isolate is (avma).
    #[inline(always)]
    pub const fn limit_of(self, isolate: u64) -> u64 {
        isolate.wrapping_add(self.limit_at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_place_carries_round_trips() {
        for &means in Shortage::ALL {
            for limit_at in [0, 0xf048, u32::MAX] {
                for early in [false, true] {
                    let place = Place { means, limit_at, early };
                    assert_eq!(Place::unpack(place.pack()), place);
                    assert_eq!(place.pack() & crate::cookie::STEPPED, 0, "that bit is of all cookies");
                }
            }
        }
    }

    #[test]
    fn numbers_are_known_or_are_none() {
        for &shortage in Shortage::ALL {
            assert_eq!(Shortage::from_number(shortage as u32), Some(shortage));
        }
        assert_eq!([0, 5, 257].map(Shortage::from_number), [None; 3]);
    }

    #[test]
    fn a_limit_is_in_the_isolate() {
        let place = Place {
            means: Shortage::Heap,
            limit_at: 0xc718,
            early: true,
        };
        assert_eq!(place.limit_of(0x10_0000), 0x10_c718);
    }
}
