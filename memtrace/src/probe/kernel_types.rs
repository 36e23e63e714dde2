//! Offsets of fields in the running kernel's structures, from the type information (BTF) that it carries.
//!
//! The format is that of `include/uapi/linux/btf.h`. Only what is looked for is understood: a type's name, its length, and
//! the members of structures.

use std::{collections::HashMap, fs};

use memtrace_common::config::ReturnProbes;

/// Where the kernel shows its types.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// First half-word of the type information.
const MAGIC: u16 = 0xeb9f;

/// Bytes of a type before what depends on its kind: name, information, size.
const TYPE_BYTES: usize = 12;

/// Number of the kind "structure" (`BTF_KIND_STRUCT`).
const STRUCT: u32 = 4;

/// Where the kernel of this machine keeps the return addresses that its return probes replace; all zero when that
/// cannot be learned.
pub(super) fn return_probes() -> ReturnProbes {
    let found = fs::read(VMLINUX).ok().and_then(|bytes| parse(&bytes));
    found.unwrap_or_else(|| {
        log::info!("{VMLINUX} does not tell where return probes keep return addresses: stacks end there");
        ReturnProbes::default()
    })
}

fn parse(bytes: &[u8]) -> Option<ReturnProbes> {
    let wanted = ["task_struct", "uprobe_task", "return_instance"];
    let offsets = structures(bytes, &wanted)?;
    let of = |structure: &str, member: &str| offsets.get(&(structure, member.to_owned())).copied();
    Some(ReturnProbes {
        known: 1,
        task_utask: of("task_struct", "utask")?,
        utask_instances: of("uprobe_task", "return_instances")?,
        instance_stack: of("return_instance", "stack")?,
        instance_address: of("return_instance", "orig_ret_vaddr")?,
        instance_next: of("return_instance", "next")?,
    })
}

/// Offsets in bytes of all members of the structures with these names.
fn structures<'n>(bytes: &[u8], names: &[&'n str]) -> Option<HashMap<(&'n str, String), u32>> {
    let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?));
    let place = |at: usize| word(at).and_then(|value| usize::try_from(value).ok());
    if half(0)? != MAGIC {
        return None;
    }
    let header = place(4)?;
    let (types, types_length) = (header + place(8)?, place(12)?);
    let (strings, strings_length) = (header + place(16)?, place(20)?);
    let strings = bytes.get(strings..strings.checked_add(strings_length)?)?;
    let text = |offset: u32| {
        let rest = strings.get(usize::try_from(offset).ok()?..)?;
        std::str::from_utf8(rest.split(|&byte| byte == 0).next()?).ok()
    };
    let mut found = HashMap::new();
    let mut at = types;
    while at + TYPE_BYTES <= types + types_length {
        let (name, information) = (word(at)?, word(at + 4)?);
        let (kind, count) = ((information >> 24) & 0x1f, usize::from((information & 0xffff) as u16));
        let bit_fields = information >> 31 != 0;
        let members = at + TYPE_BYTES;
        if kind == STRUCT
            && let Some(&structure) = names.iter().find(|&&wanted| text(name) == Some(wanted))
        {
            for member in 0..count {
                let at = members + 12 * member;
                let bits = word(at + 8)? & if bit_fields { 0x00ff_ffff } else { u32::MAX };
                found.insert((structure, text(word(at)?)?.to_owned()), bits / 8);
            }
        }
        at = members + tail(kind, count)?;
    }
    Some(found)
}

/// Bytes that follow a type of a kind with so many members.
const fn tail(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // pointer, forward, typedef, volatile, const, restrict, function, float, type tag
        2 | 7 | 8 | 9 | 10 | 11 | 12 | 16 | 18 => 0,
        // integer, variable, declaration tag
        1 | 14 | 17 => 4,
        // array
        3 => 12,
        // structure, union, section, 64-bit enumeration
        4 | 5 | 15 | 19 => 12 * count,
        // enumeration, function prototype
        6 | 13 => 8 * count,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_tells() {
        let Ok(bytes) = fs::read(VMLINUX) else {
            eprintln!("skipped: this kernel has no {VMLINUX}");
            return;
        };
        let found = parse(&bytes).unwrap();
        assert_eq!(found.known, 1);
        assert!(
            found.task_utask > 0 && found.instance_stack != found.instance_address,
            "{found:?}"
        );
    }

    #[test]
    fn damaged_types_are_survived() {
        assert_eq!(parse(b""), None);
        let Ok(bytes) = fs::read(VMLINUX) else { return };
        for length in (0..bytes.len()).step_by(bytes.len() / 97) {
            let _either = parse(&bytes[..length]);
        }
        let mut damaged = bytes;
        for at in (0..64).chain((64..damaged.len()).step_by(100_003)) {
            damaged[at] ^= 0x5a;
        }
        let _either = parse(&damaged);
    }
}
