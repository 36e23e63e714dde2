//! What the user asks for meanwhile: that it ends.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// How often it was asked to end. The first time something is left undone and all is put back; the next time that is given up too.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU32>);

impl Stop {
    /// Asks once more.
    pub fn ask(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was asked.
    pub fn asked(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
