//! Moments of a recording as people name them.

use std::{str::FromStr, time::Duration};

use anyhow::{Context as _, bail};
use jiff::{
    SignedDuration, Timestamp,
    civil::{DateTime, Time},
    tz::Offset,
};

use crate::{store::Start, units};

/// A moment as it was named.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum When {
    /// So long after the start: `90s`, `+5min`.
    After(Duration),
    /// What the clocks of the recorded machine showed, on the day of the recording: `12:03:05`.
    Clock(Time),
    /// The same with its date: `2026-11-21T12:03:05`.
    Date(DateTime),
    /// A moment anywhere: `2026-11-21T12:03:05Z`.
    Instant(Timestamp),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(instant) = text.parse() {
            return Ok(Self::Instant(instant));
        }
        if text.contains('T') || (text.contains(' ') && text.contains(':')) {
            if let Ok(date) = text.parse() {
                return Ok(Self::Date(date));
            }
        } else if text.contains(':') {
            // A time alone may lack its seconds, and its hour has two digits.
            let padded = if text.find(':') == Some(1) {
                format!("0{text}")
            } else {
                text.to_owned()
            };
            if let Ok(time) = padded.parse() {
                return Ok(Self::Clock(time));
            }
        } else if let Ok(duration) = humantime::parse_duration(text.strip_prefix('+').unwrap_or(text)) {
            return Ok(Self::After(duration));
        }
        Err(
            "a moment is a time since the start (90s, 1h5min), a time of day (12:03:05), or a date with it \
             (2026-11-21T12:03:05, with Z for UTC)"
                .to_owned(),
        )
    }
}

/// When a recording began and ended.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    began: Timestamp,
    offset: Offset,
    length: Duration,
}

impl Span {
    /// Of a recording that is `length` long.
    pub fn new(start: &Start, length: Duration) -> Self {
        Self {
            began: Timestamp::from_nanosecond(start.began_unix_ns.into()).unwrap_or(Timestamp::UNIX_EPOCH),
            offset: Offset::from_seconds(start.utc_offset_seconds).unwrap_or(Offset::UTC),
            length,
        }
    }

    /// A moment as the clocks of the recorded machine showed it.
    pub fn date(&self, after: Duration) -> DateTime {
        let after = SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX);
        let instant = self.began.saturating_add(after).unwrap_or(Timestamp::MAX);
        self.offset.to_datetime(instant)
    }

    /// How long after the start a moment is.
    ///
    /// # Errors
    /// One that is not in the recording, or that may be several.
    pub fn resolve(&self, when: When) -> anyhow::Result<Duration> {
        let found = match when {
            When::After(after) => Some(after),
            When::Instant(instant) => self.after(instant),
            When::Date(date) => self.after(self.offset.to_timestamp(date).context("no such moment")?),
            When::Clock(time) => {
                let first = self.date(Duration::ZERO).date();
                let days = std::iter::successors(Some(first), |day| day.tomorrow().ok());
                let last = self.date(self.length).date();
                let days = days.take_while(|&day| day <= last);
                let instants = days.filter_map(|day| self.offset.to_timestamp(day.to_datetime(time)).ok());
                let mut inside = instants.filter_map(|instant| self.after(instant).filter(|&at| at <= self.length));
                let found = inside.next();
                if inside.next().is_some() {
                    bail!("{time} was on several days of this recording: say which, as {first}T{time}");
                }
                found
            }
        };
        match found {
            Some(after) if after <= self.length => Ok(after),
            _ => bail!(
                "that moment is not in the recording: it goes from {} to {} ({})",
                self.date(Duration::ZERO).strftime("%Y-%m-%dT%H:%M:%S"),
                self.date(self.length).strftime("%Y-%m-%dT%H:%M:%S"),
                units::duration(self.length)
            ),
        }
    }

    fn after(&self, instant: Timestamp) -> Option<Duration> {
        // A clock that is shown to the second is behind by up to one.
        let after = instant.duration_since(self.began);
        match Duration::try_from(after) {
            Ok(after) => Some(after),
            Err(_) if after > SignedDuration::from_secs(-1) => Some(Duration::ZERO),
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 23:59:00 on, two hours east of UTC.
    fn span(length: Duration) -> Span {
        Span {
            began: "2026-11-21T21:59:00Z".parse().unwrap(),
            offset: Offset::from_hours(2).unwrap(),
            length,
        }
    }

    fn resolve(text: &str, length: u64) -> Result<u64, String> {
        let span = span(Duration::from_secs(length));
        let when = text.parse::<When>()?;
        let found = span.resolve(when).map_err(|error| error.to_string())?;
        Ok(found.as_secs())
    }

    #[test]
    fn moments_are_named_in_many_ways() {
        for text in [
            "90s",
            "+90s",
            "1min 30s",
            "00:00:30",
            "0:00:30",
            "2026-11-22T00:00:30",
            "2026-11-21T22:00:30Z",
            "2026-11-22T00:00:30+02:00",
        ] {
            assert_eq!(resolve(text, 300), Ok(90), "{text}");
        }
        assert_eq!(resolve("23:59", 300), Ok(0));
    }

    #[test]
    fn what_is_outside_or_unclear_is_said() {
        for text in ["301s", "12:00:00", "2026-11-21T23:58:00", "2026-11-20T21:59:30Z"] {
            let error = resolve(text, 300).unwrap_err();
            assert!(error.contains("2026-11-21T23:59:00 to 2026-11-22T00:04:00"), "{error}");
        }
        assert!(resolve("00:00:30", 90_000).unwrap_err().contains("several days"));
        for text in ["", "soon", "25:00:00", "12:3", "-5s"] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }
}
