//! System calls on BPF that aya has not, with their arguments as the kernel lays them out (`union bpf_attr`,
//! `include/uapi/linux/bpf.h`).

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::bpf_insn;

/// Commands: `BPF_PROG_LOAD`, `BPF_PROG_TEST_RUN` (of raw tracepoint programs: Linux 5.10), `BPF_BTF_LOAD` (4.18),
/// `BPF_LINK_CREATE` (5.7).
const PROGRAM_LOAD: u32 = 5;
const PROGRAM_RUN: u32 = 10;
const TYPES_LOAD: u32 = 18;
const LINK_CREATE: u32 = 28;

/// `BPF_PROG_TYPE_KPROBE`: the kernel has one type for all probes on functions.
const PROBE: u32 = 2;

/// What links are made to: `BPF_PERF_EVENT` (5.15), `BPF_TRACE_UPROBE_MULTI` (6.6).
const PERF_EVENT: u32 = 41;
const UPROBE_MULTI: u32 = 48;

/// `BPF_F_UPROBE_MULTI_RETURN`
const RETURNS: u32 = 1;

/// Bytes of a program's name with the zero at its end (`BPF_OBJ_NAME_LEN`).
const NAME_BYTES: usize = 16;

/// A program that is to be attached to many places at once.
pub(super) struct Load<'a> {
    /// For those who list programs; cut to what the kernel takes.
    pub(super) name: &'a str,
    /// Its instructions, with the maps' descriptors in them.
    pub(super) instructions: &'a [bpf_insn],
    /// Its licence.
    pub(super) license: &'a CStr,
    /// Types that its functions are described by.
    pub(super) types: Option<BorrowedFd<'a>>,
    /// Descriptions of its functions, one after the other.
    pub(super) functions: &'a [u8],
    /// Length in bytes of each.
    pub(super) function_bytes: u32,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// Offset in the file.
    pub(super) offset: u64,
    /// Offset of the counter that the kernel holds up meanwhile; 0 for none.
    pub(super) semaphore: u64,
    /// What the program is told there.
    pub(super) cookie: u64,
}

/// Where a program is to run.
pub(super) struct Many<'a> {
    /// The file.
    pub(super) path: &'a CStr,
    /// Places in it.
    pub(super) places: &'a [Place],
    /// Whether the program is run when the functions that begin there return.
    pub(super) returns: bool,
    /// Number of the only process in which it is; 0 for all.
    pub(super) process: u32,
}

#[repr(C)]
struct LoadAttribute {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; NAME_BYTES],
    interface: u32,
    attach_kind: u32,
    types: u32,
    function_bytes: u32,
    functions: u64,
    function_count: u32,
    line_bytes: u32,
}

#[repr(C)]
struct TypesAttribute {
    types: u64,
    log: u64,
    length: u32,
    log_size: u32,
    log_level: u32,
    reserved: u32,
}

#[repr(C)]
struct EventAttribute {
    program: u32,
    event: u32,
    kind: u32,
    flags: u32,
    cookie: u64,
}

#[repr(C)]
struct ManyAttribute {
    program: u32,
    target: u32,
    kind: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    semaphores: u64,
    cookies: u64,
    count: u32,
    many_flags: u32,
    process: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Default)]
struct RunAttribute {
    program: u32,
    result: u32,
    data_size: [u32; 2],
    data: [u64; 2],
    repeat: u32,
    duration: u32,
    context_size: [u32; 2],
    context: [u64; 2],
    flags: u32,
    processor: u32,
}

/// Loads a program that can be attached by [`link_many`], and only so.
///
/// # Errors
/// What the kernel says, without the verifier's reason.
pub(super) fn load(program: &Load<'_>) -> io::Result<OwnedFd> {
    let mut name = [0; NAME_BYTES];
    for (byte, of_name) in name.iter_mut().zip(program.name.bytes().take(NAME_BYTES - 1)) {
        *byte = of_name;
    }
    let functions = count(program.functions.len())?.checked_div(program.function_bytes);
    let described = program.types.zip(functions).filter(|(_, count)| *count > 0);
    let attribute = LoadAttribute {
        kind: PROBE,
        instruction_count: count(program.instructions.len())?,
        instructions: program.instructions.as_ptr() as u64,
        license: program.license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name,
        interface: 0,
        attach_kind: UPROBE_MULTI,
        types: described.map_or(0, |(types, _)| number(types)),
        function_bytes: described.map_or(0, |_| program.function_bytes),
        functions: described.map_or(0, |_| program.functions.as_ptr() as u64),
        function_count: described.map_or(0, |(_, count)| count),
        line_bytes: 0,
    };
    bpf(PROGRAM_LOAD, attribute)
}

/// Loads types (BTF).
///
/// # Errors
/// What the kernel says.
pub(super) fn load_types(types: &[u8]) -> io::Result<OwnedFd> {
    let attribute = TypesAttribute {
        types: types.as_ptr() as u64,
        log: 0,
        length: count(types.len())?,
        log_size: 0,
        log_level: 0,
        reserved: 0,
    };
    bpf(TYPES_LOAD, attribute)
}

/// Attaches a program to an event.
///
/// # Errors
/// What the kernel says.
pub(super) fn link_event(program: BorrowedFd<'_>, event: BorrowedFd<'_>, cookie: u64) -> io::Result<OwnedFd> {
    let attribute = EventAttribute {
        program: number(program),
        event: number(event),
        kind: PERF_EVENT,
        flags: 0,
        cookie,
    };
    bpf(LINK_CREATE, attribute)
}

/// Attaches a program to many places at once; in the order in which they are given.
///
/// # Errors
/// What the kernel says: then it is attached nowhere.
pub(super) fn link_many(program: BorrowedFd<'_>, many: &Many<'_>) -> io::Result<OwnedFd> {
    let column = |of: fn(&Place) -> u64| many.places.iter().map(of).collect::<Vec<_>>();
    let (offsets, cookies) = (column(|place| place.offset), column(|place| place.cookie));
    let semaphores = column(|place| place.semaphore);
    let any = semaphores.iter().any(|&offset| offset != 0);
    let attribute = ManyAttribute {
        program: number(program),
        target: 0,
        kind: UPROBE_MULTI,
        flags: 0,
        path: many.path.as_ptr() as u64,
        offsets: offsets.as_ptr() as u64,
        semaphores: if any { semaphores.as_ptr() as u64 } else { 0 },
        cookies: cookies.as_ptr() as u64,
        count: count(many.places.len())?,
        many_flags: if many.returns { RETURNS } else { 0 },
        process: many.process,
        reserved: 0,
    };
    bpf(LINK_CREATE, attribute)
}

/// Runs a raw tracepoint program with these arguments, in this thread, and gives back what it returned.
///
/// # Errors
/// What the kernel says.
pub(super) fn run(program: BorrowedFd<'_>, arguments: &[u64]) -> io::Result<u32> {
    let mut attribute = RunAttribute {
        program: number(program),
        context_size: [count(size_of_val(arguments))?, 0],
        context: [arguments.as_ptr() as u64, 0],
        ..RunAttribute::default()
    };
    if call(PROGRAM_RUN, &mut attribute) < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(attribute.result)
}

/// Makes a descriptor by the system call `bpf`.
fn bpf<Attribute>(command: u32, mut attribute: Attribute) -> io::Result<OwnedFd> {
    descriptor(call(command, &mut attribute))
}

/// The system call `bpf`. Private, because an attribute has addresses: those that are made above are of slices that live until the
/// call has returned, with their own lengths.
fn call<Attribute>(command: u32, attribute: &mut Attribute) -> libc::c_long {
    #[expect(unsafe_code, reason = "neither rustix nor nix knows this system call")]
    // SAFETY: the kernel reads and writes as many bytes of `attribute` as it is told, which are its own, and reads what its
    // addresses point to, as said above.
    unsafe {
        libc::syscall(libc::SYS_bpf, command, &raw mut *attribute, size_of::<Attribute>())
    }
}

/// The descriptor that a system call returned, or its error.
pub(super) fn descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(result) {
        Ok(descriptor) if descriptor >= 0 => {
            #[expect(unsafe_code, reason = "the system call returns a number")]
            // SAFETY: the kernel has just made it for this call, so nobody else has it.
            Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

fn number(descriptor: BorrowedFd<'_>) -> u32 {
    u32::try_from(descriptor.as_raw_fd()).unwrap_or(u32::MAX)
}

fn count(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn attributes_are_laid_out_as_the_kernel_has_them() {
        assert_eq!(offset_of!(LoadAttribute, name), 48);
        assert_eq!(offset_of!(LoadAttribute, attach_kind), 68);
        assert_eq!(offset_of!(LoadAttribute, functions), 80);
        assert_eq!(size_of::<LoadAttribute>(), 96);
        assert_eq!(offset_of!(ManyAttribute, path), 16);
        assert_eq!(offset_of!(ManyAttribute, process), 56);
        assert_eq!(size_of::<ManyAttribute>(), 64);
        assert_eq!(size_of::<TypesAttribute>(), 32);
        assert_eq!(size_of::<EventAttribute>(), 24);
        assert_eq!(offset_of!(RunAttribute, context), 48);
        assert_eq!(size_of::<RunAttribute>(), 72);
    }
}
