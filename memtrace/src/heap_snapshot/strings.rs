//! The strings of a snapshot, one after the other in one piece of memory.

use std::io::Read;

use super::{error::Error, source::Source};

/// Strings by number.
#[derive(Debug, Default)]
pub(super) struct Strings {
    text: Vec<u8>,
    /// Where each ends in `text`.
    ends: Vec<u32>,
}

impl Strings {
    /// Reads an array of strings.
    pub(super) fn read<R: Read>(source: &mut Source<R>) -> Result<Self, Error> {
        let mut strings = Self::default();
        source.expect(b'[')?;
        if source.peek()? == b']' {
            source.expect(b']')?;
            return Ok(strings);
        }
        loop {
            source.string(&mut strings.text)?;
            let end = u32::try_from(strings.text.len()).map_err(|_over| Error::TooLarge {
                what: "bytes of strings",
                most: u64::from(u32::MAX),
            })?;
            strings.ends.push(end);
            if !source.has_more(b']')? {
                strings.text.shrink_to_fit();
                strings.ends.shrink_to_fit();
                return Ok(strings);
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string with this number; nothing for one that is not there.
    pub(super) fn get(&self, number: u32) -> &str {
        let index = number as usize;
        let start = index
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .map_or(0, |&end| end as usize);
        let end = self.ends.get(index).map_or(start, |&end| end as usize);
        self.text
            .get(start..end)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    /// The number of a string.
    pub(super) fn find(&self, wanted: &str) -> Option<u32> {
        (0..u32::try_from(self.len()).ok()?).find(|&number| self.get(number) == wanted)
    }
}
