//! The 64-bit value that an attach point carries into its probe (`bpf_get_attach_cookie`, Linux 5.15).

use crate::Op;

/// What a probe knows about the place it was attached to.
///
/// Bits 0..8 hold the [`Op`], bits 8..24 the number of the hook, the rest what [`Cookie::shape`] or
/// [`Cookie::operand`] reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cookie {
    /// The allocator function at the attach point.
    pub op: Op,
    /// Number of the hook: functions of equal operation are different hooks, and one of them may jump to another.
    pub hook: u16,
    /// Bits 24..64.
    pub(crate) detail: u64,
}

/// Where a function's arguments are: indices into the registers that pass integers (System V AMD64 ABI, 3.2.3: rdi, rsi,
/// rdx, rcx, r8, r9), then rax and r10, which a function may have copied an argument to before its probe.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Shape {
    /// The requested size in bytes, or of one element where there is a count.
    pub size: Option<u8>,
    /// How many elements of that size.
    pub count: Option<u8>,
    /// The block to be replaced or freed.
    pub old: Option<u8>,
    /// Where the address of the block is stored; the function then returns 0 for success.
    pub out: Option<u8>,
    /// How its returns are seen.
    pub exits: Exits,
}

/// How the returns of a function are seen.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Exits {
    /// By a return probe, which replaces the return address.
    #[default]
    ReturnProbe,
    /// By probes on its return instructions: the stack stays as it is, so that exceptions get through.
    Instructions,
}

/// Where an argument of a static probe (USDT) is.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Operand {
    /// The register, by its number in the DWARF mapping (System V AMD64 ABI, figure 3.36): 0 rax, 1 rdx, 2 rcx, 3 rbx,
    /// 4 rsi, 5 rdi, 6 rbp, 7 rsp, 8 to 15 themselves.
    pub register: u8,
    /// For an argument in memory what is added to the register, a multiple of 8 within a kilobyte either way.
    pub offset: Option<i16>,
}

/// Where an argument's index begins in a cookie's detail: of the size.
pub(crate) const SIZE: u32 = 0;
/// Of the count.
pub(crate) const COUNT: u32 = 4;
/// Of the old block.
pub(crate) const OLD: u32 = 8;
/// Of the place for the result.
pub(crate) const OUT: u32 = 12;
/// The bit for exits by instructions.
const BY_INSTRUCTIONS: u32 = 16;
/// Where in the detail it begins how far from the entry of its function the attach point is.
const BEYOND: u32 = 18;
/// The farthest that can be told, in bytes.
const MOST_BEYOND: u64 = (1 << 12) - 1;

/// Bit of a packed cookie: the kernel steps through the instruction at the attach point, which costs ten times what one costs that
/// it emulates.
pub const STEPPED: u64 = 1 << 63;

const _: () = assert!(Cookie::DETAIL + 3 * Cookie::OPERAND_BITS <= 63);

impl Cookie {
    const DETAIL: u32 = 24;
    /// An argument that is not there.
    const NONE: u64 = 15;
    const OPERAND_BITS: u32 = 13;

    /// The cookie of a function.
    pub const fn of_function(op: Op, hook: u16, shape: Shape) -> Self {
        let by_instructions = matches!(shape.exits, Exits::Instructions) as u64;
        let detail = index(shape.size) << SIZE
            | index(shape.count) << COUNT
            | index(shape.old) << OLD
            | index(shape.out) << OUT
            | by_instructions << BY_INSTRUCTIONS;
        Self { op, hook, detail }
    }

    /// The same for a function that is seen at several places, this one so many bytes beyond its entry: all of them then have the
    /// entry's address in their stacks. `None` when that is too far to be told.
    #[must_use]
    pub const fn from_entry(self, bytes: u64) -> Option<Self> {
        if bytes > MOST_BEYOND {
            return None;
        }
        let detail = (self.detail & !(MOST_BEYOND << BEYOND)) | bytes << BEYOND;
        Some(Self { detail, ..self })
    }

    /// How far the attach point is from the address that stacks have, in bytes.
    #[inline(always)]
    pub const fn beyond_entry(self) -> u64 {
        self.detail >> BEYOND & MOST_BEYOND
    }

    /// The cookie of a static probe; `None` when an operand cannot be told in it.
    pub const fn of_static_probe(op: Op, hook: u16, operands: [Operand; 3]) -> Option<Self> {
        let mut detail = 0;
        let mut at = 0;
        while at < operands.len() {
            let Operand { register, offset } = operands[at];
            let (memory, words) = match offset {
                None => (0, 0),
                Some(offset) if offset % 8 == 0 && offset >= -1024 && offset < 1024 => {
                    (1, (offset / 8).cast_unsigned() as u8)
                }
                Some(_) => return None,
            };
            if register > 15 {
                return None;
            }
            detail |= (register as u64 | memory << 4 | (words as u64) << 5) << (at as u32 * Self::OPERAND_BITS);
            at += 1;
        }
        Some(Self { op, hook, detail })
    }

    /// The cookie as the kernel stores it.
    pub const fn pack(self) -> u64 {
        self.op as u64 | (self.hook as u64) << 8 | self.detail << Self::DETAIL
    }

    /// Reads a cookie back; `None` when its operation is not one of this version.
    #[inline(always)]
    pub const fn unpack(value: u64) -> Option<Self> {
        match Op::from_u8((value & 0xff) as u8) {
            Some(op) => Some(Self {
                op,
                hook: (value >> 8) as u16,
                detail: value >> Self::DETAIL,
            }),
            None => None,
        }
    }

    /// Where a function's arguments are.
    #[inline(always)]
    pub const fn shape(self) -> Shape {
        Shape {
            size: self.argument(SIZE),
            count: self.argument(COUNT),
            old: self.argument(OLD),
            out: self.argument(OUT),
            exits: if self.exits_by_instructions() {
                Exits::Instructions
            } else {
                Exits::ReturnProbe
            },
        }
    }

    /// Whether returns are seen by probes on instructions.
    #[inline(always)]
    pub const fn exits_by_instructions(self) -> bool {
        self.detail >> BY_INSTRUCTIONS & 1 != 0
    }

    /// The index of the argument whose place in `detail` begins at `shift`.
    #[inline(always)]
    pub(crate) const fn argument(self, shift: u32) -> Option<u8> {
        match self.detail >> shift & 15 {
            Self::NONE => None,
            index => Some(index as u8),
        }
    }

    /// Where a static probe's arguments are.
    #[inline(always)]
    pub const fn operand(self, at: u32) -> Operand {
        let bits = self.detail >> (at * Self::OPERAND_BITS);
        Operand {
            register: (bits & 15) as u8,
            offset: if bits >> 4 & 1 == 0 {
                None
            } else {
                Some(((bits >> 5) as u8).cast_signed() as i16 * 8)
            },
        }
    }
}

const fn index(argument: Option<u8>) -> u64 {
    match argument {
        Some(index) => index as u64 & 15,
        None => Cookie::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_round_trip() {
        let shapes = [
            Shape::default(),
            Shape {
                size: Some(0),
                count: Some(1),
                old: Some(2),
                out: Some(5),
                exits: Exits::Instructions,
            },
        ];
        for &op in Op::ALL {
            for shape in shapes {
                for hook in [0, 1, u16::MAX] {
                    let cookie = Cookie::of_function(op, hook, shape);
                    let read = Cookie::unpack(cookie.pack()).unwrap();
                    assert_eq!((read, read.shape()), (cookie, shape));
                }
            }
        }
        assert_eq!(Cookie::unpack(0), None);
    }

    #[test]
    fn static_probes_round_trip_or_are_refused() {
        let at = |register, offset| Operand { register, offset };
        let operands = [at(5, None), at(15, Some(-1024)), at(7, Some(1016))];
        let cookie = Cookie::of_static_probe(Op::OtelAlloc, 7, operands).unwrap();
        let read = Cookie::unpack(cookie.pack()).unwrap();
        assert_eq!([0, 1, 2].map(|index| read.operand(index)), operands);
        assert_eq!((read.op, read.hook), (Op::OtelAlloc, 7));
        for refused in [at(16, None), at(0, Some(4)), at(0, Some(1024)), at(0, Some(-1032))] {
            assert_eq!(Cookie::of_static_probe(Op::OtelAlloc, 7, [refused; 3]), None);
        }
    }
}
