//! Which registers and places on the stack hold the address of a function of the allocator.

use std::collections::BTreeMap;

use iced_x86::{Code as Opcode, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

use crate::plan::code::deeper;

/// Registers that a call may change (System V AMD64 ABI, 3.2.1), but for that of its result; the vector registers are all of them.
const CHANGED: [Register; 8] = [
    Register::RCX,
    Register::RDX,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];

/// Bytes of a word: what holds an address.
const WORD: i64 = 8;

/// What can hold an address.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Holder {
    /// A general or a vector register, whole.
    Register(Register),
    /// A word on the stack, by its distance from the stack pointer at the function's entry.
    Stack(i64),
    /// A word in memory, by its distance from what is in the frame pointer now.
    Frame(i64),
}

/// What is known of what something holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Held {
    /// The instructions (svma) of which each may have given it its address, in their order.
    pub(super) given: Vec<u64>,
    /// Whether it is the address that one of them gives, on each way that leads here.
    pub(super) always: bool,
}

impl Held {
    /// What holds one or the other.
    pub(super) fn or(mut self, other: &Self) -> Self {
        self.given.extend(&other.given);
        self.given.sort_unstable();
        self.given.dedup();
        self.always &= other.always;
        self
    }

    /// The same, where it is not certain.
    pub(super) fn perhaps(mut self) -> Self {
        self.always = false;
        self
    }
}

/// What is held where before an instruction.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct State {
    held: BTreeMap<Holder, Held>,
    /// By how many bytes the stack is deeper than at the function's entry; `None` when that is not known.
    depth: Option<i64>,
}

impl State {
    /// At a function's entry: nothing is held.
    pub(super) fn at_entry() -> Self {
        Self {
            held: BTreeMap::new(),
            depth: Some(0),
        }
    }

    /// Takes another way into account that leads to the same instruction. Whether that changed anything.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        let before = self.clone();
        for (holder, held) in &mut self.held {
            let joined = std::mem::take(held);
            *held = match other.held.get(holder) {
                Some(other) => joined.or(other),
                None => joined.perhaps(),
            };
        }
        for (holder, held) in &other.held {
            self.held.entry(*holder).or_insert_with(|| held.clone().perhaps());
        }
        if self.depth != other.depth {
            self.depth = None;
        }
        *self != before
    }

    /// What an operand holds, if it may be an address.
    pub(super) fn operand(&self, instruction: &Instruction, operand: u32) -> Option<Held> {
        match instruction.op_kind(operand) {
            OpKind::Register => self.register(instruction.op_register(operand)).cloned(),
            OpKind::Memory => self.memory(instruction, WORD),
            _ => None,
        }
    }

    fn register(&self, register: Register) -> Option<&Held> {
        self.held.get(&Holder::Register(register.full_register()))
    }

    /// What may be read from a memory operand of so many bytes.
    fn memory(&self, instruction: &Instruction, bytes: i64) -> Option<Held> {
        let words: Vec<&Held> = match self.place(instruction) {
            Some(place) => self
                .held
                .iter()
                .filter(|(holder, _)| overlaps(**holder, place, bytes))
                .map(|(_, held)| held)
                .collect(),
            // Anywhere on the stack.
            None if is_stack(instruction) => {
                let on_stack = |holder: &Holder| !matches!(holder, Holder::Register(_));
                self.held
                    .iter()
                    .filter(|(holder, _)| on_stack(holder))
                    .map(|(_, held)| held)
                    .collect()
            }
            None => return None,
        };
        let all = words.into_iter().cloned().reduce(|one, other| one.or(&other))?;
        // Who else writes there is not followed.
        Some(all.perhaps())
    }

    /// Which word a memory operand begins at.
    fn place(&self, instruction: &Instruction) -> Option<Holder> {
        if instruction.memory_index() != Register::None || instruction.segment_prefix() != Register::None {
            return None;
        }
        let distance = instruction.memory_displacement64().cast_signed();
        match instruction.memory_base() {
            Register::RSP => Some(Holder::Stack(distance.checked_sub(self.depth?)?)),
            Register::RBP => Some(Holder::Frame(distance)),
            _ => None,
        }
    }

    /// Does what an instruction does that leads to the next one; `gives` when it puts the address of a function into its first operand.
    pub(super) fn pass(&mut self, instruction: &Instruction, gives: bool, factory: &mut InstructionInfoFactory) {
        let info = factory.info(instruction);
        let operands = instruction.op_count();
        let bytes = i64::try_from(instruction.memory_size().size()).unwrap_or(WORD);
        let is_copy = matches!(
            instruction.code(),
            Opcode::Mov_r64_rm64
                | Opcode::Mov_rm64_r64
                | Opcode::Movq_xmm_rm64
                | Opcode::Movq_rm64_xmm
                | Opcode::VEX_Vmovq_xmm_rm64
                | Opcode::VEX_Vmovq_rm64_xmm
        );
        let read = (0..operands).filter_map(
            |operand| match (instruction.op_kind(operand), info.op_access(operand)) {
                // Where nothing is written under a condition, what was there stays.
                (OpKind::Register, access) if access != OpAccess::Write => {
                    self.register(instruction.op_register(operand)).cloned()
                }
                (OpKind::Memory, OpAccess::NoMemAccess) => self.register(instruction.memory_base()).cloned(),
                (
                    OpKind::Memory,
                    OpAccess::Read | OpAccess::ReadWrite | OpAccess::CondRead | OpAccess::ReadCondWrite,
                ) => self.memory(instruction, bytes),
                _ => None,
            },
        );
        let mut value = read.reduce(|one, other| one.or(&other));
        if !is_copy {
            value = value.map(Held::perhaps);
        }
        if gives {
            value = Some(Held {
                given: vec![instruction.ip()],
                always: true,
            });
        }
        if instruction.mnemonic() == Mnemonic::Pop {
            value = self
                .depth
                .and_then(|depth| self.held.get(&Holder::Stack(-depth)).cloned());
            value = value.map(Held::perhaps);
        }
        let pushed = self.operand(instruction, 0);
        let changed: Vec<Register> = info
            .used_registers()
            .iter()
            .filter(|used| is_write(used.access()))
            .map(|used| used.register().full_register())
            .collect();
        let stored = (operands > 0 && instruction.op0_kind() == OpKind::Memory && is_write(info.op0_access()))
            .then(|| self.place(instruction))
            .flatten();
        let first = (operands > 0 && instruction.op0_kind() == OpKind::Register)
            .then(|| instruction.op0_register().full_register());
        for register in changed {
            // What an instruction gives to a second register, or a call, is nobody's address.
            let held = value.clone().filter(|_| first == Some(register));
            self.set(Holder::Register(register), held);
            if register == Register::RBP {
                self.held.retain(|holder, _| !matches!(holder, Holder::Frame(_)));
            }
        }
        if let Some(place) = stored {
            self.store(place, bytes, value);
        }
        self.depth = self
            .depth
            .zip(deeper(instruction))
            .and_then(|(depth, by)| depth.checked_add(by));
        if let (Mnemonic::Push, Some(depth)) = (instruction.mnemonic(), self.depth) {
            self.store(Holder::Stack(-depth), WORD, pushed);
        }
    }

    /// After a call that returned.
    pub(super) fn called(&mut self) {
        self.held.remove(&Holder::Register(Register::RAX));
        for (holder, held) in &mut self.held {
            // One of this file may be known to the compiler to leave some as they are (`-fipa-ra` of gcc).
            if let Holder::Register(register) = holder
                && (CHANGED.contains(register) || !register.is_gpr())
            {
                held.always = false;
            }
        }
    }

    fn set(&mut self, holder: Holder, held: Option<Held>) {
        match held {
            Some(held) => self.held.insert(holder, held),
            None => self.held.remove(&holder),
        };
    }

    fn store(&mut self, at: Holder, bytes: i64, value: Option<Held>) {
        self.held.retain(|holder, _| !overlaps(*holder, at, bytes));
        let Some(value) = value else { return };
        for word in 0..bytes / WORD {
            let holder = match at {
                Holder::Stack(at) => Holder::Stack(at.saturating_add(word * WORD)),
                Holder::Frame(at) => Holder::Frame(at.saturating_add(word * WORD)),
                Holder::Register(_) => return,
            };
            self.held.insert(holder, value.clone());
        }
    }

    /// What is held by an operand that an instruction stores to memory, be it the stack.
    pub(super) fn stored(&self, instruction: &Instruction) -> Option<Held> {
        let is_store = instruction.op_count() > 1
            && instruction.op0_kind() == OpKind::Memory
            && !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test);
        if !is_store || instruction.op1_kind() != OpKind::Register {
            return None;
        }
        self.register(instruction.op1_register()).cloned()
    }

    /// Whether something is held where a function must leave what its caller had there, or on the stack: then the function has not ended.
    pub(super) fn keeps(&self) -> bool {
        self.held.keys().any(|holder| match holder {
            Holder::Register(register) => {
                register.is_gpr() && *register != Register::RAX && !CHANGED.contains(register)
            }
            Holder::Stack(at) => *at < 0,
            Holder::Frame(_) => false,
        })
    }

    /// All that is held in registers.
    pub(super) fn in_registers(&self) -> impl Iterator<Item = &Held> {
        let is_register = |holder: &Holder| matches!(holder, Holder::Register(_));
        self.held
            .iter()
            .filter(move |(holder, _)| is_register(holder))
            .map(|(_, held)| held)
    }
}

/// Whether a word is one of so many bytes from another one on.
fn overlaps(word: Holder, from: Holder, bytes: i64) -> bool {
    let ((Holder::Stack(word), Holder::Stack(from)) | (Holder::Frame(word), Holder::Frame(from))) = (word, from) else {
        return false;
    };
    word.saturating_add(WORD) > from && word < from.saturating_add(bytes)
}

/// Whether a memory operand is on the stack by its own words.
fn is_stack(instruction: &Instruction) -> bool {
    matches!(instruction.memory_base(), Register::RSP | Register::RBP)
}

fn is_write(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}
