//! Flags that say which frames are shown where a program has an interpreter.

use clap::Args;

use crate::profile::{FrameKind, View};

/// Which frames of programs in Python or JavaScript are shown.
#[derive(Clone, Copy, Debug, Default, Args)]
#[group(multiple = false)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct FramesArgs {
    /// Show only the Python frames of stacks; what has none is one row
    #[arg(long)]
    pub python_only: bool,
    /// Show only the frames of JavaScript; what has none is one row
    #[arg(long)]
    pub javascript_only: bool,
    /// Show only the native frames of stacks, with all of the interpreter's own
    #[arg(long)]
    pub native_only: bool,
    /// Show also the frames by which an interpreter of Python or JavaScript calls itself
    #[arg(long)]
    pub interpreter_frames: bool,
}

impl FramesArgs {
    /// The view that is asked for.
    pub const fn view(self) -> View {
        if self.python_only {
            View::Only(FrameKind::Python)
        } else if self.javascript_only {
            View::Only(FrameKind::JavaScript)
        } else if self.native_only {
            View::Native
        } else if self.interpreter_frames {
            View::All
        } else {
            View::Merged
        }
    }
}
