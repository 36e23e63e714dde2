//! A program that was just started, until its libraries are there.

use std::process::ExitStatus;

use super::tracer::Tracer;
use crate::{
    plan::PlanError,
    process::{AddressSpace, Interpreter},
    target::launch::{Step, Suspended},
};

/// Steps a starting program from system call to system call, and hooks each allocator as it is mapped. Done when everything
/// the program is linked with is there, and nothing has allocated yet; the status is that of a program that ended before.
///
/// # Errors
/// When the program has no allocator that can be hooked, or it can no longer be traced.
pub(super) fn hook(
    suspended: &mut Suspended,
    tracer: &mut Tracer,
    space: &mut AddressSpace,
    incarnation: u32,
) -> anyhow::Result<Option<ExitStatus>> {
    let pid = suspended.pid();
    let mut loader = space.interpreter();
    let mut hooked = false;
    loop {
        match suspended.step()? {
            Step::Ended(status) => return Ok(Some(status)),
            Step::Exec => {
                refresh(space);
                loader = space.interpreter();
            }
            Step::Syscall { ip, number } => {
                if refresh(space) {
                    tracer.laid_out(space, pid, incarnation, None);
                    match tracer.attach(space, pid, incarnation) {
                        Ok(()) => hooked = true,
                        // Not mapped yet.
                        Err(error) if !hooked && error.is::<PlanError>() => {}
                        Err(error) => return Err(error),
                    }
                }
                let own_allocator = |loader: &Interpreter| {
                    let found = tracer.state().of(incarnation).allocators;
                    found.iter().any(|found| found.path == loader.name)
                };
                if is_loaded(loader.as_ref(), own_allocator, ip, number) {
                    if !hooked {
                        tracer.attach(space, pid, incarnation)?;
                    }
                    return Ok(None);
                }
            }
        }
    }
}

/// Reads the mappings of a held program again; `true` when they have changed.
fn refresh(space: &mut AddressSpace) -> bool {
    // A program that has just ended is told by the next step.
    space.refresh().unwrap_or(false)
}

fn is_loaded(loader: Option<&Interpreter>, is_allocator: impl Fn(&Interpreter) -> bool, ip: u64, number: u64) -> bool {
    let from = match loader {
        None => From::Unknown,
        Some(loader) if !loader.range.contains(&ip) => From::Program,
        Some(loader) if is_allocator(loader) => From::Unknown,
        Some(_) => From::Loader,
    };
    tells_of_the_end(from, number)
}

/// Whose system call it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum From {
    /// Code of the dynamic loader, and only of it.
    Loader,
    /// Code of the program or one of its libraries.
    Program,
    /// The loader's or not: there is none besides the program, which is linked statically or is a loader that was
    /// started by its name, or the loader is the C library as well, as musl's is.
    Unknown,
}

/// Whether a system call tells that loading is over.
fn tells_of_the_end(from: From, number: u64) -> bool {
    match from {
        _ if PROBE_CALLS.contains(&number) => false,
        From::Loader => false,
        From::Program => true,
        From::Unknown => !LOADING_CALLS.contains(&number),
    }
}

/// `uretprobe` (since Linux 6.11) and `uprobe` (6.18): the kernel's own, made by probes.
const PROBE_CALLS: [u64; 2] = [335, 336];

/// What a dynamic loader asks of the kernel (`arch/x86/entry/syscalls/syscall_64.tbl`): `read`, `open`, `close`, `stat`,
/// `fstat`, `mmap`, `mprotect`, `munmap`, `brk`, `pread64`, `access`, `execve` (its end, the first thing seen), `uname`,
/// `fcntl`, `readlink`, `arch_prctl`, `set_tid_address`, `openat`, `newfstatat`, `set_robust_list`, `prlimit64`,
/// `getrandom`, `rseq`.
const LOADING_CALLS: [u64; 23] = [
    0, 2, 3, 4, 5, 9, 10, 11, 12, 17, 21, 59, 63, 72, 89, 158, 218, 257, 262, 273, 302, 318, 334,
];

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: u64 = 1;
    const MMAP: u64 = 9;

    #[test]
    fn a_call_from_outside_the_loader_ends_the_loading() {
        assert!(tells_of_the_end(From::Program, MMAP) && tells_of_the_end(From::Program, WRITE));
        assert!(!tells_of_the_end(From::Loader, MMAP) && !tells_of_the_end(From::Loader, WRITE));
    }

    #[test]
    fn where_the_loader_is_not_a_file_of_its_own_the_call_tells() {
        assert!(!tells_of_the_end(From::Unknown, MMAP));
        assert!(tells_of_the_end(From::Unknown, WRITE));
    }

    #[test]
    fn the_calls_of_probes_are_not_the_programs() {
        for number in PROBE_CALLS {
            for from in [From::Loader, From::Program, From::Unknown] {
                assert!(!tells_of_the_end(from, number));
            }
        }
    }
}
