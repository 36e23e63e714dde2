//! Checks of one process: may it be observed, where it allocates, and how much its files tell about their functions and
//! their frames.

use std::{fs::File, sync::Arc};

use super::{Check, machine::Version, subject::Subject, unwinding};
use crate::{
    plan::{self, AttachPlan, Candidate, Found, PlanError},
    process::{AddressSpace, FileBytes, Module},
    target::{self, TargetInfo},
};

pub(super) const NAME: &str = "target";

/// From here on the return of a probed function is a system call, which a seccomp filter may refuse
/// (docs/kernel-support.md).
const RETURN_BY_SYSTEM_CALL: Version = Version { major: 6, minor: 11 };

/// All of them.
pub(super) fn checks(pid: u32) -> Vec<Check> {
    let info = match target::check(pid) {
        Ok(info) => info,
        Err(error) => return vec![Check::fails(NAME, error.to_string())],
    };
    let mut checks = vec![
        Check::ok(NAME, format!("{pid} ({}), {}", info.command, info.executable)),
        seccomp(info.seccomp, Version::running()),
    ];
    match AddressSpace::read(pid) {
        Ok(space) => look_into(&info, &space, &mut checks),
        Err(error) => checks.push(
            Check::fails("mappings", format!("failed to read /proc/{pid}/maps: {error}"))
                .remedy("run memtrace as root, while the program runs"),
        ),
    }
    checks
}

fn seccomp(mode: u32, kernel: Option<Version>) -> Check {
    const NAME: &str = "seccomp";
    if mode == 0 {
        return Check::ok(NAME, "no filter");
    }
    if kernel.is_some_and(|kernel| kernel < RETURN_BY_SYSTEM_CALL) {
        return Check::ok(NAME, "a filter, which on this kernel does not see probes");
    }
    Check::warning(
        NAME,
        "a filter, which on some kernels kills the program when a probed function returns",
    )
    .remedy(
        "attach as usual: memtrace tries it on a child of its own first, and refuses where the program would be killed",
    )
}

fn look_into(info: &TargetInfo, space: &AddressSpace, checks: &mut Vec<Check>) {
    let candidates: Vec<Candidate> = space
        .mapped()
        .filter_map(|index| candidate(index, space.modules().get(index as usize)?))
        .collect();
    let plan = plan::plan(&candidates);
    checks.extend(allocators(&plan));

    let files = named_often(
        info,
        space,
        &candidates,
        plan.as_ref().map_or(&[], |plan| &plan.allocators),
    );
    if files.first().is_some_and(Subject::is_go) {
        checks.push(go());
    }
    checks.extend(files.iter().map(Subject::symbols));
    checks.extend(unwinding::checks(space));
}

/// The files that a report names in nearly every stack: the executable, the allocators, and the C library.
fn named_often(
    info: &TargetInfo,
    space: &AddressSpace,
    candidates: &[Candidate],
    allocators: &[Found],
) -> Vec<Subject> {
    let executable = File::open(format!("/proc/{}/exe", info.pid)).ok();
    let mut files = vec![Subject::new(&info.executable, executable)];
    let mut libraries: Vec<&Candidate> = candidates
        .iter()
        .filter(|library| library.path != info.executable)
        .filter(|library| is_c_library(library) || allocators.iter().any(|found| found.path == library.path))
        .collect();
    libraries.sort_by_key(|library| is_c_library(library));
    for library in libraries {
        let module = space.modules().get(library.module as usize);
        files.push(Subject::new(
            &library.path,
            module.and_then(|module| module.file()?.try_clone().ok()),
        ));
    }
    files
}

/// What a mapped file exports, as far as the plan asks.
fn candidate(index: u32, module: &Arc<Module>) -> Option<Candidate> {
    let exports = plan::exports(&FileBytes::new(module.file()?), plan::wanted).map_err(|error| error.to_string());
    Some(Candidate {
        module: index,
        path: module.name.clone(),
        exports,
    })
}

fn is_c_library(candidate: &Candidate) -> bool {
    candidate
        .exports
        .as_ref()
        .is_ok_and(|exports| exports.functions.contains_key("gnu_get_libc_version"))
}

fn allocators(plan: &Result<AttachPlan, PlanError>) -> Vec<Check> {
    const NAME: &str = "allocator";
    match plan {
        Ok(plan) => {
            let found = plan.allocators.iter().map(|found| {
                Check::ok(
                    NAME,
                    format!("{} in {}: {}", found.name, found.path, found.hooks.join(", ")),
                )
            });
            found
                .chain(plan.notes.iter().map(|note| Check::warning(NAME, note.as_str())))
                .collect()
        }
        Err(error) => vec![Check::fails(NAME, error.to_string())],
    }
}

fn go() -> Check {
    Check::warning(
        "go runtime",
        "the program is written in Go: the heap that Go manages itself is not seen, only C code's",
    )
    .remedy("for Go's own heap use its profiler (net/http/pprof)")
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::{super::Level, *};

    /// A child that ends with the test, also with one that fails.
    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            let _gone = self.0.kill();
            let _status = self.0.wait();
        }
    }

    /// Waits until the child is `sleep`, with its C library mapped.
    fn sleep() -> Running {
        let child = Running(Command::new("sleep").arg("100").spawn().unwrap());
        loop {
            let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.0.id())).unwrap();
            let name = std::fs::read_to_string(format!("/proc/{}/comm", child.0.id())).unwrap();
            if name == "sleep\n"
                && maps
                    .lines()
                    .any(|line| line.contains("r-xp") && line.contains("/libc.so"))
            {
                return child;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_running_program_is_examined() {
        let child = sleep();
        let checks = checks(child.0.id());
        let all = |name: &str| checks.iter().filter(|check| check.name == name).collect::<Vec<_>>();
        assert!(checks.iter().all(|check| check.level < Level::Fails), "{checks:#?}");
        assert!(all(NAME)[0].what.contains("(sleep)"), "{checks:#?}");
        assert_eq!(all("allocator").len(), 1);
        let allocator = &all("allocator")[0].what;
        assert!(
            allocator.starts_with("glibc in /") && allocator.contains("malloc, calloc"),
            "{allocator}"
        );
        for (name, count) in [("symbols", 2), ("unwinding", 4)] {
            let found = all(name);
            // The loader and the vdso are unwound too.
            assert_eq!(found.len(), count, "{checks:#?}");
            assert!(
                found[0].what.contains("/sleep: ") && found[1].what.contains("/libc.so"),
                "{found:#?}"
            );
        }
        assert!(all("go runtime").is_empty());
    }

    #[test]
    fn who_cannot_be_observed_fails_in_one_line() {
        let checks = checks(std::process::id());
        assert_eq!(checks.len(), 1);
        assert_eq!((checks[0].name, checks[0].level), (NAME, Level::Fails));
    }

    #[test]
    fn seccomp_matters_from_one_kernel_on() {
        let kernel = |major, minor| Some(Version { major, minor });
        assert_eq!(seccomp(0, kernel(6, 18)).level, Level::Ok);
        assert_eq!(seccomp(2, kernel(6, 10)).level, Level::Ok);
        assert_eq!(seccomp(2, kernel(6, 11)).level, Level::Warning);
        assert_eq!(seccomp(2, None).level, Level::Warning);
    }

    #[test]
    fn nothing_to_hook_fails() {
        let damaged = Candidate {
            module: 0,
            path: "/bin/x".into(),
            exports: Err("damaged".into()),
        };
        let checks = allocators(&plan::plan(&[damaged]));
        assert_eq!((checks.len(), checks[0].level), (1, Level::Fails));
    }
}
