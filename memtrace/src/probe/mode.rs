//! What the programs do, changed while they run.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    thread,
    time::Duration,
};

use aya::{
    maps::{Array, Map, MapData},
    programs::Program,
};
use memtrace_common::{
    sampling::{KNOWN_ROW_BYTES, KNOWN_ROWS},
    state::{
        CLOSED, Mode,
        known::{ASK_FIRST, ASK_SECOND, ENTER_FIRST, ENTER_SECOND},
    },
};
use rustix::thread::{MembarrierCommand, membarrier};

use super::{ProbeError, Probes, sys};

/// Name of the program that enters addresses.
const PROGRAM: &str = "know";

/// Addresses that it takes at once. The kernel hands over twelve words at most (`MAX_BPF_FUNC_ARGS`).
const NAMED: usize = 10;

/// A value of the filter's map.
type Row = [u64; KNOWN_ROW_BYTES / 8];

/// Sets what the programs do.
pub struct Modes {
    mode: Array<MapData, Mode>,
    known: Array<MapData, Row>,
    know: OwnedFd,
    current: Mode,
}

impl Probes {
    /// What sets what the programs do; can be taken once.
    ///
    /// # Errors
    /// When it was taken before, or there is no descriptor left.
    pub fn modes(&mut self) -> Result<Modes, ProbeError> {
        let opened = |source| ProbeError::map("open the map of modes", source);
        let [mode, known] = [self.map("MODE")?, self.map("KNOWN")?];
        let mut modes = Modes::new(self.asked(PROGRAM)?, mode, known).map_err(opened)?;
        modes.set()?;
        Ok(modes)
    }

    /// A program that runs when it is asked to.
    pub(super) fn asked(&self, name: &str) -> Result<OwnedFd, ProbeError> {
        let Some(Program::RawTracePoint(program)) = self.ebpf.program(name) else {
            return Err(ProbeError::Object {
                what: format!("program {name}"),
            });
        };
        let fd = program.fd().map_err(|source| ProbeError::new(name, source))?;
        let fd = fd.as_fd().try_clone_to_owned();
        fd.map_err(|source| ProbeError::kernel("keep a program", source))
    }
}

impl Modes {
    fn new(know: OwnedFd, mode: Map, known: Map) -> Result<Self, aya::maps::MapError> {
        Ok(Self {
            mode: Array::try_from(mode)?,
            known: Array::try_from(known)?,
            know,
            current: Mode::ALL,
        })
    }

    /// Stops listening: one store, so that no free can be missed that follows an allocation seen.
    pub fn end(&mut self) {
        self.current.over = 1;
        if let Err(error) = self.set() {
            log::warn!("the BPF side was not told of the end: {error}");
        }
    }

    /// Whether frees are passed over of blocks that are not in the sample.
    pub const fn asks(&self) -> bool {
        self.current.known & (ASK_FIRST | ASK_SECOND) != 0
    }

    /// The sampling interval in bytes, and for how many each allocation stands that is taken.
    pub const fn opening(&self) -> (u64, u32) {
        (self.current.interval, self.current.times)
    }

    /// From now on every allocation is taken, and every free sent.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn take_all(&mut self) -> Result<(), ProbeError> {
        self.current.interval = 0;
        self.current.times = 1;
        self.current.known = 0;
        self.set()
    }

    /// Begins to fill a new filter: when this returns, what programs allocate is entered, and whatever they allocated before is
    /// in the ring, or waits to be swept. Next, [`Modes::know`] must be told of all blocks that are known.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn prepare(&mut self) -> Result<(), ProbeError> {
        const NOTHING: Row = [0; KNOWN_ROW_BYTES / 8];
        let first = self.current.known & ASK_FIRST == 0;
        let rows = if first {
            0..KNOWN_ROWS
        } else {
            KNOWN_ROWS..2 * KNOWN_ROWS
        };
        for row in rows {
            self.known
                .set(row, NOTHING, 0)
                .map_err(|source| ProbeError::map("clear the filter of addresses", source))?;
        }
        self.current.known |= if first { ENTER_FIRST } else { ENTER_SECOND };
        self.set()?;
        // Those that have read the mode before.
        wait_for_programs();
        Ok(())
    }

    /// Enters the addresses of blocks (avma) into the new filter.
    ///
    /// # Errors
    /// When the kernel does not run the program.
    pub fn know(&self, addresses: impl Iterator<Item = u64>) -> Result<(), ProbeError> {
        let mut named = [0; NAMED];
        let mut count = 0;
        let tell = |named: &[u64; NAMED]| {
            sys::run(self.know.as_fd(), named)
                .map_err(|source| ProbeError::kernel("name the blocks that are known", source))
        };
        for address in addresses {
            named[count] = address;
            count += 1;
            if count == NAMED {
                tell(&named)?;
                (named, count) = ([0; NAMED], 0);
            }
        }
        tell(&named).map(drop)
    }

    /// From now on the new filter is asked.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn ask(&mut self) -> Result<(), ProbeError> {
        let second = self.current.known & ENTER_SECOND != 0 && self.current.known & ASK_SECOND == 0;
        self.current.known = if second {
            ENTER_SECOND | ASK_SECOND
        } else {
            ENTER_FIRST | ASK_FIRST
        };
        self.set()
    }

    /// From now on allocations are drawn with this interval in bytes, a power of two, and each stands for `times` as many.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn open(&mut self, interval: u64, times: u32) -> Result<(), ProbeError> {
        if (interval, times) == self.opening() {
            return Ok(());
        }
        if times != self.current.times && self.current.interval != CLOSED && self.current.interval != 0 {
            // Never the one with the other's.
            self.current.interval = CLOSED;
            self.set()?;
        }
        self.current.times = times;
        if self.current.interval == CLOSED {
            // What began while probes were being put on is of no window.
            self.current.window = self.current.window.wrapping_add(2);
        }
        self.set()?;
        self.current.interval = interval;
        self.set()
    }

    /// From now on no allocation is taken. Calls in flight that only take memory are not seen to end; nor, if `all`, those that may
    /// give memory back.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn close(&mut self, all: bool) -> Result<(), ProbeError> {
        // In this order: a call that was taken has read the window before.
        self.current.interval = CLOSED;
        self.current.any = 1;
        self.set()?;
        self.current.window = self.current.window.wrapping_add(2);
        if all {
            self.current.era = self.current.era.wrapping_add(2);
        }
        self.set()
    }

    /// Calls in flight that only take memory are not seen to end.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn give_up_calls(&mut self) -> Result<(), ProbeError> {
        self.current.window = self.current.window.wrapping_add(2);
        self.set()
    }

    fn set(&mut self) -> Result<(), ProbeError> {
        self.mode
            .set(0, self.current, 0)
            .map_err(|source| ProbeError::map("set what the programs do", source))
    }
}

/// Where the kernel cannot be asked to wait, longer than a program is kept from its processor.
const LONG: Duration = Duration::from_millis(100);

/// Waits until programs that run now are through: they run inside read-side sections, and this is `synchronize_rcu`
/// (kernel/sched/membarrier.c).
pub fn wait_for_programs() {
    if let Err(error) = membarrier(MembarrierCommand::Global) {
        log::debug!("running programs are given {} ms: {error}", LONG.as_millis());
        thread::sleep(LONG);
    }
}
