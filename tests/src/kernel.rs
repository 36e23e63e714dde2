//! What the kernel itself shows, without memtrace: breakpoints in a target, and BPF objects that are alive.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    process::Command,
    time::Duration,
};

use crate::{PATIENCE, wait_until};

/// How long the kernel may take to give up what a dead process held.
const SETTLE: Duration = Duration::from_secs(10);

/// Probes of one process are put on in one go, so a pause of this length means that all are there.
const STEADY: Duration = Duration::from_millis(700);

/// A BPF object by kind (`prog`, `map`, `link`) and id.
pub type Object = (&'static str, u32);

/// A number of a process's `smaps_rollup`, in bytes.
pub fn rollup(pid: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the kernel sums up the mappings");
    let mark = format!("\n{field}:");
    let (_, rest) = text.split_once(&mark).expect("a field of smaps_rollup");
    let kib = rest.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    kib.expect("a number of KiB") * 1024
}

/// Places in a process's code that differ from the file it was mapped from: breakpoints.
///
/// # Errors
///
/// Fails if the process is gone or its memory may not be read.
pub fn patched(pid: u32) -> io::Result<Vec<String>> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut found = Vec::new();
    for line in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [range, "r-xp", offset, _, inode, path, ..] = fields[..] else {
            continue;
        };
        if inode == "0" {
            continue;
        }
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(io::Error::other);
        let (start, end) = range
            .split_once('-')
            .ok_or_else(|| io::Error::other("a line of maps without a range"))?;
        let (start, end, offset) = (number(start)?, number(end)?, number(offset)?);
        // By way of the mapping, because the file may be deleted or replaced.
        let file = File::open(format!("/proc/{pid}/map_files/{start:x}-{end:x}"))?;
        let length = usize::try_from(end - start).map_err(io::Error::other)?;
        let (mut mapped, mut stored) = (vec![0; length], vec![0; length]);
        memory.read_exact_at(&mut mapped, start)?;
        // The last page may reach beyond the end of the file: there both are zero.
        let mut read = 0;
        while let count @ 1.. = file.read_at(&mut stored[read..], offset + read as u64)? {
            read += count;
        }
        let differs = mapped
            .iter()
            .zip(&stored)
            .enumerate()
            .filter(|(_, (mapped, stored))| mapped != stored);
        found.extend(differs.map(|(at, (mapped, _))| format!("{path}+{:#x}: {mapped:#x}", offset + at as u64)));
    }
    Ok(found)
}

/// The BPF objects that a process holds.
pub fn objects_of(pid: u32) -> BTreeSet<Object> {
    let mut objects = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for line in text.lines() {
            for (field, kind) in [("prog_id:", "prog"), ("map_id:", "map"), ("link_id:", "link")] {
                if let Some(id) = line.strip_prefix(field).and_then(|id| id.trim().parse().ok()) {
                    objects.insert((kind, id));
                }
            }
        }
    }
    objects
}

/// Which of the objects any process still holds, or `bpftool` (where it is installed) still lists.
pub fn alive(objects: &BTreeSet<Object>) -> BTreeSet<Object> {
    let mut held = BTreeSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            held.extend(objects_of(pid));
        }
    }
    let listed = |&(kind, id): &Object| {
        let shown = Command::new("bpftool")
            .args([kind, "show", "id", &id.to_string()])
            .output();
        shown.is_ok_and(|shown| shown.status.success())
    };
    objects
        .iter()
        .copied()
        .filter(|object| held.contains(object) || listed(object))
        .collect()
}

/// Waits until a tracer that observes more than this process has put its probes there too: until there are some, and for a
/// moment no further ones.
pub fn wait_probed(pid: u32) {
    let count = || patched(pid).map_or(0, |places| places.len());
    let settled = wait_until(PATIENCE, || {
        let before = count();
        std::thread::sleep(STEADY);
        (before > 0 && before == count()).then_some(before)
    });
    let settled = settled.unwrap_or_else(|| panic!("no probe appears in process {pid}"));
    println!("process {pid}: {settled} bytes of code patched");
}

/// Asserts that a tracer has probes in the target, so that their absence later means something; returns
/// its BPF objects.
pub fn assert_probed(tracer: u32, target: u32) -> BTreeSet<Object> {
    let objects = objects_of(tracer);
    assert!(
        objects.iter().any(|(kind, _)| *kind == "link"),
        "the tracer {tracer} holds no BPF link: {objects:?}"
    );
    assert!(
        objects.iter().any(|(kind, _)| *kind == "prog"),
        "the tracer {tracer} holds no program: {objects:?}"
    );
    let patched = patched(target).expect("the target's code can be read");
    println!(
        "while attached: {} BPF objects, {} bytes of code patched",
        objects.len(),
        patched.len()
    );
    assert!(!patched.is_empty(), "no breakpoint in the target");
    objects
}

/// Asserts that nothing of the tracer is left: neither its BPF objects nor a breakpoint in the target.
pub fn assert_clean(objects: &BTreeSet<Object>, target: Option<u32>) {
    let left = || {
        (
            alive(objects),
            target.map_or(Vec::new(), |pid| patched(pid).expect("the target's code can be read")),
        )
    };
    let gone = wait_until(SETTLE, || (left() == (BTreeSet::new(), Vec::new())).then_some(()));
    assert!(gone.is_some(), "left behind: {:?}", left());
    println!("after: none of {} BPF objects, no byte of code patched", objects.len());
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::{Program, require_root};

    #[test]
    fn one_changed_byte_of_code_is_found() {
        require_root!();
        let program = Program::spawn(Command::new("sleep").arg("60"));
        let clean = || patched(program.pid()).unwrap();
        // The dynamic loader changes code as little as anybody else.
        wait_until(SETTLE, || {
            fs::read_to_string(format!("/proc/{}/maps", program.pid()))
                .unwrap()
                .contains("libc")
                .then_some(())
        });
        assert_eq!(clean(), Vec::<String>::new());
        let maps = fs::read_to_string(format!("/proc/{}/maps", program.pid())).unwrap();
        let line = maps
            .lines()
            .find(|line| line.contains("r-xp") && line.contains("libc"))
            .unwrap();
        let start = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
        let memory = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{}/mem", program.pid()))
            .unwrap();
        let mut byte = [0];
        memory.read_exact_at(&mut byte, start + 16).unwrap();
        memory.write_all_at(&[byte[0] ^ 0xcc], start + 16).unwrap();
        let found = clean();
        assert!(found.len() == 1 && found[0].contains("libc"), "{found:?}");
        memory.write_all_at(&byte, start + 16).unwrap();
        assert_eq!(clean(), Vec::<String>::new());
    }

    #[test]
    fn objects_that_nobody_holds_are_not_alive() {
        assert!(alive(&BTreeSet::from([("link", u32::MAX), ("prog", u32::MAX)])).is_empty());
    }
}
