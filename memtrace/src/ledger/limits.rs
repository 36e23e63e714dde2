//! Bounds of the ledger's memory.

/// Bounds of the ledger's memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Distinct stacks kept; about 100 bytes each, and up to 1 KiB for the history of each of its sites.
    pub stacks: usize,
    /// Frames kept of all of them together, 16 bytes each. A report has to copy them.
    pub frames: usize,
    /// Identities by which the living processes name stacks, of all of them together; up to 100 bytes each.
    pub identities: usize,
    /// Live blocks kept of one process, 48 bytes each.
    pub blocks_per_process: usize,
    /// Blocks and ranges of a process up to which its child gets a copy of them.
    pub inherited_blocks: usize,
    /// Blocks and ranges that are copied for children: in all that live, and in one second. 48 bytes each; that many take
    /// about 0.1 s.
    pub inherited_total: usize,
    /// Processes that are remembered after their end.
    pub ended: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stacks: 1 << 20,
            // 256 MiB; a million stacks of the greatest depth would take 2 GiB.
            frames: 1 << 24,
            identities: 1 << 22,
            blocks_per_process: 1 << 25,
            inherited_blocks: 1 << 18,
            inherited_total: 1 << 22,
            ended: 4096,
        }
    }
}
