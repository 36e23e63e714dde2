//! What can go wrong between here and the kernel, with what to do about it.

use std::{error::Error, io};

use aya::{EbpfError, maps::MapError, programs::ProgramError, sys::SyscallError};
use rustix::process::geteuid;
use thiserror::Error;

/// A failure to load, attach or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The kernel refused because of missing privileges.
    #[error("no permission to {doing}{} (`memtrace doctor` lists what is missing)", remedy(geteuid().is_root()))]
    Permission {
        /// What was being done.
        doing: String,
    },
    /// The kernel's verifier did not accept a program.
    #[error(
        "the kernel's verifier refused program {program}: this kernel is not supported yet (`memtrace doctor` shows what was found); its last words: {log}"
    )]
    Verifier {
        /// Name of the program.
        program: String,
        /// End of the verifier's log.
        log: String,
    },
    /// Anything else that a system call or the object's reader said.
    #[error("failed to {doing}: {source}")]
    Kernel {
        /// What was being done.
        doing: String,
        /// What was answered.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The embedded object lacks something that this program expects.
    #[error("the embedded BPF object has no {what}: it was built from other sources than this program")]
    Object {
        /// What is missing.
        what: String,
    },
    /// tracefs is needed for the system call tracepoints and cannot be had.
    #[error("failed to find tracefs: {source}; mount it with `mount -t tracefs tracefs /sys/kernel/tracing`")]
    Tracefs {
        /// Why it could not be mounted for this process alone.
        source: io::Error,
    },
}

impl ProbeError {
    /// Sorts an answer of the kernel: permission, verifier, or the rest.
    pub(super) fn new(doing: impl Into<String>, source: impl Into<ProgramError>) -> Self {
        let (doing, source) = (doing.into(), source.into());
        if let ProgramError::LoadError { io_error, verifier_log } = &source
            && let log = verifier_log.to_string()
            && is_verdict(io_error, &log)
        {
            return Self::Verifier {
                program: doing,
                log: last_words(&log),
            };
        }
        Self::sorted(doing, source)
    }

    /// As [`ProbeError::new`], for a failure to load the object.
    pub(super) fn load(source: EbpfError) -> Self {
        Self::sorted("load the BPF object", source)
    }

    /// As [`ProbeError::new`], for a failure to use a map.
    pub(super) fn map(doing: &str, source: MapError) -> Self {
        Self::sorted(doing, source)
    }

    /// What a system call said, as it is.
    pub(super) fn kernel(doing: &str, source: io::Error) -> Self {
        Self::Kernel {
            doing: doing.to_owned(),
            source: Box::new(source),
        }
    }

    fn sorted(doing: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Self {
        let doing = doing.into();
        if root_cause_is_permission(&source) {
            Self::Permission { doing }
        } else {
            Self::Kernel {
                doing,
                source: Box::new(Chain(Box::new(source))),
            }
        }
    }
}

/// Whether a program was refused for what it does. The verifier says "no permission" (EACCES) of many faults of a program,
/// where missing privileges are "not permitted" (EPERM); and without a log it was not asked.
fn is_verdict(error: &io::Error, log: &str) -> bool {
    error.raw_os_error() != Some(libc::EPERM) && !log.trim().is_empty()
}

/// What to do about missing privileges.
const fn remedy(root: bool) -> &'static str {
    if root {
        ", although memtrace runs as root: it has no CAP_BPF and CAP_PERFMON, or no CAP_SYS_ADMIN (in a container: --privileged), or a \
         seccomp filter, a security module or the kernel's lockdown forbids it"
    } else {
        ": memtrace needs root, or CAP_BPF and CAP_PERFMON (`sudo memtrace ...`)"
    }
}

/// The end of the verifier's log: the instructions before the one it refuses, and why. What follows are statistics.
fn last_words(log: &str) -> String {
    let is_statistics = |line: &&str| {
        ["verification time", "stack depth", "processed "]
            .iter()
            .any(|begin| line.starts_with(begin))
    };
    let words: Vec<_> = log.lines().filter(|line| !is_statistics(line)).collect();
    words[words.len().saturating_sub(SHOWN_LINES)..].join(" | ")
}

/// Lines of the verifier's log that are shown.
const SHOWN_LINES: usize = 8;

/// Whether the innermost error of a chain is the kernel's "no permission".
fn root_cause_is_permission(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let denied = |io: &io::Error| io.kind() == io::ErrorKind::PermissionDenied;
        if error.downcast_ref::<io::Error>().is_some_and(denied)
            || error
                .downcast_ref::<SyscallError>()
                .is_some_and(|call| denied(&call.io_error))
        {
            return true;
        }
        next = error.source();
    }
    false
}

/// Prints a whole chain of errors on one line: aya's outer errors often hide the system call's answer.
#[derive(Debug)]
struct Chain(Box<dyn Error + Send + Sync>);

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

impl Error for Chain {}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(errno: i32) -> ProgramError {
        ProgramError::SyscallError(SyscallError {
            call: "perf_event_open",
            io_error: io::Error::from_raw_os_error(errno),
        })
    }

    #[test]
    fn missing_privileges_are_told_apart_and_say_what_to_do() {
        let error = ProbeError::new("attach malloc", call(libc::EPERM));
        assert!(matches!(error, ProbeError::Permission { .. }), "{error}");
        assert!(error.to_string().contains("CAP_BPF"), "{error}");
        assert!(remedy(false).contains("sudo") && !remedy(true).contains("sudo"));
    }

    #[test]
    fn a_verdict_is_told_from_missing_privileges() {
        let verdict = |errno, log| is_verdict(&io::Error::from_raw_os_error(errno), log);
        assert!(verdict(libc::EACCES, "R1 invalid mem access 'scalar'") && verdict(libc::EINVAL, "unknown func 181"));
        assert!(!verdict(libc::EPERM, "") && !verdict(libc::EPERM, "func needs CAP_PERFMON"));
        assert!(!verdict(libc::ENOMEM, "") && !verdict(libc::EACCES, " \n"));
    }

    #[test]
    fn the_verifiers_reason_is_shown_and_not_its_statistics() {
        let log = "1: (b7) r0 = 0\nR0 unbounded memory access\nverification time 12 usec\nstack depth 8\nprocessed 3 insns (limit 1000000)\n";
        assert_eq!(last_words(log), "1: (b7) r0 = 0 | R0 unbounded memory access");
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn other_errors_show_the_kernels_answer() {
        let error = ProbeError::new("attach malloc", call(libc::EINVAL));
        assert!(error.to_string().contains("attach malloc"), "{error}");
        assert!(error.to_string().contains("Invalid argument"), "{error}");
    }
}
