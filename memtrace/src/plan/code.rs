//! Machine code of a file: instructions, and where they lead to.

use std::cell::{Cell, OnceCell, RefCell};

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use object::{
    Endianness, ReadRef,
    elf::{self, PT_GNU_EH_FRAME, Rela64},
    read::elf::Sym as _,
};
use rustc_hash::FxHashMap;

use super::elf::{Elf, string};

/// What is read of the file at once, in bytes; and how much more, so that an instruction at the end is whole.
const PIECE: u64 = 4096;
const LONGEST_INSTRUCTION: u64 = 16;
/// Most steps in one file. The largest allocators need a hundredth of it.
const MAX_STEPS: u32 = 1 << 21;

/// Where a jump or call leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place<'data> {
    /// This address in the file.
    Local(u64),
    /// A function of this name, in whichever file the linker finds it.
    Import(&'data [u8]),
    /// Known only at run time.
    Unknown,
}

/// What an instruction does to the flow of control.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flow<'data> {
    /// The next instruction follows.
    Next,
    /// The same, and it does nothing.
    Padding,
    Call(Place<'data>),
    Jump(Place<'data>),
    /// It jumps or does not.
    Branch(u64),
    Return,
    /// Nothing follows.
    Stop,
}

/// An instruction with what comes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'data> {
    pub(super) next: u64,
    pub(super) flow: Flow<'data>,
    /// By how many bytes it makes the stack deeper, a call that returns by none; `None` when that cannot be told.
    pub(super) deeper: Option<i64>,
}

/// By how many bytes an instruction makes the stack deeper, see [`Step::deeper`].
pub(super) fn deeper(instruction: &Instruction) -> Option<i64> {
    let is_stack = instruction.op0_kind() == OpKind::Register && instruction.op0_register() == Register::RSP;
    match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pop => Some(-i64::from(instruction.stack_pointer_increment())),
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Call => Some(0),
        Mnemonic::Leave | Mnemonic::Enter => None,
        Mnemonic::Sub | Mnemonic::Add if is_stack && instruction.op1_kind() != OpKind::Register => {
            let bytes = instruction.try_immediate(1).ok()?.cast_signed();
            Some(if instruction.mnemonic() == Mnemonic::Sub {
                bytes
            } else {
                -bytes
            })
        }
        _ if is_stack => None,
        _ => Some(0),
    }
}

/// The code of a file.
pub(super) struct Code<'elf, 'data, R> {
    elf: &'elf Elf<'data, R>,
    pieces: RefCell<FxHashMap<u64, Option<&'data [u8]>>>,
    slots: OnceCell<FxHashMap<u64, Place<'data>>>,
    starts: OnceCell<Vec<u64>>,
    /// Steps that may still be made.
    room: Cell<u32>,
}

impl<'elf, 'data, R: ReadRef<'data>> Code<'elf, 'data, R> {
    /// Of this file.
    pub(super) fn new(elf: &'elf Elf<'data, R>) -> Self {
        Self {
            elf,
            pieces: RefCell::default(),
            slots: OnceCell::new(),
            starts: OnceCell::new(),
            room: Cell::new(MAX_STEPS),
        }
    }

    /// The instruction at an address; `None` when there is none, or too many were asked for.
    pub(super) fn step(&self, svma: u64) -> Option<Step<'data>> {
        let instruction = self.instruction(svma)?;
        Some(Step {
            next: instruction.next_ip(),
            flow: self.flow(&instruction),
            deeper: deeper(&instruction),
        })
    }

    /// What an instruction does to the flow of control.
    pub(super) fn flow(&self, instruction: &Instruction) -> Flow<'data> {
        let direct = || match instruction.op0_kind() {
            OpKind::NearBranch64 => Some(instruction.near_branch_target()),
            _ => None,
        };
        match instruction.mnemonic() {
            Mnemonic::Call => Flow::Call(self.destination(instruction)),
            Mnemonic::Jmp => Flow::Jump(self.destination(instruction)),
            Mnemonic::Ret => Flow::Return,
            Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2 | Mnemonic::Int3 | Mnemonic::Hlt => Flow::Stop,
            // None of them is in compiled code, and where they lead to is not known.
            Mnemonic::Retf | Mnemonic::Iretq | Mnemonic::Sysretq | Mnemonic::Xbegin => Flow::Jump(Place::Unknown),
            Mnemonic::Nop | Mnemonic::Endbr64 => Flow::Padding,
            _ => direct().map_or(Flow::Next, Flow::Branch),
        }
    }

    /// The instruction at an address, decoded; `None` when there is none, or too many were asked for.
    pub(super) fn instruction(&self, svma: u64) -> Option<Instruction> {
        self.room.set(self.room.get().checked_sub(1)?);
        self.decode(svma)
    }

    fn decode(&self, svma: u64) -> Option<Instruction> {
        let mut decoder = Decoder::with_ip(64, self.rest_of_piece(svma)?, svma, DecoderOptions::NONE);
        let instruction = decoder.decode();
        (!instruction.is_invalid()).then_some(instruction)
    }

    /// Code from an address on, at least one instruction where the file has it.
    fn rest_of_piece(&self, svma: u64) -> Option<&'data [u8]> {
        let segment = self.elf.mapped(svma).filter(|segment| segment.executable)?;
        let into = svma.checked_sub(segment.svma)?;
        let begin = into.checked_sub(into % PIECE)?;
        let offset = segment.offset.checked_add(begin)?;
        let size = segment.size.checked_sub(begin)?.min(PIECE + LONGEST_INSTRUCTION);
        let piece = *self
            .pieces
            .borrow_mut()
            .entry(offset)
            .or_insert_with(|| self.elf.bytes(offset, size));
        piece?.get(usize::try_from(into % PIECE).ok()?..)
    }

    fn destination(&self, instruction: &Instruction) -> Place<'data> {
        match instruction.op0_kind() {
            OpKind::NearBranch64 => self.beyond_stub(instruction.near_branch_target()),
            OpKind::Memory if instruction.is_ip_rel_memory_operand() => self.slot(instruction.ip_rel_memory_address()),
            _ => Place::Unknown,
        }
    }

    /// Where a stub of the procedure linkage table leads to; the address itself when there is none.
    fn beyond_stub(&self, svma: u64) -> Place<'data> {
        let mut at = svma;
        for _ in 0..2 {
            let Some(instruction) = self.decode(at) else { break };
            match instruction.mnemonic() {
                Mnemonic::Endbr64 => at = instruction.next_ip(),
                Mnemonic::Jmp if instruction.is_ip_rel_memory_operand() => {
                    return self.slot(instruction.ip_rel_memory_address());
                }
                _ => break,
            }
        }
        Place::Local(svma)
    }

    /// The address of this file that the linker stores at one, where nobody else writes.
    pub(super) fn linked(&self, svma: u64) -> Option<u64> {
        match self.slot(svma) {
            Place::Local(address) => Some(address),
            Place::Import(_) | Place::Unknown => None,
        }
    }

    /// What the dynamic linker stores in a slot of the global offset table.
    fn slot(&self, svma: u64) -> Place<'data> {
        let slots = self.slots.get_or_init(|| self.read_slots().unwrap_or_default());
        if let Some(&place) = slots.get(&svma) {
            return place;
        }
        // Without a relocation, or with one that adds to what is there: an address of this file.
        if !self.is_slot(svma) {
            return Place::Unknown;
        }
        let stored = self
            .elf
            .file_offset(svma)
            .and_then(|offset| self.elf.bytes(offset, 8))
            .and_then(|bytes| bytes.try_into().ok())
            .map(u64::from_le_bytes);
        match stored {
            Some(address) if self.elf.code_offset(address).is_some() => Place::Local(address),
            _ => Place::Unknown,
        }
    }

    /// Whether the address is in a global offset table, which nobody but the linker writes to.
    fn is_slot(&self, svma: u64) -> bool {
        self.elf.sections.iter().any(|section| {
            section.name.starts_with(b".got") && svma.checked_sub(section.svma).is_some_and(|into| into < section.size)
        })
    }

    fn read_slots(&self) -> Option<FxHashMap<u64, Place<'data>>> {
        let endian = self.elf.endian();
        let mut slots = FxHashMap::default();
        let (symbols, names) = self.elf.symbols(elf::SHT_DYNSYM).ok()?;
        for &section in self.elf.sections.iter().filter(|section| section.kind == elf::SHT_RELA) {
            for relocation in self.elf.entries::<Rela64<Endianness>>(section).unwrap_or_default() {
                let slot = relocation.r_offset.get(endian);
                let kind = relocation.r_type(endian, false);
                let symbol = || symbols.get(relocation.r_sym(endian, false) as usize);
                let place = match kind {
                    elf::R_X86_64_JUMP_SLOT | elf::R_X86_64_GLOB_DAT => match symbol() {
                        Some(symbol) if symbol.is_undefined(endian) => {
                            Place::Import(string(names, symbol.st_name(endian)))
                        }
                        // Another file may have one of the same name that comes first; an allocator's own parts are not
                        // replaced one by one.
                        Some(symbol) if symbol.st_type() != elf::STT_GNU_IFUNC => Place::Local(symbol.st_value(endian)),
                        _ => Place::Unknown,
                    },
                    elf::R_X86_64_RELATIVE => match u64::try_from(relocation.r_addend.get(endian)) {
                        Ok(address) => Place::Local(address),
                        Err(_) => Place::Unknown,
                    },
                    elf::R_X86_64_IRELATIVE => Place::Unknown,
                    _ => continue,
                };
                if self.is_slot(slot) {
                    slots.insert(slot, place);
                }
            }
        }
        Some(slots)
    }

    /// Whether the file says that it has restartable sequences (rseq(2)): their descriptions are in sections of this name.
    pub(super) fn has_restartable_sequences(&self) -> bool {
        self.elf
            .sections
            .iter()
            .any(|section| section.name.starts_with(b"__rseq_cs"))
    }

    /// Whether a constant may be an address of the file. Small ones are numbers, nearly always: no executable that is bound to its
    /// addresses begins below 64 KiB (`vm.mmap_min_addr`).
    pub(super) fn is_address(&self, value: u64) -> bool {
        value >= 1 << 16 && self.elf.mapped(value).is_some()
    }

    /// Where functions and their parts begin, as far as the table for unwinding says so, in order.
    pub(super) fn starts(&self) -> &[u64] {
        self.starts.get_or_init(|| self.read_starts().unwrap_or_default())
    }

    /// Whether a function, or a part of one, begins here, as far as the table for unwinding says so.
    pub(super) fn begins(&self, svma: u64) -> bool {
        let starts = self.starts.get_or_init(|| self.read_starts().unwrap_or_default());
        starts.binary_search(&svma).is_ok()
    }

    /// Whether an instruction begins at an address: where the beginning of its function is known, as the instructions from there
    /// lead to it.
    pub(super) fn is_instruction(&self, svma: u64) -> bool {
        const MAX_DECODED: usize = 1 << 16;
        let starts = self.starts.get_or_init(|| self.read_starts().unwrap_or_default());
        let before = starts.partition_point(|&start| start <= svma);
        let Some(&begin) = before.checked_sub(1).and_then(|last| starts.get(last)) else {
            return self.decode(svma).is_some();
        };
        let mut at = begin;
        for _ in 0..MAX_DECODED {
            if at >= svma {
                return at == svma && self.decode(svma).is_some();
            }
            // Data between functions: nothing can be said.
            let Some(instruction) = self.decode(at) else { break };
            at = instruction.next_ip();
        }
        self.decode(svma).is_some()
    }

    /// The sorted table in `.eh_frame_hdr` (Linux Standard Base, 10.6.2), in the only form that linkers make.
    fn read_starts(&self) -> Option<Vec<u64>> {
        const FORM: [u8; 3] = [0x1b, 0x03, 0x3b];
        let header = self
            .elf
            .segments
            .iter()
            .find(|segment| segment.kind == PT_GNU_EH_FRAME)?;
        let bytes = self.elf.bytes(header.offset, header.size)?;
        let (head, table) = bytes.split_at_checked(12)?;
        if head.get(1..4) != Some(&FORM) {
            return None;
        }
        let relative = |entry: &[u8]| {
            let begin = entry.first_chunk().map(|bytes| i32::from_le_bytes(*bytes))?;
            Some(header.svma.wrapping_add_signed(i64::from(begin)))
        };
        table.chunks_exact(8).map(relative).collect()
    }
}
