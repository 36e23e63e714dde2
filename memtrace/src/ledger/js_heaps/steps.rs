//! How much in each second, or in longer steps once there are many.

use std::time::Duration;

/// Steps at most; when one more is needed, each two become one.
const MOST: usize = 256;

/// See the module's description.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    /// Kernel time at which the first begins, in nanoseconds.
    begin_ns: u64,
    width_ns: u64,
    bytes: Vec<u64>,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            begin_ns: 0,
            width_ns: 1_000_000_000,
            bytes: Vec::new(),
        }
    }
}

impl Steps {
    /// Adds bytes at a moment; one that is before the first step counts in it.
    pub(super) fn add(&mut self, time_ns: u64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        if self.bytes.is_empty() {
            self.begin_ns = time_ns;
        }
        let after = time_ns.saturating_sub(self.begin_ns);
        while after / self.width_ns >= MOST as u64 {
            let pairs = self.bytes.chunks(2);
            self.bytes = pairs
                .map(|pair| pair.iter().fold(0, |sum, &one| u64::saturating_add(sum, one)))
                .collect();
            self.width_ns = self.width_ns.saturating_mul(2);
        }
        let index = usize::try_from(after / self.width_ns).unwrap_or(0);
        if self.bytes.len() <= index {
            self.bytes.resize(index + 1, 0);
        }
        if let Some(step) = self.bytes.get_mut(index) {
            *step = step.saturating_add(bytes);
        }
    }

    /// How long a step is.
    pub(super) const fn width(&self) -> Duration {
        Duration::from_nanos(self.width_ns)
    }

    /// When each step with bytes begins, in nanoseconds of kernel time, and how many it has.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let begins = (0_u64..).map(|number| self.begin_ns.saturating_add(number.saturating_mul(self.width_ns)));
        begins.zip(self.bytes.iter().copied()).filter(|&(_, bytes)| bytes > 0)
    }

    /// Leaves out steps that begin before a moment.
    pub(super) fn forget_before(&mut self, from_ns: u64) {
        let gone = from_ns.saturating_sub(self.begin_ns).div_ceil(self.width_ns);
        for step in self.bytes.iter_mut().take(usize::try_from(gone).unwrap_or(usize::MAX)) {
            *step = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn nothing_is_lost_however_long_it_goes_on() {
        let mut steps = Steps::default();
        for second in 0..10_000 {
            steps.add(77 + second * SECOND, 3);
            let (sum, count) = steps
                .iter()
                .fold((0, 0), |(sum, count), (_, bytes)| (sum + bytes, count + 1));
            assert_eq!(sum, 3 * (second + 1));
            assert!(count <= MOST);
        }
        assert_eq!(steps.width(), Duration::from_secs(64));
        assert_eq!(steps.iter().next(), Some((77, 3 * 64)));
    }

    #[test]
    fn steps_without_bytes_and_steps_of_before_are_left_out() {
        let mut steps = Steps::default();
        steps.add(SECOND, 1);
        steps.add(4 * SECOND, 2);
        steps.add(9 * SECOND, 4);
        assert_eq!(
            steps.iter().collect::<Vec<_>>(),
            [(SECOND, 1), (4 * SECOND, 2), (9 * SECOND, 4)]
        );
        // The step from 4 to 5 is not whole behind it.
        steps.forget_before(4 * SECOND + 1);
        assert_eq!(steps.iter().collect::<Vec<_>>(), [(9 * SECOND, 4)]);
        steps.forget_before(u64::MAX);
        assert_eq!(steps.iter().next(), None);
        assert_eq!(Steps::default().iter().next(), None);
    }

    #[test]
    fn the_end_of_time_is_far() {
        let mut steps = Steps::default();
        steps.add(0, 1);
        steps.add(u64::MAX, 1);
        assert_eq!(steps.iter().map(|(_, bytes)| bytes).sum::<u64>(), 2);
    }
}
