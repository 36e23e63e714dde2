//! Sums by the code that sites go through: by function, by source line, and by module.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Frame, FrameIndex, Profile, Site, calltree::Amounts, plumbing::below_calling};

/// What frames are added up by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// A function of a module; without a symbol the place.
    Function,
    /// A line of a source file; where none is known, as [`Unit::Function`].
    Line,
    /// A file.
    Module,
}

/// A function, a line or a module with its sums. Sums of files and reserved address space are no part of it.
#[derive(Clone, Debug)]
pub struct CodeSums {
    /// The first of its frames, or `None` for sites without a frame.
    pub frame: Option<FrameIndex>,
    /// Of the sites that it asked for itself: the innermost frame that is not plumbing is of it.
    pub own: Amounts,
    /// Of all sites that go through it, each counted once however often it is in the stack.
    pub total: Amounts,
    /// Change of its live bytes (`total`) in bytes per second: the sum of the sites' own.
    pub growth_bytes_per_second: f64,
    /// Those sites, as indices into [`Profile::sites`], in their order.
    pub sites: Vec<usize>,
}

/// What tells units apart: its name, the module and, without a symbol, the offset; of a line its file and number.
pub type Key<'a> = (Option<&'a str>, &'a str, u64);

/// The function, line or module that a frame is of.
pub fn key(unit: Unit, frame: &Frame) -> Key<'_> {
    match (unit, frame.file.as_deref().zip(frame.line), frame.function.as_deref()) {
        (Unit::Module, ..) => (None, &frame.module, 0),
        // No module is without a name.
        (Unit::Line, Some((file, line)), _) => (Some(file), "", line.into()),
        (_, _, Some(function)) => (Some(function), &frame.module, 0),
        (_, _, None) => (None, &frame.module, frame.offset),
    }
}

impl Profile {
    /// Sums by function, line or module, most live bytes first. The allocator's own frames and those that only pass a request on are left out,
    /// as everywhere, where there are others.
    pub fn by_code(&self, unit: Unit) -> Vec<CodeSums> {
        let mut all: Vec<CodeSums> = Vec::new();
        let mut known: FxHashMap<Option<Key<'_>>, usize> = FxHashMap::default();
        let mut through: FxHashSet<usize> = FxHashSet::default();
        for (number, site) in self.sites.iter().enumerate() {
            if !site.op.class().is_memory() {
                continue;
            }
            let frames = self.calling_frames(site);
            let keys = frames
                .iter()
                .map(|&(index, frame)| (Some(index), Some(key(unit, frame))));
            // A site without a frame is of a unit without a name, so that the sums are whole.
            let none = frames.is_empty().then_some((None, None));
            let amounts = Amounts::of(site);
            through.clear();
            for (level, (frame, key)) in keys.chain(none).enumerate() {
                let index = *known.entry(key).or_insert_with(|| {
                    all.push(CodeSums {
                        frame,
                        own: Amounts::default(),
                        total: Amounts::default(),
                        growth_bytes_per_second: 0.0,
                        sites: Vec::new(),
                    });
                    all.len() - 1
                });
                let sums = &mut all[index];
                if level == 0 {
                    sums.own = sums.own.plus(amounts);
                }
                if through.insert(index) {
                    sums.total = sums.total.plus(amounts);
                    sums.growth_bytes_per_second += site.growth_bytes_per_second;
                    sums.sites.push(number);
                }
            }
        }
        // The sort is stable: among equals the one that is found first in the sites' order is first.
        all.sort_by_key(|sums| std::cmp::Reverse((sums.total.live.bytes, sums.own.live.bytes)));
        all
    }

    /// As [`Profile::calling_stack`], with the indices.
    fn calling_frames(&self, site: &Site) -> Vec<(FrameIndex, &Frame)> {
        let stack = site.stack.and_then(|stack| self.stacks.get(stack));
        let frame = |&index: &FrameIndex| Some((index, self.frames.get(usize::try_from(index).ok()?)?));
        let frames: Vec<_> = stack.into_iter().flatten().filter_map(frame).collect();
        let first = below_calling(frames.iter().map(|&(_, frame)| frame));
        frames[first..].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;

    use super::*;
    use crate::profile::fixture::{self, SiteSpec, frame, line};

    fn named(profile: &Profile, unit: Unit) -> Vec<(String, u64, u64)> {
        let name = |sums: &CodeSums| {
            let frame = sums.frame.map(|index| &profile.frames[index as usize]);
            let name = frame.map(|frame| match unit {
                Unit::Function | Unit::Line => frame.function.clone().unwrap_or_default(),
                Unit::Module => frame.module.clone(),
            });
            (name.unwrap_or_default(), sums.own.live.bytes, sums.total.live.bytes)
        };
        profile.by_code(unit).iter().map(name).collect()
    }

    #[test]
    fn every_site_is_counted_once_in_each_function_it_goes_through() {
        let profile = fixture::profile([
            SiteSpec::new(Op::Malloc).live(100, 1).stack([
                frame("malloc", "libc"),
                frame("walk", "app"),
                frame("walk", "app"),
                frame("main", "app"),
            ]),
            SiteSpec::new(Op::Malloc)
                .live(30, 1)
                .stack([frame("copy", "lib"), frame("main", "app")]),
            SiteSpec::new(Op::Malloc).live(7, 1),
        ]);
        assert_eq!(
            named(&profile, Unit::Function),
            [
                ("main".into(), 0, 130),
                ("walk".into(), 100, 100),
                ("copy".into(), 30, 30),
                (String::new(), 7, 7)
            ]
        );
        assert_eq!(
            named(&profile, Unit::Module),
            [("app".into(), 100, 130), ("lib".into(), 30, 30), (String::new(), 7, 7)]
        );
    }

    #[test]
    fn lines_of_a_function_are_told_apart_and_those_without_are_their_function() {
        let profile = fixture::profile([
            SiteSpec::new(Op::Malloc).live(100, 1).stack([
                frame("malloc", "libc"),
                line("grow", "app", "/src/app.c", 5),
                line("main", "app", "/src/app.c", 20),
            ]),
            SiteSpec::new(Op::Malloc).live(30, 1).stack([
                line("grow", "app", "/src/app.c", 6),
                line("grow", "app", "/src/app.c", 5),
                frame("main", "app"),
            ]),
        ]);
        assert_eq!(
            named(&profile, Unit::Line),
            [
                ("grow".into(), 100, 130),
                ("main".into(), 0, 100),
                ("grow".into(), 30, 30),
                ("main".into(), 0, 30)
            ]
        );
    }

    #[test]
    fn own_sums_are_all_that_is_live() {
        for (name, profile) in fixture::all() {
            for unit in [Unit::Function, Unit::Line, Unit::Module] {
                let own: u64 = profile.by_code(unit).iter().map(|sums| sums.own.live.bytes).sum();
                assert_eq!(own, profile.totals.live.bytes, "{name}");
            }
        }
    }
}
