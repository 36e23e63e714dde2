//! Watchpoints: hardware breakpoints on data of one thread, each on the byte that was drawn last of what the thread takes for JavaScript
//! objects.
//!
//! aya opens such events, but keeps no descriptor of them by which they could be moved, so they are opened here. Their descriptors are all
//! that there is of them: the kernel takes them off when this process ends.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    time::Duration,
};

use aya::{
    maps::{HashMap, MapData, RingBuf},
    programs::{Program, ProgramError},
};
use memtrace_common::v8_heap::draw::{AreaKey, Drawn, Watch};
use rustc_hash::FxHashMap;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{ProbeError, Probes, sys};

/// The program that runs when one is hit.
const PROGRAM: &str = "js_sampled";

/// Watchpoints of a thread at most: x86 has four (Intel SDM volume 3, 19.2), and one is left to debuggers.
const MOST_OF_THREAD: usize = 3;

/// Watchpoints at most: as many descriptors as that, and links.
const MOST: usize = 192;

/// Bytes that are watched: a word, the most that there is.
const WATCHED_BYTES: u64 = 8;

/// `PERF_TYPE_BREAKPOINT`, `HW_BREAKPOINT_W` (`include/uapi/linux/perf_event.h`, `hw_breakpoint.h`).
const BREAKPOINT: u64 = 5;
const WRITES: u64 = 2;

/// Bits of `struct perf_event_attr`: `disabled`; `exclude_kernel` and `exclude_hv`.
const DISABLED: u64 = 1;
const USER_ONLY: u64 = 1 << 5 | 1 << 6;

/// Length of that structure as far as it has the address and the length of a breakpoint (`PERF_ATTR_SIZE_VER1`), in words and in bytes.
const ATTRIBUTE_WORDS: usize = 9;
const ATTRIBUTE_BYTES: u64 = 8 * ATTRIBUTE_WORDS as u64;

/// `PERF_FLAG_FD_CLOEXEC`
const CLOSE_ON_EXEC: u64 = 8;

/// `PERF_EVENT_IOC_REFRESH`: it is on for so many hits.
const REFRESH: u64 = 0x2402;

/// Sets watchpoints on what is drawn.
pub struct Watchpoints {
    program: OwnedFd,
    drawn: RingBuf<MapData>,
    watches: HashMap<MapData, AreaKey, Watch>,
    events: FxHashMap<AreaKey, Event>,
    /// How often one was set.
    clock: u64,
}

/// One of them. It is made anew for each address: one that has been hit, as often as it may be, cannot be set on anything any more on Linux
/// 6.18, which takes the order to do so and leaves it off.
struct Event {
    #[expect(dead_code, reason = "it is held, not used")]
    link: OwnedFd,
    #[expect(dead_code, reason = "it is held, not used")]
    breakpoint: OwnedFd,
    /// [`Watchpoints::clock`] when it was set.
    set: u64,
}

impl Probes {
    /// What sets watchpoints; can be taken once. Loads the program that they run.
    ///
    /// # Errors
    /// A kernel that refuses the program: those before 6.1 do not let it use maps that grow.
    pub fn watchpoints(&mut self) -> Result<Watchpoints, ProbeError> {
        let missing = || ProbeError::Object {
            what: format!("program {PROGRAM}"),
        };
        let program = match self.ebpf.program_mut(PROGRAM).ok_or_else(missing)? {
            Program::PerfEvent(program) => {
                program.load().map_err(|source| ProbeError::new(PROGRAM, source))?;
                let descriptor = program.fd().map_err(|source| ProbeError::new(PROGRAM, source))?;
                let copy = descriptor.as_fd().try_clone_to_owned();
                copy.map_err(|source| ProbeError::kernel("duplicate a descriptor", source))?
            }
            _ => return Err(ProbeError::new(PROGRAM, ProgramError::UnexpectedProgramType)),
        };
        let failed = |source| ProbeError::map("open the maps of watchpoints", source);
        Ok(Watchpoints {
            program,
            drawn: RingBuf::try_from(self.map("DRAWN")?).map_err(failed)?,
            watches: HashMap::try_from(self.map("WATCHES")?).map_err(failed)?,
            events: FxHashMap::default(),
            clock: 0,
        })
    }
}

impl Watchpoints {
    /// Waits until something is drawn, or so long.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.drawn, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What was drawn next, or `None` when nothing waits.
    pub fn next_drawn(&mut self) -> Option<Drawn> {
        let record = self.drawn.next()?;
        bytemuck::try_pod_read_unaligned(&record).ok()
    }

    /// Watches the word at an address (avma) in the place of what was watched in the same area, until it is written to once. Then
    /// [`Self::confirm`] is to be called, where the word is not taken yet.
    ///
    /// # Errors
    /// What the kernel says: `ENOSPC` when the thread's debug registers are taken, `ESRCH` when it is gone.
    pub fn set(&mut self, drawn: &Drawn, address: u64) -> io::Result<()> {
        // First, because it may be hit at once.
        self.note(drawn, address, false)?;
        self.clock += 1;
        // It may have the register that the next one needs.
        self.events.remove(&drawn.key);
        self.make_room(drawn.key);
        let event = Event::open(self.program.as_fd(), drawn.key, address, self.clock)?;
        self.events.insert(drawn.key, event);
        Ok(())
    }

    /// Says of a watchpoint that was just set that its word was not taken yet by then: if it is not hit, nobody writes there.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn confirm(&mut self, drawn: &Drawn, address: u64) -> io::Result<()> {
        self.note(drawn, address, true)
    }

    fn note(&mut self, drawn: &Drawn, address: u64, is_ahead: bool) -> io::Result<()> {
        let watch = Watch {
            turn: drawn.turn,
            address,
            weight: drawn.weight,
            is_ahead: is_ahead.into(),
            space: drawn.space,
        };
        self.watches.insert(drawn.key, watch, 0).map_err(io::Error::other)
    }

    /// Takes away what was not set for the longest time, where there are as many as there may be.
    fn make_room(&mut self, key: AreaKey) {
        let is_of_thread = |other: &AreaKey| (other.incarnation, other.tid) == (key.incarnation, key.tid);
        let of_thread = self.events.keys().filter(|other| is_of_thread(other)).count();
        let full = of_thread >= MOST_OF_THREAD;
        if !full && self.events.len() < MOST {
            return;
        }
        let among = self.events.iter().filter(|(other, _)| !full || is_of_thread(other));
        let oldest = among.min_by_key(|(_, event)| event.set).map(|(&key, _)| key);
        if let Some(oldest) = oldest {
            self.events.remove(&oldest);
            // What is not watched cannot be said to be unwritten. The kernel may have dropped it before.
            let _gone = self.watches.remove(&oldest);
        }
    }
}

impl Event {
    /// Opens one, for one hit.
    fn open(program: BorrowedFd<'_>, key: AreaKey, address: u64, set: u64) -> io::Result<Self> {
        let attribute = attribute(address);
        let thread = i32::try_from(key.tid).map_err(io::Error::other)?;
        #[expect(unsafe_code, reason = "neither rustix nor nix knows this system call")]
        // SAFETY: the kernel reads as many bytes of `attribute` as its second half-word says, which are its own.
        let result = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                attribute.as_ptr(),
                thread,
                -1,
                -1,
                CLOSE_ON_EXEC,
            )
        };
        let event = sys::descriptor(result)?;
        let link = sys::link_event(program, event.as_fd(), key.area)?;
        #[expect(unsafe_code, reason = "neither rustix nor nix knows this request")]
        // SAFETY: the descriptor is open, and the request takes a number.
        let result = unsafe { libc::ioctl(event.as_raw_fd(), REFRESH, 1) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            link,
            breakpoint: event,
            set,
        })
    }
}

/// `struct perf_event_attr`, in words: kind and length, -, period, -, -, flags, kind of access, address, length.
const fn attribute(address: u64) -> [u64; ATTRIBUTE_WORDS] {
    [
        BREAKPOINT | ATTRIBUTE_BYTES << 32,
        0,
        1,
        0,
        0,
        DISABLED | USER_ONLY,
        WRITES << 32,
        address,
        WATCHED_BYTES,
    ]
}
