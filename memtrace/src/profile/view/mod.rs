//! Which frames of a stack are shown, where a runtime has frames of its own.
//!
//! Between two functions of Python or of JavaScript lie some native ones by which the interpreter calls itself. They say nothing, and they differ where
//! the functions do not. So they are left out unless they are asked for, and sites whose stacks are equal without them are one.

mod dump;
mod merge;
mod noise;

use rustc_hash::FxHashMap;

use self::noise::Interpreters;
use super::{Frame, FrameIndex, FrameKind, Profile};

/// Which frames are shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum View {
    /// Native frames and those of Python and JavaScript, without those by which an interpreter calls itself.
    #[default]
    Merged,
    /// All of them.
    All,
    /// Those of one runtime alone.
    Only(FrameKind),
    /// Native ones alone.
    Native,
}

impl View {
    /// What is left out, a clause for the head of reports; nothing where nobody would miss it.
    fn clause(self) -> Option<String> {
        match self {
            Self::Merged | Self::All => None,
            Self::Only(kind) => Some(format!("{} frames only", kind.name())),
            Self::Native => Some("native frames only".to_owned()),
        }
    }

    /// Whether it can differ from all frames where there are some of a kind.
    fn concerns(self, kind: FrameKind) -> bool {
        match self {
            Self::All => false,
            Self::Only(only) => kind == only,
            Self::Merged | Self::Native => kind.is_runtime(),
        }
    }

    /// What stands for a stack without a frame that is shown.
    fn nothing(self) -> Frame {
        let kind = match self {
            Self::Only(kind) => kind,
            Self::Merged | Self::All | Self::Native => FrameKind::Native,
        };
        Frame {
            function: Some(format!("(no {})", kind.name())),
            module: "[native]".to_owned(),
            offset: 0,
            file: None,
            line: None,
            inlined: false,
            kind: FrameKind::Native,
        }
    }
}

impl Profile {
    /// The profile with the frames that are shown. It is to be [finished](Profile::finished) afterwards: sites may have become one.
    #[must_use]
    pub fn viewed(mut self, view: View) -> Self {
        let has_any = self.frames.iter().any(|frame| view.concerns(frame.kind));
        if !has_any {
            return self;
        }
        let interpreters = Interpreters::of(&self.frames.iter().collect::<Vec<_>>());
        let mut stacks = Stacks::default();
        let numbers: Vec<usize> = (self.stacks.iter())
            .map(|stack| {
                let frame = |&index: &FrameIndex| self.frames.get(index as usize);
                let mut shown = shown(view, stack, frame, &interpreters);
                if shown.is_empty() && !stack.is_empty() {
                    shown.push(nothing(view, &mut self.frames));
                }
                stacks.number(shown)
            })
            .collect();
        self.stacks = stacks.all;
        for site in &mut self.sites {
            site.stack = site.stack.and_then(|stack| numbers.get(stack).copied());
        }
        for heap in &mut self.js_heaps {
            for site in &mut heap.sites {
                site.writer = site.writer.and_then(|stack| numbers.get(stack).copied());
            }
            heap.sites = merge::merged_samples(std::mem::take(&mut heap.sites));
        }
        for shortage in &mut self.js_shortages {
            shortage.stack = shortage.stack.and_then(|stack| numbers.get(stack).copied());
        }
        self.sites = merge::merged(std::mem::take(&mut self.sites));
        self.filter.extend(view.clause());
        self
    }
}

/// The frames of a stack that are shown, leaf first. `frame` is that of an entry.
fn shown<'f, T: Copy>(
    view: View,
    stack: &[T],
    frame: impl Fn(&T) -> Option<&'f Frame>,
    interpreters: &Interpreters,
) -> Vec<T> {
    let is_runtime = |entry: &T| frame(entry).is_some_and(|frame| frame.kind.is_runtime());
    match view {
        View::All => stack.to_vec(),
        View::Only(kind) => {
            let is_it = |entry: &T| frame(entry).is_some_and(|frame| frame.kind == kind);
            stack.iter().copied().filter(is_it).collect()
        }
        View::Native => stack.iter().copied().filter(|entry| !is_runtime(entry)).collect(),
        View::Merged => {
            // What is called by the innermost function of a runtime is what it asked for.
            let Some(first) = stack.iter().position(is_runtime) else {
                return stack.to_vec();
            };
            let is_noise =
                |at: usize, entry: &T| frame(entry).is_some_and(|frame| interpreters.is_noise(frame, at > first));
            let kept = stack.iter().enumerate();
            kept.filter(|&(at, entry)| !is_noise(at, entry))
                .map(|(_, &entry)| entry)
                .collect()
        }
    }
}

/// The frame that stands for a stack without any that is shown.
fn nothing(view: View, frames: &mut Vec<Frame>) -> FrameIndex {
    let nothing = view.nothing();
    let at = frames.iter().position(|frame| *frame == nothing).unwrap_or_else(|| {
        frames.push(nothing);
        frames.len() - 1
    });
    FrameIndex::try_from(at).unwrap_or(FrameIndex::MAX)
}

/// Distinct stacks by number.
#[derive(Default)]
struct Stacks {
    all: Vec<Vec<FrameIndex>>,
    numbers: FxHashMap<Vec<FrameIndex>, usize>,
}

impl Stacks {
    fn number(&mut self, stack: Vec<FrameIndex>) -> usize {
        if let Some(&number) = self.numbers.get(&stack) {
            return number;
        }
        self.all.push(stack.clone());
        self.numbers.insert(stack, self.all.len() - 1);
        self.all.len() - 1
    }
}

#[cfg(test)]
mod tests;
