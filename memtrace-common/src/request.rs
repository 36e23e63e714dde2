//! What a call asks for, read from its arguments: the one place that knows each function's signature.

use crate::Op;

/// The parts of an allocator call that matter later, taken at its entry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Request {
    /// Requested size in bytes; where `overflow` is set, anything but 0.
    pub size: u64,
    /// Address of the block to be replaced or freed, or 0.
    pub old: u64,
    /// Where `posix_memalign` will store the address, or 0.
    pub out: u64,
    /// Whether the product of count and size does not fit: the call must fail.
    pub overflow: bool,
}

/// Reads a call's arguments (System V AMD64: rdi, rsi, rdx) for the hook `op`.
#[inline(always)]
pub const fn read(op: Op, arguments: [u64; 3]) -> Request {
    let [first, second, third] = arguments;
    let none = Request {
        size: 0,
        old: 0,
        out: 0,
        overflow: false,
    };
    match op {
        Op::Malloc | Op::Valloc | Op::Pvalloc => Request { size: first, ..none },
        Op::Calloc => product(none, first, second),
        Op::Realloc => Request {
            size: second,
            old: first,
            ..none
        },
        Op::Reallocarray => product(Request { old: first, ..none }, second, third),
        Op::PosixMemalign => Request {
            size: third,
            out: first,
            ..none
        },
        Op::AlignedAlloc | Op::Memalign => Request { size: second, ..none },
        Op::Free | Op::Cfree | Op::FreeSized | Op::FreeAlignedSized => Request { old: first, ..none },
        _ => none,
    }
}

/// Multiplies in halves: the BPF target has no `u128`, and what a compiler makes of a test by division is a multiplication with
/// it.
#[inline(always)]
const fn product(request: Request, count: u64, size: u64) -> Request {
    const HALF: u64 = (1 << 32) - 1;
    let (high, low) = (count >> 32, count & HALF);
    let (size_high, size_low) = (size >> 32, size & HALF);
    let both = high != 0 && size_high != 0;
    // One of them is 0, unless it overflows anyhow.
    let middle = (high * size_low).wrapping_add(low * size_high);
    let sum = (low * size_low).wrapping_add(middle << 32);
    let overflow = both || middle >> 32 != 0 || sum < middle << 32;
    Request {
        // To ask for 0 bytes may mean to free.
        size: sum | overflow as u64,
        overflow,
        ..request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature() {
        let size = |op, arguments| read(op, arguments).size;
        assert_eq!(size(Op::Malloc, [7, 8, 9]), 7);
        assert_eq!(size(Op::Valloc, [7, 8, 9]), 7);
        assert_eq!(size(Op::Pvalloc, [7, 8, 9]), 7);
        assert_eq!(size(Op::Calloc, [7, 8, 9]), 56);
        assert_eq!(
            read(Op::Realloc, [7, 8, 9]),
            Request {
                size: 8,
                old: 7,
                out: 0,
                overflow: false
            }
        );
        assert_eq!(
            read(Op::Reallocarray, [7, 8, 9]),
            Request {
                size: 72,
                old: 7,
                out: 0,
                overflow: false
            }
        );
        assert_eq!(
            read(Op::PosixMemalign, [7, 8, 9]),
            Request {
                size: 9,
                old: 0,
                out: 7,
                overflow: false
            }
        );
        assert_eq!(size(Op::AlignedAlloc, [7, 8, 9]), 8);
        assert_eq!(size(Op::Memalign, [7, 8, 9]), 8);
        for op in [Op::Free, Op::Cfree, Op::FreeSized, Op::FreeAlignedSized] {
            assert_eq!(
                read(op, [7, 8, 9]),
                Request {
                    size: 0,
                    old: 7,
                    out: 0,
                    overflow: false
                }
            );
        }
    }

    #[test]
    fn products_overflow_exactly_where_they_do() {
        let cases = [
            (0, u64::MAX),
            (u64::MAX, 0),
            (1, u64::MAX),
            (u64::MAX, 1),
            (2, u64::MAX / 2),
            (2, u64::MAX / 2 + 1),
            (1 << 32, 1 << 32),
            ((1 << 32) - 1, (1 << 32) + 1),
            ((1 << 32) + 1, (1 << 32) + 1),
            (1 << 33, 1 << 33),
            (1 << 63, 2),
            (1 << 31, 1 << 33),
            ((1 << 32) - 1, (1 << 32) - 1),
            (u64::MAX / 3, 3),
            (u64::MAX / 3 + 1, 3),
            (3, u64::MAX / 3 + 1),
            (0x1_0000_0001, 0xffff_ffff),
            (0x1_0000_0001, 0x1_0000_0000),
        ];
        for (count, size) in cases {
            let request = read(Op::Calloc, [count, size, 0]);
            let wanted = count.checked_mul(size);
            assert_eq!(request.overflow, wanted.is_none(), "{count} * {size}");
            match wanted {
                Some(product) => assert_eq!(request.size, product),
                None => assert_ne!(request.size, 0, "{count} * {size}"),
            }
        }
    }
}
