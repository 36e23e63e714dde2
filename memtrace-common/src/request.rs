//! What a call asks for, read from its arguments: the one place that knows each function's signature.

use crate::Op;

/// The parts of an allocator call that matter later, taken at its entry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Request {
    /// Requested size in bytes; wrapped where `overflow` is set.
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

/// Multiplies without `u128`, whose arithmetic the BPF target does not have.
#[inline(always)]
const fn product(request: Request, count: u64, size: u64) -> Request {
    let small = (count | size) >> 32 == 0;
    let overflow = !small && size != 0 && count > u64::MAX / size;
    Request {
        size: count.wrapping_mul(size),
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
        ];
        for (count, size) in cases {
            let request = read(Op::Calloc, [count, size, 0]);
            let wanted = count.checked_mul(size);
            assert_eq!(request.overflow, wanted.is_none(), "{count} * {size}");
            assert_eq!(request.size, count.wrapping_mul(size));
        }
    }
}
