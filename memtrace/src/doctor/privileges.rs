//! What this process may do, and how it gets what it may not.

use std::{env, fs};

use super::Check;

pub(super) const NAME: &str = "privileges";

/// Inode of the user namespace that a machine starts with (`PROC_USER_INIT_INO`, `include/linux/proc_ns.h`). The kernel's BPF
/// and tracing calls want their capabilities in this one.
const INITIAL_USER_NAMESPACE: &str = "user:[4026531837]";

/// Numbers of capabilities (include/uapi/linux/capability.h).
const DAC_READ_SEARCH: u32 = 2;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// What is needed, and for what. `CAP_SYS_ADMIN` holds the first two.
const NEEDED: [(u32, &str, &str); 4] = [
    (BPF, "CAP_BPF", "load programs"),
    (PERFMON, "CAP_PERFMON", "attach probes"),
    (SYS_PTRACE, "CAP_SYS_PTRACE", "look at programs of other users"),
    (
        DAC_READ_SEARCH,
        "CAP_DAC_READ_SEARCH",
        "read tracefs and files of other users",
    ),
];

/// What the kernel would let this process do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Privileges {
    /// Effective user id.
    uid: u32,
    /// Effective capabilities, a bit each; `None` when `/proc` does not tell.
    capabilities: Option<u64>,
    /// Whether they count on the whole machine, not in a user namespace only.
    whole_machine: bool,
}

impl Privileges {
    /// Those of this process.
    pub(super) fn own() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            capabilities: fs::read_to_string("/proc/self/status")
                .ok()
                .as_deref()
                .and_then(effective),
            // Kernels without user namespaces have no such file.
            whole_machine: fs::read_link("/proc/self/ns/user")
                .map_or(true, |namespace| namespace.as_os_str() == INITIAL_USER_NAMESPACE),
        }
    }

    fn has(&self, capability: u32) -> bool {
        let held = self.capabilities.unwrap_or(0);
        self.whole_machine
            && (held & (1 << capability) != 0 || (matches!(capability, BPF | PERFMON) && held & (1 << SYS_ADMIN) != 0))
    }

    /// Whether it may mount file systems.
    pub(super) fn can_mount(&self) -> bool {
        self.has(SYS_ADMIN)
    }

    /// Whether it may load and attach BPF programs.
    pub(super) fn can_probe(&self) -> bool {
        self.has(BPF) && self.has(PERFMON)
    }

    /// Judges them; `program` is the file that capabilities would be given to.
    pub(super) fn check(&self, program: &str) -> Check {
        let who = if self.uid == 0 {
            "root".to_owned()
        } else {
            format!("user {}", self.uid)
        };
        if self.capabilities.is_none() {
            return Check::fails(
                NAME,
                format!("{who}; no capabilities can be read from /proc/self/status"),
            )
            .remedy("mount /proc");
        }
        if !self.whole_machine {
            return Check::fails(
                NAME,
                format!("{who}, but inside a user namespace only, where the kernel allows no tracing"),
            )
            .remedy("run memtrace on the host, outside of rootless containers");
        }
        let missing: Vec<_> = NEEDED
            .iter()
            .filter(|(capability, ..)| !self.has(*capability))
            .collect();
        if missing.is_empty() {
            return Check::ok(NAME, format!("{who}, with all capabilities that are needed"));
        }
        let list: Vec<_> = missing
            .iter()
            .map(|(_, name, what)| format!("{name} (to {what})"))
            .collect();
        let what = format!("{who} lacks {}", list.join(", "));
        // Programs of the same user can be observed without the right to look at others.
        let check = if missing.iter().all(|(capability, ..)| *capability == SYS_PTRACE) {
            Check::warning(NAME, what)
        } else {
            Check::fails(NAME, what)
        };
        check.remedy(self.remedy(program, &missing))
    }

    fn remedy(&self, program: &str, missing: &[&(u32, &str, &str)]) -> String {
        if self.uid == 0 {
            // Root without capabilities is what containers run as.
            let add: Vec<_> = missing
                .iter()
                .map(|(_, name, _)| format!("--cap-add={}", name.strip_prefix("CAP_").unwrap_or(name)))
                .collect();
            return format!(
                "run memtrace on the host, or start its container with {} (or --privileged)",
                add.join(" ")
            );
        }
        let all: Vec<_> = NEEDED.iter().map(|(_, name, _)| name.to_lowercase()).collect();
        format!(
            "run it by `sudo memtrace ...`, or once: sudo setcap {}+ep {}",
            all.join(","),
            quoted(program)
        )
    }
}

/// The check of this process.
pub(super) fn check(privileges: &Privileges) -> Check {
    let program = env::current_exe().map_or_else(|_| "memtrace".to_owned(), |path| path.display().to_string());
    privileges.check(&program)
}

/// The effective capabilities in the text of `/proc/PID/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// A word of a shell's command.
fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+".contains(character);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    fn privileges(uid: u32, status: &str) -> Privileges {
        Privileges {
            uid,
            capabilities: effective(status),
            whole_machine: true,
        }
    }

    #[test]
    fn the_line_of_effective_capabilities() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001fffeffffff\nCapBnd:\t0\n";
        assert_eq!(effective(status), Some(0x1ff_feff_ffff));
        assert_eq!(effective("CapEff:\tnonsense\n"), None);
        assert_eq!(effective(""), None);
        assert_eq!(effective("CapEff:\t1ffffffffffffffff\n"), None);
    }

    #[test]
    fn root_has_all() {
        let root = privileges(0, "CapEff:\t000001ffffffffff\n");
        assert_eq!(root.check("m").level, Level::Ok);
        assert!(root.can_mount() && root.can_probe());
    }

    #[test]
    fn a_user_is_told_what_to_type() {
        let user = privileges(1000, "CapEff:\t0000000000000000\n");
        let check = user.check("/opt/my tools/memtrace");
        assert_eq!(check.level, Level::Fails);
        assert!(check.what.starts_with("user 1000 lacks CAP_BPF"), "{check:?}");
        let setcap = "sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep '/opt/my tools/memtrace'";
        assert!(check.remedy.unwrap().ends_with(setcap));
        assert!(!user.can_probe());
    }

    #[test]
    fn the_four_capabilities_suffice_and_the_old_one_holds_two_of_them() {
        let four = format!("CapEff:\t{:016x}\n", 1u64 << 39 | 1 << 38 | 1 << 19 | 1 << 2);
        assert_eq!(privileges(1000, &four).check("m").level, Level::Ok);
        assert!(!privileges(1000, &four).can_mount());
        let old = format!("CapEff:\t{:016x}\n", 1u64 << 21 | 1 << 2);
        let check = privileges(1000, &old).check("m");
        assert_eq!(check.level, Level::Warning);
        assert_eq!(
            check.what,
            "user 1000 lacks CAP_SYS_PTRACE (to look at programs of other users)"
        );
    }

    #[test]
    fn containers_are_told_apart() {
        let docker = privileges(0, "CapEff:\t00000000a80425fb\n");
        assert!(
            docker
                .check("m")
                .remedy
                .unwrap()
                .contains("--cap-add=BPF --cap-add=PERFMON")
        );
        let rootless = Privileges {
            whole_machine: false,
            ..privileges(0, "CapEff:\t000001ffffffffff\n")
        };
        assert_eq!(rootless.check("m").level, Level::Fails);
        assert!(!rootless.can_mount());
    }

    #[test]
    fn quotes() {
        assert_eq!(quoted("/usr/bin/memtrace"), "/usr/bin/memtrace");
        assert_eq!(quoted("a'b;c"), r"'a'\''b;c'");
    }
}
