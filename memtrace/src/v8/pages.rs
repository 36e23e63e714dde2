//! The pages of V8's heaps in the memory of a process: where they are, and which space each is in.
//!
//! A page begins at a multiple of 256 KiB with a header that says how large it is, whose it is, and where it was reserved. Memory is the target's,
//! and may be anything: what is taken for a page says the same of itself in several places.

use rustc_hash::{FxHashMap, FxHashSet};

use super::engine::Version;
use crate::{
    process::smaps::{Behind, Entry},
    profile::spaces::Space,
};

/// Bytes that a page begins at a multiple of (`kPageSizeBits`, src/common/globals.h): 256 KiB.
const ALIGNMENT: u64 = 1 << 18;

/// Bytes of a page of the kernel, which sizes are multiples of.
const PAGE: u64 = 4096;

/// Bytes of a large object's page at most. V8's longest arrays and strings have 1 GiB (`FixedArray::kMaxLength`, `String::kMaxLength`).
const MAX_BYTES: u64 = 2 << 30;

/// Bytes before the first object at most: a page of code has 12 KiB, with a guard in it (`MemoryChunkLayout`).
const MAX_HEADER: u64 = 64 << 10;

/// Addresses that are looked at: those of 32 GiB.
const MOST_LOOKED_AT: u64 = 1 << 17;

/// Words of a header, or of what it refers to, that are looked at.
const WORDS: usize = 16;

/// Bytes of these.
const HEADER: usize = 8 * WORDS;

/// Words of a space that are looked at: its functions, its heap, its number (`BaseSpace`, src/heap/base-space.h).
const SPACE_WORDS: usize = 3;

/// How the pages of a version lie. Places are in words.
struct Layout {
    /// Where the header refers to all else (`MemoryChunk::metadata_`), if that is not in the header itself.
    metadata: Option<usize>,
    /// `flags_`, in the header.
    flags: usize,
    /// `size_`
    size: usize,
    /// `heap_`
    heap: usize,
    /// `area_start_`, `area_end_`
    area: [usize; 2],
    /// `owner_`
    owner: usize,
    /// `reservation_`: the address and the size of the address space (`VirtualMemory`, src/utils/allocation.h), behind its allocator.
    reserved: usize,
    /// The flag `READ_ONLY_HEAP`.
    read_only: u64,
    /// The flag `UNREGISTERED`: V8 has done with the page, and frees it or keeps it for later.
    unregistered: u64,
    /// Spaces by their numbers (`AllocationSpace`, src/common/globals.h).
    spaces: &'static [Space],
}

/// Up to V8 11 (src/heap/basic-memory-chunk.h).
const BASIC: Layout = Layout {
    metadata: None,
    flags: 1,
    size: 0,
    heap: 2,
    area: [3, 4],
    owner: 8,
    reserved: 10,
    read_only: 1 << 20,
    unregistered: 1 << 19,
    spaces: &[
        Space::ReadOnly,
        Space::Old,
        Space::Code,
        Space::Map,
        Space::Large,
        Space::CodeLarge,
        Space::NewLarge,
        Space::New,
    ],
};

/// How the pages of a version lie, if that is known.
const fn layout(version: Version) -> Option<Layout> {
    Some(match (version.major, version.minor) {
        (10, 2) => BASIC,
        (11, 3) => Layout {
            read_only: 1 << 6,
            spaces: &[
                Space::ReadOnly,
                Space::New,
                Space::Old,
                Space::Code,
                Space::Shared,
                Space::NewLarge,
                Space::Large,
                Space::CodeLarge,
                Space::SharedLarge,
            ],
            ..BASIC
        },
        // src/heap/memory-chunk.h, src/heap/memory-chunk-metadata.h: still in one piece.
        (12, 4) => Layout {
            metadata: Some(1),
            flags: 0,
            size: 2,
            heap: 3,
            area: [4, 5],
            owner: 9,
            reserved: 11,
            read_only: 1 << 6,
            unregistered: 1 << 16,
            spaces: &[
                Space::ReadOnly,
                Space::New,
                Space::Old,
                Space::Code,
                Space::Shared,
                Space::Trusted,
                Space::NewLarge,
                Space::Large,
                Space::CodeLarge,
                Space::SharedLarge,
                Space::TrustedLarge,
            ],
        },
        // The same files: the metadata is a block of its own.
        (13, 6) => Layout {
            metadata: Some(1),
            flags: 0,
            size: 6,
            heap: 8,
            area: [9, 7],
            owner: 10,
            reserved: 1,
            read_only: 1 << 6,
            unregistered: 1 << 19,
            spaces: &[
                Space::ReadOnly,
                Space::New,
                Space::Old,
                Space::Code,
                Space::Shared,
                Space::Trusted,
                Space::SharedTrusted,
                Space::NewLarge,
                Space::Large,
                Space::CodeLarge,
                Space::SharedLarge,
                Space::SharedTrustedLarge,
                Space::TrustedLarge,
            ],
        },
        _ => return None,
    })
}

/// The memory of a process.
pub trait Memory {
    /// Whether the page of the kernel at an address (avma) is in memory: reading another would make it so.
    fn is_there(&self, address: u64) -> bool;

    /// Fills `bytes` with what is at an address (avma); `false` when that cannot be read.
    fn fill(&self, address: u64, bytes: &mut [u8]) -> bool;
}

/// A page of V8's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeapPage {
    /// First byte (avma).
    pub start: u64,
    /// End (avma).
    pub end: u64,
    /// What is in it.
    pub space: Space,
}

/// The pages of all heaps of a process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HeapPages {
    /// By address and disjoint.
    pub pages: Vec<HeapPage>,
    /// How many heaps they are of: each thread that runs JavaScript has one.
    pub heaps: u32,
    /// Whether there was more memory than is looked at.
    pub is_cut_off: bool,
}

/// Finds the pages of the heaps of a process that has this V8, in its mappings (by address and disjoint); `None` where its pages are
/// not understood.
pub fn find(version: Version, entries: &[Entry], memory: &dyn Memory) -> Option<HeapPages> {
    let mut search = Search {
        layout: layout(version)?,
        memory,
        owners: FxHashMap::default(),
        heaps: FxHashSet::default(),
    };
    let mut found = HeapPages::default();
    let mut left = MOST_LOOKED_AT;
    let are_one = |one: &Entry, next: &Entry| one.end == next.start && is_anonymous(one) && is_anonymous(next);
    for run in entries.chunk_by(are_one) {
        let Some(end) = run.last().map(|last| last.end) else {
            continue;
        };
        // A page may lie in several mappings: its header is writable where its code is not, and there are guards.
        let mut next = 0;
        for entry in run.iter().filter(|entry| may_begin_a_page(entry)) {
            while let Some(at) = entry.start.max(next).checked_next_multiple_of(ALIGNMENT)
                && at < entry.end
            {
                if left == 0 {
                    found.is_cut_off = true;
                    break;
                }
                left -= 1;
                let page = search.page(entry, at).filter(|page| page.end <= end);
                next = page.map_or(at + 1, |page| page.end);
                found.pages.extend(page);
            }
        }
    }
    found.heaps = u32::try_from(search.heaps.len()).unwrap_or(u32::MAX);
    Some(found)
}

fn is_anonymous(entry: &Entry) -> bool {
    entry.behind == Behind::Anonymous
}

fn may_begin_a_page(entry: &Entry) -> bool {
    is_anonymous(entry) && entry.accessible && entry.rss > 0
}

/// Looks at one address after the other.
struct Search<'memory> {
    layout: Layout,
    memory: &'memory dyn Memory,
    /// What spaces that pages refer to say of themselves: their heap and their number.
    owners: FxHashMap<u64, Option<(u64, u64)>>,
    heaps: FxHashSet<u64>,
}

impl Search<'_> {
    /// The page that begins at an address, if one does.
    fn page(&mut self, entry: &Entry, start: u64) -> Option<HeapPage> {
        if entry.rss < entry.size() && !self.memory.is_there(start) {
            return None;
        }
        let header: [u64; WORDS] = words(self.memory, start)?;
        let metadata = match self.layout.metadata.map(|place| header[place]) {
            Some(address) if address != start => words(self.memory, address)?,
            _ => header,
        };
        let layout = &self.layout;
        let [flags, size, heap] = [header[layout.flags], metadata[layout.size], metadata[layout.heap]];
        let [area_start, area_end] = layout.area.map(|place| metadata[place]);
        let end = start.checked_add(size)?;
        let is_sound = size <= MAX_BYTES
            && size.is_multiple_of(PAGE)
            && area_start
                .checked_sub(start)
                .is_some_and(|header| (1..=MAX_HEADER).contains(&header))
            && (area_start..=end).contains(&area_end);
        let is_read_only = flags & layout.read_only != 0;
        let is_whole = size <= ALIGNMENT;
        let reservation = [metadata[layout.reserved], metadata[layout.reserved + 1]];
        if !is_sound || size == 0 || !is_read_only && reservation != [start, size] {
            return None;
        }
        let space = if is_read_only {
            // What has been sealed is nobody's any more (`ReadOnlySpace::Seal`).
            (heap == 0 && is_whole).then_some(Space::ReadOnly)?
        } else if flags & layout.unregistered != 0 {
            Space::Pooled
        } else {
            let (of, number) = self.owner(metadata[layout.owner])?;
            let space = *self.layout.spaces.get(usize::try_from(number).ok()?)?;
            (heap != 0 && of == heap && (is_whole || space.is_large())).then_some(())?;
            self.heaps.insert(heap);
            space
        };
        Some(HeapPage { start, end, space })
    }

    /// The heap and the number of a space.
    fn owner(&mut self, address: u64) -> Option<(u64, u64)> {
        (address != 0).then_some(())?;
        let memory = self.memory;
        *self.owners.entry(address).or_insert_with(|| {
            let [_, heap, number]: [u64; SPACE_WORDS] = words(memory, address)?;
            // The number has half a word.
            Some((heap, number & u64::from(u32::MAX)))
        })
    }
}

/// Some words at an address, if all of them can be read.
fn words<const COUNT: usize>(memory: &dyn Memory, address: u64) -> Option<[u64; COUNT]> {
    let mut bytes = [0; HEADER];
    let bytes = bytes.get_mut(..8 * COUNT)?;
    memory.fill(address, bytes).then_some(())?;
    let mut words = [0; COUNT];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Some(words)
}

#[cfg(test)]
mod tests;
