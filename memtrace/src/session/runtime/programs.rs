//! Which processes run the same program: one that was forked has its parent's interpreter or engine, at the same addresses.

use rustc_hash::FxHashMap;

/// Programs by the incarnation that they began with.
#[derive(Debug, Default)]
pub(in crate::session) struct Programs {
    /// The program of processes that were forked.
    forked: FxHashMap<u32, u32>,
    /// How many processes have a program, of those that are known.
    users: FxHashMap<u32, u32>,
}

impl Programs {
    /// The program of a process.
    pub(in crate::session) fn of(&self, incarnation: u32) -> u32 {
        self.forked.get(&incarnation).copied().unwrap_or(incarnation)
    }

    /// A program is known.
    pub(in crate::session) fn begin(&mut self, program: u32) {
        self.users.entry(program).or_insert(1);
    }

    /// A process was forked.
    pub(in crate::session) fn fork(&mut self, parent: u32, child: u32) {
        let program = self.of(parent);
        self.forked.insert(child, program);
        *self.users.entry(program).or_insert(1) += 1;
    }

    /// A process has ended, or replaced its program; the program, when nobody has it any more.
    pub(in crate::session) fn end(&mut self, incarnation: u32) -> Option<u32> {
        let program = self.forked.remove(&incarnation).unwrap_or(incarnation);
        let users = self.users.get_mut(&program)?;
        *users = users.saturating_sub(1);
        (*users == 0).then(|| {
            self.users.remove(&program);
            program
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_ends_with_the_last_that_has_it() {
        let mut programs = Programs::default();
        programs.begin(1);
        programs.fork(1, 2);
        programs.fork(2, 3);
        assert_eq!([1, 2, 3, 4].map(|incarnation| programs.of(incarnation)), [1, 1, 1, 4]);
        assert_eq!(programs.end(1), None);
        assert_eq!(programs.of(3), 1);
        assert_eq!((programs.end(3), programs.end(2)), (None, Some(1)));
        assert!(programs.forked.is_empty() && programs.users.is_empty());
    }

    #[test]
    fn one_that_forked_before_it_was_known_is_counted() {
        let mut programs = Programs::default();
        programs.fork(1, 2);
        programs.begin(1);
        assert_eq!((programs.end(2), programs.end(1)), (None, Some(1)));
        assert_eq!(programs.end(7), None, "nobody knew it");
    }
}
