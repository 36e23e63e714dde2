//! The functions of all sections by address, without overlap.

use super::{cfi::Fde, elf::Part};

/// Where a function's rules are.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Section {
    /// `.eh_frame`: what programs themselves unwind by.
    EhFrame,
    /// `.debug_frame`: for functions that the other does not describe.
    DebugFrame,
}

/// A function that a table describes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) section: Section,
    pub(super) fde: Fde,
}

/// Sorts functions and cuts them, so that each address has at most one; drops those that are of no code in the segments:
/// linkers give functions that they removed the address 0.
///
/// Of two that begin at the same address the first in the file stays; one that reaches into the next ends there. A function
/// of `.debug_frame` goes where it touches one of `.eh_frame` that begins no later.
pub(super) fn arrange(mut frames: Vec<Frame>, segments: &[Part]) -> Vec<Frame> {
    frames.retain_mut(|frame| {
        let Fde { begin, end, .. } = &mut frame.fde;
        let after = segments.partition_point(|segment| segment.svma <= *begin);
        let Some(segment) = after.checked_sub(1).and_then(|index| segments.get(index)) else {
            return false;
        };
        *end = (*end).min(segment.addresses().end);
        *begin != 0 && begin < end
    });
    frames.sort_unstable_by_key(|frame| (frame.fde.begin, frame.section, frame.fde.offset));
    let mut described = 0;
    let mut previous = None;
    frames.retain(|frame| {
        let twice = previous == Some(frame.fde.begin);
        let known = frame.section == Section::DebugFrame && frame.fde.begin < described;
        if twice || known {
            return false;
        }
        if frame.section == Section::EhFrame {
            described = described.max(frame.fde.end);
        }
        previous = Some(frame.fde.begin);
        true
    });
    let mut next = u64::MAX;
    for frame in frames.iter_mut().rev() {
        frame.fde.end = frame.fde.end.min(next);
        next = frame.fde.begin;
    }
    frames
}
