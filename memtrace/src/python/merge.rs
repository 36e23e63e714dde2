//! One stack of two: Python frames go where the evaluator executes them.
//!
//! Each call of the evaluator executes one run of Python frames, which the interpreter marks. Native stack and Python stack are
//! taken at the same moment of the same thread, so the calls and the runs are equally many where both are whole.

use crate::process::Location;

/// An entry of a Python stack, whose frames have a `T` to stand for them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry<T = Location> {
    /// A frame.
    Frame {
        /// What stands for it in stacks.
        at: T,
        /// Whether the run ends with it.
        outermost: bool,
    },
    /// The run ends here.
    Mark,
}

/// What came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Merged<T = Location> {
    /// All frames, leaf first.
    pub frames: Vec<T>,
    /// Whether each Python frame is beside the call that executes it. Otherwise all of them are at the innermost one.
    pub fits: bool,
}

/// Which of the two stacks reach their end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Whole {
    /// The native one.
    pub native: bool,
    /// The Python one.
    pub python: bool,
}

/// Merges two stacks, leaf first. `evaluates` tells which native frames are the evaluator's.
pub fn merge<T: Copy>(native: &[T], python: &[Entry<T>], whole: Whole, evaluates: impl Fn(T) -> bool) -> Merged<T> {
    let runs = runs(python);
    let calls = native.iter().filter(|&&at| evaluates(at)).count();
    let fits = match whole {
        Whole {
            native: true,
            python: true,
        } => calls == runs.len(),
        Whole {
            native: true,
            python: false,
        } => calls >= runs.len(),
        Whole {
            native: false,
            python: true,
        } => calls <= runs.len(),
        Whole {
            native: false,
            python: false,
        } => true,
    };
    let mut frames = Vec::with_capacity(native.len() + python.len());
    let mut runs = runs.into_iter();
    for &at in native {
        if evaluates(at) {
            let most = if fits { 1 } else { usize::MAX };
            frames.extend(runs.by_ref().take(most).flatten());
        }
        frames.push(at);
    }
    // What the native stack does not reach.
    frames.extend(runs.flatten());
    Merged { frames, fits }
}

/// The frames of each call of the evaluator.
fn runs<T: Copy>(python: &[Entry<T>]) -> Vec<Vec<T>> {
    let mut runs = Vec::new();
    let mut run = Vec::new();
    for entry in python {
        match *entry {
            Entry::Frame { at, outermost } => {
                run.push(at);
                if outermost {
                    runs.push(std::mem::take(&mut run));
                }
            }
            Entry::Mark => runs.push(std::mem::take(&mut run)),
        }
    }
    // One that was cut.
    if !run.is_empty() {
        runs.push(run);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVALUATOR: u64 = 100;

    fn native(addresses: &[u64]) -> Vec<Location> {
        let at = |&address: &u64| Location { module: 0, address };
        addresses.iter().map(at).collect()
    }

    fn frame(address: u64, outermost: bool) -> Entry {
        Entry::Frame {
            at: Location { module: 9, address },
            outermost,
        }
    }

    fn merged(addresses: &[u64], python: &[Entry], whole: (bool, bool)) -> (Vec<u64>, bool) {
        let whole = Whole {
            native: whole.0,
            python: whole.1,
        };
        let merged = merge(&native(addresses), python, whole, |at| at.address == EVALUATOR);
        (merged.frames.iter().map(|at| at.address).collect(), merged.fits)
    }

    #[test]
    fn each_run_goes_to_its_call() {
        let python = [frame(1, false), frame(2, true), frame(3, true)];
        let stack = [50, EVALUATOR, 51, EVALUATOR, 52];
        assert_eq!(
            merged(&stack, &python, (true, true)),
            (vec![50, 1, 2, EVALUATOR, 51, 3, EVALUATOR, 52], true)
        );
        // The same by marks.
        let python = [
            frame(1, false),
            frame(2, false),
            Entry::Mark,
            frame(3, false),
            Entry::Mark,
        ];
        assert_eq!(
            merged(&stack, &python, (true, true)),
            (vec![50, 1, 2, EVALUATOR, 51, 3, EVALUATOR, 52], true)
        );
        // A call that has just begun executes nothing yet.
        let python = [Entry::Mark, frame(3, false), Entry::Mark];
        assert_eq!(
            merged(&stack, &python, (true, true)),
            (vec![50, EVALUATOR, 51, 3, EVALUATOR, 52], true)
        );
    }

    #[test]
    fn what_a_cut_native_stack_does_not_reach_comes_after_it() {
        let python = [frame(1, true), frame(2, true), frame(3, true)];
        assert_eq!(
            merged(&[50, EVALUATOR, 51], &python, (false, true)),
            (vec![50, 1, EVALUATOR, 51, 2, 3], true)
        );
        assert_eq!(merged(&[50], &python, (false, true)), (vec![50, 1, 2, 3], true));
    }

    #[test]
    fn calls_that_a_cut_python_stack_does_not_reach_stay_without() {
        let stack = [EVALUATOR, 51, EVALUATOR, 52];
        assert_eq!(
            merged(&stack, &[frame(1, true)], (true, false)),
            (vec![1, EVALUATOR, 51, EVALUATOR, 52], true)
        );
    }

    #[test]
    fn where_the_numbers_differ_nothing_is_guessed() {
        let python = [frame(1, true), frame(2, true)];
        assert_eq!(
            merged(&[50, EVALUATOR, 51], &python, (true, true)),
            (vec![50, 1, 2, EVALUATOR, 51], false)
        );
        assert_eq!(
            merged(&[EVALUATOR, 50, EVALUATOR, 51, EVALUATOR], &python, (true, true)),
            (vec![1, 2, EVALUATOR, 50, EVALUATOR, 51, EVALUATOR], false)
        );
        assert_eq!(merged(&[50], &python, (true, true)), (vec![50, 1, 2], false));
    }
}
