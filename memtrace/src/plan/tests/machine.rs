//! A machine that runs some instructions by the meaning that is written down here, and not by what a disassembler says of them.

use super::made::near;

/// Registers by the numbers that instructions have for them, without the stack and the frame pointer, and those that need another byte
/// when they are used as an address.
pub(super) const REGISTERS: [u8; 10] = [0, 1, 2, 3, 6, 7, 8, 9, 10, 11];

/// A 64-bit instruction, with its registers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// `mov from, to`
    Copy(u8, u8),
    /// `lea 7(from), to`
    Seven(u8, u8),
    /// `add $imm, to`
    Add(i8, u8),
    /// `xor to, to`, of 32 bits
    Zero(u8),
    /// `mov imm, low byte of to`
    Byte(u8, u8),
    /// `mov (from), to`
    Load(u8, u8),
    /// `mov from, (to)`
    Store(u8, u8),
    /// `cmp $imm, with`
    Compare(i8, u8),
    /// `test with, with`
    Test(u8),
    /// `cmove from, to`
    IfZero(u8, u8),
    /// `xchg one, other`
    Exchange(u8, u8),
}

/// How a block ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Last {
    /// A conditional jump to a block, else the next one.
    Branch(u8, usize),
    /// A jump to a block.
    Jump(usize),
    /// `ret`
    Return,
    /// A jump out of the function.
    Leave,
    /// `ud2`
    Stop,
}

/// A function of blocks.
#[derive(Clone, Debug)]
pub(super) struct Function(pub(super) Vec<(Vec<Op>, Last)>);

/// What is executed, with its address.
#[derive(Clone, Copy, Debug)]
pub(super) enum Executed {
    Op(Op),
    Last(Last),
}

fn two(opcode: &[u8], field: u8, rm: u8, mode: u8) -> Vec<u8> {
    let prefix = 0x48 | field >> 3 << 2 | rm >> 3;
    [&[prefix][..], opcode, &[mode << 6 | (field & 7) << 3 | rm & 7]].concat()
}

impl Op {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Copy(from, to) => two(&[0x89], from, to, 3),
            Self::Seven(from, to) => [two(&[0x8d], to, from, 1), vec![7]].concat(),
            Self::Add(value, to) => [two(&[0x83], 0, to, 3), vec![value.cast_unsigned()]].concat(),
            Self::Zero(to) => vec![0x40 | to >> 3 << 2 | to >> 3, 0x31, 0xc0 | (to & 7) << 3 | to & 7],
            Self::Byte(value, to) => vec![0x40 | to >> 3, 0xb0 | to & 7, value],
            Self::Load(from, to) => two(&[0x8b], to, from, 0),
            Self::Store(from, to) => two(&[0x89], from, to, 0),
            Self::Compare(value, with) => [two(&[0x83], 7, with, 3), vec![value.cast_unsigned()]].concat(),
            Self::Test(with) => two(&[0x85], with, with, 3),
            Self::IfZero(from, to) => two(&[0x0f, 0x44], to, from, 3),
            Self::Exchange(one, other) => two(&[0x87], one, other, 3),
        }
    }
}

impl Function {
    /// Its code when it begins at `begin` and leaves for `out`; and what is executed at each address, with the address that follows.
    pub(super) fn assemble(&self, begin: u64, out: u64) -> (Vec<u8>, Vec<(u64, Executed, u64)>) {
        let length = |last: Last| match last {
            Last::Branch(..) => 6,
            Last::Jump(_) | Last::Leave => 5,
            Last::Return => 1,
            Last::Stop => 2,
        };
        let size =
            |(ops, last): &(Vec<Op>, Last)| ops.iter().map(|op| op.bytes().len() as u64).sum::<u64>() + length(*last);
        let mut begins = vec![begin];
        for block in &self.0 {
            begins.push(begins[begins.len() - 1] + size(block));
        }
        let (mut code, mut listing) = (Vec::new(), Vec::new());
        for (ops, last) in &self.0 {
            for &op in ops {
                let at = begin + code.len() as u64;
                code.extend(op.bytes());
                listing.push((at, Executed::Op(op), begin + code.len() as u64));
            }
            let at = begin + code.len() as u64;
            code.extend(match *last {
                Last::Branch(condition, to) => {
                    // One byte longer than a jump: the distance counts from its end.
                    let jump = near(0xe9, at + 1, begins[to]);
                    [&[0x0f, 0x80 | condition][..], &jump[1..]].concat()
                }
                Last::Jump(to) => near(0xe9, at, begins[to]),
                Last::Leave => near(0xe9, at, out),
                Last::Return => vec![0xc3],
                Last::Stop => vec![0x0f, 0x0b],
            });
            listing.push((at, Executed::Last(*last), begin + code.len() as u64));
        }
        (code, listing)
    }
}

/// Where each block begins, of a function that begins at `begin`.
pub(super) fn begins(begin: u64, listing: &[(u64, Executed, u64)]) -> Vec<u64> {
    let lasts = listing
        .iter()
        .filter(|(_, executed, _)| matches!(executed, Executed::Last(_)));
    std::iter::once(begin).chain(lasts.map(|&(.., next)| next)).collect()
}

/// Registers, by number, and flags.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    pub(super) registers: [u64; 16],
    pub(super) flags: u64,
}

impl Machine {
    fn result(&mut self, result: u64, carry: bool, overflow: bool) {
        let even = result.to_le_bytes()[0].count_ones().is_multiple_of(2);
        self.flags = u64::from(carry)
            | u64::from(even) << 2
            | u64::from(result == 0) << 6
            | result >> 63 << 7
            | u64::from(overflow) << 11;
    }

    pub(super) fn run(&mut self, op: Op) {
        let at = |register: u8| usize::from(register);
        let value = self.registers;
        match op {
            Op::Copy(from, to) => self.registers[at(to)] = value[at(from)],
            Op::Seven(from, to) => self.registers[at(to)] = value[at(from)].wrapping_add(7),
            Op::Add(more, to) => {
                let more = i64::from(more);
                let (sum, carry) = value[at(to)].overflowing_add(more.cast_unsigned());
                let (_, overflow) = value[at(to)].cast_signed().overflowing_add(more);
                self.registers[at(to)] = sum;
                self.result(sum, carry, overflow);
            }
            Op::Zero(to) => {
                self.registers[at(to)] = 0;
                self.result(0, false, false);
            }
            Op::Byte(byte, to) => self.registers[at(to)] = value[at(to)] & !255 | u64::from(byte),
            // Memory that has something else at each address, and often nothing.
            Op::Load(from, to) => {
                let mixed = value[at(from)].wrapping_mul(0x9e37_79b9_7f4a_7c15);
                self.registers[at(to)] = if mixed >> 62 == 0 { 0 } else { mixed.rotate_left(23) };
            }
            Op::Store(..) => {}
            Op::Compare(other, with) => {
                let other = i64::from(other);
                let (result, carry) = value[at(with)].overflowing_sub(other.cast_unsigned());
                let (_, overflow) = value[at(with)].cast_signed().overflowing_sub(other);
                self.result(result, carry, overflow);
            }
            Op::Test(with) => self.result(value[at(with)], false, false),
            Op::IfZero(from, to) => {
                if self.flags >> 6 & 1 == 1 {
                    self.registers[at(to)] = value[at(from)];
                }
            }
            Op::Exchange(one, other) => {
                self.registers[at(one)] = value[at(other)];
                self.registers[at(other)] = value[at(one)];
            }
        }
    }
}
