//! The processes that are to be observed: which they are, may they be, and what is known of them before.

pub mod cgroup;
pub mod container;
pub mod hold;
pub mod launch;
pub mod pointer;
pub mod select;

use std::{fs, io, path::Path};

use memtrace_common::config::PidNamespace;
use rustix::process::geteuid;
use thiserror::Error;

use crate::process::{
    build_id_digits,
    namespace::{Numbered, numbered},
    program_name,
    threads::field,
};

/// What is known of a process before it is touched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TargetInfo {
    /// Process id.
    pub pid: u32,
    /// Name of the main thread.
    pub command: String,
    /// Path of the executable as the process sees it.
    pub executable: String,
    /// Its build id in hexadecimal digits, when it has one.
    pub build_id: Option<String>,
    /// The PID namespace in which it has this number; all zero is the machine's first one.
    pub pid_namespace: PidNamespace,
    /// The strictest seccomp mode of its threads: 0 off, 1 strict, 2 filter (proc(5)).
    pub seccomp: u32,
}

/// Why a process cannot be observed.
#[derive(Debug, Error)]
pub enum TargetError {
    /// Nobody has this number.
    #[error("no process {0} (has it ended? `pgrep -l NAME` finds one by name)")]
    NoSuchProcess(u32),
    /// The number is that of a thread.
    #[error("{tid} is a thread of process {pid}: use --pid {pid}")]
    Thread {
        /// What was given.
        tid: u32,
        /// Whose thread it is.
        pid: u32,
    },
    /// Its main thread has ended, others have not. The kernel shows no mappings of such a process under its own number, and
    /// ties the probes of a process to one of its threads.
    #[error(
        "the main thread of process {0} has ended while others go on: such a process is not supported yet, its mappings cannot be \
         read"
    )]
    Headless(u32),
    /// Ended, not yet collected by its parent.
    #[error("process {0} has ended already and waits for its parent (a zombie): there is nothing to observe")]
    Zombie(u32),
    /// A thread of the kernel.
    #[error("process {0} ({1}) is a kernel thread: it has no allocator of its own to observe")]
    Kernel(u32, String),
    /// memtrace itself.
    #[error("process {0} is memtrace itself, which cannot observe its own allocations")]
    Itself(u32),
    /// Not an x86-64 program.
    #[error("process {pid} runs {what}, which is not supported yet: memtrace observes 64-bit x86 programs")]
    Architecture {
        /// Process id.
        pid: u32,
        /// What it runs.
        what: &'static str,
    },
    /// In a PID namespace below memtrace's.
    #[error(
        "process {0} is in a container inside of that in which memtrace runs (another PID namespace): start memtrace on the host, or \
         in the container of the process"
    )]
    Namespace(u32),
    /// No right to look.
    #[error(
        "no permission to look at process {0}: memtrace needs root (`sudo memtrace ...`; `memtrace doctor` lists what is missing)"
    )]
    Permission(u32),
    /// No right to look, for root.
    #[error(
        "no permission to look at process {0}, although memtrace runs as root: it has no CAP_SYS_PTRACE (in a container: \
         --cap-add SYS_PTRACE), or is in another user namespace than the process, or a security module forbids it \
         (`memtrace doctor` lists what is missing)"
    )]
    Denied(u32),
    /// Anything else.
    #[error("failed to look at process {pid}: {source}")]
    Io {
        /// Process id.
        pid: u32,
        /// The system's answer.
        source: io::Error,
    },
}

/// Looks at a process and says whether it can be observed.
///
/// # Errors
/// Why it cannot be.
pub fn check(pid: u32) -> Result<TargetInfo, TargetError> {
    if pid == std::process::id() {
        return Err(TargetError::Itself(pid));
    }
    let failed = |source| refused(pid, source);
    // Names may be any bytes.
    let status = fs::read(format!("/proc/{pid}/status")).map_err(failed)?;
    let status = String::from_utf8_lossy(&status);
    let field = |name| field(&status, name);
    let command = program_name(Path::new("/proc"), pid).map_err(failed)?;
    let command = String::from_utf8_lossy(&command).into_owned();
    match field("Tgid").parse() {
        Ok(tgid) if tgid != pid => return Err(TargetError::Thread { tid: pid, pid: tgid }),
        _ => {}
    }
    if field("State").starts_with(['Z', 'X']) {
        let others = field("Threads").parse().unwrap_or(0_u32) > 1;
        return Err(if others {
            TargetError::Headless(pid)
        } else {
            TargetError::Zombie(pid)
        });
    }
    // Neither kernel threads nor programs that are about to be gone have memory.
    if field("VmSize").is_empty() {
        return Err(if is_kernel_thread(pid) {
            TargetError::Kernel(pid, command)
        } else {
            TargetError::NoSuchProcess(pid)
        });
    }
    let executable = fs::read_link(format!("/proc/{pid}/exe"))
        .map_err(failed)?
        .to_string_lossy()
        .into_owned();
    let file = fs::File::open(format!("/proc/{pid}/exe")).map_err(failed)?;
    check_architecture(pid, &file)?;
    let build_id = build_id_digits(&file);
    let pid_namespace = match numbered(pid).map_err(failed)? {
        Numbered::Globally => PidNamespace::default(),
        Numbered::In(namespace) => namespace,
        Numbered::Elsewhere => return Err(TargetError::Namespace(pid)),
    };
    Ok(TargetInfo {
        pid,
        pid_namespace,
        command,
        executable,
        build_id,
        seccomp: seccomp(pid).max(field("Seccomp").parse().unwrap_or(0)),
    })
}

/// What the system's answer means when something of a process cannot be opened.
pub fn refused(pid: u32, source: io::Error) -> TargetError {
    match source.kind() {
        // ESRCH comes from files that were opened before the process went.
        _ if source.raw_os_error() == Some(libc::ESRCH) => TargetError::NoSuchProcess(pid),
        io::ErrorKind::NotFound => TargetError::NoSuchProcess(pid),
        io::ErrorKind::PermissionDenied if geteuid().is_root() => TargetError::Denied(pid),
        io::ErrorKind::PermissionDenied => TargetError::Permission(pid),
        _ => TargetError::Io { pid, source },
    }
}

/// Marks a kernel thread (`include/linux/sched.h`).
const PF_KTHREAD: u64 = 0x0020_0000;

/// Whether a process is a thread of the kernel.
fn is_kernel_thread(pid: u32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat_flags(&stat).is_some_and(|(_, flags)| flags & PF_KTHREAD != 0)
}

/// State and flags, the third and the ninth field of `/proc/PID/stat`; the second is a name in parentheses, which may hold any.
fn stat_flags(stat: &[u8]) -> Option<(char, u64)> {
    let stat = String::from_utf8_lossy(stat);
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(5)?.parse().ok()?))
}

/// A thread of process `pid` that has not ended: `wanted`, if that has not.
pub fn living_thread(pid: u32, wanted: u32) -> Option<u32> {
    let lives = |tid: &u32| {
        let status = fs::read(format!("/proc/{pid}/task/{tid}/status")).unwrap_or_default();
        let status = String::from_utf8_lossy(&status);
        let state = field(&status, "State");
        !state.is_empty() && !state.starts_with(['Z', 'X'])
    };
    if lives(&wanted) {
        return Some(wanted);
    }
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let mut numbers = threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    numbers.find(lives)
}

/// The strictest seccomp mode of the threads: each has its own, and a program may confine only those that do the work.
fn seccomp(pid: u32) -> u32 {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    threads
        .filter_map(|thread| fs::read(thread.path().join("status")).ok())
        .filter_map(|status| field(&String::from_utf8_lossy(&status), "Seccomp").parse().ok())
        .max()
        .unwrap_or(0)
}

/// Reads the first bytes of the executable: class and machine (ELF specification, "ELF header").
fn check_architecture(pid: u32, executable: &fs::File) -> Result<(), TargetError> {
    use std::os::unix::fs::FileExt as _;

    let mut header = [0; 20];
    executable
        .read_exact_at(&mut header, 0)
        .map_err(|source| TargetError::Io { pid, source })?;
    let what = match header {
        [0x7f, b'E', b'L', b'F', 2, .., 62, 0] => return Ok(()),
        [0x7f, b'E', b'L', b'F', 1, ..] => "a 32-bit program",
        [0x7f, b'E', b'L', b'F', ..] => "a program for another processor",
        _ => "something that is not an ELF program",
    };
    Err(TargetError::Architecture { pid, what })
}

#[cfg(test)]
mod tests {
    use seccompiler::{SeccompAction, SeccompFilter, TargetArch};

    use super::*;

    #[test]
    fn what_cannot_be_observed_is_told_apart() {
        assert!(matches!(check(u32::MAX - 7), Err(TargetError::NoSuchProcess(_))));
        assert!(matches!(check(std::process::id()), Err(TargetError::Itself(_))));
        let tid = std::thread::spawn(|| rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned()).join();
        // The thread has ended by now or not yet; both are refused.
        assert!(matches!(
            check(tid.unwrap()),
            Err(TargetError::Thread { .. } | TargetError::NoSuchProcess(_))
        ));
    }

    #[test]
    fn a_zombie_is_not_observed() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        while !matches!(check(child.id()), Err(TargetError::Zombie(_))) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn the_strictest_thread_tells_the_seccomp_mode() {
        use std::collections::BTreeMap;

        let own = std::process::id();
        assert_eq!(seccomp(own), 0);
        let filter = SeccompFilter::new(
            BTreeMap::new(),
            SeccompAction::Allow,
            SeccompAction::KillThread,
            TargetArch::x86_64,
        );
        let filter = seccompiler::BpfProgram::try_from(filter.unwrap()).unwrap();
        let confined = std::thread::spawn(move || {
            seccompiler::apply_filter(&filter).unwrap();
            seccomp(own)
        });
        assert_eq!(confined.join().unwrap(), 2);
    }

    #[test]
    fn a_running_program_is_described() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let info = loop {
            match check(child.id()) {
                Ok(info) if info.command == "sleep" => break info,
                _ => std::thread::yield_now(),
            }
        };
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((info.pid, info.seccomp), (child.id(), 0));
        assert!(info.executable.ends_with("sleep"), "{info:?}");
    }
}
