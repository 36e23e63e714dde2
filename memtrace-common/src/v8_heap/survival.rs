//! What becomes of young objects. Some are followed: when a scavenge has copied what lives, and before V8 uses the memory again that it has left, what V8
//! wrote into an object's place tells whether it has died, and where it is else. That is at `ScavengerCollector::ClearOldEphemerons`.
//!
//! Other collections are none by which that can be told: pages become old, or are given up, with what is in them. What is followed then is let go,
//! whatever becomes of it.

use super::{PAGE, space::Numbers};

/// Objects of a thread that are followed at once: with about one for each 512 KiB that is allocated, all of a young space of 64 MiB. A power of two.
pub const FOLLOWED: usize = 128;

numbered! {
    /// What has become of an object.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Fate;
    /// It has died young.
    Died = 1;
    /// It was moved to the old ones.
    Promoted = 2;
}

/// An object that is followed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Followed {
    /// Where it is (avma).
    pub address: u64,
    /// Identity of the call stack that has made it.
    pub stack: u64,
    /// Collections that it has survived.
    pub collections: u64,
}

/// Those of a thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Following {
    /// How many collections there were.
    pub collections: u64,
    /// How many objects there are.
    pub count: u64,
    /// The objects.
    pub objects: [Followed; FOLLOWED],
}

const _: () = {
    assert!(FOLLOWED.is_power_of_two());
    assert!(size_of::<Followed>() == 24);
    assert!(size_of::<Following>() == 16 + 24 * FOLLOWED);
};

impl Following {
    /// Of a thread that is new.
    pub const NONE: Self = Self {
        collections: 0,
        count: 0,
        objects: [Followed {
            address: 0,
            stack: 0,
            collections: 0,
        }; FOLLOWED],
    };

    /// Follows one more; `false` when there is no room.
    #[inline(always)]
    pub const fn push(&mut self, followed: Followed) -> bool {
        if self.count >= FOLLOWED as u64 {
            return false;
        }
        // The mask shows the verifier what the comparison says.
        self.objects[self.count as usize & (FOLLOWED - 1)] = followed;
        self.count += 1;
        true
    }
}

/// Whether a collection of this kind ([`super::Collected::kind`]) is a scavenge.
#[inline(always)]
pub const fn is_scavenge(kind: u32) -> bool {
    kind == 0
}

/// Where a page of V8's has its flags that has this address (avma; `MemoryChunk`, src/heap/memory-chunk-header.h or basic-memory-chunk.h: behind the
/// size of the page in 10.2 and 11.3, first from 12.4 on).
#[inline(always)]
pub const fn flags_of(address: u64, numbers: Numbers) -> u64 {
    let page = address & !(PAGE - 1);
    match numbers {
        Numbers::V10 | Numbers::V11 => page.wrapping_add(8),
        Numbers::V12 | Numbers::V13 => page,
    }
}

/// Whether a page with these flags is one that a collection leaves (`FROM_PAGE`, the same in 10.2 to 13.6).
#[inline(always)]
pub const fn is_left(flags: u64) -> bool {
    flags & (1 << 3) != 0
}

/// Whether it has young objects (`FROM_PAGE`, `TO_PAGE`).
#[inline(always)]
pub const fn is_young(flags: u64) -> bool {
    flags & (3 << 3) != 0
}

/// Where an object has gone, by the first word of the place that it has left (avma): an address there, where V8 has a tagged pointer to the
/// object's description else (`MapWord`, src/objects/objects.h).
#[inline(always)]
pub const fn moved_to(word: u64) -> Option<u64> {
    if word.is_multiple_of(4) && word != 0 {
        Some(word)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_followed() {
        let mut following = Following::NONE;
        for address in 1..=FOLLOWED as u64 {
            assert!(following.push(Followed {
                address,
                ..Followed::default()
            }));
        }
        assert!(!following.push(Followed::default()));
        assert_eq!(following.objects[FOLLOWED - 1].address, FOLLOWED as u64);
    }

    #[test]
    fn flags_are_at_the_begin_of_the_page() {
        assert_eq!(flags_of(0x7f12_3456_7890, Numbers::V10), 0x7f12_3454_0008);
        assert_eq!(flags_of(0x7f12_3456_7890, Numbers::V11), 0x7f12_3454_0008);
        assert_eq!(flags_of(0x7f12_3454_0000, Numbers::V13), 0x7f12_3454_0000);
        assert_eq!(flags_of(u64::MAX, Numbers::V12), u64::MAX - 0x3_ffff);
    }

    #[test]
    fn what_a_collection_has_left_tells_where_it_has_gone() {
        assert!(is_scavenge(0) && !is_scavenge(1));
        assert!(is_left(8) && is_young(8) && is_young(16));
        assert!(!is_left(16) && !is_left(0x7) && !is_young(0x7));
        assert_eq!(moved_to(0x7f12_3456_7890), Some(0x7f12_3456_7890));
        assert_eq!((moved_to(0x7f12_3456_7891), moved_to(0)), (None, None));
    }

    #[test]
    fn numbers_of_fates_are_known_or_said_not_to_be() {
        for &fate in Fate::ALL {
            assert_eq!(Fate::from_number(fate as u32), Some(fate));
        }
        assert_eq!([0, 3, 257].map(Fate::from_number), [None; 3]);
    }
}
