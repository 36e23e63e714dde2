//! May what leaks pass? The answer for scripts.

use serde::Serialize;

use super::{Profile, Site, Suspicion, Verdict};

/// A limit on leaks, and what was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Check {
    /// Bytes that may be suspected.
    pub limit: u64,
    /// Bytes that are: of sites that have leaked or grow, and are not suppressed.
    pub found: u64,
    /// How many sites that is.
    pub sites: u64,
    /// Whether it is more than the limit.
    pub failed: bool,
}

impl Profile {
    /// Whether a check was asked for and failed.
    pub fn check_failed(&self) -> bool {
        self.check().is_some_and(|check| check.failed)
    }

    /// Whether what is suspected keeps to the limit, where there is one. Sites that are still live without growing do not
    /// count: nothing tells them from what a program needs.
    pub fn check(&self) -> Option<Check> {
        let limit = self.settings.fail_over?;
        let (found, sites) = self.counted().fold((0_u64, 0), |(bytes, sites), (_, suspicion)| {
            (bytes.saturating_add(suspicion.amount.bytes), sites + 1)
        });
        Some(Check {
            limit,
            found,
            sites,
            failed: found > limit,
        })
    }

    /// Sites that count for the limit.
    fn counted(&self) -> impl Iterator<Item = (&Site, &Suspicion)> {
        self.suspects().filter(|(_, suspicion)| suspicion.verdict.counts())
    }
}

impl Verdict {
    /// Whether it counts for the limit.
    pub const fn counts(self) -> bool {
        match self {
            Self::Leaked | Self::Growing => true,
            Self::StillLive => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;

    use super::*;
    use crate::profile::{
        End,
        fixture::{self, SiteSpec, frame},
    };

    fn profile(limit: Option<u64>, end: End) -> Profile {
        let site = |name: &str| {
            SiteSpec::new(Op::Malloc)
                .stack([frame(name, "app")])
                .live(100, 1)
                .aged(100, 1)
                .oldest(50)
        };
        let mut profile = fixture::profile([
            site("old"),
            site("growing").history(&[0, 25, 50, 75, 100]),
            site("known"),
        ]);
        profile.settings.fail_over = limit;
        profile.settings.suppressions.add("f", "leak:known").unwrap();
        profile.target.end = Some(end);
        profile.finished()
    }

    #[test]
    fn what_has_grown_old_does_not_count_and_what_grows_does() {
        assert_eq!(profile(None, End::Duration).check(), None);
        let failed = profile(Some(99), End::Duration).check().unwrap();
        assert_eq!(
            failed,
            Check {
                limit: 99,
                found: 100,
                sites: 1,
                failed: true
            }
        );
        assert!(!profile(Some(100), End::Duration).check().unwrap().failed);
    }

    #[test]
    fn at_exit_all_counts_but_what_is_suppressed() {
        let failed = profile(Some(0), End::Exited(None)).check().unwrap();
        assert_eq!(
            failed,
            Check {
                limit: 0,
                found: 200,
                sites: 2,
                failed: true
            }
        );
        assert!(!profile(Some(200), End::Exited(None)).check().unwrap().failed);
    }
}
