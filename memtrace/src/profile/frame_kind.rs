//! Whose code frames are.

use serde::{Deserialize, Serialize};

/// Whose code a frame is: machine code, or that of a runtime.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FrameKind {
    /// Compiled code of the program and its libraries; an interpreter's own too.
    #[default]
    Native,
    /// The kernel, on behalf of the program.
    Kernel,
    /// A Python function.
    Python,
    /// A JavaScript function.
    JavaScript,
}

impl FrameKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Native, Self::Kernel, Self::Python, Self::JavaScript];

    /// Whether it is a function of a language that another program executes.
    pub const fn is_runtime(self) -> bool {
        matches!(self, Self::Python | Self::JavaScript)
    }

    /// Its name in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Kernel => "kernel",
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
        }
    }
}
