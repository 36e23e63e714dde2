//! Code, in pieces, and what is looked for in it.

use std::ops::Range;

use super::{
    elf::Part,
    error::TableError,
    limits::PIECE,
    source::{ReadAt, Source},
};

/// What the kernel returns to from a signal's handler, in C libraries: `mov $15, %rax` (`__NR_rt_sigreturn`) and `syscall`.
pub(super) const SIGNAL_RETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];

/// Bytes that a `call` with a displacement has behind its first.
const DISPLACEMENT: u64 = 4;

/// The code of one executable segment.
#[derive(Debug)]
pub(super) struct Text<'s, S: ?Sized> {
    source: &'s Source<'s, S>,
    segment: &'s Part,
    window: Vec<u8>,
    /// First address of the window.
    window_svma: u64,
}

impl<'s, S: ReadAt + ?Sized> Text<'s, S> {
    pub(super) const fn new(source: &'s Source<'s, S>, segment: &'s Part) -> Self {
        Self {
            source,
            segment,
            window: Vec::new(),
            window_svma: 0,
        }
    }

    /// Whether a range of code may contain a call or a system call: a return address or a traced instruction's address minus
    /// one can lie in it only then. Bytes that merely look like one are taken for one.
    pub(super) fn calls(&mut self, range: Range<u64>) -> Result<bool, TableError> {
        let end = range.end;
        let found = self.find(range, 1, |piece, svma| {
            let behind = end - (svma + piece.len() as u64);
            has_call(piece, behind).then_some(())
        })?;
        Ok(found.is_some())
    }

    /// Where a range is in the file; empty when it is not.
    pub(super) fn offsets(&self, range: Range<u64>) -> Range<u64> {
        self.segment.from(range.start).map_or(0..0, |part| {
            let length = range.end.saturating_sub(range.start);
            part.file.start..part.file.start.saturating_add(length).min(part.file.end)
        })
    }

    /// The address in a range where the return from a signal begins.
    pub(super) fn signal_return(&mut self, range: Range<u64>) -> Result<Option<u64>, TableError> {
        self.find(range, SIGNAL_RETURN.len() as u64 - 1, |piece, svma| {
            let at = piece
                .windows(SIGNAL_RETURN.len())
                .position(|bytes| bytes == SIGNAL_RETURN)?;
            Some(svma + at as u64)
        })
    }

    /// Shows a range in pieces, each with the last `overlap` bytes of the one before, until something is found.
    fn find<T>(
        &mut self,
        range: Range<u64>,
        overlap: u64,
        mut look: impl FnMut(&[u8], u64) -> Option<T>,
    ) -> Result<Option<T>, TableError> {
        let mut at = range.start;
        loop {
            let end = range.end.min(at.saturating_add(PIECE));
            if let Some(found) = look(self.bytes(at..end)?, at) {
                return Ok(Some(found));
            }
            if end >= range.end {
                return Ok(None);
            }
            at = end - overlap;
        }
    }

    /// The bytes of a range no longer than [`PIECE`], as far as they are in the segment.
    fn bytes(&mut self, range: Range<u64>) -> Result<&[u8], TableError> {
        let window = self.window_svma..self.window_svma + self.window.len() as u64;
        if range.start < window.start || range.end > window.end {
            let Some(part) = self.segment.from(range.start) else {
                return Ok(&[]);
            };
            let length = (part.file.end - part.file.start).min(PIECE);
            self.source
                .read_into("code", part.file.start, length, &mut self.window)?;
            self.window_svma = range.start;
        }
        let offset = |svma: u64| usize::try_from(svma - self.window_svma).unwrap_or(usize::MAX);
        let end = offset(range.end).min(self.window.len());
        Ok(self.window.get(offset(range.start)..end).unwrap_or_default())
    }
}

/// Whether bytes contain a call: `E8` and a displacement, `FF /2`, or the system call `0F 05`. `behind` bytes of the same rule
/// follow them.
fn has_call(bytes: &[u8], behind: u64) -> bool {
    bytes.iter().enumerate().any(|(index, &byte)| match byte {
        0xe8 => (bytes.len() - index - 1) as u64 + behind >= DISPLACEMENT,
        0xff => bytes.get(index + 1).is_some_and(|modrm| modrm >> 3 & 7 == 2),
        0x0f => bytes.get(index + 1) == Some(&0x05),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_seen_where_they_are_whole() {
        assert!(has_call(&[0x90, 0xe8, 1, 2, 3, 4], 0));
        assert!(!has_call(&[0x90, 0xe8, 1, 2, 3], 0));
        assert!(has_call(&[0x90, 0xe8, 1, 2, 3], 1));
        // call *%rax, call *8(%rax,%rbx), jmp *%rax, push (%rax)
        assert!(has_call(&[0xff, 0xd0], 0));
        assert!(has_call(&[0xff, 0x54, 0x18, 0x08], 0));
        assert!(!has_call(&[0xff, 0xe0, 0xff, 0x30, 0xff], 0));
        assert!(has_call(&[0x0f, 0x05], 0));
        assert!(!has_call(&[0x0f, 0x0b, 0x0f], 0));
    }

    #[test]
    fn what_lies_across_pieces_is_found() {
        let piece = usize::try_from(PIECE).unwrap();
        for at in [0, 1, piece - 8, piece - 1, piece, 2 * piece - 2, 3 * piece - 9] {
            let mut code = vec![0x90; 3 * piece];
            code[at..at + 9].copy_from_slice(&SIGNAL_RETURN);
            let source = Source::new(&*code).unwrap();
            let segment = Part {
                svma: 0x1000,
                file: 0..3 * PIECE,
                compressed: false,
            };
            let mut text = Text::new(&source, &segment);
            let found = 0x1000 + at as u64;
            assert_eq!(text.signal_return(segment.addresses()).unwrap(), Some(found));
            assert_eq!(text.signal_return(found + 1..0x1000 + 3 * PIECE).unwrap(), None);
            assert!(text.calls(segment.addresses()).unwrap());
            assert!(text.calls(found + 7..found + 9).unwrap());
            assert!(!text.calls(found + 7..found + 8).unwrap());
            assert!(!text.calls(0x1000..found + 8).unwrap());
        }
    }
}
