//! A pattern of `LeakSanitizer`'s: `*` stands for anything, `^` and `$` are the ends of the name, and without them the pattern may
//! be anywhere in it.

/// A pattern, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Template {
    from_start: bool,
    to_end: bool,
    /// What must come in this order, with anything between.
    parts: Vec<String>,
}

impl Template {
    /// Of its text. A `^` counts at the beginning only, and what follows the first `$` does not count, as in `LeakSanitizer`.
    pub(super) fn new(text: &str) -> Self {
        let (from_start, rest) = match text.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (rest, to_end) = match rest.split_once('$') {
            Some((before, _)) => (before, true),
            None => (rest, false),
        };
        Self {
            from_start: from_start && !rest.starts_with('*'),
            to_end: to_end && !rest.ends_with('*'),
            parts: rest
                .split('*')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Whether it is about a name. No pattern is about no name.
    pub(super) fn matches(&self, name: &str) -> bool {
        if name.is_empty() {
            return false;
        }
        let mut rest = name;
        let mut parts = self.parts.as_slice();
        if self.from_start {
            let Some((first, others)) = parts.split_first() else {
                return !self.to_end;
            };
            let Some(after) = rest.strip_prefix(first.as_str()) else {
                return false;
            };
            if others.is_empty() && self.to_end {
                return after.is_empty();
            }
            (rest, parts) = (after, others);
        }
        if self.to_end {
            let Some((last, others)) = parts.split_last() else {
                return true;
            };
            let Some(before) = rest.strip_suffix(last.as_str()) else {
                return false;
            };
            (rest, parts) = (before, others);
        }
        parts.iter().all(|part| match rest.find(part.as_str()) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Template::new(pattern).matches(name)
    }

    #[test]
    fn patterns_mean_what_they_mean_to_leaksanitizer() {
        for (pattern, name, wanted) in [
            ("foo", "my_foo_bar", true),
            ("foo", "fo", false),
            ("^foo", "foobar", true),
            ("^foo", "my_foo", false),
            ("foo$", "my_foo", true),
            ("foo$", "foo_bar", false),
            ("^foo$", "foo", true),
            ("^foo$", "foofoo", false),
            ("f*o", "x fabo", true),
            ("^f*o$", "fabo", true),
            ("^f*o$", "fabob", false),
            ("a*b*c", "1a2b3c4", true),
            ("a*b*c", "1b2a3c4", false),
            ("*", "anything", true),
            ("^*foo", "my_foo", true),
            ("foo*$", "foo_bar", true),
            ("", "anything", true),
            ("foo", "", false),
            ("*", "", false),
            // Where LeakSanitizer takes the first place only, the last is meant.
            ("a$", "banana", true),
            // The ends must not overlap.
            ("^ab*bc$", "abc", false),
            ("^ab*bc$", "abbc", true),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} of {name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_about_itself_and_about_each_of_its_parts(before in "[a-z:<>]{0,5}", name in "[a-z:<>]{1,9}", after in "[a-z:<>]{0,5}") {
            let whole = format!("{before}{name}{after}");
            prop_assert!(matches(&name, &whole), "{}", name);
            let [all, ends, more] = [format!("^{whole}$"), format!("^{before}*{after}$"), format!("^{whole}.$")];
            prop_assert!(matches(&all, &whole) && matches(&ends, &whole));
            prop_assert!(!matches(&more, &whole));
        }

        #[test]
        fn anything_is_a_pattern(pattern: String, name: String) {
            let _either = matches(&pattern, &name);
        }
    }
}
