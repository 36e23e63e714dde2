//! Which files have their tables in the kernel, and where there.

use std::time::Instant;

use memtrace_common::{
    space::{FILE_SEGMENTS, FileKey, FileSegment, FileTable},
    unwind::CHUNK_WORDS,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Loaded;
use crate::{
    plan,
    probe::{Arena, ProbeError, Tables},
    process::{FileBytes, Module, build_id},
    progress::{self, Total},
    unwind::{Pruning, Segment, Table},
};

/// Most bytes of kernel memory that tables may take. The largest program measured, Chromium, needs less than 1 MiB, a compiler
/// with its libLLVM 1 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// Where a file's table is.
#[derive(Clone, Debug)]
pub(super) enum Placed {
    /// It has none: no unwind information, or such that cannot be read.
    Nothing,
    /// In the kernel.
    Table {
        /// The array.
        arena: Arena,
        /// Its first chunk there.
        chunk: u32,
        /// Its executable segments.
        segments: Vec<Segment>,
    },
}

/// Tables by module.
#[derive(Default)]
pub(super) struct Files {
    /// Interpreters whose objects are followed: stacks begin in the middle of their functions.
    python: Vec<plan::pymalloc::Followed>,
    placed: FxHashMap<u32, Placed>,
    /// Modules of equal content share a table: by build id.
    by_build_id: FxHashMap<Vec<u8>, u32>,
    /// Made, but not in the kernel yet.
    waiting: Vec<(u32, Table)>,
    /// How the BPF side finds modules by their files.
    keys: FxHashMap<u32, FileKey>,
    /// Modules whose table is in the kernel, and of whose file the BPF side was not told yet.
    untold: Vec<u32>,
    /// Bytes in the kernel, by array.
    arenas: FxHashMap<Arena, u64>,
    notes: Vec<String>,
}

impl Files {
    pub(super) fn new(python: Vec<plan::pymalloc::Followed>) -> Self {
        Self {
            python,
            ..Self::default()
        }
    }

    /// Where the table of a module is, when that is known.
    pub(super) fn placed(&self, module: u32) -> Option<&Placed> {
        self.placed.get(&module)
    }

    /// Whether a module has not been looked at yet.
    pub(super) fn is_new(&self, module: u32) -> bool {
        !self.placed.contains_key(&module) && !self.waiting.iter().any(|(waiting, _)| *waiting == module)
    }

    /// Makes the table of a module. Its content goes to the kernel with the next [`Files::load`].
    pub(super) fn make(&mut self, index: u32, module: &Module) {
        let Some(file) = module.file() else {
            self.placed.insert(index, Placed::Nothing);
            return;
        };
        let begun = Instant::now();
        let _stage = progress::stage(format!("making the unwind table of {}", module.name), Total::Unknown);
        self.keys.extend(module.key().map(|key| (index, key)));
        let build_id = build_id(&FileBytes::new(file));
        if let Some(same) = build_id.as_ref().and_then(|id| self.by_build_id.get(id))
            && let Some(placed) = self.placed.get(same).cloned()
        {
            self.placed.insert(index, placed);
            self.untold.push(index);
            return;
        }
        let probed = plan::probed(&module.name, &FileBytes::new(file), &self.python);
        match Table::build_with(file, Pruning::default(), &probed) {
            Ok(table) => {
                log::info!(
                    "unwind table of {}: {} rows, {} KiB, made in {} ms",
                    module.name,
                    table.counts().rows,
                    table.words().len() / 256,
                    begun.elapsed().as_millis()
                );
                if table.is_empty() {
                    self.placed.insert(index, Placed::Nothing);
                } else {
                    self.waiting.push((index, table));
                }
            }
            Err(error) => {
                self.note(format!(
                    "{}: its unwind information cannot be used ({error}); frames there are found by frame pointer",
                    module.name
                ));
                self.placed.insert(index, Placed::Nothing);
            }
        }
        if let Some(id) = build_id {
            self.by_build_id.insert(id, index);
        }
    }

    /// Keeps what the reader of a report should know, once.
    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether tables wait to be loaded.
    pub(super) const fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Loads what waits, into one array: the kernel takes its time for each.
    pub(super) fn load(&mut self, tables: &mut Tables) -> Result<(), ProbeError> {
        let mut words = Vec::new();
        let mut at = Vec::new();
        let room = MAX_BYTES.saturating_sub(self.bytes());
        for (index, table) in std::mem::take(&mut self.waiting) {
            let length = table.words().len().next_multiple_of(CHUNK_WORDS);
            if 4 * (words.len() + length) as u64 > room {
                self.note(format!(
                    "unwind tables fill the {} that they may take; frames in other files are found by frame pointer",
                    crate::units::bytes(MAX_BYTES)
                ));
                self.placed.insert(index, Placed::Nothing);
                continue;
            }
            let chunk = u32::try_from(words.len() / CHUNK_WORDS).unwrap_or(u32::MAX);
            words.extend_from_slice(table.words());
            words.resize(words.len().next_multiple_of(CHUNK_WORDS), 0);
            at.push((index, chunk, table.segments().to_vec()));
        }
        if at.is_empty() {
            return Ok(());
        }
        let arena = tables.load(&words)?;
        self.arenas.insert(arena, 4 * words.len() as u64);
        for (index, chunk, segments) in at {
            self.placed.insert(index, Placed::Table { arena, chunk, segments });
            self.untold.push(index);
        }
        Ok(())
    }

    /// Tells by which files tables can be found.
    pub(super) fn tell(&mut self, tables: &mut Tables) {
        for index in std::mem::take(&mut self.untold) {
            if let (Some(&key), Some(Placed::Table { arena, chunk, segments })) =
                (self.keys.get(&index), self.placed.get(&index))
            {
                tables.tell_file(key, &by_file(*arena, *chunk, segments));
            }
        }
    }

    /// Gives back the arrays that hold no table of mapped code, once half of the room is used.
    pub(super) fn make_room(
        &mut self,
        mapped: impl FnOnce() -> FxHashSet<u32>,
        tables: &mut Tables,
    ) -> Result<(), ProbeError> {
        if self.bytes() < MAX_BYTES / 2 {
            return Ok(());
        }
        let needed: FxHashSet<Arena> = mapped().into_iter().filter_map(|module| self.arena(module)).collect();
        let idle: Vec<Arena> = self
            .arenas
            .keys()
            .copied()
            .filter(|arena| !needed.contains(arena))
            .collect();
        for arena in idle {
            let of_arena = |placed: &Placed| matches!(placed, Placed::Table { arena: of, .. } if *of == arena);
            for (index, _) in self.placed.iter().filter(|(_, placed)| of_arena(placed)) {
                if let Some(&key) = self.keys.get(index) {
                    tables.forget_file(key);
                }
            }
            tables.unload(arena)?;
            self.arenas.remove(&arena);
            self.placed
                .retain(|_, placed| !matches!(placed, Placed::Table { arena: of, .. } if *of == arena));
        }
        self.by_build_id.retain(|_, module| self.placed.contains_key(module));
        Ok(())
    }

    fn arena(&self, module: u32) -> Option<Arena> {
        match self.placed.get(&module)? {
            Placed::Table { arena, .. } => Some(*arena),
            Placed::Nothing => None,
        }
    }

    fn bytes(&self) -> u64 {
        self.arenas.values().sum()
    }

    /// What the reader of a report should know.
    pub(super) fn loaded(self) -> Loaded {
        Loaded {
            bytes: self.bytes(),
            notes: self.notes,
        }
    }
}

/// Bytes of a page, of which the kernel maps whole ones.
const PAGE: u64 = 4096;

/// What the BPF side is told of a file.
fn by_file(arena: Arena, chunk: u32, segments: &[Segment]) -> FileTable {
    let mut table = FileTable {
        arena: arena.index(),
        chunk,
        segments: [FileSegment::default(); FILE_SEGMENTS],
    };
    for (told, segment) in table.segments.iter_mut().zip(segments) {
        let into = segment.offset.start % PAGE;
        *told = FileSegment {
            offset: segment.offset.start - into,
            end: segment.offset.end.next_multiple_of(PAGE),
            svma: segment.svma.start.wrapping_sub(into),
            page_base: segment.page_base,
            reserved: 0,
        };
    }
    table
}
