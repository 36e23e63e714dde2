//! What a call asks for, read from its arguments.

use crate::{
    Cookie,
    cookie::{COUNT, OLD, OUT, SIZE},
};

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

/// The integer arguments of a call that a cookie can speak of; two more so that an index of three bits is always inside.
pub type Arguments = [u64; 8];

/// Reads a call's arguments as the hook's cookie says.
#[inline(always)]
pub const fn read(cookie: Cookie, arguments: &Arguments) -> Request {
    let request = Request {
        size: at(cookie.argument(SIZE), arguments),
        old: at(cookie.argument(OLD), arguments),
        out: at(cookie.argument(OUT), arguments),
        overflow: false,
    };
    match cookie.argument(COUNT) {
        Some(_) => product(request, at(cookie.argument(COUNT), arguments), request.size),
        None => request,
    }
}

#[inline(always)]
const fn at(argument: Option<u8>, arguments: &Arguments) -> u64 {
    match argument {
        Some(index) => arguments[(index & 7) as usize],
        None => 0,
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
    use crate::{Op, Shape};

    const ARGUMENTS: Arguments = [7, 8, 9, 10, 11, 12, 0, 0];

    fn request(shape: Shape, arguments: &Arguments) -> Request {
        read(Cookie::of_function(Op::Malloc, 0, shape), arguments)
    }

    #[test]
    fn arguments_are_where_the_cookie_says() {
        let shape = Shape {
            size: Some(3),
            old: Some(0),
            out: Some(5),
            ..Shape::default()
        };
        let expected = Request {
            size: 10,
            old: 7,
            out: 12,
            overflow: false,
        };
        assert_eq!(request(shape, &ARGUMENTS), expected);
        assert_eq!(request(Shape::default(), &ARGUMENTS), Request::default());
    }

    #[test]
    fn products_overflow_exactly_where_they_do() {
        let calloc = Shape {
            count: Some(0),
            size: Some(1),
            ..Shape::default()
        };
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
            let request = request(calloc, &[count, size, 0, 0, 0, 0, 0, 0]);
            let wanted = count.checked_mul(size);
            assert_eq!(request.overflow, wanted.is_none(), "{count} * {size}");
            match wanted {
                Some(product) => assert_eq!(request.size, product),
                None => assert_ne!(request.size, 0, "{count} * {size}"),
            }
        }
    }
}
