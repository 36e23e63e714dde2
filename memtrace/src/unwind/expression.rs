//! The DWARF expressions that call frame information of compilers and linkers has.

use gimli::{Encoding, Format, Operation, Register, UnwindExpression, UnwindSection, X86_64};

use super::state::Bytes;

/// Most operations of an expression that is understood: the linker's for procedure linkage tables has 9.
const MAX_OPERATIONS: usize = 9;

/// What an expression computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    /// `register + offset`
    At { register: Register, offset: i64 },
    /// `*(register + offset) + add`
    Deref { register: Register, offset: i64, add: i64 },
    /// `rsp + 8`, and 8 more from `threshold` bytes into the 16-byte stub on.
    Plt { threshold: i32 },
}

/// How operations are encoded: only the size of an address matters here.
const ENCODING: Encoding = Encoding {
    address_size: 8,
    format: Format::Dwarf32,
    version: 4,
};

/// What an expression computes, where it is one of the known.
pub(super) fn place<'d, S: UnwindSection<Bytes<'d>>>(
    section: &S,
    expression: UnwindExpression<usize>,
) -> Option<Place> {
    let mut operations = [Operation::Nop; MAX_OPERATIONS];
    let mut parsed = expression.get(section).ok()?.operations(ENCODING);
    let mut count = 0;
    while let Some(operation) = parsed.next().ok()? {
        *operations.get_mut(count)? = operation;
        count += 1;
    }
    let operations = operations.get(..count)?;
    plt(operations).or_else(|| sum(operations))
}

/// The linker's expression for the stubs of a procedure linkage table: `((rip & 15) >= threshold) << 3 + rsp + 8`. Each has 16
/// bytes and pushes 8 at the same place, which ends 11 bytes into the usual stub.
fn plt(operations: &[Operation<Bytes<'_>>]) -> Option<Place> {
    match *operations {
        [
            Operation::RegisterOffset {
                register: X86_64::RSP,
                offset: 8,
                ..
            },
            Operation::RegisterOffset {
                register: X86_64::RA,
                offset: 0,
                ..
            },
            Operation::UnsignedConstant { value: 15 },
            Operation::And,
            Operation::UnsignedConstant { value: threshold },
            Operation::Ge,
            Operation::UnsignedConstant { value: 3 },
            Operation::Shl,
            Operation::Plus,
        ] if threshold < 16 => Some(Place::Plt {
            threshold: i32::try_from(threshold).ok()?,
        }),
        _ => None,
    }
}

/// A register, constants added to it, and at most one access to memory in between.
fn sum(operations: &[Operation<Bytes<'_>>]) -> Option<Place> {
    let (first, mut rest) = operations.split_first()?;
    let Operation::RegisterOffset { register, offset, .. } = *first else {
        return None;
    };
    let mut place = Place::At { register, offset };
    while let Some((operation, after)) = rest.split_first() {
        rest = after;
        let plus = match *operation {
            Operation::PlusConstant { value } => value.cast_signed(),
            Operation::UnsignedConstant { value } => followed_by_plus(&mut rest, value.cast_signed())?,
            Operation::SignedConstant { value } => followed_by_plus(&mut rest, value)?,
            Operation::Deref {
                size: 8, space: false, ..
            } => {
                let Place::At { register, offset } = place else {
                    return None;
                };
                place = Place::Deref {
                    register,
                    offset,
                    add: 0,
                };
                continue;
            }
            _ => return None,
        };
        match &mut place {
            Place::At { offset: sum, .. } | Place::Deref { add: sum, .. } => *sum = sum.checked_add(plus)?,
            Place::Plt { .. } => return None,
        }
    }
    Some(place)
}

/// A constant, if it is added.
fn followed_by_plus(rest: &mut &[Operation<Bytes<'_>>], value: i64) -> Option<i64> {
    let (Operation::Plus, after) = rest.split_first()? else {
        return None;
    };
    *rest = after;
    Some(value)
}
