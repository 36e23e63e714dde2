//! Asks the BPF side for what waits in its tables of young blocks.
//!
//! The program that does it is attached to nothing: the kernel runs it when it is asked to, in this thread, and has run it when
//! the call returns (`BPF_PROG_TEST_RUN` of a raw tracepoint program, Linux 5.10). aya would do that only for who holds all
//! programs.

use std::os::fd::{AsFd as _, OwnedFd};

use super::{ProbeError, Probes, sys};

/// Name of the program.
const PROGRAM: &str = "sweep";

/// Every incarnation.
const ALL: u64 = 0;

/// Runs the program.
#[derive(Debug)]
pub struct Sweeper(OwnedFd);

impl Probes {
    /// What asks for blocks that wait.
    ///
    /// # Errors
    /// When the program is not there, or there is no descriptor left.
    pub fn sweeper(&self) -> Result<Sweeper, ProbeError> {
        self.asked(PROGRAM).map(Sweeper)
    }
}

impl Sweeper {
    /// Has all pairs sent, and the blocks that were allocated before a time, in nanoseconds of kernel time. `false` when the ring
    /// was full: the rest stays.
    ///
    /// # Errors
    /// When the kernel does not run the program.
    pub fn sweep(&self, before_ns: u64) -> Result<bool, ProbeError> {
        let failed = |source| ProbeError::kernel("ask the BPF side for the blocks that wait", source);
        let result = sys::run(self.0.as_fd(), &[ALL, before_ns]).map_err(failed)?;
        Ok(result == 0)
    }
}
