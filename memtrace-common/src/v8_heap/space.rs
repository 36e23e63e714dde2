//! In which of its spaces V8 allocates an object.

use super::Told;

numbered! {
    /// Where V8 puts an object when it is allocated.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Space;
    /// It is not known.
    Unknown = 0;
    /// Among young objects, which small collections look through.
    Young = 1;
    /// Among old ones at once: V8 expects it to stay.
    Old = 2;
    /// Among code.
    Code = 3;
    /// Among descriptions of objects, which V8 10.2 has in a space of their own.
    Map = 4;
    /// Among what isolates share.
    Shared = 5;
    /// Among what V8 keeps from its sandbox.
    Trusted = 6;
    /// In pages of its own, because it is large; young or old.
    Large = 7;
}

impl Space {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// That of a record; a number that this version does not know is [`Self::Unknown`].
    pub const fn of_record(number: u32) -> Self {
        match Self::from_number(number) {
            Some(space) => space,
            None => Self::Unknown,
        }
    }
}

/// How versions of V8 number their spaces (`AllocationSpace`, src/common/globals.h; `v8.getHeapSpaceStatistics()` of node lists them in that order).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum Numbers {
    /// 10.2
    #[default]
    V10 = 0,
    /// 11.3
    V11 = 1,
    /// 12.4
    V12 = 2,
    /// 13.6
    V13 = 3,
}

impl Numbers {
    /// Reads its number back; what is none is the last: nobody sends that.
    #[inline(always)]
    pub const fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::V10,
            1 => Self::V11,
            2 => Self::V12,
            _ => Self::V13,
        }
    }

    /// What a space with this number is for.
    #[inline(always)]
    pub const fn space(self, number: u32) -> Space {
        if matches!(self, Self::V10) {
            return match number {
                1 => Space::Old,
                2 => Space::Code,
                3 => Space::Map,
                4..=6 => Space::Large,
                7 => Space::Young,
                _ => Space::Unknown,
            };
        }
        // From 11.3 on versions differ in what lies between shared and large objects, and in how many kinds of these there are.
        let (trusted, last) = match self {
            Self::V10 | Self::V11 => (4, 8),
            Self::V12 => (5, 10),
            Self::V13 => (6, 12),
        };
        match number {
            1 => Space::Young,
            2 => Space::Old,
            3 => Space::Code,
            4 => Space::Shared,
            number if number > 4 && number <= trusted => Space::Trusted,
            number if number > trusted && number <= last => Space::Large,
            _ => Space::Unknown,
        }
    }
}

/// Where a space has its number (`Space::id_`, an `int`, src/heap/base-space.h; in 10.2 src/heap/spaces.h).
const NUMBER: u64 = 0x10;

impl Told {
    /// Where the address of the space is that a counter of an allocation area counts for (avma), or that address itself. `kept` as for
    /// [`Self::area_of_counter`].
    #[inline(always)]
    pub const fn owner(self, counter: u64, kept: u64) -> Owner {
        match self.numbers {
            Numbers::V10 => Owner::At(counter.wrapping_sub(0x28)),
            Numbers::V11 => Owner::At(kept),
            // `MainAllocator::space_`, behind its local heap and its heap.
            Numbers::V12 | Numbers::V13 => Owner::Behind(counter.wrapping_sub(0x18).wrapping_add(0x10)),
        }
    }

    /// Where the number of the space is whose large objects a counter counts, if it is one of those (avma): `LargeObjectSpace::allocation_counter_`, as
    /// `LargeObjectSpace::AdvanceAndInvokeAllocationObservers` is compiled. V8 10.2 is asked elsewhere.
    #[inline(always)]
    pub const fn number_of_large(self, counter: u64) -> Option<u64> {
        let space = match self.numbers {
            Numbers::V10 => return None,
            Numbers::V11 | Numbers::V12 => counter.wrapping_sub(0xd0),
            Numbers::V13 => counter.wrapping_sub(0x90),
        };
        Some(number_at(space))
    }
}

/// A space, by its address or by where that is (avma).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// It is there.
    At(u64),
    /// Its address is there.
    Behind(u64),
}

/// Where the number of the space at this address is (avma).
#[inline(always)]
pub const fn number_at(space: u64) -> u64 {
    space.wrapping_add(NUMBER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Numbers; 4] = [Numbers::V10, Numbers::V11, Numbers::V12, Numbers::V13];

    /// As `v8.getHeapSpaceStatistics()` of node 18, 20, 22 and 24 names them, in its order.
    const NAMES: [&str; 4] = [
        "read_only_space old_space code_space map_space large_object_space code_large_object_space new_large_object_space new_space",
        "read_only_space new_space old_space code_space shared_space new_large_object_space large_object_space code_large_object_space \
         shared_large_object_space",
        "read_only_space new_space old_space code_space shared_space trusted_space new_large_object_space large_object_space \
         code_large_object_space shared_large_object_space trusted_large_object_space",
        "read_only_space new_space old_space code_space shared_space trusted_space shared_trusted_space new_large_object_space \
         large_object_space code_large_object_space shared_large_object_space shared_trusted_large_object_space \
         trusted_large_object_space",
    ];

    #[test]
    fn spaces_are_those_that_node_names() {
        for (numbers, names) in ALL.into_iter().zip(NAMES) {
            for (number, name) in names.split_whitespace().enumerate() {
                let expected = match name {
                    "read_only_space" => Space::Unknown,
                    "new_space" => Space::Young,
                    "old_space" => Space::Old,
                    "code_space" => Space::Code,
                    "map_space" => Space::Map,
                    "shared_space" => Space::Shared,
                    "trusted_space" | "shared_trusted_space" => Space::Trusted,
                    large => {
                        assert!(large.ends_with("large_object_space"), "{large}");
                        Space::Large
                    }
                };
                assert_eq!(numbers.space(number as u32), expected, "{numbers:?}, {name}");
            }
            let beyond = names.split_whitespace().count() as u32;
            assert_eq!(numbers.space(beyond), Space::Unknown, "{numbers:?}");
            assert_eq!(numbers.space(u32::MAX), Space::Unknown);
            assert_eq!(Numbers::from_u8(numbers as u8), numbers);
        }
    }

    #[test]
    fn numbers_of_the_wire_are_known_or_said_not_to_be() {
        for &space in Space::ALL {
            assert_eq!(Space::of_record(space as u32), space);
        }
        assert_eq!(
            [Space::COUNT as u32, 256, 257, u32::MAX].map(Space::of_record),
            [Space::Unknown; 4]
        );
    }

    #[test]
    fn the_space_of_a_counter_is_found_by_version() {
        let told = |numbers| Told {
            numbers,
            ..Told::default()
        };
        assert_eq!(told(Numbers::V10).owner(0x1028, 0x5000), Owner::At(0x1000));
        assert_eq!(told(Numbers::V11).owner(0x1028, 0x5000), Owner::At(0x5000));
        for numbers in [Numbers::V12, Numbers::V13] {
            assert_eq!(told(numbers).owner(0x1018, 0x5000), Owner::Behind(0x1010));
        }
        assert_eq!(
            ALL.map(|numbers| told(numbers).number_of_large(0x10d0)),
            [None, Some(0x1010), Some(0x1010), Some(0x1050)]
        );
    }
}
