//! Fewer sites of a profile: those that are asked for, with sums of their own.
//!
//! A site is kept whole or not at all. Kinds of conditions must all hold; of several of one kind one is enough, and a frame that is
//! excluded is enough to leave a site out. So a filter of two conditions is the one behind the other.
//!
//! What is said of the observation stays as it is: its length, its health, what it cost.

mod frames;
mod pattern;
mod process;
mod sums;

use std::time::Duration;

use memtrace_common::{
    op::{Class, Op},
    young,
};
use thiserror::Error;

use self::frames::{Marks, Matched};
use super::{FrameIndex, Profile, Site};
use crate::units::{bytes, duration};

pub use self::{
    pattern::{FramePattern, ModulePattern, PatternError},
    process::ProcessPattern,
};

/// Which sites are kept; by default all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A function anywhere in the stack matches one of these.
    pub frames: Vec<FramePattern>,
    /// No function anywhere in the stack matches one of these.
    pub excluded: Vec<FramePattern>,
    /// A frame from the caller of the allocator on is in such a module. The allocator's own does not count: it is in every stack.
    pub modules: Vec<ModulePattern>,
    /// One of its blocks may be so large or larger, in bytes. Sizes are known by their class ([`young::size_class`]), so a site of
    /// which a class reaches into the range is kept: 25 % are the most that this is off.
    pub min_block: Option<u64>,
    /// One of its blocks may be so small or smaller, in bytes.
    pub max_block: Option<u64>,
    /// Its oldest live block is so old or older. Without live blocks it has none.
    pub older: Option<Duration>,
    /// It is of such processes.
    pub processes: Vec<ProcessPattern>,
    /// Its operation is one of these.
    pub ops: Vec<Op>,
    /// Its class of memory is one of these.
    pub classes: Vec<Class>,
}

/// Why a profile cannot be filtered so.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum FilterError {
    /// One site is of processes that match and of others.
    #[error(
        "failed to choose process {0}: the sums of its call stacks are shared with other processes (observe with \
         --split process to keep them apart)"
    )]
    Shared(String),
    /// No process matches.
    #[error("failed to choose process {asked}: there is none of that number or name, only {known}")]
    NoProcess {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: String,
    },
}

impl Filter {
    /// The profile with the sites that are kept, and with what they were chosen by in [`Profile::filter`].
    ///
    /// # Errors
    ///
    /// Processes that there are none of, or whose sites are not kept apart from others'.
    pub fn apply(&self, profile: &Profile) -> Result<Profile, FilterError> {
        if self.is_all() {
            return Ok(profile.clone());
        }
        let of_processes = process::chosen(&self.processes, profile)?;
        let matched = Matched::new(self, profile);
        let sites = profile.sites.iter();
        let sites = sites.filter(|site| self.keeps(&matched, profile, site) && of_processes.keep(site));
        let mut kept = with_sites(profile, sites.cloned().collect());
        if !self.processes.is_empty() {
            kept.processes
                .retain(|process| self.processes.iter().any(|pattern| pattern.matches_process(process)));
            // Of what is not listed it is not known.
            kept.processes_dropped = 0;
        }
        kept.filter.extend(self.clauses());
        sums::add_up(&mut kept);
        Ok(kept)
    }

    /// Whether nothing is asked for.
    pub fn is_all(&self) -> bool {
        let Self {
            frames,
            excluded,
            modules,
            min_block,
            max_block,
            older,
            processes,
            ops,
            classes,
        } = self;
        frames.is_empty()
            && excluded.is_empty()
            && modules.is_empty()
            && min_block.is_none()
            && max_block.is_none()
            && older.is_none()
            && processes.is_empty()
            && ops.is_empty()
            && classes.is_empty()
    }

    /// Whether a site is kept, as far as its process does not matter.
    fn keeps(&self, matched: &Matched, profile: &Profile, site: &Site) -> bool {
        let stack: &[FrameIndex] = profile.stack_indices(site);
        let in_module = |modules: &Marks| modules.any(profile.calling_indices(site));
        matched.frames.as_ref().is_none_or(|frames| frames.any(stack))
            && matched.excluded.as_ref().is_none_or(|excluded| !excluded.any(stack))
            && matched.modules.as_ref().is_none_or(in_module)
            && self.keeps_sizes(site)
            && self
                .older
                .is_none_or(|older| site.oldest.is_some_and(|oldest| oldest >= older))
            && (self.ops.is_empty() || self.ops.contains(&site.op))
            && (self.classes.is_empty() || self.classes.contains(&site.op.class()))
    }

    /// Whether a block of a site may be in the range. Where its sizes were not kept, its average block is judged.
    fn keeps_sizes(&self, site: &Site) -> bool {
        if self.min_block.is_none() && self.max_block.is_none() {
            return true;
        }
        let (min, max) = (self.min_block.unwrap_or(0), self.max_block.unwrap_or(u64::MAX));
        let sizes = &site.spread.sizes;
        if sizes.is_empty() {
            let average = site.allocated.bytes.checked_div(site.allocated.count);
            return average.is_some_and(|average| (min..=max).contains(&average));
        }
        sizes
            .iter()
            .any(|&(least, _)| least <= max && greatest_size(least) >= min)
    }

    /// What is asked for, a clause each.
    fn clauses(&self) -> Vec<String> {
        fn clause<T: ToString>(what: &str, of: &[T]) -> Option<String> {
            let all: Vec<String> = of.iter().map(T::to_string).collect();
            (!all.is_empty()).then(|| format!("{what} {}", all.join(" or ")))
        }
        let size = match (self.min_block, self.max_block) {
            (None, None) => None,
            (Some(min), None) => Some(format!("with blocks of {} and more", bytes(min))),
            (None, Some(max)) => Some(format!("with blocks of {} and less", bytes(max))),
            (Some(min), Some(max)) => Some(format!("with blocks of {} to {}", bytes(min), bytes(max))),
        };
        let names = |all: &[Op]| all.iter().map(|op| op.name()).collect::<Vec<_>>();
        let classes = |all: &[Class]| all.iter().map(|class| class.name()).collect::<Vec<_>>();
        [
            clause("with a function like", &self.frames),
            clause("without a function like", &self.excluded),
            clause("through module", &self.modules),
            size,
            self.older
                .map(|older| format!("with a live block of {} and older", duration(older))),
            clause("of process", &self.processes),
            clause("by", &names(&self.ops)),
            clause("of class", &classes(&self.classes)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The profile with these sites. The others are not copied first: they may be many, and few are kept.
fn with_sites(profile: &Profile, sites: Vec<Site>) -> Profile {
    Profile {
        target: profile.target.clone(),
        observed: profile.observed,
        settings: profile.settings.clone(),
        filter: profile.filter.clone(),
        totals: profile.totals.clone(),
        timeline: profile.timeline.clone(),
        frames: profile.frames.clone(),
        modules: profile.modules.clone(),
        stacks: profile.stacks.clone(),
        groups: profile.groups.clone(),
        sites,
        processes: profile.processes.clone(),
        processes_dropped: profile.processes_dropped,
        resident: profile.resident.clone(),
        // They are of whole programs.
        censuses: Vec::new(),
        js_heaps: profile.js_heaps.clone(),
        js_shortages: profile.js_shortages.clone(),
        js_shortages_dropped: profile.js_shortages_dropped,
        health: profile.health.clone(),
    }
}

/// The greatest size of the class that a size is in.
pub(super) fn greatest_size(size: u64) -> u64 {
    match young::least_size(young::size_class(size).saturating_add(1)) {
        next if next > size => next - 1,
        // The last class has no next one.
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests;
