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
    /// For how many blocks of its size it stands.
    pub weight: u32,
}

/// Bits of a packed block that are its size; the others are its address in units of [`UNIT`].
const SIZE_BITS: u32 = 20;

/// Least alignment of what allocators hand out.
const UNIT: u64 = 8;

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
    /// Blocks of less than a MiB that stand for themselves, as address and size in one word: there may be millions.
    packed: Vec<u64>,
    /// All others.
    blocks: Vec<Extent>,
    /// The ranges by address; they are disjoint.
    pub ranges: Vec<Range>,
}

impl Memory {
    /// Adds a block.
    pub fn add(&mut self, block: Extent) {
        let address = block.start / UNIT;
        let fits = block.start.is_multiple_of(UNIT) && address >> (64 - SIZE_BITS) == 0 && block.size >> SIZE_BITS == 0;
        if fits && block.weight == 1 {
            self.packed.push(address << SIZE_BITS | block.size);
        } else {
            self.blocks.push(block);
        }
    }

    /// The live blocks, in no order.
    pub fn blocks(&self) -> impl Iterator<Item = Extent> + '_ {
        let packed = self.packed.iter().map(|word| Extent {
            start: (word >> SIZE_BITS) * UNIT,
            size: word & ((1 << SIZE_BITS) - 1),
            weight: 1,
        });
        packed.chain(self.blocks.iter().copied())
    }
}

impl Ledger {
    /// What a program has that lives; `None` when it is not known.
    pub fn memory(&self, incarnation: u32) -> Option<Memory> {
        let process = &self.processes[self.processes.find(incarnation)?];
        let mut memory = Memory::default();
        memory.packed.reserve_exact(process.live.len());
        for block in process.live.iter() {
            memory.add(Extent {
                start: block.address,
                size: block.size,
                weight: u32::try_from(block.amount().count).unwrap_or(u32::MAX),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_packed_where_they_fit_and_always_come_back() {
        let block = |start, size, weight| Extent { start, size, weight };
        let all = [
            block(0x7fff_ffff_fff8, (1 << 20) - 1, 1),
            block(0x5555_0000_0010, 0, 1),
            block(0x5555_0000_0011, 5, 1),
            block(0x5555_0000_0010, 1 << 20, 1),
            block(0x5555_0000_0010, 5, 2),
            block(1 << 47, 5, 1),
            block(u64::MAX, u64::MAX, 1),
        ];
        let mut memory = Memory::default();
        for block in all {
            memory.add(block);
        }
        assert_eq!(memory.packed.len(), 2);
        assert!(memory.blocks().eq(all));
    }
}
