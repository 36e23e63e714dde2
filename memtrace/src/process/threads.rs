//! The threads of a process as `/proc` shows them: what each is called, and what it waits in.

use std::{fs, io};

/// What is known of a thread without touching it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Thread {
    /// Its number.
    pub tid: u32,
    /// Its name (`comm`); may hold anything.
    pub name: String,
    /// The letter of its state (proc(5)).
    pub state: char,
    /// How often it has been taken off a processor: it has run in between when this has grown.
    pub switches: u64,
    /// When it was started, in clock ticks after the machine was: with the number, who it is. 0 where it is not told.
    pub started: u64,
    /// Who traces it (ptrace), or 0.
    pub tracer: u32,
    /// The kernel function that it sleeps in, where that is told.
    pub wchan: Option<String>,
    /// Where it is.
    pub place: Place,
}

/// Where a thread is, as far as `/proc/PID/task/TID/syscall` tells.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Place {
    /// On a processor or about to be, or nothing is told.
    #[default]
    Running,
    /// Off the processors.
    Blocked {
        /// Number of the system call that it is in; `None` for a page fault, or where it was stopped.
        call: Option<u64>,
        /// Its stack pointer (avma).
        sp: u64,
        /// Its next instruction (avma).
        ip: u64,
    },
}

/// Numbers of the threads of a process, in ascending order.
///
/// # Errors
/// When the process is gone or may not be looked at.
pub fn threads(pid: u32) -> io::Result<Vec<u32>> {
    let mut tids = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        // One that ends while the directory is read is left out, or ends the reading.
        let Ok(entry) = entry else { break };
        tids.extend(entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    tids.sort_unstable();
    Ok(tids)
}

impl Thread {
    /// Looks at a thread of a process.
    ///
    /// # Errors
    /// When it is gone or may not be looked at.
    pub fn read(pid: u32, tid: u32) -> io::Result<Self> {
        let path = |file: &str| format!("/proc/{pid}/task/{tid}/{file}");
        // Before the counters: where it waits is of now or of earlier than they are, so equal counters later mean that it waits there still.
        let call = fs::read_to_string(path("syscall")).unwrap_or_default();
        // Names may be any bytes.
        let status = fs::read(path("status"))?;
        let status = String::from_utf8_lossy(&status);
        let number = |name: &str| field(&status, name).parse::<u64>().unwrap_or(0);
        let wchan = fs::read_to_string(path("wchan")).unwrap_or_default();
        Ok(Self {
            tid,
            name: field(&status, "Name").to_owned(),
            state: field(&status, "State").chars().next().unwrap_or('?'),
            switches: number("voluntary_ctxt_switches").wrapping_add(number("nonvoluntary_ctxt_switches")),
            started: started(pid, tid).unwrap_or(0),
            tracer: u32::try_from(number("TracerPid")).unwrap_or(0),
            // 0 where it runs, or where it is not told.
            wchan: Some(wchan.trim().to_owned()).filter(|name| !name.is_empty() && name != "0"),
            place: place(&call).unwrap_or_default(),
        })
    }

    /// Whether it has not run since `before`: its registers and its stack are the same then. A thread that runs is counted when it
    /// is taken off its processor again, so one that is off and counts no more than before was never on.
    pub fn has_rested_since(&self, before: &Self) -> bool {
        self.place != Place::Running
            && self.place == before.place
            && self.switches == before.switches
            && self.started == before.started
    }

    /// Whether it has ended.
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// When a thread was started, in clock ticks after the machine was; `None` when it is gone. A number is given anew when its thread has
/// ended, but not within a tick: numbers are counted up first (`alloc_pid`, kernel/pid.c).
pub fn started(pid: u32, tid: u32) -> Option<u64> {
    started_in(&fs::read(format!("/proc/{pid}/task/{tid}/stat")).ok()?)
}

/// Field 22 of `stat` (proc(5)). The second is the name in parentheses, and may hold anything, parentheses too.
fn started_in(stat: &[u8]) -> Option<u64> {
    let name = stat.iter().rposition(|&byte| byte == b')')?;
    let fields = str::from_utf8(stat.get(name + 1..)?).ok()?;
    fields.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

/// A line of `/proc/PID/status`, or of a thread's; empty where there is none. The kernel escapes newlines in names.
pub fn field<'status>(status: &'status str, name: &str) -> &'status str {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
        .unwrap_or_default()
}

/// `running`, `-1 SP PC`, or number and six arguments of a system call, `SP` and `PC` (`proc_pid_syscall`, fs/proc/base.c).
pub(super) fn place(text: &str) -> Option<Place> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (first, [.., sp, ip]) = (words.first()?, words.as_slice()) else {
        return None;
    };
    let address = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    Some(Place::Blocked {
        call: first.parse().ok(),
        sp: address(sp)?,
        ip: address(ip)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_for_what_does_not_run() {
        assert_eq!(place("running\n"), None);
        assert_eq!(place(""), None);
        let (sp, ip) = (0x7ff8, 0x22ad);
        assert_eq!(place("-1 0x7ff8 0x22ad\n"), Some(Place::Blocked { call: None, sp, ip }));
        assert_eq!(
            place("202 0x3 0x1 0x2 0x3 0x4 0x5 0x7ff8 0x22ad\n"),
            Some(Place::Blocked {
                call: Some(202),
                sp,
                ip
            })
        );
    }

    #[test]
    fn a_name_does_not_hide_when_a_thread_was_started() {
        let stat = b"7 (a) 1 2 (b\xff) S 1 7 7 0 -1 4194560 95 0 0 0 0 1 2 0 20 0 1 0 4711 99 5\n";
        assert_eq!(started_in(stat), Some(4711));
        assert_eq!(started_in(b"7 (a) S 1"), None);
        assert_eq!(started_in(b""), None);
        let own = std::process::id();
        assert!(started(own, own).is_some_and(|ticks| ticks > 0));
        assert_eq!(started(own, u32::MAX >> 1), None);
    }

    #[test]
    fn a_number_that_was_given_anew_is_another_thread() {
        let place = Place::Blocked {
            call: None,
            sp: 5,
            ip: 1,
        };
        let at = |started| Thread {
            started,
            place,
            ..Thread::default()
        };
        assert!(at(3).has_rested_since(&at(3)));
        assert!(!at(4).has_rested_since(&at(3)));
    }

    #[test]
    fn a_thread_that_has_run_is_not_taken_for_one_that_has_not() {
        let at = |switches, sp| Thread {
            switches,
            place: Place::Blocked { call: None, sp, ip: 1 },
            ..Thread::default()
        };
        assert!(at(3, 5).has_rested_since(&at(3, 5)));
        assert!(!at(4, 5).has_rested_since(&at(3, 5)));
        assert!(!at(3, 6).has_rested_since(&at(3, 5)));
        assert!(!Thread::default().has_rested_since(&Thread::default()));
    }

    #[test]
    fn threads_of_this_process() {
        let own = std::process::id();
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("rests".into()).spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned())
                .unwrap();
            let _ended = ended.recv();
        });
        let tid = told.recv().unwrap();
        assert!(threads(own).unwrap().contains(&tid));
        let rests = (0..1000).any(|_| {
            std::thread::yield_now();
            let before = Thread::read(own, tid).unwrap();
            assert_eq!(before.name, "rests");
            Thread::read(own, tid).unwrap().has_rested_since(&before)
        });
        assert!(rests);
        drop(end);
        thread.unwrap().join().unwrap();
    }
}
