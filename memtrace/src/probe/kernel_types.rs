//! Offsets of fields in the running kernel's structures, from the type information (BTF) that it carries.
//!
//! The format is that of `include/uapi/linux/btf.h`. Only what is looked for is understood: a type's name, its length, and
//! the members of structures.

use std::fs;

use memtrace_common::config::{Files, ReturnProbes, ThreadPointer, Threads, Trampoline};

/// Where the kernel shows its types.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// First half-word of the type information.
const MAGIC: u16 = 0xeb9f;

/// Bytes of a type before what depends on its kind: name, information, size.
const TYPE_BYTES: usize = 12;

/// Number of the kind "structure" (`BTF_KIND_STRUCT`).
const STRUCT: u32 = 4;

/// Number of the kind "union" (`BTF_KIND_UNION`).
const UNION: u32 = 5;

/// Most structures without names inside each other that are looked into.
const MAX_NESTED: u32 = 4;

/// What is known of this machine's kernel; all zero what cannot be learned.
pub(super) struct Known {
    /// Where it keeps the return addresses that its return probes replace.
    pub(super) return_probes: ReturnProbes,
    /// Where it keeps the address that it puts in their place.
    pub(super) trampoline: Trampoline,
    /// Where it keeps the thread pointer.
    pub(super) thread_pointer: ThreadPointer,
    /// Where it counts the threads of a process.
    pub(super) threads: Threads,
    /// Where it keeps what is mapped.
    pub(super) files: Files,
}

/// Reads the kernel's types.
pub(super) fn known() -> Known {
    let bytes = fs::read(VMLINUX).unwrap_or_default();
    let types = Types::parse(&bytes);
    let missing = |what: &str| log::info!("{VMLINUX} does not tell {what}");
    let types = types.as_ref();
    Known {
        return_probes: types.and_then(probes).unwrap_or_else(|| {
            missing("where return probes keep return addresses: stacks end there");
            ReturnProbes::default()
        }),
        trampoline: types.and_then(trampoline).unwrap_or_else(|| {
            missing("where return probes keep their address: it is guessed");
            Trampoline::default()
        }),
        thread_pointer: types.and_then(thread_pointer).unwrap_or_else(|| {
            missing("where thread pointers are: stacks have no Python frames");
            ThreadPointer::default()
        }),
        threads: types.and_then(threads).unwrap_or_else(|| {
            missing("where threads are counted: a process ends with its main thread");
            Threads::default()
        }),
        files: types.and_then(files).unwrap_or_else(|| {
            missing("which file is mapped: code of short-lived processes stays without names");
            Files::default()
        }),
    }
}

fn thread_pointer(types: &Types<'_>) -> Option<ThreadPointer> {
    let thread = types.offset("task_struct", "thread")?;
    Some(ThreadPointer {
        known: 1,
        task_base: thread.checked_add(types.offset("thread_struct", "fsbase")?)?,
    })
}

fn threads(types: &Types<'_>) -> Option<Threads> {
    Some(Threads {
        known: 1,
        task_signal: types.offset("task_struct", "signal")?,
        signal_live: types.offset("signal_struct", "live")?,
    })
}

fn probes(types: &Types<'_>) -> Option<ReturnProbes> {
    Some(ReturnProbes {
        known: 1,
        task_utask: types.offset("task_struct", "utask")?,
        utask_instances: types.offset("uprobe_task", "return_instances")?,
        instance_stack: types.offset("return_instance", "stack")?,
        instance_address: types.offset("return_instance", "orig_ret_vaddr")?,
        instance_next: types.offset("return_instance", "next")?,
    })
}

fn trampoline(types: &Types<'_>) -> Option<Trampoline> {
    let state = types.offset("mm_struct", "uprobes_state")?;
    Some(Trampoline {
        known: 1,
        task_mm: types.offset("task_struct", "mm")?,
        mm_area: state.checked_add(types.offset("uprobes_state", "xol_area")?)?,
        area_address: types.offset("xol_area", "vaddr")?,
    })
}

fn files(types: &Types<'_>) -> Option<Files> {
    Some(Files {
        known: 1,
        task_files: types.offset("task_struct", "files")?,
        files_table: types.offset("files_struct", "fdt")?,
        table_entries: types.offset("fdtable", "fd")?,
        file_inode: types.offset("file", "f_inode")?,
        inode_number: types.offset("inode", "i_ino")?,
        inode_system: types.offset("inode", "i_sb")?,
        system_device: types.offset("super_block", "s_dev")?,
        task_mm: types.offset("task_struct", "mm")?,
        mm_executable: types.offset("mm_struct", "exe_file")?,
        mm_code: types.offset("mm_struct", "start_code")?,
        mm_auxiliary: types.offset("mm_struct", "saved_auxv")?,
        area_file: types.offset("vm_area_struct", "vm_file")?,
    })
}

/// The kernel's types.
struct Types<'bytes> {
    bytes: &'bytes [u8],
    /// Where the names are.
    strings: &'bytes [u8],
    /// Where each type begins; the first has number 1.
    starts: Vec<usize>,
}

impl<'bytes> Types<'bytes> {
    fn parse(bytes: &'bytes [u8]) -> Option<Self> {
        if half(bytes, 0)? != MAGIC {
            return None;
        }
        let header = place(bytes, 4)?;
        let (mut at, length) = (header + place(bytes, 8)?, place(bytes, 12)?);
        let (strings, strings_length) = (header + place(bytes, 16)?, place(bytes, 20)?);
        let end = at + length;
        let mut types = Self {
            bytes,
            strings: bytes.get(strings..strings.checked_add(strings_length)?)?,
            starts: Vec::new(),
        };
        while at + TYPE_BYTES <= end {
            types.starts.push(at);
            let Form { kind, count, .. } = types.form(at)?;
            at += TYPE_BYTES + tail(kind, count)?;
        }
        Some(types)
    }

    /// Offset in bytes of a member of the structure with this name.
    fn offset(&self, structure: &str, member: &str) -> Option<u32> {
        let named = self.starts.iter().filter(|&&at| {
            let is_structure = self.form(at).is_some_and(|form| form.kind == STRUCT);
            is_structure && word(self.bytes, at).and_then(|name| self.text(name)) == Some(structure)
        });
        let bits = named.copied().find_map(|at| self.member(at, member, MAX_NESTED))?;
        Some(bits / 8)
    }

    /// Offset in bits of a member, also of one in a member without a name.
    fn member(&self, at: usize, wanted: &str, nested: u32) -> Option<u32> {
        let Form {
            kind,
            count,
            bit_fields,
        } = self.form(at)?;
        if kind != STRUCT && kind != UNION {
            return None;
        }
        (0..count).find_map(|index| {
            let at = at + TYPE_BYTES + 12 * index;
            let (name, number) = (self.text(word(self.bytes, at)?)?, place(self.bytes, at + 4)?);
            let bits = word(self.bytes, at + 8)? & if bit_fields { 0x00ff_ffff } else { u32::MAX };
            if name == wanted {
                return Some(bits);
            }
            if !name.is_empty() || nested == 0 {
                return None;
            }
            let inner = *self.starts.get(number.checked_sub(1)?)?;
            bits.checked_add(self.member(inner, wanted, nested - 1)?)
        })
    }

    fn form(&self, at: usize) -> Option<Form> {
        let information = word(self.bytes, at + 4)?;
        Some(Form {
            kind: information >> 24 & 0x1f,
            count: usize::from((information & 0xffff) as u16),
            bit_fields: information >> 31 != 0,
        })
    }

    fn text(&self, offset: u32) -> Option<&'bytes str> {
        let rest = self.strings.get(usize::try_from(offset).ok()?..)?;
        std::str::from_utf8(rest.split(|&byte| byte == 0).next()?).ok()
    }
}

/// What a type is.
struct Form {
    kind: u32,
    /// Members, parameters and the like.
    count: usize,
    /// Whether offsets of members share their word with widths.
    bit_fields: bool,
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn place(bytes: &[u8], at: usize) -> Option<usize> {
    word(bytes, at).and_then(|value| usize::try_from(value).ok())
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
        let types = Types::parse(&bytes).unwrap();
        let found = probes(&types).unwrap();
        assert_eq!(found.known, 1);
        assert!(
            found.task_utask > 0 && found.instance_stack != found.instance_address,
            "{found:?}"
        );
        let found = trampoline(&types).unwrap();
        assert!(found.task_mm > 0 && found.mm_area > 0, "{found:?}");
        let found = thread_pointer(&types).unwrap();
        assert!(found.task_base > 0, "{found:?}");
        let found = threads(&types).unwrap();
        assert!(found.task_signal > 0 && found.signal_live > 0, "{found:?}");
        let found = files(&types).unwrap();
        assert!(
            found.mm_code > 0 && found.inode_number != found.inode_system,
            "{found:?}"
        );
        assert_eq!(types.offset("task_struct", "no such member"), None);
    }

    #[test]
    fn damaged_types_are_survived() {
        let look = |bytes: &[u8]| {
            let types = Types::parse(bytes);
            let _either = types.as_ref().and_then(probes);
            let _either = types.as_ref().and_then(trampoline);
            let _either = types.as_ref().and_then(thread_pointer);
            let _either = types.as_ref().and_then(threads);
            let _either = types.as_ref().and_then(files);
        };
        look(b"");
        let Ok(bytes) = fs::read(VMLINUX) else { return };
        for length in (0..bytes.len()).step_by(bytes.len() / 31) {
            look(&bytes[..length]);
        }
        let mut damaged = bytes;
        for at in (0..64).chain((64..damaged.len()).step_by(100_003)) {
            damaged[at] ^= 0x5a;
        }
        look(&damaged);
    }
}
