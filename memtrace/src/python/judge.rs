//! What the files of a process come to together: an interpreter can be walked when the C library tells where threads have their keys.

use memtrace_common::python::Layout;

use super::{Found, Interpreter};

/// Code of a file, as a process has mapped it.
#[derive(Clone, Copy, Debug)]
pub struct Mapped<'a> {
    /// First address (avma).
    pub start: u64,
    /// Offset of the first byte in the file.
    pub offset: u64,
    /// The file's name.
    pub name: &'a str,
    /// What is in it.
    pub found: &'a Found,
}

/// See the module's description.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Judged<'a> {
    /// There is no interpreter.
    Nothing,
    /// Its frames can be read.
    Readable {
        /// The interpreter.
        interpreter: &'a Interpreter,
        /// The name of its file.
        name: &'a str,
        /// How its structures lie.
        layout: Box<Layout>,
    },
    /// There is one whose frames cannot be read, with the reason.
    Refused(String),
    /// The same, as long as the process does not map its C library.
    Incomplete(String),
}

/// Judges what a process has mapped.
pub fn judge<'a>(mapped: impl Iterator<Item = Mapped<'a>>) -> Judged<'a> {
    let (mut first, mut keys, mut refused) = (None, None, None);
    for one in mapped {
        match one.found {
            Found::Threads(layout) => keys = Some(*layout),
            Found::Interpreter(interpreter) if first.is_none() => first = Some((one, interpreter.as_ref())),
            // Of two interpreters the first is walked.
            Found::Nothing | Found::Interpreter(_) => {}
            Found::Refused(why) => refused = Some((one.name, why)),
        }
    }
    let Some((one, interpreter)) = first else {
        return refused.map_or(Judged::Nothing, |(name, why)| {
            Judged::Refused(format!("{name} has no Python frames in stacks: {why}"))
        });
    };
    let refuse = |why: &str| {
        format!(
            "Python {} in {} has no Python frames in stacks: {why}",
            interpreter.version, one.name
        )
    };
    let Some(keys) = keys else {
        return Judged::Incomplete(refuse(
            "its C library is linked into it, or is not glibc, or does not tell where threads have their data",
        ));
    };
    match interpreter.layout(one.start, one.offset, keys) {
        Some(layout) => Judged::Readable {
            interpreter,
            name: one.name,
            layout: Box::new(layout),
        },
        None => Judged::Refused(refuse("its code is mapped in a way that its headers do not tell")),
    }
}
