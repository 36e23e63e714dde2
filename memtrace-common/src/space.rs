//! The executable mappings of a process as the BPF side knows them, and how it is told that they changed.
//!
//! The collector reads the mappings and publishes a [`Space`]; the BPF side sees mapping calls as they happen and notes
//! in [`Changes`] what is newer than any list can be. Where the two disagree, no table is used: a table of a file that
//! was mapped before is never applied to what is mapped there now.

use crate::limits::MAX_MAPPINGS;

/// What is mapped in a process at some moment. Written whole, and only while nobody is told of it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Space {
    /// Incarnation of the process that it was read of. Its key, and there to be checked.
    pub incarnation: u32,
    /// What the addresses in the cache of rules are marked with, so that entries of other spaces are not found. 1 to
    /// 65535; a number is used again only when the cache was emptied.
    pub generation: u32,
    /// Kernel monotonic time in nanoseconds right before the list was read: changes noted until then are in it.
    pub covers: u64,
    /// Grows when other code is mapped where there was some before. It is part of the identity of stacks, so that equal
    /// addresses with different meanings stay apart.
    pub epoch: u64,
    /// First addresses (avma) in ascending order; the first is 0, unused ones are [`UNUSED`].
    pub begins: [u64; MAX_MAPPINGS],
    /// What begins there.
    pub mappings: [Mapping; MAX_MAPPINGS],
}

/// First address of a mapping that is not there: above all addresses, and positive as a signed number.
pub const UNUSED: u64 = i64::MAX as u64;

/// One executable mapping.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Mapping {
    /// End (avma).
    pub end: u64,
    /// What is subtracted from an avma to get the svma in the mapped file.
    pub bias: u64,
    /// Index of the array that holds the file's table, or [`NO_TABLE`] or [`TABLE_TO_COME`].
    pub arena: u32,
    /// Where in the array the table begins, in chunks ([`crate::unwind::CHUNK_WORDS`]).
    pub chunk: u32,
    /// Word in the table of the page of svma 0; it wraps.
    pub page_base: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
}

/// [`Mapping::arena`] of code that has no table: frames there are found by frame pointer.
pub const NO_TABLE: u32 = u32::MAX;

/// [`Mapping::arena`] of code whose table is not loaded yet.
pub const TABLE_TO_COME: u32 = u32::MAX - 1;

/// What has happened to the executable mappings of a process. Written by the BPF side only.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Changes {
    /// Kernel monotonic time in nanoseconds of the last change.
    pub last: u64,
    /// Ranges that changed, by processor: those whose numbers are equal modulo [`HULLS`] share one.
    pub hulls: [Hull; HULLS],
}

/// How many [`Hull`]s there are. Programs on several processors cannot add to one without losing something.
pub const HULLS: usize = 8;

/// The smallest range that holds what changed since the last space was published.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Hull {
    /// Time of the last change in it, as [`Changes::last`]. Not later than [`Space::covers`]: the space knows it all.
    pub latest: u64,
    /// First address (avma).
    pub low: u64,
    /// End (avma).
    pub high: u64,
}

/// Which file it is: the key of a [`FileTable`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct FileKey {
    /// Inode.
    pub inode: u64,
    /// Device as the kernel has it inside (`MKDEV`, `include/linux/kdev_t.h`).
    pub device: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
}

/// Where the table of a file is, for code that is mapped before the collector has read of it.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct FileTable {
    /// As [`Mapping::arena`].
    pub arena: u32,
    /// As [`Mapping::chunk`].
    pub chunk: u32,
    /// Its executable segments; those that are not there have no length.
    pub segments: [FileSegment; FILE_SEGMENTS],
}

/// Executable segments of a file that are told of. Linkers make one.
pub const FILE_SEGMENTS: usize = 4;

/// An executable segment.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct FileSegment {
    /// First byte in the file, of a whole page.
    pub offset: u64,
    /// End in the file, of a whole page.
    pub end: u64,
    /// Address of that first byte as the file says.
    pub svma: u64,
    /// As [`Mapping::page_base`].
    pub page_base: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
}

/// Code that a process has mapped lately, of files whose table is there. Written by the BPF side only.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Recent {
    /// How many there were.
    pub count: u64,
    /// First addresses (avma), [`UNUSED`] where nothing is.
    pub begins: [u64; RECENT],
    /// What begins there.
    pub mappings: [Mapping; RECENT],
}

/// Mappings that are kept: what a program maps when it starts, in most cases. A power of two.
pub const RECENT: usize = 16;

const _: () = {
    assert!(RECENT.is_power_of_two());
    assert!(size_of::<Recent>() == 8 + 40 * RECENT);
    assert!(size_of::<FileTable>() == 8 + 32 * FILE_SEGMENTS);
    assert!(size_of::<FileKey>() == 16);
    assert!(size_of::<Mapping>() == 32);
    assert!(size_of::<Changes>() == 8 + 24 * HULLS);
    assert!(HULLS.is_power_of_two());
    assert!(size_of::<Space>() == 24 + 40 * MAX_MAPPINGS);
};
