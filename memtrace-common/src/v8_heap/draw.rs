//! Which bytes of allocation areas are sampled.
//!
//! Of all bytes that a thread takes for objects, one in an interval is drawn, on average, each as likely as any other. Where in an area a
//! drawn byte lies is random, so a program that does the same again and again is sampled at another place each time. How long the interval
//! is depends on what was taken before and never on what comes, so shares have no bias from it.

use super::PAGE;

/// The shortest interval, in bytes: one sample in two areas. Each costs the thread a trap with a stack, and interrupts as the watchpoint is set
/// and taken away; more of them would also find more areas used up before they are there.
pub const LEAST_INTERVAL: u64 = 512 << 10;

/// Samples of a thread per second, about, where it takes so much that the shortest interval would give more.
pub const SAMPLES_PER_SECOND: u64 = 100;

/// The longest interval: what is drawn in it has 32 bits.
const MOST_INTERVAL: u64 = 1 << 31;

/// For how long an interval stays, in nanoseconds, unless so many samples come before that.
const PERIOD_NS: u64 = 250_000_000;
const PERIOD_SAMPLES: u64 = 2 * SAMPLES_PER_SECOND * PERIOD_NS / 1_000_000_000;

/// Whose allocation area.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct AreaKey {
    /// Where it is described (avma): its first byte, the first that is free, and its end.
    pub area: u64,
    /// The program's incarnation.
    pub incarnation: u32,
    /// The thread.
    pub tid: u32,
}

/// A byte was drawn of what is next in the place of an area that has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Drawn {
    /// Whose it is.
    pub key: AreaKey,
    /// The process, as memtrace numbers it.
    pub pid: u32,
    /// [`super::space::Space`] as its number: what the area is a part of.
    pub space: u32,
    /// How often one has ended there.
    pub turn: u64,
    /// The first byte of the one that has ended (avma).
    pub begin: u64,
    /// Where in the next one the byte is.
    pub offset: u64,
    /// For how many bytes it stands.
    pub weight: u64,
}

/// A watchpoint that is set on a drawn byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Watch {
    /// [`Drawn::turn`]
    pub turn: u64,
    /// Where it is (avma).
    pub address: u64,
    /// [`Drawn::weight`]
    pub weight: u64,
    /// Whether the byte was still to come when the watchpoint was there: 1, or 0.
    pub is_ahead: u32,
    /// [`Drawn::space`]
    pub space: u32,
}

impl Watch {
    /// Whether it has watched a byte that was taken of an area when it ended, in its turn, and that was not written to.
    #[inline(always)]
    pub const fn is_unwritten(&self, turn: u64, begin: u64, bytes: u64) -> bool {
        self.is_ahead != 0 && self.turn == turn && self.address.wrapping_sub(begin) < bytes
    }
}

/// What is known of the place of an allocation area.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Turn {
    /// How often an area has ended there, or a watchpoint in it was hit.
    pub number: u64,
    /// Identity of the call stack that wanted the first object of the one that is there now, if that is to be followed; else 0.
    pub stack: u64,
    /// How many collections the thread had had by then.
    pub collections: u64,
}

/// How often a thread is sampled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Pace {
    /// Since when, in nanoseconds of kernel time.
    pub since_ns: u64,
    /// Bytes taken since.
    pub bytes: u64,
    /// Bytes from one sample to the next, on average.
    pub interval: u64,
}

const _: () = {
    assert!(size_of::<AreaKey>() == 16);
    assert!(size_of::<Drawn>() == 56);
    assert!(size_of::<Watch>() == 32);
    assert!(size_of::<Turn>() == 24);
    assert!(size_of::<Pace>() == 24);
};

impl Pace {
    /// That of a thread which is new.
    #[inline(always)]
    pub const fn new(now_ns: u64) -> Self {
        Self {
            since_ns: now_ns,
            bytes: 0,
            interval: LEAST_INTERVAL,
        }
    }

    /// The thread has taken bytes; the interval of what comes next.
    #[inline(always)]
    pub const fn take(&mut self, now_ns: u64, bytes: u64) -> u64 {
        self.bytes = self.bytes.wrapping_add(bytes);
        let passed_ns = now_ns.wrapping_sub(self.since_ns);
        if passed_ns < PERIOD_NS && self.bytes < self.interval.wrapping_mul(PERIOD_SAMPLES) {
            return self.interval;
        }
        // In microseconds, so that the product has room.
        let passed_us = passed_ns / 1000 + 1;
        let bytes = if self.bytes < 1 << 40 { self.bytes } else { 1 << 40 };
        let interval = bytes * (1_000_000 / SAMPLES_PER_SECOND) / passed_us;
        self.interval = if interval < LEAST_INTERVAL {
            LEAST_INTERVAL
        } else if interval > MOST_INTERVAL {
            MOST_INTERVAL
        } else {
            interval
        };
        self.since_ns = now_ns;
        self.bytes = 0;
        self.interval
    }
}

/// A place in an interval.
#[inline(always)]
const fn place(random: u32, interval: u64) -> u64 {
    (random as u64 * interval) >> 32
}

/// The byte of the next area that is sampled, if one is. An area may end before it.
#[inline(always)]
pub const fn in_area(random: u32, interval: u64) -> Option<u64> {
    let place = place(random, interval);
    if place < PAGE { Some(place) } else { None }
}

/// For how many bytes an object by itself stands, if it is sampled: the longer, the likelier.
#[inline(always)]
pub const fn object(random: u32, interval: u64, bytes: u64) -> Option<u64> {
    if bytes >= interval {
        Some(bytes)
    } else if place(random, interval) < bytes {
        Some(interval)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    /// The intervals at an allocation rate, from the beginning on, by areas that are used up one after the other.
    fn intervals(bytes_per_second: u64, seconds: u64) -> (f64, u64) {
        let mut pace = Pace::new(5);
        let (mut now_ns, mut samples, mut last) = (5, 0.0, 0);
        while now_ns < seconds * SECOND_NS {
            now_ns += PAGE * SECOND_NS / bytes_per_second;
            last = pace.take(now_ns, PAGE);
            samples += PAGE as f64 / last as f64;
        }
        (samples / seconds as f64, last)
    }

    #[test]
    fn slow_threads_have_the_shortest_interval() {
        let (_, last) = intervals(20 << 20, 10);
        assert_eq!(last, LEAST_INTERVAL);
    }

    #[test]
    fn fast_threads_are_sampled_a_hundred_times_a_second() {
        for rate in [200 << 20, 1 << 30, 8 << 30] {
            let (samples, last) = intervals(rate, 10);
            assert!((90.0..140.0).contains(&samples), "{rate}: {samples}, {last}");
            assert!(last.abs_diff(rate / SAMPLES_PER_SECOND) < last / 10, "{rate}: {last}");
        }
    }

    #[test]
    fn a_thread_that_rests_is_sampled_as_a_slow_one_again() {
        let mut pace = Pace::new(0);
        assert!(pace.take(SECOND_NS / 10, 1 << 30) > 10 * LEAST_INTERVAL);
        assert_eq!(pace.take(100 * SECOND_NS, PAGE), LEAST_INTERVAL);
        // Whatever the clock and the thread say.
        assert!(pace.take(0, u64::MAX) <= MOST_INTERVAL);
        assert!(pace.take(0, u64::MAX) <= MOST_INTERVAL);
    }

    #[test]
    fn every_byte_of_an_area_is_as_likely_as_any_other() {
        for interval in [LEAST_INTERVAL, 3 << 20, MOST_INTERVAL] {
            let share = u32::try_from((PAGE << 32) / interval).unwrap();
            assert_eq!(in_area(0, interval), Some(0));
            assert!(in_area(share - 1, interval).is_some_and(|place| place >= PAGE - 2 - interval / (1 << 30)));
            assert_eq!(
                (in_area(share + 1, interval), in_area(u32::MAX, interval)),
                (None, None)
            );
            let middle = in_area(share / 2, interval).unwrap();
            assert!(middle.abs_diff(PAGE / 2) < 4, "{middle}");
        }
    }

    #[test]
    fn a_byte_is_unwritten_when_its_area_ends_behind_it() {
        let watch = Watch {
            turn: 3,
            address: 0x1040,
            weight: 1,
            is_ahead: 1,
            space: 1,
        };
        assert!(watch.is_unwritten(3, 0x1000, 0x48) && watch.is_unwritten(3, 0x1040, 8));
        assert!(!watch.is_unwritten(3, 0x1000, 0x40), "it was not taken");
        assert!(!watch.is_unwritten(3, 0x1048, 0x40), "it is not of this area");
        assert!(!watch.is_unwritten(4, 0x1000, 0x48), "it was hit");
        let late = Watch { is_ahead: 0, ..watch };
        assert!(
            !late.is_unwritten(3, 0x1000, 0x48),
            "it may have been written to before"
        );
    }

    #[test]
    fn an_object_stands_for_what_it_has_or_for_an_interval() {
        assert_eq!(object(7, 1 << 20, 1 << 20), Some(1 << 20));
        assert_eq!(object(u32::MAX, 1 << 20, 5 << 20), Some(5 << 20));
        assert_eq!(object(u32::MAX / 4 - 9, 1 << 20, 1 << 18), Some(1 << 20));
        assert_eq!(object(u32::MAX / 4 + 9, 1 << 20, 1 << 18), None);
    }
}
