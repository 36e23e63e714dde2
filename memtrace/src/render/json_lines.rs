//! How JSON is laid out and what is escaped in it.

use std::io::{self, Write};

use serde_json::ser::Formatter;

use super::escape;

/// Line breaks down to the level of a frame, so that a report can be read and compared line by line; and
/// escapes for all that [`escape::is_unsafe`].
#[derive(Default)]
pub(super) struct Lines {
    depth: usize,
    /// Whether the array or object that is being closed has content.
    filled: bool,
}

impl Lines {
    /// Levels that get lines of their own: the document, the list of sites, a site, its stack.
    const DEPTH: usize = 4;

    fn open<W: ?Sized + Write>(&mut self, bracket: &[u8], out: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        out.write_all(bracket)
    }

    fn item<W: ?Sized + Write>(&self, first: bool, out: &mut W) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        if self.depth <= Self::DEPTH {
            self.newline(out)
        } else if first {
            Ok(())
        } else {
            out.write_all(b" ")
        }
    }

    fn close<W: ?Sized + Write>(&mut self, bracket: &[u8], out: &mut W) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if self.filled && self.depth < Self::DEPTH {
            self.newline(out)?;
        }
        self.filled = true;
        out.write_all(bracket)
    }

    fn newline<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        write!(out, "\n{:1$}", "", self.depth * 2)
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(b"[", out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(b"]", out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.item(first, out)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(b"{", out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(b"}", out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.item(first, out)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        write_fragment(out, fragment)
    }
}

/// Without blanks and line breaks, for documents that no person reads; with the same escapes.
pub(super) struct Compact;

impl Formatter for Compact {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        write_fragment(out, fragment)
    }
}

fn write_fragment<W: ?Sized + Write>(out: &mut W, fragment: &str) -> io::Result<()> {
    for part in fragment.split_inclusive(escape::is_unsafe) {
        let last = part
            .chars()
            .next_back()
            .filter(|&character| escape::is_unsafe(character));
        out.write_all(&part.as_bytes()[..part.len() - last.map_or(0, char::len_utf8)])?;
        for unit in last
            .iter()
            .flat_map(|character| character.encode_utf16(&mut [0; 2]).to_vec())
        {
            write!(out, "\\u{unit:04x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize as _;
    use serde_json::Serializer;

    use super::*;

    proptest! {
        #[test]
        fn strings_are_clean_and_read_back_as_they_were(name: String, character: char) {
            for name in [name, character.to_string()] {
                let mut bytes = Vec::new();
                name.serialize(&mut Serializer::with_formatter(&mut bytes, Lines::default())).unwrap();
                let text = String::from_utf8(bytes).unwrap();
                prop_assert!(!text.contains(escape::is_unsafe), "{text}");
                prop_assert_eq!(serde_json::from_str::<String>(&text).unwrap(), name);
            }
        }
    }
}
