//! What a picture or a table adds up: which part of a site's allocations, in bytes or in blocks.

use super::{Amount, Profile, Site};
use crate::units::{bytes, count};

impl Amount {
    /// Both together; more than there can be is the most there can be.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            count: self.count.saturating_add(other.count),
        }
    }
}

/// What flame graphs, folded stacks and trees measure.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Measure {
    /// Bytes that are not yet freed.
    #[default]
    Live,
    /// Bytes ever allocated.
    Allocated,
    /// Bytes allocated and freed while it was observed.
    Temporary,
    /// Bytes that were live at the moment of the most live bytes.
    Peak,
    /// Blocks that are not yet freed.
    LiveBlocks,
    /// Allocations.
    Allocations,
    /// Blocks allocated and freed while it was observed.
    TemporaryBlocks,
    /// Blocks that were live at the moment of the most live bytes.
    PeakBlocks,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 8] = [
        Self::Live,
        Self::Allocated,
        Self::Temporary,
        Self::Peak,
        Self::LiveBlocks,
        Self::Allocations,
        Self::TemporaryBlocks,
        Self::PeakBlocks,
    ];

    /// Whether blocks are counted rather than bytes.
    pub const fn is_count(self) -> bool {
        matches!(
            self,
            Self::LiveBlocks | Self::Allocations | Self::TemporaryBlocks | Self::PeakBlocks
        )
    }

    /// Whether it only grows while it is observed, so that it means something only together with how long that was.
    pub const fn is_cumulative(self) -> bool {
        matches!(
            self,
            Self::Allocated | Self::Temporary | Self::Allocations | Self::TemporaryBlocks
        )
    }

    /// The part of a site that it is of, or `None` where that is not known of this site.
    pub const fn amount(self, site: &Site) -> Option<Amount> {
        match self {
            Self::Live | Self::LiveBlocks => Some(site.live),
            Self::Allocated | Self::Allocations => Some(site.allocated),
            Self::Temporary | Self::TemporaryBlocks => site.spread.temporary,
            Self::Peak | Self::PeakBlocks => site.at_peak,
        }
    }

    /// Of an amount what it counts.
    pub const fn of(self, amount: Amount) -> u64 {
        if self.is_count() { amount.count } else { amount.bytes }
    }

    /// What it is of a site; nothing where that is not known.
    pub fn value(self, site: &Site) -> u64 {
        self.amount(site).map_or(0, |amount| self.of(amount))
    }

    /// The sum over all memory of which it is known; `None` where that is no site at all.
    pub fn total(self, profile: &Profile) -> Option<Amount> {
        let mut known = profile.memory_sites().filter_map(|site| self.amount(site)).peekable();
        if known.peek().is_none() && profile.memory_sites().next().is_some() {
            return None;
        }
        Some(known.fold(Amount::default(), Amount::plus))
    }

    /// Why there is nothing to show, where it is known of no site.
    pub fn unknown(self, profile: &Profile) -> Option<&'static str> {
        if self.total(profile).is_some() {
            return None;
        }
        Some(match self {
            Self::Peak | Self::PeakBlocks => {
                "which sites were live at the peak is not known: an observation keeps it only in a recording"
            }
            _ => "it is not known of mappings, and nothing else was allocated",
        })
    }

    /// The word for it in titles.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Allocated => "allocated",
            Self::Temporary => "temporary",
            Self::Peak => "live at the peak",
            Self::LiveBlocks => "live blocks",
            Self::Allocations => "allocations",
            Self::TemporaryBlocks => "temporary blocks",
            Self::PeakBlocks => "blocks live at the peak",
        }
    }

    /// A value in words: `1.2 MiB`, `1,010`.
    pub fn text(self, value: u64) -> String {
        if self.is_count() { count(value) } else { bytes(value) }
    }

    /// A value with the measure's name: `1.2 MiB live`, `1,010 live blocks`.
    pub fn named(self, value: u64) -> String {
        format!("{} {}", self.text(value), self.name())
    }
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;

    use super::*;
    use crate::profile::fixture::{self, SiteSpec};

    #[test]
    fn totals_are_those_of_the_profile() {
        for (name, profile) in fixture::all() {
            assert_eq!(Measure::Live.total(&profile), Some(profile.totals.live), "{name}");
            let allocated = profile.totals.allocated;
            assert_eq!(Measure::Allocations.total(&profile), Some(allocated), "{name}");
        }
    }

    #[test]
    fn what_no_site_knows_has_a_reason_instead_of_a_total() {
        let mut profile = fixture::profile([
            SiteSpec::new(Op::Malloc).live(10, 1),
            SiteSpec::new(Op::Malloc).live(7, 2),
        ]);
        assert!(Measure::Peak.total(&profile).is_none() && Measure::Peak.unknown(&profile).is_some());
        profile.sites[0].at_peak = Some(Amount { bytes: 4, count: 2 });
        assert_eq!(Measure::Peak.total(&profile), Some(Amount { bytes: 4, count: 2 }));
        assert!(Measure::Peak.unknown(&profile).is_none());
        assert_eq!(Measure::PeakBlocks.value(&profile.sites[0]), 2);
        assert_eq!(Measure::PeakBlocks.value(&profile.sites[1]), 0);
        assert!(
            Measure::Peak.unknown(&fixture::empty()).is_none(),
            "of nothing, nothing is missing"
        );
    }
}
