//! Holds a thread of somebody else's program for a moment, to read its registers and its stack.
//!
//! It is stopped by ptrace (`PTRACE_SEIZE`, `PTRACE_INTERRUPT`), without any of the options that change what becomes of it, and is let
//! go in every case: all is done in a thread of memtrace's own that ends afterwards, and the kernel takes the tracing of a thread that has
//! ended off its targets, however it ended (`exit_ptrace`, kernel/ptrace.c). That also lets go a target that could not be stopped.

use std::{
    convert::Infallible,
    io,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::ptrace::{self, Options},
    unistd,
};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};
use thiserror::Error;

/// The registers of a thread that is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Registers {
    /// The next instruction (avma).
    pub ip: u64,
    /// The stack pointer (avma).
    pub sp: u64,
    /// The frame pointer, or whatever the code keeps there.
    pub bp: u64,
}

/// What came of holding a thread.
#[derive(Debug)]
pub struct Held<T> {
    /// Its registers.
    pub registers: Registers,
    /// What was made of it meanwhile.
    pub value: T,
    /// How long it was kept from running, at most: from the request to stop to the return of the one that lets it go.
    pub time: Duration,
}

/// Why a thread could not be held.
#[derive(Debug, Error)]
pub enum HoldError {
    /// It has ended.
    #[error("it has ended")]
    Gone,
    /// The kernel does not allow it.
    #[error("it cannot be stopped: {0}")]
    Refused(Errno),
    /// It does not come to a stop.
    #[error("it did not come to a stop within {} ms", .0.as_millis())]
    Unstoppable(Duration),
    /// It was let go before its memory had been read.
    #[error("its memory could not be read within {} ms, so it was let go", .0.as_millis())]
    Slow(Duration),
    /// It executes 32-bit code.
    #[error("it executes 32-bit code, whose stacks are not supported")]
    ThirtyTwoBits,
    /// memtrace could not make a thread.
    #[error("failed to start a thread to hold it with: {0}")]
    Thread(io::Error),
}

/// How often a thread is asked whether it has stopped before memtrace sleeps in between: mostly it stops within microseconds.
const ASKED_AT_ONCE: u32 = 200;

/// How long it sleeps in between.
const PAUSE: Duration = Duration::from_micros(100);

/// The code segment of 64-bit programs (`__USER_CS`, arch/x86/include/asm/segment.h).
const USER_CS: u64 = 0x33;

/// Says of a stop that it is none of a signal's (`PTRACE_EVENT_STOP`, include/uapi/linux/ptrace.h).
const EVENT_STOP: i32 = 128;

/// Holds a thread, has `look` look at it, and lets it go. Waits for its stop no longer than `patience`, and keeps it no longer than
/// that, however long looking takes: reading its memory may wait for a lock or a page that the thread itself is to provide.
///
/// # Errors
/// Why it could not be held, or not for long enough; it goes on as before.
pub fn hold<T>(tid: u32, patience: Duration, look: impl FnOnce(Registers) -> T) -> Result<Held<T>, HoldError> {
    let (stopped, registers) = mpsc::channel();
    let (looking, looked) = mpsc::channel();
    let tracer = thread::Builder::new()
        .name("hold".into())
        .spawn(move || hold_here(tid, patience, &stopped, &looked))
        .map_err(HoldError::Thread)?;
    let found = registers.recv().ok().map(|registers| (registers, look(registers)));
    drop(looking);
    let time = tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    // It sends the registers of what it has held.
    let (registers, value) = found.ok_or(HoldError::Gone)?;
    Ok(Held { registers, value, time })
}

/// Holds a thread in this one, which is to end afterwards, until whoever looks has hung up; for how long it was kept.
fn hold_here(
    tid: u32,
    patience: Duration,
    stop: &Sender<Registers>,
    looked: &Receiver<Infallible>,
) -> Result<Duration, HoldError> {
    let pid = unistd::Pid::from_raw(tid.cast_signed());
    let failed = |error| match error {
        Errno::ESRCH => HoldError::Gone,
        error => HoldError::Refused(error),
    };
    ptrace::seize(pid, Options::empty()).map_err(failed)?;
    let asked = Instant::now();
    ptrace::interrupt(pid).map_err(failed)?;
    let signal = stopped(tid, asked + patience)?.ok_or(HoldError::Unstoppable(patience))?;
    let result = match ptrace::getregs(pid).map_err(failed) {
        Ok(registers) if registers.cs != USER_CS => Err(HoldError::ThirtyTwoBits),
        Ok(registers) => {
            let registers = Registers {
                ip: registers.rip,
                sp: registers.rsp,
                bp: registers.rbp,
            };
            // Whoever looks waits for it.
            let _sent = stop.send(registers);
            match looked.recv_timeout(patience) {
                Err(RecvTimeoutError::Timeout) => Err(HoldError::Slow(patience)),
                _ => Ok(()),
            }
        }
        Err(error) => Err(error),
    };
    detach(pid, signal);
    result.map(|()| asked.elapsed())
}

/// Waits until a thread stops; the signal that it was about to get, or 0. `None` when it does not until then.
fn stopped(tid: u32, until: Instant) -> Result<Option<i32>, HoldError> {
    let tid = Pid::from_raw(tid.cast_signed()).ok_or(HoldError::Gone)?;
    // NOWAIT: who takes note of a stop takes the signal from the thread as well, and gives it back only when it lets go. Should memtrace
    // be killed between the two, the signal would be lost.
    let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    for asked in 0.. {
        match waitid(WaitId::Pid(tid), options) {
            Ok(Some(status)) => {
                return status
                    .trapping_signal()
                    .map_or_else(|| ended(status), |code| Ok(Some(signal(code))));
            }
            Ok(None) => {}
            Err(rustix::io::Errno::INTR) => continue,
            // It became the process's only thread under another number, by `exec`.
            Err(_) => return Err(HoldError::Gone),
        }
        if Instant::now() > until {
            break;
        }
        if asked < ASKED_AT_ONCE {
            thread::yield_now();
        } else {
            thread::sleep(PAUSE);
        }
    }
    Ok(None)
}

const fn ended(_status: WaitIdStatus) -> Result<Option<i32>, HoldError> {
    Err(HoldError::Gone)
}

/// The signal of a stop, or 0 where it stopped for another reason: because it was asked to, or with its process (`SIGSTOP`), which
/// it does again when it is let go.
const fn signal(code: i32) -> i32 {
    if code >> 8 == EVENT_STOP { 0 } else { code & 0x7f }
}

/// Lets a stopped thread go, with the signal that it was about to get. nix has no numbers for the signals of real-time programs, nor for
/// the two by which glibc cancels threads and changes their user.
fn detach(tid: unistd::Pid, signal: i32) {
    let signal = libc::c_long::from(signal);
    #[expect(unsafe_code, reason = "no wrapper takes every signal")]
    // SAFETY: `PTRACE_DETACH` takes no pointers: the third argument is ignored, the fourth is a number.
    let result = unsafe { libc::ptrace(libc::PTRACE_DETACH, tid.as_raw(), 0_usize, signal) };
    if result != 0 {
        // Killed meanwhile. If it were anything else, the end of this thread lets it go.
        log::debug!("thread {tid} was not let go: {}", io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_let_go_by_who_holds_it_however_long_looking_takes() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let state = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
            line.unwrap().trim().to_owned()
        };
        let patience = Duration::from_millis(50);
        let held = hold(child.id(), patience, |_| {
            let while_held = state();
            while state() != "0" {
                thread::sleep(Duration::from_millis(1));
            }
            while_held
        });
        assert!(matches!(held, Err(HoldError::Slow(_))), "{held:?}");
        let held = hold(child.id(), Duration::from_secs(10), |_| state());
        assert_ne!(held.unwrap().value, "0");
        assert_eq!(state(), "0");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn stops_give_back_the_signals_they_kept() {
        assert_eq!(signal(EVENT_STOP << 8 | libc::SIGTRAP), 0);
        assert_eq!(signal(EVENT_STOP << 8 | libc::SIGSTOP), 0);
        assert_eq!(signal(libc::SIGUSR1), libc::SIGUSR1);
        // The second of those that glibc keeps for itself, and the last.
        assert_eq!((signal(33), signal(64)), (33, 64));
    }

    #[test]
    fn a_thread_that_is_not_there_is_gone() {
        assert!(matches!(hold(u32::MAX >> 1, PAUSE, |_| ()), Err(HoldError::Gone)));
    }
}
