//! What all of it was at moments of the observation.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Profile;

/// Moments that are nearer to each other tell no rate: a burst would be all there is.
const APART: Duration = Duration::from_secs(1);

/// The sums at a moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct Moment {
    /// When it was, since the start of the observation.
    pub at: Duration,
    /// Live bytes of memory, as [`super::Totals::live`].
    pub live_bytes: u64,
    /// Bytes allocated up to then, as [`super::Totals::allocated`]; `None` behind a filter, because it is not kept site by site.
    pub allocated_bytes: Option<u64>,
    /// Resident memory of the targets then, where it was looked at; a filter does not change it.
    pub resident_bytes: Option<u64>,
    /// Allocations, frees and other records that were lost up to then.
    pub lost: u64,
}

impl Profile {
    /// Bytes allocated per second, over the last second of the timeline or the least time more that it tells; `None` where it is too
    /// short, and behind a filter.
    pub fn allocated_bytes_per_second(&self) -> Option<f64> {
        let last = self.timeline.last()?;
        let since = last.at.checked_sub(APART)?;
        let before = self.timeline.iter().rev().find(|moment| moment.at <= since)?;
        let bytes = last.allocated_bytes?.saturating_sub(before.allocated_bytes?);
        Some(bytes as f64 / last.at.checked_sub(before.at)?.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture;

    #[test]
    fn the_rate_is_of_the_last_second() {
        let mut profile = fixture::profile([]);
        assert_eq!(profile.allocated_bytes_per_second(), None);
        let moment = |milliseconds, bytes| Moment {
            at: Duration::from_millis(milliseconds),
            allocated_bytes: Some(bytes),
            ..Moment::default()
        };
        profile.timeline = vec![moment(0, 0), moment(900, 9_000)];
        assert_eq!(profile.allocated_bytes_per_second(), None, "too short");
        profile
            .timeline
            .extend([moment(2_000, 10_000), moment(2_400, 12_000), moment(3_000, 14_000)]);
        assert_eq!(profile.allocated_bytes_per_second(), Some(4_000.0));
        profile.timeline.push(moment(5_500, 14_000));
        assert_eq!(profile.allocated_bytes_per_second(), Some(0.0));
        profile.timeline.push(Moment {
            allocated_bytes: None,
            ..moment(9_000, 0)
        });
        assert_eq!(profile.allocated_bytes_per_second(), None);
    }
}
