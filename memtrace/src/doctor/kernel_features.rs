//! Checks of the kernel: how it was built, and how it was started.

use std::{fs, io, path::Path};

use super::Check;

const TRACEFS: &str = "/sys/kernel/tracing";
const OLD_TRACEFS: &str = "/sys/kernel/debug/tracing";
const JIT: &str = "/proc/sys/net/core/bpf_jit_enable";

/// All of them. `can_mount` is whether this process may mount file systems.
pub(super) fn checks(can_mount: bool) -> Vec<Check> {
    vec![
        btf(fs::metadata("/sys/kernel/btf/vmlinux").map(drop)),
        uprobes(fs::read_to_string("/sys/bus/event_source/devices/uprobe/type")),
        tracefs(&Tracefs::seen(), can_mount),
        lockdown(fs::read_to_string("/sys/kernel/security/lockdown").ok().as_deref()),
        jit(fs::read_to_string(JIT).ok().as_deref()),
    ]
}

fn btf(found: io::Result<()>) -> Check {
    match found {
        Ok(()) => Check::ok("btf", "/sys/kernel/btf/vmlinux"),
        Err(error) => Check::fails("btf", format!("failed to find /sys/kernel/btf/vmlinux: {error}")).remedy(
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian 11, Ubuntu 20.10, Fedora 31, RHEL 8.2 and later have it)",
        ),
    }
}

fn uprobes(kind: io::Result<String>) -> Check {
    match kind {
        Ok(kind) => Check::ok("uprobes", format!("perf event type {}", kind.trim())),
        Err(error) => Check::fails(
            "uprobes",
            format!("failed to read the perf event type of uprobes: {error}"),
        )
        .remedy("use a kernel built with CONFIG_UPROBE_EVENTS=y; in a container, mount /sys"),
    }
}

/// Where tracefs is.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Tracefs {
    /// Mounted; `syscalls` when it has the tracepoints of system calls.
    Mounted { at: &'static str, syscalls: bool },
    /// Not mounted, or not to be seen by this user; there is a directory for it.
    Absent,
    /// The kernel does not have it.
    Unknown,
}

impl Tracefs {
    fn seen() -> Self {
        for at in [TRACEFS, OLD_TRACEFS] {
            let events = Path::new(at).join("events");
            if events.is_dir() {
                return Self::Mounted {
                    at,
                    syscalls: events.join("syscalls").is_dir(),
                };
            }
        }
        if Path::new(TRACEFS).is_dir() {
            Self::Absent
        } else {
            Self::Unknown
        }
    }
}

fn tracefs(seen: &Tracefs, can_mount: bool) -> Check {
    const NAME: &str = "tracefs";
    match seen {
        Tracefs::Mounted { at, syscalls: true } => Check::ok(NAME, format!("mounted at {at}")),
        Tracefs::Mounted { at, syscalls: false } => {
            Check::fails(NAME, format!("mounted at {at}, without tracepoints of system calls"))
                .remedy("use a kernel built with CONFIG_FTRACE_SYSCALLS=y")
        }
        Tracefs::Absent if can_mount => Check::ok(NAME, "not mounted; memtrace mounts it where only itself sees it"),
        Tracefs::Absent => Check::fails(NAME, "not mounted, or not readable by this user").remedy(format!(
            "run memtrace as root, or once: sudo mount -t tracefs tracefs {TRACEFS}"
        )),
        Tracefs::Unknown => Check::fails(NAME, format!("the kernel has no {TRACEFS}"))
            .remedy("use a kernel built with CONFIG_FTRACE=y; in a container, mount /sys"),
    }
}

/// The file lists the modes, the current one in brackets (security/lockdown/lockdown.c). `None`: a kernel without.
fn lockdown(modes: Option<&str>) -> Check {
    const NAME: &str = "lockdown";
    match modes {
        None => Check::ok(NAME, "off"),
        Some(modes) => match current_mode(modes) {
            Some("confidentiality") => Check::fails(
                NAME,
                "confidentiality: tracefs is closed and BPF programs may not read kernel memory",
            )
            .remedy("start the machine without lockdown=confidentiality on the kernel's command line"),
            Some("none") => Check::ok(NAME, "off"),
            Some(mode) => Check::ok(NAME, mode),
            None => Check::warning(NAME, format!("not understood: {}", modes.trim())),
        },
    }
}

fn current_mode(modes: &str) -> Option<&str> {
    modes
        .split_whitespace()
        .find_map(|mode| mode.strip_prefix('[')?.strip_suffix(']'))
}

fn jit(setting: Option<&str>) -> Check {
    const NAME: &str = "bpf jit";
    match setting.map(str::trim) {
        Some("0") => Check::warning(NAME, "off: probes are interpreted, which slows the program down more")
            .remedy(format!("sudo sysctl net.core.bpf_jit_enable=1   ({JIT})")),
        Some(_) => Check::ok(NAME, "on"),
        // The setting is only there in the machine's first network namespace, and only in kernels with the compiler.
        None => Check::warning(NAME, format!("not known: there is no {JIT} here"))
            .remedy("it only matters for speed; in a container, look at it on the host"),
    }
}

/// Whether many probes share a link. All works without, so that is no fault of the machine.
pub(super) fn links(shared: Result<(), &str>) -> Check {
    const NAME: &str = "probe links";
    match shared {
        Ok(()) => Check::ok(NAME, "one for many probes: attaching and detaching are quick"),
        Err(why) => Check::ok(
            NAME,
            format!("one for each probe: attaching takes about 10 ms for each, detaching seconds ({why})"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Level, *};

    #[test]
    fn lockdown_texts() {
        for (text, level) in [
            (Some("[none] integrity confidentiality\n"), Level::Ok),
            (Some("none [integrity] confidentiality\n"), Level::Ok),
            (Some("none integrity [confidentiality]\n"), Level::Fails),
            (Some("none integrity"), Level::Warning),
            (None, Level::Ok),
        ] {
            assert_eq!(lockdown(text).level, level, "{text:?}");
        }
    }

    #[test]
    fn settings_of_the_compiler() {
        assert_eq!(jit(Some("0\n")).level, Level::Warning);
        assert_eq!(jit(Some("1\n")).level, Level::Ok);
        assert_eq!(jit(Some("2\n")).level, Level::Ok);
        assert_eq!(jit(None).level, Level::Warning);
    }

    #[test]
    fn tracefs_may_be_mounted_by_memtrace() {
        let mounted = |syscalls| Tracefs::Mounted { at: TRACEFS, syscalls };
        assert_eq!(tracefs(&mounted(true), false).level, Level::Ok);
        assert_eq!(tracefs(&mounted(false), true).level, Level::Fails);
        assert_eq!(tracefs(&Tracefs::Absent, true).level, Level::Ok);
        assert_eq!(tracefs(&Tracefs::Absent, false).level, Level::Fails);
        assert_eq!(tracefs(&Tracefs::Unknown, true).level, Level::Fails);
    }

    #[test]
    fn what_is_missing_fails_and_says_why() {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        for check in [btf(Err(missing())), uprobes(Err(missing()))] {
            assert_eq!(check.level, Level::Fails);
            assert!(check.remedy.is_some());
        }
        assert_eq!(uprobes(Ok("8\n".into())), Check::ok("uprobes", "perf event type 8"));
    }

    #[test]
    fn old_kernels_have_a_link_for_each_probe() {
        assert!(links(Ok(())).what.contains("many probes"));
        let check = links(Err("it is older than Linux 6.10"));
        assert!(
            check.level == Level::Ok && check.what.contains("older than Linux 6.10"),
            "{check:?}"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,80}") {
            let _either = (lockdown(Some(&text)), jit(Some(&text)), uprobes(Ok(text)));
        }
    }
}
