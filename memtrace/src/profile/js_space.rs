//! Bytes of JavaScript's objects by the space of V8's heap that they were allocated in.

pub use memtrace_common::v8_heap::space::Space;
use serde::{Deserialize, Serialize};

/// Bytes in each space.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct BySpace([u64; Space::COUNT]);

impl BySpace {
    /// Adds bytes in a space.
    pub fn add(&mut self, space: Space, more: u64) {
        // Its numbers are its places.
        if let Some(bytes) = self.0.get_mut(space as usize) {
            *bytes = bytes.saturating_add(more);
        }
    }

    /// Adds others.
    pub fn add_all(&mut self, others: &Self) {
        for (space, bytes) in others.some() {
            self.add(space, bytes);
        }
    }

    /// Takes away what was there before.
    pub fn subtract(&mut self, before: &Self) {
        for (bytes, before) in self.0.iter_mut().zip(before.0) {
            *bytes = bytes.saturating_sub(before);
        }
    }

    /// Bytes in a space.
    pub fn of(&self, space: Space) -> u64 {
        self.0.get(space as usize).copied().unwrap_or(0)
    }

    /// Spaces with bytes in them.
    pub fn some(&self) -> impl Iterator<Item = (Space, u64)> {
        let all = Space::ALL.iter().copied().zip(self.0);
        all.filter(|&(_, bytes)| bytes > 0)
    }
}

/// The name of a space in reports.
pub const fn name(space: Space) -> &'static str {
    match space {
        Space::Unknown => "unknown",
        Space::Young => "young",
        Space::Old => "old",
        Space::Code => "code",
        Space::Map => "map",
        Space::Shared => "shared",
        Space::Trusted => "trusted",
        Space::Large => "large",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_space_has_its_own_bytes() {
        for (place, &space) in Space::ALL.iter().enumerate() {
            assert_eq!(space as usize, place, "numbers are places");
        }
        let mut bytes = BySpace::default();
        bytes.add(Space::Young, 10);
        bytes.add(Space::Large, u64::MAX);
        let before = bytes;
        bytes.add(Space::Young, 5);
        bytes.add_all(&before);
        assert_eq!(
            [Space::Young, Space::Old, Space::Large].map(|space| bytes.of(space)),
            [25, 0, u64::MAX]
        );
        bytes.subtract(&before);
        assert!(bytes.some().eq([(Space::Young, 15)]));
    }
}
