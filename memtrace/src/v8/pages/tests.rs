//! Pages made by hand, as each version has them, and memory that only looks like it.

use std::collections::BTreeMap;

use memtrace_common::v8_heap::space::{Numbers, Space as Allocated};
use proptest::prelude::*;

use super::*;

const HEAP: u64 = 0x5000;
const VERSIONS: [(u32, u32); 4] = [(10, 2), (11, 3), (12, 4), (13, 6)];

/// Memory of words, by address. What has none cannot be read.
#[derive(Clone, Default)]
struct Words {
    words: BTreeMap<u64, u64>,
    /// Whether it is all in memory.
    is_absent: bool,
}

impl Words {
    fn put(&mut self, address: u64, words: &[u64]) {
        self.words.extend((address..).step_by(8).zip(words.iter().copied()));
    }
}

impl Memory for Words {
    fn is_there(&self, _: u64) -> bool {
        !self.is_absent
    }

    fn fill(&self, address: u64, bytes: &mut [u8]) -> bool {
        (address..)
            .step_by(8)
            .zip(bytes.as_chunks_mut::<8>().0)
            .all(|(at, into)| {
                let word = self.words.get(&at);
                *into = word.copied().unwrap_or_default().to_le_bytes();
                word.is_some()
            })
    }
}

fn version((major, minor): (u32, u32)) -> Version {
    Version { major, minor, build: 1 }
}

/// What a header says.
#[derive(Clone, Copy)]
struct Says {
    size: u64,
    flags: u64,
    heap: u64,
    area: [u64; 2],
    owner: u64,
    reserved: [u64; 2],
}

impl Says {
    fn of(start: u64, size: u64, owner: u64) -> Self {
        Self {
            size,
            flags: 0x4,
            heap: HEAP,
            area: [start + 0x1000, start + size],
            owner,
            reserved: [start, size],
        }
    }

    /// Writes it where a version has it; what is a block of its own goes to `metadata`.
    fn write(self, of: (u32, u32), memory: &mut Words, start: u64, metadata: u64) {
        let (head, rest) = ([self.flags, metadata], [self.area[0], self.area[1]]);
        let [reserved, reserved_size] = self.reserved;
        match of.0 {
            10 | 11 => memory.put(
                start,
                &[
                    self.size,
                    self.flags,
                    self.heap,
                    rest[0],
                    rest[1],
                    0,
                    0,
                    0,
                    self.owner,
                    9,
                    reserved,
                    reserved_size,
                    0,
                    0,
                    0,
                    0,
                ],
            ),
            12 => memory.put(
                start,
                &[
                    self.flags,
                    start,
                    self.size,
                    self.heap,
                    rest[0],
                    rest[1],
                    0,
                    0,
                    0,
                    self.owner,
                    9,
                    reserved,
                    reserved_size,
                    0,
                    0,
                    0,
                ],
            ),
            _ => {
                memory.put(start, &[head[0], head[1], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                memory.put(
                    metadata,
                    &[
                        9,
                        reserved,
                        reserved_size,
                        0,
                        0,
                        0,
                        self.size,
                        rest[1],
                        self.heap,
                        rest[0],
                        self.owner,
                        0,
                        0,
                        0,
                        0,
                        0,
                    ],
                );
            }
        }
    }
}

fn mapping(start: u64, end: u64) -> Entry {
    Entry {
        start,
        end,
        accessible: true,
        rss: end - start,
        ..Entry::default()
    }
}

fn found(of: (u32, u32), entries: &[Entry], memory: &Words) -> HeapPages {
    find(version(of), entries, memory).unwrap()
}

/// A page in the space of number `space`, alone in its memory.
fn one(of: (u32, u32), space: u64, change: impl FnOnce(&mut Says)) -> HeapPages {
    let mut memory = Words::default();
    memory.put(0x9000, &[1, HEAP, space | 0xabcd << 32]);
    let mut says = Says::of(4 * ALIGNMENT, ALIGNMENT, 0x9000);
    change(&mut says);
    says.write(of, &mut memory, 4 * ALIGNMENT, 0x8000);
    found(of, &[mapping(4 * ALIGNMENT - PAGE, 8 * ALIGNMENT)], &memory)
}

#[test]
fn each_space_of_each_version_is_told() {
    for of in VERSIONS {
        let spaces = layout(version(of)).unwrap().spaces;
        for (number, space) in (0..).zip(spaces) {
            let pages = one(of, number, |_| ());
            let wanted = HeapPage {
                start: 4 * ALIGNMENT,
                end: 5 * ALIGNMENT,
                space: *space,
            };
            assert_eq!((pages.pages, pages.heaps), (vec![wanted], 1), "{of:?} {number}");
        }
        assert_eq!(one(of, spaces.len() as u64, |_| ()), HeapPages::default(), "{of:?}");
        assert_eq!(one(of, u64::from(u32::MAX), |_| ()), HeapPages::default(), "{of:?}");
    }
    assert_eq!(find(version((99, 1)), &[], &Words::default()), None);
}

#[test]
fn what_does_not_fit_is_no_page() {
    type Change = fn(&mut Says);
    let start = 4 * ALIGNMENT;
    let wrong: [(&str, Change); 11] = [
        ("no size", |says| says.size = 0),
        ("no whole size", |says| says.size -= 1),
        ("a size beyond all memory", |says| {
            (says.size, says.reserved[1]) = (u64::MAX - 4095, u64::MAX - 4095);
        }),
        ("too large for its space", |says| {
            (says.size, says.reserved[1]) = (2 * ALIGNMENT, 2 * ALIGNMENT);
        }),
        ("objects before it", |says| says.area[0] = 4 * ALIGNMENT),
        ("objects behind it", |says| says.area[1] = 5 * ALIGNMENT + 8),
        ("objects that end before they begin", |says| {
            says.area[1] = 4 * ALIGNMENT;
        }),
        ("another's header", |says| says.reserved[0] -= ALIGNMENT),
        ("another heap's space", |says| says.heap += 8),
        ("nobody's", |says| says.owner = 0),
        ("a space that cannot be read", |says| says.owner = u64::MAX - 7),
    ];
    for of in VERSIONS {
        for (what, change) in wrong {
            assert_eq!(one(of, 1, change), HeapPages::default(), "{of:?}: {what}");
        }
        let absent = Words {
            is_absent: true,
            ..Words::default()
        };
        let mut sparse = mapping(start, start + ALIGNMENT);
        sparse.rss = PAGE;
        assert_eq!(found(of, &[sparse], &absent), HeapPages::default());
    }
}

#[test]
fn pages_without_a_heap_are_told_by_their_flags() {
    for of in VERSIONS {
        let layout = layout(version(of)).unwrap();
        let read_only = one(of, 99, |says| {
            (says.flags, says.heap, says.owner) = (layout.read_only | layout.unregistered, 0, 0);
            (says.size, says.reserved) = (ALIGNMENT, [0, 0]);
        });
        let spaces: Vec<_> = read_only.pages.iter().map(|page| page.space).collect();
        assert_eq!((spaces, read_only.heaps), (vec![Space::ReadOnly], 0), "{of:?}");
        // The heap that it was of may be gone.
        let pooled = one(of, 99, |says| {
            (says.flags, says.owner) = (layout.unregistered, 0xdead_0000);
        });
        let spaces: Vec<_> = pooled.pages.iter().map(|page| page.space).collect();
        assert_eq!((spaces, pooled.heaps), (vec![Space::Pooled], 0), "{of:?}");
    }
}

#[test]
fn a_large_page_hides_what_looks_like_one_in_it() {
    for of in VERSIONS {
        let spaces = layout(version(of)).unwrap().spaces;
        let large = spaces.iter().position(|&space| space == Space::Large).unwrap();
        let mut memory = Words::default();
        memory.put(0x9000, &[1, HEAP, large as u64]);
        let size = 2 * ALIGNMENT + PAGE;
        Says::of(ALIGNMENT, size, 0x9000).write(of, &mut memory, ALIGNMENT, 0x8000);
        Says::of(2 * ALIGNMENT, ALIGNMENT, 0x9000).write(of, &mut memory, 2 * ALIGNMENT, 0x8100);
        Says::of(4 * ALIGNMENT, ALIGNMENT, 0x9000).write(of, &mut memory, 4 * ALIGNMENT, 0x8200);
        // A guard in between, as pages of code have.
        let mut guard = mapping(ALIGNMENT + PAGE, ALIGNMENT + 2 * PAGE);
        (guard.accessible, guard.rss) = (false, 0);
        let whole = [
            mapping(ALIGNMENT, guard.start),
            guard,
            mapping(guard.end, 5 * ALIGNMENT),
        ];
        let pages = found(of, &whole, &memory).pages;
        let at: Vec<_> = pages.iter().map(|page| (page.start, page.end)).collect();
        assert_eq!(
            at,
            [(ALIGNMENT, ALIGNMENT + size), (4 * ALIGNMENT, 5 * ALIGNMENT)],
            "{of:?}"
        );
        // What is not all mapped is no page, and then that behind its begin may be one.
        let cut = [mapping(ALIGNMENT, 3 * ALIGNMENT), mapping(4 * ALIGNMENT, 5 * ALIGNMENT)];
        let pages = found(of, &cut, &memory).pages;
        let at: Vec<_> = pages.iter().map(|page| page.start).collect();
        assert_eq!(at, [2 * ALIGNMENT, 4 * ALIGNMENT], "{of:?}");
    }
}

#[test]
fn how_much_is_looked_at_is_bounded() {
    let mut everything = mapping(0, u64::MAX);
    everything.rss = PAGE;
    let pages = found((13, 6), &[everything], &Words::default());
    assert_eq!(
        pages,
        HeapPages {
            is_cut_off: true,
            ..HeapPages::default()
        }
    );
}

proptest! {
    #[test]
    fn any_memory_gives_disjoint_pages_inside_of_its_mappings(
        of in prop::sample::select(VERSIONS.to_vec()),
        sizes in prop::collection::vec((0..3_u64, 1..200_u64, any::<bool>()), 0..8),
        words in prop::collection::vec(
            (0..12_u64, 0..WORDS as u64, prop_oneof![
                0..64_u64,
                (0..12_u64).prop_map(|page| page * ALIGNMENT),
                (0..12_u64).prop_map(|page| page * ALIGNMENT + PAGE),
                any::<u64>(),
            ]),
            0..150,
        ),
    ) {
        let mut at = 0;
        let entries: Vec<_> = sizes.into_iter().map(|(gap, pages, accessible)| {
            let start = at + gap * PAGE;
            at = start + pages * PAGE;
            Entry { accessible, ..mapping(start, at) }
        }).collect();
        let mut memory = Words::default();
        for page in 0..12 {
            memory.put(page * ALIGNMENT, &[0; WORDS]);
        }
        for (page, word, value) in words {
            memory.put(page * ALIGNMENT + 8 * word, &[value]);
        }
        let pages = found(of, &entries, &memory).pages;
        prop_assert!(pages.iter().all(|page| page.start < page.end && page.start % ALIGNMENT == 0));
        prop_assert!(pages.windows(2).all(|pair| pair[0].end <= pair[1].start));
        prop_assert!(pages.iter().all(|page| page.end <= at));
    }
}

/// Both sides have V8's numbers: what is allocated in a space is in its pages.
#[test]
fn spaces_have_the_numbers_by_which_the_bpf_side_knows_them() {
    let all = [Numbers::V10, Numbers::V11, Numbers::V12, Numbers::V13];
    for (numbers, known) in VERSIONS.into_iter().zip(all) {
        let spaces = layout(version(numbers)).unwrap().spaces;
        for (number, &space) in (0..).zip(spaces) {
            let allocated = match space {
                large if large.is_large() => Allocated::Large,
                Space::New => Allocated::Young,
                Space::Old => Allocated::Old,
                Space::Code => Allocated::Code,
                Space::Map => Allocated::Map,
                Space::Shared => Allocated::Shared,
                Space::Trusted | Space::SharedTrusted => Allocated::Trusted,
                // Nothing is allocated there while a program runs.
                _ => Allocated::Unknown,
            };
            assert_eq!(known.space(number), allocated, "{numbers:?}, {space:?}");
        }
        let beyond = u32::try_from(spaces.len()).unwrap();
        assert_eq!(known.space(beyond), Allocated::Unknown, "{numbers:?}");
    }
}
