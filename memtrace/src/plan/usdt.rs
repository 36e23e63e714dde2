//! The static probes (USDT) by which an allocator tells of its samples itself: `otel_memory:alloc` and `otel_memory:free`.
//!
//! The notes are those of `sys/sdt.h`, version 3.

use memtrace_common::{Cookie, Op, Operand};
use object::ReadRef;

use super::{
    elf::{Elf, string},
    placement::{Cost, Placement},
    point::{AttachPoint, Detail, Kind},
};

/// The provider.
pub(super) const PROVIDER: &str = "otel_memory";
/// Type of the note, and most notes of the provider that are used.
const STAPSDT: u32 = 3;
const MAX_PROBES: usize = 256;

/// What the notes of a file tell.
#[derive(Debug, Default)]
pub(super) struct Probes {
    pub(super) points: Vec<AttachPoint>,
    /// Probes that cannot be used: name and reason.
    pub(super) refused: Vec<(String, String)>,
}

/// Reads the notes of a file.
pub(super) fn probes<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Probes {
    let mut probes = Probes::default();
    let Some(notes) = elf.section(b".note.stapsdt").and_then(|section| elf.content(section)) else {
        return probes;
    };
    // Where the linker put this section tells how far it moved what was linked before.
    let base = elf.section(b".stapsdt.base").map(|section| section.svma);
    let mut rest = notes;
    while let Some((description, after)) = note(rest) {
        rest = after;
        let Some(found) = description.and_then(Found::read) else {
            continue;
        };
        if found.provider != PROVIDER.as_bytes() || probes.points.len() + probes.refused.len() == MAX_PROBES {
            continue;
        }
        let name = format!("{PROVIDER}:{}", String::from_utf8_lossy(found.name));
        match found.point(elf, base, &name) {
            Ok(point) => probes.points.push(point),
            Err(reason) => probes.refused.push((name, reason)),
        }
    }
    probes
}

/// Splits the first note off: its description when it is of the wanted kind, and the rest.
fn note(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let word = |at: usize| {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let (name_size, size, kind) = (word(0)?, word(4)?, word(8)?);
    let padded = |size: u32| usize::try_from(size).ok()?.checked_next_multiple_of(4);
    let begin = padded(name_size)?.checked_add(12)?;
    let name = bytes.get(12..)?.get(..usize::try_from(name_size).ok()?)?;
    let description = bytes.get(begin..)?.get(..usize::try_from(size).ok()?)?;
    let after = bytes.get(begin.checked_add(padded(size)?)?..).unwrap_or_default();
    Some(((kind == STAPSDT && name == b"stapsdt\0").then_some(description), after))
}

/// A note's description.
struct Found<'data> {
    location: u64,
    base: u64,
    semaphore: u64,
    provider: &'data [u8],
    name: &'data [u8],
    arguments: &'data [u8],
}

impl<'data> Found<'data> {
    fn read(description: &'data [u8]) -> Option<Self> {
        let (head, names) = description.split_at_checked(24)?;
        let mut words = head
            .chunks_exact(8)
            .filter_map(|word| Some(u64::from_le_bytes(*word.first_chunk()?)));
        let mut at = 0;
        let mut next = || {
            let part = string(names, at);
            at = at.saturating_add(u32::try_from(part.len()).ok()?).saturating_add(1);
            Some(part)
        };
        Some(Self {
            location: words.next()?,
            base: words.next()?,
            semaphore: words.next()?,
            provider: next()?,
            name: next()?,
            arguments: next()?,
        })
    }

    fn point<R: ReadRef<'data>>(
        &self,
        elf: &Elf<'data, R>,
        base: Option<u64>,
        name: &str,
    ) -> Result<AttachPoint, String> {
        let (op, kind, wanted) = match self.name {
            b"alloc" => (Op::OtelAlloc, Kind::StaticAlloc, 3),
            b"free" => (Op::OtelFree, Kind::StaticFree, 1),
            _ => return Err("memtrace does not know what it means".to_owned()),
        };
        let arguments = String::from_utf8_lossy(self.arguments);
        let mut operands = [Operand::default(); 3];
        let mut count = 0;
        for argument in arguments.split_ascii_whitespace() {
            if let Some(place) = operands.get_mut(count).filter(|_| count < wanted) {
                *place = operand(argument)
                    .ok_or_else(|| format!("its argument {argument} is not in a register or beside one, of 8 bytes"))?;
            }
            count += 1;
        }
        if count < wanted {
            return Err(format!("it has {count} arguments instead of {wanted}"));
        }
        if Cookie::of_static_probe(op, 0, operands).is_none() {
            return Err(format!(
                "one of its arguments ({arguments}) is too far from its register"
            ));
        }
        let moved = match (base, self.base) {
            (Some(base), from) if from != 0 => base.wrapping_sub(from),
            _ => 0,
        };
        let location = self.location.wrapping_add(moved);
        let offset = elf
            .code_offset(location)
            .ok_or_else(|| format!("there is no code at its address {location:#x}"))?;
        let semaphore = match self.semaphore {
            0 => 0,
            svma => elf
                .file_offset(svma.wrapping_add(moved))
                .ok_or_else(|| "its semaphore is not in the file".to_owned())?,
        };
        Ok(AttachPoint {
            symbol: name.to_owned(),
            offset,
            // The instruction is a `nop` for this very purpose.
            placement: Placement::at_entry(Cost::Emulated),
            from_entry: 0,
            kind,
            op,
            detail: Detail::Operands(operands),
            semaphore,
            of_one_trap: false,
        })
    }
}

/// An argument as the assembler writes operands: `8@%rdi`, `-8@-16(%rbp)`.
fn operand(argument: &str) -> Option<Operand> {
    let (size, place) = argument.split_once('@')?;
    if !matches!(size, "8" | "-8") {
        return None;
    }
    match place.split_once('(') {
        None => Some(Operand {
            register: register(place)?,
            offset: None,
        }),
        Some((offset, inside)) => Some(Operand {
            register: register(inside.strip_suffix(')')?)?,
            offset: Some(if offset.is_empty() { 0 } else { offset.parse().ok()? }),
        }),
    }
}

/// A 64-bit register's number in DWARF (System V AMD64 ABI, figure 3.36).
fn register(name: &str) -> Option<u8> {
    const NAMES: [&str; 16] = [
        "%rax", "%rdx", "%rcx", "%rbx", "%rsi", "%rdi", "%rbp", "%rsp", "%r8", "%r9", "%r10", "%r11", "%r12", "%r13",
        "%r14", "%r15",
    ];
    NAMES
        .iter()
        .position(|known| *known == name)
        .and_then(|at| u8::try_from(at).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn operands_are_registers_and_what_is_beside_them() {
        let at = |register, offset| Some(Operand { register, offset });
        for (argument, wanted) in [
            ("8@%rdi", at(5, None)),
            ("-8@%rax", at(0, None)),
            ("8@%r15", at(15, None)),
            ("8@16(%rsp)", at(7, Some(16))),
            ("8@(%rbx)", at(3, Some(0))),
            ("8@-24(%rbp)", at(6, Some(-24))),
            // A constant, half a register, an index, a name, nonsense.
            ("8@$5", None),
            ("4@%edi", None),
            ("8@%edi", None),
            ("8@8(%rax,%rbx,8)", None),
            ("8@here(%rip)", None),
            ("8@99999(%rax)", None),
            ("8@", None),
            ("", None),
            ("8@8(%rax", None),
        ] {
            assert_eq!(operand(argument), wanted, "{argument}");
        }
    }

    /// A note as the assembler makes it.
    fn made(location: u64, base: u64, semaphore: u64, names: &[u8]) -> Vec<u8> {
        let size = u32::try_from(24 + names.len()).unwrap();
        let mut bytes: Vec<u8> = [8, size, STAPSDT].into_iter().flat_map(u32::to_le_bytes).collect();
        bytes.extend(b"stapsdt\0");
        bytes.extend([location, base, semaphore].into_iter().flat_map(u64::to_le_bytes));
        bytes.extend(names);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn notes_are_read_one_after_the_other() {
        let mut bytes = made(1, 2, 3, b"otel_memory\0alloc\08@%rax 8@%rdi 8@%rsi\0");
        bytes.extend(made(4, 5, 0, b"otel_memory\0free\08@%rdi\0"));
        let (first, rest) = note(&bytes).unwrap();
        let first = Found::read(first.unwrap()).unwrap();
        assert_eq!((first.location, first.base, first.semaphore), (1, 2, 3));
        assert_eq!((first.provider, first.name), (&b"otel_memory"[..], &b"alloc"[..]));
        assert_eq!(first.arguments, b"8@%rax 8@%rdi 8@%rsi");
        let (second, rest) = note(rest).unwrap();
        assert_eq!(Found::read(second.unwrap()).unwrap().name, b"free");
        assert!(note(rest).is_none());
    }

    proptest! {
        #[test]
        fn damaged_notes_end(bytes: Vec<u8>, names: Vec<u8>) {
            let mut rest = &bytes[..];
            while let Some((description, after)) = note(rest) {
                let _either = description.and_then(Found::read);
                assert!(after.len() < rest.len());
                rest = after;
            }
            let _either = Found::read(&names);
            let _either = operand(&String::from_utf8_lossy(&names));
        }
    }
}
