//! What `/proc` says of processes that are measured.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result, bail};

/// Largest resident memory ever of a process or of one that it started, whichever had most, in bytes. A tracer may have been started
/// by sudo or timeout, which need little. `None` when it is gone.
pub(super) fn peak_memory(pid: u32) -> Option<u64> {
    family(pid).into_iter().filter_map(own_peak_memory).max()
}

/// Kernel memory of the BPF maps that a process or one that it started holds, in bytes. `None` where this user may not know, or when all
/// are gone.
pub(super) fn map_memory(pid: u32) -> Option<u64> {
    let mut maps = BTreeMap::new();
    let mut readable = false;
    for pid in family(pid) {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else {
            continue;
        };
        readable = true;
        // A descriptor that was closed meanwhile is none of them.
        let texts = descriptors.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        maps.extend(texts.filter_map(|text| Some((field(&text, "map_id:")?, field(&text, "memlock:")?))));
    }
    readable.then(|| maps.into_values().sum())
}

/// A number of an `fdinfo` (`bpf_map_show_fdinfo`, kernel/bpf/syscall.c).
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// `VmHWM` of proc(5), which is in KiB.
fn own_peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// The process of this name among a process and those that it started.
pub(super) fn named(pid: u32, name: &str) -> Option<u32> {
    family(pid)
        .into_iter()
        .find(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|found| found.trim_end() == name))
}

/// A process and all that descend from it and are still there.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(&pid) = found.get(at) {
        found.extend(children(pid));
        at += 1;
    }
    found
}

/// The processes that the threads of a process started. None of one that has ended, nor in kernels without `CONFIG_PROC_CHILDREN`.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let mut found = Vec::new();
    for list in lists {
        found.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    found
}

/// How long the first thread of a process ran, in nanoseconds: the first number of `/proc/PID/schedstat`.
pub(super) fn run_time_ns(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let number = text.split_whitespace().next().and_then(|number| number.parse().ok());
    number.with_context(|| format!("{path} has {text:?} instead of a time"))
}

/// Processor time of a process with all its threads, those that have ended too, in seconds: utime and stime of proc(5).
pub(super) fn processor_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    // A name may have spaces and brackets; the fields after it are numbered from 3 on, and these are 14 and 15.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .skip(14 - 3)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    match ticks[..] {
        [user, system] => Ok((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64),
        _ => bail!("{path} has {text:?} instead of processor times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_in_its_own_family() {
        let pid = std::process::id();
        let peak = peak_memory(pid).unwrap();
        assert!(peak > 100 * 1024, "{peak}");
        assert!(run_time_ns(pid).is_ok());
        assert!(processor_seconds(pid).is_ok());
        assert_eq!(named(pid, "no such name"), None);
    }

    #[test]
    fn a_map_is_known_by_its_number_and_memory() {
        let text = "pos:\t0\nmap_type:\t27\nmemlock:\t8433992\nmap_id:\t1200\nfrozen:\t0\n";
        assert_eq!(field(text, "memlock:"), Some(8_433_992));
        assert_eq!(field(text, "map_id:"), Some(1200));
        assert_eq!(field("pos:\t0\n", "map_id:"), None);
        assert_eq!(map_memory(std::process::id()), Some(0));
    }

    #[test]
    fn a_child_is_found_by_its_name() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = named(std::process::id(), "sleep");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, Some(child.id()));
        assert_eq!(own_peak_memory(child.id()), None);
    }
}
