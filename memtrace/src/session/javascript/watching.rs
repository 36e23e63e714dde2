//! Watches the bytes that are drawn of what JavaScript takes for objects: a thread of its own, because a program that allocates fast has
//! taken them within a fraction of a millisecond.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use memtrace_common::v8_heap::draw::{AreaKey, Drawn};
use rustc_hash::FxHashMap;
use rustix::io::Errno;

use crate::{probe::Watchpoints, process::Memory};

/// How long it waits for something to be drawn until it looks whether it is to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// Pauses between two looks at areas that are not there yet: the longer they do not come, the longer.
const SHORTEST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// After this time without an area the thread rests, and what it takes then is left to the next draw.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Memories of processes that are kept open at most.
const MOST_MEMORIES: usize = 64;

/// The thread, seen from elsewhere. It ends when this is dropped, and all watchpoints with it.
pub(in crate::session) struct Watching {
    over: Arc<AtomicBool>,
    problem: Arc<Mutex<Option<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watching {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(in crate::session) fn start(watchpoints: Watchpoints) -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let problem = Arc::new(Mutex::new(None));
        let worker = Worker {
            watchpoints,
            waiting: FxHashMap::default(),
            memories: FxHashMap::default(),
            problem: Arc::clone(&problem),
        };
        let is_over = Arc::clone(&over);
        let thread = std::thread::Builder::new()
            .name("watchpoints".to_owned())
            .spawn(move || worker.run(&is_over))?;
        Ok(Self {
            over,
            problem,
            thread: Some(thread),
        })
    }

    /// Why some bytes were not watched, if that was so.
    pub(in crate::session) fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the thread that sets watchpoints has ended by an internal error");
        }
    }
}

/// What an allocation area is at a moment (`LinearAllocationArea`, src/heap/linear-allocation-area.h; addresses are avma).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Area {
    begin: u64,
    free: u64,
    end: u64,
}

/// What comes of a byte that was drawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// The area is not there yet.
    NotYet,
    /// The area ends before it.
    Beyond,
    /// It was taken already.
    Late,
    /// It is to come, at this address.
    Ahead(u64),
}

/// Where a byte is that was drawn.
const fn place(drawn: &Drawn, area: Area) -> Outcome {
    // None is made of zeros, as between two of them.
    if area.begin == 0 || area.begin == drawn.begin {
        return Outcome::NotYet;
    }
    let address = area.begin.wrapping_add(drawn.offset) & !7;
    if address >= area.end {
        Outcome::Beyond
    } else if address < area.free {
        Outcome::Late
    } else {
        Outcome::Ahead(address)
    }
}

struct Worker {
    watchpoints: Watchpoints,
    /// What was drawn of areas that are not there yet, and since when.
    waiting: FxHashMap<AreaKey, (Drawn, Instant)>,
    /// By process and incarnation.
    memories: FxHashMap<(u32, u32), Memory>,
    problem: Arc<Mutex<Option<String>>>,
}

impl Worker {
    fn run(mut self, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let pause = self.pause();
            if let Err(error) = self.watchpoints.wait(pause) {
                self.tell(&format!("waiting for the next failed: {error}"));
                return;
            }
            while let Some(drawn) = self.watchpoints.next_drawn() {
                // In the place of one of an area that has ended meanwhile.
                self.waiting.insert(drawn.key, (drawn, Instant::now()));
            }
            let mut waiting = std::mem::take(&mut self.waiting);
            waiting.retain(|_, (drawn, since)| self.is_to_come(drawn) && since.elapsed() < LONGEST_WAIT);
            self.waiting = waiting;
        }
    }

    /// Until when the next look at what waits can wait.
    fn pause(&self) -> Duration {
        let youngest = self.waiting.values().map(|(_, since)| since.elapsed()).min();
        youngest.map_or(PATIENCE, |age| (age / 8).clamp(SHORTEST_PAUSE, LONGEST_PAUSE))
    }

    /// Watches what was drawn; `true` when its area is not there yet.
    fn is_to_come(&mut self, drawn: &Drawn) -> bool {
        match self.area(drawn).map(|area| place(drawn, area)) {
            Some(Outcome::NotYet) => return true,
            Some(Outcome::Ahead(address)) => {
                if let Err(error) = self.watch(drawn, address) {
                    self.not_set(&error);
                }
            }
            Some(Outcome::Beyond | Outcome::Late) | None => {}
        }
        false
    }

    fn watch(&mut self, drawn: &Drawn, address: u64) -> io::Result<()> {
        self.watchpoints.set(drawn, address)?;
        let is_ahead = (self.area(drawn)).is_some_and(|area| place(drawn, area) == Outcome::Ahead(address));
        if is_ahead {
            self.watchpoints.confirm(drawn, address)?;
        }
        Ok(())
    }

    /// The area, or `None` when the process is gone.
    fn area(&mut self, drawn: &Drawn) -> Option<Area> {
        let program = (drawn.pid, drawn.key.incarnation);
        if self.memories.len() >= MOST_MEMORIES && !self.memories.contains_key(&program) {
            self.memories.clear();
        }
        let memory = match self.memories.entry(program) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(Memory::open(drawn.pid).ok()?),
        };
        let mut bytes = [[0; 8]; 3];
        if !memory.fill(drawn.key.area, bytes.as_flattened_mut()) {
            self.memories.remove(&program);
            return None;
        }
        let [begin, free, end] = bytes.map(u64::from_le_bytes);
        Some(Area { begin, free, end })
    }

    fn not_set(&self, error: &io::Error) {
        let why = match Errno::from_io_error(error) {
            // The thread has ended.
            Some(Errno::SRCH) => return,
            Some(Errno::NOSPC) => {
                "the debug registers of its thread are taken: by a debugger, or another tracer".to_owned()
            }
            Some(Errno::OPNOTSUPP | Errno::NOENT | Errno::NODEV) => {
                "this machine has no debug registers, or lets nobody use them".to_owned()
            }
            Some(Errno::ACCESS | Errno::PERM) => {
                "that is not permitted: it takes root or CAP_PERFMON, or a lower kernel.perf_event_paranoid".to_owned()
            }
            _ => error.to_string(),
        };
        self.tell(&why);
    }

    fn tell(&self, why: &str) {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.get_or_insert_with(|| {
            format!("--javascript-sites: some bytes that were to be sampled could not be watched: {why}")
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_watched_while_it_is_to_come() {
        let drawn = |offset| Drawn {
            key: AreaKey {
                area: 0x10,
                incarnation: 1,
                tid: 2,
            },
            pid: 2,
            space: 1,
            turn: 3,
            begin: 0x4_0000,
            offset,
            weight: 1 << 19,
        };
        let area = |begin, free, end| Area { begin, free, end };
        let place = |offset, area| place(&drawn(offset), area);
        assert_eq!(
            place(0x13, area(0x8_0000, 0x8_0010, 0x8_1000)),
            Outcome::Ahead(0x8_0010)
        );
        assert_eq!(place(0x0f, area(0x8_0000, 0x8_0010, 0x8_1000)), Outcome::Late);
        assert_eq!(
            place(0xfff, area(0x8_0000, 0x8_0010, 0x8_1000)),
            Outcome::Ahead(0x8_0ff8)
        );
        assert_eq!(place(0x1000, area(0x8_0000, 0x8_0010, 0x8_1000)), Outcome::Beyond);
        assert_eq!(
            place(0, area(0x4_0000, 0x5_0000, 0x6_0000)),
            Outcome::NotYet,
            "the one that has ended"
        );
        assert_eq!(place(0, area(0, 0, 0)), Outcome::NotYet, "none");
    }
}
