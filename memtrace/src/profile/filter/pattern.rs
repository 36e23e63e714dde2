//! What a function or a module must be called.

use std::fmt;

use regex_lite::Regex;
use thiserror::Error;

use super::super::Frame;

/// A regular expression that cannot be used.
#[derive(Clone, Debug, Error)]
#[error("failed to read {pattern:?} as a regular expression: {reason}")]
pub struct PatternError {
    pattern: String,
    reason: String,
}

/// A regular expression over the names of functions.
#[derive(Clone, Debug)]
pub struct FramePattern(Regex);

impl FramePattern {
    /// Reads an expression, in the syntax of the crate `regex-lite`: what Perl's and most others have in common, without looking
    /// around and without references back. It matches anywhere in a name unless it is anchored.
    ///
    /// # Errors
    ///
    /// What is no such expression, or one that is too large.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        expression(pattern, pattern).map(Self)
    }

    /// Whether a frame has such a function; one without a symbol has none.
    pub(super) fn matches(&self, frame: &Frame) -> bool {
        let function = frame.function.as_deref();
        function.is_some_and(|function| self.0.is_match(function))
    }
}

impl fmt::Display for FramePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "/{}/", self.0)
    }
}

/// A part of a module's name; or, with `*` (any text) or `?` (any character) in it, all of the name.
#[derive(Clone, Debug)]
pub struct ModulePattern {
    text: String,
    /// None where a part is enough.
    whole: Option<Regex>,
}

impl ModulePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// One that is too large.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let whole = if text.contains(['*', '?']) {
            let escaped = regex_lite::escape(text);
            let inner = escaped.replace(r"\*", ".*").replace(r"\?", ".");
            Some(expression(text, &format!("(?s)^{inner}$"))?)
        } else {
            None
        };
        Ok(Self {
            text: text.to_owned(),
            whole,
        })
    }

    /// Whether a frame is in such a module.
    pub(super) fn matches(&self, frame: &Frame) -> bool {
        match &self.whole {
            Some(whole) => whole.is_match(&frame.module),
            None => frame.module.contains(&self.text),
        }
    }
}

impl fmt::Display for ModulePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

fn expression(asked: &str, pattern: &str) -> Result<Regex, PatternError> {
    Regex::new(pattern).map_err(|error| PatternError {
        pattern: asked.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::fixture::frame;

    #[test]
    fn expressions_are_of_functions_and_match_anywhere() {
        let matches = |pattern: &str, name: &str| FramePattern::new(pattern).unwrap().matches(&frame(name, "m"));
        assert!(matches("List::push", "std::List::push(int)"));
        assert!(!matches("^push", "std::List::push(int)"));
        assert!(matches("(?i)PUSH|pop", "pop_front"));
        let unnamed = Frame {
            function: None,
            ..frame("", "push")
        };
        assert!(!FramePattern::new("").unwrap().matches(&unnamed));
        let error = FramePattern::new("a(").unwrap_err().to_string();
        assert!(
            error.starts_with("failed to read \"a(\" as a regular expression"),
            "{error}"
        );
    }

    #[test]
    fn modules_match_by_part_or_as_a_whole() {
        let matches = |pattern: &str, name: &str| ModulePattern::new(pattern).unwrap().matches(&frame("f", name));
        assert!(
            matches("ssl", "libssl.so.3") && matches("libssl*", "libssl.so.3") && matches("lib???.so.3", "libssl.so.3")
        );
        assert!(!matches("ssl*", "libssl.so.3") && !matches("libss?", "libssl.so.3"));
        assert!(matches("*.so", "a\nb.so") && !matches("a.c*", "abc"));
    }

    proptest! {
        #[test]
        fn any_name_matches_itself(name in "\\PC{0,12}") {
            prop_assert!(ModulePattern::new(&name).unwrap().matches(&frame("f", &name)));
            prop_assert!(FramePattern::new(&regex_lite::escape(&name)).unwrap().matches(&frame(&name, "m")));
        }
    }
}
