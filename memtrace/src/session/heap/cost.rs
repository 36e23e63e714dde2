//! What taking a snapshot costs the program.

use std::{fs, path::Path, time::Duration};

use crate::{inspector::HeapUsage, units};

/// Most bytes that V8 takes for a snapshot, for each byte of the heap: measured with node 18 to 24 and objects of some 30 bytes
/// (`docs/inspector.md`). Larger objects take less.
const MEMORY: u64 = 16;

/// Most seconds that a snapshot takes for each 100 MB of the heap, measured as above, on a machine that was busy.
const SECONDS: u64 = 40;

/// Mount point of the cgroup hierarchy.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The worst that is to be expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cost {
    /// Bytes of the heap.
    heap: u64,
    /// Bytes that the program takes meanwhile.
    memory: u64,
    time: Duration,
    /// Bytes that it can still have, as far as that is told.
    available: Option<u64>,
}

impl Cost {
    pub(super) fn of(pid: u32, usage: HeapUsage) -> Self {
        Self::new(usage.used_size, available(pid))
    }

    fn new(heap: u64, available: Option<u64>) -> Self {
        Self {
            heap,
            memory: heap.saturating_mul(MEMORY),
            time: Duration::from_secs((heap.saturating_mul(SECONDS) / 100_000_000).max(1)),
            available,
        }
    }

    /// In words: for how many snapshots.
    pub(super) fn words(&self, pid: u32, snapshots: u32) -> String {
        let each = if snapshots > 1 { " for each snapshot" } else { "" };
        let warning = self
            .available
            .filter(|&available| available < self.memory)
            .map_or(String::new(), |available| {
                format!(
                    "; it can have {} before the kernel ends a program for want of memory",
                    units::bytes(available)
                )
            });
        format!(
            "process {pid} has {} in its heap: all of it stops for up to {}{each}, and takes up to {} more memory{warning}",
            units::bytes(self.heap),
            units::duration(self.time),
            units::bytes(self.memory),
        )
    }
}

/// Bytes that a process can still have: of the machine, and of the cgroups that it is in (version 2).
fn available(pid: u32) -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(of_machine);
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup"))
        .ok()
        .as_deref()
        .and_then(|text| of_cgroup(text, Path::new(CGROUPS)));
    machine.into_iter().chain(cgroup).min()
}

/// `MemAvailable:   123 kB`.
fn of_machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The least that is left in a cgroup or in one above it.
fn of_cgroup(cgroup: &str, root: &Path) -> Option<u64> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let read = |directory: &Path, name: &str| {
        fs::read_to_string(directory.join(name))
            .ok()?
            .trim()
            .parse::<u64>()
            .ok()
    };
    let directory = root.join(path);
    directory
        .ancestors()
        .take_while(|directory| directory.starts_with(root))
        .filter_map(|directory| Some(read(directory, "memory.max")?.saturating_sub(read(directory, "memory.current")?)))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_said_with_what_there_is() {
        let said = Cost::new(100_000_000, Some(1 << 40)).words(7, 1);
        assert_eq!(
            said,
            "process 7 has 95.4 MiB in its heap: all of it stops for up to 40 s, and takes up to 1.5 GiB more memory"
        );
        let said = Cost::new(100_000_000, Some(1 << 20)).words(7, 2);
        assert!(
            said.contains("40 s for each snapshot") && said.contains("it can have 1.0 MiB before"),
            "{said}"
        );
        assert!(Cost::new(0, None).words(7, 1).contains("up to 1 s"));
    }

    #[test]
    fn the_tightest_cgroup_counts() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("outer/inner");
        fs::create_dir_all(&inner).unwrap();
        let outer = root.path().join("outer");
        for (directory, most, now) in [(&outer, "1000\n", "900\n"), (&inner, "max\n", "500\n")] {
            fs::write(directory.join("memory.max"), most).unwrap();
            fs::write(directory.join("memory.current"), now).unwrap();
        }
        assert_eq!(of_cgroup("0::/outer/inner\n", root.path()), Some(100));
        assert_eq!(of_cgroup("12:memory:/outer\n", root.path()), None);
        fs::write(inner.join("memory.max"), "510").unwrap();
        assert_eq!(of_cgroup("0::/outer/inner\n", root.path()), Some(10));
        assert_eq!(of_machine("MemTotal: 9 kB\nMemAvailable:    3 kB\n"), Some(3072));
    }
}
