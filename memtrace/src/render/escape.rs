//! Names come from the target and may be hostile: what could move a terminal's cursor, turn text around or
//! hide in it is shown as `\u{1b}` instead.

use std::borrow::Cow;

/// Escapes for terminals and plain text: the result is one line, and what can be seen is all there is.
pub fn text(name: &str) -> Cow<'_, str> {
    if !name.contains(is_unsafe) {
        return Cow::Borrowed(name);
    }
    let mut escaped = String::with_capacity(name.len() + 16);
    for character in name.chars() {
        if is_unsafe(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Escapes one frame of a folded stack: besides [`text`], nothing that its readers take for a separator.
///
/// `;` parts frames, a last word of digits is the value (two are a difference), `# ` at the start of a line is
/// a comment, outer blanks are cut off, and a name must not be empty. Inferno also cuts off a `_[k]` at the end.
pub fn folded(name: &str) -> String {
    let mut name = text(name).trim().replace(';', ":");
    if name.is_empty() {
        return "[unnamed]".into();
    }
    if name == "#" || name.starts_with("# ") {
        name.insert(1, '_');
    }
    if let Some(blank) = name.rfind(' ')
        && name[blank + 1..]
            .chars()
            .all(|character| character.is_ascii_digit() || character == '.')
    {
        name.replace_range(blank..=blank, "_");
    }
    if name.ends_with(']') && name.len() >= 4 && name.get(name.len() - 4..).is_some_and(|end| end.starts_with("_[")) {
        name.push('_');
    }
    name
}

/// Whether a character must not reach a terminal, an XML reader or a person as it is.
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Soft hyphen, combining grapheme joiner, Arabic letter mark, Hangul fillers: invisible.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
            // Mongolian and other variation selectors: invisible.
            | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
            // Zero-width characters and direction marks.
            | '\u{200b}'..='\u{200f}'
            // Line and paragraph separator, direction overrides.
            | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, direction isolates.
            | '\u{2060}'..='\u{206f}'
            // Byte order mark; interlinear annotation; the replacement for objects.
            | '\u{feff}' | '\u{fff9}'..='\u{fffc}'
            // Not characters: forbidden in XML.
            | '\u{fdd0}'..='\u{fdef}' | '\u{fffe}' | '\u{ffff}'
            // Musical format controls, tags.
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attacks_are_shown_and_names_are_kept() {
        assert_eq!(text("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(text("a\nb\u{202e}"), "a\\u{a}b\\u{202e}");
        assert_eq!(text("größe::λ<数>"), "größe::λ<数>");
    }

    #[test]
    fn folded_names_cannot_be_read_as_anything_else() {
        let cases = [
            ("[u8; 8]", "[u8: 8]"),
            ("x 99 100", "x 99_100"),
            ("lambda 1.5", "lambda_1.5"),
            ("# main", "#_ main"),
            ("#", "#_"),
            ("spin_[k]", "spin_[k]_"),
            ("  ", "[unnamed]"),
            ("int f(int) const", "int f(int) const"),
        ];
        for (name, wanted) in cases {
            assert_eq!(folded(name), wanted);
        }
    }

    proptest! {
        #[test]
        fn nothing_unsafe_passes(name: String, character: char) {
            for name in [name, character.to_string()] {
                prop_assert!(!text(&name).contains(is_unsafe));
                let folded = folded(&name);
                prop_assert!(!folded.contains(is_unsafe) && !folded.contains([';', '\n']));
                prop_assert!(!folded.trim().is_empty() && folded.trim() == folded);
            }
        }

        #[test]
        fn safe_names_stay(name in "[a-zA-Z0-9_:<>&*, ()~]*") {
            prop_assert!(text(&name) == name);
        }
    }
}
