//! JSON piece by piece: what is needed of it to read arrays of numbers and of strings that are larger than memory should be.

#[cfg(test)]
mod tests;

use std::io::Read;

use super::error::Error;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// The longest number: that of `u64::MAX`.
const DIGITS: usize = 20;

/// Bytes that have to be at hand for a number with its sign and what ends it.
const NUMBER: usize = DIGITS + 4;

/// A stream of JSON.
pub(super) struct Source<R> {
    input: R,
    buffer: Box<[u8]>,
    /// What is read and not yet taken: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Bytes before `buffer[0]`.
    before: u64,
    /// What is being read, for errors.
    pub(super) place: &'static str,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            before: 0,
            place: "its beginning",
        }
    }

    /// Sees to it that `bytes` are at hand, or all that there are.
    fn ensure(&mut self, bytes: usize) -> Result<(), Error> {
        while self.end - self.start < bytes {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.before += self.start as u64;
                self.end -= self.start;
                self.start = 0;
            }
            let read = match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if read == 0 {
                break;
            }
            self.end += read;
        }
        Ok(())
    }

    /// The next byte that is no blank, which is not taken.
    pub(super) fn peek(&mut self) -> Result<u8, Error> {
        loop {
            let blanks = self.buffer[self.start..self.end]
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            self.start += blanks;
            if let Some(&byte) = self.buffer[self.start..self.end].first() {
                return Ok(byte);
            }
            self.ensure(1)?;
            if self.start == self.end {
                return Err(self.truncated());
            }
        }
    }

    /// Whether nothing but blanks is left.
    pub(super) fn is_at_end(&mut self) -> Result<bool, Error> {
        match self.peek() {
            Ok(_) => Ok(false),
            Err(Error::Truncated { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Takes this byte, which must come next.
    pub(super) fn expect(&mut self, wanted: u8) -> Result<(), Error> {
        let found = self.peek()?;
        if found != wanted {
            return Err(self.malformed(format!("{} was expected instead of {}", shown(wanted), shown(found))));
        }
        self.start += 1;
        Ok(())
    }

    /// Takes a `,` and says that there is more, or takes what ends the list.
    pub(super) fn has_more(&mut self, end: u8) -> Result<bool, Error> {
        let found = self.peek()?;
        if found == end {
            self.start += 1;
            return Ok(false);
        }
        self.expect(b',').map(|()| true)
    }

    /// Takes an array of whole numbers.
    pub(super) fn numbers(&mut self, mut take: impl FnMut(u64) -> Result<(), Error>) -> Result<(), Error> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            self.start += 1;
            return Ok(());
        }
        loop {
            self.ensure(NUMBER)?;
            let bytes = &self.buffer[self.start..self.end];
            let (mut value, mut length) = (0_u64, 0);
            while let Some(digit) = bytes
                .get(length)
                .map(|byte| byte.wrapping_sub(b'0'))
                .filter(|&digit| digit < 10)
            {
                let more = value
                    .checked_mul(10)
                    .and_then(|value| value.checked_add(u64::from(digit)));
                let Some(more) = more.filter(|_| length < DIGITS) else {
                    return Err(self.malformed("a number is too large".into()));
                };
                value = more;
                length += 1;
            }
            if length == 0 {
                // Blanks, the end, or something that is no number.
                let found = self.peek()?;
                if !found.is_ascii_digit() {
                    return Err(self.malformed(format!("a whole number was expected instead of {}", shown(found))));
                }
                continue;
            }
            let next = bytes.get(length).copied();
            self.start += length;
            take(value)?;
            if next == Some(b',') {
                self.start += 1;
            } else if !self.has_more(b']')? {
                return Ok(());
            }
        }
    }

    /// Takes a string; what it stands for is added to `text`.
    pub(super) fn string(&mut self, text: &mut Vec<u8>) -> Result<(), Error> {
        self.expect(b'"')?;
        let start = text.len();
        loop {
            self.ensure(1)?;
            let bytes = &self.buffer[self.start..self.end];
            if bytes.is_empty() {
                return Err(self.truncated());
            }
            let Some(special) = memchr::memchr2(b'"', b'\\', bytes) else {
                text.extend_from_slice(bytes);
                self.start = self.end;
                continue;
            };
            text.extend_from_slice(&bytes[..special]);
            self.start += special + 1;
            if bytes[special] == b'"' {
                break;
            }
            self.escape(text)?;
        }
        if let Err(_lossy) = std::str::from_utf8(&text[start..]) {
            let repaired = String::from_utf8_lossy(&text[start..]).into_owned();
            text.truncate(start);
            text.extend_from_slice(repaired.as_bytes());
        }
        Ok(())
    }

    /// What comes after a `\`.
    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), Error> {
        self.ensure(1)?;
        let Some(&byte) = self.buffer[self.start..self.end].first() else {
            return Err(self.truncated());
        };
        self.start += 1;
        let character = match byte {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'"' | b'\\' | b'/' => char::from(byte),
            b'u' => self.unit()?,
            _ => return Err(self.malformed(format!("a string has \\ before {}", shown(byte)))),
        };
        let mut bytes = [0; 4];
        text.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
        Ok(())
    }

    /// The character of a `\u`. Half of a pair without the other is no character, but a string of JavaScript may have it.
    fn unit(&mut self) -> Result<char, Error> {
        let first = self.hexadecimal()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.ensure(6)?;
        if !self.buffer[self.start..self.end].starts_with(b"\\u") {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let back = self.start;
        self.start += 2;
        let second = self.hexadecimal()?;
        if !(0xdc00..0xe000).contains(&second) {
            self.start = back;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let joined = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hexadecimal(&mut self) -> Result<u32, Error> {
        self.ensure(4)?;
        let mut value = 0;
        for _ in 0..4 {
            let Some(&byte) = self.buffer[self.start..self.end].first() else {
                return Err(self.truncated());
            };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.malformed(format!("\\u is followed by {}", shown(byte))));
            };
            value = value << 4 | digit;
            self.start += 1;
        }
        Ok(value)
    }

    /// Takes any value. Up to `most` of its bytes are handed to `kept`, as they are in the file.
    pub(super) fn value(&mut self, most: usize, kept: &mut Vec<u8>) -> Result<(), Error> {
        let mut depth = 0_u64;
        let mut in_string = false;
        self.peek()?;
        loop {
            self.ensure(2)?;
            let Some(&byte) = self.buffer[self.start..self.end].first() else {
                return Err(self.truncated());
            };
            // The end of a value that has no bracket is what comes after it.
            if depth == 0 && !in_string && matches!(byte, b',' | b'}' | b']') {
                return Ok(());
            }
            let mut length = 1;
            match byte {
                b'\\' if in_string => length = (self.end - self.start).min(2),
                b'"' => in_string = !in_string,
                b'[' | b'{' if !in_string => depth += 1,
                b']' | b'}' if !in_string => depth -= 1,
                _ => (),
            }
            if most > 0 {
                if kept.len() + length > most {
                    return Err(self.malformed(format!("it has more than {most} bytes")));
                }
                kept.extend_from_slice(&self.buffer[self.start..self.start + length]);
            }
            self.start += length;
            if depth == 0 && !in_string && matches!(byte, b']' | b'}' | b'"') {
                return Ok(());
            }
        }
    }

    fn offset(&self) -> u64 {
        self.before + self.start as u64
    }

    fn truncated(&self) -> Error {
        Error::Truncated {
            offset: self.before + self.end as u64,
            place: self.place,
        }
    }

    pub(super) fn malformed(&self, found: String) -> Error {
        Error::Malformed {
            offset: self.offset(),
            place: self.place,
            found,
        }
    }
}

/// A byte as it is shown in an error.
fn shown(byte: u8) -> String {
    format!("\"{}\"", byte.escape_ascii())
}
