//! How far apart the moments of a recording are.
//!
//! A moment costs bytes, and a recording may take a day. So moments come a constant share of the time since the start apart, which
//! makes their number grow with the logarithm of the time: a thousandth, or as much more as it takes for the bytes that are left to
//! last until [`LONGEST`].

use std::time::Duration;

/// The shortest time between two moments.
const FIRST: Duration = Duration::from_secs(1);

/// One moment for each so many parts of the time since the start: a moment can be named to a tenth of a percent.
const SHARE: u32 = 1000;

/// What the bytes must last for: longer than anybody records.
const LONGEST: Duration = Duration::from_hours(24 * 100);

/// Of so many bytes of the limit none is used for moments: names and the end need room.
const RESERVE: u64 = 8;

/// Decides when the next moment is due.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bytes that the file may have.
    limit: u64,
    /// Bytes that it had at the last moment.
    written: u64,
    /// What a moment takes, as a running mean, in bytes.
    mean: f64,
}

impl Pace {
    /// For a file of at most so many bytes.
    pub const fn new(limit: u64) -> Self {
        Self {
            limit,
            written: 0,
            mean: 0.0,
        }
    }

    /// How long after a moment the next is due; `elapsed` is the time since the start, `written` what the file has. `None` when
    /// there is no room for another.
    pub fn next(&mut self, elapsed: Duration, written: u64) -> Option<Duration> {
        let taken = written.saturating_sub(self.written) as f64;
        self.mean = if self.written == 0 {
            taken
        } else {
            self.mean.mul_add(0.75, taken * 0.25)
        };
        self.written = written;
        let usable = self.limit - self.limit / RESERVE;
        let left = usable.checked_sub(written).filter(|&left| left > 0)? as f64;
        // From now until then there are as many moments as the logarithm of the times' ratio by the share.
        let elapsed_seconds = elapsed.max(FIRST).as_secs_f64();
        let moments_by_share = (LONGEST.as_secs_f64() / elapsed_seconds).ln().max(1.0);
        let share = moments_by_share * self.mean / left;
        // More than any time that somebody waits for is no room.
        let by_size = Duration::try_from_secs_f64(elapsed_seconds * share).ok()?;
        Some(FIRST.max(elapsed / SHARE).max(by_size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many moments there are and what the file has after a time, at so many bytes each.
    fn record(limit: u64, bytes: u64, time: Duration) -> (u64, u64, Duration) {
        let mut pace = Pace::new(limit);
        let (mut now, mut written, mut moments) = (Duration::ZERO, 24, 0);
        let mut pause = Duration::ZERO;
        while now < time {
            written += bytes;
            moments += 1;
            match pace.next(now, written) {
                Some(next) => pause = next,
                None => break,
            }
            now += pause;
        }
        (moments, written, pause)
    }

    #[test]
    fn a_short_recording_has_a_moment_each_second() {
        let (moments, _, pause) = record(1 << 30, 5_000, Duration::from_mins(10));
        assert!(moments >= 599 && pause == FIRST, "{moments} {pause:?}");
    }

    #[test]
    fn a_day_and_a_month_stay_below_the_limit() {
        for bytes in [300, 20_000, 400_000, 3_000_000] {
            for days in [1, 30] {
                let (moments, written, pause) = record(256 << 20, bytes, Duration::from_hours(24 * days));
                assert!(written <= 256 << 20, "{bytes} {days}: {written}");
                assert!(moments > 50, "{bytes} {days}: {moments}");
                assert!(pause < Duration::from_hours(24 * days) / 4, "{bytes} {days}: {pause:?}");
            }
        }
    }

    #[test]
    fn a_file_that_is_full_takes_no_moment() {
        assert_eq!(Pace::new(1000).next(FIRST, 990), None);
    }
}
