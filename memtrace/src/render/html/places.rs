//! Names, functions, frames and stacks of a page, each once: stacks are paths of a tree from the root down.

use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::{
    profile::{Frame, plumbing::below_calling},
    render::{
        escape,
        flamegraph::colour::{self, Code},
        label,
    },
};

/// What a site's stack is on the page.
#[derive(Debug)]
pub(super) struct Path {
    /// Its frames, root first: its group before all, and why there are none where there are none. Never empty.
    frames: Vec<u32>,
    /// How many at its end lie below the calling function, or below what is said in its place.
    pub(super) below: usize,
}

/// The columns of a page's places. Indices are into the columns beside them.
#[derive(Debug, Default, Serialize)]
pub(super) struct Places {
    /// Every text once, escaped.
    strings: Vec<String>,
    functions: Functions,
    frames: Frames,
    nodes: Nodes,
    #[serde(skip)]
    known_strings: FxHashMap<String, u32>,
    #[serde(skip)]
    known_functions: FxHashMap<(u32, u32, Code), u32>,
    #[serde(skip)]
    known_frames: FxHashMap<(u32, Option<u32>, Option<u32>, bool), u32>,
    #[serde(skip)]
    known_nodes: FxHashMap<(Option<u32>, u32), u32>,
    /// By the address of the profile's frame, which lives as long as the page is made.
    #[serde(skip)]
    by_address: FxHashMap<usize, u32>,
}

/// Functions by name and module; two frames are of one in the flame graph when these are the same.
#[derive(Debug, Default, Serialize)]
struct Functions {
    name: Vec<u32>,
    module: Vec<u32>,
    /// Index into [`codes`].
    code: Vec<usize>,
    /// `0xrrggbb`
    colour: Vec<u32>,
}

/// Frames: a function at a line.
#[derive(Debug, Default, Serialize)]
struct Frames {
    function: Vec<u32>,
    /// Source file as a string, or -1.
    file: Vec<i64>,
    /// Source line, or 0.
    line: Vec<u32>,
    /// 1 where it was inlined into the next.
    inlined: Vec<u8>,
}

/// Nodes of the tree, each after the one above it.
#[derive(Debug, Default, Serialize)]
struct Nodes {
    /// How far back the node above is; one more than the own index where there is none.
    up: Vec<u32>,
    frame: Vec<u32>,
}

/// A name with its colour, for the legend.
#[derive(Debug, Serialize)]
pub(super) struct CodeFields {
    name: &'static str,
    colour: u32,
}

/// The legend, in the order that functions refer to.
pub(super) fn codes() -> Vec<CodeFields> {
    let fields = |code: Code| CodeFields {
        name: code.name(),
        colour: code.rgb(),
    };
    Code::ALL.map(fields).into()
}

/// The index of a list's next element. No profile has as many as do not fit: stacks and frames are bounded.
fn next<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

impl Places {
    /// The index of a text, which is escaped already.
    pub(super) fn string(&mut self, text: &str) -> u32 {
        if let Some(&known) = self.known_strings.get(text) {
            return known;
        }
        let index = next(&self.strings);
        self.strings.push(text.to_owned());
        self.known_strings.insert(text.to_owned(), index);
        index
    }

    /// The index of a frame of the profile.
    fn frame(&mut self, frame: &Frame, executable: &str) -> u32 {
        let address = std::ptr::from_ref(frame).addr();
        if let Some(&known) = self.by_address.get(&address) {
            return known;
        }
        let (name, module) = (label::function(frame), label::module(frame));
        let code = Code::of(frame, executable);
        let function = self.function(&name, &module, code, colour::rgb(frame, executable));
        let file = frame.file.as_deref().filter(|file| !file.is_empty());
        let file = file.map(|file| self.string(&escape::text(file)));
        let index = self.place(function, file, frame.line, frame.inlined);
        self.by_address.insert(address, index);
        index
    }

    /// The path of a site of a group, with a stack (leaf first); `missing` says why there is none, and what the operation is.
    pub(super) fn path<'s>(
        &mut self,
        group: Option<&str>,
        stack: &[&Frame],
        missing: impl FnOnce() -> (&'s str, &'s str),
        executable: &str,
    ) -> Path {
        let mut frames: Vec<u32> = (group.iter())
            .map(|group| self.stand_in(&label::command(group), Code::Base))
            .collect();
        frames.extend(stack.iter().rev().map(|frame| self.frame(frame, executable)));
        if !stack.is_empty() {
            let below = below_calling(stack.iter().copied());
            return Path { frames, below };
        }
        let (reason, op) = missing();
        frames.push(self.stand_in(reason, Code::NoStack));
        frames.push(self.stand_in(op, Code::Base));
        Path { frames, below: 1 }
    }

    /// The index of what is shown like a frame and is none: a group, a reason why there is no stack, an operation.
    fn stand_in(&mut self, name: &str, code: Code) -> u32 {
        let function = self.function(name, "", code, code.rgb());
        self.place(function, None, None, false)
    }

    fn function(&mut self, name: &str, module: &str, code: Code, colour: u32) -> u32 {
        let (name, module) = (self.string(name), self.string(module));
        let functions = &mut self.functions;
        *self.known_functions.entry((name, module, code)).or_insert_with(|| {
            functions.name.push(name);
            functions.module.push(module);
            let place = Code::ALL.iter().position(|known| *known == code);
            functions.code.push(place.unwrap_or_default());
            functions.colour.push(colour);
            next(&functions.name) - 1
        })
    }

    fn place(&mut self, function: u32, file: Option<u32>, line: Option<u32>, inlined: bool) -> u32 {
        let frames = &mut self.frames;
        *self
            .known_frames
            .entry((function, file, line, inlined))
            .or_insert_with(|| {
                frames.function.push(function);
                frames.file.push(file.map_or(-1, i64::from));
                frames.line.push(line.unwrap_or(0));
                frames.inlined.push(inlined.into());
                next(&frames.function) - 1
            })
    }

    /// The node at the end of each path, root first. Paths are entered in order, which packs best.
    pub(super) fn stacks(&mut self, paths: &[Path]) -> Vec<u32> {
        let mut order: Vec<usize> = (0..paths.len()).collect();
        order.sort_by(|&one, &other| paths[one].frames.cmp(&paths[other].frames));
        let mut ends = vec![0; paths.len()];
        for index in order {
            let mut node = None;
            for &frame in &paths[index].frames {
                let nodes = &mut self.nodes;
                let below = self.known_nodes.entry((node, frame)).or_insert_with(|| {
                    let own = next(&nodes.frame);
                    nodes.up.push(node.map_or(own + 1, |above| own - above));
                    nodes.frame.push(frame);
                    own
                });
                node = Some(*below);
            }
            ends[index] = node.unwrap_or_default();
        }
        ends
    }
}
