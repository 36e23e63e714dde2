//! The 64-bit value that an attach point carries into its probe (`bpf_get_attach_cookie`, Linux 5.15).

use crate::Op;

/// What a probe knows about the place it was attached to.
///
/// Bits 0..8 hold the [`Op`], bits 8..16 the index of the allocator in the attach plan; the rest is zero
/// and reserved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cookie {
    /// The allocator function at the attach point.
    pub op: Op,
    /// Index of the allocator in the attach plan.
    pub allocator: u8,
}

impl Cookie {
    /// Where the number of the allocator begins.
    pub const ALLOCATOR_SHIFT: u32 = 8;

    /// The cookie as the kernel stores it.
    pub const fn pack(self) -> u64 {
        self.op as u64 | (self.allocator as u64) << Self::ALLOCATOR_SHIFT
    }

    /// Reads a cookie back; `None` when it was not made by [`Cookie::pack`] of this version.
    pub const fn unpack(value: u64) -> Option<Self> {
        if value >> 16 != 0 {
            return None;
        }
        match Op::from_u8((value & 0xff) as u8) {
            Some(op) => Some(Self {
                op,
                allocator: (value >> 8 & 0xff) as u8,
            }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_foreign_values() {
        for &op in Op::ALL {
            for allocator in [0, 1, 255] {
                let cookie = Cookie { op, allocator };
                assert_eq!(Cookie::unpack(cookie.pack()), Some(cookie));
            }
        }
        assert_eq!(Cookie::unpack(0), None);
        assert_eq!(Cookie::unpack(1 << 16 | 1), None);
    }
}
