//! Starts a program and holds it while probes are put on, so that its first allocation is seen.
//!
//! The program is traced (ptrace) from `exec` until its dynamic loader has finished, system call by system call: the C
//! library appears in its mappings before anything can call it, and that is when its probes go on. Then it is let go, and
//! nothing of ptrace remains.

use std::{
    ffi::OsString,
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, ExitStatus},
};

use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::{SigHandler, Signal, signal},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use thiserror::Error;

/// Why a program could not be started under observation.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// There is no such program, or it may not be executed.
    #[error("failed to start {program}: {source}")]
    Start {
        /// The program as it was given.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The program cannot be traced while it starts.
    #[error("failed to hold {program} while it starts: {source} (is another debugger involved?)")]
    Hold {
        /// The program as it was given.
        program: String,
        /// The system's answer.
        source: Errno,
    },
}

/// A program that is stopped before its first own instruction. Dropped without [`Suspended::release`] it is killed: it
/// was started to be observed, and nobody else knows of it.
pub struct Suspended {
    child: Option<Child>,
    program: String,
    /// A signal that arrived while it was held and is delivered when it goes on.
    signal: Option<Signal>,
}

/// What a step of a held program came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// It is at the entry or the exit of a system call.
    Syscall {
        /// The instruction pointer (avma).
        ip: u64,
        /// Which call it is.
        number: u64,
    },
    /// It replaced its program by another one.
    Exec,
    /// It ended.
    Ended(ExitStatus),
}

/// Starts `command` and stops it right after `exec`.
///
/// # Errors
/// When the program cannot be started or traced.
pub fn launch(command: &[OsString]) -> Result<Suspended, LaunchError> {
    let [program, arguments @ ..] = command else {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "no program was given");
        return Err(LaunchError::Start {
            program: String::new(),
            source,
        });
    };
    let name = program.to_string_lossy().into_owned();
    let mut command = Command::new(program);
    command.args(arguments);
    let ignored = collect_children().map_err(|source| LaunchError::Hold {
        program: name.clone(),
        source,
    })?;
    let traced = move || {
        if ignored {
            set_child_signal(SigHandler::SigIgn)?;
        }
        ptrace::traceme().map_err(io::Error::from)
    };
    #[expect(
        unsafe_code,
        reason = "a program that is traced from its start can only be made between fork and exec"
    )]
    // SAFETY: between fork and exec only async-signal-safe functions may be called; `sigaction` and `ptrace` are plain
    // system calls, and the conversion of their error numbers does not allocate.
    unsafe {
        command.pre_exec(traced)
    };
    let child = command.spawn().map_err(|source| LaunchError::Start {
        program: name.clone(),
        source,
    })?;
    let suspended = Suspended {
        child: Some(child),
        program: name,
        signal: None,
    };
    suspended.hold().map_err(|source| LaunchError::Hold {
        program: suspended.program.clone(),
        source,
    })?;
    Ok(suspended)
}

/// Whoever started memtrace may have it ignore the end of children (`SIGCHLD`), which is inherited and makes the kernel throw
/// their exit status away. Takes that back for memtrace; `true` when it was so, for the program is to inherit it.
fn collect_children() -> Result<bool, Errno> {
    Ok(matches!(set_child_signal(SigHandler::SigDfl)?, SigHandler::SigIgn))
}

fn set_child_signal(handler: SigHandler) -> Result<SigHandler, Errno> {
    #[expect(unsafe_code, reason = "handlers run at any time; these two are not functions")]
    // SAFETY: neither the default nor to ignore the signal runs any code of this process.
    unsafe {
        signal(Signal::SIGCHLD, handler)
    }
}

impl Suspended {
    /// Process id of the program.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    fn raw(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed())
    }

    /// Waits for the stop at `exec`, and makes later stops tell what they are.
    fn hold(&self) -> Result<(), Errno> {
        waitpid(self.raw(), None)?;
        // EXITKILL: should memtrace die now, the program must not stay stopped for ever.
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(self.raw(), options)
    }

    /// Lets the program go on to the next entry or exit of a system call.
    ///
    /// # Errors
    /// When it can no longer be traced.
    pub fn step(&mut self) -> Result<Step, LaunchError> {
        self.try_step().map_err(|source| LaunchError::Hold {
            program: self.program.clone(),
            source,
        })
    }

    fn try_step(&mut self) -> Result<Step, Errno> {
        loop {
            match ptrace::syscall(self.raw(), self.signal.take()) {
                // Killed while it was stopped: the wait below tells by what.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error),
            }
            match waitpid(self.raw(), None)? {
                WaitStatus::PtraceSyscall(_) => {
                    let registers = ptrace::getregs(self.raw())?;
                    return Ok(Step::Syscall {
                        ip: registers.rip,
                        number: registers.orig_rax,
                    });
                }
                WaitStatus::PtraceEvent(_, _, event) if event == ptrace::Event::PTRACE_EVENT_EXEC as i32 => {
                    return Ok(Step::Exec);
                }
                WaitStatus::Stopped(_, signal) => self.signal = Some(signal),
                WaitStatus::Exited(_, code) => return Ok(self.ended(code << 8)),
                WaitStatus::Signaled(_, signal, _) => return Ok(self.ended(signal as i32)),
                _ => {}
            }
        }
    }

    /// The wait that saw the end has also reaped the process: there is no child any more.
    fn ended(&mut self, status: i32) -> Step {
        self.child = None;
        Step::Ended(ExitStatus::from_raw(status))
    }

    /// Lets the program go for good.
    ///
    /// # Errors
    /// When it is no longer there to be let go.
    pub fn release(mut self) -> Result<Child, LaunchError> {
        let detached = ptrace::detach(self.raw(), self.signal.take());
        match (detached, self.child.take()) {
            (Ok(()) | Err(Errno::ESRCH), Some(child)) => Ok(child),
            (Err(source), child) => {
                self.child = child;
                Err(LaunchError::Hold {
                    program: self.program.clone(),
                    source,
                })
            }
            (Ok(()), None) => Err(LaunchError::Hold {
                program: self.program.clone(),
                source: Errno::ECHILD,
            }),
        }
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself; then there is nothing to kill and nothing to say.
            let _ended = child.kill();
            let _ended = child.wait();
        }
    }
}
