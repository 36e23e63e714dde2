//! Records of the ring that are not understood.

use crate::{decode::Malformed, units::plural};

/// How many, and what was wrong with the first: those that come after it often come of it.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// How many there were.
    pub(super) count: u64,
    first: Option<(usize, Malformed)>,
}

impl Refused {
    /// One more, of so many bytes.
    pub(super) fn add(&mut self, bytes: usize, why: Malformed) {
        log::debug!("a record of {bytes} bytes was not understood: {why}");
        self.count += 1;
        self.first.get_or_insert((bytes, why));
    }

    /// What the reader of a report must know.
    pub(super) fn note(&self) -> Option<String> {
        let (bytes, why) = self.first?;
        let records = plural(self.count, "record");
        Some(format!(
            "{records} of the kernel's could not be read; of the first, of {bytes} bytes: {why}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told() {
        let mut refused = Refused::default();
        assert_eq!(refused.note(), None);
        refused.add(3, Malformed::Kind(200));
        refused.add(56, Malformed::Identity);
        assert_eq!(
            refused.note().as_deref(),
            Some("2 records of the kernel's could not be read; of the first, of 3 bytes: kind 200 is unknown")
        );
    }
}
