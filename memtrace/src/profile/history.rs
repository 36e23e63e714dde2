//! Live bytes of a site over time.

use std::{sync::Arc, time::Duration};

/// Live bytes at evenly spaced moments of the observation. All sites of a profile share the moments: with a copy for each, they would
/// be most of what a profile takes.
#[derive(Clone, Debug, Default)]
pub struct History {
    times: Arc<[Duration]>,
    bytes: Box<[u64]>,
}

impl History {
    /// Of live bytes at each of these times since the start of the observation; what is more on one side is left out.
    pub fn new(times: &Arc<[Duration]>, bytes: impl Iterator<Item = u64>) -> Self {
        Self {
            times: Arc::clone(times),
            bytes: bytes.take(times.len()).collect(),
        }
    }

    /// When, since the start of the observation, and how many live bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Duration, u64)> + '_ {
        self.times.iter().copied().zip(self.bytes.iter().copied())
    }

    /// The same as a list.
    pub fn points(&self) -> Vec<(Duration, u64)> {
        self.iter().collect()
    }

    /// The moments, since the start of the observation.
    pub const fn times(&self) -> &Arc<[Duration]> {
        &self.times
    }

    /// The last of its moments, which are at other times now.
    #[must_use]
    pub fn last(&self, times: &Arc<[Duration]>) -> Self {
        let earlier = self.len().saturating_sub(times.len());
        Self::new(times, self.bytes.iter().copied().skip(earlier))
    }

    /// Live bytes at the moment with this number.
    pub fn at(&self, moment: usize) -> Option<u64> {
        self.bytes.get(moment).copied()
    }

    /// How many moments there are.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
