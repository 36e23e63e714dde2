//! Asks the BPF side for what waits in its tables of young blocks.
//!
//! The program that does it is attached to nothing: the kernel runs it when it is asked to, in this thread, and has run it when
//! the call returns (`BPF_PROG_TEST_RUN` of a raw tracepoint program, Linux 5.10). aya would do that only for who holds all
//! programs, so the system call is made here.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::programs::Program;

use super::{ProbeError, Probes};

/// Name of the program.
const PROGRAM: &str = "sweep";

/// `BPF_PROG_TEST_RUN`, include/uapi/linux/bpf.h.
const RUN: u32 = 10;

/// Every incarnation.
const ALL: u64 = 0;

/// Bytes of the program's arguments: incarnation and time.
const ARGUMENT_BYTES: u32 = 16;

/// The part of `union bpf_attr` that runs a program, as of Linux 5.10.
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

const _: () = assert!(size_of::<RunAttribute>() == 72);

/// Runs the program.
#[derive(Debug)]
pub struct Sweeper(OwnedFd);

impl Probes {
    /// What asks for blocks that wait.
    ///
    /// # Errors
    /// When the program is not there, or there is no descriptor left.
    pub fn sweeper(&self) -> Result<Sweeper, ProbeError> {
        let Some(Program::RawTracePoint(program)) = self.ebpf.program(PROGRAM) else {
            return Err(ProbeError::Object {
                what: format!("program {PROGRAM}"),
            });
        };
        let fd = program.fd().map_err(|source| ProbeError::new(PROGRAM, source))?;
        let fd = fd.as_fd().try_clone_to_owned();
        fd.map(Sweeper).map_err(failed)
    }
}

impl Sweeper {
    /// Has all pairs sent, and the blocks that were allocated before a time, in nanoseconds of kernel time. `false` when the ring
    /// was full: the rest stays.
    ///
    /// # Errors
    /// When the kernel does not run the program.
    pub fn sweep(&self, before_ns: u64) -> Result<bool, ProbeError> {
        let arguments: [u64; 2] = [ALL, before_ns];
        let mut attribute = RunAttribute {
            program: u32::try_from(self.0.as_raw_fd()).unwrap_or(u32::MAX),
            context_size: [ARGUMENT_BYTES, 0],
            context: [arguments.as_ptr() as u64, 0],
            ..RunAttribute::default()
        };
        #[expect(unsafe_code, reason = "neither rustix nor nix knows this system call")]
        // SAFETY: the kernel reads as many bytes of `attribute` as it is told and writes its results there, which are its own; of
        // `arguments` it reads as many as `attribute` says.
        let result = unsafe { libc::syscall(libc::SYS_bpf, RUN, &raw mut attribute, size_of::<RunAttribute>()) };
        if result < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        Ok(attribute.result == 0)
    }
}

fn failed(source: io::Error) -> ProbeError {
    ProbeError::Kernel {
        doing: "ask the BPF side for the blocks that wait".into(),
        source: Box::new(source),
    }
}
