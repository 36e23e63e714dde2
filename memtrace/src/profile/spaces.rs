//! The spaces of V8's heaps: how many pages each has, and how much of them is resident.

use serde::{Deserialize, Serialize};

/// A space of V8's heap (`AllocationSpace`, src/common/globals.h), or pages that are in none.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Space {
    /// What is never changed, and what all heaps of a process share.
    ReadOnly,
    /// Young objects, in both halves.
    New,
    /// Old objects.
    Old,
    /// Compiled code.
    Code,
    /// Hidden classes, in a space of their own up to V8 10.2.
    Map,
    /// Objects that several threads share.
    Shared,
    /// What the engine trusts: bytecode, data of compiled code. From V8 12.4 on.
    Trusted,
    /// The same, shared by several threads.
    SharedTrusted,
    /// Young objects with a page of their own each.
    NewLarge,
    /// Old objects with a page of their own each.
    Large,
    /// Compiled code with a page of its own each.
    CodeLarge,
    /// Shared objects with a page of their own each.
    SharedLarge,
    /// Shared and trusted objects with a page of their own each.
    SharedTrustedLarge,
    /// Trusted objects with a page of their own each.
    TrustedLarge,
    /// Pages without objects, which V8 keeps for later.
    Pooled,
}

impl Space {
    /// All of them, in the order in which they are reported. Recordings have them by place: a new one goes to the end.
    pub const ALL: [Self; 15] = [
        Self::ReadOnly,
        Self::New,
        Self::Old,
        Self::Code,
        Self::Map,
        Self::Shared,
        Self::Trusted,
        Self::SharedTrusted,
        Self::NewLarge,
        Self::Large,
        Self::CodeLarge,
        Self::SharedLarge,
        Self::SharedTrustedLarge,
        Self::TrustedLarge,
        Self::Pooled,
    ];

    /// V8's name for it, as `v8.getHeapSpaceStatistics` has it; `pooled` for pages without objects.
    pub const fn key(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only_space",
            Self::New => "new_space",
            Self::Old => "old_space",
            Self::Code => "code_space",
            Self::Map => "map_space",
            Self::Shared => "shared_space",
            Self::Trusted => "trusted_space",
            Self::SharedTrusted => "shared_trusted_space",
            Self::NewLarge => "new_large_object_space",
            Self::Large => "large_object_space",
            Self::CodeLarge => "code_large_object_space",
            Self::SharedLarge => "shared_large_object_space",
            Self::SharedTrustedLarge => "shared_trusted_large_object_space",
            Self::TrustedLarge => "trusted_large_object_space",
            Self::Pooled => "pooled",
        }
    }

    /// The words for it in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::New => "new",
            Self::Old => "old",
            Self::Code => "code",
            Self::Map => "map",
            Self::Shared => "shared",
            Self::Trusted => "trusted",
            Self::SharedTrusted => "shared trusted",
            Self::NewLarge => "new, large objects",
            Self::Large => "old, large objects",
            Self::CodeLarge => "code, large objects",
            Self::SharedLarge => "shared, large objects",
            Self::SharedTrustedLarge => "shared trusted, large objects",
            Self::TrustedLarge => "trusted, large objects",
            Self::Pooled => "empty, kept for later",
        }
    }

    /// Whether it has compiled code.
    pub const fn is_code(self) -> bool {
        matches!(self, Self::Code | Self::CodeLarge)
    }

    /// Whether each object has a page of its own, as large as it takes.
    pub const fn is_large(self) -> bool {
        matches!(
            self,
            Self::NewLarge
                | Self::Large
                | Self::CodeLarge
                | Self::SharedLarge
                | Self::SharedTrustedLarge
                | Self::TrustedLarge
        )
    }
}

/// What a space has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct SpaceUse {
    /// Pages of V8: 256 KiB each, or less, or as large as a large object.
    pub pages: u64,
    /// Bytes of these, resident or not.
    pub bytes: u64,
    /// Bytes of these that are resident.
    pub resident: u64,
}

/// The spaces of all heaps of a process, or of several.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(from = "Vec<SpaceUse>", into = "Vec<SpaceUse>")]
pub struct Spaces([SpaceUse; Space::ALL.len()]);

impl Spaces {
    /// What a space has.
    pub const fn of(&self, space: Space) -> SpaceUse {
        self.0[space as usize]
    }

    /// The same, to be changed.
    pub const fn of_mut(&mut self, space: Space) -> &mut SpaceUse {
        &mut self.0[space as usize]
    }

    /// Adds those of other heaps.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            sum.pages = sum.pages.saturating_add(more.pages);
            sum.bytes = sum.bytes.saturating_add(more.bytes);
            sum.resident = sum.resident.saturating_add(more.resident);
        }
    }

    /// Those that have pages.
    pub fn used(&self) -> impl Iterator<Item = (Space, SpaceUse)> {
        Space::ALL
            .into_iter()
            .map(|space| (space, self.of(space)))
            .filter(|(_, found)| found.pages > 0)
    }
}

impl From<Vec<SpaceUse>> for Spaces {
    /// As many as there are: versions that know more spaces write more.
    fn from(list: Vec<SpaceUse>) -> Self {
        let mut all = Self::default();
        for (space, found) in all.0.iter_mut().zip(list) {
            *space = found;
        }
        all
    }
}

impl From<Spaces> for Vec<SpaceUse> {
    fn from(all: Spaces) -> Self {
        all.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_have_their_own_place_each() {
        let mut all = Spaces::default();
        for (number, space) in (1..).zip(Space::ALL) {
            all.of_mut(space).pages = number;
        }
        let mut twice = all;
        twice.add(&all);
        for (number, (space, found)) in (1..).zip(twice.used()) {
            assert_eq!((space, found.pages), (Space::ALL[number - 1], 2 * number as u64));
        }
        assert_eq!(twice.used().count(), Space::ALL.len());
        assert_eq!(Spaces::default().used().count(), 0);
    }

    #[test]
    fn lists_of_other_lengths_are_taken_as_far_as_they_go() {
        let one = SpaceUse {
            pages: 1,
            bytes: 2,
            resident: 3,
        };
        assert_eq!(Spaces::from(vec![one]).of(Space::ReadOnly), one);
        let longer = Spaces::from(vec![one; 99]);
        assert_eq!(longer.used().count(), Space::ALL.len());
        let packed = postcard::to_stdvec(&longer).unwrap();
        assert_eq!(postcard::from_bytes::<Spaces>(&packed).unwrap(), longer);
    }
}
