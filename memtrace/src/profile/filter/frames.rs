//! What patterns say of frames: each distinct frame is asked about once, however many stacks it is in.

use super::{
    super::{Frame, FrameIndex, Profile},
    Filter, FramePattern, ModulePattern,
};

/// For each frame of a profile whether a condition holds.
pub(super) struct Marks(Vec<bool>);

impl Marks {
    pub(super) fn new(frames: &[Frame], holds: impl FnMut(&Frame) -> bool) -> Self {
        Self(frames.iter().map(holds).collect())
    }

    /// Whether it holds for one of these.
    pub(super) fn any(&self, stack: &[FrameIndex]) -> bool {
        stack.iter().any(|&frame| self.is_set(frame))
    }

    fn is_set(&self, frame: FrameIndex) -> bool {
        let index = usize::try_from(frame).ok();
        index.is_some_and(|index| self.0.get(index).copied().unwrap_or(false))
    }
}

/// What a filter's patterns say of a profile's frames; `None` where there are no patterns.
pub(super) struct Matched {
    pub(super) frames: Option<Marks>,
    pub(super) excluded: Option<Marks>,
    pub(super) modules: Option<Marks>,
}

impl Matched {
    pub(super) fn new(filter: &Filter, profile: &Profile) -> Self {
        Self {
            frames: marks(&filter.frames, profile, FramePattern::matches),
            excluded: marks(&filter.excluded, profile, FramePattern::matches),
            modules: marks(&filter.modules, profile, ModulePattern::matches),
        }
    }
}

fn marks<P>(patterns: &[P], profile: &Profile, matches: impl Fn(&P, &Frame) -> bool) -> Option<Marks> {
    let holds = |frame: &Frame| patterns.iter().any(|pattern| matches(pattern, frame));
    (!patterns.is_empty()).then(|| Marks::new(&profile.frames, holds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::frame;

    #[test]
    fn a_frame_is_asked_about_once() {
        let frames = [frame("malloc", "libc"), frame("main", "app")];
        let mut asked = 0;
        let marks = Marks::new(&frames, |frame| {
            asked += 1;
            frame.module == "app"
        });
        for _ in 0..1000 {
            assert!(marks.any(&[0, 0, 1]) && !marks.any(&[0, 0]) && !marks.any(&[]) && !marks.any(&[7]));
        }
        assert_eq!(asked, 2);
    }
}
