//! JavaScript in the processes of a dump: which of them have an engine, and whose the frames of a thread are.
//!
//! The functions lie on a heap whose objects move. So they are read at the moment of the stack, which is walked then for its frame pointers, as
//! far as the tables of its files are there; where the walk that comes afterwards gets farther, the stack is taken again.

use memtrace_common::javascript::{EngineLayout, FRAME_WORDS};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    super::javascript::{EngineFiles, Told},
    budget::Budget,
    placed::Placed,
};
use crate::{
    decode,
    process::{AddressSpace, Copied, Memory},
    profile::{Frame, FrameKind, dump::DumpedJavaScript},
    unwind::walk::{self, Walk},
    v8::{
        Grammar,
        read::{self, Asked, Owner, Reader},
    },
};

/// The incarnation of a process in what is told of it: it is looked at by itself.
const ONLY: u32 = 0;

/// Frames of JavaScript that are shown of a stack at most: those that were looked at, and as many that were compiled into them.
const STACK: usize = 1 << 15;

/// And of a process.
const PROCESS: usize = 1 << 20;

/// The engine of a process; what there is to say of one that cannot be used goes to `notes`.
pub(super) fn of(
    files: &mut EngineFiles,
    space: &AddressSpace,
    pid: u32,
    notes: &mut Vec<String>,
) -> Option<JavaScript> {
    let (layout, grammar) = files.of(space, |note| notes.push(note)).readable?;
    Some(JavaScript {
        pid,
        layout,
        grammar,
        budget: Budget::default(),
        room: PROCESS,
        told: Told::default(),
    })
}

/// The engine of a process.
pub(super) struct JavaScript {
    pid: u32,
    layout: EngineLayout,
    grammar: Grammar,
    budget: Budget,
    /// Frames that may still be shown.
    room: usize,
    told: Told,
}

/// What was read at the moment of a stack.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Whose the frames are that were looked at, by frame pointer and address.
    owners: FxHashMap<(u64, u64), Owner>,
    told: read::Told,
}

impl Seen {
    /// Whether each frame of a walk was looked at that could be.
    pub(super) fn has_all(&self, walk: &Walk) -> bool {
        let mut keys = walk.frames.iter().filter_map(key);
        self.told.is_cut || keys.all(|key| self.owners.contains_key(&key))
    }
}

/// What is known of the frames of JavaScript of a thread.
#[derive(Debug)]
pub(super) struct JavaScriptStack {
    /// What stands for a frame of the walk, by its number.
    frames: FxHashMap<usize, Vec<Frame>>,
    /// Frames of the engine that are at a call: none can be missing behind them, for V8 keeps frame pointers.
    pub(super) kept: FxHashSet<usize>,
    /// `None` where there is nothing to be said of JavaScript.
    pub(super) known: Option<DumpedJavaScript>,
}

impl JavaScriptStack {
    /// What stands for a frame, if it is JavaScript's.
    pub(super) fn of(&self, number: usize) -> Option<&[Frame]> {
        self.frames.get(&number).map(Vec::as_slice)
    }
}

impl JavaScript {
    /// Looks at the frames of a walk through the stack of a thread that does not run meanwhile.
    pub(super) fn look(&self, memory: &Memory, stack: &Copied, walk: &Walk, tid: u32) -> Seen {
        self.budget.spend(|rest| {
            let mut reader = Reader::new(memory, &self.layout, (self.pid, tid), *rest);
            let mut owner = |frame| asked(frame, stack).map_or(Owner::Unknown, |asked| reader.owner(&asked));
            let frames = walk.frames.iter();
            let owners = frames.filter_map(|frame| Some((key(frame)?, owner(frame)))).collect();
            let (told, left) = reader.finish();
            *rest = left;
            Seen { owners, told }
        })
    }

    /// What is known of a walk.
    pub(super) fn stack(&mut self, placed: &Placed, in_file: impl Fn(usize) -> bool, seen: Seen) -> JavaScriptStack {
        let mut is_cut = seen.told.is_cut || !seen.has_all(&placed.walk);
        for function in &seen.told.functions {
            self.told.define(&decode::JavaScript {
                head: function.head,
                name: &function.name,
                file: &function.file,
                source: &function.source,
                table: &function.table,
            });
        }
        for of in seen.told.codes {
            self.told.code(ONLY, of.function, of.number, of.code);
        }
        let mut stack = JavaScriptStack {
            frames: FxHashMap::default(),
            kept: FxHashSet::default(),
            known: None,
        };
        let room = STACK.min(self.room);
        let mut shown = 0;
        for (number, frame) in placed.walk.frames.iter().enumerate() {
            let owner = key(frame).and_then(|key| seen.owners.get(&key));
            let Some(owner) = owner.filter(|owner| **owner != Owner::Unknown) else {
                continue;
            };
            if frame.is_call {
                stack.kept.insert(number);
            }
            if let Owner::Function { id, position } = *owner
                && let Some(places) = self
                    .told
                    .places(ONLY, (id, position), in_file(number), Some(&self.grammar))
            {
                // A few bytes of the target's can say of each frame that many were compiled into it.
                if places.len() > room - shown {
                    is_cut = true;
                    break;
                }
                shown += places.len();
                let frames = places.iter().map(|place| place.frame(FrameKind::JavaScript));
                stack.frames.insert(number, frames.collect());
            }
        }
        self.room -= shown;
        let untold = seen.told.untold;
        let has_any = !stack.frames.is_empty() || untold > 0 || is_cut;
        stack.known = has_any.then_some(DumpedJavaScript { untold, cut: is_cut });
        stack
    }

    /// What the reader of the dump must know.
    pub(super) fn notes(&self) -> Vec<String> {
        self.told.notes()
    }
}

/// What names a frame that is left by its frame pointer: that and the address.
fn key(frame: &walk::Frame) -> Option<(u64, u64)> {
    Some((frame.frame_pointer?, frame.pc))
}

/// What there is to such a frame.
fn asked(frame: &walk::Frame, stack: &Copied) -> Option<Asked> {
    let from = frame.frame_pointer?.checked_sub(8 * FRAME_WORDS as u64)?;
    let mut words = [0; FRAME_WORDS];
    for (word, at) in words.iter_mut().zip((from..).step_by(8)) {
        // What lies below the stack pointer is not the frame's, or not yet.
        if at >= frame.sp {
            *word = stack.word(at)?;
        }
    }
    Some(Asked {
        words,
        address: frame.pc.wrapping_add(u64::from(frame.is_call)),
        is_call: frame.is_call,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_shown_than_there_is_room_for() {
        let mut engine = JavaScript {
            pid: 1,
            layout: EngineLayout::default(),
            grammar: Grammar::default(),
            budget: Budget::default(),
            room: STACK + 5,
            told: Told::default(),
        };
        let frame = |number: u64| walk::Frame {
            pc: number,
            sp: number,
            is_call: true,
            frame_pointer: Some(8 * number),
        };
        let placed = Placed {
            walk: Walk {
                frames: (0..STACK as u64 + 10).map(frame).collect(),
                end: walk::End::Start,
            },
            places: Vec::new(),
        };
        let function = Owner::Function { id: 1, position: 0 };
        let mut shown = |count: usize| {
            let frames = placed.walk.frames.iter().take(count).filter_map(key);
            let seen = Seen {
                owners: frames.map(|key| (key, function)).collect(),
                told: read::Told::default(),
            };
            let stack = engine.stack(&placed, |_| true, seen);
            let known = stack.known.expect("it has frames");
            assert!(known.cut, "not all were looked at, or there is no room");
            (stack.frames.len(), stack.of(0).map(<[Frame]>::len))
        };
        assert_eq!(shown(STACK + 10), (STACK, Some(1)), "of a stack");
        assert_eq!(shown(9), (5, Some(1)), "of the process");
    }
}
