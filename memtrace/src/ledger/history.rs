//! Live bytes over time, in bounded memory.

/// Moments kept; when there are twice as many, every second one goes.
const MOMENTS: usize = 32;

/// The moments that all sites share, in nanoseconds of kernel time.
#[derive(Debug, Default)]
pub(super) struct Moments {
    times: Vec<u64>,
    /// Of how many samples one is kept.
    stride: u64,
    seen: u64,
}

/// What a new sample asks of every site.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sample {
    /// Nothing: it falls between two kept moments.
    Skip,
    /// Note the live bytes as the value of this moment (an index).
    Note(usize),
}

impl Moments {
    /// A moment has come. `thin` is called when every second value must go first.
    pub(super) fn sample(&mut self, now_ns: u64, thin: impl FnOnce()) -> Sample {
        self.stride = self.stride.max(1);
        self.seen += 1;
        if !self.seen.is_multiple_of(self.stride) {
            return Sample::Skip;
        }
        if self.times.len() == 2 * MOMENTS {
            halve(&mut self.times);
            thin();
            self.stride *= 2;
        }
        self.times.push(now_ns);
        Sample::Note(self.times.len() - 1)
    }

    /// The moments so far.
    pub(super) fn times(&self) -> &[u64] {
        &self.times
    }
}

/// Live bytes of one site at the shared moments; before the first value it was 0.
#[derive(Debug, Default)]
pub(super) struct History {
    first: usize,
    values: Vec<u64>,
}

impl History {
    /// Notes a value at moment `index`.
    pub(super) fn note(&mut self, index: usize, bytes: u64) {
        if self.values.is_empty() {
            if bytes == 0 {
                return;
            }
            self.first = index;
        }
        self.values.push(bytes);
    }

    /// Drops every second value, as the moments do.
    pub(super) fn thin(&mut self) {
        let kept = (self.first..)
            .zip(&self.values)
            .filter(|(index, _)| index % 2 == 1)
            .map(|(_, value)| *value)
            .collect();
        self.values = kept;
        self.first /= 2;
    }

    /// The value at each of `moments` moments.
    pub(super) fn series(&self, moments: usize) -> impl Iterator<Item = u64> + '_ {
        (0..moments).map(|index| {
            index
                .checked_sub(self.first)
                .and_then(|at| self.values.get(at))
                .copied()
                .unwrap_or(0)
        })
    }
}

/// Keeps the second of each pair, so that the newest stays.
fn halve(times: &mut Vec<u64>) {
    let mut index = 0;
    times.retain(|_| {
        index += 1;
        index % 2 == 0
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_values_stay_with_their_moments() {
        let mut moments = Moments::default();
        let (mut early, mut late) = (History::default(), History::default());
        for now in 1..=10_000_u64 {
            let sample = moments.sample(now, || {
                early.thin();
                late.thin();
            });
            if let Sample::Note(index) = sample {
                early.note(index, now);
                late.note(index, if now > 5_000 { now } else { 0 });
            }
        }
        assert!(moments.times().len() <= 2 * MOMENTS && moments.times().len() >= MOMENTS / 2);
        let count = moments.times().len();
        for (&time, value) in moments.times().iter().zip(early.series(count)) {
            assert_eq!(time, value);
        }
        for (&time, value) in moments.times().iter().zip(late.series(count)) {
            assert_eq!(value, if time > 5_000 { time } else { 0 }, "at {time}");
        }
    }
}
