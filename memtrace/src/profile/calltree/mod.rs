//! Call paths of all memory as a tree: who calls what down to the allocation, or who is behind what allocates.
//!
//! A node is a function in a module, whatever its line, so calls of one function from several lines of another are one node. Frames
//! that only pass a request on ([`Frame::is_plumbing`]) are left out unless they are asked for. Recursion is folded: where functions
//! follow each other in the same order again, the second round is the first.

mod fold;

use rustc_hash::FxHashMap;

use memtrace_common::op::Op;

use super::{Amount, Frame, FrameIndex, Measure, Profile, Site, plumbing::below_calling};

/// Which end of the stacks is the top.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Direction {
    /// From the start of the thread down to what allocates: below a function is what it calls.
    #[default]
    Callees,
    /// From what allocates up: below a function are those that call it.
    Callers,
}

/// How a tree is made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Which end is the top.
    pub direction: Direction,
    /// Whether the allocator's own frames and those that only pass a request on are nodes too.
    pub plumbing: bool,
}

/// What is added up at a node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Amounts {
    /// Not yet freed.
    pub live: Amount,
    /// Ever allocated.
    pub allocated: Amount,
    /// Allocated and freed while it was observed, as far as it is known.
    pub temporary: Amount,
    /// Live at the moment of the most live bytes, as far as it is known.
    pub at_peak: Amount,
}

/// What a node stands for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Label {
    /// What sites are kept apart by: an index into [`Profile::groups`].
    Group(usize),
    /// A function: an index into [`Profile::frames`], of the first of its frames.
    Function(FrameIndex),
    /// There is no frame; whether a stack was taken at all.
    NoStack(bool),
    /// The operation, below [`Label::NoStack`].
    Op(Op),
}

/// A place in the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it stands for.
    pub label: Label,
    /// The line of all its frames, where it is the same; `None` too where it is not known.
    pub line: Option<u32>,
    /// Whether each of its frames was inlined into its caller.
    pub inlined: bool,
    /// Whether stacks came through here more than once in a row.
    pub recursive: bool,
    /// Of the sites that end here: allocations by the function itself, or, towards callers, those of threads that start here.
    pub own: Amounts,
    /// Of all sites that come through here.
    pub total: Amounts,
    /// Those below, as indices into [`CallTree::nodes`], in the order in which the sites have them.
    pub children: Vec<usize>,
}

/// The tree. Sums of files and reserved address space are no part of it.
#[derive(Clone, Debug, Default)]
pub struct CallTree {
    /// All nodes, each before those below it.
    pub nodes: Vec<Node>,
    /// The nodes at the top, as indices.
    pub roots: Vec<usize>,
    /// Sums over all memory.
    pub total: Amounts,
}

impl Amounts {
    /// Those of a site; what is not known is nothing.
    pub fn of(site: &Site) -> Self {
        Self {
            live: site.live,
            allocated: site.allocated,
            temporary: site.spread.temporary.unwrap_or_default(),
            at_peak: site.at_peak.unwrap_or_default(),
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            live: self.live.plus(other.live),
            allocated: self.allocated.plus(other.allocated),
            temporary: self.temporary.plus(other.temporary),
            at_peak: self.at_peak.plus(other.at_peak),
        }
    }

    /// The one that a measure is of.
    pub const fn amount(&self, measure: Measure) -> Amount {
        match measure {
            Measure::Live | Measure::LiveBlocks => self.live,
            Measure::Allocated | Measure::Allocations => self.allocated,
            Measure::Temporary | Measure::TemporaryBlocks => self.temporary,
            Measure::Peak | Measure::PeakBlocks => self.at_peak,
        }
    }

    /// What a measure makes of it.
    pub const fn value(&self, measure: Measure) -> u64 {
        measure.of(self.amount(measure))
    }
}

impl CallTree {
    /// The tree of all memory of a profile.
    pub fn new(profile: &Profile, options: Options) -> Self {
        let mut tree = Self::default();
        let functions = Functions::new(&profile.frames);
        let mut below: FxHashMap<(Option<usize>, Key), usize> = FxHashMap::default();
        for site in profile.memory_sites() {
            let amounts = Amounts::of(site);
            tree.total = tree.total.plus(amounts);
            let mut last = None;
            for step in steps(profile, site, &functions, options) {
                let node = *below.entry((last, step.key)).or_insert_with(|| tree.push(last, &step));
                tree.nodes[node].merge(&step);
                tree.nodes[node].total = tree.nodes[node].total.plus(amounts);
                last = Some(node);
            }
            if let Some(last) = last {
                tree.nodes[last].own = tree.nodes[last].own.plus(amounts);
            }
        }
        tree
    }

    fn push(&mut self, parent: Option<usize>, step: &Step) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node {
            label: step.label,
            line: step.line,
            inlined: step.inlined,
            recursive: false,
            own: Amounts::default(),
            total: Amounts::default(),
            children: Vec::new(),
        });
        match parent {
            Some(parent) => self.nodes[parent].children.push(index),
            None => self.roots.push(index),
        }
        index
    }
}

impl Node {
    /// Another frame is of this node too.
    fn merge(&mut self, step: &Step) {
        self.line = self.line.filter(|_| self.line == step.line);
        self.inlined &= step.inlined;
        self.recursive |= step.recursive;
    }
}

/// What tells nodes below the same one apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Key {
    /// By a number for each function of each module.
    Function(u32),
    Other(Label),
}

/// One level of a path.
#[derive(Clone, Copy, Debug)]
struct Step {
    key: Key,
    label: Label,
    line: Option<u32>,
    inlined: bool,
    recursive: bool,
}

impl Step {
    const fn other(label: Label) -> Self {
        Self {
            key: Key::Other(label),
            label,
            line: None,
            inlined: false,
            recursive: false,
        }
    }
}

/// The path of a site from the top of the tree.
fn steps(profile: &Profile, site: &Site, functions: &Functions, options: Options) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    if profile.is_split()
        && let Some(group) = site.group
    {
        steps.push(Step::other(Label::Group(group)));
    }
    let stack = site.stack.and_then(|stack| profile.stacks.get(stack));
    let known = |index: FrameIndex| Some((index, profile.frames.get(usize::try_from(index).ok()?)?));
    let frames: Vec<_> = stack.into_iter().flatten().filter_map(|&index| known(index)).collect();
    let plumbing = if options.plumbing {
        0
    } else {
        below_calling(frames.iter().map(|&(_, frame)| frame))
    };
    let step = |&(index, frame): &(FrameIndex, &Frame)| Step {
        key: Key::Function(functions.number(index)),
        label: Label::Function(index),
        line: frame.line,
        inlined: frame.inlined,
        recursive: false,
    };
    let path = frames[plumbing..].iter().map(step);
    let path = match options.direction {
        Direction::Callers => fold::folded(path),
        Direction::Callees => fold::folded(path.rev()),
    };
    if path.is_empty() {
        steps.push(Step::other(Label::NoStack(site.stack.is_some())));
        steps.push(Step::other(Label::Op(site.op)));
    }
    steps.extend(path);
    steps
}

/// A number for each function of each module, by frame.
struct Functions(Vec<u32>);

impl Functions {
    fn new(frames: &[Frame]) -> Self {
        let mut known = FxHashMap::default();
        let number = |frame| {
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            *known.entry(function(frame)).or_insert(next)
        };
        Self(frames.iter().map(number).collect())
    }

    fn number(&self, frame: FrameIndex) -> u32 {
        let index = usize::try_from(frame).ok();
        index.and_then(|index| self.0.get(index)).copied().unwrap_or(u32::MAX)
    }
}

/// What two frames have in common that are of one function: its name and module, or without a symbol the place.
fn function(frame: &Frame) -> (Option<&str>, &str, u64) {
    match frame.function.as_deref() {
        Some(function) => (Some(function), &frame.module, 0),
        None => (None, &frame.module, frame.offset),
    }
}

#[cfg(test)]
mod tests;
