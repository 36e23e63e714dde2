//! A call stack by the rules of tables, frame by frame, from registers and a copy of the stack. The BPF side does the same steps
//! with what it finds in the kernel (`memtrace-ebpf/src/unwind/step.rs`).

use memtrace_common::{
    abi::{PLT_MASK, SIGNAL_BP, SIGNAL_IP, SIGNAL_SP},
    limits::MAX_FRAME_BYTES,
    unwind::{Cfa, Rbp, Rule},
};

/// Most frames of a stack. A stack of 8 MiB has fewer than ten times as many, if each has nothing but its return address.
const MAX_FRAMES: usize = 1 << 16;

/// The registers that rules speak of, as avmas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Registers {
    /// The next instruction.
    pub ip: u64,
    /// The stack pointer.
    pub sp: u64,
    /// The frame pointer, or whatever the code keeps there; `None` where it is not known.
    pub bp: Option<u64>,
}

/// One frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame {
    /// An address (avma) in the instruction that is being executed: the next one of the innermost frame and of one that a signal
    /// interrupted, else the last byte of the call.
    pub pc: u64,
    /// The stack pointer in it.
    pub sp: u64,
    /// Whether that is in a call, and behind it the address that it returns to.
    pub is_call: bool,
    /// The frame pointer, where the caller was found by it alone, for want of a table: one may be missing before that.
    pub frame_pointer: Option<u64>,
}

/// Where a stack ends, as far as it was walked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// At the start of the thread.
    Start,
    /// After `MAX_FRAMES` frames.
    Deep,
    /// In code without a table, where the frame pointer leads nowhere.
    NoTable,
    /// A word at this address (avma) is needed and not there.
    Missing(u64),
    /// The frame pointer is needed, and is not known.
    NoFramePointer,
    /// At a rule that cannot be said.
    Unsupported,
    /// At a return address that is in no code.
    NoCode,
    /// At a return address that a return probe of the kernel has replaced.
    Replaced,
}

/// What is at an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// Code that this rule is for.
    Code(Rule),
    /// The kernel's page that probed functions return to.
    Trampoline,
    /// No code.
    Nothing,
}

/// A stack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Walk {
    /// Innermost frame first. Never empty.
    pub frames: Vec<Frame>,
    /// Where it ends.
    pub end: End,
}

/// Walks a stack. `found` says what is at an address (avma), `word` what is in the stack at one.
pub fn walk(from: Registers, found: impl FnMut(u64) -> Found, word: impl Fn(u64) -> Option<u64>) -> Walk {
    let mut walker = Walker {
        frames: vec![Frame {
            pc: from.ip,
            sp: from.sp,
            is_call: false,
            frame_pointer: None,
        }],
        ip: from.ip,
        sp: from.sp,
        bp: from.bp,
        found,
        word,
    };
    let end = loop {
        if let Err(end) = walker.leave() {
            break end;
        }
    };
    Walk {
        frames: walker.frames,
        end,
    }
}

struct Walker<F, W> {
    frames: Vec<Frame>,
    ip: u64,
    sp: u64,
    bp: Option<u64>,
    found: F,
    word: W,
}

impl<F: FnMut(u64) -> Found, W: Fn(u64) -> Option<u64>> Walker<F, W> {
    /// Leaves the current frame for its caller's.
    fn leave(&mut self) -> Result<(), End> {
        let pc = self.frames.last().map_or(self.ip, |frame| frame.pc);
        let rule = match (self.found)(pc) {
            Found::Code(rule) => rule,
            Found::Trampoline => return Err(End::Replaced),
            Found::Nothing => return Err(End::NoCode),
        };
        let offset = signed(rule.cfa_offset());
        let cfa = match Cfa::from_u8(rule.cfa()).unwrap_or(Cfa::Unsupported) {
            Cfa::None => return self.by_frame_pointer(),
            Cfa::Rsp => self.sp.wrapping_add(offset),
            Cfa::Rbp => self.bp()?.wrapping_add(offset),
            Cfa::Plt => {
                let pushed = u64::from(self.ip & PLT_MASK >= offset) * 8;
                self.sp.wrapping_add(8 + pushed)
            }
            Cfa::DerefRsp => self.dereferenced(self.sp, rule)?,
            Cfa::DerefRbp => self.dereferenced(self.bp()?, rule)?,
            Cfa::End => return Err(End::Start),
            Cfa::Signal => return self.leave_signal(),
            Cfa::Unsupported => return Err(End::Unsupported),
        };
        // Stacks grow down, and a frame has a return address at least.
        if cfa <= self.sp {
            return Err(End::Unsupported);
        }
        let bp = signed(rule.rbp_offset());
        if rule.rbp() == Rbp::AtCfa as u8 {
            self.bp = Some(self.word(cfa.wrapping_add(bp))?);
        } else if rule.rbp() == Rbp::AtRbp as u8 {
            self.bp = Some(self.word(self.bp()?.wrapping_add(bp))?);
        }
        let address = self.word(cfa.wrapping_sub(8))?;
        self.arrive(address, cfa, 1)
    }

    fn word(&self, address: u64) -> Result<u64, End> {
        (self.word)(address).ok_or(End::Missing(address))
    }

    fn bp(&self) -> Result<u64, End> {
        self.bp.ok_or(End::NoFramePointer)
    }

    fn dereferenced(&self, base: u64, rule: Rule) -> Result<u64, End> {
        let word = self.word(base.wrapping_add(signed(rule.deref_offset())))?;
        Ok(word.wrapping_add(signed(rule.deref_add())))
    }

    /// Goes on to a frame; `back` is how many bytes before its address its instruction ends.
    fn arrive(&mut self, address: u64, sp: u64, back: u64) -> Result<(), End> {
        if address == 0 {
            return Err(End::Start);
        }
        if self.frames.len() >= MAX_FRAMES {
            return Err(End::Deep);
        }
        let pc = address.wrapping_sub(back);
        match (self.found)(pc) {
            Found::Code(_) => {}
            Found::Trampoline => return Err(End::Replaced),
            Found::Nothing => return Err(End::NoCode),
        }
        self.ip = address;
        self.sp = sp;
        self.frames.push(Frame {
            pc,
            sp,
            is_call: back != 0,
            frame_pointer: None,
        });
        Ok(())
    }

    /// Follows the chain of frame pointers.
    fn by_frame_pointer(&mut self) -> Result<(), End> {
        let bp = self.bp()?;
        if bp == 0 {
            // The ABI's mark of the outermost frame (System V AMD64 ABI, 3.4.1), at the end of a chain. Without one before it may
            // be any number.
            let is_chain = self
                .frames
                .iter()
                .rev()
                .nth(1)
                .is_some_and(|caller| caller.frame_pointer.is_some());
            return Err(if is_chain { End::Start } else { End::NoTable });
        }
        if bp < self.sp || bp - self.sp > MAX_FRAME_BYTES || bp & 7 != 0 {
            return Err(End::NoTable);
        }
        let (next, address) = (self.word(bp)?, self.word(bp.wrapping_add(8))?);
        if let Some(frame) = self.frames.last_mut() {
            frame.frame_pointer = Some(bp);
        }
        self.bp = Some(next);
        self.arrive(address, bp.wrapping_add(16), 1)
    }

    /// Goes on with the registers that a signal interrupted. The stack may be another one: it need not grow.
    fn leave_signal(&mut self) -> Result<(), End> {
        let at = |offset| self.word(self.sp.wrapping_add(offset));
        let (bp, sp, ip) = (at(SIGNAL_BP)?, at(SIGNAL_SP)?, at(SIGNAL_IP)?);
        self.bp = Some(bp);
        if ip == 0 {
            // A call of nothing, which is no start of a thread.
            return Err(End::NoCode);
        }
        self.arrive(ip, sp, 0)
    }
}

/// An offset, to be added with wrapping.
fn signed(offset: impl Into<i64>) -> u64 {
    offset.into().cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SP: u64 = 0x7000;

    /// Walks words from [`SP`] on; `rules` are by number of the address, in hundreds.
    fn walked(bp: Option<u64>, rules: &[Found], words: &[u64]) -> (Vec<u64>, End) {
        let from = Registers { ip: 100, sp: SP, bp };
        let found = |pc: u64| {
            let rule = (pc / 100)
                .checked_sub(1)
                .and_then(|at| rules.get(usize::try_from(at).unwrap()));
            rule.copied().unwrap_or(Found::Nothing)
        };
        let word = |at: u64| {
            let index = usize::try_from(at.checked_sub(SP)? / 8).ok()?;
            words.get(index).copied().filter(|_| at.is_multiple_of(8))
        };
        let walk = walk(from, found, word);
        (walk.frames.iter().map(|frame| frame.pc).collect(), walk.end)
    }

    const fn rsp(offset: i32) -> Found {
        Found::Code(Rule::new(Cfa::Rsp, offset, Rbp::Same, 0))
    }

    const END: Found = Found::Code(Rule::END);

    #[test]
    fn callers_are_found_by_the_byte_before_the_return_address() {
        let (frames, end) = walked(None, &[rsp(8), rsp(16), END], &[250, 0, 301]);
        assert_eq!((frames, end), (vec![100, 249, 300], End::Start));
    }

    #[test]
    fn a_frame_pointer_that_is_not_known_is_missed_only_where_it_is_needed() {
        let by_rbp = Found::Code(Rule::new(Cfa::Rbp, 16, Rbp::AtCfa, -16));
        let words = [250, SP + 24, 350, 0, 450];
        let rules = [rsp(8), by_rbp, END, END];
        assert_eq!(walked(None, &rules, &words), (vec![100, 249], End::NoFramePointer));
        assert_eq!(walked(Some(SP + 8), &rules, &words), (vec![100, 249, 349], End::Start));
        // Saved on the way, it is known.
        let saves = Found::Code(Rule::new(Cfa::Rsp, 24, Rbp::AtCfa, -24));
        let words = [SP + 24, 0, 250, 0, 350];
        assert_eq!(
            walked(None, &[saves, by_rbp, END], &words),
            (vec![100, 249, 349], End::Start)
        );
    }

    #[test]
    fn ends_say_why() {
        assert_eq!(walked(None, &[rsp(8)], &[]), (vec![100], End::Missing(SP)));
        assert_eq!(walked(None, &[rsp(8)], &[0]), (vec![100], End::Start));
        assert_eq!(walked(None, &[rsp(8)], &[999]), (vec![100], End::NoCode));
        assert_eq!(
            walked(None, &[rsp(8), Found::Trampoline], &[250]),
            (vec![100], End::Replaced)
        );
        assert_eq!(walked(None, &[rsp(0)], &[0]), (vec![100], End::Unsupported));
        let none = Found::Code(Rule::NONE);
        assert_eq!(walked(None, &[none], &[]), (vec![100], End::NoFramePointer));
        assert_eq!(walked(Some(0), &[none], &[]), (vec![100], End::NoTable));
        assert_eq!(walked(Some(SP - 8), &[none], &[]), (vec![100], End::NoTable));
        assert_eq!(
            walked(None, &[Found::Code(Rule::UNSUPPORTED)], &[]),
            (vec![100], End::Unsupported)
        );
    }

    #[test]
    fn a_signal_goes_on_where_it_interrupted() {
        let mut words = vec![0; 30];
        words[5 + 10] = 0;
        words[5 + 15] = SP + 8 * 25;
        words[5 + 16] = 200;
        words[25] = 350;
        let (frames, end) = walked(None, &[Found::Code(Rule::SIGNAL), rsp(8), END], &words);
        assert_eq!((frames, end), (vec![100, 200, 349], End::Start));
    }

    #[test]
    fn garbage_ends() {
        // Each frame leads to itself, further up the stack.
        let words = vec![150; 1 << 18];
        let (frames, end) = walked(None, &[rsp(8)], &words);
        assert_eq!((frames.len(), end), (MAX_FRAMES, End::Deep));
    }
}
