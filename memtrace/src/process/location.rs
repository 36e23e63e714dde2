//! Where an address belongs, independent of where the file was mapped.

/// A place in the code of a target.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Location {
    /// Index into the modules of the [`super::AddressSpace`].
    pub module: u32,
    /// File offset; for a module without a file the avma.
    pub address: u64,
}
