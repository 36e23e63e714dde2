//! Numbers as people read them: bytes, rates, times, counts and shares.
//!
//! Bytes and counts are worked out in integers, so that a larger number never reads as a smaller one.

use std::time::Duration;

const BINARY: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `512 B`, `1.2 MiB`: exact below 1 KiB, one decimal from there on.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 1_u128 << 10;
    for name in BINARY {
        let tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
        // 1023.96 KiB would round to 1024.0 KiB, which is 1.0 MiB.
        if tenths < 10_240 || name == BINARY[BINARY.len() - 1] {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
        unit <<= 10;
    }
    unreachable!("the last unit is always taken")
}

/// `+12.4 KiB/s`, `-3 B/s`, `0 B/s`.
pub fn rate(bytes_per_second: f64) -> String {
    let size = whole(bytes_per_second.abs());
    let sign = match (size, bytes_per_second > 0.0) {
        (0, _) => "",
        (_, true) => "+",
        (_, false) => "-",
    };
    format!("{sign}{}/s", bytes(size))
}

/// `350 ms`, `2.5 s`, `58 s`, `2 min 5 s`, `1 h 3 min`, `2 d 4 h`; what is cut off is never rounded up.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let pair = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0 if duration.is_zero() => "0 s".into(),
        0 => format!("{} ms", duration.subsec_millis()),
        1..10 => match duration.subsec_millis() / 100 {
            0 => format!("{seconds} s"),
            tenths => format!("{seconds}.{tenths} s"),
        },
        10..60 => format!("{seconds} s"),
        60..3_600 => pair(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => pair(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

/// `0 s`, `1.0 us`, `4.2 ms`, `17.2 s`: a short time with one decimal, from a minute on as [`duration`].
pub fn precise(time: Duration) -> String {
    match time.as_nanos() {
        0 => "0 s".into(),
        nanoseconds @ 1..1_000 => format!("{nanoseconds} ns"),
        nanoseconds @ 1_000..1_000_000 => tenths(nanoseconds, 1_000, "us"),
        nanoseconds @ 1_000_000..1_000_000_000 => tenths(nanoseconds, 1_000_000, "ms"),
        nanoseconds @ 1_000_000_000..60_000_000_000 => tenths(nanoseconds, 1_000_000_000, "s"),
        _ => duration(time),
    }
}

/// A number of units with one decimal; what is cut off is never rounded up.
fn tenths(value: u128, unit: u128, name: &str) -> String {
    format!("{}.{} {name}", value / unit, value % unit * 10 / unit)
}

/// `1,234,567`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 block`, `1,010 blocks`.
pub fn blocks(blocks: u64) -> String {
    plural(blocks, "block")
}

/// `1 process`, `12 processes`.
pub fn processes(processes: u64) -> String {
    format!("{} process{}", count(processes), if processes == 1 { "" } else { "es" })
}

/// The count and its noun, with an `s` where it is not one.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `64.5%` of a share from 0 to 1. Only nothing is `0%` and only everything `100%`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if percent <= 0.0 => "0%".into(),
        _ if percent < 0.1 => "<0.1%".into(),
        _ if percent > 99.9 && percent < 100.0 => ">99.9%".into(),
        _ if (percent - 100.0).abs() < f64::EPSILON => "100%".into(),
        _ => format!("{percent:.1}%"),
    }
}

/// The whole part of a size; nothing below zero, and at most what fits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, which is what is wanted"
)]
pub fn whole(size: f64) -> u64 {
    size.round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_at_every_border() {
        let cases = [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_258_291, "1.2 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            ((1 << 20) - 52, "1023.9 KiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (size, text) in cases {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn rates_have_a_sign_and_survive_anything() {
        assert_eq!(rate(12_697.6), "+12.4 KiB/s");
        assert_eq!(rate(-3.0), "-3 B/s");
        assert_eq!(rate(-0.2), "0 B/s");
        assert_eq!(rate(f64::NAN), "0 B/s");
        assert_eq!(rate(f64::INFINITY), "+16.0 EiB/s");
    }

    #[test]
    fn durations() {
        let cases = [
            (0, "0 s"),
            (350, "350 ms"),
            (2_599, "2.5 s"),
            (3_000, "3 s"),
            (58_999, "58 s"),
            (60_000, "1 min"),
            (125_000, "2 min 5 s"),
            (3_780_000, "1 h 3 min"),
            (187_200_000, "2 d 4 h"),
        ];
        for (milliseconds, text) in cases {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn short_times_have_a_decimal() {
        let cases = [
            (0, "0 s"),
            (999, "999 ns"),
            (1_024, "1.0 us"),
            (999_999, "999.9 us"),
            (4_194_304, "4.1 ms"),
            (17_179_869_184, "17.1 s"),
            (274_877_906_944, "4 min 34 s"),
        ];
        for (nanoseconds, text) in cases {
            assert_eq!(precise(Duration::from_nanos(nanoseconds)), text);
        }
    }

    #[test]
    fn counts_and_shares() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1_000, 1_234_567].map(count)
        );
        assert_eq!((blocks(1), blocks(1_010)), ("1 block".into(), "1,010 blocks".into()));
        assert_eq!(
            (processes(1), processes(1_010)),
            ("1 process".into(), "1,010 processes".into())
        );
        let shares = [0.0, 0.0001, 0.645, 0.9999, 1.0, f64::NAN].map(percent);
        assert_eq!(shares, ["0%", "<0.1%", "64.5%", ">99.9%", "100%", "NaN%"]);
    }

    /// The number of bytes that a text of [`bytes`] stands for.
    fn parse(text: &str) -> f64 {
        let (number, unit) = text.split_once(' ').unwrap();
        let power = BINARY
            .iter()
            .position(|&name| name == unit)
            .map_or(0, |index| index + 1);
        number.parse::<f64>().unwrap() * 1024_f64.powi(i32::try_from(power).unwrap())
    }

    proptest! {
        #[test]
        fn bytes_are_near_and_in_order(a: u64, b: u64, shift in 0..64_u32) {
            let (a, b) = ((a >> shift).min(b >> shift), (a >> shift).max(b >> shift));
            let (small, large) = (parse(&bytes(a)), parse(&bytes(b)));
            prop_assert!(small <= large, "{a} {b}");
            prop_assert!((small - a as f64).abs() <= a as f64 * 0.051, "{a} reads {small}");
        }

        #[test]
        fn counts_only_gain_separators(value: u64) {
            prop_assert_eq!(count(value).replace(',', ""), value.to_string());
        }
    }
}
