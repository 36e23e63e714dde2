//! [`Dump`]: the call stacks of all threads of some processes at a moment, as every output of them shows it.

use serde::Serialize;

use super::Frame;

/// What the threads of some processes were doing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Dump {
    /// The processes, in the order in which they were asked for.
    pub processes: Vec<DumpedProcess>,
}

/// A process and its threads. They were looked at one after the other.
#[derive(Clone, Debug, Serialize)]
pub struct DumpedProcess {
    /// Process id.
    pub pid: u32,
    /// Name of the main thread (`comm`).
    pub command: String,
    /// Path of the executable as the process sees it.
    pub executable: String,
    /// Its threads, by number.
    pub threads: Vec<DumpedThread>,
    /// Distinct stacks; threads refer to them by index.
    pub stacks: Vec<DumpedStack>,
    /// What the reader should know besides.
    pub notes: Vec<String>,
}

/// A thread.
#[derive(Clone, Debug, Serialize)]
pub struct DumpedThread {
    /// Its number.
    pub tid: u32,
    /// Its name (`comm`).
    pub name: String,
    /// What it was doing when it was looked at.
    pub waits: Waits,
    /// Index into [`DumpedProcess::stacks`], or `None` when nothing could be read.
    pub stack: Option<usize>,
    /// How its stack was read; `None` when it was not.
    pub taken: Option<Taken>,
    /// Why there is no stack or no more of it, in words.
    pub problem: Option<String>,
}

/// What a thread waits in.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq, Serialize)]
pub struct Waits {
    /// The letter of its state (proc(5)).
    pub state: char,
    /// The system call that it is in: its name, or `system call N`.
    pub call: Option<String>,
    /// The kernel function that it sleeps in, where that is told.
    pub wchan: Option<String>,
}

/// How a stack was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Taken {
    /// The thread waited and did not run meanwhile: it was not touched.
    Waiting,
    /// It was stopped for so long.
    Stopped {
        /// At most, in nanoseconds.
        nanoseconds: u64,
    },
}

/// A stack.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
pub struct DumpedStack {
    /// Leaf first.
    pub frames: Vec<Frame>,
    /// Why there are no more frames.
    pub end: StackEnd,
    /// How many times a caller was found by frame pointer, because the code has no unwind information: callers may be missing there.
    pub by_frame_pointer: u32,
    /// What is known of its Python frames; `None` when the thread runs no Python.
    pub python: Option<DumpedPython>,
    /// What is known of its frames of JavaScript; `None` when it has none.
    pub javascript: Option<DumpedJavaScript>,
}

/// How the frames of JavaScript of a stack were read.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize)]
pub struct DumpedJavaScript {
    /// Frames that look like JavaScript's, of which the function could not be told: they are native ones.
    pub untold: u32,
    /// Whether there are more than are read: the rest are native ones.
    pub cut: bool,
}

/// How the Python frames of a stack were read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
pub struct DumpedPython {
    /// Why there are no more.
    pub end: PythonEnd,
    /// Whether each is beside the call of the evaluator that executes it. Otherwise all of them are at the innermost one.
    pub fits: bool,
}

/// Where the Python frames of a stack end.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PythonEnd {
    /// At the start of the thread: they are whole.
    Start,
    /// There are more than are read.
    Deep,
    /// Memory could not be read.
    Unreadable,
    /// What should be a function is something else.
    Foreign,
}

impl PythonEnd {
    /// Says it, or `None` for frames that are whole.
    pub const fn words(self) -> Option<&'static str> {
        Some(match self {
            Self::Start => return None,
            Self::Deep => "there are more Python frames than memtrace reads",
            Self::Unreadable => "memory that further Python frames are in could not be read",
            Self::Foreign => {
                "what should be a Python function is something else: there are no Python frames from there on"
            }
        })
    }
}

/// Where a stack ends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StackEnd {
    /// At the start of the thread: it is whole.
    Start,
    /// There are more frames than are read.
    Deep,
    /// In code without unwind information, where the frame pointer leads nowhere.
    NoTable,
    /// Memory that is needed could not be read.
    Unreadable,
    /// The frame pointer is needed, and the thread was not stopped to read it.
    NoFramePointer,
    /// At unwind information that memtrace does not understand.
    Unsupported,
    /// At an address that is in no code.
    NoCode,
    /// At a return address that a return probe of the kernel has replaced.
    Replaced,
}

impl StackEnd {
    /// Says it, or `None` for a stack that is whole.
    pub const fn words(self) -> Option<&'static str> {
        Some(match self {
            Self::Start => return None,
            Self::Deep => "there are more frames than memtrace reads",
            Self::NoTable => "the code has no unwind information, and its frame pointer leads nowhere",
            Self::Unreadable => "the memory of the stack could not be read",
            Self::NoFramePointer => {
                "the frame pointer is needed from here on, and the thread was not stopped to read it"
            }
            Self::Unsupported => "the unwind information of the code says what memtrace does not understand",
            Self::NoCode => "the return address is in no code",
            Self::Replaced => "the return address was replaced by a return probe (uretprobe): callers are not known",
        })
    }
}
