//! Bars of block characters: eight steps to a column.

/// Eighths of a column, from the left.
const ACROSS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/// Eighths of a line, from below.
const UP: [char; 8] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇'];
const FULL: char = '█';

/// How many eighths of `columns` a value takes when `most` takes all. What is not nothing takes one at least.
fn eighths(value: u64, most: u64, columns: usize) -> usize {
    if value == 0 || most == 0 {
        return 0;
    }
    let all = columns as u128 * 8;
    let part = (u128::from(value.min(most)) * all).div_ceil(u128::from(most));
    usize::try_from(part).unwrap_or(usize::MAX)
}

/// A bar to the right, at most `columns` wide.
pub(crate) fn across(value: u64, most: u64, columns: usize) -> String {
    let eighths = eighths(value, most, columns);
    let rest = (!eighths.is_multiple_of(8)).then(|| ACROSS[eighths % 8]);
    std::iter::repeat_n(FULL, eighths / 8).chain(rest).collect()
}

/// Columns that stand on a line, `lines` high, the highest line first; a value that is not known is a `·` on the ground.
pub(crate) fn standing(values: &[Option<u64>], most: u64, lines: usize) -> Vec<String> {
    let cell = |value: Option<u64>, line: usize| match value {
        None if line == 0 => '·',
        None => ' ',
        Some(value) => match eighths(value, most, lines).saturating_sub(line * 8) {
            part @ 0..8 => UP[part],
            _ => FULL,
        },
    };
    (0..lines)
        .rev()
        .map(|line| values.iter().map(|&value| cell(value, line)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bars_are_to_scale() {
        assert_eq!(across(0, 10, 4), "");
        assert_eq!(across(1, 1_000_000, 4), "▏");
        assert_eq!(across(5, 10, 4), "██");
        assert_eq!(across(9, 16, 4), "██▎");
        assert_eq!(across(10, 10, 4), "████");
        let values = [Some(0), Some(1), Some(8), Some(12), Some(16), None];
        assert_eq!(standing(&values, 16, 2), ["   ▄█ ", " ▁███·"]);
    }

    proptest! {
        #[test]
        fn more_is_never_shorter(a: u64, b: u64, columns in 0..60_usize) {
            let (less, more) = (a.min(b), a.max(b));
            let length = |value| eighths(value, more, columns);
            prop_assert!(length(less) <= length(more));
            prop_assert!(across(less, more, columns).chars().count() <= columns);
            prop_assert!(columns == 0 || less == 0 || length(less) > 0);
        }
    }
}
