//! What all of it was at moments of the observation.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
