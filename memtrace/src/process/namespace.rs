//! PID namespaces: in which of them a process has the number that we know it by.

use std::{fs, io, os::unix::fs::MetadataExt as _};

use memtrace_common::config::PidNamespace;

/// Inode of the first PID namespace of a machine (`PROC_PID_INIT_INO`, `include/linux/proc_ns.h`).
const FIRST: u64 = 0xefff_fffc;

/// Where a process is numbered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Numbered {
    /// As the BPF side sees it by itself: memtrace is in the machine's first namespace.
    Globally,
    /// In the namespace that memtrace and the process share.
    In(PidNamespace),
    /// In one below memtrace's, which is not the first. The kernel tells the BPF side only the number in the process's own
    /// namespace, which is another than the one that memtrace knows.
    Elsewhere,
}

/// Where process `pid` is numbered.
///
/// # Errors
/// When the process is gone or may not be looked at.
pub fn numbered(pid: u32) -> io::Result<Numbered> {
    let own = namespace("self")?;
    if own.inode == FIRST {
        return Ok(Numbered::Globally);
    }
    Ok(if namespace(&pid.to_string())? == own {
        Numbered::In(own)
    } else {
        Numbered::Elsewhere
    })
}

fn namespace(pid: &str) -> io::Result<PidNamespace> {
    let file = fs::metadata(format!("/proc/{pid}/ns/pid"))?;
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    Ok(PidNamespace {
        device: u64::from(major) << 20 | u64::from(minor),
        inode: file.ino(),
    })
}
