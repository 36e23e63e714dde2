//! Checks of one process: may it be observed, where it allocates, and how much its files tell about their functions and
//! their frames.

use std::{fs::File, sync::Arc};

use super::{Check, javascript, machine::Version, placement, pymalloc, python, subject::Subject, unwinding};
use crate::{
    plan::{self, Analysis},
    process::{AddressSpace, FileBytes, Module},
    symbolize,
    target::{self, TargetInfo},
    v8,
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

/// A file of the target, and what was found in it.
struct Library {
    module: Arc<Module>,
    analysis: Result<Analysis, String>,
}

fn look_into(info: &TargetInfo, space: &AddressSpace, checks: &mut Vec<Check>) {
    let modules = space.modules();
    let libraries: Vec<Library> = space
        .mapped()
        .filter_map(|index| modules.get(index as usize))
        .filter(|module| module.name.starts_with('/'))
        .map(library)
        .collect();
    checks.extend(allocators(&libraries));
    let files = named_often(info, &libraries);
    checks.extend(files.iter().map(Subject::symbols));
    checks.extend(unwinding::checks(space));
    checks.extend(python::checks(space));
    checks.extend(javascript::checks(space));
    checks.extend(pymalloc::checks(info.pid));
    checks.extend(libraries.iter().filter_map(|library| {
        let heap = library.analysis.as_ref().ok()?.v8_heap.as_ref()?;
        Some(javascript::heap(heap, &library.module.name))
    }));
}

fn library(module: &Arc<Module>) -> Library {
    let request = plan::Request::default();
    let debug = symbolize::debug_file(module);
    let debug = debug.as_ref().map(FileBytes::new);
    let analysis = match module.file() {
        Some(file) => {
            let analysis = plan::analyse(&module.name, &FileBytes::new(file), debug.as_ref(), &request);
            analysis.map(|mut analysis| {
                v8::heap::complete(file, &module.name, &mut analysis);
                analysis
            })
        }
        None => Err("it could not be opened".to_owned()),
    };
    Library {
        module: Arc::clone(module),
        analysis,
    }
}

/// The files that a report names in nearly every stack: the executable, the allocators, and the C library.
fn named_often(info: &TargetInfo, libraries: &[Library]) -> Vec<Subject> {
    let executable = File::open(format!("/proc/{}/exe", info.pid)).ok();
    let mut files = vec![Subject::new(&info.executable, executable)];
    let has = |library: &Library, wanted: fn(&Analysis) -> bool| library.analysis.as_ref().is_ok_and(wanted);
    let is_c_library = |library: &&Library| has(library, |analysis| !analysis.wrappers.is_empty());
    let mut often: Vec<&Library> = libraries
        .iter()
        .filter(|library| library.module.name != info.executable)
        .filter(|library| is_c_library(library) || has(library, |analysis| !analysis.allocators.is_empty()))
        .collect();
    often.sort_by_key(is_c_library);
    let file = |library: &Library| library.module.file()?.try_clone().ok();
    files.extend(
        often
            .into_iter()
            .map(|library| Subject::new(&library.module.name, file(library))),
    );
    files
}

/// What would be hooked, and what not.
fn allocators(libraries: &[Library]) -> Vec<Check> {
    const NAME: &str = "allocator";
    let found = libraries.iter().flat_map(|library| {
        let found = library.analysis.iter().flat_map(|analysis| &analysis.allocators);
        found.flat_map(|found| {
            let hooks = found.hooks.join(", ");
            let hooked = Check::ok(NAME, format!("{} in {}: {hooks}", found.name, library.module.name));
            [hooked].into_iter().chain(placement::checks(found))
        })
    });
    let mut checks: Vec<Check> = found.collect();
    let files: Vec<_> = libraries
        .iter()
        .map(|library| {
            let analysis = library.analysis.as_ref().map_err(String::as_str);
            (library.module.name.as_str(), analysis)
        })
        .collect();
    match plan::judge(&files) {
        Ok(notes) => checks.extend(notes.into_iter().map(|note| Check::warning(NAME, note))),
        Err(error) => checks.push(Check::fails(NAME, error.to_string())),
    }
    checks
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
        assert!(
            all("probes")
                .iter()
                .any(|check| check.what.contains("glibc: emulated at ")),
            "{checks:#?}"
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
        let damaged = Library {
            module: Arc::new(Module::of("/bin/x".into(), File::open("/dev/null").unwrap())),
            analysis: Err("damaged".into()),
        };
        let checks = allocators(&[damaged]);
        assert_eq!((checks.len(), checks[0].level), (1, Level::Fails));
    }
}
