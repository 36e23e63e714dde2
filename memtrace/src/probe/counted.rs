//! Static probes (USDT) that are switched on by a counter in the target.
//!
//! The kernel holds the counter up as long as the probe is attached, in every process that it is for, and lets it down however
//! memtrace ends. aya does not tell the kernel of counters, so the event is opened here.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
};

use super::{Point, Scope, sys};

/// The kind of event that a probe is (Linux 4.17), as the kernel numbers it on this machine.
const KIND: &str = "/sys/bus/event_source/devices/uprobe/type";

/// Where an event's setting has the counter's offset (`format/ref_ctr_offset` beside [`KIND`]).
const COUNTER_SHIFT: u32 = 32;

/// Length in bytes of the first versions of `struct perf_event_attr` that have the file's name and the offset
/// (`PERF_ATTR_SIZE_VER1`, `include/uapi/linux/perf_event.h`), and in words.
const ATTRIBUTE_BYTES: u64 = 8 * ATTRIBUTE_WORDS as u64;
const ATTRIBUTE_WORDS: usize = 9;

/// `PERF_FLAG_FD_CLOEXEC`
const CLOSE_ON_EXEC: u64 = 8;

/// What keeps a program attached. Dropping it detaches it.
#[derive(Debug)]
#[expect(dead_code, reason = "descriptors are held, not used")]
pub(super) struct Counted {
    link: OwnedFd,
    event: OwnedFd,
}

/// Attaches a program to a place whose counter is held up meanwhile.
///
/// # Errors
/// What the kernel says.
pub(super) fn attach(program: BorrowedFd<'_>, scope: Scope, point: &Point) -> io::Result<Counted> {
    let kind: u32 = fs::read_to_string(KIND)?.trim().parse().map_err(io::Error::other)?;
    if point.semaphore > u64::from(u32::MAX) {
        return Err(io::Error::other("its counter lies beyond 4 GiB in the file"));
    }
    let file = CString::new(point.file.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let event = open_event(kind, scope, point, &file)?;
    Ok(Counted {
        link: sys::link_event(program, event.as_fd(), point.cookie)?,
        event,
    })
}

/// Opens the event of a probe: `struct perf_event_attr`, in words.
fn open_event(kind: u32, scope: Scope, point: &Point, file: &CString) -> io::Result<OwnedFd> {
    let attribute: [u64; ATTRIBUTE_WORDS] = [
        u64::from(kind) | ATTRIBUTE_BYTES << 32,
        point.semaphore << COUNTER_SHIFT,
        0,
        0,
        0,
        0,
        0,
        file.as_ptr() as u64,
        point.offset,
    ];
    let (process, processor) = match scope {
        Scope::Process(thread) | Scope::Thread(thread) => (thread.cast_signed(), -1),
        Scope::Machine => (-1, 0),
    };
    #[expect(unsafe_code, reason = "neither rustix nor nix knows this system call")]
    // SAFETY: the kernel reads as many bytes of `attribute` as its second half-word says, which are its own, and the name in
    // `file`, which ends with a zero.
    let result = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            attribute.as_ptr(),
            process,
            processor,
            -1,
            CLOSE_ON_EXEC,
        )
    };
    sys::descriptor(result)
}
