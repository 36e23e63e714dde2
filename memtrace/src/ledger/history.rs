//! Live bytes over time, in bounded memory.

/// Moments kept; when there are twice as many, every second one goes.
const MOMENTS: usize = 32;

/// The sums over all memory at a moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Sums {
    pub(super) live_bytes: u64,
    pub(super) allocated_bytes: u64,
    /// What was lost up to then, as far as the ledger was told.
    pub(super) lost: u64,
}

/// The moments that all sites share, in nanoseconds of kernel time.
#[derive(Debug, Default)]
pub(super) struct Moments {
    times: Vec<u64>,
    /// Of each; what is missing at the end is to be noted yet.
    sums: Vec<Sums>,
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
        let number = self.seen;
        self.seen += 1;
        if !number.is_multiple_of(self.stride) {
            return Sample::Skip;
        }
        if self.times.len() == 2 * MOMENTS {
            // Samples 0, s, 2s ... are kept and 2 * MOMENTS * s has come: it is a multiple of the doubled stride too, and
            // so are those of even index.
            halve(&mut self.times);
            halve(&mut self.sums);
            thin();
            self.stride *= 2;
        }
        self.times.push(now_ns);
        Sample::Note(self.times.len() - 1)
    }

    /// Notes the sums of the last moment.
    pub(super) fn note(&mut self, sums: Sums) {
        self.sums.push(sums);
    }

    /// The moments so far with their sums.
    pub(super) fn sums(&self) -> impl Iterator<Item = (u64, Sums)> {
        self.times.iter().copied().zip(self.sums.iter().copied())
    }

    /// The moments so far.
    pub(super) fn times(&self) -> &[u64] {
        &self.times
    }
}

/// Keeps every second one, the first among them.
fn halve<T>(all: &mut Vec<T>) {
    let mut even = false;
    all.retain(|_| {
        even = !even;
        even
    });
}

/// Live bytes of one site at moments that all sites share: only where they changed, because most sites rest most of the time.
#[derive(Debug, Default)]
pub(super) struct History {
    changes: Vec<Change>,
}

/// From this moment on, until the next change.
#[derive(Clone, Copy, Debug)]
struct Change {
    moment: usize,
    bytes: u64,
}

impl History {
    /// Notes a value at moment `index`.
    pub(super) fn note(&mut self, index: usize, bytes: u64) {
        // Before the first change it was 0.
        if self.changes.last().map_or(0, |change| change.bytes) != bytes {
            self.changes.push(Change { moment: index, bytes });
        }
    }

    /// Drops every second value, as the moments do: moment 2n becomes moment n, and what changed at the moment before it
    /// shows there.
    pub(super) fn thin(&mut self) {
        for change in &mut self.changes {
            change.moment = change.moment.div_ceil(2);
        }
        // What changed at the last moment of all shows at the one to come.
        self.changes.retain(|change| change.moment < MOMENTS);
        self.changes.dedup_by(|next, kept| {
            let same = next.moment == kept.moment;
            if same {
                kept.bytes = next.bytes;
            }
            same
        });
    }

    /// The value at each of `moments` moments.
    pub(super) fn series(&self, moments: usize) -> impl Iterator<Item = u64> + '_ {
        let mut changes = self.changes.iter().peekable();
        let mut bytes = 0;
        (0..moments).map(move |index| {
            while let Some(change) = changes.next_if(|change| change.moment <= index) {
                bytes = change.bytes;
            }
            bytes
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What every sample was must be what the history says of the moments that are left.
    fn check(values: &[u64]) {
        let mut moments = Moments::default();
        let mut history = History::default();
        for (now, &value) in (0..).zip(values) {
            if let Sample::Note(index) = moments.sample(now, || history.thin()) {
                history.note(index, value);
                moments.note(Sums {
                    live_bytes: value,
                    allocated_bytes: now,
                    lost: 0,
                });
            }
            assert!(moments.times().len() <= 2 * MOMENTS && history.changes.len() <= 2 * MOMENTS);
        }
        let kept: Vec<u64> = history.series(moments.times().len()).collect();
        let wanted: Vec<u64> = moments
            .times()
            .iter()
            .map(|&now| values[usize::try_from(now).unwrap()])
            .collect();
        assert_eq!(kept, wanted);
        let sums = moments
            .sums()
            .map(|(now, sums)| (now, sums.live_bytes, sums.allocated_bytes));
        let wanted = moments
            .times()
            .iter()
            .zip(&wanted)
            .map(|(&now, &value)| (now, value, now));
        assert!(sums.eq(wanted));
        let gaps: Vec<u64> = moments.times().windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| *gap == gaps[0]), "{:?}", moments.times());
    }

    #[test]
    fn memory_is_bounded_and_values_stay_with_their_moments() {
        let count = 10_000_u64;
        check(&(1..=count).collect::<Vec<_>>());
        check(
            &(1..=count)
                .map(|now| if now > 5000 { now } else { 0 })
                .collect::<Vec<_>>(),
        );
        let mut moments = Moments::default();
        for now in 0..count {
            moments.sample(now, || {});
        }
        assert!(moments.times().len() >= MOMENTS, "{}", moments.times().len());
    }

    #[test]
    fn a_site_at_rest_costs_one_change() {
        let mut history = History::default();
        for index in 0..2 * MOMENTS {
            history.note(index, 5);
        }
        assert_eq!(history.changes.len(), 1);
    }

    proptest! {
        #[test]
        fn any_series(values in proptest::collection::vec(0_u64..3, 1..1000)) {
            check(&values);
        }
    }
}
