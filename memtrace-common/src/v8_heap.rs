//! What V8 says of its heap, at the entry of functions of its own.
//!
//! Two places tell of it. `AllocationCounter::AdvanceAllocationObservers` is called with the bytes that were taken from an allocation area
//! since the last call: whenever an area ends, and for each large object. `GCTracer::StopObservablePause` is called at the end of the pause of
//! a collection, when the collection's record is complete. Where the fields of that record are depends on the version of V8.

pub mod draw;
pub mod shortage;
pub mod space;
pub mod survival;

use self::space::{Numbers, number_at};

/// The first words of a `GCTracer`, which have kind and reason.
pub type Head = [u64; 3];

/// Words of it in a row: object bytes before and after, memory before and after.
pub type Sizes = [u64; 4];

/// What the probe at one of these functions is told: the value that its attach point carries.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Told {
    /// Which word of the `GCTracer` is the first of [`Sizes`].
    pub sizes: u8,
    /// Which word of a space has the address of its allocation area, where the area's bytes may go uncounted; 0 where they do not.
    pub area: u8,
    /// Whether it is V8 10.2. There a large object tells of itself at another function, and may tell here again; and what a collection copies
    /// is counted too.
    pub early: bool,
    /// There: how far from the probe the function begins that counts what was taken of each area when a pause begins, in bytes.
    pub pauses_at: i32,
    /// How its spaces are numbered.
    pub numbers: Numbers,
}

/// Where in memory what is known of a space of V8 10.2 lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EarlySpace {
    /// What kind of space it is: an `int` (avma).
    pub kind: u64,
    /// Where the address of its area is (avma).
    pub area: u64,
}

impl EarlySpace {
    /// The space that a counter is a part of (`SpaceWithLinearArea::allocation_counter_`, `Space::id_`, src/heap/spaces.h).
    #[inline(always)]
    pub const fn of_counter(counter: u64, told: Told) -> Self {
        let space = counter.wrapping_sub(0x28);
        Self {
            kind: number_at(space),
            area: told.area_of(space),
        }
    }
}

/// The most that an area has: a page of V8's, in bytes.
pub const PAGE: u64 = 256 << 10;

/// Objects of more bytes have a page of their own: half of a page (`kMaxRegularHeapObjectSize`, src/common/globals.h).
pub const LARGE: u64 = PAGE / 2;

/// What was taken of an area, by its first byte and the first that is free (avma); 0 for what is none.
#[inline(always)]
pub const fn taken(&[begin, free]: &[u64; 2]) -> u64 {
    let bytes = free.wrapping_sub(begin);
    if bytes <= PAGE { bytes } else { 0 }
}

impl Told {
    const AREA: u32 = 8;
    const EARLY: u32 = 16;
    const PAUSES_AT: u32 = 24;
    const NUMBERS: u32 = 56;
    /// More than that function has.
    const PAUSES_BYTES: u64 = 256;

    /// The value as the kernel stores it.
    pub const fn pack(self) -> u64 {
        self.sizes as u64
            | (self.area as u64) << Self::AREA
            | (self.early as u64) << Self::EARLY
            | (self.pauses_at.cast_unsigned() as u64) << Self::PAUSES_AT
            | (self.numbers as u64) << Self::NUMBERS
    }

    /// Reads it back.
    #[inline(always)]
    pub const fn unpack(value: u64) -> Self {
        Self {
            sizes: value as u8,
            area: (value >> Self::AREA) as u8,
            early: value >> Self::EARLY & 1 != 0,
            pauses_at: ((value >> Self::PAUSES_AT) as u32).cast_signed(),
            numbers: Numbers::from_u8((value >> Self::NUMBERS) as u8),
        }
    }

    /// Whether a call, seen at `probe`, that returns to `caller` (avma) is one by which areas are counted when a pause begins.
    #[inline(always)]
    pub const fn begins_pause(self, probe: u64, caller: u64) -> bool {
        let begin = probe.wrapping_add_signed(self.pauses_at as i64);
        caller.wrapping_sub(begin) < Self::PAUSES_BYTES
    }

    /// Where the address of the area is that a counter counts (avma). `kept` is the register that keeps the space in 11.3 (rbx, as
    /// `SpaceWithLinearArea::AdvanceAllocationObservers` is compiled). From 12.4 on the counter is a part of a `MainAllocator`, which has
    /// that address (`MainAllocator::allocation_counter_`, `allocation_info_`, src/heap/main-allocator.h). What is there is to be checked.
    #[inline(always)]
    pub const fn area_of_counter(self, counter: u64, kept: u64) -> u64 {
        if self.early {
            EarlySpace::of_counter(counter, self).area
        } else if self.area != 0 {
            self.area_of(kept)
        } else {
            counter.wrapping_sub(0x18).wrapping_add(0xa0)
        }
    }

    /// Where a space has the address of its area (avma).
    #[inline(always)]
    pub const fn area_of(self, space: u64) -> u64 {
        space.wrapping_add(self.area as u64 * 8)
    }
}

/// What a `GCTracer` says of the collection that ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Collected {
    /// `GCTracer::Event::Type`.
    pub kind: u32,
    /// `GarbageCollectionReason`.
    pub reason: u32,
    /// Bytes of objects before it.
    pub before_bytes: u64,
    /// And after it. After a collection of all the heap, what is not swept yet is in it by estimate.
    pub after_bytes: u64,
    /// Bytes of memory that the heap had from the system before it.
    pub before_memory: u64,
    /// And after it.
    pub after_memory: u64,
}

/// The words of a `GCTracer` that have the kind and, in its lower half, the reason (V8 10.2 to 13.6: `src/heap/gc-tracer.h`).
const KIND: usize = 1;
const REASON: usize = 2;

impl Collected {
    /// Of what was read of a `GCTracer`.
    #[inline(always)]
    pub const fn new(head: &Head, sizes: &Sizes) -> Self {
        let [before_bytes, after_bytes, before_memory, after_memory] = *sizes;
        Self {
            kind: head[KIND] as u32,
            reason: head[REASON] as u32,
            before_bytes,
            after_bytes,
            before_memory,
            after_memory,
        }
    }
}

/// What is remembered of a thread from one of these functions to the next; the key is that of its calls in flight.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Noted {
    /// Kernel time at which the pause began that goes on, in nanoseconds; 0 for none.
    pub paused_ns: u64,
    /// Bytes of the large object that has just told of itself, and may tell again; 0 for none.
    pub large: u64,
    /// Where the allocation area of its young objects is described (avma); 0 when that is not known.
    pub area: u64,
    /// First free byte of the area that was counted last (avma); 0 for none. It may be forgotten right behind that.
    pub counted: u64,
}

const _: () = assert!(size_of::<Noted>() == 32);

impl Noted {
    /// Whether `bytes` are those of a large object that has told of itself already. The next that comes is the same or none.
    #[inline(always)]
    pub const fn is_told(&mut self, bytes: u64) -> bool {
        let told = self.large;
        self.large = 0;
        told != 0 && told == bytes
    }

    /// Whether what was taken of an area up to `free` (avma) is counted already.
    #[inline(always)]
    pub const fn is_counted(&mut self, free: u64) -> bool {
        let counted = self.counted;
        self.counted = 0;
        counted != 0 && counted == free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_round_trips() {
        let versions = [
            (0, 0, Numbers::V10),
            (7, 25, Numbers::V11),
            (8, 10, Numbers::V12),
            (255, 255, Numbers::V13),
        ];
        for (sizes, area, numbers) in versions {
            for early in [false, true] {
                for pauses_at in [0, 0xea260, -0xea260, i32::MIN, i32::MAX] {
                    let told = Told {
                        sizes,
                        area,
                        early,
                        pauses_at,
                        numbers,
                    };
                    assert_eq!(Told::unpack(told.pack()), told);
                }
            }
        }
    }

    #[test]
    fn who_counts_when_a_pause_begins_is_known_by_its_distance() {
        for pauses_at in [0x1000, -0x1000] {
            let told = Told {
                pauses_at,
                ..Told::default()
            };
            let begin = 0x50_0000_u64.wrapping_add_signed(pauses_at.into());
            assert!(told.begins_pause(0x50_0000, begin) && told.begins_pause(0x50_0000, begin + 0x4c));
            assert!(!told.begins_pause(0x50_0000, begin - 1) && !told.begins_pause(0x50_0000, begin + 256));
        }
    }

    #[test]
    fn an_area_has_what_lies_between_its_begin_and_what_is_free() {
        assert_eq!([taken(&[0x1000, 0x1040]), taken(&[0x1000, 0x1000])], [0x40, 0]);
        assert_eq!(taken(&[0x1000, 0x0fff]), 0, "no area");
        assert_eq!(taken(&[0, u64::MAX]), 0);
        let told = Told {
            area: 25,
            ..Told::default()
        };
        let space = EarlySpace::of_counter(0x1028, told);
        assert_eq!((space.kind, space.area), (0x1010, 0x10c8));
    }

    #[test]
    fn the_area_of_a_counter_is_found_by_version() {
        let told = |area, early| Told {
            area,
            early,
            ..Told::default()
        };
        assert_eq!(told(25, true).area_of_counter(0x1028, 0x5000), 0x10c8);
        assert_eq!(told(10, false).area_of_counter(0x1028, 0x5000), 0x5050);
        assert_eq!(told(0, false).area_of_counter(0x1018, 0x5000), 0x10a0);
    }

    #[test]
    fn kind_and_reason_are_the_lower_halves_of_their_words() {
        let found = Collected::new(&[5, 7 << 32 | 1, 9 << 32 | 2], &[10, 11, 12, 13]);
        assert_eq!((found.kind, found.reason), (1, 2));
        assert_eq!(
            [
                found.before_bytes,
                found.after_bytes,
                found.before_memory,
                found.after_memory
            ],
            [10, 11, 12, 13]
        );
    }

    #[test]
    fn what_is_counted_is_not_counted_when_it_is_forgotten() {
        let mut noted = Noted::default();
        assert!(!noted.is_counted(0), "nothing is no area");
        noted.counted = 0x1040;
        assert!(!noted.is_counted(0x1080), "more was taken");
        noted.counted = 0x1040;
        assert!(noted.is_counted(0x1040) && !noted.is_counted(0x1040));
    }

    #[test]
    fn a_large_object_is_told_once() {
        let mut noted = Noted::default();
        assert!(!noted.is_told(0), "nothing is no object");
        noted.large = 200_000;
        assert!(noted.is_told(200_000) && !noted.is_told(200_000));
        noted.large = 200_000;
        assert!(!noted.is_told(200_008), "another one");
        assert!(!noted.is_told(200_000), "which ends the wait");
    }
}
