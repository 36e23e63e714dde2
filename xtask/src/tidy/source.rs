//! A reader of Rust that knows just enough to tell which paths a file names.

use super::tokens::{Token, tokens};

/// A path that is named, with `use` trees taken apart, and where.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Named {
    /// Segments joined by `::`, without a leading `::`. A keyword or a lone identifier is a path of one segment.
    pub(super) path: String,
    /// Line, from 1.
    pub(super) line: usize,
}

/// Every path of the file, in order, up to the module of its tests.
pub(super) fn named_paths(text: &str) -> Vec<Named> {
    let tokens = tokens(text);
    let end = tokens
        .windows(8)
        .position(|window| {
            let words: Vec<_> = window.iter().map(|token| token.text.as_str()).collect();
            words == ["#", "[", "cfg", "(", "test", ")", "]", "mod"]
        })
        .unwrap_or(tokens.len());
    let mut reader = Reader {
        tokens: &tokens[..end],
        at: 0,
        found: Vec::new(),
    };
    while reader.at < reader.tokens.len() {
        if reader.is_word() || reader.is("::") {
            reader.path(&mut Vec::new());
        } else {
            reader.at += 1;
        }
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Vec<Named>,
}

impl Reader<'_> {
    fn text(&self) -> &str {
        self.tokens.get(self.at).map_or("", |token| token.text.as_str())
    }

    fn is(&self, text: &str) -> bool {
        self.text() == text
    }

    fn is_word(&self) -> bool {
        self.text().starts_with(|c: char| c.is_alphabetic() || c == '_')
    }

    /// Reads a path, or a tree of them as `use` has it, below `prefix`.
    fn path(&mut self, prefix: &mut Vec<String>) {
        let depth = prefix.len();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        if self.is("::") {
            self.at += 1;
        }
        while self.is_word() {
            prefix.push(self.text().to_owned());
            self.at += 1;
            if !self.is("::") {
                break;
            }
            self.at += 1;
            if self.is("{") {
                self.group(prefix);
                prefix.truncate(depth);
                return;
            }
        }
        if prefix.len() > depth {
            self.found.push(Named {
                path: prefix.join("::"),
                line,
            });
        }
        prefix.truncate(depth);
    }

    /// Reads the braces of a `use` tree.
    fn group(&mut self, prefix: &mut Vec<String>) {
        self.at += 1;
        while self.at < self.tokens.len() && !self.is("}") {
            if self.is_word() {
                self.path(prefix);
            } else {
                self.at += 1;
            }
        }
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        named_paths(text).into_iter().map(|named| named.path).collect()
    }

    #[test]
    fn use_trees_are_taken_apart() {
        let text = "use std::{fmt::{self, Write as _}, fs, io::*};";
        let found = paths(text);
        for path in ["std::fmt::self", "std::fmt::Write", "std::fs", "std::io"] {
            assert!(found.iter().any(|other| other == path), "{path} in {found:?}");
        }
    }

    #[test]
    fn comments_strings_and_characters_name_nothing() {
        let text = "/* a /* b */ c */ \"d \\\" e\" r#\"f \" g\"# 'h' '\\'' '\\u{61}' b\"i\" // j\nk";
        assert_eq!(
            paths(text),
            ["b", "k"],
            "the prefix of a byte string is a word like any other"
        );
    }

    #[test]
    fn lifetimes_do_not_swallow_what_follows() {
        assert_eq!(
            paths("fn f<'a>(x: &'a aya::Ebpf) {}"),
            ["fn", "f", "a", "x", "a", "aya::Ebpf"]
        );
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let text = "/* 1\n2 */\n\"3\n4\"\nfive::six";
        assert_eq!(
            named_paths(text),
            [Named {
                path: "five::six".into(),
                line: 5
            }]
        );
    }

    #[test]
    fn unfinished_text_ends_quietly() {
        for text in ["\"", "/*", "'", "'\\", "r#\"", "use a::{", "a::", "\\"] {
            named_paths(text);
        }
    }
}
