//! Which frames of a stack are shown where there is room for a few.

use std::ops::Range;

use crate::profile::Frame;

/// At most `most` of the frames, or one more where that saves saying so. Where a runtime's own frames begin beyond the first of them, the
/// first of those are shown too: they are what the program's author knows.
pub(super) fn of(frames: &[&Frame], most: usize) -> [Range<usize>; 2] {
    let first_alone = |count: usize| [0..count, count..count];
    // One line more is no worse than a line that says so.
    if frames.len() <= most + 1 {
        return first_alone(frames.len());
    }
    let is_runtime = |frame: &&Frame| frame.kind.is_runtime();
    let half = most / 2;
    match frames.iter().position(is_runtime) {
        Some(first) if first >= most && half > 0 => [0..half, first..frames.len().min(first + most - half)],
        _ => first_alone(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        profile::{FrameKind, fixture::frame},
        render::label,
    };

    #[test]
    fn the_first_frames_are_shown_and_the_first_of_a_runtime() {
        let python = Frame {
            kind: FrameKind::Python,
            ..frame("handler", "[python]")
        };
        let native = frame("native", "libc");
        let stack = |before: usize| {
            let mut all = vec![&native; before];
            all.extend([&python; 4]);
            all
        };
        assert_eq!(of(&stack(3), 6), [0..7, 7..7]);
        assert_eq!(of(&stack(5), 6), [0..6, 6..6], "one of them is among the first");
        assert_eq!(of(&stack(6), 6), [0..3, 6..9]);
        assert_eq!(of(&stack(9), 1), [0..1, 1..1]);
        assert_eq!(of(&[], 6), [0..0, 0..0]);
        let lines = label::frames(&stack(8), 2, 6);
        let wanted = [
            "  native (libc)",
            "    native (libc)",
            "    native (libc)",
            "    … 5 more",
            "    handler ([python])",
            "    handler ([python])",
            "    handler ([python])",
            "    … 1 more",
        ];
        assert_eq!(lines, wanted);
    }
}
