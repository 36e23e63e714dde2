//! Who is traced, as the BPF side knows it.

use aya::maps::{Array, HashMap, Map, MapData};
use memtrace_common::state::{COLLECTORS_INCARNATIONS, Process, hooked};

use super::ProbeError;

/// Tells whose hooks are on.
pub struct Hooked(HashMap<MapData, u32, u32>);

impl Hooked {
    pub(super) fn new(map: Map) -> Result<Self, ProbeError> {
        let map = HashMap::try_from(map).map_err(|source| ProbeError::map("open the map of hooks", source))?;
        Ok(Self(map))
    }

    /// The hooks of a program are on, for all processes that have its files or for it alone. Without room for it, what it maps
    /// itself is not seen.
    pub fn set(&mut self, incarnation: u32, everywhere: bool) {
        let bits = hooked::YES | if everywhere { hooked::EVERYWHERE } else { 0 };
        if let Err(error) = self.0.insert(incarnation, bits, 0) {
            log::debug!("mappings of one more program are not seen: {error}");
        }
    }

    /// A program is gone.
    pub fn forget(&mut self, incarnation: u32) {
        let _none = self.0.remove(&incarnation);
    }
}

/// Adds processes.
pub struct Members {
    processes: HashMap<MapData, u32, Process>,
    last: Array<MapData, u32>,
    /// The number that was given out last.
    given: u32,
}

impl Members {
    pub(super) fn new([processes, last]: [Map; 2]) -> Result<Self, ProbeError> {
        let failed = |source| ProbeError::map("open the map of processes", source);
        Ok(Self {
            processes: HashMap::try_from(processes).map_err(failed)?,
            last: Array::try_from(last).map_err(failed)?,
            given: 0,
        })
    }

    /// Starts to listen to a process, and returns its incarnation. Before any program is attached the numbers are those from
    /// which the BPF side goes on to count.
    ///
    /// # Errors
    /// When the kernel does not take the entry.
    pub fn trace(&mut self, pid: u32) -> Result<u32, ProbeError> {
        let incarnation = self.given + 1;
        self.given = incarnation;
        if incarnation < COLLECTORS_INCARNATIONS {
            self.last
                .set(0, incarnation, 0)
                .map_err(|source| ProbeError::map("count the processes", source))?;
        }
        self.add(pid, incarnation)?;
        Ok(incarnation)
    }

    /// From now on programs count too: numbers are taken from elsewhere.
    pub const fn begin(&mut self) {
        self.given = COLLECTORS_INCARNATIONS;
    }

    /// Never listens to a process, nor to its children.
    ///
    /// # Errors
    /// When the kernel does not take the entry.
    pub fn never(&mut self, pid: u32) -> Result<(), ProbeError> {
        self.add(pid, 0)
    }

    /// Knows nothing of a process any more, which has ended.
    pub fn forget(&mut self, pid: u32) {
        let _none = self.processes.remove(&pid);
    }

    fn add(&mut self, pid: u32, incarnation: u32) -> Result<(), ProbeError> {
        let process = Process {
            incarnation,
            space: incarnation,
            pid,
            program: incarnation,
        };
        self.processes
            .insert(pid, process, 0)
            .map_err(|source| ProbeError::map("add a process to those traced", source))
    }

    /// Whether a process is listened to already, or never will be.
    pub fn knows(&self, pid: u32) -> bool {
        self.processes.get(&pid, 0).is_ok()
    }
}
