//! A walk with the place of each frame's code.
//!
//! An address says nothing once its process has unmapped what was there, or has become another program: other code may lie there by
//! then. So the mappings are read together with the stack, while the thread does not run: code that it has to return to is mapped as long
//! as that.

use super::{javascript::Seen, python::Known};
use crate::{
    process::{AddressSpace, Code, Copied, Location},
    unwind::walk::Walk,
};

/// What was read of a thread and its process at one moment.
#[derive(Debug, Default)]
pub(super) struct Moment {
    /// Nothing where the mappings could not be read.
    pub(super) stack: Copied,
    /// The text of the mappings.
    pub(super) maps: String,
    /// The Python stack.
    pub(super) python: Known,
    /// Whose the frames of JavaScript are.
    pub(super) javascript: Seen,
}

/// A walk and where the code of its frames lies.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) walk: Walk,
    /// That of each frame; `None` where no code is known.
    pub(super) places: Vec<Option<Location>>,
}

impl Placed {
    /// Finds the places of a walk in the mappings of its moment.
    pub(super) fn new(walk: Walk, space: &mut AddressSpace) -> Self {
        let places = walk.frames.iter().map(|frame| space.locate(frame.pc)).collect();
        Self { walk, places }
    }
}

/// The code that an address (avma) is in.
pub(super) fn at(code: &[Code], pc: u64) -> Option<&Code> {
    let after = code.partition_point(|code| code.start <= pc);
    code.get(after.checked_sub(1)?).filter(|code| pc < code.end)
}
