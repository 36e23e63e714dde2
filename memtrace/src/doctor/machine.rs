//! Checks of the machine.

use std::fs;

use memtrace_common::{
    config::{Join, PidNamespace},
    limits::{COMMAND_BYTES, RING_BYTES_MIN},
};

use super::{
    Check, kernel_features,
    privileges::{self, Privileges},
};
use crate::probe;

/// Oldest kernel: attach cookies for uprobes and the registers of system calls came with it (docs/kernel-support.md).
const FLOOR: Version = Version { major: 5, minor: 15 };

/// Inode of the pid namespace that a machine starts with (`PROC_PID_INIT_INO`, `include/linux/proc_ns.h`).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// The first two numbers of a kernel's release, which tell what it can do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl Version {
    /// Reads what uname(2) calls the release: `6.18.44-1-amd64`.
    fn parse(release: &str) -> Option<Self> {
        let (major, rest) = release.split_once('.')?;
        let digits = rest
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(rest.len());
        Some(Self {
            major: major.parse().ok()?,
            minor: rest.get(..digits)?.parse().ok()?,
        })
    }

    /// That of the running kernel.
    pub(super) fn running() -> Option<Self> {
        Self::parse(&rustix::system::uname().release().to_string_lossy())
    }
}

/// All of them.
pub(super) fn checks() -> Vec<Check> {
    let uname = rustix::system::uname();
    let own = Privileges::own();
    let mut checks = vec![
        kernel(&uname.release().to_string_lossy()),
        architecture(&uname.machine().to_string_lossy()),
        privileges::check(&own),
        pid_namespace(
            fs::read_link("/proc/self/ns/pid")
                .ok()
                .map(|namespace| namespace.to_string_lossy().into_owned())
                .as_deref(),
        ),
    ];
    checks.extend(kernel_features::checks(own.can_mount()));
    if own.can_probe() {
        checks.extend(programs());
    }
    checks
}

fn kernel(release: &str) -> Check {
    let needs = format!("needs {}.{}", FLOOR.major, FLOOR.minor);
    match Version::parse(release) {
        Some(version) if version >= FLOOR => Check::ok("kernel", format!("{release} ({needs})")),
        Some(_) => Check::fails("kernel", format!("{release} ({needs})")).remedy("boot a newer kernel"),
        None => Check::warning(
            "kernel",
            format!("{release}: not a version that is understood ({needs})"),
        ),
    }
}

fn architecture(machine: &str) -> Check {
    if machine == "x86_64" {
        return Check::ok("architecture", machine);
    }
    Check::fails("architecture", format!("{machine} is not supported yet (needs x86_64)"))
}

fn pid_namespace(link: Option<&str>) -> Check {
    match link {
        Some(INITIAL_PID_NAMESPACE) => Check::ok("pid namespace", "that of the machine"),
        Some(other) => Check::warning(
            "pid namespace",
            format!("a container's ({other}): programs of this container can be observed, those in containers inside of it cannot"),
        )
        .remedy("to observe any program, run memtrace on the host, or start its container with --pid=host"),
        None => Check::warning("pid namespace", "/proc/self/ns/pid cannot be read").remedy("mount /proc"),
    }
}

/// Loads the programs without attaching any: only the kernel itself can say whether its verifier takes them.
fn programs() -> Vec<Check> {
    const NAME: &str = "programs";
    match probe::Probes::load(probe::Options {
        by_tables: true,
        old_loop: false,
        single_links: false,
        ring_bytes: RING_BYTES_MIN,
        // As in a container: the code for that is looked at only where it can be reached.
        pid_namespace: PidNamespace { device: 1, inode: 1 },
        join: Join::All,
        command: [0; COMMAND_BYTES],
        follow: true,
        everywhere: false,
        every_event: false,
        javascript_sites: false,
        may_sample: false,
        may_pause: false,
        diagnostics: false,
    }) {
        Ok(detached) => vec![
            Check::ok(NAME, "the kernel accepts memtrace's BPF programs"),
            kernel_features::links(detached.shares_links()),
        ],
        Err(error) => vec![Check::fails(NAME, error.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Level, *};

    #[test]
    fn releases() {
        let version = |major, minor| Some(Version { major, minor });
        assert_eq!(Version::parse("6.18.44-fc-v595"), version(6, 18));
        assert_eq!(Version::parse("5.15-rc3"), version(5, 15));
        assert_eq!(Version::parse("6.1"), version(6, 1));
        assert_eq!(Version::parse("5.4.0-1045-aws"), version(5, 4));
        for nonsense in ["", "6", "six.one", "6.", "6.x", ".5", "99999999999.1"] {
            assert_eq!(Version::parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_floor_is_compared_by_number() {
        for (release, level) in [
            ("5.15.0", Level::Ok),
            ("5.4.200", Level::Fails),
            ("10.0.1", Level::Ok),
            ("4.19.1", Level::Fails),
            ("?", Level::Warning),
        ] {
            assert_eq!(kernel(release).level, level, "{release}");
        }
        assert_eq!(kernel("6.18.44").what, "6.18.44 (needs 5.15)");
    }

    #[test]
    fn only_one_architecture_is_supported() {
        assert_eq!(architecture("x86_64").level, Level::Ok);
        assert_eq!(architecture("aarch64").level, Level::Fails);
    }

    #[test]
    fn containers_are_told() {
        assert_eq!(pid_namespace(Some("pid:[4026531836]")).level, Level::Ok);
        assert_eq!(pid_namespace(Some("pid:[4026532001]")).level, Level::Warning);
        assert_eq!(pid_namespace(None).level, Level::Warning);
    }

    #[test]
    fn this_machine_is_checked() {
        let checks = checks();
        assert_eq!(checks[0].name, "kernel");
        assert_eq!(
            checks[0].level,
            if Version::running().unwrap() >= FLOOR {
                Level::Ok
            } else {
                Level::Fails
            }
        );
        assert_eq!(
            checks.iter().any(|check| check.name == "programs"),
            Privileges::own().can_probe()
        );
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,80}") {
            let _either = (kernel(&text), architecture(&text), pid_namespace(Some(&text)));
        }
    }
}
