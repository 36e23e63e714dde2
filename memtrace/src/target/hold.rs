//! Holds a thread of somebody else's program for a moment, to read its registers and its stack.
//!
//! It is stopped by ptrace (`PTRACE_SEIZE`, `PTRACE_INTERRUPT`), without any of the options that change what becomes of it, and is let
//! go in every case: all is done in a thread of memtrace's own that ends afterwards, and the kernel takes the tracing of a thread that has
//! ended off its targets, however it ended (`exit_ptrace`, kernel/ptrace.c). That also lets go a target that could not be stopped.

use std::{
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
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
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
    /// The thread pointer (avma).
    pub thread: u64,
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
/// `is_same` says, once nobody else can get its number any more, whether it is the thread that is meant.
///
/// # Errors
/// Why it could not be held, or not for long enough; it goes on as before.
pub fn hold<T>(
    tid: u32,
    patience: Duration,
    is_same: impl Fn(u32) -> bool + Sync,
    look: impl FnOnce(Registers) -> T,
) -> Result<Held<T>, HoldError> {
    let mut look = Some(look);
    let mut held = hold_all(&[tid], patience, is_same, |_, registers| {
        look.take().map(|look| look(registers))
    });
    let held = held.pop().unwrap_or(Err(HoldError::Gone))?;
    Ok(Held {
        registers: held.registers,
        // It is looked at once.
        value: held.value.ok_or(HoldError::Gone)?,
        time: held.time,
    })
}

/// The same with several threads: all are asked to stop, each is looked at when it does, and let go at once. They share one `patience`,
/// so any number of threads that do not stop take no longer than one. The results are in the order of the numbers.
pub fn hold_all<T>(
    tids: &[u32],
    patience: Duration,
    is_same: impl Fn(u32) -> bool + Sync,
    mut look: impl FnMut(u32, Registers) -> T,
) -> Vec<Result<Held<T>, HoldError>> {
    let (stop, stopped) = mpsc::channel();
    let (tell, looked) = mpsc::channel();
    let holder = Holder {
        tids,
        patience,
        is_same: &is_same,
        stop,
        looked,
    };
    thread::scope(|scope| {
        let tracer = thread::Builder::new()
            .name("hold".into())
            .spawn_scoped(scope, move || holder.hold());
        let tracer = match tracer {
            Ok(tracer) => tracer,
            Err(error) => {
                return tids
                    .iter()
                    .map(|_| Err(HoldError::Thread(error.kind().into())))
                    .collect();
            }
        };
        let mut seen: Vec<Option<(Registers, T)>> = tids.iter().map(|_| None).collect();
        for (index, registers) in stopped {
            let tid = tids[index];
            seen[index] = Some((registers, look(tid, registers)));
            // It may have been let go already, and whoever held it be gone.
            let _told = tell.send(());
        }
        let times = tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let join = |(time, seen): (Result<Duration, HoldError>, Option<(Registers, T)>)| {
            let (time, (registers, value)) = (time?, seen.ok_or(HoldError::Gone)?);
            Ok(Held { registers, value, time })
        };
        times.into_iter().zip(seen).map(join).collect()
    })
}

/// The thread that traces, which is to end when it is done.
struct Holder<'h, S> {
    tids: &'h [u32],
    patience: Duration,
    is_same: &'h S,
    /// Who has stopped, as an index, with its registers.
    stop: Sender<(usize, Registers)>,
    /// Whether who looks is done with it.
    looked: Receiver<()>,
}

impl<S: Fn(u32) -> bool> Holder<'_, S> {
    /// For how long each was kept.
    fn hold(self) -> Vec<Result<Duration, HoldError>> {
        let asked: Vec<_> = self.tids.iter().map(|&tid| self.ask(tid)).collect();
        let deadline = Instant::now() + self.patience;
        let mut results: Vec<Option<Result<Duration, HoldError>>> = Vec::new();
        let mut pending = Vec::new();
        for (index, asked) in asked.into_iter().enumerate() {
            results.push(match asked {
                Ok(asked) => {
                    pending.push((index, asked));
                    None
                }
                Err(error) => Some(Err(error)),
            });
        }
        let mut is_late = false;
        for round in 0.. {
            let alone = pending.len() == 1;
            pending.retain(|&(index, asked)| {
                let Some(signal) = stopped(self.tids[index]).transpose() else {
                    return true;
                };
                if is_late {
                    return true;
                }
                // Nobody else waits for a thread that is the only one.
                let until = if alone {
                    Instant::now() + self.patience
                } else {
                    deadline
                };
                let result = signal.and_then(|signal| self.show(index, signal, until).map(|()| asked.elapsed()));
                is_late = matches!(result, Err(HoldError::Slow(_)));
                results[index] = Some(result);
                false
            });
            if pending.is_empty() || is_late || Instant::now() > deadline {
                break;
            }
            if round < ASKED_AT_ONCE {
                thread::yield_now();
            } else {
                thread::sleep(PAUSE);
            }
        }
        // The end of this thread lets go those that have not stopped, and any that has meanwhile.
        let unstoppable = |result: Option<_>| result.unwrap_or(Err(HoldError::Unstoppable(self.patience)));
        results.into_iter().map(unstoppable).collect()
    }

    /// Asks a thread to stop, if it is the one that is meant; when.
    fn ask(&self, tid: u32) -> Result<Instant, HoldError> {
        let pid = unistd::Pid::from_raw(tid.cast_signed());
        ptrace::seize(pid, Options::empty()).map_err(failed)?;
        // Its number cannot be given to another while it is traced.
        if !(self.is_same)(tid) {
            return Err(HoldError::Gone);
        }
        let asked = Instant::now();
        ptrace::interrupt(pid).map_err(failed)?;
        Ok(asked)
    }

    /// Has a thread that has stopped looked at, and lets it go.
    fn show(&self, index: usize, signal: i32, until: Instant) -> Result<(), HoldError> {
        let pid = unistd::Pid::from_raw(self.tids[index].cast_signed());
        let result = match ptrace::getregs(pid).map_err(failed) {
            Ok(registers) if registers.cs != USER_CS => Err(HoldError::ThirtyTwoBits),
            Ok(registers) => {
                let registers = Registers {
                    ip: registers.rip,
                    sp: registers.rsp,
                    bp: registers.rbp,
                    thread: registers.fs_base,
                };
                // Whoever looks waits for it.
                let _sent = self.stop.send((index, registers));
                let left = until.saturating_duration_since(Instant::now());
                match self.looked.recv_timeout(left) {
                    Err(RecvTimeoutError::Timeout) => Err(HoldError::Slow(self.patience)),
                    _ => Ok(()),
                }
            }
            Err(error) => Err(error),
        };
        detach(pid, signal);
        result
    }
}

const fn failed(error: Errno) -> HoldError {
    match error {
        Errno::ESRCH => HoldError::Gone,
        error => HoldError::Refused(error),
    }
}

/// Whether a thread has stopped: the signal that it was about to get, or 0; `None` when it has not yet.
fn stopped(tid: u32) -> Result<Option<i32>, HoldError> {
    let tid = Pid::from_raw(tid.cast_signed()).ok_or(HoldError::Gone)?;
    // NOWAIT: who takes note of a stop takes the signal from the thread as well, and gives it back only when it lets go. Should memtrace
    // be killed between the two, the signal would be lost.
    let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(tid), options) {
        Ok(Some(status)) => match status.trapping_signal() {
            Some(code) => Ok(Some(signal(code))),
            None => Err(HoldError::Gone),
        },
        Ok(None) | Err(rustix::io::Errno::INTR) => Ok(None),
        // It became the process's only thread under another number, by `exec`.
        Err(_) => Err(HoldError::Gone),
    }
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
        let held = hold(
            child.id(),
            patience,
            |_| true,
            |_| {
                let while_held = state();
                while state() != "0" {
                    thread::sleep(Duration::from_millis(1));
                }
                while_held
            },
        );
        assert!(matches!(held, Err(HoldError::Slow(_))), "{held:?}");
        let held = hold(child.id(), Duration::from_secs(10), |_| true, |_| state());
        assert_ne!(held.unwrap().value, "0");
        assert_eq!(state(), "0");
        // One that got the number meanwhile is not looked at, nor told of.
        let held = hold(
            child.id(),
            patience,
            |tid| tid != child.id(),
            |_| panic!("it is looked at"),
        );
        assert!(matches!(held, Err(HoldError::Gone)), "{held:?}");
        assert_eq!(state(), "0");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn several_are_held_at_once_and_each_is_told_of() {
        let children: Vec<_> = (0..3)
            .map(|_| std::process::Command::new("sleep").arg("60").spawn().unwrap())
            .collect();
        let tids: Vec<u32> = (children.iter().map(std::process::Child::id))
            .chain([u32::MAX >> 1])
            .collect();
        let other = tids[1];
        let held = hold_all(
            &tids,
            Duration::from_secs(10),
            |tid| tid != other,
            |tid, registers| (tid, registers),
        );
        assert_eq!(held.len(), tids.len());
        for (held, &tid) in held.iter().zip(&tids) {
            match held {
                Ok(held) => assert_eq!(held.value, (tid, held.registers)),
                Err(error) => assert!(
                    matches!(error, HoldError::Gone) && (tid == other || tid == tids[3]),
                    "{error}"
                ),
            }
        }
        assert_eq!(held.iter().filter(|held| held.is_ok()).count(), 2);
        for mut child in children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
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
        assert!(matches!(
            hold(u32::MAX >> 1, PAUSE, |_| true, |_| ()),
            Err(HoldError::Gone)
        ));
    }
}
