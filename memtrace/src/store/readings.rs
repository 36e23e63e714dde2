//! Readings of resident memory as recordings had them before heaps of V8 were parts of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::profile::resident::{Parts, Reading};

/// The fields are those of [`Reading`], in the order of that time.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct EarlierReading {
    at: Duration,
    rss: u64,
    /// Live, held, mapped, before, stacks, files, unknown.
    parts: [u64; 7],
    pss: u64,
    swap: u64,
    huge: u64,
    lazy_free: u64,
    absent: u64,
    coarse: u64,
    processes: u32,
    others: u32,
    others_rss: u64,
}

impl From<EarlierReading> for Reading {
    fn from(earlier: EarlierReading) -> Self {
        let EarlierReading {
            at,
            rss,
            parts: [live, held, mapped, before, stacks, files, unknown],
            pss,
            swap,
            huge,
            lazy_free,
            absent,
            coarse,
            processes,
            others,
            others_rss,
        } = earlier;
        Self {
            at,
            rss,
            parts: Parts {
                live,
                held,
                mapped,
                before,
                stacks,
                files,
                unknown,
                ..Parts::default()
            },
            pss,
            swap,
            huge,
            lazy_free,
            absent,
            coarse,
            processes,
            others,
            others_rss,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::content;

    #[test]
    fn earlier_readings_keep_their_sum() {
        let earlier = EarlierReading {
            at: Duration::from_millis(1500),
            rss: 28,
            parts: [1, 2, 3, 4, 5, 6, 7],
            pss: 20,
            swap: 300,
            huge: 0,
            lazy_free: 1,
            absent: 9,
            coarse: 0,
            processes: 2,
            others: 1,
            others_rss: 70_000,
        };
        let packed = content::pack(&[(5_u32, earlier)][..]).unwrap();
        let read: Vec<(u32, EarlierReading)> = content::unpack(&packed).unwrap();
        let (incarnation, reading) = read
            .into_iter()
            .next()
            .map(|(of, read)| (of, Reading::from(read)))
            .unwrap();
        assert_eq!((incarnation, reading.parts.sum(), reading.rss), (5, 28, 28));
        assert_eq!((reading.parts.unknown, reading.others_rss), (7, 70_000));
    }
}
