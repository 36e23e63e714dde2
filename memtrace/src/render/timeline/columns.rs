//! From moments to columns of equal time.

use std::time::Duration;

use crate::{profile::Moment, units::whole};

/// What a column stands for: the time after the column before, up to its own moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Column {
    /// The largest live bytes of its moments; between moments the last ones known.
    pub(super) live_bytes: u64,
    /// How many bytes were allocated in a second. Between two moments it is taken to be always the same.
    pub(super) allocated_per_second: Option<u64>,
    /// Resident memory, likewise the largest.
    pub(super) resident_bytes: Option<u64>,
    /// What was lost in this time.
    pub(super) lost: u64,
}

/// `width` columns from the first moment to the last, which are at the left end of the first and the right end of the last.
pub(super) fn columns(moments: &[Moment], width: usize) -> Vec<Column> {
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else {
        return Vec::new();
    };
    let length = last.at.saturating_sub(first.at);
    let edge = |column: usize| first.at + length.mul_f64(column as f64 / width.max(1) as f64);
    let mut rest = moments.iter().peekable();
    let (mut known, mut lost) = (*first, first.lost);
    (0..width)
        .map(|column| {
            let (from, to) = (
                edge(column),
                if column + 1 == width { last.at } else { edge(column + 1) },
            );
            let mut found = Column {
                live_bytes: known.live_bytes,
                resident_bytes: known.resident_bytes,
                ..Column::default()
            };
            let mut fresh = true;
            while let Some(moment) = rest.next_if(|moment| moment.at <= to) {
                known = *moment;
                // What was before this column is no part of it.
                let (live, resident) = if fresh {
                    (0, None)
                } else {
                    (found.live_bytes, found.resident_bytes)
                };
                found.live_bytes = live.max(moment.live_bytes);
                found.resident_bytes = resident.max(moment.resident_bytes);
                fresh = false;
            }
            found.lost = known.lost.saturating_sub(lost);
            lost = known.lost;
            found.allocated_per_second =
                allocated_at(moments, to)
                    .zip(allocated_at(moments, from))
                    .map(|(after, before)| {
                        whole((after - before) / to.saturating_sub(from).as_secs_f64().max(f64::MIN_POSITIVE))
                    });
            found
        })
        .collect()
}

/// How much had been allocated at a time, on the straight line between the moments around it.
fn allocated_at(moments: &[Moment], at: Duration) -> Option<f64> {
    let next = moments.partition_point(|moment| moment.at < at).min(moments.len() - 1);
    let (before, after) = (moments[next.saturating_sub(1)], moments[next]);
    let (low, high) = (before.allocated_bytes? as f64, after.allocated_bytes? as f64);
    let gap = after.at.saturating_sub(before.at).as_secs_f64();
    let share = if gap > 0.0 {
        (at.saturating_sub(before.at).as_secs_f64() / gap).min(1.0)
    } else {
        1.0
    };
    Some(low + (high - low) * share)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(milliseconds: u64, live_bytes: u64, allocated: u64) -> Moment {
        Moment {
            at: Duration::from_millis(milliseconds),
            live_bytes,
            allocated_bytes: Some(allocated),
            resident_bytes: None,
            lost: 0,
        }
    }

    #[test]
    fn values_are_where_their_time_is() {
        let moments = [
            moment(0, 5, 0),
            moment(1_000, 9, 100),
            moment(1_100, 2, 100),
            moment(4_000, 7, 400),
        ];
        let found = columns(&moments, 4);
        let live: Vec<_> = found.iter().map(|column| column.live_bytes).collect();
        assert_eq!(live, [9, 2, 2, 7]);
        let rates: Vec<_> = found.iter().filter_map(|column| column.allocated_per_second).collect();
        assert_eq!(rates, [100, 93, 103, 103]);
    }

    #[test]
    fn what_was_lost_is_told_once() {
        let mut moments = [
            moment(0, 0, 0),
            moment(500, 0, 0),
            moment(900, 0, 0),
            moment(1_000, 0, 0),
        ];
        (moments[1].lost, moments[2].lost, moments[3].lost) = (3, 3, 10);
        let lost: Vec<_> = columns(&moments, 10).iter().map(|column| column.lost).collect();
        assert_eq!(lost, [0, 0, 0, 0, 3, 0, 0, 0, 0, 7]);
    }

    proptest! {
        #[test]
        fn sums_over_columns_are_those_of_the_moments(
            steps in prop::collection::vec((1..5_000_u64, 0..1_000_000_u64, 0..1_000_000_000_u64, 0..5_u64), 2..64),
            width in 1..120_usize,
        ) {
            let mut moments: Vec<Moment> = Vec::new();
            for (time, live, allocated, lost) in steps {
                let last = moments.last().copied().unwrap_or_default();
                moments.push(Moment {
                    at: last.at + Duration::from_millis(time),
                    live_bytes: live,
                    allocated_bytes: Some(last.allocated_bytes.unwrap_or(0) + allocated),
                    resident_bytes: None,
                    lost: last.lost + lost,
                });
            }
            let (first, last) = (moments[0], moments[moments.len() - 1]);
            let found = columns(&moments, width);
            prop_assert_eq!(found.len(), width);
            let lost: u64 = found.iter().map(|column| column.lost).sum();
            prop_assert_eq!(lost, last.lost - first.lost);
            let seconds = last.at.saturating_sub(first.at).as_secs_f64() / width as f64;
            let allocated: f64 = found.iter().map(|column| column.allocated_per_second.unwrap() as f64 * seconds).sum();
            let truth = (last.allocated_bytes.unwrap() - first.allocated_bytes.unwrap()) as f64;
            // Each column is rounded to a byte a second, and its ends to a nanosecond.
            prop_assert!((allocated - truth).abs() <= truth * 1e-3 + last.at.saturating_sub(first.at).as_secs_f64(), "{allocated} {truth}");
            prop_assert_eq!(found[width - 1].live_bytes >= last.live_bytes, true);
            let highest = moments.iter().map(|moment| moment.live_bytes).max();
            prop_assert_eq!(found.iter().map(|column| column.live_bytes).max(), highest);
        }
    }
}
