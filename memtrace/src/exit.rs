//! Exit statuses.

use std::process::ExitCode;

/// How memtrace ends. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// 0: done.
    Success,
    /// 1: done, and a check that was asked for failed.
    CheckFailed,
    /// 2: wrong usage or an error.
    Error,
    /// The status of the program that `memtrace run` started; 128 + N when signal N ended it.
    Program(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::CheckFailed => 1,
            Exit::Error => 2,
            Exit::Program(status) => status,
        })
    }
}
