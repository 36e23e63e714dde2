//! What is made of several measurements.

use std::fmt;

/// The middle value; of an even number of values, the mean of the two in the middle.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// A middle value with the ends of what was measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    /// The [`median`].
    pub(super) median: f64,
    /// The least value.
    pub(super) least: f64,
    /// The greatest value.
    pub(super) most: f64,
}

impl Spread {
    /// Of these values; not a number where there are none.
    pub(super) fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        Self {
            median: median(values.clone()),
            least: values.clone().fold(f64::NAN, f64::min),
            most: values.fold(f64::NAN, f64::max),
        }
    }
}

impl fmt::Display for Spread {
    /// `3.50 (3.10 to 4.00)`, with the precision that is asked for.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = out.precision().unwrap_or(2);
        let Self { median, least, most } = self;
        write!(out, "{median:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()).to_bits(), 2.5_f64.to_bits());
        assert!(median(std::iter::empty()).is_nan());
    }

    #[test]
    fn a_spread_has_both_ends() {
        let spread = Spread::of([4.0, 1.0, 2.0].into_iter());
        assert_eq!(
            [spread.least, spread.median, spread.most].map(f64::to_bits),
            [1.0_f64, 2.0, 4.0].map(f64::to_bits)
        );
        assert_eq!(format!("{spread:.1}"), "2.0 (1.0 to 4.0)");
        assert!(Spread::of(std::iter::empty()).most.is_nan());
    }
}
