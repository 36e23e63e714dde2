//! `aya::Pod` for what lives in maps. Here rather than in the collector because of the orphan rule.

#![cfg(feature = "user")]

use crate::{
    check::Checked,
    config::Config,
    javascript,
    pymalloc::Heap,
    python::Layout,
    space::{Changes, FileKey, FileTable, Recent, Space},
    state::{LostFree, LostKey, Mode, Process, Thread},
    v8_heap,
};

macro_rules! pods {
    ($($type:ty),*) => {
        $(
            #[expect(unsafe_code, reason = "`Pod` is an unsafe trait, and only the type's crate may implement it")]
            // SAFETY: `repr(C)`, `Copy`, made of integers only and without padding (the sizes are asserted
            // where the type is declared), so every bit pattern is a value and every byte is initialised.
            unsafe impl aya::Pod for $type {}
        )*
    };
}

pods!(
    Changes,
    Checked,
    Config,
    FileKey,
    FileTable,
    Heap,
    Layout,
    LostFree,
    LostKey,
    Mode,
    Process,
    Recent,
    Space,
    Thread,
    javascript::EngineLayout,
    v8_heap::draw::AreaKey,
    v8_heap::draw::Watch
);
