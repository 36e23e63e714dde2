//! `--python-exact`: which interpreters' objects are followed one by one.

use anyhow::bail;
use memtrace_common::pymalloc::Heap;

use crate::{
    plan::pymalloc::Followed,
    pymalloc::{
        Mode,
        report::{Exactly, Traceable, traceable},
    },
};

/// What is followed, and what is to be said of it.
#[derive(Debug, Default)]
pub(super) struct Exact {
    pub(super) followed: Vec<Followed>,
    /// Where processes have their heaps, where probes must know that.
    pub(super) heaps: Vec<(u32, Heap)>,
    pub(super) notes: Vec<String>,
}

/// Of these processes.
///
/// # Errors
/// When there is no interpreter among them, or one whose calls would not all be seen: half of them would make wrong sums.
pub(super) fn exact(pids: impl Iterator<Item = u32>) -> anyhow::Result<Exact> {
    let mut exact = Exact::default();
    for pid in pids {
        let Some(found) = traceable(pid) else { continue };
        let Traceable {
            file,
            version,
            allocator,
        } = found;
        let what = format!("Python {version} in {file}");
        let (mode, followed, heap) = match allocator {
            Ok(Exactly { mode, followed, heap }) => (mode, followed, heap),
            Err(why) => bail!(
                "--python-exact is not supported for process {pid}, {what}: {why}; `memtrace census` needs no probes"
            ),
        };
        match mode {
            Mode::Malloc => {
                bail!("process {pid}, {what}, takes its objects from the C library already: leave out --python-exact")
            }
            // What pymalloc asks the raw allocator for goes through hooks too, with bytes and addresses of their own, and where its code
            // is in line no return of pymalloc tells which block came of it.
            Mode::Debug if heap.is_some() => bail!(
                "--python-exact is not supported for process {pid}, {what}: its compiler has put pymalloc's code in line, and its debug \
                 hooks are on, which change what blocks of more than 512 bytes are; `memtrace census` needs no probes"
            ),
            Mode::Debug => exact.notes.push(format!(
                "the debug hooks of {what} are on: each of its blocks is counted with the 24 or 32 bytes that they add"
            )),
            Mode::Hooked | Mode::Tracemalloc | Mode::Unknown => exact.notes.push(format!("{what}: {}", mode.words())),
            Mode::Pymalloc => {}
        }
        exact.heaps.extend(heap.map(|heap| (pid, heap)));
        if !exact.followed.contains(&followed) {
            exact.followed.push(followed);
        }
    }
    if exact.followed.is_empty() {
        bail!("--python-exact found no interpreter of CPython in what is observed: leave it out");
    }
    Ok(exact)
}
