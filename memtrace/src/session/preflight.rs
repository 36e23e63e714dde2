//! What is tried out before a target is touched.
//!
//! From Linux 6.11 on, the return of a probed function enters the kernel by the system call `uretprobe`. Kernels without the
//! later exemption in seccomp ("seccomp: passthrough uretprobe systemcall without filtering") kill a process
//! whose filter does not allow that call. The fix was backported, so no version number tells. A child of memtrace, with
//! such a filter and a probe, does.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
};

use anyhow::{Context as _, bail};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use super::{own_child, tracer::Tracer};
use crate::{exit::Exit, target::TargetInfo};

/// The hidden verb under which memtrace runs as its own canary.
pub const CANARY: &str = "seccomp-canary";

/// `uretprobe` (335, since 6.11) and `uprobe` (336, since 6.18), `arch/x86/entry/syscalls/syscall_64.tbl`.
const PROBE_CALLS: [i64; 2] = [335, 336];

/// Refuses targets when one of them is under seccomp, and return probes would kill it.
///
/// # Errors
/// When the target would be killed, or when that cannot be found out.
pub(super) fn seccomp(confined: Option<&TargetInfo>, tracer: &mut Tracer) -> anyhow::Result<()> {
    let Some(info) = confined else { return Ok(()) };
    if survives(tracer).context("failed to try out return probes under seccomp")? {
        return Ok(());
    }
    bail!(
        "process {} runs under a seccomp filter, and on this kernel the filter would kill it at the first return of a probed function \
         (tried out on a child of memtrace). Nothing was attached. Kernels from 6.14, and stable kernels with \"seccomp: passthrough \
         uretprobe systemcall\", do not have this fault",
        info.pid
    );
}

/// Whether a process whose filter kills on the probes' system calls survives a return probe here.
fn survives(tracer: &mut Tracer) -> anyhow::Result<bool> {
    let (mut child, mut input, output) = own_child::start(CANARY)?;
    let mut line = String::new();
    BufReader::new(output)
        .read_line(&mut line)
        .context("failed to hear from the child")?;
    let attached = tracer.attach_canary(child.id());
    // Closing its input lets the child go on and end, whatever happened here.
    let told = input.write_all(b"go\n");
    drop(input);
    let status = child.wait().context("failed to wait for the child")?;
    attached?;
    told.context("failed to let the child go on")?;
    Ok(status.success())
}

/// The canary: puts itself under a filter, allocates, and ends.
///
/// # Errors
/// When the filter cannot be set.
pub fn canary() -> anyhow::Result<Exit> {
    let mut output = io::stdout().lock();
    output
        .write_all(b"ready\n")
        .and_then(|()| output.flush())
        .context("failed to report to memtrace")?;
    io::stdin()
        .read_exact(&mut [0; 3])
        .context("failed to hear from memtrace")?;
    let rules: BTreeMap<_, _> = PROBE_CALLS.into_iter().map(|call| (call, Vec::new())).collect();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::KillProcess,
        TargetArch::x86_64,
    )
    .and_then(BpfProgram::try_from)
    .context("failed to make the filter")?;
    seccompiler::apply_filter(&filter).context("failed to set the filter")?;
    drop(std::hint::black_box(vec![1_u8; 4096]));
    Ok(Exit::Success)
}
