//! How a target's code lies, and what the BPF side is told of it.

use std::sync::Arc;

use memtrace_common::space::{Mapping, NO_TABLE, Space, TABLE_TO_COME, UNUSED};

use super::files::{Files, Placed};
use crate::{
    process::{AddressSpace, Module},
    unwind::Segment,
};

/// One executable mapping.
#[derive(Clone, Debug)]
pub(super) struct Code {
    /// First address (avma).
    pub(super) start: u64,
    /// End (avma).
    pub(super) end: u64,
    /// Offset of the first byte in the file.
    pub(super) offset: u64,
    /// Number of the module, the same for the whole observation.
    pub(super) index: u32,
    /// What is mapped.
    pub(super) module: Arc<Module>,
}

/// The executable mappings of a process at a moment.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Incarnation of the process.
    pub(super) incarnation: u32,
    /// Kernel monotonic time in nanoseconds right before the mappings were read.
    pub(super) covers: u64,
    /// In the order of their addresses.
    pub(super) code: Vec<Code>,
}

impl Layout {
    /// The layout that was read last.
    pub(super) fn of(space: &AddressSpace, incarnation: u32) -> Self {
        let modules = space.modules();
        let code = space.code().iter().filter_map(|code| {
            Some(Code {
                start: code.start,
                end: code.end,
                offset: code.offset,
                index: code.module,
                module: Arc::clone(modules.get(code.module as usize)?),
            })
        });
        Self {
            incarnation,
            covers: space.read_ns(),
            code: code.collect(),
        }
    }

    /// What the BPF side is told, with the tables that are there. Mappings beyond its capacity are left out: their frames
    /// go by frame pointer.
    pub(super) fn space(&self, files: &Files, generation: u32, epoch: u64) -> Box<Space> {
        let mut space = bytemuck::zeroed_box::<Space>();
        space.incarnation = self.incarnation;
        space.generation = generation;
        space.covers = self.covers;
        space.epoch = epoch;
        space.begins.fill(UNUSED);
        // The search finds the last that begins at or before an address, so there must be one before all others.
        space.begins[0] = 0;
        let slots = space.begins.iter_mut().zip(&mut space.mappings).skip(1);
        for ((begin, mapping), code) in slots.zip(&self.code) {
            *begin = code.start;
            *mapping = describe(code, files);
        }
        space
    }
}

fn describe(code: &Code, files: &Files) -> Mapping {
    let without = |arena| Mapping {
        end: code.end,
        arena,
        ..Mapping::default()
    };
    match files.placed(code.index) {
        None if code.module.has_file() => without(TABLE_TO_COME),
        None | Some(Placed::Nothing) => without(NO_TABLE),
        Some(Placed::Table { arena, chunk, segments }) => {
            // The segment tells where the linker put what is at this offset of the file.
            let Some(segment) = Segment::mapped_from(segments, code.offset) else {
                return without(NO_TABLE);
            };
            let svma = segment
                .svma
                .start
                .wrapping_add(code.offset)
                .wrapping_sub(segment.offset.start);
            Mapping {
                end: code.end,
                bias: code.start.wrapping_sub(svma),
                arena: arena.index(),
                chunk: *chunk,
                page_base: segment.page_base,
                reserved: 0,
            }
        }
    }
}

/// A mapping that the BPF side was told of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Known {
    /// First address (avma).
    begin: u64,
    mapping: Mapping,
}

impl Known {
    /// Whether its table was not there yet.
    pub(super) const fn is_to_come(&self) -> bool {
        self.mapping.arena == TABLE_TO_COME
    }
}

/// The mappings of a space.
pub(super) fn known(space: &Space) -> Vec<Known> {
    let all = space.begins.iter().copied().zip(space.mappings);
    all.filter(|(begin, mapping)| *begin != UNUSED && mapping.end != 0)
        .map(|(begin, mapping)| Known { begin, mapping })
        .collect()
}

/// Whether addresses mean in `new` what they meant in `old`, as far as `old` knew them: then rules that were looked up
/// by `old` may stay in the cache.
pub(super) fn agree(old: &[Known], new: &[Known]) -> bool {
    // Of code whose table was still to come, nothing is in the cache.
    old.iter().filter(|one| !one.is_to_come()).all(|one| new.contains(one))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, path::Path};

    use super::*;

    fn code(start: u64, end: u64, index: u32, module: Module) -> Code {
        Code {
            start,
            end,
            offset: 0,
            index,
            module: Arc::new(module),
        }
    }

    fn file(path: &Path) -> Module {
        Module::of(path.display().to_string(), File::open(path).unwrap())
    }

    fn layout(code: Vec<Code>) -> Layout {
        Layout {
            incarnation: 7,
            covers: 99,
            code,
        }
    }

    /// As the BPF side looks for it.
    fn mapping(space: &Space, address: u64) -> Option<Mapping> {
        assert!(space.begins.is_sorted(), "the search needs an order");
        let index = space.begins.partition_point(|&begin| begin <= address) - 1;
        Some(space.mappings[index]).filter(|mapping| address < mapping.end)
    }

    #[test]
    fn a_file_is_to_come_until_it_is_looked_at_and_code_of_no_file_has_no_table() {
        let own = std::env::current_exe().unwrap();
        let layout = layout(vec![
            code(0x1000, 0x2000, 0, file(&own)),
            code(0x8000, 0x9000, 1, file(Path::new("/dev/null"))),
        ]);
        let mut files = Files::default();
        let space = layout.space(&files, 3, 5);
        assert_eq!(
            (space.incarnation, space.generation, space.covers, space.epoch),
            (7, 3, 99, 5)
        );
        assert_eq!(mapping(&space, 0x1fff).unwrap().arena, TABLE_TO_COME);
        assert_eq!(mapping(&space, 0x0), None);
        assert_eq!(mapping(&space, 0x2000), None);
        assert_eq!(mapping(&space, u64::MAX >> 1), None);

        files.make(1, &layout.code[1].module);
        let after = layout.space(&files, 3, 5);
        assert_eq!(mapping(&after, 0x8000).unwrap().arena, NO_TABLE, "not an ELF file");
        assert!(agree(&known(&space), &known(&after)), "what was to come may come");
    }

    #[test]
    fn what_goes_or_changes_makes_cached_rules_stale() {
        let nothing = || file(Path::new("/dev/null"));
        let mut files = Files::default();
        let both = layout(vec![
            code(0x1000, 0x2000, 0, nothing()),
            code(0x3000, 0x4000, 1, nothing()),
        ]);
        for code in &both.code {
            files.make(code.index, &code.module);
        }
        let (first, one) = (both.space(&files, 1, 1), layout(vec![both.code[0].clone()]));
        assert!(agree(&known(&first), &known(&both.space(&files, 1, 1))));
        assert!(!agree(&known(&first), &known(&one.space(&files, 1, 1))), "one is gone");
        assert!(agree(&known(&one.space(&files, 1, 1)), &known(&first)), "one has come");
    }

    #[test]
    fn more_mappings_than_there_is_room_for_are_left_out() {
        let nothing = Arc::new(file(Path::new("/dev/null")));
        let many = (1..3000_u64).map(|index| Code {
            start: index << 12,
            end: (index + 1) << 12,
            offset: 0,
            index: 0,
            module: Arc::clone(&nothing),
        });
        let space = layout(many.collect()).space(&Files::default(), 1, 1);
        assert!(mapping(&space, 1000 << 12).is_some());
        assert_eq!(mapping(&space, 2000 << 12), None);
    }
}
