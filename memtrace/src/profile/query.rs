//! What renderers ask a [`Profile`], and the last step of making one.

use std::{cmp::Reverse, time::Duration};

use super::{Amount, End, Frame, FrameIndex, Profile, Site, Suspicion, growth, leak, plumbing::below_calling, process};

impl Profile {
    /// Completes a profile whose sites are counted: growth, suspicion and order of every site.
    #[must_use]
    pub fn finished(mut self) -> Self {
        let mut suspicions: Vec<_> = self.sites.iter().map(|site| leak::judge(&self, site)).collect();
        self.suppress(&mut suspicions);
        for (site, suspicion) in self.sites.iter_mut().zip(suspicions) {
            site.growth_bytes_per_second = growth::bytes_per_second(&site.history.points());
            site.suspicion = suspicion;
        }
        self.sites.sort_by_key(|site| {
            // Without a stack last: `None` would come first.
            let stack = (site.stack.is_none(), site.stack);
            let (live, allocated) = (Reverse(site.live.bytes), Reverse(site.allocated.bytes));
            (live, allocated, stack, site.op, site.group)
        });
        process::sort(&mut self.processes);
        self
    }

    fn suppress(&self, suspicions: &mut [Option<Suspicion>]) {
        let suspected = self.sites.iter().zip(suspicions);
        let (sites, suspicions): (Vec<_>, Vec<_>) = suspected
            .filter_map(|(site, suspicion)| Some((site, suspicion.as_mut()?)))
            .unzip();
        for (suspicion, patterns) in suspicions.into_iter().zip(self.suppressing(&sites)) {
            suspicion.suppressed_by = patterns;
        }
    }

    /// Whether sites are shown with their group: with one group alone it would say nothing.
    pub fn is_split(&self) -> bool {
        self.groups.len() > 1
    }

    /// The name of a site's group, where sites are shown with it.
    pub fn group(&self, site: &Site) -> Option<&str> {
        let index = site.group.filter(|_| self.is_split())?;
        self.groups.get(index).map(String::as_str)
    }

    /// Sites of memory, in the profile's order; files and reserved address space are not memory.
    pub fn memory_sites(&self) -> impl Iterator<Item = &Site> {
        self.sites.iter().filter(|site| site.op.class().is_memory())
    }

    /// The site with a number in the summary's table, from 1 on; those that it does not list follow.
    pub fn row(&self, number: usize) -> Option<&Site> {
        let listed = self.memory_sites().filter(|site| site.live.count > 0);
        let others = self.memory_sites().filter(|site| site.live.count == 0);
        listed.chain(others).nth(number.checked_sub(1)?)
    }

    /// Suspected sites that are not suppressed, strongest verdict first, then most suspected bytes.
    pub fn suspects(&self) -> impl Iterator<Item = (&Site, &Suspicion)> {
        let mut found: Vec<_> = self
            .sites
            .iter()
            .filter_map(|site| site.suspicion.as_ref().map(|suspicion| (site, suspicion)))
            .filter(|(_, suspicion)| !suspicion.is_suppressed())
            .collect();
        found.sort_by_key(|(_, suspicion)| (suspicion.verdict, Reverse(suspicion.amount.bytes)));
        found.into_iter()
    }

    /// What of a site is suspected: blocks that are old enough, or what was live at exit; nothing of a site that is not.
    pub fn suspected(&self, site: &Site) -> Amount {
        (site.suspicion.as_ref()).map_or_else(Amount::default, |suspicion| suspicion.amount)
    }

    /// Whether what is suspected of a site was left by processes that ended while others went on: it is no part of live memory.
    pub fn is_left_behind(&self, site: &Site) -> bool {
        !self.exited() && leak::left_more(site)
    }

    /// Whether the target has exited.
    pub fn exited(&self) -> bool {
        matches!(self.target.end, Some(End::Exited(_)))
    }

    /// Whether the observation was too short for any block to be suspected.
    pub fn too_short_to_suspect(&self) -> bool {
        !self.exited() && self.observed < self.settings.min_age
    }

    /// Share of all live memory, from 0 to 1; 0 when nothing is live.
    pub fn share(&self, bytes: u64) -> f64 {
        if self.totals.live.bytes == 0 {
            0.0
        } else {
            bytes as f64 / self.totals.live.bytes as f64
        }
    }

    /// Change of all live memory per second. Least squares is linear, so the sum over sites is the slope of
    /// the sum.
    pub fn growth_bytes_per_second(&self) -> f64 {
        self.memory_sites().map(|site| site.growth_bytes_per_second).sum()
    }

    /// Processor time of the tracer as a share of one processor over the observation.
    pub fn cpu_share(&self) -> f64 {
        if self.observed == Duration::ZERO {
            0.0
        } else {
            self.health.cost.cpu_seconds / self.observed.as_secs_f64()
        }
    }

    /// The frames of a site, leaf first; none when its stack was lost.
    pub fn stack(&self, site: &Site) -> impl DoubleEndedIterator<Item = &Frame> {
        self.stack_indices(site).iter().filter_map(|&index| self.frame(index))
    }

    /// The frames of a site as indices, leaf first; none when its stack was lost.
    pub(super) fn stack_indices(&self, site: &Site) -> &[FrameIndex] {
        let stack = site.stack.and_then(|index| self.stacks.get(index));
        stack.map_or(&[], Vec::as_slice)
    }

    /// As [`Profile::calling_stack`], as indices.
    pub(super) fn calling_indices(&self, site: &Site) -> &[FrameIndex] {
        let stack = self.stack_indices(site);
        &stack[below_calling(stack.iter().filter_map(|&index| self.frame(index)))..]
    }

    fn frame(&self, index: FrameIndex) -> Option<&Frame> {
        self.frames.get(usize::try_from(index).ok()?)
    }

    /// The frames of a site from the one that a reader looks for: leaf first, without the allocator and the
    /// layers that only pass a request on. The whole stack where there is nothing else.
    pub fn calling_stack(&self, site: &Site) -> Vec<&Frame> {
        let stack: Vec<_> = self.stack(site).collect();
        let first = below_calling(stack.iter().copied());
        stack[first..].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;

    use super::*;
    use crate::profile::{
        Verdict,
        fixture::{self, SiteSpec, frame},
    };

    #[test]
    fn sites_are_ordered_by_live_then_allocated_then_stack() {
        let site = |live, allocated| SiteSpec::new(Op::Malloc).live(live, 1).allocated(allocated, 1);
        let profile = fixture::profile([
            site(1, 5),
            site(1, 9),
            site(7, 7),
            site(1, 5).stack([frame("a", "m")]),
            site(1, 5).stack([frame("b", "m")]),
        ]);
        let order: Vec<_> = profile
            .sites
            .iter()
            .map(|s| (s.live.bytes, s.allocated.bytes, s.stack))
            .collect();
        assert_eq!(
            order,
            [
                (7, 7, None),
                (1, 9, None),
                (1, 5, Some(0)),
                (1, 5, Some(1)),
                (1, 5, None)
            ]
        );
    }

    #[test]
    fn suspects_come_strongest_first() {
        let growing = SiteSpec::new(Op::Malloc)
            .live(30, 1)
            .aged(10, 1)
            .history(&[0, 10, 20, 30]);
        let profile = fixture::profile([
            SiteSpec::new(Op::Malloc).live(100, 1).aged(50, 1),
            SiteSpec::new(Op::Malloc).live(99, 1).aged(99, 1),
            SiteSpec::new(Op::Malloc).live(9000, 1),
            growing,
        ]);
        let found: Vec<_> = profile
            .suspects()
            .map(|(site, why)| (why.verdict, site.aged.bytes))
            .collect();
        assert_eq!(
            found,
            [
                (Verdict::Growing, 10),
                (Verdict::StillLive, 99),
                (Verdict::StillLive, 50)
            ]
        );
    }

    #[test]
    fn the_calling_stack_starts_above_the_allocator() {
        let names = |profile: &Profile| -> Vec<_> {
            profile
                .calling_stack(&profile.sites[0])
                .iter()
                .filter_map(|frame| frame.function.clone())
                .collect()
        };
        let site = |frames: &[&str]| {
            fixture::profile([SiteSpec::new(Op::Malloc).stack(frames.iter().map(|name| frame(name, "m")))])
        };
        assert_eq!(
            names(&site(&[
                "malloc",
                "operator new(unsigned long)",
                "grow",
                "malloc",
                "main"
            ])),
            ["grow", "malloc", "main"]
        );
        assert_eq!(names(&site(&["malloc", "calloc"])), ["malloc", "calloc"]);
        assert!(names(&site(&[])).is_empty());
    }

    #[test]
    fn indexes_out_of_range_do_no_harm() {
        let mut profile = fixture::profile([SiteSpec::new(Op::Malloc).stack([frame("a", "m")])]);
        profile.stacks[0] = vec![0, 77];
        assert_eq!(profile.stack(&profile.sites[0]).count(), 1);
        profile.sites[0].stack = Some(99);
        assert_eq!(profile.stack(&profile.sites[0]).count(), 0);
    }

    #[test]
    fn shares_of_nothing_are_nothing() {
        let profile = fixture::profile([]);
        assert!(profile.share(0).abs() < f64::EPSILON && profile.cpu_share().is_finite());
    }
}
