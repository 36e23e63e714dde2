//! What a program is known to have, by address: for whoever compares it with what is resident.

use memtrace_common::op::Class;

use super::{Ledger, regions::Region};

/// A live block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extent {
    /// First byte (avma).
    pub start: u64,
    /// Requested size in bytes.
    pub size: u64,
}

/// Whose a mapped range is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// The program's: it was not mapped inside a call of an allocator.
    Program,
    /// A thread's, as its stack.
    Stack,
    /// The program's or an allocator's: it was mapped while calls of the allocator were not looked at.
    Either,
}

/// A mapped range without a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    /// First byte (avma).
    pub start: u64,
    /// End (avma).
    pub end: u64,
    /// Whose it is.
    pub owner: Owner,
}

/// Blocks and ranges of a program. Those that it inherited are among them.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The live blocks, in no order.
    pub blocks: Vec<Extent>,
    /// For how many blocks of its size each stands; empty when each is itself alone.
    pub weights: Vec<u32>,
    /// The ranges by address; they are disjoint.
    pub ranges: Vec<Range>,
}

impl Ledger {
    /// What a program has that lives; `None` when it is not known.
    pub fn memory(&self, incarnation: u32) -> Option<Memory> {
        let process = &self.processes[self.processes.find(incarnation)?];
        let mut memory = Memory::default();
        memory.blocks.reserve_exact(process.live.len());
        for block in process.live.iter() {
            let weight = u32::try_from(block.amount().count).unwrap_or(u32::MAX);
            if weight != 1 && memory.weights.is_empty() {
                memory.weights = vec![1; memory.blocks.len()];
            }
            if weight != 1 || !memory.weights.is_empty() {
                memory.weights.push(weight);
            }
            memory.blocks.push(Extent {
                start: block.address,
                size: block.size,
            });
        }
        let owner = |region: &Region| match self.sites.op(region.site).class() {
            Class::File => None,
            Class::Pages => Some(Owner::Either),
            _ if region.is_stack => Some(Owner::Stack),
            _ => Some(Owner::Program),
        };
        memory.ranges = process
            .regions
            .iter()
            .filter_map(|region| {
                Some(Range {
                    start: region.start,
                    end: region.end,
                    owner: owner(region)?,
                })
            })
            .collect();
        Some(memory)
    }
}
