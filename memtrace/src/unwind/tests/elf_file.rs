//! Small ELF files made to order.

use object::{LittleEndian as Little, elf, pod};

/// Where code is in memory.
pub(super) const TEXT: u64 = 0x1000;

/// Where `.eh_frame` is, and its index just before.
pub(super) const EH_FRAME: u64 = 0x10_0000;

/// Bytes of the index.
const INDEX: u64 = 8;

/// What a file has.
#[derive(Clone, Debug, Default)]
pub(super) struct ElfFile {
    pub(super) text: Vec<u8>,
    pub(super) eh_frame: Vec<u8>,
    pub(super) debug_frame: Vec<u8>,
    /// Whether `.debug_frame` says that it is compressed.
    pub(super) compressed: bool,
    /// Whether there are section headers.
    pub(super) without_sections: bool,
}

impl ElfFile {
    /// Its bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        const HEADERS: usize = 0x100;
        let mut file = vec![0; HEADERS];
        let text = append(&mut file, &self.text);
        let index = append(&mut file, &self.index());
        let eh_frame = append(&mut file, &self.eh_frame);
        assert_eq!(eh_frame, index + INDEX);
        let debug_frame = append(&mut file, &self.debug_frame);
        let names = append(&mut file, b"\0.text\0.eh_frame\0.debug_frame\0");
        let sections = [
            section(0, elf::SHT_NULL, 0, 0, 0),
            section(1, elf::SHT_PROGBITS, TEXT, text, self.text.len()),
            section(7, elf::SHT_PROGBITS, EH_FRAME, eh_frame, self.eh_frame.len()),
            section(17, elf::SHT_PROGBITS, 0, debug_frame, self.debug_frame.len()),
            section(0, elf::SHT_STRTAB, 0, names, 30),
        ];
        let at = append(&mut file, &[]);
        for (number, mut header) in sections.into_iter().enumerate() {
            if number == 3 && self.compressed {
                header.sh_flags = u64s(elf::SHF_COMPRESSED.into());
            }
            file.extend(pod::bytes_of(&header));
        }
        let segments = [
            segment(elf::PT_LOAD, elf::PF_X | elf::PF_R, TEXT, text, self.text.len()),
            segment(
                elf::PT_LOAD,
                elf::PF_R,
                EH_FRAME - INDEX,
                index,
                self.eh_frame.len() + 8,
            ),
            segment(elf::PT_GNU_EH_FRAME, elf::PF_R, EH_FRAME - INDEX, index, 8),
        ];
        let mut headers = pod::bytes_of(&header(at, !self.without_sections)).to_vec();
        for segment in &segments {
            headers.extend(pod::bytes_of(segment));
        }
        file[..headers.len()].copy_from_slice(&headers);
        file
    }

    /// The index of `.eh_frame`: version 1, a pointer of four bytes relative to itself, and no table.
    fn index(&self) -> [u8; 8] {
        assert!(self.eh_frame.len() < 1 << 30);
        [1, 0x1b, 0xff, 0xff, 4, 0, 0, 0]
    }
}

/// Appends bytes at the next multiple of 8; where they are.
fn append(file: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    file.resize(file.len().next_multiple_of(8), 0);
    let at = file.len() as u64;
    file.extend(bytes);
    at
}

fn u16s(value: u16) -> object::U16<Little> {
    object::U16::new(Little, value)
}

fn u32s(value: u32) -> object::U32<Little> {
    object::U32::new(Little, value)
}

fn u64s(value: u64) -> object::U64<Little> {
    object::U64::new(Little, value)
}

fn header(sections_at: u64, sections: bool) -> elf::FileHeader64<Little> {
    elf::FileHeader64 {
        e_ident: elf::Ident {
            magic: elf::ELFMAG,
            class: elf::ELFCLASS64,
            data: elf::ELFDATA2LSB,
            version: elf::EV_CURRENT,
            os_abi: 0,
            abi_version: 0,
            padding: [0; 7],
        },
        e_type: u16s(elf::ET_DYN),
        e_machine: u16s(elf::EM_X86_64),
        e_version: u32s(elf::EV_CURRENT.into()),
        e_entry: u64s(TEXT),
        e_phoff: u64s(64),
        e_shoff: u64s(if sections { sections_at } else { 0 }),
        e_flags: u32s(0),
        e_ehsize: u16s(64),
        e_phentsize: u16s(56),
        e_phnum: u16s(3),
        e_shentsize: u16s(64),
        e_shnum: u16s(if sections { 5 } else { 0 }),
        e_shstrndx: u16s(if sections { 4 } else { 0 }),
    }
}

/// A program header.
pub(super) fn segment(kind: u32, flags: u32, svma: u64, offset: u64, length: usize) -> elf::ProgramHeader64<Little> {
    elf::ProgramHeader64 {
        p_type: u32s(kind),
        p_flags: u32s(flags),
        p_offset: u64s(offset),
        p_vaddr: u64s(svma),
        p_paddr: u64s(svma),
        p_filesz: u64s(length as u64),
        p_memsz: u64s(length as u64),
        p_align: u64s(4096),
    }
}

fn section(name: u32, kind: u32, svma: u64, offset: u64, length: usize) -> elf::SectionHeader64<Little> {
    elf::SectionHeader64 {
        sh_name: u32s(name),
        sh_type: u32s(kind),
        sh_flags: u64s(0),
        sh_addr: u64s(svma),
        sh_offset: u64s(offset),
        sh_size: u64s(length as u64),
        sh_link: u32s(0),
        sh_info: u32s(0),
        sh_addralign: u64s(8),
        sh_entsize: u64s(0),
    }
}
