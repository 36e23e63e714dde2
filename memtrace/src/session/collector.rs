//! From the ring to the ledger: the stage that runs all the time.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use memtrace_common::{
    event::{StackEnd, StackHead, flag, note},
    identity::Identity,
    state::{LostFree, LostKey},
};

use crate::{
    decode::{self, Event},
    ledger::{CallStack, Ledger, Limits},
    probe::{LostFrees, ProbeError, Ring},
    process::{AddressSpace, Location},
    store::Writer,
};

/// Records taken before others get a turn: about 10 ms of work.
const BATCH: usize = 32_768;

/// Bytes that the kernel puts before each record of the ring (`BPF_RINGBUF_HDR_SZ`, include/uapi/linux/bpf.h).
const RECORD_BYTES: u64 = 8;

/// Events applied at once.
const APPLIED_TOGETHER: usize = 256;

/// Least time between two readings of the target's mappings that unknown addresses ask for.
const REFRESH_PAUSE: Duration = Duration::from_millis(100);

/// Owns the ring, the ledger, and what is needed to place addresses.
pub(super) struct Collector {
    ring: Ring,
    /// Size of the ring in bytes.
    ring_bytes: u64,
    /// Bytes taken from the ring since the lost frees were taken, or everything it held then and more.
    caught_up: u64,
    lost: LostFrees,
    /// What the records amount to.
    pub(super) ledger: Ledger,
    /// The target's mappings.
    pub(super) space: AddressSpace,
    recording: Option<Writer>,
    refreshed: Instant,
    /// Records taken from the ring.
    pub(super) events: u64,
    /// Records that were not understood.
    pub(super) malformed: u64,
    /// The target replaced its program and nobody has looked at the new one yet.
    pub(super) executed: bool,
    /// It was not the main thread that did it.
    pub(super) executed_by_other: bool,
    /// Modules that stacks went through before their unwind table was there, for whoever makes tables.
    pub(super) wanted: Vec<u32>,
    /// Incarnation of the target.
    pub(super) incarnation: u32,
    /// Scratch for the frames of one stack.
    frames: Vec<u64>,
    /// Events that are decoded and not yet applied: together they wait less for memory.
    batch: Vec<Event<'static>>,
}

impl Collector {
    pub(super) fn new(
        ring: Ring,
        ring_bytes: u32,
        lost: LostFrees,
        space: AddressSpace,
        recording: Option<Writer>,
    ) -> Self {
        Self {
            ring,
            ring_bytes: ring_bytes.into(),
            caught_up: 0,
            lost,
            ledger: Ledger::new(Limits::default()),
            space,
            recording,
            refreshed: Instant::now(),
            events: 0,
            malformed: 0,
            executed: false,
            executed_by_other: false,
            wanted: Vec::new(),
            incarnation: 0,
            frames: Vec::new(),
            batch: Vec::with_capacity(APPLIED_TOGETHER),
        }
    }

    /// The ring, for whoever waits until it is readable.
    pub(super) const fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Tells where the program break is at the start.
    pub(super) fn seed_break(&mut self, pid: u32, incarnation: u32, address: u64) {
        if let Some(recording) = &mut self.recording {
            recording.program_break(pid, incarnation, address);
        }
        self.ledger.seed_break(pid, incarnation, address);
    }

    /// Takes a batch of records; `true` when there may be more.
    pub(super) fn drain(&mut self) -> bool {
        let more = self.take_batch();
        self.apply();
        more
    }

    fn apply(&mut self) {
        self.ledger.apply_all(&self.batch);
        self.batch.clear();
    }

    fn take_batch(&mut self) -> bool {
        for _ in 0..BATCH {
            let Some(record) = self.ring.next_record() else {
                self.caught_up = u64::MAX;
                return false;
            };
            self.events += 1;
            self.caught_up = self.caught_up.saturating_add(RECORD_BYTES + record.len() as u64);
            if let Some(recording) = &mut self.recording {
                recording.event(&record);
            }
            match decode::decode(&record) {
                Ok(Event::Stack(stack)) => {
                    let head = stack.head;
                    self.frames.clear();
                    self.frames.extend(stack.frames());
                    drop(record);
                    self.stack(&head);
                }
                Ok(event) => {
                    match &event {
                        Event::Exec(header) => {
                            self.executed = true;
                            self.executed_by_other |= header.flags & flag::OTHER_THREAD != 0;
                            self.incarnation = header.incarnation;
                            // The stacks that follow are not of the mappings that were read.
                            self.space.outdated();
                        }
                        Event::Map(map) if map.header.flags & flag::EXECUTABLE != 0 => self.space.outdated(),
                        _ => {}
                    }
                    self.batch.extend(event.detached());
                    drop(record);
                    if self.batch.len() == APPLIED_TOGETHER {
                        self.apply();
                    }
                }
                Err(error) => {
                    log::debug!("a record of {} bytes was not understood: {error}", record.len());
                    self.malformed += 1;
                }
            }
        }
        true
    }

    /// Places the frames of a new stack in the files they belong to, and keeps it.
    fn stack(&mut self, head: &StackHead) {
        let identity = Identity::of(head.header.incarnation, &self.frames, head.end, head.epoch);
        let mut locations = self.place();
        if locations.len() < self.frames.len() && self.refreshed.elapsed() >= REFRESH_PAUSE {
            // Perhaps a library that was loaded since; perhaps a frame pointer that was none.
            self.refresh();
            locations = self.place();
        }
        if head.notes & note::EARLY != 0
            && let Some(last) = locations.last()
        {
            self.wanted.push(last.module);
        }
        let stack = CallStack {
            whole: head.end == StackEnd::Start as u8
                && head.notes & note::SIGNAL == 0
                && locations.len() == self.frames.len(),
            locations: locations.into(),
        };
        if let Some(recording) = &mut self.recording {
            recording.stack(identity, &stack);
        }
        self.ledger.add_stack(head.id, identity.check, stack);
    }

    /// The locations of the current frames, up to the first address that is not in any mapping: beyond it the chain
    /// of frames cannot be right.
    fn place(&mut self) -> Vec<Location> {
        let mut locations = Vec::with_capacity(self.frames.len());
        for (depth, &frame) in self.frames.iter().enumerate() {
            // A return address is the instruction after the call, which may be another line or even function.
            let address = if depth == 0 { frame } else { frame.wrapping_sub(1) };
            match self.space.locate(address) {
                Some(location) => locations.push(location),
                None => break,
            }
        }
        locations
    }

    /// Reads the target's mappings again. A target that is gone keeps those it had.
    pub(super) fn refresh(&mut self) {
        self.refreshed = Instant::now();
        if let Err(error) = self.space.refresh() {
            log::debug!("the mappings of the target stay as they were: {error}");
        }
    }

    /// Applies frees that found the ring full before the last call, once all records that lay in the ring then were taken: the
    /// blocks' allocations are among them. Until then it does nothing.
    pub(super) fn apply_lost_frees(&mut self) -> Result<(), ProbeError> {
        if self.caught_up < self.ring_bytes {
            return Ok(());
        }
        self.caught_up = 0;
        for (key, free) in self.lost.take()? {
            self.lost_free(key, free);
        }
        Ok(())
    }

    fn lost_free(&mut self, key: LostKey, free: LostFree) {
        if let Some(recording) = &mut self.recording {
            recording.lost_free(key, free);
        }
        self.ledger.apply_lost_free(key, free);
    }

    /// Notes the live bytes of every site, for its history.
    pub(super) fn sample(&mut self, now_ns: u64) {
        if let Some(recording) = &mut self.recording {
            recording.sample(now_ns);
        }
        self.ledger.sample(now_ns);
    }

    /// The recording, to be finished by whoever made it.
    pub(super) fn take_recording(&mut self) -> Option<Writer> {
        self.recording.take()
    }

    /// Drains what is there and applies what was lost, after the target is no longer listened to.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        // Twice, once for each map; the pause lets programs that were running finish their writes.
        for _ in 0..2 {
            while self.drain() {}
            self.apply_lost_frees().context("failed to collect the last frees")?;
            std::thread::sleep(Duration::from_millis(2));
        }
        while self.drain() {}
        Ok(())
    }
}
