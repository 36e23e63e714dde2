//! Python in the processes of a dump: which of them have an interpreter, and the Python stack of a thread.

use std::sync::Arc;

use memtrace_common::python::Layout;

use super::{
    super::{python::Interpreters, runtime::Place},
    budget::Budget,
    placed::Placed,
};
use crate::{
    process::{AddressSpace, Memory},
    profile::{
        Frame, FrameKind,
        dump::{DumpedPython, PythonEnd},
    },
    python::{
        Judged,
        lines::Form,
        merge::{Entry, Whole, merge},
        read::{self, End, PythonFrame, PythonStack},
    },
    unwind::walk,
};

/// The interpreter of a process; what there is to say of one that cannot be used goes to `notes`.
pub(super) fn of(interpreters: &mut Interpreters, space: &AddressSpace, notes: &mut Vec<String>) -> Option<Python> {
    match interpreters.judge(space, &space.modules()) {
        Judged::Nothing => None,
        Judged::Readable {
            interpreter, layout, ..
        } => Some(Python {
            layout: *layout,
            form: Form::of(interpreter.version.minor),
            budget: Budget::default(),
        }),
        Judged::Refused(why) | Judged::Incomplete(why) => {
            notes.push(why);
            None
        }
    }
}

/// The interpreter of a process.
pub(super) struct Python {
    layout: Layout,
    form: Form,
    budget: Budget,
}

/// What is known of the Python stack of a thread.
#[derive(Debug)]
pub(super) enum Known {
    /// Where the thread has its data could not be found out.
    Unknown,
    /// It runs no Python, or this.
    Stack(Option<PythonStack>),
}

impl Default for Known {
    fn default() -> Self {
        Self::Stack(None)
    }
}

impl Known {
    /// The stack, where it is known.
    pub(super) fn stack(self) -> Option<PythonStack> {
        match self {
            Self::Unknown => None,
            Self::Stack(stack) => stack,
        }
    }
}

impl Python {
    /// The Python stack of the thread with this thread pointer.
    pub(super) fn stack(&self, memory: &Memory, pointer: u64) -> Option<PythonStack> {
        let (layout, form) = (&self.layout, self.form);
        self.budget
            .spend(|rest| read::stack(memory, layout, form, pointer, rest))
    }

    /// The same for what is believed to be the thread pointer of a thread, when that can be one.
    pub(super) fn stack_at(&self, memory: &Memory, pointer: Option<u64>) -> Known {
        let mut word = [0; 8];
        // What is there is the pointer itself (ELF Handling For Thread-Local Storage, 3.4.6).
        let is_one = |&pointer: &u64| memory.fill(pointer, &mut word) && u64::from_le_bytes(word) == pointer;
        match pointer.filter(is_one) {
            Some(pointer) => Known::Stack(self.stack(memory, pointer)),
            None => Known::Unknown,
        }
    }
}

/// A frame of one of two stacks, by its number there.
#[derive(Clone, Copy)]
pub(super) enum At {
    Native(usize),
    Python(usize),
}

/// Brings both stacks of a thread together, leaf first.
pub(super) fn merged(placed: &Placed, python: &PythonStack, interpreters: &Interpreters) -> (Vec<At>, DumpedPython) {
    let walk = &placed.walk;
    let native: Vec<At> = (0..walk.frames.len()).map(At::Native).collect();
    let entries: Vec<Entry<At>> = (python.entries.iter())
        .map(|entry| match *entry {
            Entry::Frame { at, outermost } => Entry::Frame {
                at: At::Python(at),
                outermost,
            },
            Entry::Mark => Entry::Mark,
        })
        .collect();
    let evaluates = |at| match at {
        At::Native(number) => {
            let place = placed.places.get(number).copied().flatten();
            place.is_some_and(|at| interpreters.evaluates(at))
        }
        At::Python(_) => false,
    };
    let whole = Whole {
        native: walk.end == walk::End::Start,
        python: python.end == End::Start,
    };
    let merged = merge(&native, &entries, whole, evaluates);
    let known = DumpedPython {
        end: match python.end {
            End::Start => PythonEnd::Start,
            End::Deep => PythonEnd::Deep,
            End::Unreadable => PythonEnd::Unreadable,
            End::Foreign => PythonEnd::Foreign,
        },
        fits: merged.fits,
    };
    (merged.frames, known)
}

/// A Python frame, as it is shown.
pub(super) fn frame(frame: &PythonFrame) -> Frame {
    let place = Place {
        function: Arc::clone(&frame.function),
        file: Arc::clone(&frame.file),
        line: frame.line,
        inlined: false,
    };
    place.frame(FrameKind::Python)
}
