//! Whether one probe has seen an allocation as it was: what it took is compared with the arguments at the entry and with what the function
//! returns.
//!
//! For the first calls after the probes are on, there are more of them: at the entry, at the jumps to the slow part, and at the return. A
//! call is on record from its entry; whoever sees it next answers. A call that answers nothing until its fast path returns was missed.

/// Bits of a packed cookie that say which hook it is, its operation included.
pub const HOOK: u64 = (1 << 24) - 1;

/// Checked calls after which a hook is trusted: a fast path has one to three places, and which of them a call comes by depends on
/// what is in the thread's cache.
pub const ENOUGH: u64 = 64;

/// A call that is being checked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Check {
    /// Stack pointer at the entry: where the return address lies. 0 when no call is being checked.
    pub sp: u64,
    /// Which hook it is: [`HOOK`] of the cookie.
    pub hook: u64,
    /// Requested size in bytes, by the arguments.
    pub size: u64,
    /// Size that the one probe took.
    pub taken_size: u64,
    /// Address that it took (avma).
    pub taken_address: u64,
    /// An [`Answer`] as its number.
    pub answer: u64,
}

/// How often a hook was checked, and what came of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Checked {
    /// Calls that were compared with what they returned.
    pub calls: u64,
    /// Those that one probe has not seen as they were.
    pub wrong: u64,
}

/// Who has seen the call on record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u64)]
pub enum Answer {
    /// Nobody yet.
    None = 0,
    /// The one probe.
    Taken = 1,
    /// The probe at a jump to the slow part.
    Left = 2,
    /// More than one.
    Twice = 3,
}

/// What is known of a call when it returns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It was not on record, or went to the slow part: there is nothing to compare.
    Nothing,
    /// One probe has seen it as it was.
    Right,
    /// It has not.
    Wrong,
}

impl Check {
    /// A call that has just been entered.
    #[inline(always)]
    #[must_use]
    pub const fn begin(sp: u64, cookie: u64, size: u64) -> Self {
        Self {
            sp,
            hook: cookie & HOOK,
            size,
            taken_size: 0,
            taken_address: 0,
            answer: Answer::None as u64,
        }
    }

    /// Whether it is of this call. A call of a signal handler has another stack pointer.
    #[inline(always)]
    pub const fn is_of(&self, sp: u64, cookie: u64) -> bool {
        self.sp == sp && sp != 0 && self.hook == cookie & HOOK
    }

    /// Notes what one probe takes, if it is of this call.
    #[inline(always)]
    pub const fn take(&mut self, sp: u64, cookie: u64, size: u64, address: u64) {
        if self.is_of(sp, cookie) {
            self.taken_size = size;
            self.taken_address = address;
            self.answer_by(Answer::Taken);
        }
    }

    /// Notes that the call goes to the slow part with this size.
    #[inline(always)]
    pub const fn leave(&mut self, sp: u64, cookie: u64, size: u64) -> Verdict {
        if !self.is_of(sp, cookie) {
            return Verdict::Nothing;
        }
        self.answer_by(Answer::Left);
        if self.answer == Answer::Left as u64 && size == self.size {
            return Verdict::Nothing;
        }
        // It may never be seen to return.
        self.sp = 0;
        Verdict::Wrong
    }

    /// Compares when the call returns an address, and forgets the call.
    #[inline(always)]
    pub const fn end(&mut self, sp: u64, cookie: u64, address: u64) -> Verdict {
        if !self.is_of(sp, cookie) {
            return Verdict::Nothing;
        }
        self.sp = 0;
        if self.answer == Answer::Left as u64 {
            return Verdict::Nothing;
        }
        if self.answer == Answer::Taken as u64 && self.taken_size == self.size && self.taken_address == address {
            Verdict::Right
        } else {
            Verdict::Wrong
        }
    }

    #[inline(always)]
    const fn answer_by(&mut self, answer: Answer) {
        self.answer = if self.answer == Answer::None as u64 {
            answer as u64
        } else {
            Answer::Twice as u64
        };
    }
}

/// What is to be done about a check, by what came of it and how long it has gone on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// It goes on.
    GoOn,
    /// It ends: enough was seen, or it has taken long enough.
    End,
    /// One probe is not to be trusted.
    GiveUp,
}

impl Checked {
    /// Decides what comes next.
    #[must_use]
    pub const fn next(self, is_over: bool) -> Next {
        if self.wrong > 0 {
            Next::GiveUp
        } else if is_over || self.calls >= ENOUGH {
            Next::End
        } else {
            Next::GoOn
        }
    }
}

const _: () = {
    assert!(size_of::<Check>() == 48);
    assert!(size_of::<Checked>() == 16);
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cookie, Op, Shape};

    const SP: u64 = 0x7fff_0000;

    fn cookie(hook: u16) -> u64 {
        Cookie::of_function(Op::Malloc, hook, Shape::default()).pack()
    }

    fn begun() -> Check {
        Check::begin(SP, cookie(1), 24)
    }

    #[test]
    fn what_was_taken_is_compared_with_arguments_and_result() {
        for (size, address, verdict) in [
            (24, 0x1000, Verdict::Right),
            (25, 0x1000, Verdict::Wrong),
            (24, 0x1008, Verdict::Wrong),
            (24, 0, Verdict::Wrong),
        ] {
            let mut check = begun();
            check.take(SP, cookie(1), size, address);
            assert_eq!(check.end(SP, cookie(1), 0x1000), verdict, "{size} {address:x}");
            assert_eq!(check.end(SP, cookie(1), 0x1000), Verdict::Nothing, "only once");
        }
        let mut failed = begun();
        failed.take(SP, cookie(1), 24, 0);
        assert_eq!(failed.end(SP, cookie(1), 0), Verdict::Right, "it returned nothing");
    }

    #[test]
    fn a_call_that_nobody_has_seen_is_wrong() {
        assert_eq!(begun().end(SP, cookie(1), 0x1000), Verdict::Wrong);
        assert_eq!(begun().end(SP, cookie(1), 0), Verdict::Wrong);
    }

    #[test]
    fn the_slow_part_is_not_compared_unless_it_has_another_size() {
        let mut check = begun();
        assert_eq!(check.leave(SP, cookie(1), 24), Verdict::Nothing);
        assert_eq!(check.end(SP, cookie(1), 0x1000), Verdict::Nothing);
        let mut check = begun();
        assert_eq!(check.leave(SP, cookie(1), 25), Verdict::Wrong);
        assert_eq!(check.end(SP, cookie(1), 0x1000), Verdict::Nothing, "it was counted");
    }

    #[test]
    fn whoever_is_seen_twice_is_wrong() {
        let mut twice = begun();
        twice.take(SP, cookie(1), 24, 0x1000);
        twice.take(SP, cookie(1), 24, 0x1000);
        assert_eq!(twice.end(SP, cookie(1), 0x1000), Verdict::Wrong);
        let mut both = begun();
        both.take(SP, cookie(1), 24, 0x1000);
        assert_eq!(both.leave(SP, cookie(1), 24), Verdict::Wrong);
        let mut back = begun();
        assert_eq!(back.leave(SP, cookie(1), 24), Verdict::Nothing);
        back.take(SP, cookie(1), 24, 0x1000);
        assert_eq!(back.end(SP, cookie(1), 0x1000), Verdict::Wrong);
    }

    #[test]
    fn other_calls_neither_answer_nor_end_it() {
        for (sp, hook) in [(SP - 64, 1), (SP + 64, 1), (SP, 2), (0, 1)] {
            let mut check = begun();
            check.take(sp, cookie(hook), 1, 1);
            assert_eq!(check.leave(sp, cookie(hook), 1), Verdict::Nothing);
            assert_eq!(check.end(sp, cookie(hook), 1), Verdict::Nothing);
            assert_eq!(check, begun(), "{sp:x} {hook}");
        }
        let mut none = Check::default();
        none.take(0, 0, 1, 1);
        assert_eq!(none.leave(0, 0, 0), Verdict::Nothing);
        assert_eq!(none.end(0, 0, 0), Verdict::Nothing, "no call is on record");
        // What a cookie says of places does not make it another hook's.
        let mut check = begun();
        let stepped = cookie(1) | crate::cookie::STEPPED | 5 << 40;
        check.take(SP, stepped, 24, 0x1000);
        assert_eq!(check.end(SP, stepped, 0x1000), Verdict::Right);
    }

    #[test]
    fn a_check_ends_with_enough_calls_or_with_its_time_and_a_wrong_one_comes_first() {
        let next = |calls, wrong, is_over| Checked { calls, wrong }.next(is_over);
        assert_eq!(next(ENOUGH - 1, 0, false), Next::GoOn);
        assert_eq!(next(ENOUGH, 0, false), Next::End);
        assert_eq!(next(0, 0, true), Next::End);
        for (calls, is_over) in [(1, false), (1, true), (ENOUGH, false), (ENOUGH, true)] {
            assert_eq!(next(calls, 1, is_over), Next::GiveUp);
        }
    }
}
