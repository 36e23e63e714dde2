//! The way to the screen. Whoever shows something does not wait for it, and what it has not taken yet is kept once: of profiles the newest.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Input;

/// What waits for the screen.
type Waiting = Mutex<Vec<Input>>;

/// Where inputs other than keys are sent to.
#[derive(Clone, Debug)]
pub struct Inputs(Weak<Waiting>);

/// The screen's own end; with it gone inputs go nowhere.
#[derive(Debug, Default)]
pub(super) struct Inbox(Arc<Waiting>);

impl Inputs {
    /// Hands something to the screen; `false` when it is closed. A terminal may take nothing for hours, and profiles are large: one that was
    /// not taken goes when another one comes.
    pub fn send(&self, input: Input) -> bool {
        let Some(waiting) = self.0.upgrade() else { return false };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if input.is_of_numbers() {
            waiting.retain(|earlier| !earlier.is_of_numbers());
        }
        waiting.push(input);
        true
    }
}

impl Inbox {
    /// Where it is filled from.
    pub(super) fn inputs(&self) -> Inputs {
        Inputs(Arc::downgrade(&self.0))
    }

    /// All that has come, in its order.
    pub(super) fn take(&self) -> Vec<Input> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture;

    #[test]
    fn of_profiles_that_nobody_took_the_newest_is_kept() {
        let inbox = Inbox::default();
        let inputs = inbox.inputs();
        let first = Arc::new(fixture::normal());
        assert!(inputs.send(Input::Profile(Arc::clone(&first))));
        assert!(inputs.send(Input::Saved(Err("no".into()))));
        for _ in 0..3 {
            assert!(inputs.send(Input::Profile(Arc::new(fixture::many()))));
        }
        assert!(inputs.send(Input::Ended(Arc::new(fixture::exited()))));
        assert!(inputs.send(Input::Said("something".into())));
        assert_eq!(Arc::strong_count(&first), 1, "it waits no longer");
        let taken = inbox.take();
        assert!(
            matches!(taken[..], [Input::Saved(_), Input::Ended(_), Input::Said(_)]),
            "{taken:?}"
        );
        assert!(inbox.take().is_empty());
    }

    #[test]
    fn a_closed_screen_takes_nothing() {
        let inbox = Inbox::default();
        let inputs = inbox.inputs();
        drop(inbox);
        assert!(!inputs.send(Input::Said("something".into())));
    }
}
