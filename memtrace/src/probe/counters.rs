//! The BPF side's counters, summed over the processors.

use aya::maps::{Map, MapData, PerCpuArray};
use memtrace_common::Counter;

use super::ProbeError;

/// Reads the counters.
pub struct Counters(PerCpuArray<MapData, [u64; Counter::COUNT]>);

impl Counters {
    pub(super) fn new(map: Map) -> Result<Self, ProbeError> {
        PerCpuArray::try_from(map)
            .map(Self)
            .map_err(|source| ProbeError::map("open the counters", source))
    }

    /// All counters now, by their numbers.
    ///
    /// # Errors
    /// When the kernel does not give them.
    pub fn read(&self) -> Result<[u64; Counter::COUNT], ProbeError> {
        let processors = self
            .0
            .get(&0, 0)
            .map_err(|source| ProbeError::map("read the counters", source))?;
        let mut sums = [0_u64; Counter::COUNT];
        for values in processors.iter() {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value;
            }
        }
        Ok(sums)
    }
}
