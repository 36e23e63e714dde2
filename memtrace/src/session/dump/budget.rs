//! What reading the stacks of a process may cost, in one runtime.

use std::cell::Cell;

use crate::process::metered::Allowance;

/// What one stack may cost. Most programs never raise the limit of Python's recursion, of 1000 calls, and V8's stacks are of a megabyte, which ten
/// thousand frames fit in; the bytes are read well within the time for which a thread may be stopped.
const STACK: Allowance = Allowance {
    entries: 1 << 14,
    bytes: 16 << 20,
};

/// What those of a process may cost together: thousands of threads with common stacks.
const PROCESS: Allowance = Allowance {
    entries: 1 << 20,
    bytes: 1 << 30,
};

/// See the module's description.
pub(super) struct Budget(Cell<Allowance>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(PROCESS))
    }
}

impl Budget {
    /// Reads one stack. `read` is given what that may cost, and leaves what is left of it.
    pub(super) fn spend<T>(&self, read: impl FnOnce(&mut Allowance) -> T) -> T {
        let left = self.0.get();
        let given = left.at_most(STACK);
        let mut rest = given;
        let value = read(&mut rest);
        self.0.set(left.after(given, rest));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stack_costs_is_missing_for_others() {
        let budget = Budget::default();
        let stacks = PROCESS.entries / STACK.entries;
        for _ in 0..stacks {
            budget.spend(|given| {
                assert_eq!(*given, STACK);
                given.entries = 0;
            });
        }
        budget.spend(|given| assert_eq!((given.entries, given.bytes), (0, STACK.bytes)));
    }
}
