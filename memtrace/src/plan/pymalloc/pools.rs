//! The place where pymalloc takes a pool: one function, whatever is in line of those that call it.

use memtrace_common::Op;
use object::ReadRef;

use super::{Functions, hooks::beside, refill};
use crate::plan::{AttachPoint, Detail, Kind, code::Code, elf::Elf, placement::Placement};

/// The function that takes a pool, as `CPython` names it. Symbols of it are not needed.
const NAME: &str = "allocate_from_new_pool";

/// An interpreter whose pools are told of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pools {
    /// The file that it is in, as the process sees it.
    pub file: String,
    /// Bytes of a pool.
    bytes: u64,
    /// The function that takes one: offset in the file, and how a probe lies there.
    refill: (u64, Placement),
}

impl Pools {
    /// Looks for the place in an interpreter's file, which the process knows by this name.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn find<'data, R: ReadRef<'data>>(
        name: String,
        file: R,
        functions: &Functions,
        bytes: u64,
    ) -> Result<Self, String> {
        let elf = Elf::parse(file)?;
        let refill = refill(&elf, &Code::new(&elf), functions)?;
        Ok(Self {
            file: name,
            bytes,
            refill,
        })
    }

    /// Where the probe goes.
    pub(in crate::plan) fn point(&self) -> AttachPoint {
        beside(NAME, self.refill, Kind::Pool, Op::Pool, Detail::Pool(self.bytes))
    }
}
