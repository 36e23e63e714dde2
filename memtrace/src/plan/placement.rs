//! Where in a function the breakpoint of its entry lies.
//!
//! The kernel *emulates* a few instructions and *steps* through a copy of all others, which takes another trap and, on virtual
//! machines, ten times as long. So the probe goes to the first instruction that is emulated, if it can be proven that it is as
//! good as the entry: every call comes by it exactly once, before anything is written to memory, with the stack and the frame pointer
//! untouched and each argument in a register.

use std::fmt;

use iced_x86::{
    Code as Opcode, Instruction, InstructionInfo, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};
use memtrace_common::Shape;
use object::ReadRef;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    code::{Code, Flow},
    flow,
};

/// Instructions looked at. Compilers put the first `push` or branch near the entry, or it is none that would do.
pub(super) const MOST: usize = 16;

/// The registers that an argument may be in, in the order of [`Shape`]'s indices.
pub(super) const HOLDERS: [Register; 8] = [
    Register::RDI,
    Register::RSI,
    Register::RDX,
    Register::RCX,
    Register::R8,
    Register::R9,
    Register::RAX,
    Register::R10,
];

/// What the kernel does at a probed instruction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cost {
    /// It computes what the instruction does.
    Emulated,
    /// It steps through a copy, for this reason.
    Stepped(&'static str),
}

/// Where a probe lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Placement {
    /// Bytes beyond the entry of the function.
    pub beyond: u16,
    /// What happens there.
    pub cost: Cost,
}

impl Placement {
    /// At the entry.
    pub(super) const fn at_entry(cost: Cost) -> Self {
        Self { beyond: 0, cost }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "+{}", self.beyond)?;
        match self.cost {
            Cost::Emulated => formatter.write_str(" emulated"),
            Cost::Stepped(why) => write!(formatter, " stepped: {why}"),
        }
    }
}

/// Where the jumps of a file's hooks lead to.
#[derive(Debug, Default)]
pub(super) struct Jumps {
    targets: FxHashSet<u64>,
    /// From where to where.
    edges: FxHashSet<(u64, u64)>,
    /// Functions of which that cannot be told, with the reason.
    unknown: FxHashMap<u64, &'static str>,
}

impl Jumps {
    /// Of these functions.
    pub(super) fn of<'data, R: ReadRef<'data>>(
        code: &Code<'_, 'data, R>,
        entries: impl IntoIterator<Item = u64>,
    ) -> Self {
        let mut jumps = Self::default();
        for entry in entries {
            if let Err(why) = flow::jumps(code, entry, &mut jumps.edges) {
                jumps.unknown.insert(entry, why);
            }
        }
        jumps.targets = jumps.edges.iter().map(|&(_, target)| target).collect();
        jumps
    }

    /// Whether no jump from elsewhere leads to one of these instructions of the function at `entry`, other than the entry itself.
    ///
    /// # Errors
    /// Why that is not so, or cannot be told.
    pub(super) fn stay_out_of(&self, entry: u64, inside: &FxHashSet<u64>) -> Result<(), &'static str> {
        if let Some(why) = self.unknown.get(&entry) {
            return Err(why);
        }
        let comes_in = |&(from, to): &(u64, u64)| to != entry && inside.contains(&to) && !inside.contains(&from);
        if self.edges.iter().any(comes_in) {
            return Err("code jumps to what follows the entry");
        }
        Ok(())
    }
}

/// Finds the place for the function at `entry`, whose arguments are where `shape` says; and where they are at that place.
/// `jumps` are those of this function and others.
pub(super) fn place<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    entry: u64,
    shape: Shape,
    jumps: &Jumps,
) -> (Placement, Shape) {
    match find(code, entry, shape, jumps) {
        Ok((at, shape)) => {
            let beyond = u16::try_from(at - entry).unwrap_or(0);
            let cost = Cost::Emulated;
            (Placement { beyond, cost }, shape)
        }
        Err(why) => (Placement::at_entry(Cost::Stepped(why)), shape),
    }
}

fn find<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    entry: u64,
    shape: Shape,
    jumps: &Jumps,
) -> Result<(u64, Shape), &'static str> {
    let mut holders = Holders::new(shape);
    let mut factory = InstructionInfoFactory::new();
    let mut at = entry;
    let mut is_target = false;
    for _ in 0..MOST {
        let instruction = code.instruction(at).ok_or("its code cannot be read")?;
        is_target |= at != entry && (jumps.targets.contains(&at) || code.begins(at));
        if is_emulated(&instruction) {
            let shape = holders
                .shape(shape)
                .ok_or("an argument is gone before an instruction that is emulated")?;
            match jumps.unknown.get(&entry) {
                Some(why) if at != entry => return Err(why),
                _ if is_target => return Err("code jumps to what follows the entry"),
                _ => {}
            }
            return Ok((at, shape));
        }
        if !matches!(code.flow(&instruction), Flow::Next | Flow::Padding) || instruction.mnemonic() == Mnemonic::Syscall
        {
            return Err("it ends, branches or calls before an instruction that is emulated");
        }
        holders.pass(&instruction, factory.info(&instruction))?;
        at = instruction.next_ip();
    }
    Err("no instruction that is emulated is near")
}

/// Which registers hold each argument, as far as it is known.
struct Holders([(Option<u8>, Vec<Register>); 4]);

impl Holders {
    fn new(shape: Shape) -> Self {
        Self([shape.size, shape.count, shape.old, shape.out].map(|index| {
            let register = index.and_then(|index| HOLDERS.get(usize::from(index)));
            (index, register.into_iter().copied().collect())
        }))
    }

    /// What an instruction leaves as it was.
    ///
    /// # Errors
    /// Why no probe may lie behind it.
    fn pass(&mut self, instruction: &Instruction, info: &InstructionInfo) -> Result<(), &'static str> {
        let writes = |access: OpAccess| {
            !matches!(
                access,
                OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
            )
        };
        // It may be the very work that the probe is to come before.
        if info.used_memory().iter().any(|used| writes(used.access())) {
            return Err("it writes to memory before an instruction that is emulated");
        }
        let copied = (instruction.code() == Opcode::Mov_r64_rm64 || instruction.code() == Opcode::Mov_rm64_r64)
            .then(|| (instruction.op1_register(), instruction.op0_register()))
            .filter(|_| instruction.op0_kind() == OpKind::Register && instruction.op1_kind() == OpKind::Register);
        for used in info.used_registers().iter().filter(|used| writes(used.access())) {
            let written = used.register().full_register();
            if matches!(written, Register::RSP | Register::RBP) {
                return Err("the stack or frame pointer changes before an instruction that is emulated");
            }
            for (_, holders) in &mut self.0 {
                holders.retain(|&holder| holder != written);
            }
        }
        if let Some((from, to)) = copied {
            for (_, holders) in &mut self.0 {
                if from != to && holders.contains(&from) {
                    holders.push(to);
                }
            }
        }
        Ok(())
    }

    /// Where the arguments are now; `None` when one is in none of the registers that a shape can name.
    fn shape(&self, shape: Shape) -> Option<Shape> {
        let now = |(index, holders): &(Option<u8>, Vec<Register>)| {
            if index.is_none() {
                return Some(None);
            }
            let place = HOLDERS.iter().position(|register| holders.contains(register))?;
            Some(u8::try_from(place).ok())
        };
        let [size, count, old, out] = &self.0;
        Some(Shape {
            size: now(size)?,
            count: now(count)?,
            old: now(old)?,
            out: now(out)?,
            ..shape
        })
    }
}

/// At this instruction and no other.
pub(super) fn here<'data, R: ReadRef<'data>>(code: &Code<'_, 'data, R>, at: u64) -> Placement {
    let emulated = code
        .instruction(at)
        .is_some_and(|instruction| is_emulated(&instruction));
    Placement::at_entry(if emulated {
        Cost::Emulated
    } else {
        Cost::Stepped("it has to be at this instruction")
    })
}

/// Whether the kernel emulates an instruction: `push` of a register, jumps and calls by a distance, and the one-byte `nop`, without
/// prefixes (`push_setup_xol_ops` and `branch_setup_xol_ops`, `arch/x86/kernel/uprobes.c`, the same since Linux 4.16).
pub(super) fn is_emulated(instruction: &Instruction) -> bool {
    let length = instruction.len();
    match instruction.code() {
        // One byte, or two with the prefix for r8 to r15.
        Opcode::Push_r64 => length == 1 || (length == 2 && is_numbered(instruction.op0_register())),
        Opcode::Nopd | Opcode::Nopw | Opcode::Nopq => length == 1,
        Opcode::Jmp_rel8_64 => length == 2,
        Opcode::Jmp_rel32_64 | Opcode::Call_rel32_64 => length == 5,
        _ if instruction.is_jcc_short() => length == 2,
        _ if instruction.is_jcc_near() => length == 6,
        _ => false,
    }
}

/// r8 to r15.
const fn is_numbered(register: Register) -> bool {
    matches!(
        register,
        Register::R8
            | Register::R9
            | Register::R10
            | Register::R11
            | Register::R12
            | Register::R13
            | Register::R14
            | Register::R15
    )
}
