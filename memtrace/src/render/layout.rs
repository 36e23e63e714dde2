//! Text that fits a width, measured in terminal columns.

use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Width of plain reports in columns.
pub(crate) const COLUMNS: usize = 80;

/// Takes from the middle what does not fit `columns`: the beginning of a name says whose it is, the end what
/// it does.
pub(crate) fn elide(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else {
        return String::new();
    };
    let head = prefix(text.chars(), room.div_ceil(2));
    let tail: Vec<char> = prefix(text.chars().rev(), room / 2).chars().rev().collect();
    head.chars().chain(['…']).chain(tail).collect()
}

/// Cuts off at the end what does not fit.
pub(crate) fn truncate(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else {
        return String::new();
    };
    let kept = prefix(text.chars(), room);
    format!("{}…", kept.trim_end())
}

/// The characters that fit.
fn prefix(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    characters
        .take_while(|character| {
            used += character.width().unwrap_or(0);
            used <= columns
        })
        .collect()
}

/// Parts text into lines at blanks, but not between a number and what follows it (`1.2 MiB`); what is wider
/// than a line gets one of its own.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match words.last_mut() {
            Some(last) if is_number(last.rsplit(' ').next().unwrap_or(last)) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

fn is_number(word: &str) -> bool {
    word.ends_with(|last: char| last.is_ascii_digit())
        && word
            .chars()
            .all(|character| character.is_ascii_digit() || "+-.,(".contains(character))
}

/// Writes a text in lines that are not longer than a report.
pub(super) fn say(text: &str, out: &mut dyn Write) -> io::Result<()> {
    wrap(text, COLUMNS).iter().try_for_each(|line| writeln!(out, "{line}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_middle_goes() {
        assert_eq!(elide("abcdefghij", 10), "abcdefghij");
        assert_eq!(elide("abcdefghij", 5), "ab…ij");
        assert_eq!(elide("数数数数", 5), "数…数");
        assert_eq!(elide("abc", 0), "");
        assert_eq!(truncate("abcdef", 4), "abc…");
        assert_eq!(wrap("aa bb cccccc d", 5), ["aa bb", "cccccc", "d"]);
        assert_eq!(wrap("about 1.2 MiB/s", 10), ["about", "1.2 MiB/s"]);
    }

    proptest! {
        #[test]
        fn nothing_is_too_wide(text: String, columns in 0..40_usize) {
            let text = crate::render::escape::text(&text);
            prop_assert!(elide(&text, columns).width() <= columns);
            prop_assert!(truncate(&text, columns).width() <= columns);
        }
    }
}
