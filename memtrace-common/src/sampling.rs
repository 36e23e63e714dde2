//! Which allocations are taken for a sample, and how many each stands for.
//!
//! A block is drawn with probability size / interval, and always when it is as large as the interval: so every part of the memory
//! has the same chance, whatever the sizes are (Poisson sampling with probability proportional to size). One that is drawn stands
//! for interval / size blocks of its own size (Horvitz and Thompson, 1952), rounded up or down at random so that it is right on
//! average. Sums of whole blocks are then unbiased, and take back exactly what they have added.

use crate::mix::MIX;

/// The largest interval, in bytes. Above, less than one block in a million of 1 KiB would be drawn.
pub const MAX_INTERVAL: u64 = 1 << 30;

/// Whether a block is drawn, by 32 random bits. `interval` is a power of two up to [`MAX_INTERVAL`], both in bytes: then the
/// probability is exact.
#[inline(always)]
pub const fn is_drawn(random: u32, size: u64, interval: u64) -> bool {
    size >= interval || random as u64 * interval < at_least_one(size) << 32
}

/// How many blocks of its size one that was drawn stands for, by 32 other random bits.
#[inline(always)]
pub const fn weight(random: u32, size: u64, interval: u64) -> u32 {
    if size >= interval {
        return 1;
    }
    let size = at_least_one(size);
    let part = (random as u64 * size) >> 32;
    ((interval + part) / size) as u32
}

/// Blocks of no bytes are drawn as if they had one.
#[inline(always)]
const fn at_least_one(size: u64) -> u64 {
    if size == 0 { 1 } else { size }
}

/// Slots of the filter of addresses that are in the sample, in bits of each half: 2 MiB. A million live blocks leave 15 of 16 other
/// addresses out.
pub const KNOWN_BITS: u64 = 1 << 24;

/// Bits of one value of the map.
pub const KNOWN_ROW: u64 = 8 * KNOWN_ROW_BYTES as u64;

/// The same in bytes.
pub const KNOWN_ROW_BYTES: usize = 4096;

/// Values of the map for one half.
pub const KNOWN_ROWS: u32 = (KNOWN_BITS / KNOWN_ROW) as u32;

/// The bit of an address (avma). Of the address alone, so that a child's free of what it has a copy of is found.
#[inline(always)]
pub const fn known_bit(address: u64) -> u64 {
    let once = address.wrapping_mul(MIX);
    (once ^ once >> 29).wrapping_mul(MIX) >> (u64::BITS - KNOWN_BITS.ilog2())
}

const _: () = {
    assert!(KNOWN_BITS.is_power_of_two() && MAX_INTERVAL.is_power_of_two());
    assert!(MAX_INTERVAL <= 1 << 31, "products of the interval with 32 bits");
};

#[cfg(test)]
mod tests {
    use super::*;

    /// All of the 32 bits, evenly.
    fn randoms(count: u32) -> impl Iterator<Item = u32> {
        (0..count).map(move |index| (u64::from(index) * (1 << 32) / u64::from(count)) as u32)
    }

    #[test]
    fn the_probability_is_size_by_interval() {
        for (size, interval) in [
            (1, 1 << 12),
            (100, 1 << 12),
            (4095, 1 << 12),
            (48, 1 << 19),
            (300_000, 1 << 19),
        ] {
            // The number of random values that draw it is size / interval of all.
            let all = size * ((1_u64 << 32) / interval);
            assert!(is_drawn((all - 1) as u32, size, interval), "{size} of {interval}");
            assert!(!is_drawn(all as u32, size, interval), "{size} of {interval}");
        }
        assert!(is_drawn(u32::MAX, 1 << 19, 1 << 19) && is_drawn(u32::MAX, u64::MAX, MAX_INTERVAL));
        assert!(is_drawn(0, 0, MAX_INTERVAL) && !is_drawn(4, 0, MAX_INTERVAL) && is_drawn(3, 0, MAX_INTERVAL));
    }

    #[test]
    fn weights_are_right_on_average() {
        for (size, interval) in [
            (1, 1 << 12),
            (100, 1 << 12),
            (3000, 1 << 12),
            (4095, 1 << 12),
            (77, 1 << 19),
        ] {
            let count = 100_000;
            let sum: u64 = randoms(count)
                .map(|random| u64::from(weight(random, size, interval)))
                .sum();
            let mean = sum as f64 / f64::from(count);
            let wanted = interval as f64 / size as f64;
            assert!((mean / wanted - 1.0).abs() < 1e-4, "{mean} for {wanted}");
        }
        assert_eq!(weight(u32::MAX, 1 << 20, 1 << 19), 1);
        assert_eq!(weight(u32::MAX, 0, MAX_INTERVAL), 1 << 30);
    }

    #[test]
    fn bits_are_inside_and_spread() {
        // In slots of 1024 bits.
        let mut seen = [false; 1 << 14];
        let mut fresh = 0;
        for index in 0..1_000_u64 {
            let bit = known_bit(0x5555_5555_0000 + 48 * index);
            assert!(bit < KNOWN_BITS);
            let slot = &mut seen[(bit >> 10) as usize];
            fresh += u32::from(!*slot);
            *slot = true;
        }
        // By chance some 30 of them meet.
        assert!(fresh > 940, "{fresh}");
    }
}
