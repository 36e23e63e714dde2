//! The ring buffer's reading end.

use std::{
    ops::Deref,
    os::fd::{AsFd, BorrowedFd},
};

use aya::maps::{Map, MapData, RingBuf, ring_buf::RingBufItem};

use super::ProbeError;

/// Reads records in the order in which the kernel reserved them. Readable, as a descriptor, when the BPF side asks for
/// attention; whoever polls it must look by a timer as well.
pub struct Ring(RingBuf<MapData>);

/// One record, given back to the kernel when dropped.
pub struct RingRecord<'a>(RingBufItem<'a>);

impl Ring {
    pub(super) fn new(map: Map) -> Result<Self, ProbeError> {
        RingBuf::try_from(map)
            .map(Self)
            .map_err(|source| ProbeError::map("map the ring buffer", source))
    }

    /// The next record, or `None` when the ring is empty.
    pub fn next_record(&mut self) -> Option<RingRecord<'_>> {
        self.0.next().map(RingRecord)
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Deref for RingRecord<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
