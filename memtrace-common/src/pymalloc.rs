//! Calls of `CPython`'s own allocator that have no function to be probed: the compiler has put its code where it is called. What the probe
//! of such a place (a *site*) is told, and how the block that pymalloc is going to give is known before it does.
//!
//! The fast path takes the first free block of the first pool in the list of the size's class, and whoever runs holds the interpreter's
//! lock: so that block is known at the site. Offsets are those of `struct pool_header` and `struct arena_object`, the same from 3.8 to 3.14
//! (`Objects/obmalloc.c`, `Include/internal/pycore_obmalloc.h`).

use crate::{Cookie, Op};

/// Largest size that pymalloc serves, in bytes (`SMALL_REQUEST_THRESHOLD`). It does not serve 0.
pub const LARGEST: u64 = 512;

/// Blocks are multiples of as many bytes (`ALIGNMENT`).
pub const ALIGNMENT: u64 = 16;

/// Where in a pool's header its first free block is.
pub const POOL_FREE: u64 = 8;
/// Where the next pool of its list is: an empty list leads to itself.
pub const POOL_NEXT: u64 = 16;
/// Where the number of its arena is, and above that its class.
pub const POOL_ARENA: u64 = 32;

/// Bytes of an entry of the array of arenas; the arena's address is first.
pub const ARENA_ENTRY: u64 = 48;
/// Where in an entry the number of its pools is, in the upper half of the word.
pub const ARENA_POOLS: u64 = 16;
/// Pools of an arena; one that does not begin where pools do has one less.
pub const POOLS: u64 = 64;

/// Where a number is when a site is hit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Argument {
    /// It is this, always.
    Constant(u16),
    /// In a register, by its number in the DWARF mapping as in [`crate::Operand`], plus a constant.
    Register(u8, i16),
    /// In the lower 32 bits of one.
    Low(u8),
    /// On the stack, so many bytes above the stack pointer, a multiple of 8.
    Stack(u16),
}

/// Bits of an argument in a cookie: two for its kind, four for a register, the rest for a number.
const BITS: u32 = 19;
const NUMBER: u32 = 6;
/// Numbers that fit: of 13 bits.
const MOST: u16 = (1 << 13) - 1;

impl Argument {
    const fn pack(self) -> Option<u64> {
        Some(match self {
            Self::Constant(number) if number <= MOST => (number as u64) << NUMBER,
            Self::Register(register, plus) if register < 16 && plus >= -4096 && plus < 4096 => {
                1 | (register as u64) << 2 | ((plus.cast_unsigned() & MOST) as u64) << NUMBER
            }
            Self::Low(register) if register < 16 => 2 | (register as u64) << 2,
            Self::Stack(offset) if offset.is_multiple_of(8) => 3 | ((offset / 8) as u64) << NUMBER,
            _ => return None,
        })
    }

    /// The register of an argument as a cookie has it, whatever it is.
    #[inline(always)]
    pub const fn register(bits: u64) -> u8 {
        (bits >> 2 & 15) as u8
    }

    /// Reads an argument as [`Cookie::site_bits`] has it.
    #[inline(always)]
    pub const fn unpack(bits: u64) -> Self {
        let register = Self::register(bits);
        let number = (bits >> NUMBER) as u16 & MOST;
        match bits & 3 {
            0 => Self::Constant(number),
            // The sign is the 13th bit.
            1 => Self::Register(register, (number << 3).cast_signed() >> 3),
            2 => Self::Low(register),
            _ => Self::Stack(number * 8),
        }
    }
}

impl Cookie {
    /// The cookie of a site: where the arguments are behind the allocator's own, in their order. `None` when that cannot be told in it.
    pub const fn of_site(op: Op, hook: u16, first: Argument, second: Option<Argument>) -> Option<Self> {
        let second = match second {
            Some(second) => second.pack(),
            None => Some(0),
        };
        match (first.pack(), second) {
            (Some(first), Some(second)) => Some(Self {
                op,
                hook,
                detail: first | second << BITS,
            }),
            _ => None,
        }
    }

    /// Where a site's first or second argument is, for [`Argument::unpack`]; one that there is not is the constant 0.
    #[inline(always)]
    pub const fn site_bits(self, index: u32) -> u64 {
        self.detail >> (index * BITS) & ((1 << BITS) - 1)
    }
}

/// Bytes of a page: pools are made of whole ones (`SYSTEM_PAGE_SIZE`).
const PAGE: u64 = 4096;

impl Cookie {
    /// The cookie of the function that takes a new pool of so many bytes. `None` for what is no size of a pool.
    pub const fn of_pools(hook: u16, bytes: u64) -> Option<Self> {
        if !bytes.is_power_of_two() || bytes < PAGE || bytes / PAGE > MOST as u64 {
            return None;
        }
        Self::of_site(Op::Pool, hook, Argument::Constant((bytes / PAGE) as u16), None)
    }

    /// The size of a pool, in bytes; 0 when the cookie is none of those.
    #[inline(always)]
    pub const fn pool_bytes(self) -> u64 {
        match Argument::unpack(self.site_bits(0)) {
            Argument::Constant(pages) => pages as u64 * PAGE,
            _ => 0,
        }
    }
}

/// Whether the word of a pool's header at [`POOL_ARENA`] can be one: its class is one of those that there are.
#[inline(always)]
pub const fn is_pool(header: u64) -> bool {
    header >> 32 < LARGEST / ALIGNMENT
}

/// Where an interpreter has its heap, in a process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Heap {
    /// Its lists of pools (`usedpools`, avma).
    pub lists: u64,
    /// The word that points to its array of arenas (avma).
    pub arenas: u64,
    /// Bytes of a pool, a power of two.
    pub pool: u64,
}

const _: () = assert!(size_of::<Heap>() == 24);

impl Heap {
    /// Where the first pool with a free block of a size is named; `None` for a size that pymalloc does not serve.
    #[inline(always)]
    pub const fn list(&self, size: u64) -> Option<u64> {
        if size == 0 || size > LARGEST {
            return None;
        }
        Some(self.lists + (size - 1) / ALIGNMENT * 16)
    }

    /// The pool that an address would be in.
    #[inline(always)]
    pub const fn pool_of(&self, address: u64) -> u64 {
        address & !(self.pool - 1)
    }

    /// The size of the blocks of a pool, in bytes, when its arena says that it is one: `header` is the word at [`POOL_ARENA`] of the pool,
    /// `arena` the first word of the entry with its number, `pools` that at [`ARENA_POOLS`].
    ///
    /// What is no pool has anything there; but then no arena lies around it, for arenas are pymalloc's alone.
    #[inline(always)]
    pub const fn block_size(&self, pool: u64, header: u64, arena: u64, pools: u64) -> Option<u64> {
        let class = header >> 32;
        let count = pools >> 32;
        let inside = arena != 0 && pool.wrapping_sub(arena) < self.pool * POOLS;
        if inside && class < LARGEST / ALIGNMENT && (count == POOLS || count == POOLS - 1) {
            Some((class + 1) * ALIGNMENT)
        } else {
            None
        }
    }
}

/// Whether `realloc` leaves a block of `block` bytes where it is when it is to have `size`: it must fit, and not waste more than a quarter
/// (`pymalloc_realloc`).
#[inline(always)]
pub const fn stays(block: u64, size: u64) -> bool {
    size <= block && 4 * size > 3 * block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_round_trip_or_are_refused() {
        let all = [
            Argument::Constant(0),
            Argument::Constant(8191),
            Argument::Register(15, 4095),
            Argument::Register(0, -4096),
            Argument::Register(7, 0),
            Argument::Low(13),
            Argument::Stack(0),
            Argument::Stack(65_528),
        ];
        for first in all {
            for second in all.into_iter().map(Some).chain([None]) {
                let cookie = Cookie::of_site(Op::Realloc, u16::MAX, first, second).unwrap();
                assert_eq!(cookie.pack() & crate::cookie::STEPPED, 0);
                let read = Cookie::unpack(cookie.pack()).unwrap();
                assert_eq!(
                    (read.op, read.hook, Argument::unpack(read.site_bits(0))),
                    (Op::Realloc, u16::MAX, first)
                );
                let second = second.unwrap_or(Argument::Constant(0));
                assert_eq!(Argument::unpack(read.site_bits(1)), second);
            }
        }
        for bad in [
            Argument::Constant(8192),
            Argument::Register(16, 0),
            Argument::Register(0, 4096),
            Argument::Register(0, -4097),
            Argument::Low(16),
            Argument::Stack(4),
        ] {
            assert_eq!(Cookie::of_site(Op::Malloc, 0, bad, None), None, "{bad:?}");
            assert_eq!(Cookie::of_site(Op::Calloc, 0, Argument::Constant(1), Some(bad)), None);
        }
    }

    #[test]
    fn lists_are_by_class_and_blocks_belong_to_arenas() {
        let heap = Heap {
            lists: 0x1000,
            arenas: 0x2000,
            pool: 16384,
        };
        let lists = [0, 1, 16, 17, 512, 513].map(|size| heap.list(size));
        assert_eq!(
            lists,
            [None, Some(0x1000), Some(0x1000), Some(0x1010), Some(0x11f0), None]
        );
        assert_eq!(heap.pool_of(0x7f00_0000_7fff), 0x7f00_0000_4000);
        let arena = 0x7f00_0010_0000;
        let of = |pool, header, arena, pools| heap.block_size(pool, header, arena, pools);
        assert_eq!(of(arena, 3 << 32 | 7, arena, 64 << 32 | 1), Some(64));
        assert_eq!(of(arena + (1 << 20) - 16384, 31 << 32, arena, 63 << 32), Some(512));
        assert_eq!(of(arena + (1 << 20), 0, arena, 64 << 32), None, "behind it");
        assert_eq!(of(arena - 16384, 0, arena, 64 << 32), None, "before it");
        assert_eq!(of(arena, 32 << 32, arena, 64 << 32), None, "no class");
        assert_eq!(of(arena, 0, arena, 65 << 32), None, "no arena");
        assert_eq!(of(0, 0, 0, 64 << 32), None, "no arena");
    }

    #[test]
    fn the_size_of_pools_is_told_and_their_headers_are_known() {
        for bytes in [4096, 16384] {
            let cookie = Cookie::of_pools(7, bytes).unwrap();
            let read = Cookie::unpack(cookie.pack()).unwrap();
            assert_eq!((read.op, read.hook, read.pool_bytes()), (Op::Pool, 7, bytes));
        }
        for bytes in [0, 100, 2048, 12288, 1 << 26] {
            assert_eq!(Cookie::of_pools(7, bytes), None, "{bytes}");
        }
        assert!(is_pool(31 << 32 | 5) && !is_pool(32 << 32) && !is_pool(u64::MAX));
    }

    #[test]
    fn what_wastes_a_quarter_is_moved() {
        assert!(stays(64, 64) && stays(64, 49) && !stays(64, 48) && !stays(64, 65) && !stays(16, 0));
    }
}
