//! The levels of a site's stack as other tools are told them.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::{
    profile::{Frame, FrameIndex, Profile, Site},
    render::{escape, label},
};

/// One level of a stack.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Level<'a> {
    /// What sites are kept apart by, before all frames.
    Group(&'a str),
    /// An index into [`Profile::frames`] that is in range.
    Frame(FrameIndex),
    /// Why there are no frames, or the operation below that.
    Word(&'static str),
}

/// What is shown of a level, escaped.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Shown {
    /// The function, or what stands for it; never empty.
    pub(super) name: String,
    /// The source file, else the module; nothing where there is no frame.
    pub(super) file: Option<String>,
    /// Source line.
    pub(super) line: Option<u32>,
}

/// The levels of a site, root first: its group where sites are kept apart, then its frames. Without a frame it is the operation
/// under the reason, as in folded stacks.
pub(super) fn levels<'a>(profile: &'a Profile, site: &Site) -> Vec<Level<'a>> {
    let group = profile.group(site).map(Level::Group);
    group.into_iter().chain(frames(profile, site)).collect()
}

/// The same without the group.
pub(super) fn frames<'a>(profile: &Profile, site: &Site) -> Vec<Level<'a>> {
    let stack = site.stack.and_then(|stack| profile.stacks.get(stack));
    let known = |&frame: &FrameIndex| frame_at(profile, frame).is_some();
    let frames = stack.into_iter().flatten().rev().copied().filter(known);
    let mut levels: Vec<_> = frames.map(Level::Frame).collect();
    if levels.is_empty() {
        levels.push(Level::Word(label::no_stack(profile, site)));
        levels.push(Level::Word(site.op.name()));
    }
    levels
}

/// A frame by its index.
pub(super) fn frame_at(profile: &Profile, index: FrameIndex) -> Option<&Frame> {
    profile.frames.get(usize::try_from(index).ok()?)
}

impl Level<'_> {
    /// Its frame, if it is one.
    pub(super) fn frame(self, profile: &Profile) -> Option<&Frame> {
        match self {
            Self::Frame(index) => frame_at(profile, index),
            Self::Group(_) | Self::Word(_) => None,
        }
    }

    /// What is shown of it.
    pub(super) fn shown(self, profile: &Profile) -> Shown {
        let plain = |name: String| Shown {
            name,
            file: None,
            line: None,
        };
        match self {
            Self::Group(name) => plain(label::command(name).into_owned()),
            Self::Word(word) => plain(word.to_owned()),
            Self::Frame(_) => match self.frame(profile) {
                Some(frame) => Shown {
                    name: label::function(frame),
                    file: Some(source(frame).unwrap_or_else(|| label::module(frame))),
                    line: frame.line,
                },
                None => plain("[unknown]".to_owned()),
            },
        }
    }
}

/// The source file of a frame, escaped.
pub(super) fn source(frame: &Frame) -> Option<String> {
    let file = frame.file.as_deref().filter(|file| !file.trim().is_empty())?;
    Some(escape::text(file).into_owned())
}

/// Values by number, each once, in the order in which they came.
#[derive(Debug)]
pub(super) struct Table<T> {
    numbers: FxHashMap<T, usize>,
    all: Vec<T>,
}

impl<T: Clone + Eq + Hash> Table<T> {
    pub(super) fn new() -> Self {
        Self {
            numbers: FxHashMap::default(),
            all: Vec::new(),
        }
    }

    /// The number of a value, and whether it is new.
    pub(super) fn add(&mut self, value: T) -> (usize, bool) {
        let next = self.all.len();
        let number = *self.numbers.entry(value).or_insert_with_key(|value| {
            self.all.push(value.clone());
            next
        });
        (number, number == next)
    }

    /// The number of a value.
    pub(super) fn number(&mut self, value: T) -> usize {
        self.add(value).0
    }

    /// All values by number.
    pub(super) fn all(&self) -> &[T] {
        &self.all
    }
}
