//! A row of steps that all run, and the summary of how each ended.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a step ended when it did not fail.
pub(crate) enum Outcome {
    /// It did all it should.
    Passed,
    /// It could not be done here, and that is acceptable; why.
    Skipped(String),
}

/// The steps that have run.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: &'static str,
    took: Duration,
    result: Result<Outcome>,
}

impl Steps {
    /// Runs a step that either passes or fails. A failure is kept for the summary: the steps after it run too.
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> bool {
        self.run_or_skip(name, || step().map(|()| Outcome::Passed))
    }

    /// Runs a step that may also be skipped. Tells whether it did not fail.
    pub(crate) fn run_or_skip(&mut self, name: &'static str, step: impl FnOnce() -> Result<Outcome>) -> bool {
        println!("\n== {name}");
        let start = Instant::now();
        let result = step();
        match &result {
            Ok(Outcome::Passed) => {}
            Ok(Outcome::Skipped(reason)) => println!("skipped: {reason}"),
            Err(error) => println!("FAILED: {error:#}"),
        }
        let ok = result.is_ok();
        self.done.push(Step {
            name,
            took: start.elapsed(),
            result,
        });
        ok
    }

    /// Prints the summary; fails when a step failed.
    pub(crate) fn finish(self) -> Result<()> {
        println!("\n== summary");
        for Step { name, took, result } in &self.done {
            let seconds = took.as_secs_f64();
            match result {
                Ok(Outcome::Passed) => println!("passed   {seconds:6.1} s  {name}"),
                Ok(Outcome::Skipped(reason)) => println!("skipped  {seconds:6.1} s  {name}: {reason}"),
                Err(error) => println!("FAILED   {seconds:6.1} s  {name}: {error:#}"),
            }
        }
        let failed: Vec<_> = self
            .done
            .iter()
            .filter(|step| step.result.is_err())
            .map(|step| step.name)
            .collect();
        if !failed.is_empty() {
            bail!(
                "{} of {} steps failed: {}",
                failed.len(),
                self.done.len(),
                failed.join(", ")
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_does_not_stop_the_others_but_fails_the_whole() {
        let mut steps = Steps::default();
        assert!(!steps.run("one", || bail!("no")));
        assert!(steps.run("two", || Ok(())));
        assert!(steps.run_or_skip("three", || Ok(Outcome::Skipped("not here".into()))));
        assert_eq!(steps.finish().unwrap_err().to_string(), "1 of 3 steps failed: one");
    }

    #[test]
    fn passed_and_skipped_steps_are_a_success() {
        let mut steps = Steps::default();
        steps.run("one", || Ok(()));
        steps.run_or_skip("two", || Ok(Outcome::Skipped("not here".into())));
        assert!(steps.finish().is_ok());
    }
}
